"""What a prompt is: its token ids, its segments, and the columns that a intervention hides, derived from the text and
the GGUF file's own vocabulary by the written rules. Knows nothing of the Rust half and nothing of a model."""

import hashlib
import unicodedata
from dataclasses import dataclass

import numpy as np
import regex
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

# As published in the models' own tokenizer.json; a GGUF only names the pre-tokenizer.
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GPT2_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


class Unjudgeable(Exception):
    """The input is such that no verdict is possible; the message says why."""


# --- The GGUF file's own words -------------------------------------------------------------------------------


@dataclass
class Source:
    """What the file says about itself, read with the `gguf` package rather than through transformers."""

    path: str
    sha256: str
    arch: str
    meta: dict
    quantisation: str

    @classmethod
    def open(cls, path):
        import gguf  # Where no such file is read it need not be there.

        reader = gguf.GGUFReader(path)
        big = "tokenizer.chat_template"
        meta = {name: field.contents() for name, field in reader.fields.items() if name != big}
        kinds = sorted({t.tensor_type.name for t in reader.tensors})
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(path, sha256, meta["general.architecture"], meta, "+".join(kinds))

    def of_arch(self, key):
        return self.meta[f"{self.arch}.{key}"]


# --- Tokenizer -----------------------------------------------------------------------------------------------


def byte_alphabet():
    """GPT-2's printable stand-ins for the 256 bytes."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    alphabet, spare = {}, 256
    for byte in range(256):
        if byte in keep:
            alphabet[byte] = chr(byte)
        else:
            alphabet[byte], spare = chr(spare), spare + 1
    return alphabet


class ByteLevelBpe:
    """The model's tokenizer, twice: by the `tokenizers` library, and spelled out in Python, because the library
    is the one that the Rust half links as well and would repeat its own mistakes."""

    def __init__(self, source):
        meta = source.meta
        if meta["tokenizer.ggml.model"] != "gpt2":
            raise Unjudgeable(f"only byte-level BPE is known here, not {meta['tokenizer.ggml.model']!r}")
        self.pre = meta["tokenizer.ggml.pre"]
        if self.pre not in ("smollm", "qwen2"):
            raise Unjudgeable(f"no independent description of the pre-tokenizer {self.pre!r}")
        self.tokens = meta["tokenizer.ggml.tokens"]
        self.vocab = {token: i for i, token in enumerate(self.tokens)}
        merges = [tuple(merge.split(" ")) for merge in meta["tokenizer.ggml.merges"]]
        self.ranks = {pair: i for i, pair in enumerate(merges)}
        # Types 3 (control) and 4 (user defined) are matched in the text before any splitting.
        self.special = [t for t, kind in zip(self.tokens, meta["tokenizer.ggml.token_type"]) if kind in (3, 4)]
        self.bos = [meta["tokenizer.ggml.bos_token_id"]] if meta.get("tokenizer.ggml.add_bos_token") else []
        self.of_byte = byte_alphabet()
        self.to_byte = {char: byte for byte, char in self.of_byte.items()}
        self.library = self._library(merges)

    def _library(self, merges):
        tokenizer = Tokenizer(models.BPE(vocab=self.vocab, merges=merges))
        if self.pre == "smollm":
            parts = [pre_tokenizers.Digits(individual_digits=True)]
            parts.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True))
        else:
            tokenizer.normalizer = normalizers.NFC()
            parts = [pre_tokenizers.Split(Regex(QWEN2_SPLIT), behavior="isolated")]
            parts.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts)
        tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in self.special])
        return tokenizer

    def normalise(self, text):
        return unicodedata.normalize("NFC", text) if self.pre == "qwen2" else text

    def encode(self, text):
        return self.bos + self.library.encode(text, add_special_tokens=False).ids

    def encode_plainly(self, text):
        """The same without the library."""
        ids = list(self.bos)
        pattern = "|".join(regex.escape(t) for t in sorted(self.special, key=len, reverse=True))
        for piece in regex.split(f"({pattern})", text) if self.special else [text]:
            if piece in self.special:
                ids.append(self.vocab[piece])
                continue
            for word in self._words(self.normalise(piece)):
                ids += [self.vocab[part] for part in self._merge(word)]
        return ids

    def _words(self, text):
        if self.pre == "qwen2":
            return regex.findall(QWEN2_SPLIT, text)
        # Digits are cut out first: what is left of a digit must not see it through the regex's lookahead.
        pieces = regex.split(r"(\p{N})", text)
        return [word for piece in pieces for word in regex.findall(GPT2_SPLIT, piece)]

    def _merge(self, word):
        parts = [self.of_byte[byte] for byte in word.encode()]
        while len(parts) > 1:
            ranked = [(self.ranks.get(pair, len(self.ranks)), i) for i, pair in enumerate(zip(parts, parts[1:]))]
            rank, i = min(ranked)
            if rank == len(self.ranks):
                break
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        return parts

    def token_bytes(self, token):
        text = self.tokens[token]
        return text.encode() if text in self.special else bytes(self.to_byte[char] for char in text)


# --- Segments and hidden columns -----------------------------------------------------------------------------


def exact_segments(bpe, ids, texts):
    """A token belongs to the segment that holds its first byte; BOS, if any, is a segment of its own."""
    pieces = [bpe.normalise(texts[name]).encode() for name in ("instructions", "examples", "query")]
    n_bos = len(bpe.bos)
    spelled = [bpe.token_bytes(token) for token in ids[n_bos:]]
    if b"".join(spelled) != b"".join(pieces):
        raise Unjudgeable("the tokens' bytes do not spell the three segment texts")
    first_bytes = np.cumsum([0, *map(len, spelled)])[:-1]
    edges = [n_bos]
    for end in np.cumsum([len(piece) for piece in pieces]):
        edges.append(n_bos + int((first_bytes < end).sum()))
    names = ("instructions", "examples", "query")
    return {"bos": [0, n_bos]} | {name: [a, b] for name, a, b in zip(names, edges, edges[1:])}


def exact_hidden(segments, mask):
    names = ("instructions", "examples", "query")
    return {c for name, letter in zip(names, mask) if letter == "T" for c in range(*segments[name])}


def released_hidden(bpe, source, texts, mask):
    """Profile `sia2024`: the released code counts tokens of separately tokenized strings, so its ranges are off
    by design and may end in the first generated columns."""
    # The study joins header, demonstrations and query by one newline each, which belongs to none of them.
    # A segment's text carries the newline that follows it, unless the next text begins with one.
    context = texts["instructions"] + texts["examples"]
    query = texts["query"].removeprefix("\n")
    prefix = context if query != texts["query"] else context.removesuffix("\n")
    joined_later = texts["examples"].startswith("\n")
    header = texts["instructions"] if joined_later else texts["instructions"].removesuffix("\n")
    n_header, n_prefix, n_query = (len(bpe.encode(text)) for text in (header, prefix, query))
    shift = 1 if source.arch == "llama" else 0
    start, end = None, None
    if mask[0] == "T":
        start, end = shift, shift + n_header
    if mask[1] == "T":
        start, end = shift + n_header if start is None else start, shift + n_prefix + 1
    if mask[2] == "T":
        start, end = shift + n_prefix if start is None else start, shift + n_prefix + n_query
    return set() if start is None else set(range(start, end))


def expected_hidden(cell, bpe, source, segments):
    if cell["mask"] in ("none", "all"):
        return set()
    if cell["profile"] == "sia2024":
        return released_hidden(bpe, source, cell["segment_texts"], cell["mask"])
    return exact_hidden(segments, cell["mask"])


def range_mistakes(cell, segments, hidden):
    mistakes = []
    for name, expected in segments.items():
        found = list(cell["segments"].get(name, [0, 0]))
        # Where an empty segment stands makes no difference.
        if found != expected and (found[0] != found[1] or expected[0] != expected[1]):
            mistakes.append(f"{name} {found}, expected {expected}")
    if {c for a, b in cell["hidden"] for c in range(a, b)} != hidden:
        mistakes.append(f"hidden {cell['hidden']}, expected {as_ranges(hidden)}")
    if cell["own_column_only"] != (cell["mask"] == "all"):
        mistakes.append(f"own_column_only is {cell['own_column_only']}")
    return mistakes


def as_ranges(columns):
    ranges = []
    for column in sorted(columns):
        if ranges and ranges[-1][1] == column:
            ranges[-1][1] += 1
        else:
            ranges.append([column, column + 1])
    return ranges
