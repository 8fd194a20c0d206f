#!/usr/bin/env python3
"""What PEFT makes of adapter files: the tokens that toy models generate with them, or why it refuses them, for the tests in
Rust.

    pip install torch transformers safetensors tokenizers peft
    python tests/goldens/make_adapter_files.py

Writes into tests/goldens/adapter_files/ a folder for each model (`llama`, `gpt2`, `gemma3`, each with its tokenizer, which
has a token for each byte), the adapters' weights as NAME.safetensors, and `cases.json`:

`without`: by model, its greedy tokens after `prompt` without an adapter. `configs`: by model, the adapter_config.json that a
case's own values (`config`) are laid over; `without` of a case names keys that are taken out. `cases`: for each its model,
its weights, its configuration, and what PEFT makes of it: `tokens` (`margin` is the least distance of a chosen logit from the
next), `warnings` with the first words of what PEFT says, or `error`. A case with `refused` is one that this program must
refuse, naming that: what PEFT does there is not computed here, or is left out by PEFT without a word. `attention`: one head's
weights over the prompt, with an adapter and without.

All tensors are drawn from torch's generator; transformers computes each token from the whole sequence, without a cache.
"""

import copy
import json
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import peft
import tokenizers
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Gemma3Config,
    Gemma3ForCausalLM,
    Gemma3ForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

FOLDER = Path(__file__).parent / "adapter_files"
MOST_BYTES = 400_000
# What the format of the tests makes of the only item.
PROMPT = "<the red house>"
NEW_TOKENS = 8
# A chosen logit is above all others by that at least, so that the order of sums does not matter.
MARGIN = 1e-3
VOCAB, HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD_DIM, INNER, CONTEXT = 257, 16, 2, 2, 1, 8, 24, 64
R, ALPHA = 2, 8


# --- Models ----------------------------------------------------------------------------------------------------------


def tokenizer():
    """A token for each byte, and one that ends a text."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {letter: i for i, letter in enumerate(letters)} | {"<|endoftext|>": VOCAB - 1}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer


def drawn(model, seed, wide=0.35, embedded=1.0):
    """The model with weights that let it say something."""
    torch.manual_seed(seed)
    for name, parameter in model.named_parameters():
        one = "norm" in name or "ln_" in name
        spread = 0.2 if one else embedded if "embed" in name or "wte" in name else wide
        parameter.data.copy_(torch.randn(parameter.shape) * spread + (1 if one and name.endswith("weight") else 0))
    return model.eval()


def llama():
    config = LlamaConfig(
        vocab_size=VOCAB, hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS, head_dim=HEAD_DIM, intermediate_size=INNER, max_position_embeddings=CONTEXT,
        tie_word_embeddings=True, bos_token_id=None, eos_token_id=VOCAB - 1)  # fmt: skip
    return drawn(LlamaForCausalLM(config), 1)


def gpt2():
    config = GPT2Config(
        vocab_size=VOCAB, n_embd=HIDDEN, n_layer=LAYERS, n_head=HEADS, n_inner=INNER, n_positions=CONTEXT,
        bos_token_id=None, eos_token_id=VOCAB - 1)  # fmt: skip
    return drawn(GPT2LMHeadModel(config), 5, 1.2, 0.3)


def gemma3_with_images():
    text = dict(
        vocab_size=VOCAB, hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS, head_dim=HEAD_DIM, intermediate_size=INNER, max_position_embeddings=CONTEXT,
        sliding_window=8, query_pre_attn_scalar=HEAD_DIM, bos_token_id=None, eos_token_id=VOCAB - 1, pad_token_id=None)
    vision = dict(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=8, patch_size=4)
    config = Gemma3Config(
        text_config=text, vision_config=vision, mm_tokens_per_image=4, image_token_index=VOCAB - 2,
        boi_token_index=VOCAB - 3, eoi_token_index=VOCAB - 4)  # fmt: skip
    return drawn(Gemma3ForConditionalGeneration(config), 5, 1.2, 0.3)


def text_half(model):
    """The same text model without its vision tower."""
    half = Gemma3ForCausalLM(model.config.text_config).eval()
    half.model.load_state_dict(model.model.language_model.state_dict())
    half.lm_head.weight = half.model.embed_tokens.weight
    return half


def save_model(name, model):
    folder = FOLDER / name
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    tokenizer().save(str(folder / "tokenizer.json"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config, separators=(",", ":")))


# --- What PEFT computes ----------------------------------------------------------------------------------------------


@torch.no_grad()
def greedy(model):
    ids, margins = tokenizer().encode(PROMPT).ids, []
    for _ in range(NEW_TOKENS):
        top = model(input_ids=torch.tensor([ids])).logits[0, -1].topk(2)
        margins.append(float(top.values[0] - top.values[1]))
        ids.append(int(top.indices[0]))
    return ids[-NEW_TOKENS:], min(margins)


class Bench:
    def __init__(self):
        self.models = {"llama": llama(), "gpt2": gpt2(), "gemma3": gemma3_with_images()}
        self.cases, self.configs = {}, {}
        # What the models say without an adapter.
        self.without = {name: greedy(model)[0] for name, model in self.models.items()}

    def weights(self, name, targets, model, r=R, spread=0.5, seed=0, rename=None, dtype=torch.float32):
        """Draw an adapter's weights for the modules that end so."""
        generator, tensors = torch.Generator().manual_seed(seed), {}
        for path, module in self.models[model].named_modules():
            if any(path.endswith(target) for target in targets) and hasattr(module, "weight"):
                shape = module.weight.shape if "c_" not in path else module.weight.shape[::-1]
                for letter, size in ("A", (r, shape[1])), ("B", (shape[0], r)):
                    key = f"base_model.model.{path}.lora_{letter}.weight"
                    value = (torch.randn(size, generator=generator) * spread).to(dtype)
                    tensors[rename(key) if rename else key] = value.contiguous()
        save_file(tensors, FOLDER / f"{name}.safetensors", {"format": "pt"})
        return tensors

    def base(self, model):
        """An adapter_config.json as PEFT writes it."""
        if model not in self.configs:
            with tempfile.TemporaryDirectory() as folder:
                LoraConfig(task_type="CAUSAL_LM", r=R, lora_alpha=ALPHA, target_modules=["q_proj", "v_proj"],
                           base_model_name_or_path="toy", inference_mode=True).save_pretrained(folder)  # fmt: skip
                config = json.loads((Path(folder) / "adapter_config.json").read_text())
            config["target_modules"].sort()
            self.configs[model] = config
        return self.configs[model]

    def case(self, name, weights="plain", model="llama", without=(), refused=None, tokens=True, **config):
        """Load an adapter with PEFT and keep what comes of it."""
        whole = {key: value for key, value in (self.base(model) | config).items() if key not in without}
        entry = {"model": model, "weights": weights, "config": config, "without": list(without)}
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            (Path(folder) / "adapter_config.json").write_text(json.dumps(whole))
            shutil.copy(FOLDER / f"{weights}.safetensors", Path(folder) / "adapter_model.safetensors")
            torch.manual_seed(0)
            try:
                loaded = PeftModel.from_pretrained(copy.deepcopy(self.models[model]), folder).eval()
                entry["tokens"], margin = greedy(loaded)
                # NaN is no JSON.
                if margin == margin:
                    entry["margin"] = round(margin, 6)
            except Exception as error:
                entry["error"] = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"[:160]
        said = [str(warning.message)[:100] for warning in caught if "adapter" in str(warning.message)]
        if said:
            entry["warnings"] = said
        if refused:
            entry["refused"] = refused
        else:
            assert "error" not in entry, (name, entry["error"])
            assert entry["margin"] > MARGIN, (name, entry["margin"])
            assert entry["tokens"] != self.without[model], name
        self.cases[name] = entry
        return entry

    def same(self, *names):
        assert len({tuple(self.cases[name]["tokens"]) for name in names}) == 1, names

    def other(self, *names):
        assert len({tuple(self.cases[name]["tokens"]) for name in names}) == len(names), names


def trained(bench, start):
    """An adapter with this start after some training, as PEFT saves it and as PEFT converts it."""
    torch.manual_seed(5)
    model = copy.deepcopy(bench.models["llama"])
    config = LoraConfig(task_type="CAUSAL_LM", r=R, lora_alpha=ALPHA, target_modules=["q_proj", "v_proj"],
                        init_lora_weights=start)  # fmt: skip
    model = get_peft_model(model, config)
    with tempfile.TemporaryDirectory() as folder:
        first, last, converted = (Path(folder) / name for name in ("first", "last", "converted"))
        model.peft_config["default"].init_lora_weights = True
        model.save_pretrained(first)
        model.peft_config["default"].init_lora_weights = start
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data += 0.3 * torch.randn(parameter.shape)
        tokens, margin = greedy(model.eval())
        assert margin > MARGIN, (start, margin)
        model.save_pretrained(last)
        model.save_pretrained(converted, path_initial_model_for_weight_conversion=str(first))
        shutil.copy(last / "adapter_model.safetensors", FOLDER / f"{start}.safetensors")
        shutil.copy(converted / "adapter_model.safetensors", FOLDER / f"{start}-converted.safetensors")
        config = json.loads((converted / "adapter_config.json").read_text())
    changed = {key: config[key] for key in ("r", "lora_alpha", "init_lora_weights", "rank_pattern", "alpha_pattern")}
    kept = bench.case(start, weights=start, init_lora_weights=start, refused="init_lora_weights")
    if "tokens" in kept and start != "pissa_niter_4":
        assert kept["tokens"] == tokens, start
    assert bench.case(f"{start}-converted", weights=f"{start}-converted", **changed)["tokens"] == tokens, start


# --- Cases -----------------------------------------------------------------------------------------------------------


def attention(bench):
    """The attention of the last layer over the prompt, with an adapter of all projections and without one."""
    ids = torch.tensor([tokenizer().encode(PROMPT).ids])
    model = copy.deepcopy(bench.models["llama"])
    model.set_attn_implementation("eager")
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        plain = model(input_ids=ids, output_attentions=True).attentions[-1][0]
        config = bench.base("llama") | {"target_modules": "all-linear"}
        (Path(folder) / "adapter_config.json").write_text(json.dumps(config))
        shutil.copy(FOLDER / "everything.safetensors", Path(folder) / "adapter_model.safetensors")
        adapted = PeftModel.from_pretrained(model, folder).eval()
        adapted = adapted(input_ids=ids, output_attentions=True).attentions[-1][0]
    assert (plain - adapted).abs().max() > 0.1
    rows = lambda weights: [[float(f"{weight:.7g}") for weight in row] for row in weights.tolist()]  # noqa: E731
    return {"layer": LAYERS - 1, "head": 1, "adapter": "all-linear",
            "weights": rows(adapted[1]), "without": rows(plain[1])}  # fmt: skip


def right(bench):
    """Adapters that are computed."""
    Q_AND_V = ["q_proj", "v_proj"]
    bench.weights("plain", Q_AND_V, "llama", seed=1)
    bench.case("plain")
    for start in (False, "gaussian", "Gaussian", "eva", "orthogonal", "mica"):
        bench.case(f"start-{start}", init_lora_weights=start)
        bench.same("plain", f"start-{start}")
    bench.case("start-null", init_lora_weights=None)
    bench.case("nothing-more", alora_invocation_tokens=[], layer_replication=[], target_parameters=[], modules_to_save=[],
               exclude_modules=[], layers_to_transform=[], layers_pattern="", rank_pattern={}, bias="none")  # fmt: skip
    bench.case("rslora", use_rslora=True)
    bench.case("dropout", lora_dropout=0.5, fan_in_fan_out=True, loftq_config={"loftq_bits": 4}, revision="main",
               runtime_config={}, qalora_group_size=4, ensure_weight_tying=True, megatron_core="x")  # fmt: skip
    bench.same("plain", "dropout", "start-null", "nothing-more")
    bench.other("plain", "rslora")
    bench.case("features", task_type="FEATURE_EXTRACTION")
    bench.case("no-task", task_type=None)
    bench.case("classes", task_type="SEQ_CLS")
    # A tensor that gradients alone go through.
    tensors = load_file(FOLDER / "plain.safetensors")
    more = {key.replace("lora_A.weight", "lora_velora_embed"): torch.ones(HIDDEN // 2) for key in tensors if "_A" in key}
    save_file(tensors | more, FOLDER / "velora.safetensors", {"format": "pt"})
    bench.case("velora", weights="velora", velora_config={"num_groups": 2})
    assert not bench.cases["velora"].get("warnings")
    bench.case("unknown-keys", unsloth_fixed=True, lora_colour="red")
    bench.same("plain", "features", "no-task", "classes", "velora", "unknown-keys")
    bench.case("negative-alpha", lora_alpha=-3.5)
    bench.case("no-alpha", without=["lora_alpha"], lora_dropout=0.0)
    bench.same("plain", "no-alpha")
    bench.weights("rank-8", Q_AND_V, "llama", r=8, spread=0.3, seed=2)
    bench.case("no-rank", weights="rank-8", without=["r", "lora_alpha"])
    bench.weights("half", Q_AND_V, "llama", seed=1, dtype=torch.bfloat16)
    bench.case("bfloat16", weights="half")
    bench.weights("named", Q_AND_V, "llama", seed=1, rename=lambda key: key.replace(".weight", ".default.weight"))
    bench.case("named-default", weights="named")
    bench.same("plain", "named-default")

    # Which modules are meant.
    everything = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    bench.weights("everything", everything, "llama", spread=0.2, seed=3)
    bench.case("all-linear", weights="everything", target_modules="all-linear")
    bench.case("all-linear-upper", weights="everything", target_modules="ALL-LINEAR")
    bench.case("regex", weights="everything", target_modules=r".*\.(self_attn|mlp)\.[a-z]+_proj")
    bench.case("regex-ahead", weights="everything", target_modules=r"^(?!.*visual).*(?:q|k|v|o|gate|up|down)_proj$")
    bench.same("all-linear", "all-linear-upper", "regex", "regex-ahead")
    bench.case("default-modules", without=["target_modules"])
    bench.same("plain", "default-modules")
    bench.case("excluded", target_modules=everything[:4], exclude_modules=["k_proj", "self_attn.o_proj"])
    bench.case("excluded-regex", target_modules=everything[:4], exclude_modules=r".*\.[ko]_proj")
    bench.same("plain", "excluded", "excluded-regex")
    bench.weights("layer-1", ["1.self_attn.q_proj", "1.self_attn.v_proj"], "llama", seed=4)
    bench.case("layer", weights="layer-1", layers_to_transform=[1])
    bench.case("layer-number", weights="layer-1", layers_to_transform=1, layers_pattern="layers")
    bench.case("layer-pattern", weights="layer-1", layers_to_transform=[1], layers_pattern=["h", "layers"])
    bench.same("layer", "layer-number", "layer-pattern")
    bench.case("missing-layer", weights="layer-1")
    bench.same("layer", "missing-layer")
    assert any("missing adapter keys" in said for said in bench.cases["missing-layer"]["warnings"])

    # Ranks and scales by module.
    bench.weights("ranks", ["q_proj"], "llama", r=3, seed=5)
    tensors = load_file(FOLDER / "ranks.safetensors") | load_file(FOLDER / "plain.safetensors") | {
        key: value for key, value in load_file(FOLDER / "ranks.safetensors").items() if "layers.1" in key}  # fmt: skip
    save_file(tensors, FOLDER / "ranks.safetensors", {"format": "pt"})
    rank = {"layers.1.self_attn.q_proj": 3}
    bench.case("rank-pattern", weights="ranks", rank_pattern=rank)
    bench.case("rank-pattern-regex", weights="ranks", rank_pattern={r"model\.layers\.[1-9]\..*q_proj": 3})
    bench.same("rank-pattern", "rank-pattern-regex")
    bench.case("rank-and-alpha", weights="ranks", rank_pattern=rank, alpha_pattern={"q_proj": 3})
    bench.case("rank-and-alpha-rslora", weights="ranks", rank_pattern=rank, alpha_pattern={"q_proj": 3}, use_rslora=True)
    bench.case("alpha-order", alpha_pattern={"q_proj": 1, ".*proj": 24})
    bench.case("alpha-other-order", alpha_pattern={".*proj": 24, "q_proj": 1})
    bench.case("alpha-start", alpha_pattern={"^q_proj": 1, "^model.layers.0.self_attn.q_proj": 30, "proj": 1})
    bench.other("rank-pattern", "rank-and-alpha", "rank-and-alpha-rslora")
    bench.other("plain", "alpha-order", "alpha-other-order", "alpha-start")

    # GPT-2's queries, keys and values are one matrix, stored the other way.
    bench.weights("gpt2-weights", ["c_attn", "attn.c_proj", "c_fc"], "gpt2", spread=0.3, seed=6)
    parts = ["c_attn", "attn.c_proj", "c_fc"]
    bench.case("gpt2", weights="gpt2-weights", model="gpt2", target_modules=parts, fan_in_fan_out=True)
    bench.case("gpt2-not-turned", weights="gpt2-weights", model="gpt2", target_modules=parts)
    bench.same("gpt2", "gpt2-not-turned")
    bench.case("gpt2-scaled", weights="gpt2-weights", model="gpt2", target_modules=parts, alpha_pattern={"attn.c_proj": 1})
    bench.other("gpt2", "gpt2-scaled")


def images(bench):
    """Adapters of Gemma 3 with images; the model in the tests is its text half."""
    model = bench.models["gemma3"]
    half = text_half(model)
    assert greedy(model)[0] == greedy(half)[0]
    save_model("gemma3", half)
    text = ["language_model.layers.0.self_attn.q_proj", "language_model.layers.1.self_attn.q_proj", "up_proj"]
    bench.weights("gemma3-new", text, "gemma3", spread=0.4, seed=7)
    old = lambda key: key.replace("model.model.language_model.layers", "model.language_model.model.layers")  # noqa: E731
    bench.weights("gemma3-old", text, "gemma3", spread=0.4, seed=7, rename=old)
    modules = ["q_proj", "up_proj"]
    bench.case("gemma3-new", weights="gemma3-new", model="gemma3", target_modules=modules, exclude_modules=r".*vision.*")
    regex = r"(?:.*?(?:language|text).*?(?:self_attn|mlp).*?(?:q_proj|up_proj).*?)"
    bench.case("gemma3-regex", weights="gemma3-new", model="gemma3", target_modules=regex)
    bench.case("gemma3-full-name", weights="gemma3-new", model="gemma3", target_modules=modules,
               exclude_modules=r".*vision.*", alpha_pattern={"^model.language_model.layers.1.mlp.up_proj": 20})  # fmt: skip
    bench.case("gemma3-old", weights="gemma3-old", model="gemma3", target_modules=modules, exclude_modules=r".*vision.*")
    vision = [*text, "vision_tower.vision_model.encoder.layers.0.self_attn.q_proj",
              "vision_tower.encoder.layers.0.self_attn.q_proj"]  # fmt: skip
    tensors = bench.weights("gemma3-vision", vision, "gemma3", spread=0.4, seed=7)
    assert any("vision" in key for key in tensors), list(tensors)
    bench.case("gemma3-vision", weights="gemma3-vision", model="gemma3", target_modules=modules)
    bench.case("gemma3-excluded", weights="gemma3-new", model="gemma3", target_modules=modules,
               exclude_modules=r".*language_model.*", refused="language_model")  # fmt: skip
    bench.case("gemma3-vision-alone", weights="gemma3-new", model="gemma3", target_modules=r".*vision.*q_proj",
               refused="language_model")  # fmt: skip
    # The same under the names of the model without images.
    tensors = load_file(FOLDER / "gemma3-new.safetensors")
    short = {key.replace("language_model.", ""): value for key, value in tensors.items()}
    save_file(short, FOLDER / "gemma3-text.safetensors", {"format": "pt"})
    bench.models["gemma3"] = half
    bench.case("gemma3-text", weights="gemma3-text", model="gemma3", target_modules=modules)
    bench.same("gemma3-new", "gemma3-old", "gemma3-regex", "gemma3-text")
    bench.other("gemma3-new", "gemma3-full-name")


def refused(bench):
    """Adapters that this program refuses, each with what PEFT makes of it."""
    for start in ("pissa", "olora", "pissa_niter_4"):
        trained(bench, start)
    for start in ("loftq", "corda", "lora_ga", "PiSSA", "zeros", 1):
        config = {"loftq_config": {"loftq_bits": 4, "loftq_iter": 1}} if start == "loftq" else {}
        bench.case(f"start-{start}", init_lora_weights=start, refused="init_lora_weights", **config)
    for name, key, value in [
        ("alora", "alora_invocation_tokens", [5, 9]),
        ("alora-last", "alora_invocation_tokens", [tokenizer().encode(">").ids[0]]),
        ("replicated", "layer_replication", [[0, 2], [1, 2]]),
        ("parameters", "target_parameters", ["self_attn.o_proj.weight"]),
        ("whole", "modules_to_save", ["lm_head"]),
        ("rows", "trainable_token_indices", [3]),
        ("biased", "lora_bias", True),
        ("dora", "use_dora", True),
        ("qalora", "use_qalora", True),
        ("kasa", "kasa_config", {}),
        ("kasa-values", "kasa_config", {"beta": 0.1, "gamma": 0.1}),
        ("blocks", "use_bdlora", {"target_modules_bd_a": ["q_proj"], "nblocks": 2}),
        ("arrow", "arrow_config", {"top_k": 1}),
        ("monteclora", "monteclora_config", {"num_samples": 2}),
        ("megatron", "megatron_config", {"hidden_size": 16}),
        ("bias-all", "bias", "all"),
        ("bias-lora", "bias", "lora_only"),
        ("no-such-task", "task_type", "CAUSAL"),
        ("wide-rank", "r", 4),
        ("rank-0", "r", 0),
        ("rank-half", "r", 2.5),
        ("rank-pattern-wide", "rank_pattern", {"q_proj": 3}),
        ("rank-pattern-wrong", "rank_pattern", {"(": 3}),
        ("alpha-words", "lora_alpha", "16"),
        ("alpha-huge", "lora_alpha", 1e300),
        ("alpha-pattern-words", "alpha_pattern", {"q_proj": "16"}),
        ("other-module", "target_modules", ["q_proj"]),
        ("other-module-regex", "target_modules", r".*q_proj"),
        ("no-module", "target_modules", []),
        ("regex-wrong", "target_modules", "("),
        ("module-excluded", "exclude_modules", ["v_proj"]),
        ("other-layer", "layers_to_transform", [0]),
        ("pattern-alone", "layers_pattern", "layers"),
    ]:
        says = {"other-module": "self_attn.v_proj", "other-module-regex": "self_attn.v_proj", "no-module": "target_modules",
                "module-excluded": "self_attn.v_proj", "other-layer": "layers.1", "wide-rank": "rank",
                "rank-pattern-wide": "rank", "alpha-huge": "lora_alpha"}.get(name, key)  # fmt: skip
        bench.case(name, refused=says, **{key: value})
    bench.case("layers-and-regex", target_modules=".*_proj", layers_to_transform=[0], refused="layers_to_transform")
    for kind in ("IA3", "VERA", "ADALORA", "LOHA", "lora", "NEW"):
        bench.case(f"kind-{kind}", peft_type=kind, refused=kind)
    bench.case("no-kind", without=["peft_type"], refused="peft_type")
    # Numbers beyond f32: in themselves, in their scale, in their product.
    tensors = load_file(FOLDER / "plain.safetensors")
    first = sorted(tensors)[0]
    for name, value in ("nan", float("nan")), ("infinite", float("inf")), ("product", 3e38):
        some = {key: tensor.clone() for key, tensor in tensors.items()}
        some[first][0, 0] = value
        save_file(some, FOLDER / f"{name}.safetensors", {"format": "pt"})
        bench.case(name, weights=name, refused="f32" if name == "product" else "finite")
    some = {key: tensor.double() for key, tensor in tensors.items()}
    some[first][0, 0] = 1e300
    save_file(some, FOLDER / "double.safetensors", {"format": "pt"})
    bench.case("double", weights="double", refused="finite")
    # f32 holds the product, but not its square, which a norm takes.
    some = {key: tensor * 1e17 for key, tensor in tensors.items()}
    save_file(some, FOLDER / "large.safetensors", {"format": "pt"})
    bench.case("large", weights="large", refused="f32")


def main():
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    bench = Bench()
    save_model("llama", bench.models["llama"])
    save_model("gpt2", bench.models["gpt2"])
    right(bench)
    refused(bench)
    images(bench)
    versions = {module.__name__: module.__version__ for module in (torch, transformers, peft, tokenizers)}
    entries = {"made_by": "tests/goldens/make_adapter_files.py", "versions": versions, "prompt": PROMPT}
    entries |= {"prompt_tokens": tokenizer().encode(PROMPT).ids, "without": bench.without, "configs": bench.configs}
    entries |= {"attention": attention(bench)}
    head = ",\n".join(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in entries.items())
    cases = ",\n".join(f" {json.dumps(key)}:{json.dumps(value)}" for key, value in bench.cases.items())
    (FOLDER / "cases.json").write_text(f'{{{head},\n"cases":{{\n{cases}\n}}}}\n')
    for path in FOLDER.rglob("*.safetensors"):
        path.chmod(0o644)
    total = sum(path.stat().st_size for path in FOLDER.rglob("*.*") if path.is_file())
    print(f"{len(bench.cases)} cases, {total} bytes")
    print(bench.without)
    for name, case in bench.cases.items():
        print(f"{name:24} {case.get('refused') or '':24} {case.get('tokens') or case.get('error')}")
    assert total < MOST_BYTES, total


if __name__ == "__main__":
    sys.exit(main())
