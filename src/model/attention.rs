//! Attention of the rows of one sequence over the columns that a layer leaves visible: the experiment's mask and the
//! model's own window, intersected.

use anyhow::Result;
use candle_core::{D, Tensor};
use candle_nn::ops::softmax_last_dim;

use super::{Arch, KvCache, Rows};
use crate::mask::{Columns, Hidden};

/// Added to a score that may not be read: finite, so that a row with nothing to read never yields NaN, and so low
/// that its exponential is exactly 0 beside any score that may be read.
const UNREADABLE: f32 = -1e30;

/// Scores that one product holds at most, over all heads (64 MiB): rows of a long prompt are taken a part at a time.
const SCORES: usize = 16 << 20;

/// One layer's attention of one sequence.
pub struct Attend<'a> {
    /// The model.
    pub arch: &'a Arch,
    /// Which layer.
    pub layer: usize,
    /// Falls of the scores with the distance, `[kv_heads, group, 1, 1]`, where the model has ALiBi.
    pub slopes: Option<&'a Tensor>,
    /// Keys and values, those of the rows in question included.
    pub cache: &'a KvCache,
}

impl Attend<'_> {
    /// Queries `[rows, heads, head_dim]` of one sequence -> outputs `[rows, heads * head_dim]`. A row left with
    /// nothing to read gets zeros.
    pub fn rows(&self, q: &Tensor, rows: &Rows) -> Result<Tensor> {
        let hidden = match rows.hidden {
            Hidden::AllButOwn => return self.own_values(rows),
            Hidden::Columns(hidden) => hidden,
        };
        let columns = rows.positions.last().map_or(0, |last| last + 1);
        let at_a_time = (SCORES / (self.arch.heads * columns.max(1))).max(1);
        let mut outputs = Vec::new();
        let mut start = 0;
        for positions in rows.positions.chunks(at_a_time) {
            let q = q.narrow(0, start, positions.len())?;
            outputs.push(self.some_rows(&q, rows.slot, positions, hidden)?);
            start += positions.len();
        }
        if outputs.len() == 1 { Ok(outputs.remove(0)) } else { Ok(Tensor::cat(&outputs, 0)?) }
    }

    fn some_rows(&self, q: &Tensor, slot: usize, positions: &[usize], hidden: &Columns) -> Result<Tensor> {
        let Arch { heads, kv_heads, head_dim, score_scale, .. } = *self.arch;
        let (n, group) = (positions.len(), heads / kv_heads);
        let window = self.arch.window(self.layer);
        let first = window.map_or(0, |window| (positions[0] + 1).saturating_sub(window));
        let visible = hidden.complement(positions[n - 1] + 1).from(first);
        if visible.is_empty() {
            return Ok(Tensor::zeros((n, heads * head_dim), q.dtype(), q.device())?);
        }
        let (k, v) = self.cache.read(self.layer, slot, visible.ranges())?; // [kv_heads, columns, head_dim]
        let q = q // [rows, kv_heads, group, head_dim] -> [kv_heads, group * rows, head_dim]
            .reshape((n, kv_heads, group, head_dim))?
            .permute((1, 2, 0, 3))?
            .reshape((kv_heads, group * n, head_dim))?;
        let mut scores = q.matmul(&k.t()?)?; // [kv_heads, group * rows, columns]
        if score_scale != 1. {
            scores = (scores * score_scale)?;
        }
        let columns: Vec<usize> = visible.ranges().iter().cloned().flatten().collect();
        if let Some(slopes) = self.slopes {
            scores = with_alibi(&scores, slopes, &columns, n)?;
        }
        let out = if n == 1 {
            softmax_last_dim(&scores)?.matmul(&v)?
        } else {
            masked(&scores, &v, positions, &columns, window)?
        };
        Ok(out // [kv_heads, group, rows, head_dim] -> [rows, heads * head_dim]
            .reshape((kv_heads, group, n, head_dim))?
            .permute((2, 0, 1, 3))?
            .reshape((n, heads * head_dim))?)
    }

    /// Each row reads its own column alone, with weight 1: the output is its own value.
    fn own_values(&self, rows: &Rows) -> Result<Tensor> {
        let own = Columns::new(rows.positions.iter().map(|&position| position..position + 1));
        let (_, v) = self.cache.read(self.layer, rows.slot, own.ranges())?; // [kv_heads, rows, head_dim]
        let group = self.arch.heads / self.arch.kv_heads;
        let (kv_heads, n, head_dim) = v.dims3()?;
        Ok(v.transpose(0, 1)? // [rows, kv_heads, head_dim] -> [rows, kv_heads, group, head_dim]
            .unsqueeze(2)?
            .broadcast_as((n, kv_heads, group, head_dim))?
            .reshape((n, kv_heads * group * head_dim))?)
    }
}

/// Scores `[kv_heads, group * rows, columns]` plus slope times column: up to a constant of the row, which softmax does
/// not see, minus slope times distance.
fn with_alibi(scores: &Tensor, slopes: &Tensor, columns: &[usize], rows: usize) -> Result<Tensor> {
    let (kv_heads, stacked, width) = scores.dims3()?;
    let columns: Vec<f32> = columns.iter().map(|&column| column as f32).collect();
    let columns = Tensor::from_vec(columns, (1, 1, 1, width), scores.device())?;
    let bias = slopes.broadcast_mul(&columns)?; // [kv_heads, group, 1, columns]
    let scores = scores.reshape((kv_heads, stacked / rows, rows, width))?.broadcast_add(&bias)?;
    Ok(scores.reshape((kv_heads, stacked, width))?)
}

/// Softmax over the columns at or before each row and within its window, zeros where there are none.
fn masked(
    scores: &Tensor,
    v: &Tensor,
    rows: &[usize],
    columns: &[usize],
    window: Option<usize>,
) -> Result<Tensor> {
    let mut bias = Vec::with_capacity(rows.len() * columns.len());
    let mut reads = Vec::with_capacity(rows.len());
    for &row in rows {
        let first = window.map_or(0, |window| (row + 1).saturating_sub(window));
        let begin = columns.partition_point(|&column| column < first);
        let end = columns.partition_point(|&column| column <= row);
        bias.resize(bias.len() + begin, UNREADABLE);
        bias.resize(bias.len() + (end - begin), 0.);
        bias.resize(bias.len() + (columns.len() - end), UNREADABLE);
        reads.push(if begin < end { 1f32 } else { 0. });
    }
    let (kv_heads, stacked, width) = scores.dims3()?;
    let (device, group) = (scores.device(), stacked / rows.len());
    let bias = Tensor::from_vec(bias, (1, 1, rows.len(), width), device)?.to_dtype(scores.dtype())?;
    let scores = scores.reshape((kv_heads, group, rows.len(), width))?.broadcast_add(&bias)?;
    let out = softmax_last_dim(&scores)?.reshape((kv_heads, stacked, width))?.matmul(v)?;
    if reads.iter().all(|&read| read == 1.) {
        return Ok(out);
    }
    let head_dim = out.dim(D::Minus1)?;
    let reads = Tensor::from_vec(reads, (1, 1, rows.len(), 1), device)?.to_dtype(out.dtype())?;
    let out = out.reshape((kv_heads, group, rows.len(), head_dim))?.broadcast_mul(&reads)?;
    Ok(out.reshape((kv_heads, stacked, head_dim))?)
}

/// ALiBi's slopes: a geometric sequence from `2^(-8/n)`, and for a number of heads that is no power of two, every
/// other slope of the next power of two.
pub fn alibi_slopes(heads: usize) -> Vec<f32> {
    let power = if heads.is_power_of_two() { heads } else { heads.next_power_of_two() / 2 };
    let slope = |heads: usize, i: usize| {
        let base = 2f64.powf(-(2f64.powf(-((heads as f64).log2() - 3.))));
        (base as f32).powi(i as i32)
    };
    let regular = (1..=power).map(|i| slope(power, i));
    regular.chain((0..heads - power).map(|i| slope(2 * power, 2 * i + 1))).collect()
}
