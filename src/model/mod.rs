//! Config and weights -> one decoder. Knows ranges of hidden columns, not prompts.
//!
//! The unit of work is a *packed* batch: the rows (token positions) of several sequences stacked in one matrix
//! `[rows, hidden]` without padding, each row with its explicit position. Matrix products run over all rows at once;
//! attention reads for each row the columns that it may, wherever they stand. No result depends on what shares the
//! batch.

use anyhow::Result;

mod adapter;
mod arch;
mod arena;
mod block;
mod checkpoint;
pub mod cpu;
mod device;
mod experts;
pub mod grad;
mod host;
mod kv;
mod load;
mod load_experts;
mod look;
mod mlp;
mod names;
mod parts;
mod projection;
mod rope;
mod rows;
mod scores;
mod transformer;

pub use adapter::{Adapter, Adapters, LowRank};
pub use arch::{
    Alibi, Arch, Biases, Family, Fields, Llama3Scaling, LongScaling, Mixture, Multipliers, NormKind, Pairs,
    Positions, QkNorm, Rope, RopeScaling, Sizes, Wiring, not_applied, not_applied_gguf, unread, unread_gguf,
};
pub use checkpoint::{Checkpoint, Held, INDEX, Precision, SINGLE, Weights};
pub use cpu::Matrix;
pub use device::{DeviceKv, DeviceStates, DeviceTransformer, free_bytes, gpu, scratch_bytes};
pub use experts::{FeedForwardShape, Routing, Scoring};
pub use kv::{BlockId, Extent, KvCache, KvStore, Read};
pub use mlp::{Activation, MlpShape};
pub use names::{Qkv, TensorNames, module_name};
pub use projection::Projection;
pub use rows::{NotFinite, Reads, Rows};
pub use transformer::Transformer;

pub use crate::intervene::AdapterId;

/// Hidden states of packed rows, `[rows, hidden]`, wherever a decoder keeps them.
pub trait States: Sized + Send {
    /// Number of rows.
    fn rows(&self) -> usize;

    /// Copies of these rows, in this order.
    ///
    /// # Errors
    /// Memory runs out.
    fn gather(&self, rows: &[usize]) -> Result<Self>;

    /// Append copies of some of its own rows, in this order.
    ///
    /// # Errors
    /// Memory runs out.
    fn append(&mut self, rows: &[usize]) -> Result<()>;
}

/// A decoder-only language model, one layer at a time: what the engine needs, and the seam for fakes in tests.
pub trait Decoder: Send + Sync {
    /// Hidden states, where this decoder computes.
    type States: States;
    /// Keys and values, likewise.
    type Kv: KvCache;

    /// Sizes and family.
    fn arch(&self) -> &Arch;

    /// Bytes of an element of keys and values.
    fn kv_element(&self) -> usize;

    /// Room for keys and values, without any block yet: for so many bytes of them at a time, and more if need be.
    ///
    /// # Errors
    /// Memory runs out.
    fn kv(&self, bytes: u64) -> Result<Self::Kv>;

    /// Token ids and their positions -> hidden states `[rows, hidden]`.
    fn embed(&self, tokens: &[u32], positions: &[usize]) -> Result<Self::States>;

    /// One layer over the packed rows of a batch, `[rows, hidden]` in place. The keys and values of these rows are
    /// written first; then each row reads.
    fn layer(&self, layer: usize, states: &mut Self::States, batch: &[Rows], kv: &mut Self::Kv)
    -> Result<()>;

    /// Keys and values of these rows at a layer, from the states that enter it `[rows, hidden]`, are written. What the layer
    /// makes of the rows is not computed.
    ///
    /// # Errors
    /// Memory runs out.
    fn write(&self, layer: usize, states: &Self::States, batch: &[Rows], kv: &mut Self::Kv) -> Result<()>;

    /// Hidden states after the last layer `[rows, hidden]` -> logits `[rows, vocab]`.
    fn logits(&self, states: &Self::States) -> Result<Matrix>;

    /// Hidden states after the last layer `[rows, hidden]` -> for each row the token of the greatest logit, the lowest
    /// id among equals.
    ///
    /// # Errors
    /// A logit that is not a finite number: nothing that follows could be right.
    fn choose(&self, states: &Self::States) -> Result<Vec<u32>>;
}
