//! GGUF metadata, as llama.cpp's converter writes them.

use anyhow::Result;
use candle_core::quantized::gguf_file::Content;

use super::gguf_experts;
use super::gguf_keys::{GgufKeys, Metadata};
use super::gguf_near;
use super::known_gguf::refuse_not_computed;
use super::{
    Activation, Alibi, Arch, Biases, Family, Multipliers, NormKind, Pairs, Positions, QkNorm, Rope,
    RopeScaling, Sizes, Wiring, YarnScaling, listable,
};
use crate::base::error::input;

/// Every published StarCoder2 reads this many columns; llama.cpp's converter does not write it.
const STARCODER2_WINDOW: usize = 4096;
/// Gemma 3's layers with a window have this base of frequencies; not every converter writes it.
const GEMMA3_WINDOW_BASE: f64 = 10_000.;
/// Of so many layers of Gemma 3 the last has no window.
const GEMMA3_PATTERN: usize = 6;
/// Gemma 3's 27B model is told by its layers; its scores have a scale of their own, which is not written.
const GEMMA3_27B_LAYERS: usize = 62;

/// In SmolLM3 every fourth layer is not rotated. GGUF files do not say so; llama.cpp knows it.
const SMOLLM3_PATTERN: usize = 4;

impl Family {
    /// Whether GGUF files order the rows of queries and keys in pairs: two dimensions that are rotated together are neighbours.
    pub fn is_in_pairs(self) -> bool {
        matches!(self, Self::Llama | Self::Smollm3 | Self::Mixtral | Self::Granite | Self::Granitemoe)
    }
}

impl Arch {
    /// Read the metadata of a GGUF file.
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) that names the key: an unknown architecture, a missing or impossible
    /// size, or an option this decoder does not compute.
    pub fn from_gguf(content: &Content) -> Result<Self> {
        let metadata = Metadata(&content.metadata);
        let name = metadata.string("general.architecture")?;
        let keys = GgufKeys { metadata, name };
        let family = match Family::of_gguf(name)? {
            Family::Llama if gguf_experts::count(&keys)? > 0 => Family::Mixtral,
            family => family,
        };
        let arch = sizes(family, content, &keys)?;
        let arch = match family {
            family if family.is_in_pairs() && !arch.head_dim.is_multiple_of(2) => {
                return Err(input(format!(
                    "heads of size {} cannot be rotated pair by pair: the file is damaged",
                    arch.head_dim
                )));
            }
            Family::Smollm3 => {
                let unrotated = (1..=arch.layers).map(|layer| layer.is_multiple_of(SMOLLM3_PATTERN));
                Arch { unrotated: unrotated.collect(), ..arch }
            }
            Family::Bloom => Arch { positions: Positions::Alibi(Alibi::Exact), embedding_norm: true, ..arch },
            Family::Gpt2 => Arch { positions: Positions::Learned { first: 0 }, ..arch },
            Family::Starcoder2 => {
                let window = keys.optional_size("attention.sliding_window")?.unwrap_or(STARCODER2_WINDOW);
                Arch { windows: vec![Some(window); arch.layers], ..arch }
            }
            Family::GptNeox => Arch {
                activation: Activation::Gelu,
                wiring: if keys.flag("use_parallel_residual")? {
                    Wiring::Parallel
                } else {
                    Wiring::Sequential
                },
                ..arch
            },
            Family::Gemma3 => gemma3(arch, &keys)?,
            Family::Olmoe => Arch { qk_norm: Some(QkNorm::Whole), ..arch },
            Family::GptOss => gguf_experts::gpt_oss(arch, &keys)?,
            _ => gguf_near::near(arch, &keys, content)?,
        };
        refuse_not_computed(&keys, &arch)?;
        arch.checked()
    }
}

/// Sizes, and what the tensors that are there say of the parts.
fn sizes(family: Family, content: &Content, keys: &GgufKeys) -> Result<Arch> {
    let hidden = keys.size("embedding_length")?;
    let heads = keys.size("attention.head_count")?;
    let layers = listable(keys.size("block_count")?)?;
    let head_dim = keys.optional_size("attention.key_length")?.unwrap_or(hidden / heads.max(1));
    let embedding = content.tensor_infos.get("token_embd.weight");
    let embedding = embedding.ok_or_else(|| input("tensor `token_embd.weight` is missing"))?;
    let has = |name: &str| content.tensor_infos.contains_key(name);
    let gate = ["blk.0.ffn_gate.weight", "blk.0.ffn_gate_exps.weight", "blk.0.ffn_gate.0.weight"];
    let gated = gate.into_iter().any(has);
    let norm = match family {
        _ if has("output_norm.bias") => NormKind::Layer,
        Family::Cohere => NormKind::LayerWithoutBias,
        _ => NormKind::Rms,
    };
    let epsilon = if norm == NormKind::Rms { "layer_norm_rms_epsilon" } else { "layer_norm_epsilon" };
    let sizes = Sizes {
        layers,
        hidden,
        heads,
        kv_heads: keys.optional_size("attention.head_count_kv")?.unwrap_or(heads),
        head_dim,
        intermediate: keys.size("feed_forward_length")?,
        vocab: embedding.shape.dims().first().copied().unwrap_or(0),
        context: keys.size("context_length")?,
    };
    Ok(Arch {
        experts: gguf_experts::mixture(family, keys)?,
        norm,
        norm_eps: keys.float(&format!("attention.{epsilon}"))?,
        positions: rotary(keys, head_dim)?,
        qk_norm: has("blk.0.attn_q_norm.weight").then_some(QkNorm::Head),
        bias: Biases {
            qkv: has("blk.0.attn_q.bias") || has("blk.0.attn_qkv.bias"),
            output: has("blk.0.attn_output.bias"),
            mlp: has("blk.0.ffn_up.bias") || has("blk.0.ffn_up_exps.bias"),
            head: false,
        },
        activation: if gated { Activation::Silu } else { Activation::GeluTanh },
        gated,
        tied: !has("output.weight"),
        ..Arch::llama(family, sizes)
    })
}

/// As llama.cpp reads it: a factor without a type is linear, and the factor has an older name.
fn rotary(keys: &GgufKeys, head_dim: usize) -> Result<Positions> {
    let factor = match keys.optional_float("rope.scaling.factor")? {
        None => keys.optional_float("rope.scale_linear")?,
        found => found,
    };
    let scaling = match keys.optional_string("rope.scaling.type")? {
        Some("none") => RopeScaling::None,
        None | Some("linear") => factor.map_or(RopeScaling::None, RopeScaling::Linear),
        Some("yarn") => RopeScaling::Yarn(yarn(keys, factor)?),
        Some(other) => {
            return Err(input(format!(
                "metadata `{}` is `{other}`, which is not supported (supported: none, linear, yarn)",
                keys.key("rope.scaling.type")
            )));
        }
    };
    let theta = keys.optional_float("rope.freq_base")?.unwrap_or(10_000.);
    let dims = keys.optional_size("rope.dimension_count")?.unwrap_or(head_dim);
    Ok(Positions::Rotary { all: Rope { theta, dims, pairs: Pairs::Halves, scaling }, windowed: None })
}

/// What is not written follows as in transformers.
fn yarn(keys: &GgufKeys, factor: Option<f64>) -> Result<YarnScaling> {
    let factor = factor.map_or_else(|| keys.float("rope.scaling.factor"), Ok)?;
    let number =
        |part: &str, absent: f64| -> Result<f64> { Ok(keys.optional_float(part)?.unwrap_or(absent)) };
    let spread = if factor <= 1. { 1. } else { 0.1 * factor.ln() + 1. };
    if number("rope.scaling.yarn_log_multiplier", 0.)? != 0. {
        let key = keys.key("rope.scaling.yarn_log_multiplier");
        return Err(input(format!("metadata `{key}` is not 0, and only 0 is computed")));
    }
    Ok(YarnScaling {
        factor,
        original_context: keys.size("rope.scaling.original_context_length")?,
        beta_fast: number("rope.scaling.yarn_beta_fast", 32.)?,
        beta_slow: number("rope.scaling.yarn_beta_slow", 1.)?,
        // No published gpt-oss rounds its bounds; files do not say so.
        truncate: keys.name != "gpt-oss",
        attention_factor: number("rope.scaling.yarn_attn_factor", spread)?,
    })
}

fn gemma3(arch: Arch, keys: &GgufKeys) -> Result<Arch> {
    let window = keys.size("attention.sliding_window")?;
    let theta = keys.optional_float("rope.freq_base_swa")?.unwrap_or(GEMMA3_WINDOW_BASE);
    let windowed = Rope { theta, dims: arch.head_dim, pairs: Pairs::Halves, scaling: RopeScaling::None };
    let positions = match arch.positions {
        Positions::Rotary { mut all, .. } => {
            if keys.optional_float("rope.freq_base")?.is_none() {
                all.theta = 1e6;
            }
            Positions::Rotary { all, windowed: Some(windowed) }
        }
        other => other,
    };
    let pattern = keys.optional_size("attention.sliding_window_pattern")?.unwrap_or(GEMMA3_PATTERN);
    if pattern == 0 {
        return Err(input(format!(
            "metadata `{}` is 0, which cannot be: the file is damaged",
            keys.key("attention.sliding_window_pattern")
        )));
    }
    let scaled =
        if arch.layers == GEMMA3_27B_LAYERS { arch.hidden / arch.heads.max(1) } else { arch.head_dim };
    Ok(Arch {
        norm: NormKind::RmsPlusOne,
        positions,
        windows: (1..=arch.layers).map(|layer| (!layer.is_multiple_of(pattern)).then_some(window)).collect(),
        score_scale: 1. / (scaled as f64).sqrt(),
        activation: Activation::GeluTanh,
        wiring: Wiring::Sandwich,
        multipliers: Multipliers { embedding: (arch.hidden as f64).sqrt(), ..Multipliers::NEUTRAL },
        ..arch
    })
}
