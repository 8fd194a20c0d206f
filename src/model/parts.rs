//! The parts of a block, each over packed rows.

use anyhow::{Result, ensure};
use candle_core::{Device, Tensor};
use candle_nn::ops::{layer_norm, rms_norm};

use super::arch::Activation;
use super::checkpoint::Held;

/// A norm over the last dimension.
pub struct Norm {
    /// `[width]`
    pub weight: Tensor,
    /// `[width]` for a layer norm; a root mean square norm has none.
    pub bias: Option<Tensor>,
    pub eps: f64,
}

/// A matrix product with the transpose of the weight.
pub struct Linear {
    /// `[out, in]`
    pub weight: Held,
    /// `[out]`
    pub bias: Option<Tensor>,
}

/// The part of a block that works row by row.
pub struct Mlp {
    pub gate: Option<Linear>,
    pub up: Linear,
    pub down: Linear,
    pub activation: Activation,
}

impl Norm {
    /// `[..., width]` -> `[..., width]`
    pub fn forward(&self, hidden: &Tensor) -> Result<Tensor> {
        Ok(match &self.bias {
            Some(bias) => layer_norm(hidden, &self.weight, bias, self.eps as f32)?,
            None => rms_norm(hidden, &self.weight, self.eps as f32)?,
        })
    }
}

impl Mlp {
    /// `[rows, hidden]` -> `[rows, hidden]`
    pub fn forward(&self, hidden: &Tensor) -> Result<Tensor> {
        let up = self.up.forward(hidden)?; // [rows, intermediate]
        let inner = match &self.gate {
            Some(gate) => (self.activation.apply(&gate.forward(hidden)?)? * up)?,
            None => self.activation.apply(&up)?,
        };
        self.down.forward(&inner)
    }
}

impl Activation {
    fn apply(self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Silu => x.silu()?,
            Self::Gelu => x.gelu_erf()?,
            Self::GeluTanh => x.gelu()?,
        })
    }
}

/// Products of at most this many elements take another route in the matrix library, with sums in another order.
const SMALLEST_PRODUCT: usize = 256;

/// Values of a weight that are widened at a time: 16 MiB as f32, which the allocator hands out again and again.
const WIDENED: usize = 4 << 20;

impl Linear {
    /// `[rows, in]` -> `[rows, out]`, each row bit for bit the same whatever the other rows are.
    ///
    /// The matrix product sums each element in one fixed order, except for the smallest products: those are padded
    /// with rows of zeros (two rows for every real model). The test `rows_do_not_depend_on_the_batch` stands guard.
    ///
    /// A weight that is not held as f32 is widened some rows at a time, once for all rows of the batch.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (rows, width) = x.dims2()?;
        let [out, from] = self.weight.shape();
        ensure!(width == from, "rows of {width} meet a weight of {from}");
        let enough = 2.max(SMALLEST_PRODUCT / out + 1);
        let padded = match rows < enough {
            true => x.pad_with_zeros(0, 0, enough - rows)?.reshape((enough, width))?,
            false => x.clone(),
        };
        let y = match self.weight.dense() {
            Some(weight) => padded.matmul(&weight.t()?)?,
            None => self.by_pieces(&padded, x.device())?,
        };
        let y = if rows < enough { y.narrow(0, 0, rows)? } else { y };
        match &self.bias {
            Some(bias) => Ok(y.broadcast_add(bias)?),
            None => Ok(y.contiguous()?),
        }
    }

    fn by_pieces(&self, x: &Tensor, device: &Device) -> Result<Tensor> {
        let [out, from] = self.weight.shape();
        // No piece so small that its product would take the other route.
        let piece = (WIDENED / from).max(SMALLEST_PRODUCT).min(out);
        let pieces = out / piece;
        let parts = (0..pieces).map(|i| {
            let end = if i + 1 == pieces { out } else { (i + 1) * piece };
            let weight = self.weight.widen_rows(i * piece..end, device)?;
            Ok(x.matmul(&weight.t()?)?)
        });
        let parts = parts.collect::<Result<Vec<_>>>()?;
        if parts.len() == 1 { Ok(parts[0].clone()) } else { Ok(Tensor::cat(&parts, 1)?) }
    }
}
