//! The metadata keys of GGUF files that the program reads, those that cannot change a result, and the values that it
//! refuses. The lists follow llama.cpp's `llama-arch.cpp` and `load_hparams`. Keys of the tokenizer are listed where it is
//! read.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use candle_core::quantized::gguf_file::Value;

use super::gguf_keys::GgufKeys;
use super::{Arch, Family, Positions};
use crate::base::error::input;
use crate::base::keys::{Keys, Unread};

/// Keys that begin with the architecture's name, without it.
const OF_ARCHITECTURE: Keys = Keys {
    read: &[
        "attention.causal",
        "attention.clamp_kqv",
        "attention.head_count",
        "attention.head_count_kv",
        "attention.key_length",
        "attention.layer_norm_epsilon",
        "attention.layer_norm_rms_epsilon",
        "attention.max_alibi_bias",
        "attention.scale",
        "attention.sliding_window",
        "attention.sliding_window_pattern",
        "attention.value_length",
        "attn_logit_softcapping",
        "block_count",
        "context_length",
        "embedding_length",
        "embedding_scale",
        "expert_count",
        "expert_feed_forward_length",
        "expert_gating_func",
        "expert_shared_count",
        "expert_used_count",
        "expert_weights_norm",
        "expert_weights_scale",
        "feed_forward_length",
        "final_logit_softcapping",
        "logit_scale",
        "residual_scale",
        "rope.dimension_count",
        "rope.freq_base",
        "rope.freq_base_swa",
        "rope.scale_linear",
        "rope.scaling.attn_factor",
        "rope.scaling.factor",
        "rope.scaling.finetuned",
        "rope.scaling.original_context_length",
        "rope.scaling.type",
        "rope.scaling.yarn_attn_factor",
        "rope.scaling.yarn_beta_fast",
        "rope.scaling.yarn_beta_slow",
        "rope.scaling.yarn_log_multiplier",
        "use_parallel_residual",
    ],
    // The vocabulary is as large as the embedding; the order of rows of queries and keys is known of each architecture.
    harmless: &["tensor_data_layout", "vocab_size"],
};

/// Other keys.
const OTHERS: Keys = Keys {
    read: &[
        "general.alignment",
        "general.architecture",
        "general.sampling.penalty_repeat",
        "split.count",
        "split.no",
        "split.tensors.count",
    ],
    harmless: &["general.type"],
};

/// Keys that begin so say what a file is called, who made it and how, or how to sample from it.
const DESCRIPTIONS: [&str; 2] = ["general.", "quantize."];

/// Keys of a GGUF file, the tokenizer's aside, that the program does not know.
pub fn unread_gguf(file: &str, architecture: &str, metadata: &HashMap<String, Value>) -> Unread {
    let known = |key: &str| {
        let of_architecture = key.strip_prefix(architecture).and_then(|key| key.strip_prefix('.'));
        OTHERS.knows(key)
            || DESCRIPTIONS.iter().any(|start| key.starts_with(start))
            || key.starts_with("tokenizer.")
            || of_architecture.is_some_and(|key| OF_ARCHITECTURE.knows(key))
    };
    let mut unread = Unread::default();
    unread.note(file, &[], metadata.keys().map(String::as_str).filter(|key| !known(key)));
    unread
}

/// What a GGUF file asks of decoding and this program does not do, by key.
pub fn not_applied_gguf(metadata: &HashMap<String, Value>) -> BTreeMap<String, serde_json::Value> {
    const PENALTY: &str = "general.sampling.penalty_repeat";
    let penalty = match metadata.get(PENALTY) {
        Some(Value::F32(penalty)) => f64::from(*penalty),
        Some(Value::F64(penalty)) => *penalty,
        _ => 1.,
    };
    if penalty == 1. { BTreeMap::new() } else { [(PENALTY.to_string(), penalty.into())].into() }
}

/// The slope of the first ALiBi head follows from it.
const ALIBI_BIAS: f64 = 8.;

/// Refuse the values that would change the computation.
pub(super) fn refuse_not_computed(keys: &GgufKeys, arch: &Arch) -> Result<()> {
    let only = |part: &str, computed: f64| match keys.optional_float(part)? {
        Some(found) if (found - computed).abs() > 1e-6 * computed.abs() => {
            Err(input(format!("metadata `{}` is {found}, and only {computed} is computed", keys.key(part))))
        }
        _ => Ok(()),
    };
    let granite = matches!(arch.family, Family::Granite | Family::Granitemoe);
    // Where a number is not written, llama.cpp takes the one that is computed too. A cap of 0 means that there is no cap.
    let computed = [
        ("attention.clamp_kqv", arch.clip_qkv.unwrap_or(0.)),
        ("attention.max_alibi_bias", ALIBI_BIAS),
        ("attention.scale", arch.score_scale),
        ("attn_logit_softcapping", arch.score_cap.unwrap_or(0.)),
        ("embedding_scale", if granite { arch.multipliers.embedding } else { 1. }),
        ("expert_weights_scale", 1.),
        ("final_logit_softcapping", arch.logit_cap.unwrap_or(0.)),
        ("residual_scale", arch.multipliers.residual),
    ];
    computed.iter().try_for_each(|(part, computed)| only(part, *computed))?;
    // Factors of Phi-3's are read with them.
    if arch.family != Family::Phi3 {
        only("rope.scaling.attn_factor", 1.)?;
    }
    // llama.cpp takes 0 as if the key were absent. Granite's logits are divided by the scale, others are multiplied.
    if keys.optional_float("logit_scale")?.is_some_and(|scale| scale != 0.) {
        let logits = arch.multipliers.logits;
        only("logit_scale", if granite { 1. / logits } else { logits })?;
    }
    if let Some(width) = keys.optional_size("attention.value_length")?.filter(|width| *width != arch.head_dim)
    {
        return Err(input(format!(
            "metadata `{}` is {width}, and only the width of the keys, {}, is computed",
            keys.key("attention.value_length"),
            arch.head_dim
        )));
    }
    let whole = matches!(arch.positions, Positions::Rotary { .. })
        && !matches!(arch.family, Family::GptNeox | Family::Phi3 | Family::Stablelm);
    let rotated = keys.optional_size("rope.dimension_count")?;
    if let Some(dims) = rotated.filter(|dims| whole && *dims != arch.head_dim) {
        return Err(input(format!(
            "metadata `{}` is {dims}, but this architecture rotates all {} dimensions of a head",
            keys.key("rope.dimension_count"),
            arch.head_dim
        )));
    }
    if keys.optional_flag("attention.causal")? == Some(false) {
        return Err(input(format!(
            "metadata `{}` is false: only models that read from left to right are computed",
            keys.key("attention.causal")
        )));
    }
    Ok(())
}
