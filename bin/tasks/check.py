"""Checks the two files of a task: what is wrong with them, as sentences. It reads the files alone, not what made them."""

import collections
import json
import os

from tasks.items import TEST, TRAIN, normalised

# Their labels are equally frequent in each part.
BALANCED = {"reviews"}
# The answer may be the source in other letters.
CASE_COUNTS = {"uppercase"}
# What is asked the other way round has the source as its answer.
SYMMETRIC = {"antonyms"}


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return [json.loads(line) for line in file]


def targets(item):
    return item["target"] if isinstance(item["target"], list) else [item["target"]]


def wrong_with_item(name, item):
    texts = [item.get("id"), item.get("source"), *(targets(item) if item.get("target") else [None])]
    if not all(isinstance(text, str) and text and text == " ".join(text.split()) for text in texts):
        yield "has an id, source or target that is no tidy text"
        return
    if isinstance(item["target"], list) and (len(item["target"]) < 2 or len(set(item["target"])) < len(item["target"])):
        yield "has a list of fewer than two different answers"
    same = (lambda text: text) if name in CASE_COUNTS else normalised
    if any(same(target) == same(item["source"]) for target in targets(item)):
        yield "has its source as an answer"


def same_question(name, source):
    """What is the same for two sources that ask the same."""
    if name in {"count", "arithmetic"} and "-" not in source:
        return " ".join(sorted(normalised(source).split()))
    return normalised(source)


def wrong(folder, name):
    """All that is wrong with a task's files."""
    parts = {}
    for part, most in (("train", TRAIN), ("test", TEST)):
        parts[part] = read(os.path.join(folder, f"{part}.jsonl"))
        if not 0 < len(parts[part]) <= most:
            yield f"{name}: {part} has {len(parts[part])} items"
        for number, item in enumerate(parts[part], 1):
            yield from (f"{name}: line {number} of {part} {what}" for what in wrong_with_item(name, item))
        labels = collections.Counter(targets(item)[0] for item in parts[part])
        if name in BALANCED and len(set(labels.values())) != 1:
            yield f"{name}: the labels of {part} are not balanced: {dict(labels)}"
    everything = parts["train"] + parts["test"]
    for what, of in (("id", lambda item: item["id"]), ("source", lambda item: normalised(item["source"]))):
        for value, times in collections.Counter(map(of, everything)).items():
            if times > 1:
                yield f"{name}: the {what} {value!r} is there {times} times"
    yield from leaks(name, parts)


def leaks(name, parts):
    asked = {same_question(name, item["source"]) for item in parts["train"]}
    for item in parts["test"]:
        if same_question(name, item["source"]) in asked:
            yield f"{name}: {item['source']!r} is asked in both parts"
    if name in SYMMETRIC:
        shown = {(normalised(item["source"]), normalised(target)) for item in parts["train"] for target in targets(item)}
        for item in parts["test"]:
            for target in targets(item):
                if (normalised(target), normalised(item["source"])) in shown:
                    yield f"{name}: {item['source']!r} is an answer in train"
