#!/usr/bin/env python3
"""Model folders and GGUF files that say unusual things of themselves, and the tokens that follow a prompt, for
tests/model_files.rs.

    pip install torch transformers gguf safetensors tokenizers
    python tests/goldens/make_model_files.py

Writes into tests/goldens/model_files/ `tokenizer.json` (bytes and one merge), `expected.json` and GGUF files. A folder is
described in `expected.json`: its config.json, its generation_config.json, and its tensors by file, stored name, the name
from which drawn.py draws them, and shape. The test writes the same folder. `tokens` are those of transformers from that
folder: float32, eager attention, argmax of a full forward pass for each token. `refused` are words of a refusal, where this
program computes nothing; `nan` says that transformers' logits are NaN. `unlike` names the folder whose tokens come out if
what makes this one unusual is ignored: the script sees to it that they differ.

GGUF files hold matrices as F16. Their tokens are those of transformers on the same rounded weights, with the configuration
that the metadata mean by llama.cpp's own source (`load_hparams` in llama-model.cpp).
"""

import copy
import importlib.metadata
import json
import shutil
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import tokenizers
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoConfig, LlamaConfig

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "peers")]
import drawn  # noqa: E402
import write_gguf  # noqa: E402
from masked import NearestExperts, as_trained  # noqa: E402
from model_folders import more_folders  # noqa: E402

OUT = HERE / "model_files"
PROMPT = "English to French\nQ:one treeA:un arbre \nQ:two treesA:"
STEPS, LEAD, EXPERTS_LEAD = 8, 5e-4, 2e-5
RULES = [["norm.weight", 1.0, 1.0], ["ln_1.weight", 1.0, 1.0], ["ln_2.weight", 1.0, 1.0], ["ln_f.weight", 1.0, 1.0],
         ["layernorm.weight", 1.0, 1.0]]  # fmt: skip
GEMMA_RULES = [["norm.weight", 1.0, 0.0]]
VERSIONS = {name: importlib.metadata.version(name) for name in ("torch", "transformers", "gguf", "tokenizers")}


# --- Tokenizer -----------------------------------------------------------------------------------------------


def vocabulary():
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    return ["<|endoftext|>", *symbols, "Ġt"]


def write_tokenizer():
    ids = {token: id for id, token in enumerate(vocabulary())}
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=[("Ġ", "t")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(str(OUT / "tokenizer.json"), pretty=False)
    return tokenizer


VOCAB = len(vocabulary())

# --- Configurations ------------------------------------------------------------------------------------------

IDS = {"bos_token_id": None, "eos_token_id": 0, "pad_token_id": None}
SIZES = {"vocab_size": VOCAB, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
         "num_attention_heads": 4, "max_position_embeddings": 128} | IDS  # fmt: skip
LLAMA = {"model_type": "llama", "num_key_value_heads": 2, "rms_norm_eps": 0.01, "tie_word_embeddings": False} | SIZES
QWEN2 = LLAMA | {"model_type": "qwen2"}
STARCODER2 = {"model_type": "starcoder2", "num_key_value_heads": 2, "norm_epsilon": 0.01,
              "tie_word_embeddings": False} | SIZES  # fmt: skip
# Half of each head, two frequencies.
GPT_NEOX = {"model_type": "gpt_neox", "layer_norm_eps": 0.01, "rotary_pct": 0.5} | SIZES | {"num_attention_heads": 2}
GPT2 = {"model_type": "gpt2", "vocab_size": VOCAB, "n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 128,
        "layer_norm_epsilon": 0.01} | IDS  # fmt: skip
GPT_NEO = {"model_type": "gpt_neo", "vocab_size": VOCAB, "hidden_size": 16, "num_layers": 2, "num_heads": 4,
           "max_position_embeddings": 128, "window_size": 6, "attention_types": [[["global", "local"], 1]],
           "layer_norm_epsilon": 0.01} | IDS  # fmt: skip
BLOOM = {"model_type": "bloom", "vocab_size": VOCAB, "hidden_size": 16, "n_layer": 2, "n_head": 4,
         "layer_norm_epsilon": 0.01} | IDS  # fmt: skip
GEMMA3 = {"model_type": "gemma3_text", "head_dim": 8, "num_key_value_heads": 1, "rms_norm_eps": 0.01,
          "sliding_window": 6, "query_pre_attn_scalar": 8, "layer_types": ["sliding_attention", "full_attention"]
          } | SIZES | {"num_attention_heads": 2}  # fmt: skip
PLAIN, LINEAR = {"rope_type": "default", "rope_theta": 10000.0}, {"type": "linear", "factor": 4.0}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
TIED = {"tie_word_embeddings": True}


class Folder:
    def __init__(self, name, config, without=(), **more):
        self.name, self.more = name, more
        self.config = copy.deepcopy({key: value for key, value in config.items() if key not in without})
        # Which of the tensors are stored, and under which names; by file.
        self.head, self.embedding = more.pop("head", None), more.pop("embedding", True)
        self.layers, self.scaled = more.pop("layers", self.config), more.pop("scaled", {})
        self.shards, self.index = more.pop("shards", None), more.pop("index", None)


def folders():
    """What is tied, and what is stored."""
    for name, config, head in [("llama", LLAMA, "lm_head.weight"), ("qwen2", QWEN2, "lm_head.weight"),
                               ("starcoder2", STARCODER2, "lm_head.weight"), ("gpt_neox", GPT_NEOX, "embed_out.weight"),
                               ("gemma3", GEMMA3, "lm_head.weight"), ("gpt2", GPT2, "lm_head.weight"),
                               ("gpt_neo", GPT_NEO, "lm_head.weight"), ("bloom", BLOOM, "lm_head.weight")]:  # fmt: skip
        tied = config | TIED
        yield Folder(f"{name}-tied", tied)
        yield Folder(f"{name}-tied-own-head", tied, head=(head, "own"), unlike=f"{name}-tied")
        yield Folder(f"{name}-tied-equal-head", tied, head=(head, "equal"), like=f"{name}-tied")
        yield Folder(f"{name}-tied-only-head", tied, head=(head, "equal"), embedding=False, like=f"{name}-tied")
    # Where the configuration is silent these two are tied.
    yield Folder("gpt2-silent-own-head", GPT2, head=("lm_head.weight", "own"), like="gpt2-tied-own-head")
    yield Folder("bloom-silent-only-head", BLOOM, head=("lm_head.weight", "equal"), embedding=False, like="bloom-tied")
    own = {"head": ("lm_head.weight", "own")}
    yield Folder("llama", LLAMA, **own)
    yield Folder("llama-untied-no-head", LLAMA, refused=["lm_head.weight", "is missing"])

    """Rotary positions."""
    both = {"rope_parameters": PLAIN, "rope_scaling": LINEAR}
    yield Folder("llama-scaling-beside", LLAMA | both, unlike="llama", **own)
    yield Folder("llama-scaling-beside-yarn", LLAMA | both | {"rope_scaling": {"type": "yarn", "factor": 4.0,
                 "original_max_position_embeddings": 32}}, unlike="llama", **own)  # fmt: skip
    theta = {"rope_parameters": {"rope_type": "default", "rope_theta": 50.0}}
    yield Folder("llama-theta", LLAMA | theta, unlike="llama", **own)
    yield Folder("llama-scaling-drops-theta", LLAMA | theta | {"rope_scaling": LINEAR}, like="llama-scaling-beside", **own)
    yield Folder("llama-empty-scaling", LLAMA | theta | {"rope_scaling": {}}, like="llama-theta", **own)
    short = LLAMA | {"rope_scaling": LLAMA3}
    yield Folder("llama3-without-original", short, unlike="llama", **own)
    yield Folder("llama3-original-outside", short | {"original_max_position_embeddings": 16},
                 unlike="llama3-without-original", **own)  # fmt: skip
    yield Folder("llama3-original-twice", LLAMA | {"rope_scaling": LLAMA3 | {"original_max_position_embeddings": 64},
                 "original_max_position_embeddings": 16}, like="llama3-original-outside", **own)  # fmt: skip
    yield Folder("llama-partial-is-whole", LLAMA | {"partial_rotary_factor": 0.5}, like="llama", **own)
    yield Folder("qwen2", QWEN2, **own)
    yield Folder("qwen2-scaling-beside", QWEN2 | both, unlike="qwen2", **own)
    nested = {"full_attention": {"rope_type": "default", "rope_theta": 1e6},
              "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}  # fmt: skip
    yield Folder("gemma3-nested", GEMMA3 | {"rope_parameters": nested}, like="gemma3-tied")
    linear = {"rope_type": "linear", "factor": 8.0}
    yield Folder("gemma3-scaling-beside", GEMMA3 | {"rope_parameters": nested, "rope_scaling": linear},
                 unlike="gemma3-tied")  # fmt: skip
    yield Folder("gemma3-scaling", GEMMA3 | {"rope_scaling": linear}, like="gemma3-scaling-beside")
    yield Folder("gemma3-old-type-is-ignored", GEMMA3 | {"rope_scaling": LINEAR}, like="gemma3-tied")
    yield Folder("starcoder2", STARCODER2, **own)
    yield Folder("starcoder2-scaling-beside", STARCODER2 | both, unlike="starcoder2", **own)
    neox = {"head": ("embed_out.weight", "own")}
    yield Folder("gpt_neox", GPT_NEOX, **neox)
    yield Folder("gpt_neox-rope-theta-is-ignored", GPT_NEOX | {"rope_theta": 50.0}, like="gpt_neox", **neox)
    yield Folder("gpt_neox-base", GPT_NEOX | {"rotary_emb_base": 50, "rope_theta": 900.0}, unlike="gpt_neox", **neox)
    yield Folder("gpt_neox-partial-is-ignored", GPT_NEOX | {"partial_rotary_factor": 1.0}, like="gpt_neox", **neox)
    yield Folder("gpt_neox-quarter", GPT_NEOX | {"rope_parameters": PLAIN | {"partial_rotary_factor": 1.0}},
                 unlike="gpt_neox", **neox)  # fmt: skip
    yield Folder("gpt_neox-scaling-beside", GPT_NEOX | both, unlike="gpt_neox", **neox)

    """Names and defaults of the older families."""
    neo = GPT_NEO | {"attention_layers": ["local", "local"]}
    yield Folder("gpt_neo-attention-layers", neo, unlike="gpt_neo-tied")
    yield Folder("gpt_neo-attention-layers-alone", neo, without=["attention_types"], like="gpt_neo-attention-layers")
    yield Folder("gpt_neo-aliases", GPT_NEO | {"num_layers": 24, "num_hidden_layers": 2, "num_heads": 2,
                 "num_attention_heads": 4}, layers=GPT_NEO, like="gpt_neo-tied")  # fmt: skip
    yield Folder("gpt_neo-too-few-layers", GPT_NEO | {"attention_layers": ["local"]}, layers=GPT_NEO,
                 refused=["attention_layers", "1 layers, not 2"])  # fmt: skip
    yield Folder("gpt2-aliases", GPT2 | {"n_head": 2, "num_attention_heads": 4, "n_layer": 12, "num_hidden_layers": 2,
                 "hidden_size": 16, "n_embd": 32, "n_positions": 8, "max_position_embeddings": 128}, layers=GPT2,
                 like="gpt2-tied")  # fmt: skip
    yield Folder("bloom-aliases", BLOOM | {"n_head": 2, "num_attention_heads": 4, "n_layer": 3, "num_hidden_layers": 2,
                 "n_embed": 16, "hidden_size": 32}, layers=BLOOM, like="bloom-tied")  # fmt: skip
    # By default it has two heads of keys and values.
    yield Folder("starcoder2-two-kv-heads", STARCODER2, without=["num_key_value_heads"], like="starcoder2", **own)
    yield Folder("starcoder2-window", STARCODER2 | {"sliding_window": 5}, unlike="starcoder2", **own)
    yield Folder("qwen2-window", QWEN2 | {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1},
                 unlike="qwen2", **own)  # fmt: skip
    yield Folder("qwen2-null-window", QWEN2 | {"use_sliding_window": True, "sliding_window": None,
                 "max_window_layers": 1}, like="qwen2", **own)  # fmt: skip
    yield Folder("qwen2-window-not-in-force", QWEN2 | {"sliding_window": 5, "layer_types": ["sliding_attention"] * 2},
                 refused=["use_sliding_window"], **own)  # fmt: skip
    null = QWEN2 | {"num_key_value_heads": None}
    yield Folder("qwen2-null-kv-heads", null, layers=QWEN2 | {"num_key_value_heads": 4}, unlike="qwen2", **own)

    """Files of weights."""
    yield Folder("llama-single-beside-index", LLAMA, shards=2, index="whole", single=True, unlike="llama", **own)
    yield Folder("llama-stale-index", LLAMA, index="stale", single=True, like="llama", **own)
    yield Folder("llama-sharded", LLAMA, shards=3, index="whole", like="llama", **own)
    # Shards hold all that is needed; the index knows less, and one tensor is not where it says.
    yield Folder("llama-wrong-index", LLAMA, shards=2, index="wrong", like="llama", **own)

    """Decoding."""
    penalty = {"do_sample": True, "repetition_penalty": 1.3, "temperature": 0.7, "top_k": 20, "eos_token_id": [0]}
    yield Folder("qwen2-penalty", QWEN2, generation=penalty, like="qwen2", **own)
    yield Folder("llama-no-repeats", LLAMA, generation={"no_repeat_ngram_size": 2, "min_new_tokens": 5}, like="llama",
                 **own)  # fmt: skip

    """Families that came later."""
    yield from more_folders(Folder, SIZES, LLAMA)

    """Weights that overflow."""
    attention = "model.layers.{}.self_attn.{}_proj.weight"
    yield Folder("llama-overflow", LLAMA, scaled={attention.format(0, "q"): 1e20, attention.format(0, "k"): 1e20},
                 nan="layer 0", **own)  # fmt: skip
    yield Folder("llama-overflow-later", LLAMA, scaled={attention.format(1, "q"): 1e10, attention.format(1, "k"): 1e32},
                 nan="layer 1", **own)  # fmt: skip
    yield Folder("gpt2-overflow", GPT2 | TIED, scaled={"transformer.h.1.attn.c_attn.weight": 1e25}, nan="layer 1")


# --- Folders -------------------------------------------------------------------------------------------------


def stored(folder):
    """Tensors: stored name, shape, the name it is drawn from if that is another, factor."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**copy.deepcopy(folder.layers)))
    embedding = model.get_input_embeddings().weight
    names = {name: tuple(weight.shape) for name, weight in drawn.stored(model) if name != "lm_head.weight"}
    of_embedding = next(name for name, parameter in model.named_parameters() if parameter is embedding)
    found = [[name, list(shape), None, folder.scaled.get(name, 1)] for name, shape in names.items()
             if folder.embedding or name != of_embedding]  # fmt: skip
    if folder.head:
        name, kind = folder.head
        found.append([name, list(names[of_embedding]), "lm_head.weight" if kind == "own" else of_embedding, 1])
    return found


def files(folder, seed):
    """What lies in the folder: by file its tensors, each with a seed; and the index."""
    tensors = stored(folder)
    single = folder.more.get("single") or not folder.shards
    laid = {}
    if single:
        other = seed if not folder.shards else "other weights"
        laid["model.safetensors"] = {"seed": other, "tensors": tensors}
    weight_map = {}
    if folder.shards:
        for at, tensor in enumerate(tensors):
            name = f"model-{at % folder.shards + 1:05}-of-{folder.shards:05}.safetensors"
            laid.setdefault(name, {"seed": seed, "tensors": []})["tensors"].append(tensor)
            weight_map[tensor[0]] = name
    if folder.index == "stale":
        weight_map = {tensor[0]: f"model-{1 + at % 2:05}-of-00002.safetensors" for at, tensor in enumerate(tensors)}
    if folder.index == "wrong":
        names = sorted(set(weight_map.values()))
        kept = list(weight_map)[:-2]
        weight_map = {name: weight_map[name] for name in kept}
        weight_map[kept[0]], weight_map[kept[1]] = names[1], names[0]
    return laid, ({"metadata": {}, "weight_map": weight_map} if folder.index else None)


def rules(config):
    return GEMMA_RULES if config["model_type"] in ("gemma2", "gemma3_text") else RULES


def draw(seed, tensor, drawn_rules):
    name, shape, from_name, factor = tensor
    values = drawn.weight(from_name or name, tuple(shape), seed, drawn_rules)
    return torch.from_numpy(values * np.float32(factor))


def write(folder, laid, index, path):
    (path / "config.json").write_text(json.dumps(folder.config))
    if folder.more.get("generation"):
        (path / "generation_config.json").write_text(json.dumps(folder.more["generation"]))
    for name, file in laid.items():
        tensors = {tensor[0]: draw(file["seed"], tensor, rules(folder.config)) for tensor in file["tensors"]}
        save_file(tensors, path / name, metadata={"format": "pt"})
    if index:
        (path / "model.safetensors.index.json").write_text(json.dumps(index))


class Unsuited(Exception):
    """Another program might choose another token, or what should differ does not: another seed is needed."""


def greedy(model, ids, name):
    tokens, experts = [], NearestExperts(model)
    for _ in range(STEPS):
        row = model(torch.tensor([ids + tokens]), use_cache=False).logits[0, -1]
        best = row.topk(2).values
        if best[0] - best[1] < LEAD * row.abs().max():
            raise Unsuited(f"{name}: two tokens are too near to each other")
        tokens.append(int(row.argmax()))
    if experts.lead < EXPERTS_LEAD:
        raise Unsuited(f"{name}: two experts are too near to each other")
    return tokens


def opened(path):
    return as_trained(AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager")).eval()


def make_folder(folder, ids, seed):
    laid, index = files(folder, seed)
    entry = {"name": folder.name, "config": folder.config, "rules": rules(folder.config), "files": laid}
    entry |= {"index": index} if index else {}
    entry |= {key: folder.more[key] for key in ("generation", "refused", "nan") if key in folder.more}
    if "refused" in folder.more:
        return entry
    with tempfile.TemporaryDirectory() as scratch:
        write(folder, laid, index, Path(scratch))
        model = opened(scratch)
        if "nan" in folder.more:
            logits = model(torch.tensor([ids]), use_cache=False).logits
            assert logits.isnan().any(), folder.name
        else:
            entry["tokens"] = greedy(model, ids, folder.name)
    return entry


# --- GGUF ----------------------------------------------------------------------------------------------------


def as_gguf():
    """Name, what else the metadata say, the rope that they mean, whether factors are stored, how it is split."""
    linear = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}
    llama3 = LLAMA3 | {"rope_theta": 10000.0, "original_max_position_embeddings": 64}
    yield "plain", {}, PLAIN, None, {}
    yield "rope-freqs", {}, llama3, llama3, {}
    yield "typeless-factor", {"llama.rope.scaling.factor": 4.0}, linear, None, {}
    yield "old-scale-linear", {"llama.rope.scale_linear": 4.0}, linear, None, {}
    yield "no-scaling", {"llama.rope.scaling.type": "none", "llama.rope.scaling.factor": 4.0}, PLAIN, None, {}
    yield "freqs-and-factor", {"llama.rope.scaling.factor": 4.0}, (llama3, 4.0), llama3, {}
    yield "split", {}, PLAIN, None, {"split_max_tensors": 12}
    yield "split-small-first", {}, PLAIN, None, {"split_max_tensors": 16, "small_first_shard": True}
    yield "penalty", {"general.sampling.penalty_repeat": 1.3, "llama.new_norm": 1.0}, PLAIN, None, {}


def gguf_model(rope):
    rope, more = copy.deepcopy(rope if isinstance(rope, tuple) else (rope, 1.0))
    config = LlamaConfig(**{key: value for key, value in LLAMA.items() if key != "model_type"}, rope_parameters=rope)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager").eval()
    drawn.fill(model, "gguf files", RULES)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            parameter.data.copy_(parameter.half().float())
    if more != 1.0:
        for name in ("inv_freq", "original_inv_freq"):
            setattr(model.model.rotary_emb, name, getattr(model.model.rotary_emb, name) / more)
    return model


def write_gguf_file(name, model, metadata, factors, split):
    config = model.config
    writer = gguf.GGUFWriter(OUT / f"{name}.gguf", "llama", **split)
    config.rope_parameters = dict(PLAIN)
    write_gguf.metadata(writer, config)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(vocabulary())
    writer.add_token_types([3] + [1] * (VOCAB - 1))
    writer.add_token_merges(["Ġ t"])
    writer.add_eos_token_id(0)
    for key, value in metadata.items():
        writer.add_string(key, value) if isinstance(value, str) else writer.add_float32(key, value)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for tensor, weight in write_gguf.tensors(model):
        laid_out = write_gguf.laid_out(tensor, weight, config)
        write_gguf.add(writer, names.get_name(tensor, try_suffixes=(".weight",)), laid_out, "F16")
    if factors:
        config.rope_parameters = factors
        write_gguf.add(writer, "rope_freqs.weight", write_gguf.rope_factors(config), "F32")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_gguf(name, metadata, rope, factors, split, ids):
    model = gguf_model(rope)
    tokens = greedy(model, ids, name)
    write_gguf_file(name, model, metadata, factors, split)
    return {"name": name, "files": sorted(path.name for path in OUT.glob(f"{name}*.gguf")
            if path.name.removeprefix(name).startswith((".gguf", "-00"))), "tokens": tokens}  # fmt: skip


def make_family(some, ids):
    """All folders of one family, drawn from the first seed that suits them all."""
    for seed in range(100):
        try:
            entries = [make_folder(folder, ids, f"model files {seed}") for folder in some]
            check(some, entries)
            return entries
        except Unsuited as error:
            print(f"seed {seed}: {error}", flush=True)
    sys.exit("no seed will do")


def check(some, entries):
    tokens = {entry["name"]: entry.get("tokens") for entry in entries}
    for folder in some:
        for key, same in (("like", True), ("unlike", False)):
            if key in folder.more and (tokens[folder.name] == tokens[folder.more[key]]) != same:
                if same:
                    sys.exit(f"{folder.name} is not like {folder.more[key]}")
                raise Unsuited(f"{folder.name} is not unlike {folder.more[key]}")


def main():
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    ids = write_tokenizer().encode(PROMPT).ids
    with torch.inference_mode():
        families = {}
        for folder in folders():
            families.setdefault(folder.layers["model_type"], []).append(folder)
        entries = [entry for some in families.values() for entry in make_family(some, ids)]
        ggufs = [make_gguf(*specification, ids) for specification in as_gguf()]
    by_name = {entry["name"]: entry["tokens"] for entry in ggufs}
    for name, same in [("rope-freqs", False), ("typeless-factor", False), ("freqs-and-factor", False), ("split", True),
                       ("split-small-first", True), ("no-scaling", True), ("penalty", True)]:  # fmt: skip
        assert (by_name[name] == by_name["plain"]) == same, name
    assert by_name["typeless-factor"] == by_name["old-scale-linear"]
    assert by_name["freqs-and-factor"] not in (by_name["rope-freqs"], by_name["typeless-factor"])
    made = {"made_by": "tests/goldens/make_model_files.py", "versions": VERSIONS, "prompt": PROMPT, "prompt_ids": ids}
    lines = lambda entries: ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
    text = json.dumps(made)[:-1] + f',\n"folders":[\n{lines(entries)}],\n"ggufs":[\n{lines(ggufs)}]}}\n'
    (OUT / "expected.json").write_text(text)
    for path in sorted(OUT.iterdir()):
        print(f"{path.stat().st_size / 1024:6.1f} KiB {path.name}")
    print(f"{sum(path.stat().st_size for path in OUT.iterdir()) / 1024:6.1f} KiB, {len(entries)} folders")


if __name__ == "__main__":
    main()
