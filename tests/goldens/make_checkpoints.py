#!/usr/bin/env python3
"""Checkpoints of toy models in every format there is of each family, and their logits, for tests/checkpoint_goldens.rs.

    pip install torch transformers accelerate gguf safetensors
    python tests/goldens/make_checkpoints.py [NAME ... published gpt-oss-mxfp4]

Writes into tests/goldens/models/NAME/ `config.json` and `model.safetensors` as transformers saves them, `model.gguf` as
llama.cpp's converter would write it (write_gguf.py), and `expected.safetensors` with a prompt and the logits of all its
rows in f32. What transformers can read of the GGUF files must give it the same logits, else this script stops.

NAME-VARIANT is the same model in another form that published checkpoints have:

    llama-sharded          in shards with an index; config.json as transformers 4 wrote it
    llama-q8_0             another model, its matrices in Q8_0: expected are the logits of the dequantized weights
    gpt2-published         no `transformer.` before names; buffers of the causal mask; config.json as the first ones were
    bloom-published        no `transformer.` before names; config.json with `n_embed`
    gpt-neo-published      buffers of the causal mask
    gpt-neox-published     the same and rotary frequencies; `embed_out`; config.json as transformers 4 wrote it
    gemma3-multimodal      the language model within an image model, names as published
    gemma3-multimodal-v5   the same with the names of transformers' own modules
    gptj-published         buffers of the causal mask; config.json as the first ones were
    opt-350m-published     no `model.` before names
    gpt-oss-mxfp4          other experts, in MXFP4: blocks and scales as published, and as llama.cpp has them
    others -published      config.json as transformers 4 wrote it

Weights are drawn by name (drawn.py), norms' epsilon is large.
"""

import importlib.metadata
import json
import math
import shutil
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoConfig,
    GPTNeoXConfig,
    GptOssConfig,
    LlamaConfig,
    Qwen2Config,
    Starcoder2Config,
)

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "peers")]
import drawn  # noqa: E402
from checkpoint_models import PUBLISHED, ROUTERS, more_models  # noqa: E402
from masked import as_trained  # noqa: E402
from write_gguf import rope_factors, write_gguf  # noqa: E402

MODELS = HERE / "models"
VOCAB, PROMPT = 32, 16
NORMS = [["norm.weight", 1.0, 1.0], ["ln_1.weight", 1.0, 1.0], ["ln_2.weight", 1.0, 1.0], ["ln_f.weight", 1.0, 1.0],
         ["embed_in", 4.0, 0.0]]  # fmt: skip
GEMMA_NORMS = [["norm.weight", 1.0, 0.0]]
VERSIONS = {"torch": torch.__version__, "transformers": transformers.__version__,
            "gguf": importlib.metadata.version("gguf")}  # fmt: skip


def sizes(**more):
    return {"vocab_size": VOCAB, "bos_token_id": None, "eos_token_id": None, "pad_token_id": None} | more


def plain_rope(theta, **more):
    return {"rope_type": "default", "rope_theta": theta} | more


def models():
    """name, configuration, type of the stored weights, types of the GGUF's matrices."""
    # Wavelengths in tokens are 6, 18, 50, 141, 396, 1116; those below 32 / 4 are kept, those above 32 / 1 stretched.
    yield "llama", LlamaConfig(**sizes(
        hidden_size=16, num_attention_heads=4, num_key_value_heads=2, head_dim=12, intermediate_size=20,
        num_hidden_layers=2, max_position_embeddings=64, rms_norm_eps=0.01, tie_word_embeddings=False,
        rope_parameters={"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0,
                         "high_freq_factor": 4.0, "original_max_position_embeddings": 32},
    )), torch.float16, "F16"  # fmt: skip
    yield "qwen2", Qwen2Config(**sizes(
        hidden_size=16, num_attention_heads=4, num_key_value_heads=2, intermediate_size=20, num_hidden_layers=2,
        max_position_embeddings=64, rms_norm_eps=0.03, tie_word_embeddings=True, rope_parameters=plain_rope(1000.0),
    )), torch.bfloat16, "BF16"  # fmt: skip
    yield "starcoder2", Starcoder2Config(**sizes(
        hidden_size=16, num_attention_heads=2, num_key_value_heads=1, intermediate_size=24, num_hidden_layers=2,
        max_position_embeddings=64, norm_epsilon=0.02, tie_word_embeddings=True, use_bias=True,
        # Wider than the prompt, as it is not in the GGUF file.
        sliding_window=48, rope_parameters=plain_rope(1000.0),
    )), torch.float32, "F32"  # fmt: skip
    yield "gpt2", GPT2Config(**sizes(
        n_embd=12, n_head=2, n_layer=2, n_positions=24, layer_norm_epsilon=0.02,
    )), torch.float32, "F16"  # fmt: skip
    yield "bloom", BloomConfig(**sizes(
        hidden_size=12, n_head=3, n_layer=2, layer_norm_epsilon=0.02, seq_length=64,
    )), torch.float16, "F16"  # fmt: skip
    yield "gpt-neo", GPTNeoConfig(**sizes(
        hidden_size=16, num_heads=2, num_layers=2, attention_types=[[["global", "local"], 1]], window_size=5,
        intermediate_size=None, max_position_embeddings=24, layer_norm_epsilon=0.02,
    )), torch.float16, None  # fmt: skip
    yield "gpt-neox", GPTNeoXConfig(**sizes(
        hidden_size=16, num_attention_heads=2, intermediate_size=24, num_hidden_layers=2, layer_norm_eps=0.02,
        max_position_embeddings=32, rope_parameters=plain_rope(10000.0, partial_rotary_factor=0.5),
        tie_word_embeddings=False,
    )), torch.float16, "F16"  # fmt: skip
    yield "gemma3", gemma3(), torch.bfloat16, "BF16"


def gemma3(**more):
    return Gemma3TextConfig(**sizes(
        hidden_size=8, num_attention_heads=2, num_key_value_heads=1, head_dim=12, intermediate_size=12,
        num_hidden_layers=6, max_position_embeddings=64, rms_norm_eps=0.02, sliding_window=5, query_pre_attn_scalar=12,
        rope_parameters={
            "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
            "sliding_attention": plain_rope(1e4),
        }) | more)  # fmt: skip


def prompt(name):
    return drawn.token_ids(name, PROMPT, VOCAB)


def logits(model, ids):
    return model.eval()(torch.tensor([ids]), use_cache=False).logits[0]


def opened(folder, **more):
    return as_trained(
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", **more))  # fmt: skip


def save(model, folder, dtype, max_shard_size="1GB"):
    """transformers' own files, without those that no test reads."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        model.to(dtype).save_pretrained(scratch, max_shard_size=max_shard_size)
        for path in sorted(Path(scratch).iterdir()):
            if path.name != "generation_config.json":
                shutil.copy(path, folder / path.name)


def expect(folder, ids, rows):
    made = {"made_by": "tests/goldens/make_checkpoints.py", "versions": json.dumps(VERSIONS)}
    save_file({"prompt": torch.tensor(ids), "logits": rows.contiguous()}, folder / "expected.safetensors", metadata=made)


def relative_gap(a, b):
    return float((a - b).abs().max() / b.abs().max())


# Files of these transformers does not read, or reads wrongly; tests/peers/compare_converter.py is about their layouts.
NOT_READ = ("gpt-neox", "mistral", "olmo2", "olmo3", "olmoe", "smollm3", "granite", "granitemoe", "falcon-40b", "cohere",
            "cohere-plus", "stablelm-12b", "gpt-oss", "mixtral")  # fmt: skip


def make(name, config, dtype, kind, rules=None):
    folder, ids = MODELS / name, prompt(name)
    rules = rules or (GEMMA_NORMS if name == "gemma3" else NORMS)
    save(drawn.fill(AutoModelForCausalLM.from_config(config), name, rules), folder, dtype)
    model = opened(folder)
    expected = logits(model, ids)
    assert expected.std() > 0.3 and expected.argmax(-1).unique().numel() > 3, (name, expected.std(), expected.argmax(-1))
    expect(folder, ids, expected)
    if kind:
        path = folder / "model.gguf"
        write_gguf(path, model, kind)
        if name == "llama":
            check_rope_factors(model)
        elif name not in NOT_READ:
            gap = relative_gap(logits(opened(folder, gguf_file=path.name, config=model.config), ids), expected)
            limit = 1e-2 if kind == "F16" and dtype == torch.float32 else 1e-5
            assert gap < limit, (name, gap)
            print(f"{name}: GGUF in transformers, largest relative gap {gap:.1e}")
    if kind == "F16" and dtype == torch.float32:
        # The GGUF file holds less than the safetensors: it has its own logits.
        for parameter in model.parameters():
            if parameter.ndim == 2 and parameter is not model.transformer.wpe.weight:
                parameter.data.copy_(parameter.half().float())
        rows = logits(model, ids)
        gap = relative_gap(logits(opened(folder, gguf_file=path.name, config=model.config), ids), rows)
        assert gap < 1e-5, (name, gap)
        save_file(load_file(folder / "expected.safetensors") | {"gguf_logits": rows.contiguous()},
                  folder / "expected.safetensors", metadata={"versions": json.dumps(VERSIONS)})  # fmt: skip


def check_rope_factors(model):
    """transformers does not read rope_freqs.weight: it is held against its own frequencies instead."""
    config = model.config
    factors, dim = rope_factors(config), config.head_dim
    plain = config.rope_parameters["rope_theta"] ** -(np.arange(0, dim, 2) / dim)
    assert np.allclose(plain / factors, model.model.rotary_emb.inv_freq.numpy(), rtol=1e-6)
    branches = [bool(np.isclose(f, 1)) + 2 * bool(np.isclose(f, config.rope_parameters["factor"])) for f in factors]
    assert set(branches) == {0, 1, 2}, factors


# --- Variants ------------------------------------------------------------------------------------------------


def rewritten(name, variant, rename, extra=None, config=None):
    """The safetensors of one model under other names, with more tensors, with another config.json."""
    folder = MODELS / f"{name}-{variant}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    tensors = {rename(key): tensor for key, tensor in load_file(MODELS / name / "model.safetensors").items()}
    save_file(tensors | (extra or {}), folder / "model.safetensors", metadata={"format": "pt"})
    original = json.loads((MODELS / name / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config(original) if config else original, indent=2) + "\n")
    return folder


def same_logits(folder, name, **more):
    ids = prompt(name)
    assert torch.equal(logits(opened(folder, **more), ids), logits(opened(MODELS / name), ids)), folder


def without(config, *keys):
    return {key: value for key, value in config.items() if key not in keys}


def causal(n):
    return torch.ones(n, n, dtype=torch.uint8).tril()[None, None]


def llama_sharded():
    folder = MODELS / "llama-sharded"
    save(opened(MODELS / "llama"), folder, torch.float16, max_shard_size="6KB")
    path = folder / "config.json"
    config = json.loads(path.read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config |= {"rope_scaling": rope, "torch_dtype": config.pop("dtype"), "transformers_version": "4.46.0"}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    same_logits(folder, "llama")


def llama_q8_0():
    config = LlamaConfig(**sizes(
        hidden_size=32, num_attention_heads=2, num_key_value_heads=1, intermediate_size=32, num_hidden_layers=2,
        max_position_embeddings=64, rms_norm_eps=0.02, tie_word_embeddings=True, rope_parameters=plain_rope(1000.0),
    ))  # fmt: skip
    folder, ids = MODELS / "llama-q8_0", prompt("llama-q8_0")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    model = drawn.fill(AutoModelForCausalLM.from_config(config, dtype=torch.float32), "llama-q8_0", NORMS)
    unquantized = logits(model, ids)
    write_gguf(folder / "model.gguf", model, "Q8_0")
    for parameter in model.parameters():
        if parameter.ndim == 2:
            kind = gguf.GGMLQuantizationType.Q8_0
            blocks = gguf.quants.quantize(parameter.detach().numpy(), kind)
            parameter.data.copy_(torch.from_numpy(gguf.quants.dequantize(blocks, kind)))
    expected = logits(model, ids)
    assert 1e-3 < relative_gap(unquantized, expected) < 0.1
    unpacked = transformers.GgufConfig(dequantize=True)
    read = logits(opened(folder, gguf_file="model.gguf", config=config, quantization_config=unpacked), ids)
    assert relative_gap(read, expected) < 1e-5, relative_gap(read, expected)
    expect(folder, ids, expected)


def published():
    bare = lambda key: key.removeprefix("transformer.")
    folder = rewritten("gpt2", "published", bare,
        {f"h.{layer}.attn.bias": causal(24).float() for layer in range(2)},
        lambda config: {"activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "n_ctx": 24}
        | {key: config[key] for key in ("layer_norm_epsilon", "model_type", "n_embd", "n_head", "n_layer", "n_positions",
                                        "vocab_size")})  # fmt: skip
    same_logits(folder, "gpt2")
    folder = rewritten("bloom", "published", bare, None,
        lambda config: without(config, "hidden_size", "n_head", "dtype", "tie_word_embeddings")
        | {"architectures": ["BloomModel"], "n_embed": 12, "num_attention_heads": 3, "n_inner": None,
           "offset_alibi": 100, "attention_softmax_in_fp32": True, "masked_softmax_fusion": True, "skip_bias_add": True})  # fmt: skip
    same_logits(folder, "bloom")
    buffers = {}
    for layer in range(2):
        buffers[f"transformer.h.{layer}.attn.attention.bias"] = causal(24)
        buffers[f"transformer.h.{layer}.attn.attention.masked_bias"] = torch.tensor(-1e9)
    folder = rewritten("gpt-neo", "published", lambda key: key, buffers,
        lambda config: without(config, "dtype", "tie_word_embeddings"))  # fmt: skip
    same_logits(folder, "gpt-neo")
    buffers = {}
    for layer in range(2):
        start = f"gpt_neox.layers.{layer}.attention"
        buffers[f"{start}.bias"] = causal(32).bool()
        buffers[f"{start}.masked_bias"] = torch.tensor(-1e9).half()
        buffers[f"{start}.rotary_emb.inv_freq"] = torch.tensor([1.0, 0.01]).half()
    embed_out = lambda key: "embed_out.weight" if key == "lm_head.weight" else key
    folder = rewritten("gpt-neox", "published", embed_out, buffers,
        lambda config: without(config, "rope_parameters", "dtype", "attention_bias")
        | {"rotary_pct": 0.5, "rotary_emb_base": 10000, "torch_dtype": "float16"})  # fmt: skip
    same_logits(folder, "gpt-neox")


def gemma3_multimodal():
    """A whole image model of transformers around the language model, and its own file under both kinds of names."""
    vision = {"hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1,
              "image_size": 8, "patch_size": 4, "model_type": "siglip_vision_model"}  # fmt: skip
    text = gemma3().to_dict()
    config = Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4)
    whole = Gemma3ForConditionalGeneration(config)
    language = opened(MODELS / "gemma3")
    whole.model.language_model.load_state_dict(language.model.state_dict())
    whole.tie_weights()
    ids = prompt("gemma3")
    gap = relative_gap(logits(whole, ids), logits(language, ids))
    # Sums in another order: this one takes another attention kernel.
    assert gap < 1e-5, gap
    for variant, names in (("multimodal", "published"), ("multimodal-v5", "modules")):
        folder = MODELS / f"gemma3-{variant}"
        save(whole, folder, torch.bfloat16)
        path = folder / "model.safetensors"
        tensors = {}
        for key, tensor in load_file(path).items():
            key = key.removeprefix("model.").removeprefix("language_model.model.").removeprefix("language_model.")
            of_images = key.startswith(("vision_tower.", "multi_modal_projector."))
            if names == "published":
                tensors[key if of_images else f"language_model.model.{key}"] = tensor
            else:
                tensors[f"model.{key}" if of_images else f"model.language_model.{key}"] = tensor
        save_file(tensors, path, metadata={"format": "pt"})
        again = Gemma3ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
        assert torch.equal(logits(again, ids), logits(opened(MODELS / "gemma3"), ids)), variant
        if names == "published":
            # As it was published: what has its default value is left out, rope settings as in transformers 4.
            path = folder / "config.json"
            written = json.loads(path.read_text())
            text = written["text_config"]
            kept = ("head_dim", "hidden_size", "intermediate_size", "max_position_embeddings", "model_type",
                    "num_attention_heads", "num_hidden_layers", "num_key_value_heads", "query_pre_attn_scalar",
                    "rms_norm_eps", "sliding_window", "vocab_size")  # fmt: skip
            text = {key: text[key] for key in kept} | {"rope_scaling": {"factor": 8.0, "rope_type": "linear"}}
            written = without(written, "dtype", "text_config", "tie_word_embeddings")
            written |= {"text_config": text, "torch_dtype": "bfloat16", "transformers_version": "4.50.0.dev0"}
            path.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n")
            again = Gemma3ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
            assert torch.equal(logits(again, ids), logits(opened(MODELS / "gemma3"), ids)), variant


def more_published():
    buffers = {}
    for layer in range(2):
        buffers[f"transformer.h.{layer}.attn.bias"] = causal(24).bool()
        buffers[f"transformer.h.{layer}.attn.masked_bias"] = torch.tensor(-1e9).half()
    renamed = {"opt-350m": lambda key: key.removeprefix("model.")}
    for name, config in PUBLISHED.items():
        folder = rewritten(name, "published", renamed.get(name, lambda key: key), buffers if name == "gptj" else None, config)
        same_logits(folder, name)


# What four bits stand for, in units that a scale says: 2 to the power of the scale less 127.
FP4 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], dtype=np.float32)


def codes(seed, name, shape):
    """Blocks [..., blocks, 32] of four bits, and their scales."""
    values = drawn.fractions(seed, f"{name}_blocks", math.prod(shape)) % np.uint64(16)
    scales = drawn.fractions(seed, f"{name}_scales", math.prod(shape) // 32) % np.uint64(3)
    return values.astype(np.uint8).reshape(*shape[:-1], -1, 32), (scales + np.uint64(123)).astype(np.uint8).reshape(*shape[:-1], -1)


def gpt_oss_mxfp4():
    """The experts as published: of each pair of values the first in the lower half of a byte. llama.cpp has the first half
    of a block in the lower halves, the second half in the upper ones, and each block's scale before it."""
    name, folder = "gpt-oss-mxfp4", MODELS / "gpt-oss-mxfp4"
    config = GptOssConfig(**sizes(
        hidden_size=32, num_attention_heads=4, num_key_value_heads=2, head_dim=6, intermediate_size=64, num_hidden_layers=2,
        num_local_experts=3, num_experts_per_tok=2, sliding_window=5, max_position_embeddings=64, rms_norm_eps=0.02,
        rope_parameters={"rope_type": "yarn", "rope_theta": 500.0, "factor": 4.0, "original_max_position_embeddings": 16,
                         "beta_fast": 2.0, "beta_slow": 0.25, "truncate": False},
    ))  # fmt: skip
    model = drawn.fill(AutoModelForCausalLM.from_config(config), name, ROUTERS + NORMS)
    save(model, folder, torch.bfloat16)
    tensors, packed = load_file(folder / "model.safetensors"), {}
    for key in [key for key in tensors if key.endswith((".experts.gate_up_proj", ".experts.down_proj"))]:
        experts, n_in, n_out = tensors.pop(key).shape
        values, scales = codes(name, key, (experts, n_out, n_in))
        packed[key] = values, scales
        tensors[f"{key}_blocks"] = torch.from_numpy(values[..., ::2] | values[..., 1::2] << 4)
        tensors[f"{key}_scales"] = torch.from_numpy(scales)
        wide = FP4[values] * np.exp2(scales.astype(np.float32) - 127)[..., None]
        parameter = model.get_parameter(key)
        parameter.data = torch.from_numpy(wide.reshape(experts, n_out, n_in)).swapaxes(1, 2).contiguous()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    path = folder / "config.json"
    written = json.loads(path.read_text())
    written["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": [
        "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]}  # fmt: skip
    path.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n")
    model = opened(folder, quantization_config=transformers.Mxfp4Config(dequantize=True))
    for key, (values, scales) in packed.items():
        wide = FP4[values] * np.exp2(scales.astype(np.float32) - 127)[..., None]
        assert torch.equal(model.get_parameter(key).swapaxes(1, 2), torch.from_numpy(wide.reshape(*wide.shape[:2], -1)))
    ids = prompt(name)
    expected = logits(model, ids)
    assert expected.std() > 0.3 and expected.argmax(-1).unique().numel() > 3
    expect(folder, ids, expected)
    write_gguf(folder / "model.gguf", model, "BF16", packed=packed)


def main():
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    wanted = sys.argv[1:]
    if not wanted:
        shutil.rmtree(MODELS, ignore_errors=True)
    with torch.inference_mode():
        for specification in [*models(), *more_models()]:
            if not wanted or specification[0] in wanted:
                make(*specification)
        if not wanted:
            llama_sharded()
            llama_q8_0()
            published()
            gemma3_multimodal()
        if not wanted or "published" in wanted:
            more_published()
        if not wanted or "gpt-oss-mxfp4" in wanted:
            gpt_oss_mxfp4()
    files = [path for path in sorted(MODELS.rglob("*")) if path.is_file()]
    for path in files:
        print(f"{path.stat().st_size / 1024:6.1f} KiB {path.relative_to(MODELS)}")
    print(f"{sum(path.stat().st_size for path in files) / 1024:6.1f} KiB")


if __name__ == "__main__":
    main()
