#!/usr/bin/env python3
"""Writes segments.json: prompts, their segments and the columns a treatment hides, for tests/segments_goldens.rs.

    pip install tokenizers pyyaml
    python tests/goldens/make_segments.py

Made from the written rules alone, with Hugging Face's tokenizers and the files of configs/format/:
- profile `exact`: the prompt is tokenized once; a token belongs to the segment that holds its first byte, the separator
  after a segment to that segment; an empty segment has no separator; all sources and targets are stripped;
- profile `sia2024`: columns counted on header, header + demonstrations and query tokenized apart, as the study's
  released code counts them; it strips the demonstrations and takes the query as it is.
"""

import json
import unicodedata
from pathlib import Path

import tokenizers
import yaml
from tokenizers import Tokenizer

HERE = Path(__file__).parent
MASKS = ["TTF", "FTF", "FFT", "TFF", "TTT"]
NAMES = ["instructions", "examples", "query"]

# Spaces at ends, accents in both normal forms, digits, emoji of several code points, placeholders of a header, lines.
DEMONSTRATIONS = [
    ("Le café coûte 12 345,67 €.  ", "The café is €12,345.67. "),
    ("  I'm here 🙂👍", "Je suis là 🙂👍\t"),
    ("e\u0301te\u0301, n\u0303", "été, ñ"),
    ("春天到了。", "Spring is here"),
    ("x = {source}  # {target}", "def f():\n    return 1\n"),
]
QUERIES = [
    "L'été dernier, en 1987 !",
    " two  spaces, trailing   ",
    "\u00a0nai\u0308ve 👨🏽‍🚀 <|im_start|>red</s>blue\u3000",
    "\n\nline one\n  line two \n",
]

# Strings between which tokens form that lie in two segments; not of configs/format/, so written here in full.
STRADDLING = {
    "space": {"header": "Translate {source} to {target}", "question": "Q:", "answer": "A:", "separator": " "},
    "newlines": {"header": "From {source}:", "question": "\nQ:", "answer": "\nA:", "separator": "\n"},
    "nothing": {"header": "Now ", "question": " Q ", "answer": " A:", "separator": ""},
    "accent": {"header": "Traduis", "question": "\u00e9Q:", "answer": "A:", "after_target": " ", "separator": "\u00e9"},
}
# name: (file, merges put before all others: a token to give up for it, left, right). Real vocabularies have a token for
# a space and a line end, those of the goldens are too small for it.
TOKENIZERS = {
    "smollm": ("smollm", []),
    "qwen2": ("qwen2", []),
    "llama-bpe": ("llama-bpe", []),
    "llama-bpe with space and line end in one": ("llama-bpe", [("Ġunreachable", "Ġ", "Ċ"), ("123", "Ġ", "Q")]),
    "llama": ("llama", []),
    "metaspace": ("metaspace", []),
}


# --- Tokens and their bytes ----------------------------------------------------------------------------------


def gpt2_bytes():
    """GPT-2's printable stand-ins -> the bytes they stand for."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(others)}


class Vocabulary:
    def __init__(self, file, merges):
        parsed = json.loads((HERE / "tokenizers" / f"{file}.tokenizer.json").read_text())
        for given_up, left, right in merges:
            parsed["model"]["merges"].insert(0, [left, right])
            parsed["model"]["vocab"][left + right] = parsed["model"]["vocab"].pop(given_up)
        self.library = Tokenizer.from_str(json.dumps(parsed))
        self.added = {token["id"]: token["content"] for token in parsed["added_tokens"]}
        self.nfc = (parsed["normalizer"] or {}).get("type") == "NFC"
        self.byte_level = parsed["decoder"]["type"] == "ByteLevel"
        self.stand_ins = gpt2_bytes()
        self.n_bos = len(self.library.encode("").ids)

    def encode(self, text):
        """As a model is fed: with BOS where the tokenizer adds one."""
        return self.library.encode(text).ids

    def normal(self, text):
        return unicodedata.normalize("NFC", text) if self.nfc else text

    def bytes_of(self, token):
        if token in self.added:
            return self.added[token].encode()
        spelled = self.library.id_to_token(token)
        if self.byte_level:
            return bytes(self.stand_ins[char] for char in spelled)
        if len(spelled) == 6 and spelled.startswith("<0x"):
            return bytes([int(spelled[3:5], 16)])
        return spelled.replace("▁", " ").encode()

    def first_bytes(self, text, ids):
        """Where in the text each token after BOS begins; the tokens must spell the text."""
        text, at, firsts = text.encode(), 0, []
        for token in ids[self.n_bos :]:
            spelled = self.bytes_of(token)
            if not text.startswith(spelled, at):
                # SentencePiece puts a space of its own before a stretch of text.
                assert not self.byte_level and spelled.startswith(b" "), (token, spelled, text[at : at + 20])
                spelled = spelled[1:]
                assert text.startswith(spelled, at), (token, spelled, text[at : at + 20])
            firsts.append(at)
            at += len(spelled)
        assert at == len(text), (at, text)
        return firsts


# --- Profile exact -------------------------------------------------------------------------------------------


def exact_texts(form, header, demonstrations, query):
    shown = [
        form["question"] + source.strip() + form["answer"] + form["before_target"] + target.strip() + form["after_target"]
        for source, target in demonstrations
    ]
    return {
        "instructions": header + form["separator"] if header else "",
        "examples": "".join(text + form["separator"] for text in shown),
        "query": form["question"] + query.strip() + form["answer"],
    }


def exact_case(vocabulary, form, header, demonstrations, query):
    texts = {name: vocabulary.normal(text) for name, text in exact_texts(form, header, demonstrations, query).items()}
    text = "".join(texts[name] for name in NAMES)
    assert vocabulary.normal(text) == text
    ids = vocabulary.encode(text)
    firsts = vocabulary.first_bytes(text, ids)
    segments, column, end = {"bos": [0, vocabulary.n_bos]}, vocabulary.n_bos, 0
    for name in NAMES:
        end += len(texts[name].encode())
        after = vocabulary.n_bos + sum(first < end for first in firsts)
        segments[name], column = [column, after], after
    assert column == len(ids)
    hidden = {}
    for mask in MASKS:
        columns = [c for name, letter in zip(NAMES, mask) if letter == "T" for c in range(*segments[name])]
        hidden[mask] = as_ranges(columns)
    return {"text": text, "tokens": ids, "segments": segments, "hidden": hidden}


def as_ranges(columns):
    ranges = []
    for column in sorted(columns):
        if ranges and ranges[-1][1] == column:
            ranges[-1][1] += 1
        else:
            ranges.append([column, column + 1])
    return ranges


# --- Profile sia2024 -----------------------------------------------------------------------------------------


def study_texts(form, header, demonstrations, query):
    """Header, prefix, query and the whole input, as the study's code joins them."""
    shown = []
    for source, target in demonstrations:
        source, target = source.strip(), target.strip()
        shown.append(form["question"] + source + form["answer"] + form["before_target"] + target + form["after_target"])
    prefix = header + form["separator"] + form["separator"].join(shown)
    asked = form["question"] + query + form["answer"]
    return header, prefix, asked, prefix + form["separator"] + asked


def study_hidden(mask, s, header, prefix, query):
    """The released code's one range, from the number of tokens of each text; s = 1 for Llama, else 0."""
    start, end = None, None
    if mask[0] == "T":
        start, end = s, s + header
    if mask[1] == "T":
        start = s + header if start is None else start
        end = s + prefix + 1
    if mask[2] == "T":
        start = s + prefix if start is None else start
        end = s + prefix + query
    return [[start, end]] if start < end else []


def study_case(vocabulary, form, header, demonstrations, query):
    *parts, text = study_texts(form, header, demonstrations, query)
    counts = [len(vocabulary.encode(part)) for part in parts]
    text = vocabulary.normal(text)
    ids = vocabulary.encode(text)
    vocabulary.first_bytes(text, ids)
    hidden = {kind: {mask: study_hidden(mask, s, *counts) for mask in MASKS} for kind, s in [("llama", 1), ("other", 0)]}
    return {"text": text, "tokens": ids} | {f"hidden_{kind}": ranges for kind, ranges in hidden.items()}


# --- All cases -----------------------------------------------------------------------------------------------


def complete(form):
    empty = {"header": "", "before_target": "", "after_target": "", "separator": "\n"}
    return empty | {key: form[key] for key in form if key in {*empty, "question", "answer"}}


def published_formats():
    folder = HERE.parent.parent / "configs" / "format"
    return {path.stem: complete(yaml.safe_load(path.read_text())) for path in sorted(folder.glob("*.yaml"))}


def cases():
    published = published_formats()
    assert set(published) == {"instr_code_gen", "instr_machine_translation", "instr_none_QA", "qa_lines"}
    for name, (file, merges) in TOKENIZERS.items():
        vocabulary = Vocabulary(file, merges)
        for form_name, form in [*published.items(), *((n, complete(f)) for n, f in STRADDLING.items())]:
            header = form["header"].replace("{source}", "English").replace("{target}", "French")
            for k in (0, 1, 5) if form_name in published else (0, 2):
                # All queries where the prompt is short, one each where it is long, so that the file stays small.
                items = range(len(QUERIES)) if k == 0 else [(len(form_name) + k) % len(QUERIES)]
                for item in items:
                    where = {"tokenizer": name, "format": form_name, "k": k, "query": item}
                    args = (vocabulary, form, header, DEMONSTRATIONS[:k], QUERIES[item])
                    yield where | {"profile": "exact"} | exact_case(*args)
                    if k == 5:
                        yield where | {"profile": "sia2024"} | study_case(*args)


def check(all_cases):
    """The cases show what they are meant to show."""
    merged = [name for name, (_, merges) in TOKENIZERS.items() if merges]
    split, n_straddling = 0, {name: 0 for name in TOKENIZERS}
    for case in all_cases:
        vocabulary = Vocabulary(*TOKENIZERS[case["tokenizer"]])
        spelled = [vocabulary.bytes_of(token) for token in case["tokens"][vocabulary.n_bos :]]
        if case["profile"] == "exact":
            form = complete(STRADDLING.get(case["format"]) or published_formats()[case["format"]])
            header = form["header"].replace("{source}", "English").replace("{target}", "French")
            texts = exact_texts(form, header, DEMONSTRATIONS[: case["k"]], QUERIES[case["query"]])
            ends = {len(vocabulary.normal("".join(texts[n] for n in NAMES[:i])).encode()) for i in (1, 2)}
            starts = {*vocabulary.first_bytes(case["text"], case["tokens"]), len(case["text"].encode())}
            n_straddling[case["tokenizer"]] += bool(ends - starts)
            continue
        if case["format"] != "instr_machine_translation":
            continue
        # What is known of the study's ranges: how far they miss the query's borders.
        split += 1
        query = case["text"].encode().rindex(b"\nQ:") + 1
        first = vocabulary.n_bos + sum(at < query for at in vocabulary.first_bytes(case["text"], case["tokens"]))
        if vocabulary.n_bos and vocabulary.byte_level:
            both_in_one = case["tokenizer"] in merged
            assert (b" \n" in spelled) == both_in_one
            assert case["hidden_llama"]["TTF"] == [[1, first + 1 + both_in_one]], case
        elif not vocabulary.n_bos:
            assert case["hidden_other"]["TTF"] == [[0, first]], case
            assert case["hidden_other"]["TTT"] == [[0, len(case["tokens"]) - 1]], case
    assert split == len(TOKENIZERS)
    # Newlines that meet across a border are one token in some of the byte-level vocabularies only.
    assert n_straddling["qwen2"] and n_straddling["llama-bpe"] and n_straddling[merged[0]], n_straddling
    print("prompts with a token across a border:", n_straddling)


def main():
    all_cases = list(cases())
    check(all_cases)
    head = {
        "made_by": "tests/goldens/make_segments.py",
        "versions": {"tokenizers": tokenizers.__version__, "pyyaml": yaml.__version__},
        "demonstrations": DEMONSTRATIONS,
        "queries": QUERIES,
        "formats": STRADDLING,
        "tokenizers": {name: {"file": file, "merges": merges} for name, (file, merges) in TOKENIZERS.items()},
    }
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in all_cases)
    text = json.dumps(head, separators=(",", ":"))[:-1] + ',"cases":[\n' + lines + "\n]}\n"
    (HERE / "segments.json").write_text(text)
    print(len(all_cases), "cases,", len(text) // 1024, "KiB")


if __name__ == "__main__":
    main()
