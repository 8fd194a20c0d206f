//! What a decoder must know beside its weights: sizes, and which part of each kind its family has. Read from
//! `config.json` or from GGUF metadata, before any weight is.

use anyhow::Result;
use serde::{Deserialize, Serialize};

mod checked;
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

pub use fields::Fields;
pub use known::unread;
pub use known_generation::not_applied;
pub use known_gguf::{not_applied_gguf, unread_gguf};

use super::mlp::{Activation, MlpShape};
use super::projection::Projection;
use crate::base::error::input;

/// The architectures this decoder computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Llama 2, 3.x, SmolLM2 and others of `model_type` `llama`.
    Llama,
    /// Qwen2 and Qwen2.5: Llama with biases on queries, keys and values.
    Qwen2,
    /// GPT-Neo: learned positions, global and local attention in turn, scores that are not scaled.
    GptNeo,
    /// BLOOM: ALiBi, a norm after the embedding.
    Bloom,
    /// StarCoder2: Llama's layout with layer norms, biases, an ungated MLP and a sliding window.
    Starcoder2,
    /// GPT-2.
    Gpt2,
    /// GPT-NeoX and Pythia: attention and MLP side by side, rotary positions on part of each head.
    GptNeox,
    /// Gemma 3: norms around both parts of a block and on each head, five layers with a window for one without.
    Gemma3,
    /// Qwen3: Llama with norms on each head, whose width is its own.
    Qwen3,
    /// Mistral: Llama whose layers all have a window, or none.
    Mistral,
    /// Ministral: Llama in which some layers have a window.
    Ministral,
    /// SmolLM3: Llama in which some layers know no positions.
    Smollm3,
}

impl Family {
    /// `model_type` in a `config.json`, `general.architecture` in GGUF, and the family.
    const NAMES: [(&str, Option<&str>, Family); 13] = [
        ("llama", Some("llama"), Family::Llama),
        ("qwen2", Some("qwen2"), Family::Qwen2),
        ("gpt_neo", None, Family::GptNeo),
        ("bloom", Some("bloom"), Family::Bloom),
        ("starcoder2", Some("starcoder2"), Family::Starcoder2),
        ("gpt2", Some("gpt2"), Family::Gpt2),
        ("gpt_neox", Some("gptneox"), Family::GptNeox),
        ("gemma3_text", Some("gemma3"), Family::Gemma3),
        // With images; its text half is the same.
        ("gemma3", None, Family::Gemma3),
        ("qwen3", Some("qwen3"), Family::Qwen3),
        // llama.cpp's converter writes it as a `llama`.
        ("mistral", None, Family::Mistral),
        ("ministral", None, Family::Ministral),
        ("smollm3", Some("smollm3"), Family::Smollm3),
    ];

    /// The family of a `model_type`.
    ///
    /// # Errors
    /// An unknown one, with the list of those known.
    pub fn of_model_type(name: &str) -> Result<Self> {
        let found = Self::NAMES.iter().find(|(known, ..)| *known == name);
        found.map(|(.., family)| *family).ok_or_else(|| {
            let known: Vec<&str> = Self::NAMES.iter().map(|(known, ..)| *known).collect();
            input(format!("model_type `{name}` is not supported (supported: {})", known.join(", ")))
        })
    }

    /// The family of a GGUF file's architecture.
    ///
    /// # Errors
    /// An unknown one, with the list of those known.
    pub fn of_gguf(name: &str) -> Result<Self> {
        let found = Self::NAMES.iter().find(|(_, known, _)| *known == Some(name));
        found.map(|(.., family)| *family).ok_or_else(|| {
            let known: Vec<&str> = Self::NAMES.iter().filter_map(|(_, known, _)| *known).collect();
            input(format!("general.architecture `{name}` is not supported (supported: {})", known.join(", ")))
        })
    }
}

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

/// Rotary positions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rope {
    /// Base of the frequencies.
    pub theta: f64,
    /// How many dimensions of a head are rotated, the first ones.
    pub dims: usize,
    /// How the frequencies are rescaled.
    pub scaling: RopeScaling,
}

/// How rotary frequencies are rescaled.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RopeScaling {
    /// They are not.
    None,
    /// All divided by this.
    Linear(f64),
    /// Llama 3.1's way, from `config.json`.
    Llama3(Llama3Scaling),
    /// Each divided by its own factor, `[dims / 2]`: how GGUF stores Llama 3.1's.
    Factors(Vec<f32>),
    /// Long wavelengths divided, short ones kept, those between interpolated; cosines and sines are scaled too.
    Yarn(YarnScaling),
}

/// `rope_type: yarn` of a `config.json` (Peng et al. 2023, "YaRN").
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct YarnScaling {
    /// How much long wavelengths are stretched.
    pub factor: f64,
    /// The context, in tokens, of the training before the rescaling.
    pub original_context: usize,
    /// Rotations within that context above which a wavelength is kept.
    pub beta_fast: f64,
    /// Rotations within that context below which a wavelength is stretched by the whole factor.
    pub beta_slow: f64,
    /// Whether the dimensions between which factors are interpolated are rounded to whole ones.
    pub truncate: bool,
    /// What cosines and sines are multiplied by.
    pub attention_factor: f64,
}

/// `rope_type: llama3` of a `config.json`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Llama3Scaling {
    /// How much long wavelengths are stretched.
    pub factor: f32,
    /// Wavelengths above context / this are stretched by the whole factor.
    #[serde(rename = "low_freq_factor")]
    pub low_frequency_factor: f32,
    /// Wavelengths below context / this are kept.
    #[serde(rename = "high_freq_factor")]
    pub high_frequency_factor: f32,
    /// The context, in tokens, of the training before the rescaling.
    #[serde(rename = "original_max_position_embeddings")]
    pub original_context: usize,
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
