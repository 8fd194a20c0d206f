"""Reads WordNet 3.0's files (`man 5 wndb` describes them): words, senses, and how often each was seen in tagged text."""

import collections
import functools
import re

from tasks.items import find

# Of a sense key: `dog%1:05:00::` is a noun. 5 is an adjective that WordNet lists under another one.
PARTS = {"1": "noun", "2": "verb", "3": "adj", "5": "adj", "4": "adv"}
# The numbers of the lexicographers' files that nouns are in.
NOUN_FILES = dict(enumerate(
    "Tops act animal artifact attribute body cognition communication event feeling food group location motive object "
    "person phenomenon plant possession process quantity relation shape state substance time".split(), start=3))
SINGLE_WORD = re.compile(r"[a-z]{2,}")
# How WordNet marks words that a task should not ask for.
RUDE = re.compile(r"offensive (?:name|term|word)|obscene|ethnic slur|vulgar|derogatory|disparaging (?:name|term)|insulting (?:name|term)")

Synset = collections.namedtuple("Synset", "words pointers gloss")


@functools.lru_cache(maxsize=None)
def counts(root):
    """{part of speech: {word: Counter of its sense numbers}}"""
    seen = {part: collections.defaultdict(collections.Counter) for part in set(PARTS.values())}
    with open(find(root, "wordnet/cntlist.rev"), encoding="ascii") as file:
        for line in file:
            key, sense, count = line.split()
            word, rest = key.split("%")
            seen[PARTS[rest[0]]][word][int(sense)] += int(count)
    return seen


@functools.lru_cache(maxsize=None)
def noun_files(root):
    """{noun: Counter of the lexicographers' files of its uses}. A sense key names its file; its number may be outdated."""
    seen = collections.defaultdict(collections.Counter)
    with open(find(root, "wordnet/cntlist.rev"), encoding="ascii") as file:
        for line in file:
            key, _, uses = line.split()
            word, rest = key.split("%")
            if rest.startswith("1:"):
                seen[word][NOUN_FILES[int(rest[2:4])]] += int(uses)
    return seen


def count(root, part, word):
    return sum(counts(root)[part].get(word, {}).values())


def mostly(root, part, word, share):
    """Whether the word is this part of speech in at least that share of its uses."""
    return count(root, part, word) >= share * sum(count(root, any_part, word) for any_part in counts(root))


def by_frequency(root, part, least=1):
    """The single words of a part of speech, the most frequent first; neither names nor rude words."""
    found = sorted((-sum(seen.values()), word) for word, seen in counts(root)[part].items() if SINGLE_WORD.fullmatch(word))
    return [word for uses, word in found if -uses >= least and decent(root, part, word)]


def decent(root, part, word):
    """Whether it is written in small letters in some sense, and rude in none. (The counts have small letters only.)"""
    found = [synsets(root, part)[place] for place in senses(root, part).get(word, [])]
    return any(word in synset.words for synset in found) and not any(RUDE.search(synset.gloss) for synset in found)


@functools.lru_cache(maxsize=None)
def in_definitions(root):
    """Count each word of the definitions. Everyday words have higher counts than terms of one science."""
    found = collections.Counter()
    for part in ("noun", "verb", "adj", "adv"):
        for synset in synsets(root, part).values():
            found.update(set(re.findall("[a-z]+", synset.gloss)))
    return found


@functools.lru_cache(maxsize=None)
def senses(root, part):
    """{word: the places of its synsets, by sense number}"""
    places = {}
    with open(find(root, f"wordnet/index.{part}"), encoding="ascii") as file:
        for line in file:
            if not line.startswith(" "):
                fields = line.split()
                places[fields[0]] = fields[-int(fields[2]):]
    return places


@functools.lru_cache(maxsize=None)
def synsets(root, part):
    """{place: Synset}; pointers are (symbol, place, part of speech, number of our word, number of their word)"""
    found = {}
    with open(find(root, f"wordnet/data.{part}"), encoding="ascii") as file:
        for line in file:
            if line.startswith(" "):
                continue
            fields, gloss = line.split(" | ", 1)
            fields = fields.split()
            size = int(fields[3], 16)
            # An adjective may carry a mark of its position, as `galore(ip)`.
            words = [fields[4 + 2 * number].split("(")[0] for number in range(size)]
            first = 5 + 2 * size
            pointers = []
            for number in range(int(fields[first - 1])):
                symbol, place, other_part, ends = fields[first + 4 * number : first + 4 * number + 4]
                pointers.append((symbol, place, other_part, int(ends[:2], 16), int(ends[2:], 16)))
            found[fields[0]] = Synset(words, pointers, gloss)
    return found


@functools.lru_cache(maxsize=None)
def above(root, place):
    """All words of the nouns that a noun is a kind of, however far above."""
    found = set()
    for symbol, higher, *_ in synsets(root, "noun")[place].pointers:
        if symbol == "@":
            found |= {*synsets(root, "noun")[higher].words, *above(root, higher)}
    return found


def is_plural(root, word):
    """WordNet has some plurals as words of their own, as `hours`."""
    return word.endswith("s") and count(root, "noun", word[:-1]) > 0
