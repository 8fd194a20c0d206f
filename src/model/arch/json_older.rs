//! The oldest families: GPT-2, GPT-Neo and BLOOM, which have names of their own for their sizes and no rotary positions.

use anyhow::Result;

use super::json_fields::{activation, divided};
use super::{Activation, Alibi, Arch, Biases, Family, Fields, NormKind, Positions, Sizes, known, listable};
use crate::base::error::input;

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
        let four: usize = hidden.saturating_mul(4);
        let intermediate = match self.intermediate {
            Some(name) => fields.find(name)?.unwrap_or(four),
            None => four,
        };
        let (vocab, context) = (fields.get("vocab_size")?, self.context);
        let sizes = Sizes { layers, hidden, heads, kv_heads: heads, head_dim, intermediate, vocab, context };
        Ok(Arch {
            norm: NormKind::Layer,
            norm_eps: fields.get_or("layer_norm_epsilon", 1e-5)?,
            bias: Biases { qkv: true, output: true, mlp: true, head: false },
            activation: Activation::GeluTanh,
            gated: false,
            tied: fields.get_or("tie_word_embeddings", true)?,
            ..Arch::llama(family, sizes)
        })
    }
}

/// The description of a model of this family.
pub(super) fn gpt2(fields: &Fields) -> Result<Arch> {
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

/// The description of a model of this family.
pub(super) fn gpt_neo(fields: &Fields) -> Result<Arch> {
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
        bias: Biases { output: true, mlp: true, ..Biases::NONE },
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

/// The description of a model of this family.
pub(super) fn bloom(fields: &Fields) -> Result<Arch> {
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
    let positions = Positions::Alibi(Alibi::Exact);
    Ok(Arch { positions, embedding_norm: true, ..older.arch(fields, Family::Bloom)? })
}
