//! What stands between two products on a device. [`Reference`](super::reference::Reference) computes it with candle's tensors;
//! kernels of our own do it on a GPU. Which of them it is, is chosen once, when a model is loaded.

use anyhow::Result;
use candle_core::{DType, Tensor};

use super::attend::Attention;
use super::parts::{Linear, Norm, Rope};
use super::slots::Slots;
use crate::model::mlp::Mlp;
use crate::model::{Arch, Rows};

/// The steps between products. States are f32; what enters a product is of the type in which weights are held, and what comes
/// out of one is of that type or f32.
pub trait Kernels: Send + Sync {
    /// Refuse an architecture that they cannot compute.
    ///
    /// # Errors
    /// What about it, and what can compute it.
    fn check(&self, arch: &Arch) -> Result<()>;

    /// States `[rows, hidden]`, normed as they enter a product, in its type.
    ///
    /// # Errors
    /// The device fails, here and below.
    fn norm(&self, norm: &Norm, states: &Tensor, dtype: DType) -> Result<Tensor>;

    /// Queries, keys and values `[rows, (heads + 2 * kv_heads) * head_dim]`, rotated to their positions -> the queries
    /// `[rows, heads, head_dim]`. Keys and values are written to the rows' slots.
    fn place(&self, placing: &Placing, qkv: &Tensor, slots: &Slots) -> Result<Tensor>;

    /// Queries `[rows, heads, head_dim]` -> what each row reads, `[rows, heads * head_dim]` in the queries' type; zeros for a
    /// row with nothing to read.
    fn attend(&self, attention: &Attention, queries: &Tensor, batch: &[Rows]) -> Result<Tensor>;

    /// What comes out of the first products of an MLP, `[rows, gate and up]` -> what goes into the last one, `[rows, width]` in
    /// its type.
    fn activate(&self, mlp: &Mlp<Linear>, inner: &Tensor, dtype: DType) -> Result<Tensor>;

    /// Add what attention or an MLP puts out to states `[rows, hidden]`, which nobody else has.
    fn add(&self, states: &mut Tensor, out: &Tensor) -> Result<()>;

    /// The lowest id of each row's greatest logits `[rows, vocab]`, `[rows]` as u32;
    /// [`NOT_FINITE`](super::choose::NOT_FINITE) where a logit is NaN or infinite.
    fn greatest(&self, logits: &Tensor) -> Result<Tensor>;

    /// Copy the keys and values of slots to others, of which none is read.
    fn copy(&self, slots: &Slots, from: Vec<u32>, to: Vec<u32>) -> Result<()>;
}

/// Where the rows of one layer are to be placed.
pub struct Placing<'a> {
    /// Query heads.
    pub heads: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Where positions are rotary.
    pub rope: Option<&'a Rope>,
    /// Of queries, keys and values.
    pub dtype: DType,
    /// By row, its position in its sequence.
    pub positions: Vec<u32>,
    /// By row, the slot of its keys and values.
    pub slots: Vec<u32>,
}

impl Placing<'_> {
    /// The greatest position.
    pub fn furthest(&self) -> usize {
        self.positions.iter().copied().max().unwrap_or(0) as usize
    }
}
