"""plurals of nouns and the past tense of verbs, from lemminflect's table."""

import functools
import gzip

from tasks import wordnet
from tasks.items import TEST, TRAIN, Item, find, split, without_copies

# Somewhat more than both parts need, since the hash does not fill them evenly.
WORDS = (TRAIN + TEST) * 11 // 10


@functools.lru_cache(maxsize=None)
def table(root):
    """{(word, part of speech): its forms, each with the more frequent spelling first}"""
    found = {}
    with gzip.open(find(root, "resources/infl_lu.csv.gz"), "rt", encoding="utf-8") as file:
        for line in file:
            word, part, *forms = line.rstrip("\n").split(",")
            found[word, part] = [form.split("/") if form else [] for form in forms]
    return found


# The plural is not in use, or the word itself is rude.
LEFT_OUT = set("ass cock heritage laity monitoring nothing planning prick rape screw shaving turning whore".split())


def build(root, part, left_out):
    """The first form of the most frequent words that are mostly this part of speech."""
    items = []
    for word in wordnet.by_frequency(root, part):
        forms = table(root).get((word, part), [[]])[0]
        if forms and word not in left_out | LEFT_OUT and len(word) > 2 and wordnet.mostly(root, part, word, 0.5):
            items.append(Item(word, word, forms))
    return split(without_copies(items)[:WORDS])


def plurals(root):
    inflected = {form for (word, part), forms in table(root).items() if part == "noun" for form in forms[0] if form != word}
    return build(root, "noun", inflected)


def past_tense(root):
    return build(root, "verb", {"be"})
