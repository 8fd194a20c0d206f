//! Attention of many rows, each over its own spans of columns: there is no mask of rows times columns.

use std::ops::Range;

use anyhow::{Result, bail};
use candle_core::{DType, Storage, Tensor};
use rayon::prelude::*;

use super::kv::DeviceKv;
use crate::model::{Read, Reads, Rows};

/// One layer's attention.
pub struct Attention<'a> {
    pub layer: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Scores are multiplied by this.
    pub scale: f64,
    /// `[heads]`: what a score gains with its column, where positions are ALiBi.
    pub slopes: Option<&'a [f32]>,
    /// Columns that a row reads, its own included.
    pub window: Option<usize>,
    /// Keys and values, those of the rows in question included.
    pub kv: &'a DeviceKv,
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
    /// Queries `[rows, heads, head_dim]` -> what each row reads, `[rows, heads * head_dim]` in the queries' type; zeros for a
    /// row with nothing to read.
    pub fn run(&self, q: &Tensor, batch: &[Rows]) -> Result<Tensor> {
        #[cfg(feature = "cuda")]
        if q.device().is_cuda() {
            return self.by_kernels(q, batch);
        }
        let rows = self.rows(batch, &[]);
        let queries: Vec<f32> = q.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        let pool = self.kv.pool().to_dtype(DType::F32)?;
        let pool = pool.storage_and_layout().0;
        let Storage::Cpu(pool) = &*pool else { bail!("attention on a device that there are no kernels for") };
        let out = self.by_words(&queries, pool.as_slice::<f32>()?, &rows);
        let shape = (rows.len(), self.heads * self.head_dim);
        Ok(Tensor::from_vec(out, shape, q.device())?.to_dtype(q.dtype())?)
    }

    /// What each row reads; of the reads in `alike` one at most stands apart.
    pub fn rows(&self, batch: &[Rows], alike: &[&Read]) -> Vec<Row> {
        let span = |block, columns: Range<usize>| Span {
            slot: self.kv.slot(block, self.layer, columns.start),
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

    /// What the kernels do, in plain words.
    fn by_words(&self, q: &[f32], pool: &[f32], rows: &[Row]) -> Vec<f32> {
        let (width, group, plane) =
            (self.head_dim, self.heads / self.kv_heads, self.kv.slots() * self.head_dim);
        let stored = |plane_of: usize, slot: usize| &pool[plane_of * plane + slot * width..][..width];
        let head = |at: usize, q: &[f32], out: &mut [f32]| {
            let (spans, head) = (&rows[at / self.heads].spans, at % self.heads);
            let columns =
                || spans.iter().flat_map(|span| (0..span.count).map(|i| (span.slot + i, span.column + i)));
            let slope = self.slopes.map_or(0., |slopes| slopes[head]);
            let score = |(slot, column): (usize, usize)| {
                let products = q.iter().zip(stored(head / group, slot)).map(|(q, k)| q * k);
                products.sum::<f32>() * self.scale as f32 + slope * column as f32
            };
            let mut weights: Vec<f32> = columns().map(score).collect();
            let most = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            weights.iter_mut().for_each(|weight| *weight = (*weight - most).exp());
            let sum: f32 = weights.iter().sum();
            for ((slot, _), weight) in columns().zip(&weights) {
                let values = stored(self.kv_heads + head / group, slot);
                out.iter_mut().zip(values).for_each(|(out, v)| *out += weight / sum * v);
            }
        };
        let mut out = vec![0.; q.len()];
        let both = q.par_chunks_exact(width).zip(out.par_chunks_exact_mut(width));
        both.enumerate().for_each(|(at, (q, out))| head(at, q, out));
        out
    }
}
