//! The keys of `config.json` of families with experts, beside those of all families.

use crate::base::keys::Keys;

/// Keys of all families with experts. The others act in training alone.
pub(super) const EXPERTS: Keys = Keys {
    read: &["num_local_experts", "num_experts", "num_experts_per_tok"],
    harmless: &["output_router_logits", "router_aux_loss_coef"],
};

/// Beside those of rotary positions and of all families with experts.
pub(super) const MIXTRAL: Keys = Keys {
    read: &[
        "num_key_value_heads",
        "rms_norm_eps",
        "hidden_act",
        "sliding_window",
        "original_max_position_embeddings",
    ],
    harmless: &["max_window_layers", "router_jitter_noise"],
};

/// The same.
pub(super) const QWEN3_MOE: Keys = Keys {
    read: &[
        "num_key_value_heads",
        "rms_norm_eps",
        "hidden_act",
        "attention_bias",
        "use_sliding_window",
        "sliding_window",
        "original_max_position_embeddings",
        "moe_intermediate_size",
        "norm_topk_prob",
        "decoder_sparse_step",
        "mlp_only_layers",
    ],
    // All layers have the window, or none.
    harmless: &["max_window_layers"],
};

/// The same.
pub(super) const OLMOE: Keys = Keys {
    read: &[
        "num_key_value_heads",
        "rms_norm_eps",
        "hidden_act",
        "attention_bias",
        "original_max_position_embeddings",
        "norm_topk_prob",
        "clip_qkv",
    ],
    // No layer has a window, whatever is written.
    harmless: &["router_z_loss_coef", "norm_after", "use_qk_norm", "sliding_window"],
};

/// The same.
pub(super) const GRANITEMOE: Keys = Keys {
    read: &[
        "num_key_value_heads",
        "rms_norm_eps",
        "hidden_act",
        "attention_bias",
        "original_max_position_embeddings",
        "attention_multiplier",
        "embedding_multiplier",
        "logits_scaling",
        "residual_multiplier",
        "shared_intermediate_size",
        "position_embedding_type",
    ],
    harmless: &["init_method", "resid_pdrop", "embd_pdrop"],
};

/// The same.
pub(super) const GPT_OSS: Keys = Keys {
    read: &[
        "num_key_value_heads",
        "rms_norm_eps",
        "attention_bias",
        "sliding_window",
        "layer_types",
        "original_max_position_embeddings",
        "swiglu_limit",
        "swiglu_alpha",
    ],
    // The first two repeat other fields under older names; transformers does not read the third.
    harmless: &["experts_per_token", "initial_context_length", "hidden_act"],
};
