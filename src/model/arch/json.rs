//! `config.json`, as transformers 4 and 5 write it. What a file leaves out has the value that transformers' own
//! configuration class gives it.

use std::path::Path;

use anyhow::{Context, Result};

use super::{
    Activation, Arch, Biases, Family, Fields, NormKind, Positions, Rope, RopeScaling, Wiring, listable,
};
use crate::error::input;
use crate::inputs::{self, MOST_SETTINGS};

impl Arch {
    /// Read a `config.json`.
    ///
    /// # Errors
    /// An [`InputError`](crate::error::InputError) that names the file and the field: an unknown `model_type`, a
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
        let arch = match Family::of_model_type(&model_type)? {
            Family::Llama => llama(fields)?,
            Family::Qwen2 => qwen2(fields)?,
            Family::GptNeo => gpt_neo(fields)?,
            Family::Bloom => bloom(fields)?,
            Family::Starcoder2 => starcoder2(fields)?,
            Family::Gpt2 => gpt2(fields)?,
            Family::GptNeox => gpt_neox(fields)?,
            Family::Gemma3 => match fields.object("text_config")? {
                Some(mut text) => {
                    // Tying is said of the whole model.
                    if let Some(tied) = fields.0.get("tie_word_embeddings") {
                        text.0.entry("tie_word_embeddings").or_insert(tied.clone());
                    }
                    gemma3(&text)?
                }
                None => gemma3(fields)?,
            },
        };
        arch.checked()
    }
}

/// The sizes that most families write alike; the rest as in Llama.
fn common(fields: &Fields, family: Family) -> Result<Arch> {
    let (hidden, heads) = (fields.get("hidden_size")?, fields.get("num_attention_heads")?);
    let head_dim = fields.find("head_dim")?.map_or_else(|| divided(hidden, heads), Ok)?;
    let layers = listable(fields.get("num_hidden_layers")?)?;
    Ok(Arch {
        family,
        layers,
        hidden,
        heads,
        kv_heads: fields.get_or("num_key_value_heads", heads)?,
        head_dim,
        intermediate: fields.get("intermediate_size")?,
        vocab: fields.get("vocab_size")?,
        context: fields.get("max_position_embeddings")?,
        norm: NormKind::Rms,
        norm_eps: 1e-6,
        positions: rotary(fields, head_dim, 10_000., 1.)?,
        windows: vec![None; layers],
        score_scale: inverse_root(head_dim),
        qk_norm: false,
        bias: Biases { qkv: false, output: false, mlp: false },
        activation: Activation::Silu,
        gated: true,
        wiring: Wiring::Sequential,
        embedding_scaled: false,
        embedding_norm: false,
        tied: fields.get_or("tie_word_embeddings", false)?,
    })
}

fn llama(fields: &Fields) -> Result<Arch> {
    fields.only("mlp_bias", false)?;
    let bias = fields.get_or("attention_bias", false)?;
    Ok(Arch {
        norm_eps: fields.get_or("rms_norm_eps", 1e-6)?,
        bias: Biases { qkv: bias, output: bias, mlp: false },
        activation: activation(fields, "hidden_act", "silu")?,
        ..common(fields, Family::Llama)?
    })
}

fn qwen2(fields: &Fields) -> Result<Arch> {
    let arch = common(fields, Family::Qwen2)?;
    let windows = if fields.get_or("use_sliding_window", false)? {
        let first: usize = fields.get_or("max_window_layers", 28)?;
        let window: usize = fields.get_or("sliding_window", 4096)?;
        layer_types(fields, arch.layers, |layer| layer >= first, window)?
    } else {
        arch.windows.clone()
    };
    Ok(Arch {
        norm_eps: fields.get_or("rms_norm_eps", 1e-6)?,
        bias: Biases { qkv: true, output: false, mlp: false },
        activation: activation(fields, "hidden_act", "silu")?,
        windows,
        ..arch
    })
}

fn starcoder2(fields: &Fields) -> Result<Arch> {
    let arch = common(fields, Family::Starcoder2)?;
    let bias = fields.get_or("use_bias", true)?;
    Ok(Arch {
        norm: NormKind::Layer,
        norm_eps: fields.get_or("norm_epsilon", 1e-5)?,
        windows: vec![fields.find("sliding_window")?; arch.layers],
        bias: Biases { qkv: bias, output: bias, mlp: bias },
        activation: activation(fields, "hidden_act", "gelu_pytorch_tanh")?,
        gated: false,
        tied: fields.get_or("tie_word_embeddings", true)?,
        ..arch
    })
}

fn gpt_neox(fields: &Fields) -> Result<Arch> {
    let arch = common(fields, Family::GptNeox)?;
    let bias = fields.get_or("attention_bias", true)?;
    let theta = fields.get_or("rotary_emb_base", 10_000.)?;
    let share = fields.get_or("rotary_pct", 0.25)?;
    let parallel = fields.get_or("use_parallel_residual", true)?;
    Ok(Arch {
        norm: NormKind::Layer,
        norm_eps: fields.get_or("layer_norm_eps", 1e-5)?,
        positions: rotary(fields, arch.head_dim, theta, share)?,
        bias: Biases { qkv: bias, output: bias, mlp: true },
        activation: activation(fields, "hidden_act", "gelu")?,
        gated: false,
        wiring: if parallel { Wiring::Parallel } else { Wiring::Sequential },
        ..arch
    })
}

/// GPT-2, GPT-Neo and BLOOM have older names for their sizes, and no rotary positions.
struct Older<'a> {
    layers: &'a str,
    hidden: &'a str,
    heads: &'a str,
    /// Where the width of the MLP may be written; absent it is four times the model's.
    intermediate: Option<&'a str>,
    context: usize,
}

impl Older<'_> {
    fn arch(&self, fields: &Fields, family: Family) -> Result<Arch> {
        let (hidden, heads) = (fields.get(self.hidden)?, fields.get(self.heads)?);
        let (layers, head_dim) = (listable(fields.get(self.layers)?)?, divided(hidden, heads)?);
        let intermediate = hidden.saturating_mul(4);
        Ok(Arch {
            family,
            layers,
            hidden,
            heads,
            kv_heads: heads,
            head_dim,
            intermediate: self
                .intermediate
                .map_or(Ok(intermediate), |name| fields.get_or(name, intermediate))?,
            vocab: fields.get("vocab_size")?,
            context: self.context,
            norm: NormKind::Layer,
            norm_eps: fields.get_or("layer_norm_epsilon", 1e-5)?,
            positions: Positions::Learned,
            windows: vec![None; layers],
            score_scale: inverse_root(head_dim),
            qk_norm: false,
            bias: Biases { qkv: true, output: true, mlp: true },
            activation: Activation::GeluTanh,
            gated: false,
            wiring: Wiring::Sequential,
            embedding_scaled: false,
            embedding_norm: false,
            tied: fields.get_or("tie_word_embeddings", true)?,
        })
    }
}

fn gpt2(fields: &Fields) -> Result<Arch> {
    fields.only("scale_attn_weights", true)?;
    fields.only("scale_attn_by_inverse_layer_idx", false)?;
    fields.only("add_cross_attention", false)?;
    let context = fields.get_or("n_positions", 1024)?;
    let older = Older {
        layers: "n_layer",
        hidden: "n_embd",
        heads: "n_head",
        intermediate: Some("n_inner"),
        context,
    };
    let activation = activation(fields, "activation_function", "gelu_new")?;
    Ok(Arch { activation, ..older.arch(fields, Family::Gpt2)? })
}

fn gpt_neo(fields: &Fields) -> Result<Arch> {
    let older = Older {
        layers: "num_layers",
        hidden: "hidden_size",
        heads: "num_heads",
        intermediate: Some("intermediate_size"),
        context: fields.get_or("max_position_embeddings", 2048)?,
    };
    let arch = older.arch(fields, Family::GptNeo)?;
    let window: usize = fields.get_or("window_size", 256)?;
    Ok(Arch {
        windows: gpt_neo_windows(fields, arch.layers, window)?,
        // Its score is the plain product.
        score_scale: 1.,
        bias: Biases { qkv: false, output: true, mlp: true },
        activation: activation(fields, "activation_function", "gelu_new")?,
        ..arch
    })
}

/// `attention_types`: `[[["global", "local"], 16]]`, that is patterns and how often each is repeated.
fn gpt_neo_windows(fields: &Fields, layers: usize, window: usize) -> Result<Vec<Option<usize>>> {
    let patterns: Vec<(Vec<String>, usize)> =
        fields.get_or("attention_types", vec![(vec!["global".into(), "local".into()], 12)])?;
    // Counted first, as few words may be about many layers.
    let listed = patterns
        .iter()
        .fold(0usize, |listed, (pattern, times)| listed.saturating_add(pattern.len().saturating_mul(*times)));
    if listed != layers {
        return Err(input(format!("field `attention_types` is about {listed} layers, not {layers}")));
    }
    let mut windows = Vec::with_capacity(layers);
    for (pattern, times) in patterns {
        for kind in (0..times.min(layers)).flat_map(|_| &pattern) {
            windows.push(match kind.as_str() {
                "global" => None,
                "local" => Some(window),
                other => {
                    return Err(input(format!(
                        "field `attention_types` names `{other}`: neither global nor local"
                    )));
                }
            });
        }
    }
    Ok(windows)
}

fn bloom(fields: &Fields) -> Result<Arch> {
    fields.only("apply_residual_connection_post_layernorm", false)?;
    // Read by nothing but us: ALiBi has no end, but training had.
    let context = fields.get_or("seq_length", 2048)?;
    let legacy = fields.find::<usize>("n_embed")?.is_some();
    let older = Older {
        layers: if fields.find::<usize>("n_layer")?.is_some() { "n_layer" } else { "num_hidden_layers" },
        hidden: if legacy { "n_embed" } else { "hidden_size" },
        heads: if fields.find::<usize>("n_head")?.is_some() { "n_head" } else { "num_attention_heads" },
        intermediate: None,
        context,
    };
    Ok(Arch { positions: Positions::Alibi, embedding_norm: true, ..older.arch(fields, Family::Bloom)? })
}

fn gemma3(fields: &Fields) -> Result<Arch> {
    fields.absent("final_logit_softcapping")?;
    fields.absent("attn_logit_softcapping")?;
    fields.only("attention_bias", false)?;
    fields.only("use_bidirectional_attention", false)?;
    let mut fields = fields.clone();
    let defaults: [(&str, usize); 6] = [
        ("num_attention_heads", 8),
        ("num_key_value_heads", 4),
        ("head_dim", 256),
        ("vocab_size", 262_208),
        ("max_position_embeddings", 131_072),
        ("sliding_window", 4096),
    ];
    for (name, absent) in defaults {
        fields.0.entry(name).or_insert(absent.into());
    }
    let arch = common(&fields, Family::Gemma3)?;
    let pattern: usize = fields.get_or("sliding_window_pattern", 6)?;
    let windowed = |layer: usize| !(layer + 1).is_multiple_of(pattern);
    let scalar: f64 = fields.get_or("query_pre_attn_scalar", 256.)?;
    Ok(Arch {
        norm: NormKind::RmsPlusOne,
        norm_eps: fields.get_or("rms_norm_eps", 1e-6)?,
        positions: gemma3_positions(&fields, arch.head_dim)?,
        windows: layer_types(&fields, arch.layers, windowed, fields.get("sliding_window")?)?,
        score_scale: scalar.powf(-0.5),
        qk_norm: true,
        activation: activation(&fields, "hidden_activation", "gelu_pytorch_tanh")?,
        wiring: Wiring::Sandwich,
        embedding_scaled: true,
        tied: fields.get_or("tie_word_embeddings", true)?,
        ..arch
    })
}

/// Frequencies of their own for layers with a window: in two fields (transformers 4) or two objects (5).
fn gemma3_positions(fields: &Fields, head_dim: usize) -> Result<Positions> {
    let both = fields.object("rope_parameters")?.unwrap_or(Fields(Default::default()));
    let full = match both.object("full_attention")? {
        Some(full) => full,
        None => fields.object("rope_scaling")?.unwrap_or(Fields(Default::default())),
    };
    let windowed = both.object("sliding_attention")?.unwrap_or(Fields(Default::default()));
    Ok(Positions::Rotary {
        all: rope(&full, head_dim, fields.get_or("rope_theta", 1e6)?, 1.)?,
        windowed: Some(rope(&windowed, head_dim, fields.get_or("rope_local_base_freq", 1e4)?, 1.)?),
    })
}

/// `layer_types` (transformers 5), or the older rule where it is absent.
fn layer_types(
    fields: &Fields,
    layers: usize,
    windowed: impl Fn(usize) -> bool,
    window: usize,
) -> Result<Vec<Option<usize>>> {
    let Some(types) = fields.find::<Vec<String>>("layer_types")? else {
        return Ok((0..layers).map(|layer| windowed(layer).then_some(window)).collect());
    };
    if types.len() != layers {
        return Err(input(format!("field `layer_types` is about {} layers, not {layers}", types.len())));
    }
    let one = |kind: &String| match kind.as_str() {
        "full_attention" => Ok(None),
        "sliding_attention" => Ok(Some(window)),
        other => Err(input(format!("field `layer_types` names `{other}`, which is not computed"))),
    };
    types.iter().map(one).collect()
}

/// Rotary positions as most families write them; `theta` and `share` of the head where the file is silent.
fn rotary(fields: &Fields, head_dim: usize, theta: f64, share: f64) -> Result<Positions> {
    let parameters = match fields.object("rope_parameters")? {
        Some(parameters) => Some(parameters),
        None => fields.object("rope_scaling")?,
    };
    let theta = fields.get_or("rope_theta", theta)?;
    let all = rope(&parameters.unwrap_or(Fields(Default::default())), head_dim, theta, share)?;
    Ok(Positions::Rotary { all, windowed: None })
}

/// One set of frequencies; what the parameters hold wins.
fn rope(parameters: &Fields, head_dim: usize, theta: f64, share: f64) -> Result<Rope> {
    let kind: Option<String> = match parameters.find("rope_type")? {
        Some(kind) => Some(kind),
        None => parameters.find("type")?,
    };
    let scaling = match kind.as_deref() {
        None | Some("default") => RopeScaling::None,
        Some("linear") => RopeScaling::Linear(parameters.get("factor")?),
        Some("llama3") => RopeScaling::Llama3(
            serde_json::from_value(parameters.0.clone().into())
                .map_err(|e| input(format!("rope scaling of type llama3: {e}")))?,
        ),
        Some(other) => {
            return Err(input(format!(
                "rope scaling of type `{other}` is not supported (supported: default, linear, llama3)"
            )));
        }
    };
    let share: f64 = parameters.get_or("partial_rotary_factor", share)?;
    if !(share > 0. && share <= 1.) {
        return Err(input(format!("a share of {share} of each head cannot be rotated: the file is damaged")));
    }
    let dims = (head_dim as f64 * share) as usize;
    Ok(Rope { theta: parameters.get_or("rope_theta", theta)?, dims, scaling })
}

fn activation(fields: &Fields, name: &str, absent: &str) -> Result<Activation> {
    match fields.get_or(name, absent.to_string())?.as_str() {
        "silu" | "swish" => Ok(Activation::Silu),
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Activation::GeluTanh),
        other => Err(input(format!(
            "field `{name}` is `{other}`, which is not computed (computed: silu, gelu, gelu_new, gelu_pytorch_tanh)"
        ))),
    }
}

fn divided(hidden: usize, heads: usize) -> Result<usize> {
    match hidden.checked_rem(heads) {
        Some(0) => Ok(hidden / heads),
        _ => Err(input(format!("a width of {hidden} over {heads} heads cannot be: the file is damaged"))),
    }
}

fn inverse_root(head_dim: usize) -> f64 {
    1. / (head_dim as f64).sqrt()
}
