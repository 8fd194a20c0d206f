//! Rotary positions: bases and how frequencies are rescaled.

use serde::{Deserialize, Serialize};

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
