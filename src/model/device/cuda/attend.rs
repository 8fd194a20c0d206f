//! Attention by kernels. What many rows read alike (the context, for all branches of all items) is two products of all their
//! queries with the block where it stands; the rest each row reads for itself, and puts both together (as in Dao et al. 2023,
//! "Flash-Decoding").

use std::collections::BTreeMap;

use anyhow::Result;
use candle_core::{DType, Tensor};

use super::launch::{Launch, room};
use crate::model::device::SCORES;
use crate::model::device::attend::{Attention, Row};
use crate::model::scores::Gains;
use crate::model::{Read, Reads, Rows};

/// So many rows must read the same columns for these to be multiplied together, so many columns, and so many pairs.
const ALIKE: [usize; 3] = [16, 128, 1 << 15];

/// Threads of a block in `kernels.cu`.
const THREADS: usize = 128;

/// What rows have read together: `[rows, heads]` each, f32, and `[rows, heads, head_dim]`.
struct Begun {
    most: Tensor,
    total: Tensor,
    values: Tensor,
}

impl Attention<'_> {
    /// As [`Kernels::attend`](super::Kernels::attend).
    pub fn by_kernels(&self, q: &Tensor, batch: &[Rows]) -> Result<Tensor> {
        let alike = self.alike(batch);
        let rows = self.rows(batch, &alike);
        let slopes = self.scores.gains.as_ref().and_then(Gains::slopes);
        let slopes = slopes.map(|slopes| Tensor::new(slopes, q.device())).transpose()?;
        let begun = (!alike.is_empty()).then(|| -> Result<Begun> {
            let numbers = || room(&[rows.len(), self.heads], DType::F32, q.device());
            let values = room(&[rows.len(), self.heads, self.head_dim], q.dtype(), q.device())?;
            Ok(Begun { most: numbers()?, total: numbers()?, values })
        });
        let begun = begun.transpose()?;
        if let Some(begun) = &begun {
            for (which, read) in alike.iter().enumerate() {
                let readers: Vec<usize> = (0..rows.len())
                    .filter(|&row| rows[row].alike.as_ref().is_some_and(|(of, _)| *of == which))
                    .collect();
                // Whoever could read it has begun with another.
                if readers.is_empty() {
                    continue;
                }
                self.together(q, read, &readers, &rows, slopes.as_ref(), begun)?;
            }
        }
        self.apart(q, &rows, slopes.as_ref(), begun.as_ref())
    }

    /// Reads that many rows have alike.
    fn alike<'b>(&self, batch: &[Rows<'b>]) -> Vec<&'b Read> {
        let mut readers: BTreeMap<&Read, usize> = BTreeMap::new();
        for rows in batch {
            if let Reads::Columns(reads) = rows.reads {
                for read in reads.iter().filter(|read| read.end - read.start >= ALIKE[1]) {
                    *readers.entry(read).or_default() += rows.positions.len();
                }
            }
        }
        readers.retain(|read, count| *count >= ALIKE[0] && *count * (read.end - read.start) >= ALIKE[2]);
        readers.into_keys().collect()
    }

    /// Columns that many rows read, where they stand.
    fn together(
        &self,
        q: &Tensor,
        read: &Read,
        readers: &[usize],
        rows: &[Row],
        slopes: Option<&Tensor>,
        begun: &Begun,
    ) -> Result<()> {
        let of = |row: usize| rows[row].alike.as_ref().map_or(0..0, |(_, columns)| columns.clone());
        let last = readers.iter().map(|&row| of(row).end).max().unwrap_or(read.start);
        let start = read.start;
        let first = self.slots.slot(read.block, self.layer, start);
        // Products are faster where sizes are multiples of eight; what stands behind the last column gets no weight.
        let n = (last - start).next_multiple_of(8).min(self.slots.count() - first);
        let [keys, values] = self.slots.in_a_row(first, n)?;
        let (device, width, group) = (q.device(), self.head_dim, self.heads / self.kv_heads);
        for readers in readers.chunks((SCORES / (n * self.heads)).max(1)) {
            let spans = readers.iter().map(|&row| of(row));
            let firsts = spans.clone().map(|columns| columns.start - start);
            let ends = spans.map(|columns| columns.end - start);
            let which = readers.iter().copied().chain(firsts).chain(ends).map(|number| number as u32);
            let which = Tensor::new(which.collect::<Vec<u32>>(), device)?;
            let queries = room(&[self.kv_heads, readers.len() * group, width], q.dtype(), device)?;
            let sizes = [self.heads, self.kv_heads, width];
            let launch = Launch::new("take_readers", q.dtype(), device)?.tensor(q)?.tensor(&which)?;
            // SAFETY: here and below, readers are rows and sizes those of the tensors.
            unsafe { launch.tensor(&queries)?.counts(&sizes)?.run([readers.len(), 1, 1], 256, 0) }?;
            let scores = queries.matmul(&keys.transpose(1, 2)?)?;
            let launch = Launch::new("weigh", q.dtype(), device)?.tensor(&scores)?.tensor(&which)?;
            let launch = launch.maybe(slopes)?.tensor(&begun.most)?.tensor(&begun.total)?;
            let launch = launch.number(self.scores.scale).counts(&[self.heads, self.kv_heads, n, start])?;
            unsafe { launch.run([readers.len() * group, self.kv_heads, 1], THREADS, 0) }?;
            let some = scores.matmul(&values)?;
            let launch = Launch::new("give_readers", q.dtype(), device)?.tensor(&begun.values)?;
            let launch = launch.tensor(&which)?.tensor(&some)?.counts(&sizes)?;
            unsafe { launch.run([readers.len(), 1, 1], 256, 0) }?;
        }
        Ok(())
    }

    /// The columns that each row reads for itself, after what it has begun with.
    fn apart(
        &self,
        q: &Tensor,
        rows: &[Row],
        slopes: Option<&Tensor>,
        begun: Option<&Begun>,
    ) -> Result<Tensor> {
        let (width, group) = (self.head_dim, self.heads / self.kv_heads);
        let mut spans: Vec<u32> = Vec::with_capacity(8 * rows.len());
        for row in rows {
            spans.push(spans.last().copied().unwrap_or(0) + row.spans.len() as u32);
        }
        spans.extend(rows.iter().map(|row| u32::from(row.alike.is_some())));
        let all = rows.iter().flat_map(|row| &row.spans);
        spans.extend(all.flat_map(|span| [span.slot, span.column, span.count]).map(|number| number as u32));
        let spans = Tensor::new(spans, q.device())?;
        let heads = [1, 4, 8].into_iter().find(|&heads| heads >= group).unwrap_or(8);
        let at_once = 16 / q.dtype().size_in_bytes();
        let (vector, times) = match width.div_ceil(32 * at_once) {
            _ if !width.is_multiple_of(at_once) => (1, 8),
            1 => (at_once, 1),
            2 if q.dtype() == DType::F32 => (at_once, 2),
            _ => (1, 8),
        };
        let bytes = 4 * heads * (width + THREADS + THREADS / 32 * width);
        let name = format!("attend_{heads}_{vector}_{times}");
        let out = room(&[rows.len(), self.heads * width], q.dtype(), q.device())?;
        let launch = Launch::new(&name, q.dtype(), q.device())?.tensor(q)?.tensor(self.slots.pool())?;
        let launch = launch.tensor(&out)?.tensor(&spans)?.maybe(slopes)?;
        let launch = launch.maybe(begun.map(|begun| &begun.most))?.maybe(begun.map(|begun| &begun.total))?;
        let launch = launch.maybe(begun.map(|begun| &begun.values))?.number(self.scores.scale);
        let launch = launch.counts(&[rows.len(), self.heads, self.kv_heads, width, self.slots.count()])?;
        // SAFETY: spans name slots of the pool, and the other sizes are those of the tensors.
        unsafe { launch.run([rows.len(), self.kv_heads, group.div_ceil(heads)], THREADS, bytes) }?;
        Ok(out)
    }
}
