"""Small models, tokenizers, adapters and chat templates that are right, of the goldens: the half of fuzz/seeds.py that makes them."""

import json
import re
import struct
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SEEDS = ROOT / "fuzz/seeds"
GOLDENS = ROOT / "tests/goldens"
# The order is that of fuzz/targets/folder.rs.
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
    "added_tokens.json",
    "generation_config.json",
    "chat_template.jinja",
    "adapter/adapter_config.json",
    "adapter/adapter_model.safetensors",
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
    """Of a vocabulary its first specials, single characters and bytes, then merges of these; at most VOCABULARY. Where merges are not
    listed, any two tokens may make one that is there."""
    merges = merges or [(token[:at], token[at:]) for token in tokens for at in range(1, len(token))]
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
    for field in ("layer_types", "attention_layers"):
        if field in config:
            config[field] = config[field][:1]
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
        "adapter/adapter_config.json": compact({"peft_type": "LORA", "target_modules": "all-linear", "lora_alpha": 4, "r": 2, "bias": "none", "rank_pattern": {}, "modules_to_save": None}),
        "adapter/adapter_model.safetensors": adapter(tensors, family),
    }
    # Files that a folder may have, of which the right ones have none.
    more = {
        "model.safetensors.index.json": compact({"weight_map": {name: "model.safetensors" for name in tensors}}),
        "chat_template.jinja": CHAT,
        "added_tokens.json": compact({"<sep>": len(tokenizer["model"]["vocab"])}),
    }
    for name, content in files.items():
        write(f"right/{family}/{name}", content)
    for name, content in {**files, **more}.items():
        folder_seed(family, name, "", content)


def folder_seed(family, name, variant, content):
    which = list(FAMILIES).index(family) * len(FOLDER_FILES) + FOLDER_FILES.index(name)
    content = content if isinstance(content, bytes) else content.encode()
    write(f"folder/{family}-{name.replace('/', '-')}{variant}", bytes([which]) + content)


def folder_variants():
    """Files as other programs write them, from the goldens: for each key that is read there is one that has it."""
    for path in sorted((GOLDENS / "families").glob("*/config.json")):
        config = json.loads(path.read_text())
        family = {"gpt_neo": "gpt-neo", "gpt_neox": "gpt-neox", "gemma3_text": "gemma3"}.get(config["model_type"], config["model_type"])
        folder_seed(family, "config.json", f"-{path.parent.name}", compact(config))
    adapters = json.loads((GOLDENS / "adapter_files/cases.json").read_text())
    for at, case in enumerate(adapters["cases"].values()):
        # The weights beside it are of rank 2, and of every module.
        config = {**adapters["configs"][case["model"]], "r": 2, "target_modules": "all-linear", **case["config"]}
        config = {key: value for key, value in config.items() if key not in case["without"]}
        folder_seed(case["model"], "adapter/adapter_config.json", f"-{at}", compact(config))
    tokenizer = small_tokenizer("llama")
    eos, size = tokenizer["added_tokens"][-1]["content"], len(tokenizer["model"]["vocab"])
    size, more = str(size), str(size + 1)
    for at, case in enumerate(json.loads((GOLDENS / "tokenizer_files/folders.json").read_text())["cases"]):
        for name, content in {"tokenizer_config.json": case["tokenizer_config"], **case["files"]}.items():
            content = content if isinstance(content, str) else compact(content)
            folder_seed("llama", name, f"-{at}", content.replace("<|endoftext|>", eos).replace("320", size).replace("321", more))
    asked = {"repetition_penalty": 1.1, "no_repeat_ngram_size": 0, "stop_strings": ["a"], "suppress_tokens": [], "forced_eos_token_id": None}
    folder_seed("llama", "generation_config.json", "-asked", compact({**asked, "eos_token_id": 1, "guidance_scale": 1.0, "of_others": 1}))


def chat():
    templates = json.loads((GOLDENS / "chat.json").read_text())["templates"]
    templates |= {f"generation-{at}": case["template"] for at, case in enumerate(json.loads((GOLDENS / "tokenizer_files/generation.json").read_text())["cases"])}
    # One that would fill the memory.
    templates["memory"] = "{{ messages[0].content }}{% set ns = namespace(x='a') %}{% for i in range(40) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}"
    for name, template in {**templates, "plain": CHAT}.items():
        write(f"chat/{name}", template)


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


def gguf_tokenizer(path):
    metadata, _ = read_gguf(GOLDENS / f"{path}.gguf")
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
    used = [(family, family, f"tokenizers/{tokenizer}") for family, tokenizer in used.items()]
    for name, family, tokenizer in [*used, ("gemma3-sentencepiece", "gemma3", "tokenizer_files/gemma")]:
        metadata, tensors = read_gguf(GOLDENS / f"models/{family}/model.gguf")
        metadata = {key: value for key, value in metadata.items() if not key.startswith("tokenizer.")}
        metadata = {key: (kind, 1) if key.endswith("block_count") else (kind, value) for key, (kind, value) in metadata.items()}
        tensors = {name: tensor for name, tensor in tensors.items() if first_layer(name)}
        metadata |= gguf_tokenizer(tokenizer)
        write(f"gguf/{name}", b"\0" + gguf(metadata, tensors))
        if name == "llama":
            gguf_parts(metadata, tensors)
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
        write(f"gguf/{name}", b"\0" + gguf(metadata, tensors))


def gguf_parts(metadata, tensors):
    """As llama.cpp splits a model: the first part has all metadata."""
    half = len(tensors) // 2
    for part, names in enumerate([list(tensors)[:half], list(tensors)[half:]]):
        of_split = {"split.no": (2, part), "split.count": (2, 2), "split.tensors.count": (5, len(tensors))}
        content = gguf({**(metadata if part == 0 else {}), **of_split}, {name: tensors[name] for name in names})
        write(f"right/parts/model-{part + 1:05}-of-00002.gguf", content)
        write(f"gguf/part-{part + 1}", bytes([part + 1]) + content)
