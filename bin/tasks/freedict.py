"""Reads FreeDict's dictionaries in dictd's form: an index of `headword, offset, length`, and the entries in a gzip file."""

import collections
import functools
import gzip
import re

from tasks.items import find

DIGITS = {digit: value for value, digit in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")}
# `word /sound/ <tags>` is the first line of an entry. It may list several words of one meaning.
HEAD = re.compile(r"(?P<words>[^/]+) /(?P<sound>[^/]*)/(?P<tags>.*)")
MEANING = re.compile(r"(?:\d+\. )?(.*)")

# `sound` is the pronunciation, `tags` the grammar, `lines` what follows the first line.
Entry = collections.namedtuple("Entry", "sound tags lines")


def number(digits):
    value = 0
    for digit in digits:
        value = 64 * value + DIGITS[digit]
    return value


@functools.lru_cache(maxsize=None)
def text(root, pair):
    with gzip.open(find(root, f"dictd/freedict-{pair}.dict.dz")) as file:
        return file.read()


@functools.lru_cache(maxsize=None)
def entries(root, pair):
    """{headword of one word: its entries, in the index's order}"""
    content, found = text(root, pair), collections.defaultdict(list)
    with open(find(root, f"dictd/freedict-{pair}.index"), encoding="utf-8") as file:
        for line in file:
            word, offset, length = line.rstrip("\n").split("\t")[:3]
            if " " in word or word.startswith("00"):
                continue
            start = number(offset)
            lines = content[start : start + number(length)].decode("utf-8").split("\n")
            head = HEAD.fullmatch(lines[0])
            if head and word in head["words"].split(", "):
                found[word].append(Entry(head["sound"], head["tags"], lines[1:]))
    return dict(found)


def meanings(entry):
    """Of an entry in a small dictionary: its numbered meanings, each a list of translations."""
    lines = [line for line in entry.lines if line and not line.startswith(" ")]
    return [MEANING.fullmatch(line)[1].split(", ") for line in lines]


def one_word(translation):
    return translation.isalpha() and len(translation) > 1
