//! Attention of many rows, each over its own spans of columns: there is no mask of rows times columns.

use std::ops::Range;

use super::slots::Slots;
use crate::model::scores::Scores;
use crate::model::{Read, Reads, Rows};

/// One layer's attention.
pub struct Attention<'a> {
    pub layer: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// How scores are made.
    pub scores: &'a Scores,
    /// `[heads]`: scores that take part in the softmax and bring no value.
    pub sinks: Option<&'a [f32]>,
    /// Columns that a row reads, its own included.
    pub window: Option<usize>,
    /// Keys and values, those of the rows in question included.
    pub slots: &'a Slots,
}

/// Columns that a row reads: slots that follow each other, and the position of the first.
pub struct Span {
    pub slot: usize,
    pub column: usize,
    pub count: usize,
}

/// A row of the packed batch and what it reads.
pub struct Row {
    /// Which of the reads that many rows have alike, and its columns; the row reads it before all else.
    pub alike: Option<(usize, Range<usize>)>,
    pub spans: Vec<Span>,
}

impl Attention<'_> {
    /// What each row reads; of the reads in `alike` one at most stands apart.
    pub fn rows(&self, batch: &[Rows], alike: &[&Read]) -> Vec<Row> {
        let span = |block, columns: Range<usize>| Span {
            slot: self.slots.slot(block, self.layer, columns.start),
            column: columns.start,
            count: columns.len(),
        };
        let of = |rows: &Rows, position: usize| -> Row {
            let mut row = Row { alike: None, spans: Vec::new() };
            match rows.reads {
                Reads::Columns(reads) => {
                    for read in reads {
                        let columns = self.readable(read, position);
                        match alike.iter().position(|alike| *alike == read) {
                            _ if columns.is_empty() => {}
                            Some(which) if row.alike.is_none() => row.alike = Some((which, columns)),
                            _ => row.spans.push(span(read.block, columns)),
                        }
                    }
                }
                Reads::Own => row.spans.push(span(rows.write, position..position + 1)),
                Reads::Nothing => {}
            }
            row
        };
        batch.iter().flat_map(|rows| rows.positions.iter().map(move |&position| of(rows, position))).collect()
    }

    /// Columns that a row reads of a range.
    pub fn readable(&self, read: &Read, position: usize) -> Range<usize> {
        let first = self.window.map_or(0, |window| (position + 1).saturating_sub(window));
        read.start.max(first)..read.end.min(position + 1)
    }
}
