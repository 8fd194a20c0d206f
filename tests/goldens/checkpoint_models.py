"""More toy models for make_checkpoints.py: configurations, types and rules, and their variants as published."""

import torch
from transformers import (
    CohereConfig,
    FalconConfig,
    Gemma2Config,
    GPTJConfig,
    GptOssConfig,
    GraniteConfig,
    GraniteMoeConfig,
    MistralConfig,
    MixtralConfig,
    Olmo2Config,
    Olmo3Config,
    OlmoeConfig,
    OPTConfig,
    Phi3Config,
    Qwen3Config,
    Qwen3MoeConfig,
    SmolLM3Config,
    StableLmConfig,
)

F32, F16, BF16 = torch.float32, torch.float16, torch.bfloat16
NORMS = [["norm.weight", 1.0, 1.0], ["ln_1.weight", 1.0, 1.0], ["ln_f.weight", 1.0, 1.0], ["ln_attn.weight", 1.0, 1.0],
         ["ln_mlp.weight", 1.0, 1.0], ["_layernorm.norms", 1.0, 1.0]]  # fmt: skip
GEMMA_NORMS = [["norm.weight", 1.0, 0.0]]
ROUTERS = [["gate.weight", 2.0, 0.0], ["router", 2.0, 0.0], ["linear.weight", 0.5, 0.0], ["sinks", 4.0, 0.0],
           ["_proj_bias", 1.0, 0.0], ["experts.gate_up_proj", 1.0, 0.0], ["experts.down_proj", 1.0, 0.0]]  # fmt: skip


def plain_rope(theta, **more):
    return {"rope_type": "default", "rope_theta": theta} | more


def shape(hidden, heads, kv_heads, inner, layers=2, **more):
    return {"vocab_size": 32, "bos_token_id": None, "eos_token_id": None, "pad_token_id": None, "hidden_size": hidden,
            "num_attention_heads": heads, "num_key_value_heads": kv_heads, "intermediate_size": inner,
            "num_hidden_layers": layers, "max_position_embeddings": 64} | more  # fmt: skip


def sizes(*of_parts, **more):
    return shape(*of_parts, **{"rms_norm_eps": 0.02} | more)


def yarn(**more):
    # Six frequencies: the first is kept, the last two are divided by four.
    return {"rope_type": "yarn", "rope_theta": 500.0, "factor": 4.0, "original_max_position_embeddings": 16,
            "beta_fast": 2.0, "beta_slow": 0.25} | more  # fmt: skip


def more_models():
    """Name, configuration, type of the stored weights, types of the GGUF's matrices, rules."""
    yield "qwen3", Qwen3Config(**sizes(
        12, 3, 1, 20, head_dim=6, tie_word_embeddings=True, rope_parameters=plain_rope(1000.0))), BF16, "BF16", NORMS  # fmt: skip
    yield "gemma2", Gemma2Config(**sizes(
        12, 4, 2, 20, layers=3, head_dim=6, query_pre_attn_scalar=6, sliding_window=5, attn_logit_softcapping=4.0,
        final_logit_softcapping=2.5, rope_parameters=plain_rope(10000.0))), BF16, "BF16", GEMMA_NORMS  # fmt: skip
    # Wider than the prompt, as it is not in the GGUF file.
    yield "mistral", MistralConfig(**sizes(
        12, 2, 1, 20, head_dim=8, sliding_window=48, rope_parameters=plain_rope(1000.0))), F16, "F16", NORMS  # fmt: skip
    yield "olmo2", Olmo2Config(**sizes(12, 3, 3, 20, rope_parameters=plain_rope(1000.0))), F32, "F32", NORMS
    # In older files the layers with windows have this base, whatever base is written.
    yield "olmo3", Olmo3Config(**sizes(16, 2, 1, 20, layers=4, sliding_window=5, max_position_embeddings=65536, rope_parameters={
        "full_attention": {"rope_type": "yarn", "rope_theta": 500000.0, "factor": 8.0, "beta_fast": 32.0, "beta_slow": 1.0,
                           "original_max_position_embeddings": 8192, "attention_factor": 1.2079441541679836},
        "sliding_attention": plain_rope(500000.0)})), BF16, "BF16", NORMS  # fmt: skip
    # llama.cpp takes no notice of its window, which is in the GGUF file.
    yield "phi3", Phi3Config(**sizes(12, 2, 2, 20, sliding_window=5, rope_parameters=plain_rope(1000.0))), F16, "F16", NORMS
    # The prompt is longer than the original context.
    yield "phi4-mini", Phi3Config(**sizes(
        16, 2, 1, 20, tie_word_embeddings=True, original_max_position_embeddings=8, partial_rotary_factor=0.75,
        rope_parameters={"rope_type": "longrope", "rope_theta": 1000.0, "short_factor": [1.0, 1.1, 1.3],
                         "long_factor": [1.2, 2.5, 6.0], "original_max_position_embeddings": 8})), F16, "F16", NORMS  # fmt: skip
    # Every fourth layer is without positions, as llama.cpp takes it to be.
    yield "smollm3", SmolLM3Config(**sizes(
        18, 3, 1, 20, layers=4, tie_word_embeddings=True, rope_parameters=plain_rope(1000.0))), BF16, "BF16", NORMS  # fmt: skip
    multipliers = {"embedding_multiplier": 3.0, "attention_multiplier": 0.3, "residual_multiplier": 0.7,
                   "logits_scaling": 0.5}  # fmt: skip
    yield "granite", GraniteConfig(**sizes(
        12, 3, 1, 20, tie_word_embeddings=True, rope_parameters=plain_rope(1000.0)) | multipliers), F16, "F16", NORMS  # fmt: skip
    yield from odd_models()
    yield "qwen3-moe", Qwen3MoeConfig(**sizes(
        12, 3, 1, 20, head_dim=6, moe_intermediate_size=10, num_experts=5, num_experts_per_tok=2, norm_topk_prob=True,
        rope_parameters=plain_rope(1000.0))), BF16, "BF16", ROUTERS + NORMS  # fmt: skip
    yield "mixtral", MixtralConfig(**sizes(
        12, 2, 1, 14, num_local_experts=4, num_experts_per_tok=2, rope_parameters=plain_rope(1000.0))), BF16, "BF16", (
            ROUTERS + NORMS)  # fmt: skip
    yield "olmoe", OlmoeConfig(**sizes(
        12, 3, 3, 14, rms_norm_eps=1e-5, num_experts=5, num_experts_per_tok=3, rope_parameters=plain_rope(1000.0))), F16, "F16", (
            ROUTERS + NORMS)  # fmt: skip
    yield "granitemoe", GraniteMoeConfig(**sizes(
        12, 3, 1, 14, num_local_experts=4, num_experts_per_tok=2, tie_word_embeddings=True,
        rope_parameters=plain_rope(1000.0)) | multipliers), F16, "F16", ROUTERS + NORMS  # fmt: skip
    yield "gpt-oss", GptOssConfig(**sizes(
        12, 2, 1, 14, head_dim=12, num_local_experts=4, num_experts_per_tok=2, sliding_window=5,
        rope_parameters=yarn(truncate=False))), BF16, "BF16", ROUTERS + NORMS  # fmt: skip


def odd_models():
    tokens = {"vocab_size": 32, "bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    yield "gptj", GPTJConfig(**tokens, n_embd=16, n_head=2, n_layer=2, n_positions=24, rotary_dim=6,
                             layer_norm_epsilon=0.02), F16, None, NORMS  # fmt: skip
    opt = tokens | {"num_attention_heads": 2, "num_hidden_layers": 2, "max_position_embeddings": 24, "ffn_dim": 20}
    yield "opt", OPTConfig(**opt, hidden_size=12), F16, None, NORMS
    yield "opt-350m", OPTConfig(**opt, hidden_size=12, word_embed_proj_dim=8, do_layer_norm_before=False), F16, None, NORMS
    falcon = tokens | {"num_hidden_layers": 2, "layer_norm_epsilon": 0.02, "max_position_embeddings": 2048}
    yield "falcon-rw", FalconConfig(**falcon, hidden_size=36, num_attention_heads=18, ffn_hidden_size=40, alibi=True, multi_query=False,
                                    parallel_attn=False, bias=True), F16, None, NORMS  # fmt: skip
    yield "falcon-7b", FalconConfig(**falcon, hidden_size=12, num_attention_heads=3), BF16, "BF16", NORMS
    yield "falcon-40b", FalconConfig(**falcon, hidden_size=16, num_attention_heads=4, num_kv_heads=2,
                                     new_decoder_architecture=True), BF16, "BF16", NORMS  # fmt: skip
    cohere = {"layer_norm_eps": 0.02, "tie_word_embeddings": True, "rope_parameters": plain_rope(1000.0)}
    yield "cohere", CohereConfig(**shape(12, 3, 1, 20, logit_scale=0.625) | cohere), F16, "F16", NORMS
    yield "cohere-plus", CohereConfig(**shape(12, 2, 1, 20, use_qk_norm=True, logit_scale=0.75) | cohere), F16, "F16", NORMS
    stablelm = {"layer_norm_eps": 0.02, "rope_parameters": plain_rope(10000.0, partial_rotary_factor=0.5)}
    yield "stablelm", StableLmConfig(**shape(16, 2, 1, 20, use_qkv_bias=True) | stablelm), F16, "F16", NORMS
    yield "stablelm-12b", StableLmConfig(**shape(
        16, 4, 2, 20, qk_layernorm=True, use_parallel_residual=True) | stablelm), BF16, "BF16", NORMS  # fmt: skip


# --- config.json as published: transformers 4 wrote other keys --------------------------------------------------


def older(config, rope, *dropped, **more):
    """`rope_parameters` as `rope_theta` and `rope_scaling`."""
    kept = {key: value for key, value in config.items() if key not in ("rope_parameters", "dtype", *dropped)}
    theta = config["rope_parameters"].get("full_attention", config["rope_parameters"])["rope_theta"]
    return kept | {"rope_theta": theta, "rope_scaling": rope, "torch_dtype": "bfloat16"} | more


def scaling(config, *dropped):
    rope = config["rope_parameters"].get("full_attention", config["rope_parameters"])
    return {key: value for key, value in rope.items() if key not in ("rope_theta", "partial_rotary_factor", *dropped)}


PUBLISHED = {
    "qwen3": lambda c: older(c, None, "layer_types", max_window_layers=2, sliding_window=None, use_sliding_window=False),
    "gemma2": lambda c: older(c, None, "layer_types", "tie_word_embeddings", "attention_bias", hidden_act="gelu_pytorch_tanh",
                              cache_implementation="hybrid", transformers_version="4.42.0.dev0"),
    "olmo3": lambda c: older(c, scaling(c), "tie_word_embeddings", "attention_bias", transformers_version="4.57.0"),
    "phi3": lambda c: older(c, None, auto_map={"AutoConfig": "configuration_phi3.Phi3Config"}, tie_word_embeddings=False),
    "phi4-mini": lambda c: older(c, scaling(c, "rope_type", "original_max_position_embeddings") | {"type": "longrope"},
                                 full_attn_mod=1, interpolate_factor=1, lm_head_bias=False, mlp_bias=False),
    "smollm3": lambda c: older(c, None, max_window_layers=28, no_rope_layers=[1, 1, 1, 0], layer_types=["full_attention"] * 4),
    "gptj": lambda c: {key: value for key, value in c.items() if key not in ("dtype", "n_inner")} | {
        "rotary": True, "n_ctx": 24, "gradient_checkpointing": False, "scale_attn_weights": True, "n_inner": None,
        "summary_type": "cls_index", "summary_use_proj": True, "model_type": "gptj"},
    "opt-350m": lambda c: {key: value for key, value in c.items() if key not in ("dtype", "tie_word_embeddings")} | {
        "prefix": "</s>", "_remove_final_layer_norm": False, "activation_dropout": 0.0},
    "falcon-7b": lambda c: {key: value for key, value in c.items()
                            if key not in ("dtype", "rope_parameters", "max_position_embeddings", "num_kv_heads", "activation",
                                           "ffn_hidden_size", "tie_word_embeddings", "num_ln_in_parallel_attn")} | {
        "apply_residual_connection_post_layernorm": False},
    "olmoe": lambda c: older(c, None, "head_dim", clip_qkv=None),
    "granitemoe": lambda c: older(c, None, "head_dim"),
    "mixtral": lambda c: older(c, None, "head_dim", sliding_window=None, router_jitter_noise=0.0),
    "gpt-oss": lambda c: older(c, scaling(c), "swiglu_alpha", experts_per_token=2, initial_context_length=16),
}  # fmt: skip
