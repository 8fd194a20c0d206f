//! Attention of many rows over blocks of keys and values that they share or own.
//!
//! Rows that read the same columns stand together in a tile, so that shared keys and values are read once for all of
//! them, as in a matrix product. A row's softmax and its sums run over its columns in ascending order, sixteen lanes by
//! position, whatever block holds them: so its result does not depend on what is shared with whom.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::lanes::{LANES, Lanes, dispatched, exp, tanh};
use super::matrix::Matrix;
use super::product::Target;
use super::tile::{Onto, PlainTile, many};
use crate::model::kv::{Head, KvStore, Read};
use crate::model::scores::Scores;
use crate::model::{Reads, Rows};

/// One layer's attention.
pub struct Attention<'a> {
    /// Which layer.
    pub layer: usize,
    /// Query heads.
    pub heads: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// How scores are made.
    pub scores: &'a Scores,
    /// `[heads]`: scores that take part in the softmax and bring no value.
    pub sinks: Option<&'a [f32]>,
    /// Columns that a row reads, its own included.
    pub window: Option<usize>,
    /// Keys and values, those of the rows in question included.
    pub kv: &'a KvStore,
}

/// Rows times heads of a tile: enough to reuse what is read, few enough that its scores stay in the first caches.
const TILE: usize = 24;

/// One row of the packed batch.
#[derive(Clone, Copy)]
struct Row<'a> {
    row: usize,
    position: usize,
    reads: &'a [Read],
}

impl Attention<'_> {
    /// Queries, the first `heads * head_dim` columns of `q [rows, ..]` -> `out [rows, heads * head_dim]`. A row left
    /// with nothing to read gets zeros. Returns the first row that has a score of NaN or infinity: `out` is worth nothing
    /// then.
    #[must_use]
    pub fn run(&self, q: &Matrix, batch: &[Rows], out: &mut Matrix) -> Option<usize> {
        let width = self.heads * self.head_dim;
        assert!(q.width() >= width && out.width() == width && q.rows() == out.rows());
        let mut rows = Vec::with_capacity(q.rows());
        let own = self.own_columns(batch);
        let mut next = 0;
        for some in batch {
            for &position in some.positions {
                match some.reads {
                    Reads::Columns(reads) => rows.push(Row { row: next, position, reads }),
                    Reads::Own if self.sinks.is_some() => {
                        rows.push(Row { row: next, position, reads: std::slice::from_ref(&own[next]) });
                    }
                    Reads::Own => self.own_value(some, position, out.row_mut(next)),
                    Reads::Nothing => out.row_mut(next).fill(0.),
                }
                next += 1;
            }
        }
        // Stable, so that rows of one sequence stay in order.
        rows.sort_by(|a, b| a.reads.cmp(b.reads));
        let per_tile = (TILE / (self.heads / self.kv_heads)).max(1);
        let target = Target(out.as_mut_ptr());
        let not_finite = AtomicUsize::new(usize::MAX);
        let tasks: Vec<(&[Row], usize)> =
            rows.chunks(per_tile).flat_map(|rows| (0..self.kv_heads).map(move |head| (rows, head))).collect();
        tasks.into_par_iter().with_max_len(1).for_each_init(
            RowScratch::default,
            |scratch, (rows, kv_head)| {
                let work =
                    AttentionTask { attention: self, rows, kv_head, q, out: target, not_finite: &not_finite };
                // SAFETY: every pair of row and head is written by one task; sizes were checked.
                unsafe { tile(&work, scratch) }
            },
        );
        Some(not_finite.into_inner()).filter(|row| *row != usize::MAX)
    }

    /// By row of the batch its own column, where a sink takes a share of it; else nothing.
    fn own_columns(&self, batch: &[Rows]) -> Vec<Read> {
        if self.sinks.is_none() {
            return Vec::new();
        }
        let own = |block, &position: &usize| Read { block, start: position, end: position + 1 };
        batch.iter().flat_map(|rows| rows.positions.iter().map(|at| own(rows.write, at))).collect()
    }

    /// The row reads its own column alone, with weight 1: the output is its own value.
    fn own_value(&self, rows: &Rows, position: usize, out: &mut [f32]) {
        let (group, width) = (self.heads / self.kv_heads, self.head_dim.next_multiple_of(LANES));
        for (head, out) in out.chunks_exact_mut(self.head_dim).enumerate() {
            let block = self.kv.head(rows.write, self.layer, head / group);
            let column = position - block.first;
            assert!(column < block.columns);
            // SAFETY: the block has room for this column.
            let value =
                unsafe { std::slice::from_raw_parts(block.values.add(column * width), self.head_dim) };
            out.copy_from_slice(value);
        }
    }
}

/// What one task computes.
struct AttentionTask<'a> {
    attention: &'a Attention<'a>,
    rows: &'a [Row<'a>],
    kv_head: usize,
    q: &'a Matrix,
    out: Target,
    /// The first row with a score that is not finite, so far.
    not_finite: &'a AtomicUsize,
}

/// The score of a column that a row does not read. Its weight is 0 beside any other, and unlike an infinity it can be told
/// from what a product overflowed to.
const NOT_READ: f32 = f32::MIN;

/// Memory that a thread uses again and again.
#[derive(Default)]
struct RowScratch {
    /// `[rows * group, head_dim]`
    queries: Vec<f32>,
    /// `[rows * group, columns]`, scores, then weights
    scores: Vec<f32>,
    /// `[rows * group, head_dim filled up to 16]`
    sums: Vec<f32>,
    /// `[rows * group]`
    scales: Vec<f32>,
    parts: Vec<SoftmaxPart>,
    /// Rows that have read the same so far, and how long their scores are; now and next.
    runs: Vec<(Range<usize>, usize)>,
    next: Vec<(Range<usize>, usize)>,
}

/// Columns that some rows of a tile read from one block: whole panels.
struct SoftmaxPart {
    /// Rows of the tile.
    rows: Range<usize>,
    read: Read,
    head: Head,
    /// Panels of the block.
    panels: Range<usize>,
    /// Where their scores stand in each row.
    at: usize,
}

impl AttentionTask<'_> {
    /// The columns of a read that a row may see.
    fn seen(&self, row: &Row, read: &Read) -> Range<usize> {
        let first = self.attention.window.map_or(0, |window| (row.position + 1).saturating_sub(window));
        let (start, end) = (read.start.max(first), read.end.min(row.position + 1));
        start..end.max(start)
    }

    /// Splits the tile's rows by what they read, one read after the other; rows of a part have read the same so far.
    /// Returns the parts in ascending order of columns for each row, and the length of the longest row of scores.
    fn parts(&self, RowScratch { parts, runs, next, .. }: &mut RowScratch) -> usize {
        parts.clear();
        runs.clear();
        runs.push((0..self.rows.len(), 0));
        let mut longest = 0;
        for level in 0.. {
            next.clear();
            for (run, at) in runs.drain(..) {
                let mut from = run.start;
                for rows in self.rows[run.clone()].chunk_by(|a, b| a.reads.get(level) == b.reads.get(level)) {
                    let rows_here = from..from + rows.len();
                    from = rows_here.end;
                    let Some(read) = rows[0].reads.get(level) else { continue };
                    let seen = rows.iter().map(|row| self.seen(row, read)).filter(|seen| !seen.is_empty());
                    let seen = seen.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end));
                    let mut end = at;
                    if let Some(seen) = seen {
                        let head = self.attention.kv.head(read.block, self.attention.layer, self.kv_head);
                        assert!(seen.start >= head.first && seen.end <= head.first + head.columns);
                        let panels =
                            (seen.start - head.first) / LANES..(seen.end - head.first).div_ceil(LANES);
                        end += panels.len() * LANES;
                        parts.push(SoftmaxPart {
                            rows: rows_here.clone(),
                            read: read.clone(),
                            head,
                            panels,
                            at,
                        });
                    }
                    longest = longest.max(end);
                    next.push((rows_here, end));
                }
            }
            if next.is_empty() {
                return longest;
            }
            std::mem::swap(runs, next);
        }
        longest
    }
}

dispatched! {
    unsafe fn tile(work: &AttentionTask, scratch: &mut RowScratch) = tile_with;
}

#[inline(always)]
unsafe fn tile_with<L: Lanes>(work: &AttentionTask, scratch: &mut RowScratch) {
    let Attention { heads, kv_heads, head_dim, .. } = *work.attention;
    let group = heads / kv_heads;
    let width = head_dim.next_multiple_of(LANES);
    let stride = work.parts(scratch);
    let stacked = work.rows.len() * group;
    let first = work.kv_head * group * head_dim;
    scratch.queries.clear();
    for row in work.rows {
        scratch.queries.extend_from_slice(&work.q.row(row.row)[first..first + group * head_dim]);
    }
    scratch.scores.clear();
    // A row that reads less than the longest keeps the weight 0 for the rest.
    scratch.scores.resize(stacked * stride, NOT_READ);
    scratch.sums.clear();
    scratch.sums.resize(stacked * width, 0.);
    let scores = scratch.scores.as_mut_ptr();
    for part in &scratch.parts {
        unsafe {
            let (row, rows) = (part.rows.start * group, part.rows.len() * group);
            let product = PlainTile {
                depth: head_dim,
                a: scratch.queries.as_ptr().add(row * head_dim),
                a_stride: head_dim,
                b: part.head.keys.add(part.panels.start * head_dim * LANES),
                b_vector: head_dim * LANES,
                b_depth: LANES,
                c: scores.add(row * stride + part.at),
                c_stride: stride,
                onto: Onto::Empty,
            };
            many::<L>(product, rows, part.panels.len());
            finish_scores::<L>(work, part, scores, stride);
        }
    }
    scratch.scales.clear();
    // Not in a closure, which would be compiled without the wide registers.
    for row in 0..stacked {
        let sink = work.attention.sinks.map(|sinks| sinks[work.kv_head * group + row % group]);
        let scale = unsafe { softmax::<L>(scores.add(row * stride), stride, sink) };
        if scale.is_nan() {
            work.not_finite.fetch_min(work.rows[row / group].row, Ordering::Relaxed);
        }
        scratch.scales.push(scale);
    }
    for part in &scratch.parts {
        unsafe {
            let (row, rows) = (part.rows.start * group, part.rows.len() * group);
            let product = PlainTile {
                depth: part.panels.len() * LANES,
                a: scores.add(row * stride + part.at),
                a_stride: stride,
                b: part.head.values.add(part.panels.start * LANES * width),
                b_vector: LANES,
                b_depth: width,
                c: scratch.sums.as_mut_ptr().add(row * width),
                c_stride: width,
                onto: Onto::Begun,
            };
            many::<L>(product, rows, width / LANES);
        }
    }
    for (index, (sums, scale)) in scratch.sums.chunks_exact(width).zip(&scratch.scales).enumerate() {
        let at = work.rows[index / group].row * heads * head_dim + first + index % group * head_dim;
        // SAFETY: this row and head are this task's own.
        let out = unsafe { std::slice::from_raw_parts_mut(work.out.at(at), head_dim) };
        out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum * scale);
    }
}

/// Scale the scores of a part, cap them, add what distance costs, and take out the columns that a row may not read.
#[inline(always)]
unsafe fn finish_scores<L: Lanes>(work: &AttentionTask, part: &SoftmaxPart, scores: *mut f32, stride: usize) {
    let Attention { heads, kv_heads, scores: Scores { scale, cap, gains }, .. } = *work.attention;
    let group = heads / kv_heads;
    let from = part.head.first + part.panels.start * LANES;
    let columns = part.panels.len() * LANES;
    for index in part.rows.clone() {
        let seen = work.seen(&work.rows[index], &part.read);
        for head in 0..group {
            unsafe {
                let row = scores.add((index * group + head) * stride + part.at);
                for at in (0..columns).step_by(LANES) {
                    let mut score = L::load(row.add(at)).mul(L::splat(*scale));
                    if let Some(cap) = cap {
                        score = tanh(score.div(L::splat(*cap))).mul(L::splat(*cap));
                    }
                    if let Some(gains) = gains {
                        let head = work.kv_head * group + head;
                        let gains: [f32; LANES] =
                            std::array::from_fn(|lane| gains.at(head, from + at + lane));
                        // Rounded as transformers rounds it: the product, then the sum.
                        score = score.add(L::load(gains.as_ptr()));
                    }
                    score.store(row.add(at));
                }
                let row = std::slice::from_raw_parts_mut(row, columns);
                let begin = seen.start.saturating_sub(from).min(columns);
                let end = seen.end.saturating_sub(from).clamp(begin, columns);
                row[..begin].fill(NOT_READ);
                row[end..].fill(NOT_READ);
            }
        }
    }
}

/// Scores -> weights, not yet divided by their sum, to which the sink belongs; returns what to multiply by instead: 0 where nothing
/// is read, NaN where a score is not finite.
#[inline(always)]
unsafe fn softmax<L: Lanes>(row: *mut f32, columns: usize, sink: Option<f32>) -> f32 {
    unsafe {
        // A maximum loses NaN. A sum of zeros times scores does not, nor an infinity.
        let (mut best, mut zero) = (L::splat(NOT_READ), L::splat(0.));
        for at in (0..columns).step_by(LANES) {
            let score = L::load(row.add(at));
            best = best.max(score);
            zero = zero.fma(score, L::splat(0.));
        }
        let best = best.greatest();
        if best == NOT_READ {
            std::slice::from_raw_parts_mut(row, columns).fill(0.);
            return if zero.sum().is_nan() { f32::NAN } else { 0. };
        }
        let best = sink.map_or(best, |sink| best.max(sink));
        let mut sum = L::splat(0.);
        for at in (0..columns).step_by(LANES) {
            let weight = exp(L::load(row.add(at)).sub(L::splat(best)));
            sum = sum.add(weight);
            weight.store(row.add(at));
        }
        // Zeros change no bit of a sum that is more than 0.
        1. / (sum.add(zero).sum() + sink.map_or(0., |sink| (sink - best).exp()))
    }
}
