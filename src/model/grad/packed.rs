//! Whole sequences, packed.

use std::ops::Range;

use anyhow::Result;

use crate::model::{Arch, BlockId, Extent, KvCache, KvStore, Read, Reads, Rows};

/// Sequences packed one behind the other.
#[derive(Debug, Clone, Default)]
pub struct Packed {
    /// The rows of each.
    pub sequences: Vec<Range<usize>>,
    /// Position of each row in its sequence.
    pub positions: Vec<usize>,
}

impl Packed {
    /// Sequences of these lengths.
    pub fn new(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut packed = Self::default();
        for length in lengths {
            let start = packed.positions.len();
            packed.positions.extend(0..length);
            packed.sequences.push(start..start + length);
        }
        packed
    }

    /// Rows in all.
    pub fn rows(&self) -> usize {
        self.positions.len()
    }

    /// Do something with the rows of one layer, each sequence with a block of its own to write to and read from.
    ///
    /// # Errors
    /// Memory runs out.
    pub fn at_layer<T>(
        &self,
        arch: &Arch,
        layer: usize,
        of: impl FnOnce(&[Rows], &mut KvStore) -> T,
    ) -> Result<T> {
        let mut kv = KvStore::default();
        let extent = |rows: usize| Extent { columns: 0..rows, layers: layer..layer + 1 };
        let blocks = self.sequences.iter().map(|rows| kv.add(arch, extent(rows.len())));
        let blocks = blocks.collect::<Result<Vec<_>>>()?;
        let reads: Vec<[Read; 1]> = (self.sequences.iter().zip(&blocks))
            .map(|(rows, &block)| [Read { block, start: 0, end: rows.len() }])
            .collect();
        let rows = |((rows, &write), reads): ((&Range<usize>, &BlockId), _)| Rows {
            positions: &self.positions[rows.clone()],
            write,
            reads: Reads::Columns(reads),
            adapter: None,
        };
        let batch: Vec<Rows> = self
            .sequences
            .iter()
            .zip(&blocks)
            .zip(reads.iter().map(<[Read; 1]>::as_slice))
            .map(rows)
            .collect();
        Ok(of(&batch, &mut kv))
    }
}
