//! Attention of many rows over blocks of keys and values, made of whole products.
//!
//! What many rows read alike (the context, for all branches of all items) is one product over the block where it stands;
//! what each row reads for itself (its own item's columns, the tokens it has generated) is gathered, row by row. Both give a
//! row a *part* of its softmax: the greatest score, the sum of weights and the weighted sum of values, from which the whole is
//! put together (as in Dao et al. 2023, "Flash-Decoding"). There is no mask of all rows times all columns: only rows of which some
//! read a part of a block (their own columns, when a prompt is computed) have one, of the block's columns.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::Result;
use candle_core::{D, DType, Device, Tensor};

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
    /// `[kv_heads, heads / kv_heads]`: what a score gains with its column, where positions are ALiBi.
    pub slopes: Option<&'a Tensor>,
    /// Columns that a row reads, its own included.
    pub window: Option<usize>,
    /// Keys and values, those of the rows in question included.
    pub kv: &'a DeviceKv,
}

/// So many rows must read the same columns for these to be multiplied where they stand, and so many columns.
const TOGETHER: [usize; 2] = [8, 8];

/// Scores, or gathered values, that are held at a time.
pub const HELD: usize = 32 << 20;

/// Stands for the greatest of no scores: finite, so that no difference of two is undefined.
const NOTHING: f32 = -1e30;

/// A row of the packed batch and what it reads.
struct Row {
    position: usize,
    /// Slots that it gathers for itself, with their columns.
    own: Vec<(u32, usize)>,
}

/// Rows that read the same columns of a block.
type Shared = BTreeMap<Read, Vec<usize>>;

/// A part of the softmax of some rows.
struct Part {
    rows: Vec<usize>,
    /// `[rows, heads, 1]`, the greatest score
    most: Tensor,
    /// `[rows, heads, 1]`, the sum of weights
    sum: Tensor,
    /// `[rows, heads, head_dim]`, the weighted sum of values
    values: Tensor,
}

impl Attention<'_> {
    /// Queries `[rows, heads, head_dim]` -> what each row reads, `[rows, heads, head_dim]` as f32; zeros for a row with
    /// nothing to read.
    pub fn run(&self, q: &Tensor, batch: &[Rows]) -> Result<Tensor> {
        let (rows, shared) = self.plan(batch);
        let mut parts = Vec::new();
        for (read, readers) in &shared {
            self.shared(q, read, readers, &rows, &mut parts)?;
        }
        self.gathered(q, &rows, &mut parts)?;
        self.joined(parts, rows.len(), q.device())
    }

    /// Columns that a row reads of a range.
    fn readable(&self, read: &Read, position: usize) -> Range<usize> {
        let first = self.window.map_or(0, |window| (position + 1).saturating_sub(window));
        read.start.max(first)..read.end.min(position + 1)
    }

    /// What is read together, and what by each row for itself.
    fn plan(&self, batch: &[Rows]) -> (Vec<Row>, Shared) {
        let mut shared = Shared::new();
        let mut next = 0;
        for some in batch {
            if let Reads::Columns(reads) = some.reads {
                for read in reads.iter().filter(|read| read.end - read.start >= TOGETHER[1]) {
                    let readers = some.positions.iter().enumerate();
                    let readers = readers.filter(|(_, position)| !self.readable(read, **position).is_empty());
                    let readers = readers.map(|(at, _)| next + at);
                    shared.entry(read.clone()).or_default().extend(readers);
                }
            }
            next += some.positions.len();
        }
        shared.retain(|_, readers| readers.len() >= TOGETHER[0]);
        let slot = |block, column| (self.kv.slot(block, self.layer, column) as u32, column);
        let mut rows = Vec::with_capacity(next);
        for some in batch {
            for &position in some.positions {
                let own = match some.reads {
                    Reads::Columns(reads) => {
                        let alone = reads.iter().filter(|read| !shared.contains_key(read));
                        let columns = alone.flat_map(|read| {
                            self.readable(read, position).map(|column| slot(read.block, column))
                        });
                        columns.collect()
                    }
                    Reads::Own => vec![slot(some.write, position)],
                    Reads::Nothing => Vec::new(),
                };
                rows.push(Row { position, own });
            }
        }
        (rows, shared)
    }

    /// Columns that many rows read, where they stand.
    fn shared(
        &self,
        q: &Tensor,
        read: &Read,
        readers: &[usize],
        rows: &[Row],
        parts: &mut Vec<Part>,
    ) -> Result<()> {
        let last = readers.iter().map(|&row| rows[row].position + 1).max().unwrap_or(0);
        let (start, n) = (read.start, read.end.min(last) - read.start);
        let first = self.kv.slot(read.block, self.layer, start);
        let [keys, values] = self.kv.some(first..first + n)?;
        let keys = keys.transpose(1, 2)?;
        let group = self.heads / self.kv_heads;
        for readers in readers.chunks((HELD / (n * self.heads)).max(1)) {
            let r = readers.len();
            // [kv_heads, rows * group, head_dim]
            let queries = taken(q, readers)?.reshape((r, self.kv_heads, group, self.head_dim))?;
            let queries =
                queries.transpose(0, 1)?.contiguous()?.reshape((self.kv_heads, r * group, self.head_dim))?;
            let scores = queries.matmul(&keys)?.to_dtype(DType::F32)?.affine(self.scale, 0.)?;
            let mut scores = scores.reshape((self.kv_heads, r, group, n))?;
            if let Some(slopes) = self.slopes {
                let columns =
                    Tensor::arange(start as u32, (start + n) as u32, q.device())?.to_dtype(DType::F32)?;
                let bias = slopes.unsqueeze(2)?.broadcast_mul(&columns.reshape((1, 1, n))?)?;
                scores = scores.broadcast_add(&bias.unsqueeze(1)?)?;
            }
            let spans: Vec<Range<usize>> =
                readers.iter().map(|&row| self.readable(read, rows[row].position)).collect();
            if spans.iter().any(|span| *span != (start..start + n)) {
                let inside = |column: usize, span: &Range<usize>| {
                    if span.contains(&column) { 0. } else { f32::NEG_INFINITY }
                };
                let mask: Vec<f32> = spans
                    .iter()
                    .flat_map(|span| (start..start + n).map(|column| inside(column, span)))
                    .collect();
                scores = scores.broadcast_add(&Tensor::from_vec(mask, (1, r, 1, n), q.device())?)?;
            }
            let most = scores.max_keepdim(D::Minus1)?;
            let weights = scores.broadcast_sub(&most)?.exp()?;
            let sum = weights.sum_keepdim(D::Minus1)?;
            let weights = weights.reshape((self.kv_heads, r * group, n))?.to_dtype(q.dtype())?;
            let sums = weights.matmul(&values.contiguous()?)?.to_dtype(DType::F32)?;
            let by_row = |tensor: Tensor, width: usize| -> Result<Tensor> {
                let tensor = tensor.reshape((self.kv_heads, r, group, width))?.transpose(0, 1)?;
                Ok(tensor.contiguous()?.reshape((r, self.heads, width))?)
            };
            parts.push(Part {
                rows: readers.to_vec(),
                most: by_row(most, 1)?,
                sum: by_row(sum, 1)?,
                values: by_row(sums, self.head_dim)?,
            });
        }
        Ok(())
    }

    /// Columns that each row reads for itself.
    fn gathered(&self, q: &Tensor, rows: &[Row], parts: &mut Vec<Part>) -> Result<()> {
        let mut order: Vec<usize> = (0..rows.len()).filter(|&row| !rows[row].own.is_empty()).collect();
        // Rows with as many columns stand together, so that little is filled up.
        order.sort_by_key(|&row| rows[row].own.len());
        let mut rest = order.as_slice();
        let width = self.kv_heads * self.head_dim;
        while let Some(&longest) = rest.last() {
            let n = rows[longest].own.len();
            let most = (HELD / (n * width)).max(1);
            let least = rest.partition_point(|&row| 2 * rows[row].own.len() < n);
            let (others, some) = rest.split_at(least.max(rest.len().saturating_sub(most)));
            rest = others;
            parts.push(self.gather(q, rows, some, n)?);
        }
        Ok(())
    }

    /// Rows that read up to `n` columns each for themselves.
    fn gather(&self, q: &Tensor, rows: &[Row], some: &[usize], n: usize) -> Result<Part> {
        let (r, group) = (some.len(), self.heads / self.kv_heads);
        let filled = |row: usize| (0..n).map(move |at| rows[row].own.get(at));
        let each = || some.iter().flat_map(|&row| filled(row));
        let slots: Vec<u32> = each().map(|own| own.map_or(0, |(slot, _)| *slot)).collect();
        let [keys, values] = self.kv.gather(&Tensor::from_vec(slots, (r, n), q.device())?)?;
        let queries = taken(q, some)?.reshape((r, self.kv_heads, group, self.head_dim))?;
        let scores = queries.matmul(&keys.transpose(2, 3)?)?.to_dtype(DType::F32)?;
        let mut scores = scores.affine(self.scale, 0.)?;
        if let Some(slopes) = self.slopes {
            let columns: Vec<f32> = each().map(|own| own.map_or(0., |(_, column)| *column as f32)).collect();
            let columns = Tensor::from_vec(columns, (r, 1, 1, n), q.device())?;
            scores = scores.broadcast_add(&columns.broadcast_mul(&slopes.reshape((
                1,
                self.kv_heads,
                group,
                1,
            ))?)?)?;
        }
        if some.iter().any(|&row| rows[row].own.len() < n) {
            let mask: Vec<f32> =
                each().map(|own| if own.is_some() { 0. } else { f32::NEG_INFINITY }).collect();
            scores = scores.broadcast_add(&Tensor::from_vec(mask, (r, 1, 1, n), q.device())?)?;
        }
        let most = scores.max_keepdim(D::Minus1)?;
        let weights = scores.broadcast_sub(&most)?.exp()?;
        let sum = weights.sum_keepdim(D::Minus1)?;
        let sums = weights.to_dtype(q.dtype())?.matmul(&values)?.to_dtype(DType::F32)?;
        let by_row = |tensor: Tensor, width: usize| tensor.reshape((r, self.heads, width));
        Ok(Part {
            rows: some.to_vec(),
            most: by_row(most, 1)?,
            sum: by_row(sum, 1)?,
            values: by_row(sums, self.head_dim)?,
        })
    }

    /// Each row's parts put together.
    fn joined(&self, parts: Vec<Part>, rows: usize, device: &Device) -> Result<Tensor> {
        let mut of_rows: Vec<Vec<u32>> = vec![Vec::new(); rows];
        let mut next = 0;
        for row in parts.iter().flat_map(|part| &part.rows) {
            of_rows[*row].push(next);
            next += 1;
        }
        // One part more, of nothing, fills up.
        let deepest = of_rows.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let indices: Vec<u32> = of_rows
            .iter()
            .flat_map(|parts| (0..deepest).map(|at| parts.get(at).copied().unwrap_or(next)))
            .collect();
        let indices = Tensor::from_vec(indices, rows * deepest, device)?;
        let nothing = |value: f32, width: usize| Tensor::full(value, (1, self.heads, width), device);
        let all = |of: fn(&Part) -> &Tensor, fill: f32, width: usize| -> Result<Tensor> {
            let mut all: Vec<Tensor> = parts.iter().map(|part| of(part).clone()).collect();
            all.push(nothing(fill, width)?);
            let all = Tensor::cat(&all, 0)?.index_select(&indices, 0)?;
            Ok(all.reshape((rows, deepest, self.heads, width))?)
        };
        let most = all(|part| &part.most, NOTHING, 1)?;
        let shares = most.broadcast_sub(&most.max_keepdim(1)?)?.exp()?;
        let sum = (all(|part| &part.sum, 0., 1)? * &shares)?.sum(1)?;
        let values = all(|part| &part.values, 0., self.head_dim)?.broadcast_mul(&shares)?.sum(1)?;
        // Of nothing at all the sum is 0, and so are its values.
        Ok(values.broadcast_div(&sum.maximum(f32::MIN_POSITIVE)?)?)
    }
}

/// Some rows, in this order.
fn taken(tensor: &Tensor, rows: &[usize]) -> Result<Tensor> {
    let rows: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
    Ok(tensor.index_select(&Tensor::new(rows, tensor.device())?, 0)?)
}
