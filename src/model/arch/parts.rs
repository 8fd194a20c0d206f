//! The parts of which a family has one kind each: norms, positions, biases, multipliers, wiring.

use serde::Serialize;

use super::Rope;

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
    /// Mean and variance, with a weight alone.
    LayerWithoutBias,
    /// Mean and variance, and nothing else.
    LayerAlone,
}

impl NormKind {
    /// Values that a norm of this kind has for each value of a row.
    pub fn vectors(self) -> usize {
        match self {
            Self::Rms | Self::RmsPlusOne | Self::LayerWithoutBias => 1,
            Self::Layer => 2,
            Self::LayerAlone => 0,
        }
    }
}

/// How queries and keys are normed after their products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum QkNorm {
    /// Each head by itself; all have the same weights, `[head_dim]`.
    Head,
    /// Each head by itself, with weights of its own, `[heads, head_dim]`.
    OwnHead,
    /// All heads together, `[heads * head_dim]`.
    Whole,
}

/// Numbers by which values are multiplied on their way.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Multipliers {
    /// The embedding.
    pub embedding: f64,
    /// What attention and the MLP add to the states.
    pub residual: f64,
    /// The logits.
    pub logits: f64,
}

impl Multipliers {
    /// Those that change nothing.
    pub const NEUTRAL: Self = Self { embedding: 1., residual: 1., logits: 1. };

    pub(super) fn is_neutral(&self) -> bool {
        *self == Self::NEUTRAL
    }
}

/// How a token's position is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// Queries and keys are rotated; layers with a window may have frequencies of their own.
    Rotary { all: Rope, windowed: Option<Rope> },
    /// A vector for each position is added to the embedding: row `first` of a table for position 0, and so on.
    Learned { first: usize },
    /// A score falls with the distance (Press, Smith, Lewis 2022, "ALiBi").
    Alibi(Alibi),
}

/// How ALiBi's numbers are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Alibi {
    /// A head's slope times the column, as BLOOM does.
    Exact,
    /// The same of numbers rounded to bfloat16, scaled as scores are, as Falcon does.
    Rounded,
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
    /// The vocabulary projection.
    pub head: bool,
}

impl Biases {
    /// None has one.
    pub const NONE: Self = Self { qkv: false, output: false, mlp: false, head: false };
}

/// How a block is wired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wiring {
    /// Norm, attention, add; norm, MLP, add.
    Sequential,
    /// The same with another norm after attention and after the MLP.
    Sandwich,
    /// Attention, norm, add; MLP, norm, add.
    NormAfter,
    /// Attention, add, norm; MLP, add, norm.
    PostNorm,
    /// Attention and MLP both read the block's input, each through a norm of its own.
    Parallel,
    /// Both read it through one norm.
    ParallelOneNorm,
}

impl Wiring {
    /// Attention and MLP both read the block's input.
    pub fn is_parallel(self) -> bool {
        matches!(self, Self::Parallel | Self::ParallelOneNorm)
    }

    /// Norms of the model's kind in a block.
    pub fn norms(self) -> usize {
        match self {
            Self::Sandwich => 4,
            Self::Sequential | Self::Parallel | Self::NormAfter | Self::PostNorm => 2,
            Self::ParallelOneNorm => 1,
        }
    }
}
