//! `config.json`, as transformers 4 and 5 write it. What a file leaves out has the value that transformers' own
//! configuration class gives it.

use std::path::Path;

use anyhow::{Context, Result};

use super::json_experts;
use super::json_fields::{activation, common, layer_types, rotary};
use super::json_near;
use super::json_older;
use super::json_rope::{self, Rotated};
use super::{Arch, Biases, Family, Fields, Multipliers, NormKind, QkNorm, Wiring, known};
use crate::base::error::input;
use crate::base::inputs::{self, MOST_SETTINGS};

impl Arch {
    /// Read a `config.json`.
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) that names the file and the field: an unknown `model_type`, a
    /// missing or impossible size, or an option this decoder does not compute.
    pub fn from_config_json(path: &Path) -> Result<Self> {
        let file = path.display();
        let text = inputs::text(path, MOST_SETTINGS).map_err(|trouble| trouble.about(path))?;
        let fields = serde_json::from_str(&text).map_err(|e| input(format!("{file}: {e}")))?;
        Self::from_fields(&Fields(fields)).with_context(|| format!("{file}"))
    }

    /// The same from the fields alone.
    pub fn from_fields(fields: &Fields) -> Result<Self> {
        let model_type: String = fields.get("model_type")?;
        let family = match Family::of_model_type(&model_type)? {
            // As transformers does where a file names the kinds of its layers.
            Family::Mistral if fields.0.contains_key("layer_types") => Family::Ministral,
            family => family,
        };
        known::refuse_not_computed(fields)?;
        let arch = match family {
            Family::Llama => llama(fields)?,
            Family::Qwen2 => qwen2(fields)?,
            Family::Qwen3 => qwen3(fields)?,
            Family::Mistral | Family::Ministral => mistral(fields, family)?,
            Family::Smollm3 => smollm3(fields)?,
            Family::Mixtral => json_experts::mixtral(fields)?,
            Family::Qwen3Moe => json_experts::qwen3_moe(fields)?,
            Family::Olmoe => json_experts::olmoe(fields)?,
            Family::Granitemoe => json_experts::granitemoe(fields)?,
            Family::GptOss => json_experts::gpt_oss(fields)?,
            Family::Gemma2 => json_near::gemma2(fields)?,
            Family::Olmo2 | Family::Olmo3 => json_near::olmo(fields, family)?,
            Family::Granite => json_near::granite(fields, family)?,
            Family::Phi3 => json_near::phi3(fields)?,
            Family::Stablelm => json_near::stablelm(fields)?,
            Family::Cohere => json_near::cohere(fields)?,
            Family::Gptj => json_older::gptj(fields)?,
            Family::Opt => json_older::opt(fields)?,
            Family::Falcon => json_older::falcon(fields)?,
            Family::GptNeo => json_older::gpt_neo(fields)?,
            Family::Bloom => json_older::bloom(fields)?,
            Family::Starcoder2 => starcoder2(fields)?,
            Family::Gpt2 => json_older::gpt2(fields)?,
            Family::GptNeox => gpt_neox(fields)?,
            Family::Gemma3 => match fields.object("text_config")? {
                Some(text) => {
                    known::refuse_not_computed(&text)?;
                    // Tying is said of the whole model.
                    let tied = !fields.0.contains_key("tie_word_embeddings")
                        || fields.find("tie_word_embeddings")?.unwrap_or(false);
                    Arch { tied, ..gemma3(&text)? }
                }
                None => gemma3(fields)?,
            },
        };
        arch.checked()
    }
}

fn llama(fields: &Fields) -> Result<Arch> {
    let fields = &fields.with_defaults(&[
        ("vocab_size", 32_000),
        ("hidden_size", 4096),
        ("intermediate_size", 11_008),
        ("num_hidden_layers", 32),
        ("num_attention_heads", 32),
        ("max_position_embeddings", 2048),
    ]);
    fields.only("mlp_bias", false)?;
    fields.only("rope_interleaved", false)?;
    let bias = fields.get_or("attention_bias", false)?;
    let arch = common(fields, Family::Llama)?;
    Ok(Arch {
        norm_eps: fields.get_or("rms_norm_eps", 1e-6)?,
        positions: rotary(fields, arch.head_dim)?,
        bias: Biases { qkv: bias, output: bias, ..Biases::NONE },
        activation: activation(fields, "hidden_act", "silu")?,
        ..arch
    })
}

fn qwen2(fields: &Fields) -> Result<Arch> {
    let fields = &fields.with_defaults(&[
        ("vocab_size", 151_936),
        ("hidden_size", 4096),
        ("intermediate_size", 22_016),
        ("num_hidden_layers", 32),
        ("num_attention_heads", 32),
        ("num_key_value_heads", 32),
        ("max_position_embeddings", 32_768),
        ("sliding_window", 4096),
    ]);
    fields.only("use_mrope", false)?;
    let arch = common(fields, Family::Qwen2)?;
    let first: usize = fields.get_or("max_window_layers", 28)?;
    let window: Option<usize> = match fields.get_or("use_sliding_window", false)? {
        true => fields.find("sliding_window")?,
        false => None,
    };
    let windows = layer_types(fields, arch.layers, |layer| window.is_some() && layer >= first, window)?;
    Ok(Arch {
        positions: rotary(fields, arch.head_dim)?,
        norm_eps: fields.get_or("rms_norm_eps", 1e-6)?,
        bias: Biases { qkv: true, ..Biases::NONE },
        activation: activation(fields, "hidden_act", "silu")?,
        windows,
        ..arch
    })
}

fn qwen3(fields: &Fields) -> Result<Arch> {
    // A width of heads that is not written is 128, whatever their number.
    let fields = &fields.with_defaults(&[("head_dim", 128)]);
    let bias = fields.get_or("attention_bias", false)?;
    Ok(Arch {
        family: Family::Qwen3,
        qk_norm: Some(QkNorm::Head),
        bias: Biases { qkv: bias, output: bias, ..Biases::NONE },
        ..qwen2(fields)?
    })
}

fn mistral(fields: &Fields, family: Family) -> Result<Arch> {
    let fields = &fields.with_defaults(&[
        ("vocab_size", 32_000),
        ("hidden_size", 4096),
        ("intermediate_size", 14_336),
        ("num_hidden_layers", 32),
        ("num_attention_heads", 32),
        ("num_key_value_heads", 8),
        ("max_position_embeddings", 131_072),
        ("sliding_window", 4096),
    ]);
    if family == Family::Ministral {
        fields.get::<usize>("head_dim")?;
    }
    let arch = common(fields, family)?;
    let window: Option<usize> = fields.find("sliding_window")?;
    // Of the two only Ministral's code reads the kinds of layers.
    let windows = match family {
        Family::Ministral => layer_types(fields, arch.layers, |_| window.is_some(), window)?,
        _ => vec![window; arch.layers],
    };
    Ok(Arch {
        norm_eps: fields.get_or("rms_norm_eps", 1e-6)?,
        positions: rotary(fields, arch.head_dim)?,
        activation: activation(fields, "hidden_act", "silu")?,
        windows,
        ..arch
    })
}

fn smollm3(fields: &Fields) -> Result<Arch> {
    let fields = &fields.with_defaults(&[
        ("vocab_size", 128_256),
        ("hidden_size", 2048),
        ("intermediate_size", 11_008),
        ("num_hidden_layers", 36),
        ("num_attention_heads", 16),
        ("num_key_value_heads", 4),
        ("max_position_embeddings", 32_768),
    ]);
    fields.only("mlp_bias", false)?;
    let arch = common(fields, Family::Smollm3)?;
    let interval: usize = fields.get_or("no_rope_layer_interval", 4)?;
    if interval == 0 {
        return Err(input("field `no_rope_layer_interval` is 0, which cannot be: the file is damaged"));
    }
    let unrotated: Vec<bool> = match fields.find::<Vec<usize>>("no_rope_layers")? {
        Some(rotated) if rotated.len() < arch.layers => {
            return Err(input(format!(
                "field `no_rope_layers` is about {} layers, not {}",
                rotated.len(),
                arch.layers
            )));
        }
        Some(rotated) => rotated.into_iter().take(arch.layers).map(|rotated| rotated == 0).collect(),
        None => (1..=arch.layers).map(|layer| layer.is_multiple_of(interval)).collect(),
    };
    let window: Option<usize> = match fields.get_or("use_sliding_window", false)? {
        true => fields.find("sliding_window")?,
        false => None,
    };
    let windows = layer_types(fields, arch.layers, |layer| window.is_some() && unrotated[layer], window)?;
    let bias = fields.get_or("attention_bias", false)?;
    let theta = ("rope_theta", 2_000_000.);
    Ok(Arch {
        norm_eps: fields.get_or("rms_norm_eps", 1e-6)?,
        positions: Rotated { theta, ..Rotated::whole(fields, arch.head_dim) }.positions()?,
        bias: Biases { qkv: bias, output: bias, ..Biases::NONE },
        activation: activation(fields, "hidden_act", "silu")?,
        tied: fields.get_or("tie_word_embeddings", true)?,
        windows,
        unrotated,
        ..arch
    })
}

fn starcoder2(fields: &Fields) -> Result<Arch> {
    let fields = &fields.with_defaults(&[
        ("vocab_size", 49_152),
        ("hidden_size", 3072),
        ("intermediate_size", 12_288),
        ("num_hidden_layers", 30),
        ("num_attention_heads", 24),
        ("num_key_value_heads", 2),
        ("max_position_embeddings", 4096),
    ]);
    let arch = common(fields, Family::Starcoder2)?;
    let bias = fields.get_or("use_bias", true)?;
    Ok(Arch {
        kv_heads: fields.get("num_key_value_heads")?,
        positions: rotary(fields, arch.head_dim)?,
        norm: NormKind::Layer,
        norm_eps: fields.get_or("norm_epsilon", 1e-5)?,
        windows: vec![fields.find("sliding_window")?; arch.layers],
        bias: Biases { qkv: bias, output: bias, mlp: bias, head: false },
        activation: activation(fields, "hidden_act", "gelu_pytorch_tanh")?,
        gated: false,
        tied: fields.get_or("tie_word_embeddings", true)?,
        ..arch
    })
}

fn gpt_neox(fields: &Fields) -> Result<Arch> {
    let fields = &fields.with_defaults(&[
        ("vocab_size", 50_432),
        ("hidden_size", 6144),
        ("intermediate_size", 24_576),
        ("num_hidden_layers", 44),
        ("num_attention_heads", 64),
        ("max_position_embeddings", 2048),
    ]);
    let arch = common(fields, Family::GptNeox)?;
    let bias = fields.get_or("attention_bias", true)?;
    let parallel = fields.get_or("use_parallel_residual", true)?;
    // transformers reads neither `rope_theta` nor `partial_rotary_factor` here, but the family's own names.
    let (theta, share) = (("rotary_emb_base", 10_000.), Some(("rotary_pct", 0.25)));
    let rotated = Rotated { theta, share, ..Rotated::whole(fields, arch.head_dim) };
    Ok(Arch {
        norm: NormKind::Layer,
        norm_eps: fields.get_or("layer_norm_eps", 1e-5)?,
        kv_heads: arch.heads,
        positions: rotated.positions()?,
        bias: Biases { qkv: bias, output: bias, mlp: true, head: false },
        activation: activation(fields, "hidden_act", "gelu")?,
        gated: false,
        wiring: if parallel { Wiring::Parallel } else { Wiring::Sequential },
        ..arch
    })
}

fn gemma3(fields: &Fields) -> Result<Arch> {
    fields.absent("final_logit_softcapping")?;
    fields.absent("attn_logit_softcapping")?;
    fields.only("attention_bias", false)?;
    fields.only("use_bidirectional_attention", false)?;
    let fields = &fields.with_defaults(&[
        ("vocab_size", 262_208),
        ("hidden_size", 2304),
        ("intermediate_size", 9216),
        ("num_hidden_layers", 26),
        ("num_attention_heads", 8),
        ("num_key_value_heads", 4),
        ("head_dim", 256),
        ("max_position_embeddings", 131_072),
        ("sliding_window", 4096),
        ("sliding_window_pattern", 6),
    ]);
    let arch = common(fields, Family::Gemma3)?;
    let pattern: usize = fields.get("sliding_window_pattern")?;
    if pattern == 0 {
        return Err(input("field `sliding_window_pattern` is 0, which cannot be: the file is damaged"));
    }
    let windowed = |layer: usize| !(layer + 1).is_multiple_of(pattern);
    let scalar: f64 = fields.get_or("query_pre_attn_scalar", 256.)?;
    Ok(Arch {
        norm: NormKind::RmsPlusOne,
        norm_eps: fields.get_or("rms_norm_eps", 1e-6)?,
        positions: json_rope::gemma3(fields, &arch)?,
        windows: layer_types(fields, arch.layers, windowed, fields.find("sliding_window")?)?,
        score_scale: scalar.powf(-0.5),
        qk_norm: Some(QkNorm::Head),
        activation: activation(fields, "hidden_activation", "gelu_pytorch_tanh")?,
        wiring: Wiring::Sandwich,
        multipliers: Multipliers { embedding: (arch.hidden as f64).sqrt(), ..Multipliers::NEUTRAL },
        tied: fields.get_or("tie_word_embeddings", true)?,
        ..arch
    })
}
