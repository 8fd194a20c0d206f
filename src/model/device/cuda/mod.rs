//! The steps between products on an NVIDIA GPU, each one pass over memory by a kernel of `kernels.cu`.

use anyhow::{Result, bail, ensure};
use candle_core::{DType, Tensor};

mod attend;
mod launch;

use self::launch::{Launch, room};
use super::attend::Attention;
use super::kernels::{Kernels, Placing};
use super::parts::{Linear, Norm};
use super::slots::Slots;
use crate::base::error::input;
use crate::model::mlp::{Activation, Mlp};
use crate::model::{Alibi, Arch, Pairs, Positions, Rows};

/// Our own kernels.
pub struct Cuda;

/// Dimensions of a head, at most, that the kernels take.
const WIDEST: usize = 256;

/// Threads of a block of the kernels that work number by number.
const THREADS: usize = 256;

impl Kernels for Cuda {
    fn check(&self, arch: &Arch) -> Result<()> {
        let head_dim = arch.head_dim;
        if head_dim > WIDEST || !head_dim.is_multiple_of(2) {
            return Err(input(format!(
                "heads of {head_dim} dimensions: the kernels for GPUs take even numbers up to {WIDEST}; --device cpu takes any"
            )));
        }
        let neighbours =
            matches!(&arch.positions, Positions::Rotary { all, .. } if all.pairs == Pairs::Neighbours);
        let parts = [
            ("caps of attention scores", arch.score_cap.is_some()),
            ("sinks", arch.sinks),
            ("ALiBi in bfloat16", arch.positions == Positions::Alibi(Alibi::Rounded)),
            ("rotary positions of neighbouring dimensions", neighbours),
            ("ReLU", arch.activation == Activation::Relu),
            ("clamped gates", matches!(arch.activation, Activation::ClampedSwiglu(_))),
        ];
        match parts.into_iter().find(|(_, needed)| *needed) {
            Some((part, _)) => {
                Err(input(format!("{part}: there is no kernel for GPUs yet; --device cpu computes it")))
            }
            None => Ok(()),
        }
    }

    fn norm(&self, norm: &Norm, states: &Tensor, dtype: DType) -> Result<Tensor> {
        let (rows, width) = states.dims2()?;
        let out = room(&[rows, width], dtype, states.device())?;
        let name = if width.is_multiple_of(4) { "norm_4" } else { "norm_1" };
        let launch = Launch::new(name, dtype, states.device())?.tensor(states)?.tensor(&norm.weight)?;
        let launch = launch.maybe(norm.bias.as_ref())?.tensor(&out)?.counts(&[width])?.number(norm.eps);
        // SAFETY: a block a row.
        unsafe { launch.run([rows, 1, 1], 256, 0) }?;
        Ok(out)
    }

    fn place(&self, placing: &Placing, qkv: &Tensor, slots: &Slots) -> Result<Tensor> {
        let Placing { heads, kv_heads, head_dim, rope, dtype, .. } = *placing;
        let rows = qkv.dim(0)?;
        let to = Tensor::new([placing.positions.as_slice(), &placing.slots].concat(), qkv.device())?;
        let angles = rope.map(|rope| rope.up_to(placing.furthest())).transpose()?;
        let half = angles.as_ref().map_or(Ok(0), |[cosines, _]| cosines.dim(1))?;
        let [cosines, sines] = [0, 1].map(|which| angles.as_ref().map(|angles| &angles[which]));
        let q = room(&[rows, heads, head_dim], dtype, qkv.device())?;
        let name = if qkv.dtype() == dtype { "place_narrow" } else { "place_wide" };
        let launch = Launch::new(name, dtype, qkv.device())?.tensor(qkv)?.maybe(cosines)?.maybe(sines)?;
        let launch = launch.tensor(&to)?.tensor(&q)?.tensor(slots.pool())?;
        let launch = launch.counts(&[heads, kv_heads, head_dim, half, slots.count()])?;
        // SAFETY: positions are at most the furthest, slots are of the pool, and sizes those of the tensors.
        unsafe { launch.run([rows, 1, 1], 256, 0) }?;
        Ok(q)
    }

    fn attend(&self, attention: &Attention, queries: &Tensor, batch: &[Rows]) -> Result<Tensor> {
        attention.by_kernels(queries, batch)
    }

    fn activate(&self, mlp: &Mlp<Linear>, inner: &Tensor, dtype: DType) -> Result<Tensor> {
        let gated = mlp.shape.gated;
        let (rows, both) = inner.dims2()?;
        let width = if gated { both / 2 } else { both };
        let vector = if width.is_multiple_of(4) { 4 } else { 1 };
        let name = format!("activate_{}_{vector}", if inner.dtype() == dtype { "narrow" } else { "wide" });
        let kind = match mlp.shape.activation {
            // Refused when the model was loaded.
            Activation::Relu | Activation::ClampedSwiglu(_) => bail!("there is no kernel of this function"),
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

    fn add(&self, states: &mut Tensor, out: &Tensor) -> Result<()> {
        let count = states.elem_count();
        let (name, vector) = if count.is_multiple_of(4) { ("add_4", 4) } else { ("add_1", 1) };
        let launch = Launch::new(name, out.dtype(), out.device())?;
        let launch = launch.tensor(states)?.tensor(out)?.counts(&[count])?;
        ensure!(out.elem_count() == count, "states {:?} and {:?}", states.dims(), out.dims());
        // SAFETY: both have as many elements, and nobody else has these states.
        unsafe { launch.run([(count / vector).div_ceil(THREADS), 1, 1], THREADS, 0) }
    }

    fn greatest(&self, logits: &Tensor) -> Result<Tensor> {
        let (rows, vocab) = logits.dims2()?;
        let chosen = room(&[rows], DType::U32, logits.device())?;
        let launch =
            Launch::new("choose", logits.dtype(), logits.device())?.tensor(logits)?.tensor(&chosen)?;
        // SAFETY: a block a row.
        unsafe { launch.counts(&[vocab])?.run([rows, 1, 1], 512, 0) }?;
        Ok(chosen)
    }

    fn copy(&self, slots: &Slots, from: Vec<u32>, to: Vec<u32>) -> Result<()> {
        let pool = slots.pool();
        let (both, heads, all, width) = pool.dims4()?;
        let count = from.len();
        let which = Tensor::new([from, to].concat(), pool.device())?;
        let launch = Launch::new("copy_slots", pool.dtype(), pool.device())?;
        let launch = launch.tensor(pool)?.tensor(&which)?.counts(&[both * heads, width, all])?;
        // SAFETY: all of them are slots of the pool, and what is written is not read.
        unsafe { launch.run([count, 1, 1], 256, 0) }
    }
}
