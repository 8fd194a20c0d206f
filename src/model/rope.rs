//! Rotary positions (Su et al. 2021, "RoFormer"), rotate-half layout as in Hugging Face's Llama.

use anyhow::Result;
use candle_core::{D, Device, Tensor};
use candle_nn::rotary_emb::rope_thd;

use super::{Llama3Scaling, Rope, RopeScaling};

/// Angular frequencies of the rotated dimensions.
pub struct RopeTable {
    /// Of each pair of dimensions, `[dims / 2]`, radians per position.
    frequencies: Vec<f32>,
}

/// Cosines and sines of a batch's rows, each `[rows, dims / 2]`.
pub struct Rotation {
    cos: Tensor,
    sin: Tensor,
}

impl RopeTable {
    /// Frequencies `theta^(-2i/d)`, rescaled as the checkpoint says.
    pub fn new(rope: &Rope) -> Self {
        let half = rope.dims / 2;
        // Exponent and power are rounded to f32 where transformers rounds them.
        let power = |i: usize| rope.theta.powf(f64::from((2 * i) as f32 / rope.dims as f32)) as f32;
        let base = (0..half).map(|i| 1. / power(i));
        let frequencies = match &rope.scaling {
            RopeScaling::None => base.collect(),
            RopeScaling::Linear(factor) => base.map(|frequency| frequency / *factor as f32).collect(),
            RopeScaling::Llama3(scaling) => base.map(|frequency| llama3(frequency, scaling)).collect(),
            RopeScaling::Factors(factors) => {
                base.zip(factors).map(|(frequency, factor)| frequency / factor).collect()
            }
        };
        Self { frequencies }
    }

    /// The rotation of rows at these positions.
    pub fn at(&self, positions: impl Iterator<Item = usize>, device: &Device) -> Result<Rotation> {
        let angles: Vec<f32> = positions
            .flat_map(|position| self.frequencies.iter().map(move |frequency| position as f32 * frequency))
            .collect();
        let half = self.frequencies.len();
        let rows = angles.len() / half;
        let angles = Tensor::from_vec(angles, (rows, half), device)?;
        Ok(Rotation { cos: angles.cos()?, sin: angles.sin()? })
    }
}

impl Rotation {
    /// Rotate the first dimensions of each head, `[rows, heads, head_dim]`; the others pass.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let (rows, heads, head_dim) = x.dims3()?;
        let dims = 2 * self.cos.dim(D::Minus1)?;
        let rotated = x.narrow(2, 0, dims)?.reshape((1, rows, heads, dims))?;
        let rotated = rope_thd(&rotated.contiguous()?, &self.cos, &self.sin)?.squeeze(0)?;
        if dims == head_dim {
            return Ok(rotated);
        }
        Ok(Tensor::cat(&[&rotated, &x.narrow(2, dims, head_dim - dims)?], 2)?)
    }
}

/// Llama 3.1's rescaling: long wavelengths are stretched by `factor`, short ones kept, those between interpolated.
fn llama3(frequency: f32, scaling: &Llama3Scaling) -> f32 {
    let wavelength = 2. * std::f32::consts::PI / frequency;
    let context = scaling.original_context as f32;
    if wavelength < context / scaling.high_frequency_factor {
        frequency
    } else if wavelength > context / scaling.low_frequency_factor {
        frequency / scaling.factor
    } else {
        let smooth = (context / wavelength - scaling.low_frequency_factor)
            / (scaling.high_frequency_factor - scaling.low_frequency_factor);
        (1. - smooth) * frequency / scaling.factor + smooth * frequency
    }
}
