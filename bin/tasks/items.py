"""Items, and how they are split, ordered and written: the same for all tasks."""

import collections
import hashlib
import json
import os
import re
import unicodedata
from dataclasses import dataclass, field

TRAIN, TEST = 500, 1000
# A third of the hash range is demonstrations, as a third of all items is wanted for them.
TRAIN_SHARE = TRAIN / (TRAIN + TEST)


@dataclass
class Item:
    id: str
    source: str
    targets: list  # the usual answer first
    # Items with the same group fall into the same part; without one, items with the same source do.
    group: str = ""
    key: str = field(init=False)

    def __post_init__(self):
        self.key = normalised(self.source)
        self.group = self.group or self.key


def normalised(text):
    """Texts that differ in case, accents' encoding, punctuation or spaces only are the same. Signs of arithmetic count."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.findall(r"[^\W_]+|[+\-](?=\s)", text))


def plain(text):
    """Also without accents: to a reader `hotel` and `hôtel` are copies of each other."""
    decomposed = unicodedata.normalize("NFD", normalised(text))
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def fraction(text):
    """A number in [0, 1) that depends on the text only: Python's own `hash` differs from run to run."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:13], 16) / 16**13


class Draws:
    """Random numbers from a seed. Not the module `random`, whose draws may change with Python's version."""

    def __init__(self, seed):
        self.seed, self.drawn = seed, 0

    def below(self, end):
        self.drawn += 1
        return int(hashlib.sha256(f"{self.seed}:{self.drawn}".encode()).hexdigest()[:16], 16) % end

    def between(self, first, last):
        return first + self.below(last - first + 1)

    def several(self, of, number):
        """`number` different elements of a list."""
        of = list(of)
        return [of.pop(self.below(len(of))) for _ in range(number)]


def without_copies(items):
    """Leaves out what copying the source would get right: such items do not tell whether a model knows the task."""
    return [item for item in items if all(plain(target) != plain(item.source) for target in item.targets)]


def split(items, balanced=False, each_label=False):
    """(train, test), each in the order of a hash, so that the first n are a fair sample.

    A group's hash says its part. With `each_label` its place among the hashes of its label does, so that both parts have
    their share of a rare label. With `balanced`, both parts have the same number of items of each first target.
    """
    counts = collections.Counter(item.key for item in items)
    repeated = sorted(key for key, count in counts.items() if count > 1)
    if repeated:
        raise ValueError(f"the source {repeated[0]!r} is there {counts[repeated[0]]} times")
    parts, seen = ([], []), collections.Counter()
    totals = collections.Counter(item.targets[0] for item in items)
    for item in sorted(items, key=lambda item: (fraction("order " + item.key), item.id)):
        place = fraction(item.group)
        if each_label:
            label = item.targets[0]
            place = seen[label] / totals[label]
            seen[label] += 1
        parts[place >= TRAIN_SHARE].append(item)
    return tuple(capped(part, size, balanced) for part, size in zip(parts, (TRAIN, TEST)))


def capped(part, size, balanced):
    if not balanced:
        return part[:size]
    counts = collections.Counter(item.targets[0] for item in part)
    most = min(size // len(counts), *counts.values())
    taken, kept = collections.Counter(), []
    for item in part:
        if taken[item.targets[0]] < most:
            taken[item.targets[0]] += 1
            kept.append(item)
    return kept


def line(item):
    target = item.targets[0] if len(item.targets) == 1 else item.targets
    return json.dumps({"id": item.id, "source": item.source, "target": target}, ensure_ascii=False) + "\n"


def write(path, items):
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(line(item) for item in items)


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def find(root, name):
    """The one file below `root` whose path ends so."""
    for folder, _, files in sorted(os.walk(root)):
        for file in files:
            path = os.path.join(folder, file)
            if path.endswith(os.sep + name):
                return path
    raise FileNotFoundError(f"the packages hold no {name}")
