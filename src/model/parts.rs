//! The parts of a block on the processor that work row by row: products with weights, and the MLP's function.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use candle_core::cpu::erf::erf_f32;
use candle_core::{Device, Storage, Tensor};

use super::checkpoint::Held;
use super::cpu::Matrix;
use super::cpu::lanes::LANES;
use super::cpu::product::{Best, Panels};
use super::cpu::rowwise::{Sigmoid, add_bias, each_row, greatest};
use super::mlp::{Activation, ClampedSwiglu, Mlp, MlpShape};

/// A matrix `[out, in]` and what is added to its product.
pub struct Weight {
    pub matrix: Held,
    /// `[out]`
    pub bias: Option<Vec<f32>>,
}

/// Rows times the transposes of one weight or of several that read the same rows, stacked.
pub struct Linear {
    weights: StackedWeights,
    /// Where each weight's outputs begin in a row.
    starts: Vec<usize>,
    /// Where the last weight's outputs end, short of what fills them up.
    end: usize,
    /// Length of a row of outputs: each weight's are filled up to 16.
    stride: usize,
    /// `[stride]`
    bias: Option<Vec<f32>>,
}

/// A weight that is held as f32 is packed once; others are widened some rows at a time, once for all rows of the batch.
enum StackedWeights {
    Packed(Arc<Panels>),
    Held(Vec<Held>),
}

/// Values of a weight that are widened at a time: 16 MiB as f32.
const WIDENED: usize = 4 << 20;

impl Linear {
    /// Stack weights of the same rows.
    pub fn new(parts: Vec<Weight>) -> Result<Self> {
        let (mut starts, mut stride) = (Vec::new(), 0);
        for part in &parts {
            starts.push(stride);
            stride += part.matrix.shape()[0].next_multiple_of(LANES);
        }
        let end = parts.last().zip(starts.last()).map_or(0, |(part, start)| start + part.matrix.shape()[0]);
        let mut bias = parts.iter().any(|part| part.bias.is_some()).then(|| vec![0.; stride]);
        if let Some(bias) = &mut bias {
            for (part, &start) in parts.iter().zip(&starts) {
                let values = part.bias.iter().flatten();
                bias[start..].iter_mut().zip(values).for_each(|(bias, &value)| *bias = value);
            }
        }
        let matrices: Vec<Held> = parts.into_iter().map(|part| part.matrix).collect();
        let width = matrices[0].shape()[1];
        ensure!(matrices.iter().all(|matrix| matrix.shape()[1] == width), "stacked weights differ in width");
        let dense: Option<Vec<&Tensor>> = matrices.iter().map(Held::dense).collect();
        let weights = match dense {
            Some(dense) => StackedWeights::Packed(Arc::new(packed(&dense, width)?)),
            None => StackedWeights::Held(matrices),
        };
        Ok(Self { weights, starts, end, stride, bias })
    }

    /// Where the outputs of weight `part` begin in a row.
    pub fn start(&self, part: usize) -> usize {
        self.starts[part]
    }

    /// Length of a row of outputs, what fills up each weight's included.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// The packed weights, where they are.
    pub fn packed(&self) -> Option<&Arc<Panels>> {
        match &self.weights {
            StackedWeights::Packed(panels) => Some(panels),
            StackedWeights::Held(_) => None,
        }
    }

    /// The weights transposed, for gradients: parts of `together` outputs at most, sums of `piece` at most.
    ///
    /// # Errors
    /// They are not held as f32.
    pub fn transposed(&self, together: usize, piece: Option<usize>) -> Result<Vec<Panels>> {
        let StackedWeights::Packed(panels) = &self.weights else {
            bail!("gradients need weights as f32");
        };
        let parts = (0..self.end).step_by(together);
        let until = |first: usize| self.end.min(first.saturating_add(together));
        Ok(parts.map(|first| panels.transposed(first..until(first), piece)).collect())
    }

    /// `x [rows, in or more]` -> `y [rows, stride]`
    pub fn forward(&self, x: &Matrix, y: &mut Matrix) -> Result<()> {
        match &self.weights {
            StackedWeights::Packed(panels) => panels.product(x, 0, y),
            StackedWeights::Held(parts) => {
                y.reshape(x.rows(), self.stride);
                for (part, &start) in parts.iter().zip(&self.starts) {
                    for_each_widened(part, |first, panels| {
                        panels.apply(x, 0..panels.stride() / LANES, y, start + first);
                        Ok(())
                    })?;
                }
            }
        }
        if let Some(bias) = &self.bias {
            add_bias(y, bias);
        }
        Ok(())
    }

    /// For each row of `x [rows, in]` the greatest output of a single weight, and its index.
    pub fn greatest(&self, x: &Matrix, outputs: usize) -> Result<Vec<Best>> {
        if self.bias.is_some() {
            let mut y = Matrix::default();
            self.forward(x, &mut y)?;
            return Ok((0..y.rows()).map(|row| greatest(&y.row(row)[..outputs])).collect());
        }
        match &self.weights {
            StackedWeights::Packed(panels) => Ok(panels.greatest(x, outputs)),
            StackedWeights::Held(parts) => {
                let mut best: Vec<Best> = vec![Some((0, f32::NEG_INFINITY)); x.rows()];
                for_each_widened(&parts[0], |first, panels| {
                    let some = panels.greatest(x, panels.stride().min(outputs - first));
                    for (best, some) in best.iter_mut().zip(some) {
                        *best = best.zip(some).map(
                            |(best, (at, value))| {
                                if value > best.1 { (first + at, value) } else { best }
                            },
                        );
                    }
                    Ok(())
                })?;
                Ok(best)
            }
        }
    }
}

/// Pack dense f32 matrices where they stand, without a copy.
fn packed(matrices: &[&Tensor], width: usize) -> Result<Panels> {
    let guards: Vec<_> = matrices.iter().map(|matrix| matrix.storage_and_layout()).collect();
    let slices = guards.iter().map(|(storage, layout)| match &**storage {
        Storage::Cpu(values) => {
            let (from, to) = layout.contiguous_offsets().context("a weight with gaps")?;
            Ok(&values.as_slice::<f32>()?[from..to])
        }
        _ => bail!("a weight that is not in the machine's own memory"),
    });
    Ok(Panels::pack(&slices.collect::<Result<Vec<_>>>()?, width))
}

/// Widen some rows of a weight at a time: their first index, and they themselves, packed.
fn for_each_widened(matrix: &Held, mut each: impl FnMut(usize, &Panels) -> Result<()>) -> Result<()> {
    let [out, width] = matrix.shape();
    let piece = ((WIDENED / width) / LANES * LANES).max(LANES).min(out);
    for first in (0..out).step_by(piece) {
        let wide = matrix.widen_rows(first..out.min(first + piece), &Device::Cpu)?;
        each(first, &packed(&[&wide], width)?)?;
    }
    Ok(())
}

/// What comes out of the first products of an MLP, gate and up, in place -> what goes into the last one.
pub fn activate(mlp: &Mlp<Linear>, inner: &mut Matrix) {
    let MlpShape { width, gated, activation, .. } = mlp.shape;
    let up = if gated { mlp.into.start(1) } else { 0 };
    each_row(inner, |_, row| {
        let (gate, up) = row.split_at_mut(up);
        if gated {
            if let Activation::ClampedSwiglu(clamped) = activation {
                clamped.clamp(&mut gate[..width], &mut up[..width]);
            }
            activation.apply(&mut gate[..width]);
            gate.iter_mut().zip(up).for_each(|(gate, up)| *gate *= *up);
        } else {
            activation.apply(&mut up[..width]);
        }
    });
}

impl Activation {
    fn apply(self, values: &mut [f32]) {
        match self {
            Self::Relu => values.iter_mut().filter(|x| **x < 0.).for_each(|x| *x = 0.),
            Self::Silu => Sigmoid::SILU.apply(values),
            Self::ClampedSwiglu(ClampedSwiglu { alpha, .. }) => {
                Sigmoid { scale: alpha, cubic: 0. }.apply(values);
            }
            Self::GeluTanh => Sigmoid::GELU_TANH.apply(values),
            Self::Gelu => values
                .iter_mut()
                .for_each(|x| *x = (erf_f32(*x * std::f32::consts::FRAC_1_SQRT_2) + 1.) * 0.5 * *x),
        }
    }
}
