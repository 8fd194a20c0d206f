#!/usr/bin/env python3
"""A model folder with the shape of a real model and random bf16 weights, to see what time and memory a run takes.

    synthetic.py FOLDER TOKENIZER_JSON [LAYERS] [--shape llama-3.1-8b|starcoder2-7b|gpt-neo-2.7b]

Its text is nonsense; its size, the number of its layers and heads are real. Needs numpy.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np

BLOCK = 1 << 24

LLAMA_3_1_8B = {
    "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "num_attention_heads": 32,
    "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256, "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "rope_theta": 500000.0,
    "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                     "original_max_position_embeddings": 8192},
    "architectures": ["LlamaForCausalLM"],
}  # fmt: skip
STARCODER2_7B = {
    "model_type": "starcoder2", "num_hidden_layers": 32, "hidden_size": 4608, "num_attention_heads": 36,
    "num_key_value_heads": 4, "intermediate_size": 18432, "vocab_size": 49152, "max_position_embeddings": 16384,
    "norm_epsilon": 1e-5, "tie_word_embeddings": False, "rope_theta": 1000000.0, "sliding_window": 4096,
    "use_bias": True, "hidden_act": "gelu_pytorch_tanh", "architectures": ["Starcoder2ForCausalLM"],
}  # fmt: skip
GPT_NEO_2_7B = {
    "model_type": "gpt_neo", "num_layers": 32, "hidden_size": 2560, "num_heads": 20, "intermediate_size": 10240,
    "vocab_size": 50257, "max_position_embeddings": 2048, "window_size": 256, "layer_norm_epsilon": 1e-5,
    "activation_function": "gelu_new", "attention_types": [[["global", "local"], 16]],
    "architectures": ["GPTNeoForCausalLM"],
}  # fmt: skip


def llama(config, layers):
    """Names and shapes; what is named as a weight of a norm is 1, a bias 0, all else drawn."""
    hidden, inner, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    kv = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    yield "model.embed_tokens.weight", (vocab, hidden)
    for layer in range(layers):
        start = f"model.layers.{layer}"
        yield f"{start}.input_layernorm.weight", (hidden,)
        yield f"{start}.post_attention_layernorm.weight", (hidden,)
        for part, shape in {
            "self_attn.q_proj": (hidden, hidden), "self_attn.k_proj": (kv, hidden), "self_attn.v_proj": (kv, hidden),
            "self_attn.o_proj": (hidden, hidden), "mlp.gate_proj": (inner, hidden),
            "mlp.up_proj": (inner, hidden), "mlp.down_proj": (hidden, inner),
        }.items():  # fmt: skip
            yield f"{start}.{part}.weight", shape
    yield "model.norm.weight", (hidden,)
    yield "lm_head.weight", (vocab, hidden)


def with_bias(name, shape):
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def starcoder2(config, layers):
    hidden, inner, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    kv = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    yield "model.embed_tokens.weight", (vocab, hidden)
    for layer in range(layers):
        start = f"model.layers.{layer}"
        for part, shape in {
            "input_layernorm": (hidden,), "post_attention_layernorm": (hidden,), "self_attn.q_proj": (hidden, hidden),
            "self_attn.k_proj": (kv, hidden), "self_attn.v_proj": (kv, hidden), "self_attn.o_proj": (hidden, hidden),
            "mlp.c_fc": (inner, hidden), "mlp.c_proj": (hidden, inner),
        }.items():  # fmt: skip
            yield from with_bias(f"{start}.{part}", shape)
    yield from with_bias("model.norm", (hidden,))
    yield "lm_head.weight", (vocab, hidden)


def gpt_neo(config, layers):
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    yield "transformer.wte.weight", (config["vocab_size"], hidden)
    yield "transformer.wpe.weight", (config["max_position_embeddings"], hidden)
    for layer in range(layers):
        start = f"transformer.h.{layer}"
        for part in ("k_proj", "v_proj", "q_proj"):
            yield f"{start}.attn.attention.{part}.weight", (hidden, hidden)
        for part, shape in {
            "attn.attention.out_proj": (hidden, hidden), "ln_1": (hidden,), "ln_2": (hidden,),
            "mlp.c_fc": (inner, hidden), "mlp.c_proj": (hidden, inner),
        }.items():  # fmt: skip
            yield from with_bias(f"{start}.{part}", shape)
    yield from with_bias("transformer.ln_f", (hidden,))


SHAPES = {
    "llama-3.1-8b": (LLAMA_3_1_8B, llama),
    "starcoder2-7b": (STARCODER2_7B, starcoder2),
    "gpt-neo-2.7b": (GPT_NEO_2_7B, gpt_neo),
}


def bf16(values):
    return (values.astype("<f4").view("<u4") >> 16).astype("<u2")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("layers", type=int, nargs="?")
    parser.add_argument("--shape", choices=SHAPES, default="llama-3.1-8b")
    args = parser.parse_args()
    config, tensors = SHAPES[args.shape]
    number = "num_layers" if "num_layers" in config else "num_hidden_layers"
    layers = args.layers or config[number]
    config = {**config, number: layers, "torch_dtype": "bfloat16"}
    if "attention_types" in config:
        config["attention_types"] = [[["global", "local"], layers // 2]]
    args.folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(args.tokenizer, args.folder / "tokenizer.json")
    (args.folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in tensors(config, layers):
        end = at + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    # One block of draws, taken from another place for each tensor: time and memory are what is looked at, not the text.
    rng = np.random.default_rng(0)
    drawn = bf16(rng.standard_normal(BLOCK) * config["hidden_size"] ** -0.5)
    with open(args.folder / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in tensors(config, layers):
            left = int(np.prod(shape))
            if len(shape) == 1:
                file.write(bf16(np.full(left, 0.0 if name.endswith("bias") else 1.0)).tobytes())
                continue
            while left > 0:
                start = int(rng.integers(BLOCK // 2))
                part = drawn[start : start + left]
                file.write(part.tobytes())
                left -= len(part)
    print(f"{args.folder}: {(args.folder / 'model.safetensors').stat().st_size / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
