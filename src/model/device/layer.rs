//! The steps of a block on a device: products by candle, what stands between them by [`Kernels`].

use anyhow::Result;
use candle_core::{DType, Device, Tensor};

use super::attend::Attention;
use super::kernels::{Kernels, Placing};
use super::kv::DeviceKv;
use super::parts::{Adapted, Linear, Norm, Rope};
use crate::model::adapter::{Adapter, Adapters};
use crate::model::block::{self, Ops};
use crate::model::experts::{Choice, Experts};
use crate::model::mlp::Mlp;
use crate::model::projection::Projection;
use crate::model::scores::Scores;
use crate::model::{Arch, Reads, Rows};

/// A block as a device holds it.
pub type Block = block::Block<Norm, Linear>;

/// One layer of a batch on a device.
pub struct DeviceLayer<'a> {
    /// The model's sizes.
    pub arch: &'a Arch,
    /// Which layer.
    pub layer: usize,
    /// The type of weights, keys and values, and products.
    pub dtype: DType,
    /// What stands between products.
    pub kernels: &'static dyn Kernels,
    /// The rotation of queries and keys, where positions are rotary.
    pub rope: Option<&'a Rope>,
    /// How scores are made.
    pub scores: &'a Scores,
    /// The adapters that change some of its rows.
    pub adapters: Vec<Marked<'a>>,
    /// The rows.
    pub batch: &'a [Rows<'a>],
    /// Where their keys and values go, and what they read.
    pub kv: &'a DeviceKv,
}

/// An adapter and the rows that it changes.
pub struct Marked<'a> {
    adapter: &'a Adapter<Adapted>,
    /// 1 or 0 each `[rows, 1]`; `None` for all.
    rows: Option<Tensor>,
}

impl<'a> Marked<'a> {
    /// The adapters that change rows of a batch at a layer.
    ///
    /// # Errors
    /// A row names an adapter that is not resident.
    pub fn of(
        adapters: &'a Adapters<Adapted>,
        layer: usize,
        batch: &[Rows],
        device: &Device,
    ) -> Result<Vec<Self>> {
        let everywhere = adapters.of_all_rows().filter(|adapter| adapter.is_at(layer));
        let everywhere = everywhere.map(|adapter| Ok(Self { adapter, rows: None }));
        let named = adapters.named(layer, batch)?.into_iter().map(|(id, adapter)| {
            let marked = by_row(batch, device, |rows| f32::from(u8::from(rows.adapter == Some(id))))?;
            Ok(Self { adapter, rows: Some(marked) })
        });
        everywhere.into_iter().chain(named).collect()
    }
}

impl Ops for DeviceLayer<'_> {
    type States = Tensor;
    type Values = Tensor;
    type Norm = Norm;
    type Product = Linear;

    fn norm(&mut self, norm: &Norm, states: &Tensor) -> Result<Tensor> {
        self.kernels.norm(norm, states, self.dtype)
    }

    fn enter(&mut self, states: &Tensor) -> Result<Tensor> {
        Ok(states.to_dtype(self.dtype)?)
    }

    fn product(&mut self, product: &Linear, of: &[Projection], x: Tensor) -> Result<Tensor> {
        let mut y = product.forward(&x)?;
        for (part, &projection) in of.iter().enumerate() {
            for Marked { adapter, rows } in &self.adapters {
                if let Some(adapted) = adapter.0.get(&(self.layer, projection)) {
                    y = product.add(part, adapted.forward(&x, rows.as_ref())?, y)?;
                }
            }
        }
        Ok(y)
    }

    fn place(&mut self, attention: &block::Attention<Norm, Linear>, qkv: Tensor) -> Result<Tensor> {
        let Arch { heads, kv_heads, head_dim, .. } = *self.arch;
        let qkv = self.normed_heads(attention, qkv)?;
        let slots = self.kv.slots();
        let rows = self.batch.iter();
        let written = rows.flat_map(|rows| rows.positions.iter().map(|&position| (rows.write, position)));
        let (positions, to): (Vec<u32>, Vec<u32>) = written
            .map(|(block, position)| (position as u32, slots.slot(block, self.layer, position) as u32))
            .unzip();
        let (rope, dtype) = (self.rope, self.dtype);
        let placing = Placing { heads, kv_heads, head_dim, rope, dtype, positions, slots: to };
        self.kernels.place(&placing, &qkv, slots)
    }

    fn attend(&mut self, attention: &block::Attention<Norm, Linear>, queries: Tensor) -> Result<Tensor> {
        let Arch { heads, kv_heads, head_dim, .. } = *self.arch;
        let attention = Attention {
            layer: self.layer,
            heads,
            kv_heads,
            head_dim,
            scores: self.scores,
            sinks: attention.sinks.as_deref(),
            window: self.arch.window(self.layer),
            slots: self.kv.slots(),
        };
        self.kernels.attend(&attention, &queries, self.batch)
    }

    fn silence(&mut self, out: Tensor) -> Result<Tensor> {
        if self.batch.iter().all(|rows| !matches!(rows.reads, Reads::Nothing)) {
            return Ok(out);
        }
        let heard = |rows: &Rows| if matches!(rows.reads, Reads::Nothing) { 0f32 } else { 1. };
        Ok(out.to_dtype(DType::F32)?.broadcast_mul(&by_row(self.batch, out.device(), heard)?)?)
    }

    fn activate(&mut self, mlp: &Mlp<Linear>, inner: Tensor) -> Result<Tensor> {
        self.kernels.activate(mlp, &inner, self.dtype)
    }

    fn route(&mut self, experts: &Experts<Linear>, x: &Tensor) -> Result<Vec<Choice>> {
        // Few numbers a row, which the machine's own processor reads.
        let logits = experts.router.forward(x)?.to_dtype(DType::F32)?.to_vec2::<f32>()?;
        Ok(experts.routing.choose(logits.iter().map(Vec::as_slice)))
    }

    fn gather(&mut self, x: &Tensor, rows: &[usize]) -> Result<Tensor> {
        Ok(x.index_select(&indices(rows, x.device())?, 0)?)
    }

    // Memory of tensors that are gone is the library's to use again.
    fn release(&mut self, _: Tensor) {}

    fn zeros(&mut self) -> Result<Tensor> {
        let rows: usize = self.batch.iter().map(|rows| rows.positions.len()).sum();
        Ok(Tensor::zeros((rows, self.arch.hidden), DType::F32, self.kv.slots().pool().device())?)
    }

    fn scatter(&mut self, sum: &mut Tensor, choice: &Choice, out: Tensor) -> Result<()> {
        let weights = Tensor::new(choice.weights.as_slice(), out.device())?.unsqueeze(1)?;
        let out = out.to_dtype(DType::F32)?.broadcast_mul(&weights)?;
        *sum = sum.index_add(&indices(&choice.rows, out.device())?, &out, 0)?;
        Ok(())
    }

    fn norm_output(&mut self, norm: &Norm, out: Tensor) -> Result<Tensor> {
        norm.forward(&out)
    }

    fn add(&mut self, states: &mut Tensor, out: Tensor) -> Result<()> {
        let factor = self.arch.multipliers.residual;
        let out = if factor == 1. { out } else { out.to_dtype(DType::F32)?.affine(factor, 0.)? };
        self.kernels.add(states, &out)
    }

    fn norm_states(&mut self, norm: &Norm, states: &mut Tensor) -> Result<()> {
        *states = norm.forward(states)?;
        Ok(())
    }

    fn add_both(&mut self, states: &mut Tensor, attention: Tensor, mlp: Tensor) -> Result<()> {
        self.kernels.add(states, &attention)?;
        self.kernels.add(states, &mlp)
    }
}

impl DeviceLayer<'_> {
    /// Rows' queries and keys with their norms, and all of them clamped, where the family does so.
    fn normed_heads(&self, attention: &block::Attention<Norm, Linear>, qkv: Tensor) -> Result<Tensor> {
        if attention.q_norm.is_none() && attention.k_norm.is_none() && self.arch.clip_qkv.is_none() {
            return Ok(qkv);
        }
        let normed = |part: usize, norm: &Option<Norm>| -> Result<Tensor> {
            let x = attention.qkv.part(part, &qkv)?.to_dtype(DType::F32)?;
            norm.as_ref().map_or(Ok(x.clone()), |norm| norm.forward(&x))
        };
        let parts = [normed(0, &attention.q_norm)?, normed(1, &attention.k_norm)?, normed(2, &None)?];
        let all = Tensor::cat(&parts, 1)?;
        Ok(match self.arch.clip_qkv {
            Some(most) => all.clamp(-most as f32, most as f32)?,
            None => all,
        })
    }
}

/// Numbers of rows, on a device.
fn indices(rows: &[usize], device: &Device) -> Result<Tensor> {
    Ok(Tensor::new(rows.iter().map(|&row| row as u32).collect::<Vec<_>>(), device)?)
}

/// A number for each row, `[rows, 1]`.
fn by_row(batch: &[Rows], device: &Device, of: impl Fn(&Rows) -> f32) -> Result<Tensor> {
    let all: Vec<f32> = batch.iter().flat_map(|rows| vec![of(rows); rows.positions.len()]).collect();
    let rows = all.len();
    Ok(Tensor::from_vec(all, (rows, 1), device)?)
}
