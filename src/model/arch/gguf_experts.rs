//! Experts, as GGUF metadata have them.

use anyhow::Result;

use super::gguf_keys::GgufKeys;
use super::{Activation, Arch, Family, Mixture};
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
    // With 0 the file leaves the choice to the architecture.
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
    let routing = Routing { experts, chosen: keys.size("expert_used_count")?, scoring, all_rows: false };
    Ok(Some(Mixture { routing, width, dense: Vec::new() }))
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
