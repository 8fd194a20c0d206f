//! The parts of a block on a device: products in the type that weights are held in, everything between them in f32.

use std::sync::Mutex;

use anyhow::Result;
use candle_core::{DType, Device, Tensor};

use crate::model::arch::Pairs;
use crate::model::cpu::rowwise::NormWeights;
use crate::model::parts::Weight;
use crate::model::rope::RopeTable;
use crate::model::{Held, LowRank};

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

    /// One matrix that is there already, and what is added to its product.
    pub fn of(weight: Tensor, bias: Option<Tensor>) -> Self {
        let borders = vec![0, weight.dims()[0]];
        Self { weight, bias, borders }
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

    /// Add what an adapter gives to the outputs of weight `part`.
    pub fn add(&self, part: usize, change: Tensor, y: Tensor) -> Result<Tensor> {
        let (start, end) = (self.borders[part], self.borders[part + 1]);
        let all = self.borders[self.borders.len() - 1];
        Ok((y.to_dtype(DType::F32)? + change.pad_with_zeros(1, start, all - end)?)?)
    }
}

/// A norm of rows, or of their parts one by one.
pub struct Norm {
    /// `[parts * width]`
    pub weight: Tensor,
    /// `[parts * width]`
    pub bias: Option<Tensor>,
    /// Added to the mean square.
    pub eps: f32,
    /// Where rows are normed part by part: the width of one, and ones and zeros for it.
    parts: Option<(usize, [Tensor; 2])>,
}

impl Norm {
    /// The same norm on a device.
    pub fn new(norm: &NormWeights, device: &Device) -> Result<Self> {
        let vector = |values: &[f32]| Tensor::new(values, device);
        let bias = norm.bias.as_ref().map(|bias| vector(bias)).transpose()?;
        let parts = (norm.width < norm.weight.len()).then(|| -> Result<_> {
            Ok((norm.width, [vector(&vec![1.; norm.width])?, vector(&vec![0.; norm.width])?]))
        });
        Ok(Self { weight: vector(&norm.weight)?, bias, eps: norm.eps, parts: parts.transpose()? })
    }

    /// `x [.., parts * width]` -> f32
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.to_dtype(DType::F32)?.contiguous()?;
        let norm = |x: &Tensor, weight: &Tensor, bias: Option<&Tensor>| match bias {
            Some(bias) => candle_nn::ops::layer_norm(x, weight, bias, self.eps),
            None => candle_nn::ops::rms_norm(x, weight, self.eps),
        };
        let Some((width, [ones, zeros])) = &self.parts else {
            return Ok(norm(&x, &self.weight, self.bias.as_ref())?);
        };
        let (rows, all) = x.dims2()?;
        let parts = x.reshape((rows * all / width, *width))?;
        let normed = norm(&parts, ones, self.bias.as_ref().map(|_| zeros))?.reshape((rows, all))?;
        let normed = normed.broadcast_mul(&self.weight)?;
        Ok(match &self.bias {
            Some(bias) => normed.broadcast_add(bias)?,
            None => normed,
        })
    }
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
        let rotated = match self.table.pairs() {
            Pairs::Halves => candle_nn::rotary_emb::rope_thd(&rotated, &cosines, &sines)?.squeeze(0)?,
            Pairs::Neighbours => {
                // Heads come before rows there.
                let heads = rotated.transpose(1, 2)?.contiguous()?;
                candle_nn::rotary_emb::rope_i(&heads, &cosines, &sines)?
                    .squeeze(0)?
                    .transpose(0, 1)?
                    .contiguous()?
            }
        };
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
