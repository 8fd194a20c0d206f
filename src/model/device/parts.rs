//! The parts of a block on a device: products in the type that weights are held in, everything between them in f32.

use std::sync::Mutex;

use anyhow::Result;
use candle_core::{DType, Device, Tensor};

use crate::model::cpu::rowwise::NormWeights;
use crate::model::parts::Weight;
use crate::model::rope::RopeTable;
use crate::model::{Activation, Held, LowRank};

/// Rows times the transposes of one weight or of several that read the same rows, stacked.
pub struct Linear {
    /// `[out, in]`
    weight: Tensor,
    /// `[out]`, f32
    bias: Option<Tensor>,
    /// Where each weight's outputs begin in a row, and where the last one's end.
    borders: Vec<usize>,
}

/// Values that are brought to the device at a time: 64 MiB as f32.
const PIECE: usize = 16 << 20;

/// A matrix on the device, brought there piece by piece: the machine's own memory never holds it whole.
pub fn brought(parts: &[&Held], dtype: DType, device: &Device) -> Result<Tensor> {
    let out = parts.iter().map(|part| part.shape()[0]).sum::<usize>();
    let width = parts.first().map_or(0, |part| part.shape()[1]);
    let whole = Tensor::zeros((out, width), dtype, device)?;
    let mut at = 0;
    for part in parts {
        let rows = part.shape()[0];
        // What is stored as its transpose is widened whole.
        let piece = if part.is_transposed() { rows } else { (PIECE / width.max(1)).max(1) };
        for first in (0..rows).step_by(piece) {
            let some = part.rows_as(first..rows.min(first + piece), dtype)?;
            whole.slice_set(&some.to_device(device)?.contiguous()?, 0, at + first)?;
        }
        at += rows;
    }
    Ok(whole)
}

impl Linear {
    /// Stack weights of the same rows.
    pub fn new(parts: &[Weight], dtype: DType, device: &Device) -> Result<Self> {
        let matrices: Vec<&Held> = parts.iter().map(|part| &part.matrix).collect();
        let mut borders = vec![0];
        for part in parts {
            borders.push(borders[borders.len() - 1] + part.matrix.shape()[0]);
        }
        let bias = parts.iter().any(|part| part.bias.is_some()).then(|| -> Result<Tensor> {
            let of = |part: &Weight| part.bias.clone().unwrap_or_else(|| vec![0.; part.matrix.shape()[0]]);
            Ok(Tensor::new(parts.iter().flat_map(of).collect::<Vec<f32>>(), device)?)
        });
        Ok(Self { weight: brought(&matrices, dtype, device)?, bias: bias.transpose()?, borders })
    }

    /// Of one matrix that is there already.
    pub fn of(weight: Tensor) -> Self {
        let borders = vec![0, weight.dims()[0]];
        Self { weight, bias: None, borders }
    }

    /// `x [rows, in]` -> `[rows, out]`: as it comes out of the product, in the weights' type; f32 where there is a bias.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = x.to_dtype(self.weight.dtype())?.matmul(&self.weight.t()?)?;
        Ok(match &self.bias {
            Some(bias) => y.to_dtype(DType::F32)?.broadcast_add(bias)?,
            None => y,
        })
    }

    /// The outputs of weight `part` in rows of outputs.
    pub fn part(&self, part: usize, y: &Tensor) -> Result<Tensor> {
        let start = self.borders[part];
        Ok(y.narrow(1, start, self.borders[part + 1] - start)?)
    }

    /// Add what an adapter gives to the outputs of weight `part`, where there is one.
    pub fn add(&self, part: usize, change: Option<Tensor>, y: Tensor) -> Result<Tensor> {
        let Some(change) = change else { return Ok(y) };
        let (start, end) = (self.borders[part], self.borders[part + 1]);
        let all = self.borders[self.borders.len() - 1];
        Ok((y.to_dtype(DType::F32)? + change.pad_with_zeros(1, start, all - end)?)?)
    }
}

/// A norm of rows.
pub struct Norm {
    /// `[width]`
    weight: Tensor,
    /// `[width]`
    bias: Option<Tensor>,
    eps: f32,
}

impl Norm {
    /// The same norm on a device.
    pub fn new(norm: &NormWeights, device: &Device) -> Result<Self> {
        let bias = norm.bias.as_ref().map(|bias| Tensor::new(bias.as_slice(), device)).transpose()?;
        Ok(Self { weight: Tensor::new(norm.weight.as_slice(), device)?, bias, eps: norm.eps })
    }

    /// `x [.., width]` -> f32
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.to_dtype(DType::F32)?.contiguous()?;
        Ok(match &self.bias {
            Some(bias) => candle_nn::ops::layer_norm(&x, &self.weight, bias, self.eps)?,
            None => candle_nn::ops::rms_norm(&x, &self.weight, self.eps)?,
        })
    }

    /// States `[rows, width]` as they enter a product, in its type.
    pub fn entering(&self, states: &Tensor, dtype: DType) -> Result<Tensor> {
        #[cfg(feature = "cuda")]
        if states.device().is_cuda() {
            use super::kernels::{Launch, room};
            let (rows, width) = states.dims2()?;
            let out = room(&[rows, width], dtype, states.device())?;
            let name = if width.is_multiple_of(4) { "norm_4" } else { "norm_1" };
            let launch = Launch::new(name, dtype, states.device())?.tensor(states)?.tensor(&self.weight)?;
            let launch = launch.maybe(self.bias.as_ref())?.tensor(&out)?.counts(&[width])?.number(self.eps);
            // SAFETY: a block a row.
            unsafe { launch.run([rows, 1, 1], 256, 0) }?;
            return Ok(out);
        }
        Ok(self.forward(states)?.to_dtype(dtype)?)
    }
}

/// What attention or an MLP adds to states `[rows, hidden]`, f32; `out` is f32 or of the weights' type.
pub fn add(states: &mut Tensor, out: &Tensor) -> Result<()> {
    #[cfg(feature = "cuda")]
    if states.device().is_cuda() {
        const THREADS: usize = 256;
        let count = states.elem_count();
        let (name, vector) = if count.is_multiple_of(4) { ("add_4", 4) } else { ("add_1", 1) };
        let launch = super::kernels::Launch::new(name, out.dtype(), out.device())?;
        let launch = launch.tensor(states)?.tensor(out)?.counts(&[count])?;
        anyhow::ensure!(out.elem_count() == count, "states {:?} and {:?}", states.dims(), out.dims());
        // SAFETY: both have as many elements, and nobody else has these states.
        return unsafe { launch.run([(count / vector).div_ceil(THREADS), 1, 1], THREADS, 0) };
    }
    *states = (&*states + out.to_dtype(DType::F32)?)?;
    Ok(())
}

/// What comes out of the first products of an MLP, f32 or in the weights' type -> what goes into the last one, in that type.
pub fn activated(
    activation: Activation,
    into: &Linear,
    gated: bool,
    inner: &Tensor,
    dtype: DType,
) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if inner.device().is_cuda() {
        return activated_by_kernel(activation, gated, inner, dtype);
    }
    let inner = &inner.to_dtype(DType::F32)?;
    let acting = into.part(0, inner)?;
    let acting = match activation {
        Activation::Silu => acting.silu()?,
        Activation::Gelu => acting.gelu_erf()?,
        Activation::GeluTanh => acting.gelu()?,
    };
    let product = if gated { (acting * into.part(1, inner)?)? } else { acting };
    Ok(product.to_dtype(dtype)?)
}

#[cfg(feature = "cuda")]
fn activated_by_kernel(activation: Activation, gated: bool, inner: &Tensor, dtype: DType) -> Result<Tensor> {
    use super::kernels::{Launch, room};
    const THREADS: usize = 256;
    let (rows, both) = inner.dims2()?;
    let width = if gated { both / 2 } else { both };
    let vector = if width.is_multiple_of(4) { 4 } else { 1 };
    let name = format!("activate_{}_{vector}", if inner.dtype() == dtype { "narrow" } else { "wide" });
    let kind = match activation {
        Activation::Silu => 0,
        Activation::Gelu => 1,
        Activation::GeluTanh => 2,
    };
    let out = room(&[rows, width], dtype, inner.device())?;
    let launch = Launch::new(&name, dtype, inner.device())?.tensor(inner)?.tensor(&out)?;
    let launch = launch.counts(&[rows, width, usize::from(gated), kind])?;
    // SAFETY: sizes are those of the tensors.
    unsafe { launch.run([(rows * width / vector).div_ceil(THREADS), 1, 1], THREADS, 0) }?;
    Ok(out)
}

/// Cosines and sines of positions, computed as far as they are asked for.
pub struct Rope {
    table: RopeTable,
    /// `[positions, dims / 2]` each
    angles: Mutex<Option<[Tensor; 2]>>,
    device: Device,
}

impl Rope {
    /// Of a layer's frequencies.
    pub fn new(table: RopeTable, device: &Device) -> Self {
        Self { table, angles: Mutex::new(None), device: device.clone() }
    }

    /// Rotate the first dimensions of heads `x [rows, heads, head_dim]`, f32, to their rows' positions.
    pub fn rotate(&self, x: &Tensor, positions: &Tensor, furthest: usize) -> Result<Tensor> {
        let [cosines, sines] = self.up_to(furthest)?;
        let (cosines, sines) = (cosines.index_select(positions, 0)?, sines.index_select(positions, 0)?);
        let (width, dims) = (x.dim(2)?, 2 * cosines.dim(1)?);
        let rotated = x.narrow(2, 0, dims)?.contiguous()?.unsqueeze(0)?;
        let rotated = candle_nn::rotary_emb::rope_thd(&rotated, &cosines, &sines)?.squeeze(0)?;
        match width - dims {
            0 => Ok(rotated),
            rest => Ok(Tensor::cat(&[&rotated, &x.narrow(2, dims, rest)?], 2)?),
        }
    }

    /// Cosines and sines of at least the positions up to one.
    pub fn up_to(&self, position: usize) -> Result<[Tensor; 2]> {
        let mut angles = self.angles.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(angles) = angles.as_ref().filter(|[cosines, _]| cosines.dims()[0] > position) {
            return Ok(angles.clone());
        }
        let (positions, half) = ((position + 1).next_power_of_two().max(1024), self.table.half());
        let both = self
            .table
            .angles(positions)
            .map(|values| Tensor::from_vec(values, (positions, half), &self.device));
        let [cosines, sines] = both;
        Ok(angles.insert([cosines?, sines?]).clone())
    }
}

/// An adapter's matrices on a device.
pub struct Adapted {
    /// `[in, rank]`
    a: Tensor,
    /// `[rank, out]`, scaled
    b: Tensor,
}

impl Adapted {
    /// The same change on a device.
    pub fn new(low_rank: &LowRank, device: &Device) -> Result<Self> {
        let on_device = |matrix: &crate::model::Matrix| {
            Tensor::from_slice(matrix.data(), (matrix.rows(), matrix.width()), device)
        };
        let b = on_device(&low_rank.b)?.affine(f64::from(low_rank.scale), 0.)?;
        Ok(Self { a: on_device(&low_rank.a)?, b })
    }

    /// What it adds for rows `x [rows, in]`; `marked` [rows, 1] is 0 in rows that it does not change.
    pub fn forward(&self, x: &Tensor, marked: Option<&Tensor>) -> Result<Tensor> {
        let change = x.to_dtype(DType::F32)?.contiguous()?.matmul(&self.a)?.matmul(&self.b)?;
        Ok(match marked {
            Some(marked) => change.broadcast_mul(marked)?,
            None => change,
        })
    }
}
