"""Small inputs that are right, for fuzz/targets to break: made of what lies in tests/goldens, configs and notebooks/sample.

Writes fuzz/seeds/TARGET/*, files that stand around a broken one to fuzz/seeds/right/*, and the words of a format, as the
code that reads it names them, to fuzz/seeds/TARGET.dict. Usage: python3 fuzz/seeds.py
"""

import gzip
import json
import re
import shutil
import struct
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SEEDS = ROOT / "fuzz/seeds"
GOLDENS = ROOT / "tests/goldens"
# The order is that of fuzz/targets/folder.rs and results.rs.
FAMILIES = {
    "llama": "llama",
    "qwen2": "qwen2",
    "gpt-neo": "gpt-2",
    "bloom": "bloom",
    "starcoder2": "starcoder",
    "gpt2": "smollm",
    "gpt-neox": "gpt-neox",
    "gemma3": "gemma",
}
FOLDER_FILES = [
    "model.safetensors",
    "config.json",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "generation_config.json",
    "chat_template.jinja",
    "adapter/adapter_config.json",
    "adapter/adapter_model.safetensors",
]
RUN_FILES = [
    "manifest.json",
    "items.jsonl",
    "TTF/layer-1.json",
    "TTF/layer-1.jsonl",
    "none/baseline.json",
    "none/baseline.jsonl",
    "TTF/layer-2.partial.jsonl",
]
CHAT = "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m['content'] | trim }}{% endfor %}{% if add_generation_prompt %}[a]{% endif %}"
VOCABULARY = 32


def write(path, content):
    path = SEEDS / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# --- Tokenizers: the few tokens that short texts need ---------------------------------------------------------


def kept(tokens, merges):
    """Of a vocabulary its first specials, single characters and bytes, then merges of these; at most VOCABULARY."""
    known = set(tokens)
    chosen = [token for token in tokens[:4] if token.startswith("<")]
    chosen += [token for token in "QAtwobirdshe:Ġ▁ĊÃ©" if token in known]
    chosen += [token for token in ("<0x0A>", "<0xC3>", "<0xA9>", "\n") if token in known and token not in chosen]
    chosen += [token for token in tokens[-3:] if token.startswith("<") and token not in chosen]
    joined = []
    for left, right in merges:
        union = left + right
        if len(chosen) < VOCABULARY - 4 and {left, right} <= set(chosen) and union in known and union not in chosen:
            chosen.append(union)
            joined.append((left, right))
    return chosen, joined


def small_tokenizer(name):
    tokenizer = json.loads((GOLDENS / f"tokenizers/{name}.tokenizer.json").read_text())
    model = tokenizer["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    added = tokenizer["added_tokens"][:3]
    chosen, merges = kept(tokens, model["merges"])
    chosen += [token["content"] for token in added if token["content"] not in chosen]
    ids = {token: id for id, token in enumerate(chosen)}
    model["vocab"], model["merges"] = ids, merges
    tokenizer["added_tokens"] = [{**token, "id": ids[token["content"]]} for token in added]
    # Real patterns take the library milliseconds to compile, too long for millions of inputs.
    for part in (tokenizer["pre_tokenizer"] or {}).get("pretokenizers", []):
        if "Regex" in part.get("pattern", {}):
            part["pattern"] = {"Regex": "[a-z]+| "}
    processor = tokenizer["post_processor"] or {}
    for part in [processor, *processor.get("processors", [])]:
        for token in part.get("special_tokens", {}).values():
            token["ids"] = [ids[text] for text in token["tokens"]]
    assert len(ids) <= VOCABULARY, name
    return tokenizer


def tokenizers():
    names = sorted(path.name.removesuffix(".tokenizer.json") for path in (GOLDENS / "tokenizers").glob("*.tokenizer.json"))
    for name in names:
        write(f"tokenizer/{name}", compact(small_tokenizer(name)))
    unigram = small_tokenizer("metaspace")
    pieces = [[token, -float(id)] for token, id in unigram["model"]["vocab"].items()]
    unigram["model"] = {"type": "Unigram", "unk_id": 0, "vocab": pieces, "byte_fallback": True}
    write("tokenizer/unigram", compact(unigram))
    words = small_tokenizer("metaspace")
    words["model"] = {"type": "WordLevel", "vocab": words["model"]["vocab"], "unk_token": "<unk>"}
    write("tokenizer/wordlevel", compact(words))
    pieces = small_tokenizer("metaspace")
    pieces["model"] = {
        **{"type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100},
        "vocab": pieces["model"]["vocab"],
    }
    write("tokenizer/wordpiece", compact(pieces))
    parts = small_tokenizer("smollm")
    parts["normalizer"] = {
        "type": "Sequence",
        "normalizers": [
            {"type": "NFKC"},
            {"type": "Strip", "strip_left": True, "strip_right": True},
            {"type": "Replace", "pattern": {"Regex": " +"}, "content": " "},
        ],
    }
    parts["pre_tokenizer"]["pretokenizers"] += [
        {"type": "Punctuation", "behavior": "Contiguous"},
        {"type": "FixedLength", "length": 5},
        {"type": "CharDelimiterSplit", "delimiter": ":"},
    ]
    parts["post_processor"] = {"type": "RobertaProcessing", "sep": ["e", 0], "cls": ["b", 1], "trim_offsets": True, "add_prefix_space": True}
    parts["truncation"] = {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 1}
    parts["padding"] = {
        **{"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": 4},
        **{"pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"},
    }
    write("tokenizer/parts", compact(parts))


# --- safetensors: the first layer of the models among the goldens ---------------------------------------------


def read_safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    return {
        name: (info["dtype"], info["shape"], data[8 + length :][slice(*info["data_offsets"])])
        for name, info in header.items()
        if name != "__metadata__"
    }


def safetensors(tensors):
    header, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = compact(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def first_layer(name):
    layer = re.search(r"(?:^|\.)(?:layers|h|blk)\.(\d+)\.", name)
    return layer is None or layer[1] == "0"


def model_folder(family):
    golden = GOLDENS / "models" / family
    config = json.loads((golden / "config.json").read_text())
    for field in ("num_hidden_layers", "num_layers", "n_layer"):
        if field in config:
            config[field] = 1
    if "attention_types" in config:
        config["attention_types"] = [[["local"], 1]]
    if "layer_types" in config:
        config["layer_types"] = config["layer_types"][:1]
    tensors = {name: tensor for name, tensor in read_safetensors(golden / "model.safetensors").items() if first_layer(name)}
    tokenizer = small_tokenizer(FAMILIES[family])
    roles = {"bos_token": tokenizer["added_tokens"][0]["content"], "eos_token": {"content": tokenizer["added_tokens"][-1]["content"]}}
    files = {
        "model.safetensors": safetensors(tensors),
        "config.json": compact(config),
        "tokenizer_config.json": compact({**roles, "chat_template": [{"name": "default", "template": CHAT}]}),
        "special_tokens_map.json": compact(roles),
        "generation_config.json": compact({"eos_token_id": [1, 2]}),
        "tokenizer.json": compact(tokenizer),
        "adapter/adapter_config.json": compact({"peft_type": "LORA", "lora_alpha": 4, "r": 2, "bias": "none", "rank_pattern": {}, "modules_to_save": None}),
        "adapter/adapter_model.safetensors": adapter(tensors, family),
    }
    # Files that a folder may have, of which the right ones have none.
    more = {
        "model.safetensors.index.json": compact({"weight_map": {name: "model.safetensors" for name in tensors}}),
        "chat_template.jinja": CHAT,
    }
    for name, content in files.items():
        write(f"right/{family}/{name}", content)
    for name, content in {**files, **more}.items():
        which = list(FAMILIES).index(family) * len(FOLDER_FILES) + FOLDER_FILES.index(name)
        content = content if isinstance(content, bytes) else content.encode()
        write(f"folder/{family}-{name.replace('/', '-')}", bytes([which]) + content)


def adapter(tensors, family):
    """Rank 2, on every matrix of the layer."""
    parts = {}
    for name, (_, shape, _) in tensors.items():
        if len(shape) == 2 and re.search(r"\.0\.", name):
            rows, columns = shape[::-1] if family == "gpt2" else shape
            module = "base_model.model." + name.removesuffix(".weight")
            for part, sizes in (("lora_A", [2, columns]), ("lora_B", [rows, 2])):
                parts[f"{module}.{part}.weight"] = ("F32", sizes, struct.pack("<f", 0.5) * (sizes[0] * sizes[1]))
    return safetensors(parts)


# --- GGUF ------------------------------------------------------------------------------------------------------

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
# By number: values and bytes of a block.
KINDS = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84), 11: (256, 110)}
KINDS |= {12: (256, 144), 13: (256, 176), 14: (256, 210), 30: (1, 2)}


def read_gguf(path):
    """Metadata by key as (type, value), of an array (type, list); tensors by name as (dimensions, kind, bytes)."""
    data, at = path.read_bytes(), 24

    def scalar(kind):
        nonlocal at
        (value,) = struct.unpack_from("<" + SCALARS[kind], data, at)
        at += struct.calcsize(SCALARS[kind])
        return value

    def text():
        nonlocal at
        length = scalar(10)
        at += length
        return data[at - length : at].decode()

    def value(kind):
        if kind == ARRAY:
            kind, length = scalar(4), scalar(10)
            return kind, [value(kind) for _ in range(length)]
        return text() if kind == STRING else scalar(kind)

    tensors, entries = struct.unpack_from("<QQ", data, 8)
    metadata = {}
    for _ in range(entries):
        key, kind = text(), scalar(4)
        metadata[key] = (kind, value(kind))
    infos = [(text(), [scalar(10) for _ in range(scalar(4))], scalar(4), scalar(10)) for _ in range(tensors)]
    start = -(-at // 32) * 32
    return metadata, {name: (sizes, kind, data[start + offset :][: size(sizes, kind)]) for name, sizes, kind, offset in infos}


def size(sizes, kind):
    values = 1
    for one in sizes:
        values *= one
    return values // KINDS[kind][0] * KINDS[kind][1]


def gguf(metadata, tensors):
    def text(value):
        return struct.pack("<Q", len(value.encode())) + value.encode()

    def value(kind, content):
        if kind == ARRAY:
            kind, items = content
            return struct.pack("<IQ", kind, len(items)) + b"".join(value(kind, item) for item in items)
        return text(content) if kind == STRING else struct.pack("<" + SCALARS[kind], content)

    out, data = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)), b""
    for key, (kind, content) in metadata.items():
        out += text(key) + struct.pack("<I", kind) + value(kind, content)
    for name, (sizes, kind, content) in tensors.items():
        out += text(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, kind, len(data))
        data += content.ljust(-(-len(content) // 32) * 32, b"\0")
    return out.ljust(-(-len(out) // 32) * 32, b"\0") + data


def gguf_tokenizer(name):
    metadata, _ = read_gguf(GOLDENS / f"tokenizers/{name}.gguf")
    metadata = {key: value for key, value in metadata.items() if key.startswith("tokenizer.")}
    lists = {key: value[1] for key, (kind, value) in metadata.items() if kind == ARRAY}
    tokens = lists["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in lists.get("tokenizer.ggml.merges", [])]
    chosen, joined = kept(tokens, merges)
    where = {token: at for at, token in enumerate(tokens)}
    for key, (kind, value) in metadata.items():
        if key.endswith("merges"):
            metadata[key] = (kind, (value[0], [" ".join(merge) for merge in joined]))
        elif kind == ARRAY:
            metadata[key] = (kind, (value[0], [value[1][where[token]] for token in chosen]))
        elif key.endswith("_token_id"):
            metadata[key] = (kind, min(value, len(chosen) - 1))
    metadata["tokenizer.chat_template"] = (STRING, CHAT)
    return metadata


def gguf_models():
    # Of the names of pre-tokenizers those that come without patterns of their own, for the same reason.
    used = {"llama": "llama", "llama-q8_0": "smollm", "qwen2": "starcoder", "bloom": "gpt-2"}
    used |= {"starcoder2": "starcoder", "gpt2": "gpt-2", "gpt-neox": "gpt-neox", "gemma3": "smollm"}
    for family, tokenizer in used.items():
        metadata, tensors = read_gguf(GOLDENS / f"models/{family}/model.gguf")
        metadata = {key: value for key, value in metadata.items() if not key.startswith("tokenizer.")}
        metadata = {key: (kind, 1) if key.endswith("block_count") else (kind, value) for key, (kind, value) in metadata.items()}
        tensors = {name: tensor for name, tensor in tensors.items() if first_layer(name)}
        write(f"gguf/{family}", gguf({**metadata, **gguf_tokenizer(tokenizer)}, tensors))
    # Every kind of block: of 32 values, and of 256 where the rows are so long.
    for name, width, kinds in (("small-blocks", 32, [2, 3, 6, 7, 8]), ("large-blocks", 256, [10, 11, 12, 13, 14])):
        sizes = {"token_embd": [width, 4], "blk.0.attn_q": [width, 8], "blk.0.attn_k": [width, 8], "blk.0.attn_v": [width, 8]}
        sizes |= {"blk.0.attn_output": [8, width], "blk.0.ffn_gate": [width, 4], "blk.0.ffn_up": [width, 4], "blk.0.ffn_down": [4, width]}
        sizes |= {"blk.0.attn_norm": [width], "blk.0.ffn_norm": [width], "output_norm": [width]}
        tensors = {}
        for at, (part, dimensions) in enumerate(sizes.items()):
            kind = 0 if len(dimensions) == 1 else kinds[at % len(kinds)] if dimensions[0] == width else 1
            tensors[f"{part}.weight"] = (dimensions, kind, bytes(size(dimensions, kind)))
        numbers = {"block_count": 1, "embedding_length": width, "attention.head_count": 1, "attention.key_length": 8}
        numbers |= {"feed_forward_length": 4, "context_length": 16}
        metadata = {"general.architecture": (STRING, "llama"), "general.alignment": (4, 32)}
        metadata |= {f"llama.{key}": (4, number) for key, number in numbers.items()}
        metadata |= {"llama.attention.layer_norm_rms_epsilon": (6, 1e-5), "tokenizer.ggml.model": (STRING, "llama")}
        metadata |= {"tokenizer.ggml.tokens": (ARRAY, (STRING, ["<unk>", "a", "▁", "▁a"]))}
        metadata |= {"tokenizer.ggml.scores": (ARRAY, (6, [0.0, -1.0, -2.0, -3.0])), "tokenizer.ggml.token_type": (ARRAY, (5, [2, 1, 1, 1]))}
        metadata |= {"tokenizer.ggml.bos_token_id": (4, 0)}
        write(f"gguf/{name}", gguf(metadata, tensors))


# --- Text ------------------------------------------------------------------------------------------------------


def yaml():
    for which, kind in enumerate(["experiments", "experiments", "data", "format", "model"]):
        for path in (ROOT / "configs" / kind).glob("*.yaml"):
            lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
            write(f"yaml/{which}-{path.stem}", bytes([which]) + "\n".join(lines).encode())
    grid = "model: [smollm2-135m, bloom-560m]\nseed: 0..2\nnprompts: [0, 5]\ntest: a.tsv\ndemonstrations: b.tsv\nlimit: 3\n"
    write("yaml/0-grid", b"\0" + grid.encode() + b"mask: none,TTF\nfrom_layer: 0..3\nmemory: 4GiB\nsamples: 2\ntemperature: 0.8\n")
    write("yaml/1-grid", b"\1" + grid.encode() + b"lora: {layers: 0..3, rank: 2, train_size: [10, 20], projection: [q, v]}\n")
    write("yaml/2-code", b"\2kind: code\ntest: {file: a.jsonl, lines: 1..2}\ndemonstrations: leave-one-out\nfields: {id: n}\n")


def corpora():
    table = "id\tsource\ttarget\n1\tThe cat.\tLe chat.\n2\tA dog.\tUn chien.\n"
    rows = '{"id": "a", "source": "The cat.", "target": "Le chat."}\n{"id": 7, "source": "A dog.", "target": "Un chien."}\n'
    human = {"task_id": "H/0", "prompt": 'def f(x):\n    """Double."""\n', "entry_point": "f", "canonical_solution": "    return 2 * x\n", "test": "def check(f):\n    assert f(2) == 4\n"}
    mbpp = {"task_id": 11, "text": "Double it.", "code": "def f(x):\n    return 2 * x", "test_list": ["assert f(2) == 4"]}
    problems = "".join(json.dumps(problem) + "\n" for problem in (human, mbpp))
    aligned = "one\ntwo\0un\ndeux\n"
    quoted = 'id,source,target\n1,"The ""cat"".","Le chat,\nle chien."\n2,A dog.,Un chien.\n'
    listed = "[" + rows.strip().replace("\n", ",\n") + "]"
    packed = gzip.compress(problems.encode(), mtime=0)
    for which, content in enumerate([table, rows, problems, packed, aligned, quoted, listed]):
        content = content if isinstance(content, bytes) else content.encode()
        write(f"corpus/{which}", bytes([which]) + content)
    write("corpus/0-crlf", b"\0\xef\xbb\xbfsource\ttarget\r\na\tb\r\n")


# --- Results ---------------------------------------------------------------------------------------------------


def results():
    sample = ROOT / "notebooks/sample/results/qwen2.5-coder-0.5b/phrases.en-fr/qa_lines-k5-seed0"
    texts = {name: (sample / name).read_text() for name in RUN_FILES[:-1]}
    manifest = json.loads(texts["manifest.json"])
    manifest["cells"] = {"none": [24], "TTF": [1, 2]}
    lines = {name: [json.loads(line) for line in texts[name].splitlines()] for name in RUN_FILES if name.endswith("1.jsonl") or name.endswith("baseline.jsonl")}
    partial = [{**line, "seconds": 0.5} for line in lines["TTF/layer-1.jsonl"][:2]]
    texts |= {"manifest.json": compact(manifest), "TTF/layer-2.partial.jsonl": jsonl(partial)}
    run(0, "mt", texts)
    # The same as programs, every other of which passes.
    manifest["settings"]["task"] = "code"
    manifest["settings"]["direction"] = "en-py"
    manifest["settings"]["sampling"] = {"samples": 1, "temperature": 0.8, "top_p": 1.0}
    items = [json.loads(line) for line in texts["items.jsonl"].splitlines()]
    problem = {"prompt": "def f():\n", "test": "assert f() == 1\n", "entry_point": "f"}
    texts |= {"manifest.json": compact(manifest), "items.jsonl": jsonl({**item, "problem": problem} for item in items)}
    for name, generations in lines.items():
        for at, line in enumerate(generations):
            del line["stats"]
            line |= {"verdict": "passed"} if at % 2 else {"verdict": "failed", "reason": "AssertionError"}
        texts[name] = jsonl(generations)
    for name in ("TTF/layer-1.json", "none/baseline.json"):
        record = json.loads(texts[name])
        record = {key: value for key, value in record.items() if not re.match("bleu|brevity|chrf|signature", key)}
        record |= {"pass@1": 0.5, "pass@1_interval": [0.0, 1.0], "samples": 1, "outcomes": {"passed": 3, "failed": 3}}
        record["runner"] = {"python": "3.11.2", "time_limit": 5, "memory_limit": 1 << 30, "sandbox": "landlock"}
        texts[name] = compact(record)
    texts["TTF/layer-2.partial.jsonl"] = jsonl({**line, "seconds": 0.5} for line in lines["TTF/layer-1.jsonl"][:2])
    run(1, "code", texts)


def jsonl(values):
    return "".join(compact(value) + "\n" for value in values)


def run(which, name, texts):
    for at, (file, text) in enumerate(texts.items()):
        write(f"right/{name}/{file}", text)
        write(f"results/{name}-{file.replace('/', '-')}", bytes([which * len(RUN_FILES) + at]) + text.encode())


# --- Dictionaries ----------------------------------------------------------------------------------------------


def words(target, *sources):
    """Short literals of the code that reads a format: its keys, names and types."""
    text = "".join(path.read_text() for source in sources for path in sorted(ROOT.glob(source)))
    found = set(re.findall(r'"([a-zA-Z0-9_.-]{2,40})"', text)) | set(re.findall(r"^    (?:pub )?([a-z_0-9]+): ", text, re.M))
    write(f"{target}.dict", "".join(f'"{word}"\n' for word in sorted(found)))


if __name__ == "__main__":
    shutil.rmtree(SEEDS, ignore_errors=True)
    tokenizers()
    for family in FAMILIES:
        model_folder(family)
    gguf_models()
    yaml()
    corpora()
    results()
    words("gguf", "src/model/arch/gguf.rs", "src/model/checkpoint/gguf*.rs", "src/prompt/tokenizer/*.rs")
    words("folder", "src/model/arch/*.rs", "src/model/checkpoint/safetensors.rs", "src/lora/peft.rs")
    words("tokenizer", "fuzz/targets/tokenizer.rs")
    words("yaml", "src/config/*.rs", "src/data/config.rs", "src/data/parse.rs")
    words("corpus", "src/data/*.rs")
    words("results", "src/results/record.rs", "src/results/scores.rs")
