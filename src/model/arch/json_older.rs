//! Older families, which have names of their own for their sizes: GPT-2, GPT-Neo, BLOOM, GPT-J, OPT and Falcon.

use anyhow::Result;

use super::json_fields::{activation, divided};
use super::json_rope::Rotated;
use super::{
    Activation, Alibi, Arch, Biases, Family, Fields, NormKind, Pairs, Positions, Rope, RopeScaling, Sizes,
    Wiring, known, listable,
};
use crate::base::error::input;

/// Where these families write their sizes.
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

/// The description of a model of this family.
pub(super) fn gptj(fields: &Fields) -> Result<Arch> {
    let fields = &fields.without_aliases(&known::GPT2_ALIASES).with_defaults(&[
        ("vocab_size", 50_400),
        ("n_embd", 4096),
        ("n_layer", 28),
        ("n_head", 16),
        ("n_positions", 2048),
        ("rotary_dim", 64),
    ]);
    let older = Older {
        layers: "n_layer",
        hidden: "n_embd",
        heads: "n_head",
        intermediate: Some("n_inner"),
        context: fields.get("n_positions")?,
    };
    // transformers reads no other base and no rescaling here.
    let dims = fields.get("rotary_dim")?;
    let all = Rope { theta: 10_000., dims, pairs: Pairs::Neighbours, scaling: RopeScaling::None };
    Ok(Arch {
        positions: Positions::Rotary { all, windowed: None },
        bias: Biases { mlp: true, head: true, ..Biases::NONE },
        activation: activation(fields, "activation_function", "gelu_new")?,
        wiring: Wiring::ParallelOneNorm,
        tied: fields.get_or("tie_word_embeddings", false)?,
        ..older.arch(fields, Family::Gptj)?
    })
}

/// The description of a model of this family.
pub(super) fn opt(fields: &Fields) -> Result<Arch> {
    let fields = &fields.with_defaults(&[
        ("vocab_size", 50_272),
        ("hidden_size", 768),
        ("num_hidden_layers", 12),
        ("num_attention_heads", 12),
        ("ffn_dim", 3072),
        ("max_position_embeddings", 2048),
    ]);
    let older = Older {
        layers: "num_hidden_layers",
        hidden: "hidden_size",
        heads: "num_attention_heads",
        intermediate: Some("ffn_dim"),
        context: fields.get("max_position_embeddings")?,
    };
    let arch = older.arch(fields, Family::Opt)?;
    let before = fields.get_or("do_layer_norm_before", true)?;
    let bias = fields.get_or("enable_bias", true)?;
    Ok(Arch {
        norm: match fields.get_or("layer_norm_elementwise_affine", true)? {
            true => NormKind::Layer,
            false => NormKind::LayerAlone,
        },
        // No field changes it.
        norm_eps: 1e-5,
        // The first two rows of the table are never read.
        positions: Positions::Learned { first: 2 },
        bias: Biases { qkv: bias, output: bias, mlp: bias, head: false },
        activation: activation(fields, "activation_function", "relu")?,
        wiring: if before { Wiring::Sequential } else { Wiring::PostNorm },
        embedding_width: fields.find("word_embed_proj_dim")?.filter(|width| *width != arch.hidden),
        last_norm: before && !fields.get_or("_remove_final_layer_norm", false)?,
        ..arch
    })
}

/// The description of a model of this family.
pub(super) fn falcon(fields: &Fields) -> Result<Arch> {
    let mut fields = fields.clone();
    if fields.0.get("n_embed").is_some_and(|width| !width.is_null()) {
        fields = fields.without_aliases(&[("n_embed", "hidden_size")]);
    }
    let fields = &fields.with_defaults(&[
        ("vocab_size", 65_024),
        ("hidden_size", 4544),
        ("num_hidden_layers", 32),
        ("num_attention_heads", 71),
        ("max_position_embeddings", 2048),
    ]);
    let flag = |name: &str, absent: bool| fields.get_or(name, absent);
    let (grouped, parallel) = (flag("new_decoder_architecture", false)?, flag("parallel_attn", true)?);
    let norms: Option<usize> = fields.find("num_ln_in_parallel_attn")?;
    let wiring = match (grouped, parallel, norms) {
        (true, false, _) => {
            return Err(input("fields `new_decoder_architecture` and `parallel_attn` contradict"));
        }
        (true, true, None | Some(2)) => Wiring::Parallel,
        (_, true, None | Some(1)) => Wiring::ParallelOneNorm,
        (false, false, None | Some(1)) => Wiring::Sequential,
        (.., Some(norms)) => {
            return Err(input(format!("field `num_ln_in_parallel_attn` is {norms}, which is not computed")));
        }
    };
    let older = Older {
        layers: "num_hidden_layers",
        hidden: "hidden_size",
        heads: "num_attention_heads",
        intermediate: Some("ffn_hidden_size"),
        context: fields.get("max_position_embeddings")?,
    };
    let arch = older.arch(fields, Family::Falcon)?;
    let kv_heads = match (grouped, flag("multi_query", true)?) {
        (true, _) => fields.find("num_kv_heads")?.unwrap_or(arch.heads),
        (false, true) => 1,
        (false, false) => arch.heads,
    };
    let bias = flag("bias", false)?;
    Ok(Arch {
        kv_heads,
        positions: match flag("alibi", false)? {
            true => Positions::Alibi(Alibi::Rounded),
            false => Rotated::whole(fields, arch.head_dim).positions()?,
        },
        bias: Biases { qkv: bias, output: bias, mlp: bias, head: false },
        activation: activation(fields, "activation", "gelu")?,
        wiring,
        ..arch
    })
}
