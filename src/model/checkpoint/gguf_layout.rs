//! Hugging Face's tensor names -> llama.cpp's, and what llama.cpp's converter does to a tensor on the way.

use crate::model::{Arch, Family, Wiring};

/// How a tensor stands in a GGUF file, seen from transformers' layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorLayout {
    /// As it is.
    Same,
    /// Rows of each of so many heads are pairs `x0 y0 x1 y1 ...` instead of halves `x0 x1 ... y0 y1 ...`.
    Pairs { heads: usize },
    /// Rows are all queries, all keys, all values, instead of those head of keys by head of keys.
    Stacked,
    /// Transposed.
    Transposed,
    /// 1 has been added.
    PlusOne,
}

/// Names outside the layers, then parts of a layer; transformers' first.
const NAMES: [(&str, &str); 14] = [
    ("model.embed_tokens", "token_embd"),
    ("transformer.word_embeddings_layernorm", "token_embd_norm"),
    ("transformer.word_embeddings", "token_embd"),
    ("transformer.wte", "token_embd"),
    ("transformer.wpe", "position_embd"),
    ("transformer.ln_f", "output_norm"),
    ("gpt_neox.embed_in", "token_embd"),
    ("gpt_neox.final_layer_norm", "output_norm"),
    ("model.norm", "output_norm"),
    ("lm_head", "output"),
    ("embed_out", "output"),
    ("model.layers.", "blk."),
    ("transformer.h.", "blk."),
    ("gpt_neox.layers.", "blk."),
];

const PARTS: [(&str, &str); 38] = [
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("self_attn.q_layernorm.norms", "attn_q_norm"),
    ("self_attn.k_layernorm.norms", "attn_k_norm"),
    ("self_attn.qkv_proj", "attn_qkv"),
    ("mlp.gate_up_proj", "ffn_up"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("mlp.gate.", "ffn_gate_inp."),
    ("block_sparse_moe.gate.", "ffn_gate_inp."),
    ("block_sparse_moe.router.layer.", "ffn_gate_inp."),
    ("mlp.router.", "ffn_gate_inp."),
    ("self_attn.sinks", "attn_sinks.weight"),
    ("pre_feedforward_layernorm", "ffn_norm"),
    ("post_feedforward_layernorm", "post_ffw_norm"),
    ("input_layernorm", "attn_norm"),
    ("self_attention.query_key_value", "attn_qkv"),
    ("self_attention.dense", "attn_output"),
    ("attention.query_key_value", "attn_qkv"),
    ("attention.dense", "attn_output"),
    ("mlp.dense_h_to_4h", "ffn_up"),
    ("mlp.dense_4h_to_h", "ffn_down"),
    ("ln_attn", "attn_norm_2"),
    ("ln_mlp", "attn_norm"),
    ("ln_1", "attn_norm"),
    ("ln_2", "ffn_norm"),
    ("attn.c_attn", "attn_qkv"),
    ("attn.c_proj", "attn_output"),
    ("mlp.c_fc", "ffn_up"),
    ("mlp.c_proj", "ffn_down"),
    ("post_attention_layernorm", "ffn_norm"),
    (".weight", ".weight"),
    (".bias", ".bias"),
];

/// llama.cpp's name of a tensor.
pub fn name(arch: &Arch, hugging_face: &str) -> String {
    let replaced =
        |name: &str, (from, to): &(&str, &str)| name.strip_prefix(from).map(|rest| format!("{to}{rest}"));
    let named = NAMES.iter().find_map(|pair| replaced(hugging_face, pair));
    let named = named.unwrap_or_else(|| hugging_face.into());
    let Some((layer, part)) = named.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) else {
        return named;
    };
    // The one name that stands for two things; in gpt-oss it is another one's.
    let after = matches!(arch.wiring, Wiring::Sandwich | Wiring::NormAfter) || arch.family == Family::GptOss;
    if after && part.starts_with("post_attention_layernorm") {
        return format!("blk.{layer}.post_attention_norm.weight");
    }
    let part = PARTS.iter().find_map(|pair| replaced(part, pair)).unwrap_or_else(|| part.into());
    format!("blk.{layer}.{part}")
}

/// A tensor of one expert.
pub struct OfExpert {
    /// Its number.
    pub expert: usize,
    /// The tensor that holds those of all experts of the layer.
    pub of_all: String,
    /// Its name in older files, which hold each by itself.
    pub alone: String,
}

/// What transformers' files call gate, up and down of an expert.
const OF_EXPERTS: [(&str, &str); 6] = [
    ("gate_proj", "gate"),
    ("up_proj", "up"),
    ("down_proj", "down"),
    ("w1", "gate"),
    ("w3", "up"),
    ("w2", "down"),
];

/// Where a tensor stands, if it is an expert's.
pub fn of_expert(hugging_face: &str) -> Option<OfExpert> {
    let (layer, rest) = hugging_face.strip_prefix("model.layers.")?.split_once('.')?;
    let (expert, rest) = rest.split_once(".experts.")?.1.split_once('.')?;
    let (part, kind) = rest.split_once('.')?;
    let part = OF_EXPERTS.iter().find(|(name, _)| *name == part)?.1;
    Some(OfExpert {
        expert: expert.parse().ok()?,
        of_all: format!("blk.{layer}.ffn_{part}_exps.{kind}"),
        alone: format!("blk.{layer}.ffn_{part}.{expert}.{kind}"),
    })
}

/// How a tensor stands in the file, by the name that transformers gives it.
pub fn layout(arch: &Arch, hugging_face: &str) -> TensorLayout {
    let has = |part: &str| hugging_face.contains(part);
    match arch.family {
        family if family.is_in_pairs() && has(".q_proj.") => TensorLayout::Pairs { heads: arch.heads },
        family if family.is_in_pairs() && has(".k_proj.") => TensorLayout::Pairs { heads: arch.kv_heads },
        Family::Bloom | Family::GptNeox | Family::Falcon if has("query_key_value") => TensorLayout::Stacked,
        Family::Gpt2 if has(".c_") && hugging_face.ends_with("weight") => TensorLayout::Transposed,
        Family::Gemma2 | Family::Gemma3 if has("norm") => TensorLayout::PlusOne,
        _ => TensorLayout::Same,
    }
}

/// Rows of transformers' tensor, in its order, by their place in the file; `None` where they are the same.
pub fn row_order(arch: &Arch, layout: TensorLayout) -> Option<Box<dyn Iterator<Item = usize>>> {
    let (heads, dim) = (arch.heads, arch.head_dim);
    match layout {
        TensorLayout::Pairs { heads } => Some(Box::new((0..heads * dim).map(move |row| {
            let (head, half, pair) = (row / dim, row % dim / (dim / 2), row % (dim / 2));
            head * dim + 2 * pair + half
        }))),
        TensorLayout::Stacked => {
            let (kv_heads, group) = (arch.kv_heads, heads / arch.kv_heads);
            Some(Box::new((0..(heads + 2 * kv_heads) * dim).map(move |row| {
                let (kv_head, part, column) = (row / ((group + 2) * dim), row / dim % (group + 2), row % dim);
                let head = match part.checked_sub(group) {
                    None => kv_head * group + part,
                    Some(which) => heads + which * kv_heads + kv_head,
                };
                head * dim + column
            })))
        }
        TensorLayout::Same | TensorLayout::Transposed | TensorLayout::PlusOne => None,
    }
}
