#!/usr/bin/env python3
"""A model folder with the shape of Llama-3.1-8B and random bf16 weights (15 GiB), to see how much memory a run takes.

    synthetic.py FOLDER TOKENIZER_JSON [LAYERS]

Its text is nonsense; its size, the number of its layers and heads are real. Needs numpy.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np

HIDDEN, INTERMEDIATE, HEADS, KV_HEADS, VOCAB = 4096, 14336, 32, 8, 128256
BLOCK = 1 << 24


def tensors(layers):
    kv = HIDDEN // HEADS * KV_HEADS
    yield "model.embed_tokens.weight", (VOCAB, HIDDEN)
    for layer in range(layers):
        start = f"model.layers.{layer}"
        yield f"{start}.input_layernorm.weight", (HIDDEN,)
        yield f"{start}.post_attention_layernorm.weight", (HIDDEN,)
        for part, shape in {
            "self_attn.q_proj": (HIDDEN, HIDDEN), "self_attn.k_proj": (kv, HIDDEN), "self_attn.v_proj": (kv, HIDDEN),
            "self_attn.o_proj": (HIDDEN, HIDDEN), "mlp.gate_proj": (INTERMEDIATE, HIDDEN),
            "mlp.up_proj": (INTERMEDIATE, HIDDEN), "mlp.down_proj": (HIDDEN, INTERMEDIATE),
        }.items():  # fmt: skip
            yield f"{start}.{part}.weight", shape
    yield "model.norm.weight", (HIDDEN,)
    yield "lm_head.weight", (VOCAB, HIDDEN)


def bf16(values):
    return (values.astype("<f4").view("<u4") >> 16).astype("<u2")


def main():
    folder, tokenizer = Path(sys.argv[1]), sys.argv[2]
    layers = int(sys.argv[3]) if len(sys.argv) > 3 else 32
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(tokenizer, folder / "tokenizer.json")
    config = {
        "model_type": "llama", "num_hidden_layers": layers, "hidden_size": HIDDEN, "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS, "intermediate_size": INTERMEDIATE, "vocab_size": VOCAB,
        "max_position_embeddings": 131072, "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "rope_theta": 500000.0,
        "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                         "original_max_position_embeddings": 8192},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    header, at = {}, 0
    for name, shape in tensors(layers):
        end = at + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    # One block of draws, taken from another place for each tensor: memory is what is looked at, not the text.
    rng = np.random.default_rng(0)
    drawn = bf16(rng.standard_normal(BLOCK) * HIDDEN**-0.5)
    ones = bf16(np.ones(HIDDEN))
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in tensors(layers):
            left = int(np.prod(shape))
            if len(shape) == 1:
                file.write(ones.tobytes())
                continue
            while left > 0:
                start = int(rng.integers(BLOCK // 2))
                part = drawn[start : start + left]
                file.write(part.tobytes())
                left -= len(part)
    print(f"{folder}: {(folder / 'model.safetensors').stat().st_size / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
