//! GGUF metadata of the families that are told from Llama by a few parts, and of Falcon.

use anyhow::Result;
use candle_core::quantized::gguf_file::{Content, Value};

use super::gguf_keys::GgufKeys;
use super::{
    Activation, Arch, Family, Multipliers, NormKind, Pairs, Positions, QkNorm, Rope, RopeScaling, Wiring,
};
use crate::base::error::input;

/// What llama.cpp takes where a file of Gemma 2 does not say: caps of scores and logits, and the window.
const GEMMA2_CAPS: [f64; 2] = [50., 30.];
const GEMMA2_WINDOW: usize = 4096;
/// Gemma 2's 27B model is told by its layers; its scores have a scale of their own, which is not written.
const GEMMA2_27B_LAYERS: usize = 46;
/// In OLMo 3 every layer whose number is a multiple of this (from 1) has no window.
const OLMO3_PATTERN: usize = 4;

/// The parts of a model that the sizes and tensors do not tell.
///
/// # Errors
/// A key of an impossible value.
pub(super) fn near(arch: Arch, keys: &GgufKeys, content: &Content) -> Result<Arch> {
    match arch.family {
        Family::Gemma2 => gemma2(arch, keys),
        Family::Olmo2 => olmo(arch, keys),
        Family::Granite | Family::Granitemoe => granite(arch, keys),
        Family::Phi3 => phi3(arch, keys),
        Family::Stablelm => Ok(Arch {
            qk_norm: arch.qk_norm.map(|_| QkNorm::OwnHead),
            wiring: match keys.optional_flag("use_parallel_residual")? {
                Some(true) => Wiring::ParallelOneNorm,
                _ => Wiring::Sequential,
            },
            ..arch
        }),
        Family::Cohere => cohere(arch, keys),
        Family::Falcon => falcon(arch, content),
        // The sizes and the tensors that are there say all of it.
        _ => Ok(arch),
    }
}

fn gemma2(arch: Arch, keys: &GgufKeys) -> Result<Arch> {
    let window = keys.optional_size("attention.sliding_window")?.unwrap_or(GEMMA2_WINDOW);
    let [of_scores, of_logits] = GEMMA2_CAPS;
    let cap = |part: &str, absent: f64| keys.optional_float(part).map(|cap| Some(cap.unwrap_or(absent)));
    let scaled =
        if arch.layers == GEMMA2_27B_LAYERS { arch.hidden / arch.heads.max(1) } else { arch.head_dim };
    Ok(Arch {
        norm: NormKind::RmsPlusOne,
        windows: (0..arch.layers).map(|layer| layer.is_multiple_of(2).then_some(window)).collect(),
        score_scale: 1. / (scaled as f64).sqrt(),
        score_cap: cap("attn_logit_softcapping", of_scores)?,
        logit_cap: cap("final_logit_softcapping", of_logits)?,
        activation: Activation::GeluTanh,
        wiring: Wiring::Sandwich,
        multipliers: Multipliers { embedding: (arch.hidden as f64).sqrt(), ..Multipliers::NEUTRAL },
        ..arch
    })
}

/// OLMo 2; and OLMo 3, which llama.cpp takes for an OLMo 2 with windows.
fn olmo(arch: Arch, keys: &GgufKeys) -> Result<Arch> {
    let arch = Arch { qk_norm: Some(QkNorm::Whole), wiring: Wiring::NormAfter, ..arch };
    let Some(window) = keys.optional_size("attention.sliding_window")? else { return Ok(arch) };
    let windowed = match keys.metadata.0.get(&keys.key("attention.sliding_window_pattern")) {
        None => Some((1..=arch.layers).map(|layer| !layer.is_multiple_of(OLMO3_PATTERN)).collect()),
        Some(Value::Array(flags)) => flags.iter().map(|flag| flag.to_bool().ok()).collect(),
        Some(_) => None,
    };
    let windowed: Vec<bool> =
        windowed.filter(|windowed: &Vec<bool>| windowed.len() == arch.layers).ok_or_else(|| {
            let key = keys.key("attention.sliding_window_pattern");
            input(format!(
                "metadata `{key}` is no list of truth values, one for each of {} layers",
                arch.layers
            ))
        })?;
    let positions = match arch.positions {
        Positions::Rotary { all, .. } => {
            let theta = keys.optional_float("rope.freq_base_swa")?.unwrap_or(all.theta);
            let plain = Rope { theta, scaling: RopeScaling::None, ..all.clone() };
            Positions::Rotary { all, windowed: Some(plain) }
        }
        other => other,
    };
    let windows = windowed.into_iter().map(|windowed| windowed.then_some(window)).collect();
    Ok(Arch { family: Family::Olmo3, positions, windows, ..arch })
}

fn granite(arch: Arch, keys: &GgufKeys) -> Result<Arch> {
    if keys.optional_flag("rope.scaling.finetuned")? == Some(false) {
        return Err(input(format!(
            "metadata `{}` is false: a Granite without positions is not computed",
            keys.key("rope.scaling.finetuned")
        )));
    }
    let number = |part: &str| -> Result<Option<f64>> {
        // llama.cpp takes 0 as if the key were absent.
        Ok(keys.optional_float(part)?.filter(|number| *number != 0.))
    };
    Ok(Arch {
        score_scale: number("attention.scale")?.unwrap_or(arch.score_scale),
        multipliers: Multipliers {
            embedding: number("embedding_scale")?.unwrap_or(1.),
            residual: number("residual_scale")?.unwrap_or(1.),
            logits: 1. / number("logit_scale")?.unwrap_or(1.),
        },
        ..arch
    })
}

/// llama.cpp switches its window off; here it is as transformers computes it. Factors of `longrope` are tensors.
fn phi3(arch: Arch, keys: &GgufKeys) -> Result<Arch> {
    let window = keys.optional_size("attention.sliding_window")?.filter(|window| *window != 0);
    Ok(Arch { windows: vec![window; arch.layers], activation: Activation::Silu, gated: true, ..arch })
}

fn cohere(arch: Arch, keys: &GgufKeys) -> Result<Arch> {
    let positions = match arch.positions {
        Positions::Rotary { all, windowed } => {
            Positions::Rotary { all: Rope { pairs: Pairs::Neighbours, ..all }, windowed }
        }
        other => other,
    };
    Ok(Arch {
        positions,
        qk_norm: arch.qk_norm.map(|_| QkNorm::OwnHead),
        wiring: Wiring::ParallelOneNorm,
        multipliers: Multipliers { logits: keys.float("logit_scale")?, ..Multipliers::NEUTRAL },
        ..arch
    })
}

fn falcon(arch: Arch, content: &Content) -> Result<Arch> {
    // Its converter writes four times the model's width, whatever it is.
    let up = content.tensor_infos.get("blk.0.ffn_up.weight");
    let width = up.and_then(|up| up.shape.dims().first().copied());
    let two = content.tensor_infos.contains_key("blk.0.attn_norm_2.weight");
    Ok(Arch {
        intermediate: width.ok_or_else(|| input("tensor `blk.0.ffn_up.weight` is missing"))?,
        activation: Activation::Gelu,
        wiring: if two { Wiring::Parallel } else { Wiring::ParallelOneNorm },
        ..arch
    })
}
