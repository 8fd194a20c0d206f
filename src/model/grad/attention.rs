//! Attention, back: sequence by sequence and head by head, with small products of whole matrices.

use rayon::prelude::*;

use super::Packed;
use super::norm::part_backward;
use crate::model::cpu::Matrix;
use crate::model::cpu::lanes::LANES;
use crate::model::cpu::product::Target;
use crate::model::cpu::rowwise::each_row;
use crate::model::cpu::softmax::softmax;
use crate::model::cpu::tile::{Onto, small};
use crate::model::{Arch, Decoder, Transformer};

/// The gradient of what attention puts out, `[rows, heads * head_dim or more]`, to that of the queries, keys and values as
/// the products give them, `qkv [rows, ..]`.
pub fn backward(model: &Transformer, layer: usize, qkv: &Matrix, back: &Matrix, packed: &Packed) -> Matrix {
    let Arch { heads, kv_heads, .. } = *model.arch();
    let parts = &model.blocks()[layer].attention;
    let mut placed = qkv.copied();
    let placement = model.placement(layer);
    placement.turn(parts, &mut placed, &packed.positions);
    let mut out = Matrix::zeros(qkv.rows(), qkv.width());
    let target = Target(out.as_mut_ptr());
    let starts = [0, 1, 2].map(|part| parts.qkv.start(part));
    let tasks: Vec<(usize, usize)> =
        (0..packed.sequences.len()).flat_map(|at| (0..kv_heads).map(move |head| (at, head))).collect();
    tasks.into_par_iter().with_max_len(1).for_each(|(at, kv_head)| {
        let rows = packed.sequences[at].clone();
        let head = HeadTape {
            model,
            layer,
            qkv: &placed,
            back,
            starts,
            first: rows.start,
            rows: rows.len(),
            kv_head,
        };
        head.backward(target);
    });
    // Back through rotation and norm.
    each_row(&mut out, |row, out| {
        if let Some(rope) = placement.rope {
            let width = model.arch().head_dim;
            for (start, heads) in [(starts[0], heads), (starts[1], kv_heads)] {
                let part = &mut out[start..start + heads * width];
                part.chunks_exact_mut(width).for_each(|head| rope.rotate_back(packed.positions[row], head));
            }
        }
    });
    if let Some(most) = model.arch().clip_qkv {
        let mut unclipped = qkv.copied();
        placement.norm_heads(parts, &mut unclipped);
        let clipped = |value: f32| value.abs() > most as f32;
        let pairs = out.data_mut().iter_mut().zip(unclipped.data());
        pairs.filter(|(_, value)| clipped(**value)).for_each(|(back, _)| *back = 0.);
    }
    for (norm, start) in [(&parts.q_norm, starts[0]), (&parts.k_norm, starts[1])] {
        if let Some(norm) = norm {
            part_backward(norm, qkv, &mut out, start);
        }
    }
    out
}

/// One head of keys and values with its queries, in one sequence.
struct HeadTape<'a> {
    model: &'a Transformer,
    layer: usize,
    /// Normed and rotated.
    qkv: &'a Matrix,
    back: &'a Matrix,
    /// Where queries, keys and values begin in a row.
    starts: [usize; 3],
    first: usize,
    rows: usize,
    kv_head: usize,
}

impl HeadTape<'_> {
    /// Writes the gradients of this head's keys and values and of its queries.
    fn backward(&self, out: Target) {
        let Arch { heads, kv_heads, head_dim, .. } = *self.model.arch();
        let (n, group, scores) = (self.rows, heads / kv_heads, self.model.scores());
        let [of_q, of_k, of_v] = self.starts;
        let (n16, d16) = (n.next_multiple_of(LANES), head_dim.next_multiple_of(LANES));
        let key = of_k + self.kv_head * head_dim;
        let value = of_v + self.kv_head * head_dim;
        let keys = self.rows_of(self.qkv, key, d16);
        let (keys_t, values_t) = (transpose(&keys, n, d16), {
            let values = self.rows_of(self.qkv, value, d16);
            transpose(&values, n, d16)
        });
        let [mut of_keys, mut of_values] = [vec![0.; n * d16], vec![0.; n * d16]];
        let [mut weights, mut of_scores] = [vec![0.; n * n16], vec![0.; n * n16]];
        let mut of_queries = vec![0.; n * d16];
        for head in self.kv_head * group..(self.kv_head + 1) * group {
            let queries = self.rows_of(self.qkv, of_q + head * head_dim, d16);
            let back = self.rows_of(self.back, head * head_dim, d16);
            small(&queries, [n, head_dim], &keys_t, &mut weights, Onto::Empty);
            // Where scores are not bent, the scale is all there is.
            let slopes: Option<Vec<f32>> =
                scores.cap.map(|_| weights.iter().map(|&product| scores.slope(product)).collect());
            self.softmax(head, &mut weights, n16);
            small(&back, [n, head_dim], &values_t, &mut of_scores, Onto::Empty);
            for (weights, of_scores) in weights.chunks_exact(n16).zip(of_scores.chunks_exact_mut(n16)) {
                let mean: f32 =
                    weights.iter().zip(of_scores.iter()).map(|(weight, back)| weight * back).sum();
                let pairs = of_scores.iter_mut().zip(weights);
                pairs.for_each(|(back, weight)| *back = scores.scale * weight * (*back - mean));
            }
            if let Some(slopes) = slopes {
                let bent = of_scores.iter_mut().zip(slopes);
                bent.for_each(|(back, slope)| *back *= slope / scores.scale);
            }
            small(&of_scores, [n, n], &keys, &mut of_queries, Onto::Empty);
            small(&transpose(&of_scores, n, n16)[..n * n16], [n, n], &queries, &mut of_keys, Onto::Begun);
            small(&transpose(&weights, n, n16)[..n * n16], [n, n], &back, &mut of_values, Onto::Begun);
            self.write(out, of_q + head * head_dim, &of_queries, d16);
        }
        self.write(out, key, &of_keys, d16);
        self.write(out, value, &of_values, d16);
    }

    /// Part of the rows of a matrix, `[rows, width]`, filled up with zeros.
    fn rows_of(&self, matrix: &Matrix, column: usize, width: usize) -> Vec<f32> {
        let size = self.model.arch().head_dim;
        let mut all = vec![0.; self.rows * width];
        for (row, to) in all.chunks_exact_mut(width).enumerate() {
            to[..size].copy_from_slice(&matrix.row(self.first + row)[column..column + size]);
        }
        all
    }

    fn write(&self, out: Target, column: usize, from: &[f32], width: usize) {
        let (size, stride) = (self.model.arch().head_dim, self.qkv.width());
        for (row, from) in from.chunks_exact(width).enumerate() {
            // SAFETY: each sequence and head writes columns and rows of its own, within the matrix.
            let to =
                unsafe { std::slice::from_raw_parts_mut(out.at((self.first + row) * stride + column), size) };
            to.copy_from_slice(&from[..size]);
        }
    }

    /// Products -> weights, `[rows, width]`: zeros in columns that a row does not read.
    fn softmax(&self, head: usize, scores: &mut [f32], width: usize) {
        let (rule, window) = (self.model.scores(), self.model.arch().window(self.layer));
        let sink = self.model.blocks()[self.layer].attention.sinks.as_ref().map(|sinks| sinks[head]);
        for (row, scores) in scores.chunks_exact_mut(width).enumerate() {
            let first = window.map_or(0, |window| (row + 1).saturating_sub(window));
            let seen = &mut scores[first..=row];
            for (column, score) in (first..).zip(seen.iter_mut()) {
                *score = rule.score(head, column, *score);
            }
            softmax(seen, sink);
            scores[..first].fill(0.);
            scores[row + 1..].fill(0.);
        }
    }
}

/// `[rows, width]` -> `[width, rows]`, its rows filled up to a multiple of 16.
fn transpose(matrix: &[f32], rows: usize, width: usize) -> Vec<f32> {
    let filled = rows.next_multiple_of(LANES);
    let mut out = vec![0.; width * filled];
    for (row, values) in matrix.chunks_exact(width).enumerate() {
        values.iter().enumerate().for_each(|(column, value)| out[column * filled + row] = *value);
    }
    out
}
