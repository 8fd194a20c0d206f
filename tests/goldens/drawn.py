"""Weights that need no file: a function of a tensor's name in the file that transformers saves, computed bit for bit alike
here and in tests/drawn/mod.rs.

64-bit FNV-1a of `SEED/NAME` starts a splitmix64 sequence, one number per element in row-major order; its upper 24 bits
are a fraction u in [0, 1), and the element is (u - 1/2) * scale + offset in f32. Scale and offset are those of the first
rule [part of the name, scale, offset] that fits; without one they are 1 and 0 for vectors, and for matrices the offset
is 0 and the scale the power of two of `matrix_scale`, about 3.5 over the root of the mean width, which keeps the
variance of what goes through.
"""

import math

import numpy as np

FNV_START, FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3
GOLDEN_GAMMA, MIX_1, MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def fractions(seed, name, n):
    """The upper 24 bits of n numbers of the sequence."""
    state = FNV_START
    for byte in f"{seed}/{name}".encode():
        state = (state ^ byte) * FNV_PRIME % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(state) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(GOLDEN_GAMMA)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(MIX_1)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(MIX_2)
        return (z ^ (z >> np.uint64(31))) >> np.uint64(40)


def matrix_scale(elements):
    return 2.0 ** (2 - elements.bit_length() // 4)


def weight(name, shape, seed, rules):
    n = math.prod(shape)
    u = fractions(seed, name, n).astype(np.float32) / np.float32(2**24)
    fitting = [(scale, offset) for part, scale, offset in rules if part in name]
    scale, offset = fitting[0] if fitting else (1.0 if len(shape) == 1 else matrix_scale(n), 0.0)
    return ((u - np.float32(0.5)) * np.float32(scale) + np.float32(offset)).reshape(shape)


def token_ids(seed, n, vocab):
    return [int(bits) * vocab >> 24 for bits in fractions(seed, "prompt", n)]


# transformers holds the experts of a layer in two tensors, of which files have a piece per expert: where a file keeps
# them, what it calls the two halves of the first, and the second.
EXPERTS = {
    "mixtral": ("block_sparse_moe", ("w1", "w3"), "w2"),
    "qwen3_moe": ("mlp", ("gate_proj", "up_proj"), "down_proj"),
    "olmoe": ("mlp", ("gate_proj", "up_proj"), "down_proj"),
}
RENAMED = {
    "mixtral": {".mlp.": ".block_sparse_moe."},
    "granitemoe": {".experts.gate_up_proj": ".input_linear.weight", ".experts.down_proj": ".output_linear.weight",
                   ".router.weight": ".router.layer.weight"},
}  # fmt: skip


def stored(model):
    """What a saved checkpoint of a transformers model holds: names in the file, and views of the model's own weights.
    Tied tensors have the name that state_dict gives first."""
    family = model.config.model_type
    for name, parameter in model.named_parameters():
        if family in EXPERTS and ".mlp.experts." in name:
            yield from of_experts(name, parameter.data, *EXPERTS[family])
            continue
        for part, in_file in RENAMED.get(family, {}).items():
            name = name.replace(part, in_file)
        yield name, parameter.data


def of_experts(name, weights, place, halves, last):
    layer, _, kind = name.rpartition(".mlp.experts.")
    for expert, weight in enumerate(weights):
        start = f"{layer}.{place}.experts.{expert}"
        if kind == "gate_up_proj":
            yield from ((f"{start}.{half}.weight", part) for half, part in zip(halves, weight.chunk(2), strict=True))
        else:
            yield f"{start}.{last}.weight", weight


def fill(model, seed, rules):
    """Draw all weights of a transformers model, by their names in its file."""
    import torch

    for name, part in stored(model):
        part.copy_(torch.from_numpy(weight(name, tuple(part.shape), seed, rules)))
    return model
