//! What several families read of their fields alike.

use anyhow::Result;

use super::json_rope::Rotated;
use super::{Activation, Arch, Family, Fields, Positions, Sizes, listable};
use crate::base::error::input;

/// The function that a field names.
///
/// # Errors
/// One that is not computed.
pub(super) fn activation(fields: &Fields, name: &str, absent: &str) -> Result<Activation> {
    match fields.get_or(name, absent.to_string())?.as_str() {
        "silu" | "swish" => Ok(Activation::Silu),
        "relu" => Ok(Activation::Relu),
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Activation::GeluTanh),
        other => Err(input(format!(
            "field `{name}` is `{other}`, which is not computed (computed: silu, relu, gelu, gelu_new, gelu_pytorch_tanh)"
        ))),
    }
}

/// The width of a head.
///
/// # Errors
/// The heads do not divide the width.
pub(super) fn divided(hidden: usize, heads: usize) -> Result<usize> {
    match hidden.checked_rem(heads) {
        Some(0) => Ok(hidden / heads),
        _ => Err(input(format!("a width of {hidden} over {heads} heads cannot be: the file is damaged"))),
    }
}

/// The sizes that most families write alike; the rest as in Llama.
pub(super) fn common(fields: &Fields, family: Family) -> Result<Arch> {
    let (hidden, heads) = (fields.get("hidden_size")?, fields.get("num_attention_heads")?);
    let head_dim = fields.find("head_dim")?.map_or_else(|| divided(hidden, heads), Ok)?;
    let layers = listable(fields.get("num_hidden_layers")?)?;
    let sizes = Sizes {
        layers,
        hidden,
        heads,
        kv_heads: fields.find("num_key_value_heads")?.unwrap_or(heads),
        head_dim,
        intermediate: fields.get("intermediate_size")?,
        vocab: fields.get("vocab_size")?,
        context: fields.get("max_position_embeddings")?,
    };
    let tied = fields.get_or("tie_word_embeddings", false)?;
    Ok(Arch { tied, ..Arch::llama(family, sizes) })
}

/// Rotary positions as most families write them: whole heads.
pub(super) fn rotary(fields: &Fields, head_dim: usize) -> Result<Positions> {
    Rotated::whole(fields, head_dim).positions()
}

/// `layer_types` (transformers 5), or the older rule where it is absent.
pub(super) fn layer_types(
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
