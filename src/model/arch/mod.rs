//! What a decoder must know beside its weights: sizes, and which part of each kind its family has. Read from
//! `config.json` or from GGUF metadata, before any weight is.

use anyhow::Result;
use serde::Serialize;

mod checked;
mod family;
mod fields;
mod gguf;
mod gguf_keys;
mod json;
mod json_fields;
mod json_older;
mod json_rope;
mod known;
mod known_generation;
mod known_gguf;
mod rotary;

pub use family::Family;
pub use fields::Fields;
pub use known::unread;
pub use known_generation::not_applied;
pub use known_gguf::{not_applied_gguf, unread_gguf};
pub use rotary::{Llama3Scaling, Rope, RopeScaling, YarnScaling};

use super::mlp::{Activation, MlpShape};
use super::projection::Projection;
use crate::base::error::input;

/// Everything the decoder must know beside the weights.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Arch {
    /// Which architecture: decides the names of the tensors.
    pub family: Family,
    /// Number of layers.
    pub layers: usize,
    /// Width of the hidden state.
    pub hidden: usize,
    /// Attention heads.
    pub heads: usize,
    /// Heads of keys and values (grouped-query attention where fewer than `heads`).
    pub kv_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Width inside the MLP.
    pub intermediate: usize,
    /// Rows of the embedding.
    pub vocab: usize,
    /// Longest sequence, in tokens.
    pub context: usize,
    /// The kind of its norms.
    pub norm: NormKind,
    /// Epsilon of the norms.
    pub norm_eps: f64,
    /// How a token's position is told.
    pub positions: Positions,
    /// By layer, how many columns a row reads, its own included; `None`: all.
    #[serde(skip_serializing_if = "no_windows")]
    pub windows: Vec<Option<usize>>,
    /// By layer, whether its queries and keys are not rotated, though positions are rotary. Empty where all layers are alike.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unrotated: Vec<bool>,
    /// Scores are multiplied by this.
    pub score_scale: f64,
    /// Queries and keys are normed head by head.
    pub qk_norm: bool,
    /// Which matrices have biases.
    pub bias: Biases,
    /// The MLP's function.
    pub activation: Activation,
    /// The MLP multiplies by a gate, on which the function acts.
    pub gated: bool,
    /// How a block is wired.
    pub wiring: Wiring,
    /// The embedding is multiplied by the root of the width.
    pub embedding_scaled: bool,
    /// A norm follows the embedding.
    pub embedding_norm: bool,
    /// The embedding is also the vocabulary projection.
    pub tied: bool,
}

fn no_windows(windows: &[Option<usize>]) -> bool {
    windows.iter().all(Option::is_none)
}

/// The kind of a model's norms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NormKind {
    /// Root mean square (Zhang and Sennrich 2019).
    Rms,
    /// Root mean square; the weight stored is what 1 is added to.
    RmsPlusOne,
    /// Mean and variance, with a bias.
    Layer,
}

/// How a token's position is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// Queries and keys are rotated; layers with a window may have frequencies of their own.
    Rotary { all: Rope, windowed: Option<Rope> },
    /// A vector for each position is added to the embedding.
    Learned,
    /// A score falls with the distance (Press, Smith, Lewis 2022, "ALiBi").
    Alibi,
}

/// Which matrices have biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Biases {
    /// Queries, keys and values.
    pub qkv: bool,
    /// The attention output projection.
    pub output: bool,
    /// The MLP.
    pub mlp: bool,
}

/// How a block is wired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wiring {
    /// Norm, attention, add; norm, MLP, add.
    Sequential,
    /// The same with another norm after attention and after the MLP.
    Sandwich,
    /// Attention and MLP both read the block's input.
    Parallel,
}

/// No model has more; lists that have an entry for each layer are short.
const MOST_LAYERS: usize = 1 << 16;

/// Layers as a file gives them, before a list is made of them.
fn listable(layers: usize) -> Result<usize> {
    match layers {
        0..=MOST_LAYERS => Ok(layers),
        _ => Err(input("its number of layers is 0 or absurd: the file is damaged")),
    }
}

impl Arch {
    /// How many columns a row of this layer reads, its own included; `None`: all.
    pub fn window(&self, layer: usize) -> Option<usize> {
        self.windows.get(layer).copied().flatten()
    }

    /// Which of a model's two rotations this layer's queries and keys have, where positions are rotary: 0 without a window, 1 with
    /// one; `None` where they are not rotated.
    pub fn rotation(&self, layer: usize) -> Option<usize> {
        let unrotated = self.unrotated.get(layer).copied().unwrap_or(false);
        (!unrotated).then(|| usize::from(self.window(layer).is_some()))
    }

    /// The MLP of a layer.
    pub fn mlp(&self) -> MlpShape {
        MlpShape {
            hidden: self.hidden,
            width: self.intermediate,
            gated: self.gated,
            bias: self.bias.mlp,
            activation: self.activation,
        }
    }

    /// Parameters of the model, counted once where the embedding is tied.
    pub fn parameters(&self) -> u64 {
        let (q, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let when = |present: bool, size: usize| if present { size } else { 0 };
        let norm = if self.norm == NormKind::Layer { 2 * self.hidden } else { self.hidden };
        let attention = self.hidden * (2 * q + 2 * kv)
            + when(self.bias.qkv, q + 2 * kv)
            + when(self.bias.output, self.hidden)
            + when(self.qk_norm, 2 * self.head_dim);
        let norms = if self.wiring == Wiring::Sandwich { 4 } else { 2 };
        let vocab = self.vocab * self.hidden * if self.tied { 1 } else { 2 };
        let outside = vocab
            + norm
            + when(self.embedding_norm, norm)
            + when(self.positions == Positions::Learned, self.context * self.hidden);
        (outside + self.layers * (attention + norms * norm)) as u64
            + self.layers as u64 * self.mlp().parameters()
    }

    /// Multiply-add pairs of one row through all layers, matrix products only, without the vocabulary projection.
    pub fn multiply_adds_per_row(&self) -> u64 {
        let attention = self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads);
        self.layers as u64 * (attention as u64 + self.mlp().multiply_adds())
    }
}

impl Projection {
    /// Inputs and outputs in an architecture; `None` where it has no such projection.
    pub fn sizes(self, arch: &Arch) -> Option<[usize; 2]> {
        let (q, kv) = (arch.heads * arch.head_dim, arch.kv_heads * arch.head_dim);
        match self {
            Self::Q => Some([arch.hidden, q]),
            Self::K | Self::V => Some([arch.hidden, kv]),
            Self::O => Some([q, arch.hidden]),
            Self::Gate | Self::Up | Self::Down => arch.mlp().sizes(self),
        }
    }
}
