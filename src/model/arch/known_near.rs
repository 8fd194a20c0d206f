//! The keys of the families that are told from Llama by a few parts, and of GPT-J, OPT and Falcon.

use crate::base::keys::Keys;

/// Keys of families with norms by root mean square and with gates.
const RMS: &[&str] =
    &["num_key_value_heads", "rms_norm_eps", "hidden_act", "original_max_position_embeddings"];

/// Keys that most of them read.
pub(super) const NEAR: Keys = Keys { read: RMS, harmless: &[] };

pub(super) const GEMMA2: Keys = Keys {
    read: &[
        "hidden_activation",
        "attention_bias",
        "query_pre_attn_scalar",
        "sliding_window",
        "layer_types",
        "final_logit_softcapping",
        "attn_logit_softcapping",
        "use_bidirectional_attention",
    ],
    harmless: &["sliding_window_size", "sliding_window_pattern", "_sliding_window_pattern"],
};

pub(super) const OLMO: Keys = Keys {
    read: &["attention_bias", "sliding_window", "layer_types"],
    harmless: &["clip_qkv", "norm_after", "use_qk_norm"],
};

pub(super) const GRANITE: Keys = Keys {
    read: &[
        "attention_bias",
        "mlp_bias",
        "attention_multiplier",
        "embedding_multiplier",
        "residual_multiplier",
        "logits_scaling",
    ],
    harmless: &["embd_pdrop", "init_method", "resid_pdrop"],
};

pub(super) const PHI3: Keys = Keys {
    read: &["sliding_window"],
    harmless: &[
        "attention_bias",
        "auto_map",
        "embd_pdrop",
        "full_attn_mod",
        "interpolate_factor",
        "lm_head_bias",
        "mlp_bias",
        "resid_pdrop",
    ],
};

pub(super) const STABLELM: Keys = Keys {
    read: &["layer_norm_eps", "qk_layernorm", "use_parallel_residual", "use_qkv_bias"],
    harmless: &["hidden_dropout", "norm_eps", "num_heads", "rope_pct", "rotary_scaling_factor"],
};

pub(super) const COHERE: Keys = Keys {
    read: &["attention_bias", "layer_norm_eps", "logit_scale", "use_qk_norm"],
    harmless: &["model_max_length"],
};

/// Beside those of GPT-2.
pub(super) const GPTJ: Keys = Keys { read: &["rotary_dim"], harmless: &["rotary"] };

pub(super) const OPT: Keys = Keys {
    read: &[
        "_remove_final_layer_norm",
        "activation_function",
        "do_layer_norm_before",
        "enable_bias",
        "ffn_dim",
        "hidden_size",
        "layer_norm_elementwise_affine",
        "max_position_embeddings",
        "num_attention_heads",
        "num_hidden_layers",
        "word_embed_proj_dim",
    ],
    harmless: &["activation_dropout", "dropout", "hidden_act", "init_std", "layerdrop", "output_projection"],
};

pub(super) const FALCON: Keys = Keys {
    read: &[
        "activation",
        "alibi",
        "bias",
        "ffn_hidden_size",
        "layer_norm_epsilon",
        "multi_query",
        "n_embed",
        "new_decoder_architecture",
        "num_kv_heads",
        "num_ln_in_parallel_attn",
        "original_max_position_embeddings",
        "parallel_attn",
    ],
    harmless: &[
        "apply_residual_connection_post_layernorm",
        "auto_map",
        "ff_factor",
        "hidden_dropout",
        "n_head",
        "n_layer",
    ],
};

pub(super) const MISTRAL: Keys = Keys {
    read: &[
        "num_key_value_heads",
        "rms_norm_eps",
        "hidden_act",
        "sliding_window",
        "layer_types",
        "original_max_position_embeddings",
    ],
    harmless: &[],
};

/// Beside those of Qwen2.
pub(super) const SMOLLM3: Keys = Keys {
    read: &["attention_bias", "mlp_bias", "no_rope_layers", "no_rope_layer_interval"],
    // The last window layer is told by the kinds of layers.
    harmless: &["max_window_layers"],
};
