"""Tasks that need no package: what they ask is drawn from a seed or made of everyday words."""

from tasks.everyday import WORDS
from tasks.items import TEST, TRAIN, Draws, Item, normalised, split, without_copies

# Somewhat more than both parts need, since the hash does not fill them evenly.
DRAWN = (TRAIN + TEST) * 5 // 4
LONGEST_LIST = 9


def per_word(change):
    return [Item(word, word, [change(word)]) for word in WORDS]


def uppercase(_):
    return split(per_word(str.upper))


def first_letter(_):
    return split(per_word(lambda word: word[0]))


def reverse(_):
    """A word that reads the same backwards is left out: its answer is a copy."""
    return split(without_copies(per_word(lambda word: word[::-1])))


def count(_):
    """How many words a list has, from 1 to 9; each number is equally likely."""
    draws, items = Draws("count"), {}
    while len(items) < DRAWN:
        words = draws.several(WORDS, draws.between(1, LONGEST_LIST))
        # The order of a list does not change the answer, so lists of the same words belong together.
        item = Item(str(draws.drawn), ", ".join(words), [str(len(words))], " ".join(sorted(words)))
        items.setdefault(item.key, item)
    return split(list(items.values()))


def arithmetic(_):
    """Sums and differences of two numbers from 1 to 99; no result is below 0."""
    draws, items = Draws("arithmetic"), {}
    while len(items) < DRAWN:
        first, second = draws.between(1, 99), draws.between(1, 99)
        if draws.below(2):
            # Both orders of a sum have the same answer.
            group = "{} + {}".format(*sorted((first, second)))
            item = Item(f"{first}+{second}", f"{first} + {second}", [str(first + second)], group)
        else:
            first, second = max(first, second), min(first, second)
            item = Item(f"{first}-{second}", f"{first} - {second}", [str(first - second)])
        assert normalised(item.source) == item.source
        items.setdefault(item.key, item)
    return split(list(items.values()))
