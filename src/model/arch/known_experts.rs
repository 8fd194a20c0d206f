//! The keys of `config.json` of families with experts, beside those of all families.

use crate::base::keys::Keys;

/// Keys of all families with experts. The others act in training alone.
pub(super) const EXPERTS: Keys = Keys {
    read: &["num_local_experts", "num_experts", "num_experts_per_tok"],
    harmless: &["output_router_logits", "router_aux_loss_coef"],
};

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
