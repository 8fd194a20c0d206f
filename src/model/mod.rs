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
mod checkpoint;
pub mod cpu;
mod device;
pub mod grad;
mod kv;
mod load;
mod look;
mod names;
mod parts;
mod rope;
mod transformer;

pub use adapter::{Adapter, LowRank, Projection};
pub use arch::{
    Activation, Arch, Biases, Family, Fields, Llama3Scaling, NormKind, Positions, Rope, RopeScaling, Wiring,
    not_applied, not_applied_gguf, unread, unread_gguf,
};
pub use checkpoint::{Checkpoint, Held, INDEX, Precision, SINGLE, Weights};
pub use cpu::Matrix;
pub use device::{DeviceKv, DeviceStates, DeviceTransformer, free_bytes, gpu, scratch_bytes};
pub use kv::{BlockId, Extent, KvCache, KvStore, Read};
pub use names::{Names, Qkv, module_name};
pub use transformer::Transformer;

/// Rows of one sequence in a packed batch, at one layer.
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    /// Their positions in that sequence, ascending; gaps are allowed.
    pub positions: &'a [usize],
    /// The block that takes their keys and values.
    pub write: BlockId,
    /// What they read.
    pub reads: Reads<'a>,
    /// The layer's adapter, if it has one, changes them.
    pub adapted: bool,
}

impl Rows<'_> {
    /// Columns that the rows read in all, behind this window.
    pub fn columns(&self, window: Option<usize>) -> u64 {
        let reads = match self.reads {
            Reads::Columns(reads) => reads,
            Reads::Own => return self.positions.len() as u64,
            Reads::Nothing => return 0,
        };
        let of = |&position: &usize| {
            let first = window.map_or(0, |window| (position + 1).saturating_sub(window));
            let seen = |read: &Read| (read.end.min(position + 1)).saturating_sub(read.start.max(first));
            reads.iter().map(seen).sum::<usize>() as u64
        };
        self.positions.iter().map(of).sum()
    }
}

/// The columns that rows read at one layer; of these each row reads those at or before its own position, and within the
/// layer's window.
#[derive(Debug, Clone, Copy)]
pub enum Reads<'a> {
    /// These, ascending and disjoint.
    Columns(&'a [Read]),
    /// Each row its own column alone.
    Own,
    /// The layer has no attention for these rows: it adds nothing to them, its output's bias included.
    Nothing,
}

/// An attention score that is NaN or infinite. Nothing that follows could be right.
#[derive(Debug, thiserror::Error)]
#[error(
    "layer {layer}, token {position} of the sequence: an attention score is NaN or infinite: the weights are damaged, or too \
     large for f32"
)]
pub struct NotFinite {
    /// Which layer.
    pub layer: usize,
    /// The position of the row that was to read, from 0.
    pub position: usize,
    /// That row, in the packed batch.
    pub row: usize,
}

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

    /// Hidden states after the last layer `[rows, hidden]` -> logits `[rows, vocab]`.
    fn logits(&self, states: &Self::States) -> Result<Matrix>;

    /// Hidden states after the last layer `[rows, hidden]` -> for each row the token of the greatest logit, the lowest
    /// id among equals.
    ///
    /// # Errors
    /// A logit that is not a finite number: nothing that follows could be right.
    fn choose(&self, states: &Self::States) -> Result<Vec<u32>>;
}
