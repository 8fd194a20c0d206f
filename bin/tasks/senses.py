"""antonyms of adjectives and categories of nouns, from WordNet."""

from tasks import wordnet
from tasks.items import Item, split, without_copies

# Their opposites depend on the sentence, or few people know the words.
NO_CLEAR_OPPOSITE = set("""
    adopted affixed all anhydrous anterior atrophied away basic consonantal conspicuous consumptive covered cut
    depressing equivocal functional heterozygous home homozygous hydrous hypertrophied imperative incidental individual
    intermediate inverse like live lyric medical middle migratory multiple neutral no nonlinguistic nonparticulate
    nonspecific oleophilic oleophobic operational operative opposite other out particulate passing posterior precocious
    recorded retarded running savory side some staccato still synergistic top uncompromising unconditioned undiluted
    unfastened univalent unwomanly vocalic voiced wintry worn
""".split())

# Files of nouns that a reader would sort as WordNet's authors did, with a plain word for each.
CATEGORIES = {
    "animal": "animal",
    "body": "body part",
    "feeling": "feeling",
    "food": "food",
    "person": "person",
    "plant": "plant",
    "substance": "substance",
    "time": "time",
}
# WordNet's file of things that people make is too wide. A noun counts if it is a kind of one of these words.
MADE = {
    "clothing": "clothing",
    "footwear": "clothing",
    "weapon": "weapon",
    "vehicle": "vehicle",
    "building": "building",
}
EACH = 60
# The least number of definitions that hold the word. Terms of one science are in few definitions.
EVERYDAY = 5
# Where readers would argue: parts of animals, cells and fluids, what is named by its use, words with a second meaning.
DOUBTFUL = set("""
    accessory aircraft algae antibody antigen antiserum appetite atom bacteria balsam beak bitters bloodstream builder
    bullet carcass catcher citrus clam cocoon continuum corpse cortex crop cud cytoplasm debris diet duct egg enzyme
    epidermis expert expiration fallout feather festival flats flesh fool fumes gait gentian globulin goat god haircut
    hay hoof hormone horseback hour inn inning insulin kid larva laundry lid lint lobe locker lord lumber marrow may
    microorganism missile molecule mucosa mucus nectar nightfall nourishment oat octave orb orifice oxen palm parasite
    pectoral perspiration pith pituitary plank pleura pollen presidency projectile protease protozoa rocket saliva
    season sec septum serum slave speed spore stewing substrate suspension tempo tenure termination thyroid thyroxine
    times tissue toilet trail tyrosine velocity virus vitals wallpaper weeds while wig wishing workday yen youth zone
""".split())


def opposites(root, word):
    """The antonyms of all senses that were seen in tagged text, the most frequent sense first."""
    synsets, found = wordnet.synsets(root, "adj"), []
    seen = wordnet.counts(root)["adj"][word]
    places = wordnet.senses(root, "adj").get(word, [])
    for sense in sorted(range(1, len(places) + 1), key=lambda sense: (-seen[sense], sense)):
        synset, of_sense = synsets[places[sense - 1]], []
        for symbol, place, _, ours, theirs in synset.pointers:
            if symbol == "!" and seen[sense] and synset.words[ours - 1] == word:
                of_sense.append(synsets[place].words[theirs - 1])
        # Words of one meaning with the antonym are right too, but less usual.
        for symbol, place, _, ours, theirs in synset.pointers:
            if symbol == "!" and seen[sense] and synset.words[ours - 1] == word:
                of_sense += [other for other in synsets[place].words if other not in of_sense]
        found += of_sense
    return list(dict.fromkeys(found))


def antonyms(root):
    answers = {}
    for word in wordnet.by_frequency(root, "adj"):
        known = [other for other in opposites(root, word)
                 if wordnet.SINGLE_WORD.fullmatch(other) and wordnet.count(root, "adj", other)]
        if known and word not in NO_CLEAR_OPPOSITE:
            answers[word] = [other for other in known if other not in NO_CLEAR_OPPOSITE]
    answers = {word: others for word, others in answers.items() if others}
    groups = linked(answers)
    return split(without_copies([Item(word, word, others, groups[word]) for word, others in answers.items()]))


def linked(answers):
    """{word: the first word of all that are linked to it by answers}: if hot is asked, cold must not be shown."""
    leader = {}

    def first(word):
        while leader.setdefault(word, word) != word:
            word = leader[word]
        return word

    for word, others in answers.items():
        for other in others:
            ends = sorted((first(word), first(other)))
            leader[ends[1]] = ends[0]
    return {word: first(word) for word in answers}


def category(root, word):
    """The category that nearly all uses of the word fall into, if there is one."""
    uses = wordnet.noun_files(root)[word]
    file, most = max(sorted(uses.items()), key=lambda pair: pair[1])
    if most < 0.9 * sum(uses.values()):
        return None
    if file != "artifact":
        return CATEGORIES.get(file)
    above = wordnet.above(root, wordnet.senses(root, "noun")[word][0])
    return next((label for name, label in MADE.items() if name in above and name != word), None)


def categories(root):
    taken, items = dict.fromkeys([*CATEGORIES.values(), *MADE.values()], 0), []
    for word in wordnet.by_frequency(root, "noun"):
        clear = word not in DOUBTFUL and wordnet.mostly(root, "noun", word, 0.8) and not wordnet.is_plural(root, word)
        if not clear or wordnet.in_definitions(root)[word] < EVERYDAY:
            continue
        label = category(root, word)
        if label and taken[label] < EACH:
            taken[label] += 1
            items.append(Item(word, word, [label]))
    return split(without_copies(items), each_label=True)
