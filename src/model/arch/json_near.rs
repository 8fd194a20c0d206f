//! Families that are told from Llama by a few parts: Gemma 2, OLMo 2 and 3, Granite, Phi-3, StableLM, Cohere.

use anyhow::Result;

use super::json_fields::{activation, common, layer_types};
use super::json_rope::{self, Rotated};
use super::{Arch, Biases, Family, Fields, Multipliers, NormKind, Pairs, QkNorm, Wiring};
use crate::base::error::input;

/// Refuse a width of heads that is written as `null`, as transformers fails with it.
fn own_width(fields: &Fields) -> Result<()> {
    if fields.0.contains_key("head_dim") { fields.get::<usize>("head_dim").map(drop) } else { Ok(()) }
}

/// The description of a model of this family, and of those below.
pub(super) fn gemma2(fields: &Fields) -> Result<Arch> {
    fields.only("use_bidirectional_attention", false)?;
    let fields = &fields.with_defaults(&[
        ("vocab_size", 256_000),
        ("hidden_size", 2304),
        ("intermediate_size", 9216),
        ("num_hidden_layers", 26),
        ("num_attention_heads", 8),
        ("num_key_value_heads", 4),
        ("head_dim", 256),
        ("max_position_embeddings", 8192),
        ("sliding_window", 4096),
    ]);
    own_width(fields)?;
    let arch = common(fields, Family::Gemma2)?;
    if !arch.hidden.is_multiple_of(arch.heads.max(1)) {
        return Err(input(format!(
            "a width of {} over {} heads cannot be, though heads have a width of their own: the file is damaged",
            arch.hidden, arch.heads
        )));
    }
    let cap = |name: &str, absent: f64| match fields.0.contains_key(name) {
        true => fields.find::<f64>(name),
        false => Ok(Some(absent)),
    };
    let scalar: f64 = fields.get_or("query_pre_attn_scalar", 256.)?;
    let bias = fields.get_or("attention_bias", false)?;
    Ok(Arch {
        norm: NormKind::RmsPlusOne,
        norm_eps: fields.get_or("rms_norm_eps", 1e-6)?,
        positions: Rotated::whole(fields, arch.head_dim).positions()?,
        windows: layer_types(
            fields,
            arch.layers,
            |layer| layer.is_multiple_of(2),
            fields.find("sliding_window")?,
        )?,
        score_scale: scalar.powf(-0.5),
        score_cap: cap("attn_logit_softcapping", 50.)?,
        bias: Biases { qkv: bias, output: bias, ..Biases::NONE },
        activation: activation(fields, "hidden_activation", "gelu_pytorch_tanh")?,
        wiring: Wiring::Sandwich,
        multipliers: Multipliers { embedding: (arch.hidden as f64).sqrt(), ..Multipliers::NEUTRAL },
        logit_cap: cap("final_logit_softcapping", 30.)?,
        tied: fields.get_or("tie_word_embeddings", true)?,
        ..arch
    })
}

/// OLMo 2 and 3; the third has windows.
pub(super) fn olmo(fields: &Fields, family: Family) -> Result<Arch> {
    let fields = &fields.with_defaults(&[
        ("vocab_size", 50_304),
        ("hidden_size", 4096),
        ("intermediate_size", 11_008),
        ("num_hidden_layers", 32),
        ("num_attention_heads", 32),
        ("max_position_embeddings", 2048),
    ]);
    own_width(fields)?;
    let arch = common(fields, family)?;
    let (positions, windows) = match family {
        Family::Olmo3 => {
            let fields = fields.with_defaults(&[("sliding_window", 4096)]);
            let windowed = |layer: usize| !(layer + 1).is_multiple_of(4);
            let windows = layer_types(&fields, arch.layers, windowed, fields.find("sliding_window")?)?;
            (json_rope::olmo3(&fields, arch.head_dim)?, windows)
        }
        _ => (Rotated::whole(fields, arch.head_dim).positions()?, vec![None; arch.layers]),
    };
    let bias = fields.get_or("attention_bias", false)?;
    Ok(Arch {
        norm_eps: fields.get_or("rms_norm_eps", 1e-5)?,
        positions,
        windows,
        qk_norm: Some(QkNorm::Whole),
        bias: Biases { qkv: bias, output: bias, ..Biases::NONE },
        activation: activation(fields, "hidden_act", "silu")?,
        wiring: Wiring::NormAfter,
        ..arch
    })
}

pub(super) fn granite(fields: &Fields, family: Family) -> Result<Arch> {
    let fields = &fields.with_defaults(&[
        ("vocab_size", 32_000),
        ("hidden_size", 4096),
        ("intermediate_size", 11_008),
        ("num_hidden_layers", 32),
        ("num_attention_heads", 32),
        ("max_position_embeddings", 2048),
    ]);
    own_width(fields)?;
    let arch = common(fields, family)?;
    let number = |name: &str| fields.get_or(name, 1.);
    let bias = fields.get_or("attention_bias", false)?;
    Ok(Arch {
        norm_eps: fields.get_or("rms_norm_eps", 1e-6)?,
        positions: Rotated::whole(fields, arch.head_dim).positions()?,
        score_scale: number("attention_multiplier")?,
        bias: Biases { qkv: bias, output: bias, mlp: fields.get_or("mlp_bias", false)?, head: false },
        activation: activation(fields, "hidden_act", "silu")?,
        multipliers: Multipliers {
            embedding: number("embedding_multiplier")?,
            residual: number("residual_multiplier")?,
            logits: 1. / number("logits_scaling")?,
        },
        ..arch
    })
}

pub(super) fn phi3(fields: &Fields) -> Result<Arch> {
    let fields = &fields.with_defaults(&[
        ("vocab_size", 32_064),
        ("hidden_size", 3072),
        ("intermediate_size", 8192),
        ("num_hidden_layers", 32),
        ("num_attention_heads", 32),
        ("max_position_embeddings", 4096),
    ]);
    own_width(fields)?;
    let arch = common(fields, Family::Phi3)?;
    Ok(Arch {
        norm_eps: fields.get_or("rms_norm_eps", 1e-5)?,
        positions: json_rope::phi3(fields, arch.head_dim)?,
        windows: vec![fields.find("sliding_window")?; arch.layers],
        activation: activation(fields, "hidden_act", "silu")?,
        ..arch
    })
}

pub(super) fn stablelm(fields: &Fields) -> Result<Arch> {
    let mut fields = fields.with_defaults(&[
        ("vocab_size", 50_304),
        ("hidden_size", 2560),
        ("intermediate_size", 6912),
        ("num_hidden_layers", 32),
        ("num_attention_heads", 32),
        ("num_key_value_heads", 32),
        ("max_position_embeddings", 4096),
    ]);
    // transformers does not read it here.
    fields.0.remove("head_dim");
    let fields = &fields;
    let arch = common(fields, Family::Stablelm)?;
    let share = Some(("partial_rotary_factor", 0.25));
    Ok(Arch {
        norm: NormKind::Layer,
        norm_eps: fields.get_or("layer_norm_eps", 1e-5)?,
        positions: Rotated { share, ..Rotated::whole(fields, arch.head_dim) }.positions()?,
        qk_norm: fields.get_or("qk_layernorm", false)?.then_some(QkNorm::OwnHead),
        bias: Biases { qkv: fields.get_or("use_qkv_bias", false)?, ..Biases::NONE },
        activation: activation(fields, "hidden_act", "silu")?,
        wiring: match fields.get_or("use_parallel_residual", false)? {
            true => Wiring::ParallelOneNorm,
            false => Wiring::Sequential,
        },
        ..arch
    })
}

pub(super) fn cohere(fields: &Fields) -> Result<Arch> {
    let fields = &fields.with_defaults(&[
        ("vocab_size", 256_000),
        ("hidden_size", 8192),
        ("intermediate_size", 22_528),
        ("num_hidden_layers", 40),
        ("num_attention_heads", 64),
        ("max_position_embeddings", 8192),
    ]);
    own_width(fields)?;
    let arch = common(fields, Family::Cohere)?;
    let rotated = Rotated {
        theta: ("rope_theta", 500_000.),
        pairs: Pairs::Neighbours,
        ..Rotated::whole(fields, arch.head_dim)
    };
    let bias = fields.get_or("attention_bias", false)?;
    Ok(Arch {
        norm: NormKind::LayerWithoutBias,
        norm_eps: fields.get_or("layer_norm_eps", 1e-5)?,
        positions: rotated.positions()?,
        qk_norm: fields.get_or("use_qk_norm", false)?.then_some(QkNorm::OwnHead),
        bias: Biases { qkv: bias, output: bias, ..Biases::NONE },
        activation: activation(fields, "hidden_act", "silu")?,
        wiring: Wiring::ParallelOneNorm,
        multipliers: Multipliers { logits: fields.get_or("logit_scale", 0.0625)?, ..Multipliers::NEUTRAL },
        tied: fields.get_or("tie_word_embeddings", true)?,
        ..arch
    })
}
