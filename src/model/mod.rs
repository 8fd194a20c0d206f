//! Config and weights -> one decoder. Knows ranges of hidden columns, not prompts.
//!
//! The unit of work is a *packed* batch: the rows (token positions) of several sequences stacked in one tensor
//! `[rows, hidden]` without padding, each row with its explicit position. Matrix products run over all rows at once;
//! attention runs sequence by sequence. So no result can depend on what shares the batch.

use anyhow::Result;
use candle_core::{Device, Tensor};

mod arch;
mod attention;
mod cache;
mod checkpoint;
mod load;
mod names;
mod parts;
mod rope;
mod transformer;

pub use arch::{
    Activation, Arch, Biases, Family, Fields, Llama3Scaling, NormKind, Positions, Rope, RopeScaling, Wiring,
};
pub use cache::KvCache;
pub use checkpoint::{Checkpoint, Held, Precision, Weights};
pub use transformer::Transformer;

use crate::mask::Hidden;

/// The rows of one sequence in a packed batch, at one layer.
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    /// Which sequence of the KV cache they belong to.
    pub slot: usize,
    /// Their positions in that sequence, ascending; gaps are allowed.
    pub positions: &'a [usize],
    /// What this layer hides from them.
    pub hidden: &'a Hidden,
}

/// A decoder-only language model, one layer at a time: what the engine needs, and the seam for fakes in tests.
pub trait Decoder: Send + Sync {
    /// Sizes and family.
    fn arch(&self) -> &Arch;

    /// Where its tensors live.
    fn device(&self) -> &Device;

    /// Token ids (and their positions) -> hidden states `[rows, hidden]`.
    fn embed(&self, tokens: &[u32], positions: &[usize]) -> Result<Tensor>;

    /// One layer over the packed rows of a batch: `[rows, hidden]` -> `[rows, hidden]`. The keys and values of these
    /// rows are written to `cache` first; then each row reads the columns at or before its own that `hidden` leaves.
    fn layer(&self, layer: usize, hidden: &Tensor, batch: &[Rows], cache: &KvCache) -> Result<Tensor>;

    /// Hidden states after the last layer `[rows, hidden]` -> logits `[rows, vocab]` in f32.
    fn logits(&self, hidden: &Tensor) -> Result<Tensor>;
}
