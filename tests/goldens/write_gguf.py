"""A transformers model as the GGUF file that llama.cpp's convert_hf_to_gguf.py makes of it, for the scripts beside this one.

Names and metadata keys are those of the gguf package; layouts are those of the converter: queries and keys of Llama and its
kin with rotary pairs side by side (Cohere's are so anyway), fused queries, keys and values of BLOOM, GPT-NeoX and Falcon
one after the other instead of head by head, GPT-2's matrices transposed, 1 added to Gemma's norm weights, llama3 rope
scaling as a tensor of factors, longrope as two; the experts of a layer in three tensors. Vectors, norms, routers, biases
and learned positions stay F32; a matrix whose rows do not fit the blocks of a quantization becomes F16.
tests/peers/compare_converter.py holds all this against the converter itself.

Not in such files, because the converter leaves them out: the windows of StarCoder2, Qwen2, Qwen3, Mistral and Mixtral, the
scale of Gemma's queries, Gemma's local rope base and layer pattern, the rope base of GPT-NeoX, Gemma 2, Falcon and
StableLM, SmolLM3's layers without positions, the limit of gpt-oss's gates, and whether expert weights are normed.
llama.cpp has no GPT-Neo, GPT-J and OPT, no Falcon with ALiBi, and no Qwen3-MoE with dense layers in between.
"""

import gguf
import numpy as np
import torch

ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "starcoder2": gguf.MODEL_ARCH.STARCODER2,
    "bloom": gguf.MODEL_ARCH.BLOOM,
    "gpt2": gguf.MODEL_ARCH.GPT2,
    "gpt_neox": gguf.MODEL_ARCH.GPTNEOX,
    "gemma3_text": gguf.MODEL_ARCH.GEMMA3,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "qwen3_moe": gguf.MODEL_ARCH.QWEN3MOE,
    "gemma2": gguf.MODEL_ARCH.GEMMA2,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "mixtral": gguf.MODEL_ARCH.LLAMA,
    "olmo2": gguf.MODEL_ARCH.OLMO2,
    "olmo3": gguf.MODEL_ARCH.OLMO2,
    "olmoe": gguf.MODEL_ARCH.OLMOE,
    "phi3": gguf.MODEL_ARCH.PHI3,
    "smollm3": gguf.MODEL_ARCH.SMOLLM3,
    "granite": gguf.MODEL_ARCH.GRANITE,
    "granitemoe": gguf.MODEL_ARCH.GRANITE_MOE,
    "falcon": gguf.MODEL_ARCH.FALCON,
    "cohere": gguf.MODEL_ARCH.COMMAND_R,
    "stablelm": gguf.MODEL_ARCH.STABLELM,
    "gpt_oss": gguf.MODEL_ARCH.GPT_OSS,
}
# Whose queries and keys the converter lays out in pairs.
IN_PAIRS = ("llama", "mistral", "mixtral", "smollm3", "granite", "granitemoe")


def has_gguf(config):
    """Does llama.cpp know such a model?"""
    with_alibi, dense_between = getattr(config, "alibi", False), getattr(config, "mlp_only_layers", None)
    return config.model_type in ARCHITECTURES and not with_alibi and not dense_between


def tells_all(config):
    """Does such a file say all that the model's configuration does? See above."""
    theta = (getattr(config, "rope_parameters", None) or {}).get("rope_theta", 10000.0)
    return {
        "qwen2": lambda: not config.use_sliding_window,
        "qwen3": lambda: not config.use_sliding_window,
        "qwen3_moe": lambda: not config.use_sliding_window and config.norm_topk_prob,
        "mistral": lambda: config.sliding_window is None,
        "mixtral": lambda: config.sliding_window is None,
        "gemma2": lambda: config.query_pre_attn_scalar == config.head_dim and theta == 10000.0,
        "smollm3": lambda: all(bool(rope) == bool((layer + 1) % 4) for layer, rope in enumerate(config.no_rope_layers)),
        "olmoe": lambda: config.clip_qkv is None and not config.norm_topk_prob,
        "falcon": lambda: config.ffn_hidden_size == 4 * config.hidden_size and theta == 10000.0,
        "stablelm": lambda: theta == 10000.0,
        "gpt_oss": lambda: (config.swiglu_limit, config.swiglu_alpha) == (7.0, 1.702),
    }.get(config.model_type, lambda: True)()


FILE_TYPES = {
    "F32": gguf.LlamaFileType.ALL_F32,
    "F16": gguf.LlamaFileType.MOSTLY_F16,
    "BF16": gguf.LlamaFileType.MOSTLY_BF16,
    "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
}


def write_gguf(path, model, kind="F32", bloom_output=True, packed=None):
    """`bloom_output`: older converters write BLOOM's embedding a second time, as `output.weight`. `packed`: experts in
    MXFP4, by name their values [experts, out, blocks, 32] of four bits and scales."""
    config = model.config
    arch = ARCHITECTURES[config.model_type]
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[arch])
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(f"Random {config.model_type}")
    metadata(writer, config)
    writer.add_file_type(FILE_TYPES[kind])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_tokenizer_model("llama" if config.model_type in ("llama", "gemma3_text") else "gpt2")
    writer.add_token_list([f"<{i}>" for i in range(config.vocab_size)])
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    for name, weight in tensors(model):
        if packed and name in packed:
            add_mxfp4(writer, name, *packed[name])
            continue
        if ".experts." in name:
            for part, of_experts in experts(name, weight, config):
                add(writer, part, of_experts, kind)
            continue
        add(writer, names.get_name(known(name, config), try_suffixes=(".weight", ".bias")), laid_out(name, weight, config), kind)
        if name == "transformer.word_embeddings.weight" and config.model_type == "bloom" and bloom_output:
            add(writer, "output.weight", weight, kind)
    rope = getattr(config, "rope_parameters", None) or {}
    if config.model_type == "llama" and rope["rope_type"] == "llama3":
        add(writer, "rope_freqs.weight", rope_factors(config), "F32")
    if rope.get("rope_type") == "longrope":
        for length in ("long", "short"):
            add(writer, f"rope_factors_{length}.weight", np.array(rope[f"{length}_factor"]), "F32")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def known(name, config):
    """The name by which the gguf package knows a tensor of transformers' modules."""
    if config.model_type == "bloom":
        # As its published checkpoints have it.
        return name.removeprefix("transformer.")
    if config.model_type == "falcon" and config.num_ln_in_parallel_attn == 1:
        # Alone it is before both parts.
        return name.replace(".ln_attn.", ".input_layernorm.")
    return name.replace("moe.router.weight", "moe.router.layer.weight").replace(".sinks", ".sinks.weight")


def tensors(model):
    """The weights as f32 arrays: tied tensors once, a norm of each head as one of all heads."""
    parameters = dict(model.named_parameters())
    for name, parameter in parameters.items():
        if ".norms." not in name:
            yield name, parameter.detach().float().numpy()
        elif name.endswith(".norms.0.weight"):
            start = name.removesuffix("0.weight")
            of_heads = [of_head for other, of_head in parameters.items() if other.startswith(start)]
            yield name.replace(".norms.0.", "."), torch.stack(of_heads).detach().float().numpy()


def experts(name, weight, config):
    """The experts of a layer as llama.cpp has them: gates and values apart, [expert, out, in]."""
    start, part = f"blk.{name.split('.')[2]}.ffn", name.rpartition(".")[2]
    suffix = "bias" if part.endswith("_bias") else "weight"
    if config.model_type == "gpt_oss":
        # [expert, in, out], gates and values in turn.
        weight = weight if suffix == "bias" else weight.swapaxes(1, 2)
        halves = weight[:, ::2], weight[:, 1::2]
    else:
        halves = np.split(weight, 2, axis=1)
    if part.startswith("gate_up"):
        return [(f"{start}_{half}_exps.{suffix}", weight) for half, weight in zip(("gate", "up"), halves)]
    return [(f"{start}_down_exps.{suffix}", weight)]


def add(writer, name, weight, kind):
    assert name, "the gguf package knows no such tensor"
    weight = np.ascontiguousarray(weight, dtype=np.float32)
    kind = kind_of(name, weight, kind)
    writer.add_tensor(name, gguf.quants.quantize(weight, kind), raw_dtype=kind)


def add_mxfp4(writer, name, values, scales):
    """Of a block its scale, and its values: the first half in the lower halves of bytes, the second in the upper ones."""
    blocks = np.concatenate([scales[..., None], values[..., :16] | values[..., 16:] << 4], axis=-1)
    start = f"blk.{name.split('.')[2]}.ffn"
    parts = [("down", blocks)] if name.endswith("down_proj") else [("gate", blocks[:, ::2]), ("up", blocks[:, 1::2])]
    for part, of_experts in parts:
        rows = np.ascontiguousarray(of_experts.reshape(*of_experts.shape[:2], -1))
        writer.add_tensor(f"{start}_{part}_exps.weight", rows, raw_dtype=gguf.GGMLQuantizationType.MXFP4)


def kind_of(name, weight, kind):
    """How a tensor of a file of this kind is held."""
    always = ("_norm.weight", "ffn_gate_inp.weight", "position_embd.weight")
    if weight.ndim == 1 or name.endswith(always) or not name.endswith(".weight"):
        kind = "F32"
    block, _ = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    return gguf.GGMLQuantizationType["F16" if weight.shape[-1] % block else kind]


# --- Metadata ------------------------------------------------------------------------------------------------


def metadata(writer, config):
    family, hidden, heads = config.model_type, config.hidden_size, config.num_attention_heads
    writer.add_block_count(config.num_hidden_layers)
    writer.add_embedding_length(hidden)
    writer.add_head_count(heads)
    if family == "gpt2":
        writer.add_context_length(config.n_positions)
        writer.add_feed_forward_length(4 * hidden)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
    elif family == "bloom":
        # Absent from most of its configurations: then the converter writes the width.
        writer.add_context_length(getattr(config, "seq_length", hidden))
        writer.add_feed_forward_length(4 * hidden)
        writer.add_head_count_kv(heads)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
    elif family == "gpt_neox":
        writer.add_context_length(config.max_position_embeddings)
        writer.add_feed_forward_length(config.intermediate_size)
        rotated = config.rope_parameters["partial_rotary_factor"] * (hidden // heads)
        writer.add_rope_dimension_count(int(rotated))
        writer.add_parallel_residual(config.use_parallel_residual)
        writer.add_layer_norm_eps(config.layer_norm_eps)
    elif family == "falcon":
        falcon(writer, config)
    else:
        writer.add_context_length(config.max_position_embeddings)
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count_kv(config.num_key_value_heads)
        OF_FAMILY[family](writer, config)


def rms(writer, config):
    """What most families with root mean squares write."""
    rope(writer, config)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    head_dim = getattr(config, "head_dim", None)
    if head_dim is not None:
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)


def rope(writer, config):
    parameters = config.rope_parameters.get("full_attention", config.rope_parameters)
    kind = parameters["rope_type"]
    if kind in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(kind))
        writer.add_rope_scaling_factor(parameters["factor"])
    if kind == "yarn":
        writer.add_rope_scaling_orig_ctx_len(parameters["original_max_position_embeddings"])
        for name, write in [("attention_factor", writer.add_rope_scaling_yarn_attn_factor),
                            ("beta_fast", writer.add_rope_scaling_yarn_beta_fast),
                            ("beta_slow", writer.add_rope_scaling_yarn_beta_slow)]:  # fmt: skip
            if parameters.get(name) is not None:
                write(parameters[name])
    writer.add_rope_freq_base(parameters["rope_theta"])
    if "sliding_attention" in config.rope_parameters:
        writer.add_rope_freq_base_swa(config.rope_parameters["sliding_attention"]["rope_theta"])


def counts(writer, config):
    """Of experts."""
    writer.add_expert_count(config.num_local_experts)
    writer.add_expert_used_count(config.num_experts_per_tok)


def llama(writer, config):
    rms(writer, config)
    writer.add_vocab_size(config.vocab_size)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_rope_dimension_count(head_dim)
    if config.model_type in ("mixtral", "granitemoe"):
        counts(writer, config)
    if config.model_type in ("granite", "granitemoe"):
        writer.add_attention_scale(config.attention_multiplier)
        writer.add_embedding_scale(config.embedding_multiplier)
        writer.add_residual_scale(config.residual_multiplier)
        writer.add_logit_scale(config.logits_scaling)


def olmo(writer, config):
    rms(writer, config)
    if config.model_type == "olmoe":
        # The converter writes 1e-5, whatever the model has.
        counts(writer, config)
    if config.model_type == "olmo3":
        writer.add_sliding_window(config.sliding_window)
        writer.add_sliding_window_pattern([kind == "sliding_attention" for kind in config.layer_types])


def qwen3_moe(writer, config):
    rms(writer, config)
    counts(writer, config)
    writer.add_expert_feed_forward_length(config.moe_intermediate_size)


def gpt_oss(writer, config):
    rms(writer, config)
    counts(writer, config)
    writer.add_sliding_window(config.sliding_window)
    writer.add_expert_feed_forward_length(config.intermediate_size)


def gemma2(writer, config):
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
    writer.add_final_logit_softcapping(config.final_logit_softcapping)
    writer.add_sliding_window(config.sliding_window)


def phi3(writer, config):
    parameters, longest = config.rope_parameters, config.max_position_embeddings
    original = parameters.get("original_max_position_embeddings", config.original_max_position_embeddings)
    head_dim = config.hidden_size // config.num_attention_heads
    writer.add_rope_scaling_orig_ctx_len(original)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(int(head_dim * parameters["partial_rotary_factor"]))
    writer.add_rope_freq_base(parameters["rope_theta"])
    writer.add_sliding_window(config.sliding_window or 0)
    if parameters["rope_type"] == "longrope":
        writer.add_rope_scaling_attn_factors(np.sqrt(1 + np.log(longest / original) / np.log(original)))


def falcon(writer, config):
    """Sizes that the converter knows without looking."""
    writer.add_context_length(2048)
    writer.add_tensor_data_layout("jploski")
    writer.add_feed_forward_length(4 * config.hidden_size)
    # An older converter than that of 2026 got this right for a single head of keys and values.
    several = config.new_decoder_architecture or not config.multi_query
    writer.add_head_count_kv(config.num_kv_heads if several else 1)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)


def cohere(writer, config):
    rope(writer, config)
    writer.add_layer_norm_eps(config.layer_norm_eps)
    writer.add_logit_scale(config.logit_scale)
    writer.add_rope_scaling_type(gguf.RopeScalingType.NONE)


def stablelm(writer, config):
    head_dim = config.hidden_size // config.num_attention_heads
    writer.add_rope_dimension_count(int(config.rope_parameters["partial_rotary_factor"] * head_dim))
    writer.add_parallel_residual(config.use_parallel_residual)
    writer.add_layer_norm_eps(config.layer_norm_eps)


def qwen2(writer, config):
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)


def starcoder2(writer, config):
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_eps(config.norm_epsilon)


def gemma3(writer, config):
    rope = config.rope_parameters["full_attention"]
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_sliding_window(config.sliding_window)
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])


OF_FAMILY = {
    "llama": llama, "mistral": llama, "mixtral": llama, "smollm3": llama, "granite": llama, "granitemoe": llama,
    "qwen2": qwen2, "starcoder2": starcoder2, "gemma3_text": gemma3, "gemma2": gemma2, "qwen3": rms, "qwen3_moe": qwen3_moe,
    "olmo2": olmo, "olmo3": olmo, "olmoe": olmo, "phi3": phi3, "cohere": cohere, "stablelm": stablelm, "gpt_oss": gpt_oss,
}  # fmt: skip


# --- Layouts -------------------------------------------------------------------------------------------------


def laid_out(name, weight, config):
    family, heads = config.model_type, config.num_attention_heads
    if family in IN_PAIRS and ("q_proj" in name or "k_proj" in name):
        return pairs_side_by_side(weight, heads if "q_proj" in name else config.num_key_value_heads)
    if family in ("bloom", "gpt_neox") and "query_key_value" in name:
        # [heads, q k v, head size, ...] -> [q k v, heads, head size, ...]
        by_head = weight.reshape(heads, 3, config.hidden_size // heads, *weight.shape[1:])
        return by_head.swapaxes(0, 1).reshape(weight.shape)
    if family == "falcon" and "query_key_value" in name:
        # [heads of keys, their queries and a key and a value, head size, ...] -> queries, keys, values
        kv_heads = config.num_kv_heads if config.new_decoder_architecture else 1
        groups = weight.reshape(kv_heads, heads // kv_heads + 2, config.hidden_size // heads, *weight.shape[1:])
        apart = groups[:, :-2], groups[:, -2], groups[:, -1]
        return np.concatenate([part.reshape(-1, *weight.shape[1:]) for part in apart])
    if family == "gpt2" and name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
        return weight.T
    if family in ("gemma2", "gemma3_text") and name.endswith("norm.weight"):
        return weight + 1
    return weight


def pairs_side_by_side(weight, heads):
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def rope_factors(config):
    """What the converter stores for rope type llama3: by how much each frequency is divided."""
    rope, dim = config.rope_parameters, config.head_dim
    low, high, old = rope["low_freq_factor"], rope["high_freq_factor"], rope["original_max_position_embeddings"]
    factors = []
    for i in range(0, dim, 2):
        wavelength = 2 * np.pi * rope["rope_theta"] ** (i / dim)
        if wavelength < old / high:
            factors.append(1.0)
        elif wavelength > old / low:
            factors.append(rope["factor"])
        else:
            smooth = (old / wavelength - low) / (high - low)
            factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(factors, dtype=np.float32)
