//! The steps between products in plain words, with candle's tensors. What CI runs; attention reads memory that the processor can
//! read.

use anyhow::{Result, bail};
use candle_core::{D, DType, Storage, Tensor};
use rayon::prelude::*;

use super::attend::{Attention, Row};
use super::choose::NOT_FINITE;
use super::kernels::{Kernels, Placing};
use super::parts::{Linear, Norm};
use super::slots::Slots;
use crate::model::cpu::softmax::softmax;
use crate::model::mlp::{Activation, ClampedSwiglu, Mlp};
use crate::model::{Arch, Rows};

/// The reference: any device of candle's whose memory is the machine's own.
pub struct Reference;

impl Kernels for Reference {
    fn check(&self, _: &Arch) -> Result<()> {
        Ok(())
    }

    fn norm(&self, norm: &Norm, states: &Tensor, dtype: DType) -> Result<Tensor> {
        Ok(norm.forward(states)?.to_dtype(dtype)?)
    }

    fn place(&self, placing: &Placing, qkv: &Tensor, slots: &Slots) -> Result<Tensor> {
        let Placing { heads, kv_heads, head_dim, .. } = *placing;
        let rows = placing.positions.len();
        let positions = Tensor::new(placing.positions.as_slice(), qkv.device())?;
        let qkv = qkv.to_dtype(DType::F32)?.reshape((rows, (), head_dim))?;
        let part = |first: usize, heads: usize| qkv.narrow(1, first, heads);
        let placed = |x: Tensor| match placing.rope {
            Some(rope) => rope.rotate(&x, &positions, placing.furthest()),
            None => Ok(x),
        };
        let (queries, keys) = (placed(part(0, heads)?)?, placed(part(heads, kv_heads)?)?);
        slots.write(&placing.slots, &keys, &part(heads + kv_heads, kv_heads)?)?;
        Ok(queries.to_dtype(placing.dtype)?)
    }

    fn attend(&self, attention: &Attention, queries: &Tensor, batch: &[Rows]) -> Result<Tensor> {
        let rows = attention.rows(batch, &[]);
        let q: Vec<f32> = queries.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        let pool = attention.slots.pool().to_dtype(DType::F32)?;
        let pool = pool.storage_and_layout().0;
        let Storage::Cpu(pool) = &*pool else { bail!("attention on a device that there are no kernels for") };
        let out = read(attention, &q, pool.as_slice::<f32>()?, &rows);
        let shape = (rows.len(), attention.heads * attention.head_dim);
        Ok(Tensor::from_vec(out, shape, queries.device())?.to_dtype(queries.dtype())?)
    }

    fn activate(&self, mlp: &Mlp<Linear>, inner: &Tensor, dtype: DType) -> Result<Tensor> {
        let inner = &inner.to_dtype(DType::F32)?;
        let acting = mlp.into.part(0, inner)?;
        let acting = match mlp.shape.activation {
            Activation::Relu => acting.relu()?,
            Activation::Silu => acting.silu()?,
            Activation::Gelu => acting.gelu_erf()?,
            Activation::GeluTanh => acting.gelu()?,
            Activation::ClampedSwiglu(function) => {
                return Ok(clamped_swiglu(function, &acting, &mlp.into.part(1, inner)?)?.to_dtype(dtype)?);
            }
        };
        let product = if mlp.shape.gated { (acting * mlp.into.part(1, inner)?)? } else { acting };
        Ok(product.to_dtype(dtype)?)
    }

    fn add(&self, states: &mut Tensor, out: &Tensor) -> Result<()> {
        *states = (&*states + out.to_dtype(DType::F32)?)?;
        Ok(())
    }

    fn greatest(&self, logits: &Tensor) -> Result<Tensor> {
        let vocab = logits.dim(D::Minus1)?;
        let logits = logits.to_dtype(DType::F32)?;
        let best = logits.broadcast_eq(&logits.max_keepdim(D::Minus1)?)?;
        let ids = Tensor::arange(0u32, vocab as u32, logits.device())?.broadcast_as(best.shape())?;
        let none = Tensor::full(NOT_FINITE, best.shape(), logits.device())?;
        let lowest = best.where_cond(&ids, &none)?.min(D::Minus1)?;
        // Zero, unless something is no finite number.
        let finite = logits.affine(0., 0.)?.sum(D::Minus1)?.eq(0.)?;
        Ok(finite.where_cond(&lowest, &none.narrow(1, 0, 1)?.squeeze(1)?)?)
    }

    fn copy(&self, slots: &Slots, from: Vec<u32>, to: Vec<u32>) -> Result<()> {
        let [keys, values] = slots.some(&Tensor::new(from, slots.pool().device())?)?;
        slots.write(&to, &keys.transpose(0, 1)?, &values.transpose(0, 1)?)
    }
}

/// The function of gates and ups, `[rows, width]`.
fn clamped_swiglu(function: ClampedSwiglu, gates: &Tensor, ups: &Tensor) -> candle_core::Result<Tensor> {
    let [limit, alpha] = [function.limit, function.alpha].map(f64::from);
    let gates = gates.minimum(limit)?;
    let acting = (&gates * candle_nn::ops::sigmoid(&gates.affine(alpha, 0.)?)?)?;
    acting * (ups.clamp(-limit, limit)? + 1.)?
}

/// What each row reads: queries `[rows, heads, head_dim]` and the pool of slots -> `[rows, heads, head_dim]`.
fn read(attention: &Attention, q: &[f32], pool: &[f32], rows: &[Row]) -> Vec<f32> {
    let Attention { heads, kv_heads, head_dim: width, scores, sinks, slots, .. } = *attention;
    let (group, plane) = (heads / kv_heads, slots.count() * width);
    let stored = |plane_of: usize, slot: usize| &pool[plane_of * plane + slot * width..][..width];
    let head = |at: usize, q: &[f32], out: &mut [f32]| {
        let (spans, head) = (&rows[at / heads].spans, at % heads);
        let columns =
            || spans.iter().flat_map(|span| (0..span.count).map(|i| (span.slot + i, span.column + i)));
        let score = |(slot, column): (usize, usize)| {
            let products = q.iter().zip(stored(head / group, slot)).map(|(q, k)| q * k);
            scores.score(head, column, products.sum::<f32>())
        };
        let mut weights: Vec<f32> = columns().map(score).collect();
        softmax(&mut weights, sinks.map(|sinks| sinks[head]));
        for ((slot, _), weight) in columns().zip(&weights) {
            let values = stored(kv_heads + head / group, slot);
            out.iter_mut().zip(values).for_each(|(out, v)| *out += weight * v);
        }
    };
    let mut out = vec![0.; q.len()];
    let both = q.par_chunks_exact(width).zip(out.par_chunks_exact_mut(width));
    both.enumerate().for_each(|(at, (q, out))| head(at, q, out));
    out
}
