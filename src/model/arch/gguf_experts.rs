//! Experts, as GGUF metadata have them.

use anyhow::Result;

use super::gguf_keys::GgufKeys;
use super::{Activation, Arch, Family, Mixture, Multipliers, RopeScaling, YarnScaling};
use crate::base::error::input;
use crate::model::experts::{Routing, Scoring};
use crate::model::mlp::ClampedSwiglu;

/// How many experts a layer has; 0: an MLP.
pub(super) fn count(keys: &GgufKeys) -> Result<usize> {
    Ok(keys.optional_size("expert_count")?.unwrap_or(0))
}

/// llama.cpp's number for a softmax.
const SOFTMAX: usize = 1;
/// Its number for one over those chosen.
const SOFTMAX_OF_CHOSEN: usize = 3;

/// The experts of a family that has them.
pub(super) fn mixture(family: Family, keys: &GgufKeys) -> Result<Option<Mixture>> {
    let experts = count(keys)?;
    let scoring = match family {
        _ if experts == 0 => return Ok(None),
        Family::Mixtral => Scoring::Renormed,
        // Not every converter writes it; llama.cpp knows it.
        Family::Qwen3Moe | Family::Olmoe => {
            let absent = family == Family::Qwen3Moe;
            let normed = keys.optional_flag("expert_weights_norm")?.unwrap_or(absent);
            if normed { Scoring::Renormed } else { Scoring::All }
        }
        Family::Granitemoe | Family::GptOss => Scoring::Chosen,
        _ => {
            return Err(input(format!(
                "metadata `{}` is {experts}, but experts are not computed for this architecture",
                keys.key("expert_count")
            )));
        }
    };
    // 0 stands for what the architecture has.
    let gating = keys
        .optional_size("expert_gating_func")?
        .filter(|gating| ![0, SOFTMAX, SOFTMAX_OF_CHOSEN].contains(gating));
    let shared = keys.optional_size("expert_shared_count")?.filter(|shared| *shared > 0);
    for (key, found) in [("expert_gating_func", gating), ("expert_shared_count", shared)] {
        if let Some(found) = found {
            return Err(input(format!("metadata `{}` is {found}, which is not computed", keys.key(key))));
        }
    }
    let width = match keys.optional_size("expert_feed_forward_length")? {
        Some(width) => width,
        None => keys.size("feed_forward_length")?,
    };
    let routing = Routing { experts, chosen: keys.size("expert_used_count")?, scoring };
    Ok(Some(Mixture { routing, width, dense: Vec::new() }))
}

/// Granite's multipliers.
pub(super) fn granitemoe(arch: Arch, keys: &GgufKeys) -> Result<Arch> {
    let or_one = |part: &str| Ok::<f64, anyhow::Error>(keys.optional_float(part)?.unwrap_or(1.));
    Ok(Arch {
        score_scale: keys.optional_float("attention.scale")?.unwrap_or(arch.score_scale),
        multipliers: Multipliers {
            embedding: or_one("embedding_scale")?,
            residual: or_one("residual_scale")?,
            logits: 1. / or_one("logit_scale")?,
        },
        ..arch
    })
}

/// What files do not say of gpt-oss: every second layer has the window, the first one among them.
pub(super) fn gpt_oss(arch: Arch, keys: &GgufKeys) -> Result<Arch> {
    let window = keys.size("attention.sliding_window")?;
    Ok(Arch {
        windows: (0..arch.layers).map(|layer| layer.is_multiple_of(2).then_some(window)).collect(),
        sinks: true,
        activation: Activation::ClampedSwiglu(ClampedSwiglu { limit: 7., alpha: 1.702 }),
        ..arch
    })
}

/// gpt-oss's rotary scaling, whose bounds are not rounded, in no published model.
pub(super) fn yarn(keys: &GgufKeys) -> Result<RopeScaling> {
    let key = |part: &str| format!("rope.scaling.{part}");
    let factor = keys.float(&key("factor"))?;
    let usual = if factor <= 1. { 1. } else { 0.1 * factor.ln() + 1. };
    Ok(RopeScaling::Yarn(YarnScaling {
        factor,
        original_context: keys.size(&key("original_context_length"))?,
        beta_fast: keys.optional_float(&key("yarn_beta_fast"))?.unwrap_or(32.),
        beta_slow: keys.optional_float(&key("yarn_beta_slow"))?.unwrap_or(1.),
        truncate: false,
        attention_factor: keys.optional_float(&key("yarn_attn_factor"))?.unwrap_or(usual),
    }))
}
