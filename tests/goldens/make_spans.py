#!/usr/bin/env python3
"""Writes spans.json: prompts with named spans, columns of items and both orders, and the tokens of every name, for spans.rs.

    pip install tokenizers pyyaml
    python tests/goldens/make_spans.py

Made from the written rules alone. A prompt is written with a private character before and after each stretch that has a name; the
characters are then taken out, and what was between them is the stretch. A token belongs to the stretch that holds its first byte
that is not white space (its first byte, where all of it is white space), within the tokens of the stretch's segment.
"""

import json
from pathlib import Path

import tokenizers
from make_segments import Vocabulary

HERE = Path(__file__).parent
BEGIN, END = "\ue000", "\ue001"
TOKENIZERS = ["smollm", "qwen2", "llama-bpe", "metaspace"]

FORMATS = {
    "plain": {"header": "Say in {target}:", "question": "Q: ", "answer": "\nA:", "before_target": " ", "separator": "\n"},
    "document": {
        "header": "{persona} Answer from the text.{rule}",
        "question": "Text: {document}\nQ: ",
        "answer": " ({document} in {place})\nA:",
        "before_target": " ",
        "after_target": " ;",
        "separator": "\n\n",
        "spans": {"persona": "You are a {source} clerk.", "rule": "\nBe {{brief}}."},
    },
    "bare": {"header": "", "question": "", "answer": "=", "before_target": "", "separator": ","},
}
ITEMS = [
    {"source": " two  apples ", "target": "zwei Äpfel\n", "columns": {"document": "  Café 12\n345.  ", "place": "Paris"}},
    {"source": "x = 1", "target": "y", "columns": {"document": "春天到了。", "place": "  Oslo"}},
    {"source": "I'm 🙂👍", "target": "été", "columns": {"document": "e\u0301te\u0301", "place": "n\u0303"}},
]


def filled(text, form):
    for name, span in form.get("spans", {}).items():
        span = span.replace("{source}", "English").replace("{target}", "French")
        span = span.replace("{{", "{").replace("}}", "}")
        text = text.replace("{" + name + "}", f"{BEGIN}{name}|{span}{END}")
    return text.replace("{source}", "English").replace("{target}", "French")


def with_columns(text, item):
    for name, value in item["columns"].items():
        text = text.replace("{" + name + "}", f"{BEGIN}{name}|{value.strip()}{END}")
    return text


def named(name, text):
    return f"{BEGIN}{name}|{text}{END}"


def parts_of(form, shown, query, first):
    """Segment by segment, with marks."""
    question, answer = filled(form["question"], form), filled(form["answer"], form)
    examples = []
    for item in shown:
        text = with_columns(question, item) + named("input", item["source"].strip()) + with_columns(answer, item)
        text += named("output", filled(form["before_target"], form) + item["target"].strip())
        examples.append(named("whole", text + filled(form.get("after_target", ""), form)))
    separator = form["separator"]
    header = filled(form["header"], form)
    header = header + separator if header else ""
    examples = "".join(text + separator for text in examples)
    asked = with_columns(question, query) + named("input", query["source"].strip())
    answer = with_columns(answer, query)
    if first:
        asked = asked + separator
        return [("instructions", header), ("query", asked), ("examples", examples), ("closing", answer.lstrip("\r\n"))]
    return [("instructions", header), ("examples", examples), ("query", asked + answer)]


def unmarked(text):
    """The text without marks, and (name, first byte, end byte) of each stretch, in the order of their ends."""
    plain, stretches, opened, at = "", [], [], 0
    while at < len(text):
        if text[at] == BEGIN:
            name = text[at + 1 : text.index("|", at)]
            opened.append((name, len(plain.encode())))
            at += len(name) + 2
        elif text[at] == END:
            name, first = opened.pop()
            stretches.append((name, first, len(plain.encode())))
            at += 1
        else:
            plain += text[at]
            at += 1
    assert not opened
    return plain, stretches


def without(ranges, others):
    left = sorted(set(c for a, b in ranges for c in range(a, b)) - set(c for a, b in others for c in range(a, b)))
    joined = []
    for column in left:
        if joined and joined[-1][1] == column:
            joined[-1][1] += 1
        else:
            joined.append([column, column + 1])
    return joined


def case(vocabulary, form, shown, query, first):
    text, segment_bytes, stretches = "", [], []
    for segment, marked in parts_of(form, shown, query, first):
        part, inner = unmarked(vocabulary.normal(marked))
        start = len(text.encode())
        text += part
        segment_bytes.append((segment, len(text.encode())))
        stretches += [(segment, name, start + a, start + b) for name, a, b in inner]
    ids = vocabulary.encode(text)
    firsts = vocabulary.first_bytes(text, ids)
    data, n = text.encode(), vocabulary.n_bos
    letters = []
    for first_byte, end in zip(firsts, firsts[1:] + [len(data)]):
        token = data[first_byte:end]
        try:
            whole = token.decode()
        except UnicodeDecodeError as error:
            whole = token[: error.start].decode()
        blank = len(whole[: len(whole) - len(whole.lstrip())].encode())
        letters.append(first_byte if blank == len(token) else first_byte + blank)
    segments, column = {"bos": [0, n]}, n
    for name, end in segment_bytes:
        after = n + sum(first_byte < end for first_byte in firsts)
        segments[name], column = [column, after], after
    names = {}

    def add(name, ranges):
        ranges = [list(pair) for pair in ranges if pair[0] < pair[1]]
        if ranges:
            names.setdefault(name, [])
            names[name] += ranges

    for name, pair in segments.items():
        add(name, [pair])
    number, wholes, inner = -1, {}, {}
    # Stretches of an example end before the example itself does.
    order = stretches
    examples = sorted((a, b) for segment, name, a, b in order if name == "whole")
    for segment, name, a, b in order:
        start, end = segments[segment]
        columns = [c for c in range(start, end) if a <= letters[c - n] < b]
        pair = [columns[0], columns[-1] + 1] if columns else [0, 0]
        if segment == "examples":
            number = next(i for i, (first_byte, last) in enumerate(examples) if first_byte <= a and b <= last)
            if name == "whole":
                add(f"examples[{number}]", [pair])
                wholes[number] = pair
                continue
            several = {"input": "inputs", "output": "outputs"}.get(name, name)
            add(f"examples[{number}].{name}", [pair])
            add(f"examples.{several}", [pair])
            inner.setdefault(number, []).append(pair)
        elif segment == "closing":
            inner.setdefault("closing", []).append(pair)
        else:
            add(f"{segment}.{name}", [pair])
            inner.setdefault(segment, []).append(pair)
        if name not in ("input", "output"):
            add(name, [pair])
    for number, pair in wholes.items():
        add(f"examples[{number}].delimiters", without([pair], inner.get(number, [])))
    if wholes:
        add("examples.delimiters", without([segments["examples"]], [p for i in wholes for p in inner.get(i, [])]))
    add("query.delimiters", without([segments["query"]], inner.get("query", [])))
    add("last", [[len(ids) - 1, len(ids)]])
    return {"text": text, "tokens": ids, "names": {name: without(ranges, []) for name, ranges in sorted(names.items())}}


def main():
    cases = []
    for tokenizer in TOKENIZERS:
        vocabulary = Vocabulary(tokenizer, [])
        for name, form in FORMATS.items():
            for k, item, first in [(0, 2, False), (2, 2, False), (1, 0, False), (2, 1, True)]:
                if first and "{" in form["answer"]:
                    continue
                where = {"tokenizer": tokenizer, "format": name, "k": k, "item": item, "query_first": first}
                cases.append(where | case(vocabulary, form, ITEMS[:k], ITEMS[item], first))
    head = {
        "made_by": "tests/goldens/make_spans.py",
        "versions": {"tokenizers": tokenizers.__version__},
        "formats": FORMATS,
        "items": ITEMS,
    }
    lines = ",\n".join(json.dumps(one, separators=(",", ":")) for one in cases)
    text = json.dumps(head, separators=(",", ":"))[:-1] + ',"cases":[\n' + lines + "\n]}\n"
    (HERE / "spans.json").write_text(text)
    print(len(cases), "cases,", len(text) // 1024, "KiB")


if __name__ == "__main__":
    main()
