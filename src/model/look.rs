//! What the rows of a layer attend to, to be looked at: the weights themselves, which decoding never writes down.

use anyhow::Result;
use rayon::prelude::*;

use super::{Arch, Decoder, Matrix, NotFinite, Transformer};
use crate::intervene::{Columns, Plan};

impl Transformer {
    /// The attention weights of one head of a layer over a whole sequence, `[rows, columns]`: each row sums to 1, or to 0 if
    /// it has nothing to read.
    ///
    /// `states` are the hidden states that enter the layer, `[rows, hidden]`, of the positions from 0 on; `plan`
    /// says what they read.
    ///
    /// # Errors
    /// A product fails, or a score is [`NotFinite`].
    pub fn attention(&self, layer: usize, states: &Matrix, plan: &Plan, head: usize) -> Result<Matrix> {
        let Arch { heads, kv_heads, head_dim, .. } = *self.arch();
        let (qkv, keys) = self.queries_and_keys(layer, states)?;
        let part = |row: usize, at: usize| &qkv.row(row)[at..at + head_dim];
        let n = states.rows();
        let mut weights = Matrix::zeros(n, n);
        let each = weights.data_mut().par_chunks_exact_mut(n.max(1)).enumerate();
        each.try_for_each(|(row, weights)| {
            let query = part(row, head * head_dim);
            let visible = self.readable(layer, row, plan);
            let columns = visible.ranges().iter().cloned().flatten();
            let scores: Vec<(usize, f32)> = columns
                .map(|column| {
                    let key = part(column, keys + head / (heads / kv_heads) * head_dim);
                    (column, self.score(head, column, query, key))
                })
                .collect();
            if scores.iter().any(|(_, score)| !score.is_finite()) {
                return Err(NotFinite { layer, position: row, row });
            }
            softmax(&scores, weights);
            Ok(())
        })?;
        Ok(weights)
    }

    /// The columns that a row reads: not hidden, not later, within the window.
    fn readable(&self, layer: usize, row: usize, plan: &Plan) -> Columns {
        let first = self.arch().window(layer).map_or(0, |window| (row + 1).saturating_sub(window));
        plan.sight(layer, row).columns(row).within(&(first..row + 1))
    }

    fn score(&self, head: usize, column: usize, query: &[f32], key: &[f32]) -> f32 {
        let product: f32 = query.iter().zip(key).map(|(a, b)| a * b).sum();
        let score = product * self.arch().score_scale as f32;
        score + self.slopes().map_or(0., |slopes| slopes[head] * column as f32)
    }
}

/// Scores by column -> weights, in their columns.
fn softmax(scores: &[(usize, f32)], weights: &mut [f32]) {
    let most = scores.iter().map(|(_, score)| *score).fold(f32::NEG_INFINITY, f32::max);
    let weight = |score: f32| f64::from(score - most).exp();
    let sum: f64 = scores.iter().map(|(_, score)| weight(*score)).sum();
    scores.iter().for_each(|&(column, score)| weights[column] = (weight(score) / sum) as f32);
}
