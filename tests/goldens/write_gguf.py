"""A transformers model as the GGUF file that llama.cpp's convert_hf_to_gguf.py makes of it, for the scripts beside this one.

Names and metadata keys are those of the gguf package; layouts are those of the converter: Llama's queries and keys with
rotary pairs side by side, fused queries, keys and values of BLOOM and GPT-NeoX one after the other instead of head by
head, GPT-2's matrices transposed, 1 added to Gemma's norm weights, llama3 rope scaling as a tensor of factors. Vectors,
norms and learned positions stay F32; a matrix whose rows do not fit the blocks of a quantization becomes F16.

Not in such files, because the converter leaves them out: the windows of StarCoder2 and Qwen2, the scale of Gemma's
queries, Gemma's local rope base and layer pattern, GPT-NeoX's rope base. llama.cpp has no GPT-Neo.
"""

import gguf
import numpy as np

ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "starcoder2": gguf.MODEL_ARCH.STARCODER2,
    "bloom": gguf.MODEL_ARCH.BLOOM,
    "gpt2": gguf.MODEL_ARCH.GPT2,
    "gpt_neox": gguf.MODEL_ARCH.GPTNEOX,
    "gemma3_text": gguf.MODEL_ARCH.GEMMA3,
}
FILE_TYPES = {
    "F32": gguf.LlamaFileType.ALL_F32,
    "F16": gguf.LlamaFileType.MOSTLY_F16,
    "BF16": gguf.LlamaFileType.MOSTLY_BF16,
    "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
}


def write_gguf(path, model, kind="F32", bloom_output=True):
    """`bloom_output`: older converters write BLOOM's embedding a second time, as `output.weight`."""
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
        # For BLOOM the package knows the names without prefix, as its published checkpoints have them.
        known = name.removeprefix("transformer.") if config.model_type == "bloom" else name
        add(writer, names.get_name(known, try_suffixes=(".weight", ".bias")), laid_out(name, weight, config), kind)
        if name == "transformer.word_embeddings.weight" and bloom_output:
            add(writer, "output.weight", weight, kind)
    if config.model_type == "llama" and config.rope_parameters["rope_type"] == "llama3":
        add(writer, "rope_freqs.weight", rope_factors(config), "F32")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tensors(model):
    """What a saved checkpoint holds, as f32 arrays: tied tensors once."""
    for name, parameter in model.named_parameters():
        yield name, parameter.detach().float().numpy()


def add(writer, name, weight, kind):
    assert name, "the gguf package knows no such tensor"
    weight = np.ascontiguousarray(weight, dtype=np.float32)
    if weight.ndim == 1 or name.endswith("_norm.weight") or name == "position_embd.weight":
        kind = "F32"
    block, _ = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    if weight.shape[-1] % block:
        kind = "F16"
    kind = gguf.GGMLQuantizationType[kind]
    writer.add_tensor(name, gguf.quants.quantize(weight, kind), raw_dtype=kind)


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
    else:
        writer.add_context_length(config.max_position_embeddings)
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count_kv(config.num_key_value_heads)
        {"llama": llama, "qwen2": qwen2, "starcoder2": starcoder2, "gemma3_text": gemma3}[family](writer, config)


def llama(writer, config):
    rope, head_dim = config.rope_parameters, config.head_dim
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_vocab_size(config.vocab_size)
    writer.add_rope_dimension_count(head_dim)
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])


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


# --- Layouts -------------------------------------------------------------------------------------------------


def laid_out(name, weight, config):
    family, heads = config.model_type, config.num_attention_heads
    if family == "llama" and ("q_proj" in name or "k_proj" in name):
        return pairs_side_by_side(weight, heads if "q_proj" in name else config.num_key_value_heads)
    if family in ("bloom", "gpt_neox") and "query_key_value" in name:
        # [heads, q k v, head size, ...] -> [q k v, heads, head size, ...]
        by_head = weight.reshape(heads, 3, config.hidden_size // heads, *weight.shape[1:])
        return by_head.swapaxes(0, 1).reshape(weight.shape)
    if family == "gpt2" and name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
        return weight.T
    if family == "gemma3_text" and name.endswith("norm.weight"):
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
