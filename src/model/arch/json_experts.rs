//! Families with experts.

use anyhow::Result;
use serde_json::{Value, json};

use super::json_fields::{activation, common, layer_types, rotary};
use super::json_near;
use super::json_rope::Rotated;
use super::{Activation, Arch, Biases, Family, Fields, Mixture, QkNorm};
use crate::base::error::input;
use crate::model::experts::{Routing, Scoring};
use crate::model::mlp::ClampedSwiglu;

/// Experts in all layers. The field `experts` gives their number, and `num_experts_per_tok` how many of them a row chooses.
fn mixture(fields: &Fields, experts: &str, scoring: Scoring, width: usize) -> Result<Mixture> {
    let (experts, chosen) = (fields.get(experts)?, fields.get("num_experts_per_tok")?);
    let routing = Routing { experts, chosen, scoring, all_rows: false };
    Ok(Mixture { routing, width, dense: Vec::new() })
}

/// The number of experts has two names in most families, of which this one wins.
const ALIAS: (&str, &str) = ("num_experts", "num_local_experts");

/// The description of a model of this family.
pub(super) fn mixtral(fields: &Fields) -> Result<Arch> {
    let fields = &fields.without_aliases(&[ALIAS]).with_defaults(&[
        ("vocab_size", 32_000),
        ("hidden_size", 4096),
        ("intermediate_size", 14_336),
        ("num_hidden_layers", 32),
        ("num_attention_heads", 32),
        ("num_key_value_heads", 8),
        ("max_position_embeddings", 131_072),
        ("num_local_experts", 8),
        ("num_experts_per_tok", 2),
    ]);
    let arch = common(fields, Family::Mixtral)?;
    let theta = ("rope_theta", 1_000_000.);
    Ok(Arch {
        norm_eps: fields.get_or("rms_norm_eps", 1e-5)?,
        positions: Rotated { theta, ..Rotated::whole(fields, arch.head_dim) }.positions()?,
        activation: activation(fields, "hidden_act", "silu")?,
        windows: vec![fields.find("sliding_window")?; arch.layers],
        experts: Some(mixture(fields, "num_local_experts", Scoring::Renormed, arch.intermediate)?),
        ..arch
    })
}

/// The description of a model of this family.
pub(super) fn qwen3_moe(fields: &Fields) -> Result<Arch> {
    let fields = &fields.without_aliases(&[ALIAS]).with_defaults(&[
        ("vocab_size", 151_936),
        ("hidden_size", 2048),
        ("intermediate_size", 6144),
        ("num_hidden_layers", 24),
        ("num_attention_heads", 32),
        ("num_key_value_heads", 4),
        ("max_position_embeddings", 32_768),
        ("sliding_window", 4096),
        ("num_local_experts", 128),
        ("num_experts_per_tok", 8),
        ("moe_intermediate_size", 768),
    ]);
    let arch = common(fields, Family::Qwen3Moe)?;
    let bias = fields.get_or("attention_bias", false)?;
    let window: Option<usize> = match fields.get_or("use_sliding_window", false)? {
        true => fields.find("sliding_window")?,
        false => None,
    };
    Ok(Arch {
        norm_eps: fields.get_or("rms_norm_eps", 1e-6)?,
        positions: rotary(fields, arch.head_dim)?,
        qk_norm: Some(QkNorm::Head),
        bias: Biases { qkv: bias, output: bias, ..Biases::NONE },
        activation: activation(fields, "hidden_act", "silu")?,
        windows: vec![window; arch.layers],
        experts: qwen3_experts(fields, arch.layers)?,
        ..arch
    })
}

/// The description of a model of this family.
pub(super) fn olmoe(fields: &Fields) -> Result<Arch> {
    // Here the alias is the other name.
    let fields = &fields.without_aliases(&[("num_local_experts", "num_experts")]).with_defaults(&[
        ("vocab_size", 50_304),
        ("hidden_size", 2048),
        ("intermediate_size", 2048),
        ("num_hidden_layers", 16),
        ("num_attention_heads", 16),
        ("max_position_embeddings", 4096),
        ("num_experts", 64),
        ("num_experts_per_tok", 8),
    ]);
    let arch = common(fields, Family::Olmoe)?;
    let bias = fields.get_or("attention_bias", false)?;
    let experts = mixture(fields, "num_experts", scoring(fields)?, arch.intermediate)?;
    Ok(Arch {
        norm_eps: fields.get_or("rms_norm_eps", 1e-5)?,
        positions: rotary(fields, arch.head_dim)?,
        qk_norm: Some(QkNorm::Whole),
        clip_qkv: fields.find("clip_qkv")?,
        bias: Biases { qkv: bias, output: bias, ..Biases::NONE },
        activation: activation(fields, "hidden_act", "silu")?,
        experts: Some(experts),
        ..arch
    })
}

/// The description of a model of this family.
pub(super) fn granitemoe(fields: &Fields) -> Result<Arch> {
    let fields = &fields.with_defaults(&[
        ("num_local_experts", 8),
        ("num_experts_per_tok", 2),
        // Absent from a model without shared experts, which are not computed.
        ("shared_intermediate_size", 0),
    ]);
    fields.only("shared_intermediate_size", 0)?;
    fields.only("position_embedding_type", "rope".to_string())?;
    let arch = json_near::granite(fields, Family::Granitemoe)?;
    Ok(Arch {
        // transformers does not read `mlp_bias` here.
        bias: Biases { mlp: false, ..arch.bias },
        experts: Some(mixture(fields, "num_local_experts", Scoring::Chosen, arch.intermediate)?),
        ..arch
    })
}

/// The description of a model of this family.
pub(super) fn gpt_oss(fields: &Fields) -> Result<Arch> {
    let mut fields = fields.without_aliases(&[ALIAS]).with_defaults(&[
        ("vocab_size", 201_088),
        ("hidden_size", 2880),
        ("intermediate_size", 2880),
        ("num_hidden_layers", 36),
        ("num_attention_heads", 64),
        ("num_key_value_heads", 8),
        ("head_dim", 64),
        ("max_position_embeddings", 131_072),
        ("sliding_window", 128),
        ("num_local_experts", 128),
        ("num_experts_per_tok", 4),
    ]);
    if fields.object("rope_parameters")?.is_none() {
        fields.0.insert("rope_parameters".into(), gpt_oss_rope());
    }
    let fields = &fields;
    let arch = common(fields, Family::GptOss)?;
    let bias = fields.get_or("attention_bias", true)?;
    let (theta, window) = (("rope_theta", 150_000.), fields.find("sliding_window")?);
    let function = ClampedSwiglu {
        limit: fields.get_or("swiglu_limit", 7.)?,
        alpha: fields.get_or("swiglu_alpha", 1.702)?,
    };
    Ok(Arch {
        norm_eps: fields.get_or("rms_norm_eps", 1e-5)?,
        positions: Rotated { theta, ..Rotated::whole(fields, arch.head_dim) }.positions()?,
        windows: layer_types(fields, arch.layers, |layer| layer.is_multiple_of(2), window)?,
        sinks: true,
        bias: Biases { qkv: bias, output: bias, mlp: true, ..Biases::NONE },
        activation: Activation::ClampedSwiglu(function),
        experts: Some(mixture(fields, "num_local_experts", Scoring::Chosen, arch.intermediate)?),
        ..arch
    })
}

/// What transformers takes where nothing is written of rotary positions.
fn gpt_oss_rope() -> Value {
    json!({
        "rope_type": "yarn",
        "factor": 32.,
        "beta_fast": 32.,
        "beta_slow": 1.,
        "truncate": false,
        "original_max_position_embeddings": 4096,
    })
}

/// Whether weights are divided by the sum of those chosen.
fn scoring(fields: &Fields) -> Result<Scoring> {
    Ok(if fields.get_or("norm_topk_prob", false)? { Scoring::Renormed } else { Scoring::All })
}

/// Which layers have experts: those whose number is a multiple of `decoder_sparse_step` (from 1) and that `mlp_only_layers` does not
/// list. The others have an MLP. With no experts all layers have one.
fn qwen3_experts(fields: &Fields, layers: usize) -> Result<Option<Mixture>> {
    let step: usize = fields.get_or("decoder_sparse_step", 1)?;
    if step == 0 {
        return Err(input("field `decoder_sparse_step` is 0, which cannot be: the file is damaged"));
    }
    let listed: Vec<usize> = fields.find("mlp_only_layers")?.unwrap_or_default();
    let all = mixture(fields, "num_local_experts", scoring(fields)?, fields.get("moe_intermediate_size")?)?;
    if all.routing.experts == 0 {
        return Ok(None);
    }
    let is_dense = |layer: usize| listed.contains(&layer) || !(layer + 1).is_multiple_of(step);
    let dense: Vec<bool> = (0..layers).map(is_dense).collect();
    Ok(Some(Mixture { dense: if dense.contains(&true) { dense } else { Vec::new() }, ..all }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes of published models, and the number of their parameters.
    #[test]
    fn published_models_have_their_parameters() {
        let of = |fields: Value| match fields {
            Value::Object(fields) => Arch::from_fields(&Fields(fields)).map(|arch| arch.parameters()).ok(),
            _ => None,
        };
        // Of all other fields they have what transformers takes where nothing is written.
        let mixtral = json!({"model_type": "mixtral"});
        let qwen3 = json!({"model_type": "qwen3_moe", "num_hidden_layers": 48, "head_dim": 128});
        let olmoe = json!({"model_type": "olmoe", "intermediate_size": 1024});
        let gpt_oss = json!({"model_type": "gpt_oss", "num_hidden_layers": 24, "num_local_experts": 32});
        for (fields, parameters) in [
            (mixtral, 46_702_792_704),
            (qwen3, 30_532_122_624),
            (olmoe, 6_919_161_856),
            (gpt_oss, 20_914_757_184),
        ] {
            assert_eq!(of(fields.clone()), Some(parameters), "{fields}");
        }
    }
}
