"""words-en-fr, words-en-es and words-en-de: frequent English words and their translations of one word."""

import collections
import functools
import math
import re

from tasks import freedict, wordnet
from tasks.items import TEST, TRAIN, Item, split, without_copies
from tasks.left_out import LEFT_OUT

LEAST_COUNT = 5
# A word with more answers has many meanings, of which none is the usual one. The German dictionary has far more synonyms.
MOST_ANSWERS = {"fra": 4, "spa": 4, "deu": 10}
# Grammar as fra-eng tags it.
TAGS = {"noun": "n", "verb": "v", "adj": "adj"}
# spa-eng has no grammar, but Spanish verbs end like this, and few other words do.
INFINITIVE = re.compile(r"\w+[aeií]r(se)?")
LIKE_INFINITIVES = set("altar azúcar bar calamar collar hogar lugar mar par pilar mujer placer taller militar familiar popular".split())

# Phrases that eng-spa has lost the spaces of.
RUN_TOGETHER = set("""
    carnedecordero cámaradeaire cámaradepelículas darsedebaja diezyocho dinerodelembase dyschatell encuestón entrarencuenta
    hacerdimisión hacerincribir hombrepolítico ladoinferior malacostumbre maletademano mercadodeconsumo mondarhabas
    ordenporescrito pastorprotestante quererdecir quitarelpolvo quitarelpolvoa recelocaz sinaliento tenerlugar
""".split())


def words(root, parts):
    """(word, part of speech) of frequent words that are nearly always one part of speech, the most frequent first."""
    found = []
    for part in parts:
        for word in wordnet.by_frequency(root, part, LEAST_COUNT):
            if wordnet.mostly(root, part, word, 0.75) and len(word) > 2 and not wordnet.is_plural(root, word):
                found.append((-wordnet.count(root, part, word), word, part))
    return [(word, part) for _, word, part in sorted(found)]


@functools.lru_cache(maxsize=None)
def backwards(root, pair):
    """{English word: {translation: (meaning's number, place in it, tags)}} from the dictionary the other way round."""
    found = collections.defaultdict(dict)
    for word, entries in freedict.entries(root, pair).items():
        for place, meaning in enumerate(freedict.meanings(entries[0])):
            for rank, english in enumerate(meaning):
                found[english].setdefault(word, (place, rank, entries[0].tags))
    return found


def fits(language, translation, part, tags):
    """Whether a translation can be this part of speech: the dictionaries do not sort the meanings of `fly` by it."""
    if language == "spa":
        verb = bool(INFINITIVE.fullmatch(translation)) and translation not in LIKE_INFINITIVES
        return verb == (part == "verb") and translation not in RUN_TOGETHER
    return not tags or re.search(rf"\b{TAGS[part]}\b", tags) is not None


def both_ways(root, language, word, part):
    """Answers from two small dictionaries. One word's meanings are in the order of the alphabet in each, so the usual answer
    is the one that both name early; a word on which they do not agree is left out."""
    forward = freedict.entries(root, f"eng-{language}").get(word)
    if not forward:
        return []
    # Phrases lost all but their first word: `be fond` became another `be`. The word itself has the shortest sound.
    entry = min(forward, key=lambda entry: len(entry.sound))
    back = {other: where for other, where in backwards(root, f"{language}-eng").get(word, {}).items()
            if freedict.one_word(other) and fits(language, other, part, where[2])}
    ours = {}
    for place, meaning in enumerate(freedict.meanings(entry)):
        for rank, other in enumerate(meaning):
            if freedict.one_word(other) and fits(language, other, part, ""):
                ours.setdefault(other, (place, rank))
    agreed = sorted(set(ours) & set(back), key=lambda other: (ours[other][0] + back[other][0], back[other][1], ours[other]))
    if not agreed:
        return []
    return agreed + [other for other in ours if other not in agreed] + sorted(set(back) - set(ours))


# `Tür <fem> [constr.]`, `alt, betagt <adj>`: the marks in brackets go.
MARKS = re.compile(r"<[^>]*>|\[[^]]*\]|\([^)]*\)")
# `Zeitung <fem>Ztg.,  /tsts/ , Blatt <neut>`: an abbreviation and its sound may come between two words.
ABBREVIATION = re.compile(r"[^\s<>,]+,\s+/[^/]*/")
# A comma that is not in brackets.
SEPARATOR = re.compile(r",(?![^\[(<]*[\])>])")
# Dialects, old words and slang.
UNUSUAL = re.compile(r"\[(?:veraltet|Ös\.|Schw\.|Süddt\.|Norddt\.|Bayr\.|Mitteldt\.|Ostdt\.|obs\.|slang|pej\.|vulg\.|geh\.|poet\.)\]")
KINDS = {"noun": re.compile(r"<(?:masc|fem|neut)\b"), "adj": re.compile(r"<adj\b")}


@functools.lru_cache(maxsize=None)
def german_frequency(root):
    """Count each word of the dictionary. Its entries hold many example sentences, so frequent words have high counts."""
    return collections.Counter(re.findall(r"[A-Za-zÄÖÜäöüß]+", freedict.text(root, "eng-deu").decode("utf-8")))


def german_words(line):
    """The translations of one word in a line like `Arzt <masc>, Ärztin <fem> [med.]`."""
    for translation in SEPARATOR.split(ABBREVIATION.sub("", line)):
        other = MARKS.sub("", translation).strip()
        if freedict.one_word(other) and not UNUSUAL.search(translation):
            yield other


@functools.lru_cache(maxsize=None)
def german_breadth(root):
    """How many entries have each word as a translation."""
    return collections.Counter(
        other for entries in freedict.entries(root, "eng-deu").values() for entry in entries if entry.lines
        for other in set(german_words(entry.lines[0])))


def german(root, _, word, part):
    """Answers from one large dictionary with many entries a word. The usual answer is in many of them, is a frequent word, and
    does not translate many other words as well: a frequent word with many uses is seldom the best for one of them."""
    found = collections.Counter()
    for entry in freedict.entries(root, "eng-deu").get(word, []):
        if entry.lines and KINDS[part].search(entry.lines[0]):
            found.update(other for other in german_words(entry.lines[0]) if other[0].isupper() == (part == "noun"))
    often, breadth = german_frequency(root), german_breadth(root)
    # Rounded, since the last digit of a logarithm differs between machines.
    score = {other: round(found[other] * math.log(1 + often[other]) ** 1.5 / math.sqrt(breadth[other]), 6) for other in found}
    # English does not say whether a dancer is a Tänzer or a Tänzerin; the shorter word is the one that covers both.
    covered = {other for other in found if other.endswith("in") and other[:-2] in found}
    return sorted(found, key=lambda other: (other in covered, -score[other], other))


def build(root, language, parts, known):
    items = []
    for word, part in words(root, parts):
        answers = known(root, language, word, part)
        if answers and len(answers) <= MOST_ANSWERS[language] and word not in LEFT_OUT[language]:
            items.append(Item(word, word, answers))
    return split(without_copies(items)[: (TRAIN + TEST) * 11 // 10])


def french(root):
    return build(root, "fra", ("noun", "adj", "verb"), both_ways)


def spanish(root):
    return build(root, "spa", ("noun", "adj", "verb"), both_ways)


def into_german(root):
    """Nouns and adjectives: the dictionary has most verbs as phrases, as `take sth.`"""
    return build(root, "deu", ("noun", "adj"), german)
