//! What a batch is made of: rows of sequences, and what they read.

use super::kv::{BlockId, Read};
use crate::intervene::AdapterId;

/// Rows of one sequence in a packed batch, at one layer.
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    /// Their positions in that sequence, ascending; gaps are allowed.
    pub positions: &'a [usize],
    /// The block that takes their keys and values.
    pub write: BlockId,
    /// What they read.
    pub reads: Reads<'a>,
    /// The resident adapter that changes them, if any does.
    pub adapter: Option<AdapterId>,
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
