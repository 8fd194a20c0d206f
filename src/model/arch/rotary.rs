//! Rotary positions: bases and how frequencies are rescaled.

use std::ops::RangeInclusive;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::base::error::input;

/// Rotary positions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rope {
    /// Base of the frequencies.
    pub theta: f64,
    /// How many dimensions of a head are rotated, the first ones.
    pub dims: usize,
    /// Which dimensions are rotated together.
    #[serde(skip_serializing_if = "Pairs::are_halves")]
    pub pairs: Pairs,
    /// How the frequencies are rescaled.
    pub scaling: RopeScaling,
}

/// Which dimensions of a head are rotated together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pairs {
    /// Each of the first half of the rotated ones with its like in the second half.
    Halves,
    /// The first with the second, the third with the fourth.
    Neighbours,
}

impl Pairs {
    fn are_halves(&self) -> bool {
        *self == Self::Halves
    }
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
    /// Each wavelength multiplied by its own factor, `[dims / 2]`; cosines and sines are multiplied by `attention_factor`.
    Stretched { factors: Vec<f32>, attention_factor: f64 },
    /// The same with one of two lists, by the length of the sequence: [`Arch::for_lengths`](super::Arch::for_lengths) chooses.
    Long(LongScaling),
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

/// `rope_type: longrope` of a `config.json` (Ding et al. 2024, "LongRoPE").
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LongScaling {
    /// `[dims / 2]`, of sequences within the original context.
    pub short: Vec<f32>,
    /// `[dims / 2]`, of longer ones.
    pub long: Vec<f32>,
    /// The context, in tokens, of the training before the rescaling.
    pub original_context: usize,
    /// What cosines and sines are multiplied by, with both lists.
    pub attention_factor: f64,
}

impl LongScaling {
    /// The factors of sequences whose lengths are these, from the first step of the shortest to the last step of the longest.
    ///
    /// # Errors
    /// Some are within the original context and some beyond it. transformers then computes all keys anew in the middle of an answer.
    fn for_lengths(&self, lengths: &RangeInclusive<usize>) -> Result<RopeScaling> {
        let (shortest, longest) = (*lengths.start(), *lengths.end());
        let factors = match self.original_context {
            original if longest <= original => &self.short,
            original if shortest > original => &self.long,
            original => {
                return Err(input(format!(
                    "the rope scaling of this model (longrope) has other frequencies beyond {original} tokens, and the sequences have \
                     from {shortest} to {longest}, prompt and answer: keep all of them on one side (--nprompts, --max-new-tokens)"
                )));
            }
        };
        Ok(RopeScaling::Stretched { factors: factors.clone(), attention_factor: self.attention_factor })
    }
}

impl Rope {
    /// The same with frequencies that hold for these lengths of sequences.
    ///
    /// # Errors
    /// No frequencies hold for all of them.
    pub(super) fn for_lengths(&self, lengths: &RangeInclusive<usize>) -> Result<Self> {
        match &self.scaling {
            RopeScaling::Long(scaling) => Ok(Self { scaling: scaling.for_lengths(lengths)?, ..self.clone() }),
            _ => Ok(self.clone()),
        }
    }
}
