//! What a decoder must know beside its weights: sizes, and which part of each kind its family has. Read from
//! `config.json` or from GGUF metadata, before any weight is.

use std::ops::RangeInclusive;

use anyhow::Result;
use serde::Serialize;

mod checked;
mod family;
mod fields;
mod gguf;
mod gguf_experts;
mod gguf_keys;
mod gguf_near;
mod json;
mod json_experts;
mod json_fields;
mod json_near;
mod json_older;
mod json_rope;
mod known;
mod known_experts;
mod known_generation;
mod known_gguf;
mod known_near;
mod parts;
mod rotary;

pub use family::Family;
pub use fields::Fields;
pub(super) use gguf_keys::{GgufKeys, Metadata};
pub use known::unread;
pub use known_generation::not_applied;
pub use known_gguf::{not_applied_gguf, unread_gguf};
pub use parts::{Alibi, Biases, Multipliers, NormKind, Positions, QkNorm, Wiring};
pub use rotary::{Llama3Scaling, LongScaling, Pairs, Rope, RopeScaling, YarnScaling};

use super::experts::{FeedForwardShape, Routing};
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
    /// The experts that layers have in place of an MLP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experts: Option<Mixture>,
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
    /// Scores are bent below this: `cap * tanh(score / cap)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score_cap: Option<f64>,
    /// Each head has a sink: a score that takes part in every row's softmax but has no value behind it.
    #[serde(skip_serializing_if = "is_false")]
    pub sinks: bool,
    /// How queries and keys are normed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qk_norm: Option<QkNorm>,
    /// Queries, keys and values are clamped to this and its negative.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_qkv: Option<f64>,
    /// Which matrices have biases.
    pub bias: Biases,
    /// The MLP's function.
    pub activation: Activation,
    /// The MLP multiplies by a gate, on which the function acts.
    pub gated: bool,
    /// How a block is wired.
    pub wiring: Wiring,
    /// What the embedding, what is added to the states, and the logits are multiplied by.
    #[serde(skip_serializing_if = "Multipliers::is_neutral")]
    pub multipliers: Multipliers,
    /// Logits are bent below this: `cap * tanh(logit / cap)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logit_cap: Option<f64>,
    /// A norm follows the embedding.
    pub embedding_norm: bool,
    /// Width of the embedding where it is not `hidden`: then matrices lead from it to the states, and back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_width: Option<usize>,
    /// A norm follows the last layer.
    #[serde(skip_serializing_if = "is_true")]
    pub last_norm: bool,
    /// The embedding is also the vocabulary projection.
    pub tied: bool,
}

/// The sizes that every description of a model gives.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// As in [`Arch`], here and below.
    pub layers: usize,
    pub hidden: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub intermediate: usize,
    pub vocab: usize,
    pub context: usize,
}

/// A mixture of experts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mixture {
    /// How many experts there are, and how rows choose among them.
    #[serde(flatten)]
    pub routing: Routing,
    /// Width inside an expert.
    pub width: usize,
    /// By layer, whether it has an MLP instead. Empty where none has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dense: Vec<bool>,
}

fn no_windows(windows: &[Option<usize>]) -> bool {
    windows.iter().all(Option::is_none)
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_true(flag: &bool) -> bool {
    *flag
}

/// The usual scale of scores.
fn inverse_root(head_dim: usize) -> f64 {
    1. / (head_dim as f64).sqrt()
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
    /// Llama's parts in these sizes, positions aside: most families are told from it by a few parts.
    pub fn llama(family: Family, sizes: Sizes) -> Self {
        let Sizes { layers, hidden, heads, kv_heads, head_dim, intermediate, vocab, context } = sizes;
        Self {
            family,
            layers,
            hidden,
            heads,
            kv_heads,
            head_dim,
            intermediate,
            experts: None,
            vocab,
            context,
            norm: NormKind::Rms,
            norm_eps: 1e-6,
            positions: Positions::Learned { first: 0 },
            windows: vec![None; layers],
            unrotated: Vec::new(),
            score_scale: inverse_root(head_dim),
            score_cap: None,
            sinks: false,
            qk_norm: None,
            clip_qkv: None,
            bias: Biases::NONE,
            activation: Activation::Silu,
            gated: true,
            wiring: Wiring::Sequential,
            multipliers: Multipliers::NEUTRAL,
            logit_cap: None,
            embedding_norm: false,
            embedding_width: None,
            last_norm: true,
            tied: false,
        }
    }

    /// The same model for sequences of these lengths, from the first step of the shortest to the last step of the longest: with
    /// `longrope` they choose the frequencies.
    ///
    /// # Errors
    /// No frequencies hold for all of them.
    pub fn for_lengths(&self, lengths: RangeInclusive<usize>) -> Result<Self> {
        let positions = match &self.positions {
            Positions::Rotary { all, windowed } => Positions::Rotary {
                all: all.for_lengths(&lengths)?,
                windowed: windowed.as_ref().map(|rope| rope.for_lengths(&lengths)).transpose()?,
            },
            other => other.clone(),
        };
        Ok(Self { positions, ..self.clone() })
    }

    /// Rows of the table of positions, where they are learned.
    pub fn position_rows(&self) -> Option<usize> {
        match self.positions {
            Positions::Learned { first } => Some(first + self.context),
            _ => None,
        }
    }

    /// Width of a row of the embedding and of the vocabulary projection.
    pub fn embedding_width(&self) -> usize {
        self.embedding_width.unwrap_or(self.hidden)
    }

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

    /// The MLP of a layer, or its experts.
    pub fn feed_forward(&self, layer: usize) -> FeedForwardShape {
        let here = |mixture: &&Mixture| !mixture.dense.get(layer).copied().unwrap_or(false);
        let mixture = self.experts.as_ref().filter(here);
        let mlp = MlpShape {
            hidden: self.hidden,
            width: mixture.map_or(self.intermediate, |mixture| mixture.width),
            gated: self.gated,
            bias: self.bias.mlp,
            activation: self.activation,
        };
        FeedForwardShape { mlp, routing: mixture.map(|mixture| mixture.routing) }
    }

    /// Those of all layers.
    pub fn feed_forwards(&self) -> impl Iterator<Item = FeedForwardShape> + '_ {
        (0..self.layers).map(|layer| self.feed_forward(layer))
    }

    /// Parameters of the model, counted once where the embedding is tied.
    pub fn parameters(&self) -> u64 {
        let (q, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let when = |present: bool, size: usize| if present { size } else { 0 };
        let norm = self.norm.vectors() * self.hidden;
        let attention = self.hidden * (2 * q + 2 * kv)
            + when(self.bias.qkv, q + 2 * kv)
            + when(self.bias.output, self.hidden)
            + when(self.sinks, self.heads)
            + match self.qk_norm {
                None => 0,
                Some(QkNorm::Head) => 2 * self.head_dim,
                Some(QkNorm::OwnHead | QkNorm::Whole) => q + kv,
            };
        let (width, projected) = (self.embedding_width(), self.embedding_width.is_some());
        let outside = self.vocab * width * if self.tied { 1 } else { 2 }
            + when(projected, 2 * width * self.hidden)
            + when(self.bias.head, self.vocab)
            + when(self.last_norm, norm)
            + when(self.embedding_norm, norm)
            + self.position_rows().unwrap_or(0) * self.hidden;
        (outside + self.layers * (attention + self.wiring.norms() * norm)) as u64
            + self.feed_forwards().map(FeedForwardShape::parameters).sum::<u64>()
    }

    /// Multiply-add pairs of the queries, keys and values of one row at one layer.
    pub fn multiply_adds_of_keys(&self) -> u64 {
        (self.hidden * self.head_dim * (self.heads + 2 * self.kv_heads)) as u64
    }

    /// Multiply-add pairs of one row through all layers, matrix products only, without the vocabulary projection.
    pub fn multiply_adds_per_row(&self) -> u64 {
        let attention = self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads);
        (self.layers * attention) as u64
            + self.feed_forwards().map(FeedForwardShape::multiply_adds).sum::<u64>()
    }
}

impl Projection {
    /// Inputs and outputs in an architecture; `None` where it has no such projection, or where experts have it: no adapter
    /// changes these.
    pub fn sizes(self, arch: &Arch) -> Option<[usize; 2]> {
        let (q, kv) = (arch.heads * arch.head_dim, arch.kv_heads * arch.head_dim);
        match self {
            Self::Q => Some([arch.hidden, q]),
            Self::K | Self::V => Some([arch.hidden, kv]),
            Self::O => Some([q, arch.hidden]),
            Self::Gate | Self::Up | Self::Down if arch.experts.is_some() => None,
            Self::Gate | Self::Up | Self::Down => arch.feed_forward(0).mlp.sizes(self),
        }
    }
}
