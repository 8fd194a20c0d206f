//! `config.json`, as transformers 4 and 5 write it. What a file leaves out has the value that transformers' own
//! configuration class gives it.

use std::path::Path;

use anyhow::{Context, Result};

use super::json_rope::{self, Rotated};
use super::{Activation, Arch, Biases, Family, Fields, NormKind, Positions, Wiring, known, listable};
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
        let family = Family::of_model_type(&model_type)?;
        known::refuse_not_computed(fields)?;
        let arch = match family {
            Family::Llama => llama(fields)?,
            Family::Qwen2 => qwen2(fields)?,
            Family::GptNeo => gpt_neo(fields)?,
            Family::Bloom => bloom(fields)?,
            Family::Starcoder2 => starcoder2(fields)?,
            Family::Gpt2 => gpt2(fields)?,
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
        kv_heads: fields.find("num_key_value_heads")?.unwrap_or(heads),
        head_dim,
        intermediate: fields.get("intermediate_size")?,
        vocab: fields.get("vocab_size")?,
        context: fields.get("max_position_embeddings")?,
        norm: NormKind::Rms,
        norm_eps: 1e-6,
        positions: Positions::Learned,
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

/// Rotary positions as most families write them: whole heads.
fn rotary(fields: &Fields, head_dim: usize) -> Result<Positions> {
    Rotated { fields, head_dim, theta: ("rope_theta", 10_000.), share: None }.positions()
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
        bias: Biases { qkv: bias, output: bias, mlp: false },
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
        bias: Biases { qkv: true, output: false, mlp: false },
        activation: activation(fields, "hidden_act", "silu")?,
        windows,
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
        bias: Biases { qkv: bias, output: bias, mlp: bias },
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
    let rotated = Rotated { fields, head_dim: arch.head_dim, theta, share };
    Ok(Arch {
        norm: NormKind::Layer,
        norm_eps: fields.get_or("layer_norm_eps", 1e-5)?,
        kv_heads: arch.heads,
        positions: rotated.positions()?,
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
            intermediate: match self.intermediate {
                Some(name) => fields.find(name)?.unwrap_or(intermediate),
                None => intermediate,
            },
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
    let fields = &fields.without_aliases(&known::GPT2_ALIASES).with_defaults(&[
        ("vocab_size", 50_257),
        ("n_embd", 768),
        ("n_layer", 12),
        ("n_head", 12),
        ("n_positions", 1024),
    ]);
    fields.only("scale_attn_weights", true)?;
    fields.only("scale_attn_by_inverse_layer_idx", false)?;
    let context = fields.get("n_positions")?;
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
    let fields = &fields.without_aliases(&known::GPT_NEO_ALIASES).with_defaults(&[
        ("vocab_size", 50_257),
        ("hidden_size", 2048),
        ("num_layers", 24),
        ("num_heads", 16),
        ("max_position_embeddings", 2048),
    ]);
    let older = Older {
        layers: "num_layers",
        hidden: "hidden_size",
        heads: "num_heads",
        intermediate: Some("intermediate_size"),
        context: fields.get("max_position_embeddings")?,
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

/// The kind of each layer: `attention_layers` names them one by one and wins, as in transformers; `attention_types`,
/// `[[["global", "local"], 16]]`, has patterns and how often each is repeated.
fn gpt_neo_windows(fields: &Fields, layers: usize, window: usize) -> Result<Vec<Option<usize>>> {
    let (name, kinds) = match fields.find::<Vec<String>>("attention_layers")? {
        Some(kinds) => ("attention_layers", kinds),
        None => ("attention_types", repeated(fields, layers)?),
    };
    if kinds.len() != layers {
        return Err(input(format!("field `{name}` is about {} layers, not {layers}", kinds.len())));
    }
    let windows = kinds.iter().map(|kind| match kind.as_str() {
        "global" => Ok(None),
        "local" => Ok(Some(window)),
        other => Err(input(format!("field `{name}` names `{other}`: neither global nor local"))),
    });
    windows.collect()
}

/// The patterns of `attention_types`, written out.
fn repeated(fields: &Fields, layers: usize) -> Result<Vec<String>> {
    let patterns: Vec<(Vec<String>, usize)> =
        fields.find("attention_types")?.unwrap_or_else(|| vec![(vec!["global".into(), "local".into()], 12)]);
    // Counted first, as few words may be about many layers.
    let listed = patterns
        .iter()
        .fold(0usize, |listed, (pattern, times)| listed.saturating_add(pattern.len().saturating_mul(*times)));
    if listed != layers {
        return Err(input(format!("field `attention_types` is about {listed} layers, not {layers}")));
    }
    let all =
        patterns.iter().flat_map(|(pattern, times)| (0..(*times).min(layers)).flat_map(move |_| pattern));
    Ok(all.cloned().collect())
}

fn bloom(fields: &Fields) -> Result<Arch> {
    let mut fields = fields.without_aliases(&known::BLOOM_ALIASES);
    if fields.0.get("n_embed").is_some_and(|width| !width.is_null()) {
        fields = fields.without_aliases(&[("n_embed", "hidden_size")]);
    }
    let defaults = [("vocab_size", 250_880), ("hidden_size", 64), ("n_layer", 2), ("n_head", 8)];
    let fields = &fields.with_defaults(&defaults);
    fields.only("apply_residual_connection_post_layernorm", false)?;
    let older = Older {
        layers: "n_layer",
        hidden: "hidden_size",
        heads: "n_head",
        intermediate: None,
        // transformers does not read it: ALiBi has no end, but the training had one.
        context: fields.find("seq_length")?.unwrap_or(2048),
    };
    Ok(Arch { positions: Positions::Alibi, embedding_norm: true, ..older.arch(fields, Family::Bloom)? })
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
        qk_norm: true,
        activation: activation(fields, "hidden_activation", "gelu_pytorch_tanh")?,
        wiring: Wiring::Sandwich,
        embedding_scaled: true,
        tied: fields.get_or("tie_word_embeddings", true)?,
        ..arch
    })
}

/// `layer_types` (transformers 5), or the older rule where it is absent.
fn layer_types(
    fields: &Fields,
    layers: usize,
    windowed: impl Fn(usize) -> bool,
    window: Option<usize>,
) -> Result<Vec<Option<usize>>> {
    let types = fields.find::<Vec<String>>("layer_types")?.unwrap_or_else(|| {
        let kind = |layer| if windowed(layer) { "sliding_attention" } else { "full_attention" };
        (0..layers).map(|layer| kind(layer).to_string()).collect()
    });
    if types.len() != layers {
        return Err(input(format!("field `layer_types` is about {} layers, not {layers}", types.len())));
    }
    let one = |kind: &String| match (kind.as_str(), window) {
        ("full_attention" | "attention", _) => Ok(None),
        ("sliding_attention", Some(window)) => Ok(Some(window)),
        ("sliding_attention", None) => Err(input(
            "layers have a sliding window, but no `sliding_window` is in force: set `sliding_window` (and for qwen2 \
             `use_sliding_window`)",
        )),
        (other, _) => Err(input(format!("field `layer_types` names `{other}`, which is not computed"))),
    };
    types.iter().map(one).collect()
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
