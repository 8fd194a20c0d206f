"""The models of make_families.py: configurations, and rules by which their weights are drawn (drawn.py).

Each has what sets its family apart, in sizes that are not those of any other: heads that do not fill the width, fewer heads
of keys and values, widths that are no round numbers, windows that a prompt fills and windows that it does not.
"""

from transformers import (
    BloomConfig,
    CohereConfig,
    FalconConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTJConfig,
    GPTNeoConfig,
    GPTNeoXConfig,
    GptOssConfig,
    GraniteConfig,
    GraniteMoeConfig,
    LlamaConfig,
    MinistralConfig,
    MistralConfig,
    MixtralConfig,
    Olmo2Config,
    Olmo3Config,
    OlmoeConfig,
    OPTConfig,
    Phi3Config,
    Qwen2Config,
    Qwen3Config,
    Qwen3MoeConfig,
    SmolLM3Config,
    StableLmConfig,
    Starcoder2Config,
)

MASKS = ["TTF", "FTF", "FFT", "TFF", "TTT"]


def all_cells(n_layers):
    """(profile, mask, from_layer); `all` and `none` are the same in both profiles."""
    yield "exact", "none", n_layers
    for profile in ("exact", "sia2024"):
        for mask in MASKS + (["all"] if profile == "exact" else []):
            for from_layer in (0, n_layers // 2, n_layers - 1):
                yield profile, mask, from_layer


def few_cells(n_layers):
    yield "exact", "none", n_layers
    yield "exact", "TTF", 0
    yield "sia2024", "FTF", 1


def common(vocab=64, **more):
    # Without an end token nothing stops a generation early.
    return {"vocab_size": vocab, "bos_token_id": None, "eos_token_id": None, "pad_token_id": None} | more


def llama3_rope(factor):
    return {"rope_type": "llama3", "rope_theta": 500000.0, "factor": factor, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}  # fmt: skip


def plain_rope(theta, **more):
    return {"rope_type": "default", "rope_theta": theta} | more


def parts(bos, instructions, examples, query):
    """Segments by their lengths."""
    edges = [0, bos, bos + instructions, bos + instructions + examples, bos + instructions + examples + query]
    return dict(zip(("bos", "instructions", "examples", "query"), map(list, zip(edges, edges[1:]))))


RMS_NORMS = [["norm", 1.0, 1.0]]
LAYER_NORMS = [["ln_1.weight", 1.0, 1.0], ["ln_2.weight", 1.0, 1.0], ["ln_f.weight", 1.0, 1.0],
               ["norm.weight", 1.0, 1.0]]  # fmt: skip
# Queries and keys wide enough that attention is far from uniform.
SHARP = [["q_proj.weight", 0.5, 0.0], ["k_proj.weight", 0.5, 0.0]]


def gemma3(**more):
    # Gemma adds 1 to the weights of its norms.
    rules = [["q_norm", 1.0, 0.5], ["k_norm", 1.0, 0.5], ["norm", 1.0, 0.0], ["embed", 0.25, 0.0]]
    return Gemma3TextConfig(**common(
        hidden_size=64, num_attention_heads=2, num_key_value_heads=1, intermediate_size=96, num_hidden_layers=6,
        max_position_embeddings=1024, rms_norm_eps=0.02) | more), rules  # fmt: skip


def starcoder2(**more):
    return Starcoder2Config(**common(
        hidden_size=256, num_attention_heads=2, num_key_value_heads=1, intermediate_size=256, num_hidden_layers=3,
        max_position_embeddings=16384, norm_epsilon=0.02, rope_parameters=plain_rope(999999.4420358813),
        use_bias=True, tie_word_embeddings=True) | more), LAYER_NORMS + SHARP + [["embed", 0.5, 0.0]]  # fmt: skip


def gpt_neox(**more):
    return GPTNeoXConfig(**common(
        hidden_size=192, num_attention_heads=3, intermediate_size=256, num_hidden_layers=3, layer_norm_eps=0.02,
        max_position_embeddings=2048, rope_parameters=plain_rope(10000.0, partial_rotary_factor=0.25),
        hidden_act="gelu", tie_word_embeddings=False) | more
    ), LAYER_NORMS + [["query_key_value.weight", 0.5, 0.0], ["embed_in", 4.0, 0.0]]  # fmt: skip


def models():
    """name, (configuration, rules for the weights), segments, by how much the study's lengths are off, cells."""
    yield from first_models()
    yield from dense_models()
    yield from odd_models()
    yield from expert_models()


def first_models():
    small = parts(0, 8, 22, 10)
    yield "llama-2", (LlamaConfig(**common(
        hidden_size=256, num_attention_heads=2, num_key_value_heads=2, intermediate_size=256, num_hidden_layers=3,
        max_position_embeddings=4096, rms_norm_eps=0.02, tie_word_embeddings=False, rope_parameters=plain_rope(10000.0),
    )), RMS_NORMS + SHARP[1:] + [["embed", 4.0, 0.0]]), parts(1, 8, 21, 10), (0, -1, -1), all_cells  # fmt: skip
    yield "llama-3.1", (LlamaConfig(**common(
        hidden_size=64, num_attention_heads=4, num_key_value_heads=1, head_dim=128, intermediate_size=96,
        num_hidden_layers=3, max_position_embeddings=131072, rms_norm_eps=0.02, tie_word_embeddings=False,
        rope_parameters=llama3_rope(8.0),
    )), RMS_NORMS + SHARP + [["embed", 4.0, 0.0]]), parts(1, 9, 22, 10), (-1, 0, -1), all_cells  # fmt: skip
    yield "llama-3.2", (LlamaConfig(**common(
        hidden_size=128, num_attention_heads=4, num_key_value_heads=1, head_dim=64, intermediate_size=160,
        num_hidden_layers=3, max_position_embeddings=131072, rms_norm_eps=0.02, tie_word_embeddings=True,
        rope_parameters=llama3_rope(32.0),
    )), RMS_NORMS + SHARP + [["embed", 0.5, 0.0]]), parts(1, 8, 21, 10), (-1, -1, 0), all_cells  # fmt: skip
    qwen2 = common(
        hidden_size=448, num_attention_heads=7, num_key_value_heads=1, intermediate_size=256, num_hidden_layers=3,
        max_position_embeddings=32768, rms_norm_eps=0.02, tie_word_embeddings=True, rope_parameters=plain_rope(1e6),
    )  # fmt: skip
    rules = RMS_NORMS + [["q_proj.weight", 0.25, 0.0], ["k_proj.weight", 0.5, 0.0], ["embed", 0.5, 0.0]]
    yield "qwen2", (Qwen2Config(**qwen2), rules), small, (1, 0, 1), all_cells
    yield "qwen2-window", (Qwen2Config(**qwen2 | {
        "use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1,
    }), rules), small, (0, -1, -1), all_cells  # fmt: skip
    yield "gpt-neo", (GPTNeoConfig(**common(
        hidden_size=256, num_heads=2, num_layers=4, attention_types=[[["global", "local"], 2]], window_size=256,
        intermediate_size=256, max_position_embeddings=512, layer_norm_epsilon=0.02, tie_word_embeddings=True,
        # Its scores are not divided by the root of the head size.
    )), LAYER_NORMS + [["q_proj", 0.125, 0.0], ["k_proj", 0.125, 0.0], ["wte", 0.5, 0.0], ["wpe", 1.0, 0.0]]), parts(
        0, 42, 230, 18), (1, -1, 0), all_cells  # fmt: skip
    yield "bloom", (BloomConfig(**common(
        hidden_size=240, n_head=3, n_layer=3, layer_norm_epsilon=0.02, tie_word_embeddings=True,
    )), [["layernorm.weight", 1.0, 1.0], ["ln_f.weight", 1.0, 1.0], ["query_key_value.weight", 0.5, 0.0],
         ["word_embeddings.weight", 0.5, 0.0]]), small, (0, 1, -1), all_cells  # fmt: skip
    yield "starcoder2-short", starcoder2(sliding_window=24), small, (1, 0, -1), all_cells
    yield "starcoder2", starcoder2(sliding_window=4096, num_hidden_layers=2), parts(0, 60, 4040, 12), (0, -1, -1), few_cells
    yield "gpt2", (GPT2Config(**common(
        n_embd=192, n_head=3, n_layer=3, n_positions=1024, layer_norm_epsilon=0.02, n_inner=256,
    )), LAYER_NORMS + [["c_attn.weight", 0.5, 0.0], ["wte", 0.5, 0.0], ["wpe", 1.0, 0.0]]), small, (0, 0, -1), all_cells  # fmt: skip
    yield "gpt-neox", gpt_neox(), small, (-1, 0, 0), all_cells
    yield "gpt-neox-serial", gpt_neox(use_parallel_residual=False), small, (0, -1, 1), all_cells
    yield "gemma3", gemma3(
        head_dim=256, sliding_window=512, query_pre_attn_scalar=256,
        rope_parameters={"full_attention": plain_rope(1e6), "sliding_attention": plain_rope(1e4)},
    ), parts(1, 34, 484, 22), (-1, 0, -1), all_cells  # fmt: skip
    yield "gemma3-short", gemma3(
        head_dim=128, sliding_window=8, query_pre_attn_scalar=168, num_hidden_layers=6,
        rope_parameters={
            "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
            "sliding_attention": plain_rope(1e4),
        },
    ), parts(1, 8, 21, 10), (0, -1, 0), all_cells  # fmt: skip


def yarn(theta, **more):
    return {"rope_type": "yarn", "rope_theta": theta} | more


def shape(hidden, heads, kv_heads, inner, layers=3, **more):
    return common(hidden_size=hidden, num_attention_heads=heads, num_key_value_heads=kv_heads, intermediate_size=inner,
                  num_hidden_layers=layers) | more  # fmt: skip


def sizes(*of_parts, **more):
    return shape(*of_parts, **{"rms_norm_eps": 0.02} | more)


WIDE, WIDER = [["q_proj.weight", 1.0, 0.0], ["k_proj.weight", 1.0, 0.0]], [["qkv_proj.weight", 0.75, 0.0]]
# The norms of queries and keys, where there are any, set how sharp attention is.
QK_NORMS = [["q_norm", 1.0, 1.5], ["k_norm", 1.0, 1.5]] + RMS_NORMS
# Small where a multiplier makes it large: a token would be followed by itself.
TIED, UNTIED, MULTIPLIED = [["embed", 0.5, 0.0]], [["embed", 4.0, 0.0]], [["embed", 0.0625, 0.0]]


def dense_models():
    """Families that are laid out much as Llama is."""
    yield "qwen3", (Qwen3Config(**sizes(
        72, 6, 2, 106, head_dim=20, tie_word_embeddings=True, rope_parameters=plain_rope(1e6),
        max_position_embeddings=40960,
    )), QK_NORMS + TIED), parts(0, 8, 22, 10), (1, 0, -1), all_cells  # fmt: skip
    # Four of twelve frequencies are kept, four are divided, the others lie between.
    yield "qwen3-yarn", (Qwen3Config(**sizes(
        56, 4, 4, 84, layers=4, head_dim=24, max_position_embeddings=131072, use_sliding_window=True, sliding_window=12,
        max_window_layers=1, rope_parameters=yarn(1e6, factor=4.0, original_max_position_embeddings=32768),
    )), QK_NORMS + UNTIED), parts(0, 9, 21, 10), (0, -1, 0), all_cells  # fmt: skip
    mistral = {"max_position_embeddings": 32768, "rope_parameters": plain_rope(10000.0)}
    # Its window is longer than the prompt, and shorter than prompt and answer.
    yield "mistral", (MistralConfig(**sizes(84, 6, 3, 124, sliding_window=44) | mistral), RMS_NORMS + SHARP + UNTIED), parts(
        1, 8, 21, 11), (0, -1, -1), all_cells  # fmt: skip
    yield "mistral-short", (MistralConfig(**sizes(84, 6, 2, 124, sliding_window=11) | mistral),
        RMS_NORMS + SHARP + UNTIED), parts(1, 8, 21, 10), (-1, 0, -1), all_cells  # fmt: skip
    yield "mistral-v0.3", (MistralConfig(**sizes(
        60, 4, 2, 100, head_dim=22, sliding_window=None, max_position_embeddings=32768, rope_parameters=plain_rope(1e6),
    )), RMS_NORMS + SHARP + UNTIED), parts(1, 9, 20, 10), (0, 0, -1), all_cells  # fmt: skip
    yield "ministral", (MinistralConfig(**sizes(
        52, 4, 1, 92, layers=4, head_dim=18, sliding_window=10, max_position_embeddings=32768,
        layer_types=["full_attention", "sliding_attention", "sliding_attention", "full_attention"],
        rope_parameters=plain_rope(1e6),
    )), RMS_NORMS + SHARP + UNTIED), parts(1, 8, 22, 9), (0, -1, 1), all_cells  # fmt: skip
    yield "gemma2", gemma2(
        head_dim=26, query_pre_attn_scalar=40, sliding_window=4096, attn_logit_softcapping=50.0,
        final_logit_softcapping=30.0), parts(1, 8, 22, 10), (-1, 0, -1), all_cells  # fmt: skip
    yield "gemma2-short", gemma2(
        head_dim=18, query_pre_attn_scalar=18, sliding_window=9, attn_logit_softcapping=4.0,
        final_logit_softcapping=2.5), parts(1, 8, 21, 10), (0, -1, 0), all_cells  # fmt: skip
    yield "olmo2", (Olmo2Config(**sizes(
        84, 6, 2, 100, max_position_embeddings=4096, rope_parameters=plain_rope(500000.0),
    )), QK_NORMS + UNTIED), parts(0, 9, 21, 10), (0, 0, -1), all_cells  # fmt: skip
    yield "olmo3", (Olmo3Config(**sizes(
        72, 4, 2, 116, layers=4, sliding_window=10, max_position_embeddings=65536, rope_parameters={
            "full_attention": yarn(500000.0, factor=8.0, original_max_position_embeddings=8192, beta_fast=32.0,
                                   beta_slow=1.0, attention_factor=1.2079441541679836),
            "sliding_attention": plain_rope(500000.0),
        },
    )), QK_NORMS + UNTIED), parts(0, 8, 22, 10), (1, -1, 0), all_cells  # fmt: skip
    yield "smollm3", (SmolLM3Config(**sizes(
        60, 5, 1, 92, layers=4, no_rope_layer_interval=2, tie_word_embeddings=True, max_position_embeddings=65536,
        rope_parameters=plain_rope(5e6),
    )), RMS_NORMS + WIDE + TIED), parts(0, 8, 22, 10), (0, -1, -1), all_cells  # fmt: skip
    yield "granite", (GraniteConfig(**sizes(
        72, 4, 2, 108, max_position_embeddings=4096, tie_word_embeddings=True, rope_parameters=plain_rope(10000.0),
        embedding_multiplier=12.0, attention_multiplier=0.11, residual_multiplier=0.4, logits_scaling=0.3,
    )), RMS_NORMS + WIDE + MULTIPLIED), parts(0, 9, 22, 9), (0, -1, 1), all_cells  # fmt: skip
    yield from phi3_models()


def gemma2(**more):
    # Gemma adds 1 to the weights of its norms.
    rules = [["norm", 1.0, 0.0], *WIDE, ["embed", 0.25, 0.0]]
    return Gemma2Config(**sizes(
        60, 4, 2, 84, layers=4, max_position_embeddings=8192, rope_parameters=plain_rope(10000.0)) | more), rules  # fmt: skip


def longrope(pairs, original, **more):
    factors = [round(1 + 0.07 * i + 0.011 * i * i, 4) for i in range(pairs)]
    return {"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": original,
            "short_factor": [round(0.8 + 0.03 * i, 4) for i in range(pairs)],
            "long_factor": [round(1.2 * f * f, 4) for f in factors]} | more  # fmt: skip


def phi3_models():
    """Which list of factors holds, the length tells."""
    yield "phi3", (Phi3Config(**sizes(
        66, 3, 3, 90, sliding_window=17, max_position_embeddings=4096, rope_parameters=plain_rope(10000.0),
    )), RMS_NORMS + WIDER + UNTIED), parts(1, 8, 21, 10), (0, -1, -1), all_cells  # fmt: skip
    yield "phi3-long", (Phi3Config(**sizes(
        72, 4, 4, 100, max_position_embeddings=192, original_max_position_embeddings=6,
        rope_parameters=longrope(9, 6),
    )), RMS_NORMS + [["qkv_proj.weight", 0.5, 0.0]] + UNTIED), parts(1, 9, 20, 10), (0, 0, -1), all_cells  # fmt: skip
    phi4_mini = sizes(
        72, 3, 1, 116, sliding_window=262144, tie_word_embeddings=True, max_position_embeddings=131072,
        partial_rotary_factor=0.75)  # fmt: skip
    rules = RMS_NORMS + WIDER + TIED
    yield "phi4-mini", (Phi3Config(**phi4_mini | {
        "original_max_position_embeddings": 4096, "rope_parameters": longrope(9, 4096),
    }), rules), parts(0, 8, 22, 10), (0, -1, 1), all_cells  # fmt: skip
    # The answer begins with the short factors and ends with the long ones: all rows are computed again then.
    yield "phi4-mini-crossing", (Phi3Config(**phi4_mini | {
        "original_max_position_embeddings": 44, "max_position_embeddings": 1024, "rope_parameters": longrope(9, 44),
    }), rules), parts(0, 8, 22, 10), (1, 0, -1), all_cells  # fmt: skip


def odd_models():
    """Families with a layout of their own."""
    small = parts(0, 8, 22, 10)
    yield "gptj", (GPTJConfig(**common(
        n_embd=72, n_head=4, n_layer=3, n_positions=128, rotary_dim=10, n_inner=100, layer_norm_epsilon=0.02,
    )), LAYER_NORMS + SHARP + [["wte", 4.0, 0.0]]), small, (0, -1, 0), all_cells  # fmt: skip
    # Its norms' epsilon cannot be set.
    opt = {"num_hidden_layers": 3, "max_position_embeddings": 96}
    rules = LAYER_NORMS + WIDE + [["embed_tokens", 1.0, 0.0], ["embed_positions", 1.0, 0.0]]
    yield "opt", (OPTConfig(**common(hidden_size=60, num_attention_heads=5, ffn_dim=100) | opt), rules), parts(
        1, 8, 21, 10), (0, 0, -1), all_cells  # fmt: skip
    yield "opt-350m", (OPTConfig(**common(
        hidden_size=72, num_attention_heads=4, ffn_dim=92, word_embed_proj_dim=36, do_layer_norm_before=False) | opt),
        rules), parts(1, 9, 21, 10), (-1, 0, -1), all_cells  # fmt: skip
    falcon = {"num_hidden_layers": 3, "layer_norm_epsilon": 0.02, "max_position_embeddings": 2048}
    norms = [["ln_", 1.0, 1.0], ["layernorm.weight", 1.0, 1.0]]
    rules = [["ln_f.bias", 1.0, 0.0], ["ln_attn.bias", 1.0, 0.0], ["ln_mlp.bias", 1.0, 0.0], *norms,
             ["query_key_value.weight", 0.75, 0.0], ["self_attention.dense.weight", 1.0, 0.0], ["word_embeddings", 0.5, 0.0]]  # fmt: skip
    # So many heads that some slopes are no powers of two, which matters: ALiBi is rounded to bfloat16 before it is added.
    yield "falcon-rw", (FalconConfig(**common(
        hidden_size=108, num_attention_heads=18, alibi=True, multi_query=False, parallel_attn=False, bias=True) | falcon),
        rules), small, (1, 0, -1), all_cells  # fmt: skip
    yield "falcon-7b", (FalconConfig(**common(
        hidden_size=70, num_attention_heads=5, multi_query=True, parallel_attn=True, bias=False) | falcon),
        rules), small, (0, -1, -1), all_cells  # fmt: skip
    yield "falcon-40b", (FalconConfig(**common(
        hidden_size=84, num_attention_heads=6, num_kv_heads=2, new_decoder_architecture=True, ffn_hidden_size=150) | falcon),
        rules), small, (0, 0, -1), all_cells  # fmt: skip
    yield "falcon-11b", (FalconConfig(**common(
        hidden_size=72, num_attention_heads=6, num_kv_heads=3, new_decoder_architecture=True,
        num_ln_in_parallel_attn=1, ffn_hidden_size=100, rope_parameters=plain_rope(500042.0)) | falcon),
        rules), small, (-1, 0, -1), all_cells  # fmt: skip
    cohere = {"layer_norm_eps": 0.02, "max_position_embeddings": 8192, "tie_word_embeddings": True}
    yield "cohere", (CohereConfig(**shape(
        84, 6, 6, 108, logit_scale=0.625, rope_parameters=plain_rope(8e6)) | cohere),
        RMS_NORMS + SHARP + TIED), parts(1, 8, 21, 10), (0, -1, -1), all_cells  # fmt: skip
    yield "cohere-plus", (CohereConfig(**shape(
        72, 4, 2, 92, use_qk_norm=True, logit_scale=0.8333333, rope_parameters=plain_rope(75e6)) | cohere),
        QK_NORMS + TIED), parts(1, 8, 22, 10), (0, 0, -1), all_cells  # fmt: skip
    stablelm = {"layer_norm_eps": 0.02, "max_position_embeddings": 4096}
    yield "stablelm", (StableLmConfig(**shape(
        72, 3, 1, 100, use_qkv_bias=True, rope_parameters=plain_rope(10000.0, partial_rotary_factor=0.25)) | stablelm),
        LAYER_NORMS + SHARP + UNTIED), small, (0, -1, 1), all_cells  # fmt: skip
    rules = [["q_layernorm", 1.0, 1.5], ["k_layernorm", 1.0, 1.5]] + LAYER_NORMS + UNTIED
    yield "stablelm-2-12b", (StableLmConfig(**shape(
        88, 4, 2, 92, qk_layernorm=True, use_parallel_residual=True,
        rope_parameters=plain_rope(10000.0, partial_rotary_factor=0.4)) | stablelm), rules), small, (0, -1, 0), all_cells  # fmt: skip


def expert_models():
    """Mixtures of experts. Routers are sharp enough that no other program need choose other experts."""
    qwen3_moe = {"moe_intermediate_size": 28, "num_experts": 7, "num_experts_per_tok": 3, "norm_topk_prob": True}
    routers = [["gate.weight", 1.0, 0.0], ["router", 1.0, 0.0]]
    yield "qwen3-moe", (Qwen3MoeConfig(**sizes(
        60, 4, 2, 52, head_dim=18, mlp_only_layers=[1], max_position_embeddings=40960, rope_parameters=plain_rope(1e6),
    ) | qwen3_moe), routers + QK_NORMS + UNTIED), parts(0, 8, 22, 10), (0, -1, -1), all_cells  # fmt: skip
    yield "mixtral", (MixtralConfig(**sizes(
        52, 4, 2, 44, head_dim=18, num_local_experts=5, num_experts_per_tok=2, sliding_window=14,
        max_position_embeddings=32768, rope_parameters=plain_rope(1e6),
    )), routers + RMS_NORMS + WIDE + UNTIED), parts(1, 8, 21, 10), (0, 0, -1), all_cells  # fmt: skip
    yield "olmoe", (OlmoeConfig(**sizes(
        60, 6, 3, 36, num_experts=6, num_experts_per_tok=2, clip_qkv=2.0, max_position_embeddings=4096,
        rope_parameters=plain_rope(10000.0),
    )), routers + QK_NORMS + UNTIED), parts(0, 9, 21, 10), (0, -1, 1), all_cells  # fmt: skip
    fused = [["input_linear", 0.5, 0.0], ["output_linear", 0.5, 0.0]]
    yield "granitemoe", (GraniteMoeConfig(**sizes(
        88, 4, 2, 28, num_local_experts=6, num_experts_per_tok=3, tie_word_embeddings=True, max_position_embeddings=4096,
        embedding_multiplier=12.0, attention_multiplier=0.12, residual_multiplier=0.4, logits_scaling=0.25,
        rope_parameters=plain_rope(10000.0),
    )), routers + fused + RMS_NORMS + WIDE + MULTIPLIED), parts(0, 8, 22, 10), (0, -1, -1), all_cells  # fmt: skip
    # Gates and values are wide enough to be clamped now and then.
    fused = [["gate_up_proj_bias", 4.0, 0.0], ["gate_up_proj", 2.0, 0.0], ["down_proj_bias", 1.0, 0.0],
             ["down_proj", 0.25, 0.0], ["sinks", 4.0, 0.0]]  # fmt: skip
    yield "gpt-oss", (GptOssConfig(**sizes(
        60, 6, 2, 36, layers=4, head_dim=14, num_local_experts=5, num_experts_per_tok=2, sliding_window=9,
        max_position_embeddings=131072, rope_parameters=yarn(
            150000.0, factor=32.0, beta_fast=32.0, beta_slow=1.0, truncate=False, original_max_position_embeddings=4096),
    )), routers + fused + RMS_NORMS + SHARP + UNTIED), parts(0, 8, 22, 10), (0, -1, 0), all_cells  # fmt: skip
