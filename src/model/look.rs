//! What the rows of a layer attend to, to be looked at: the weights themselves, which decoding never writes down.

use anyhow::Result;
use rayon::prelude::*;

use super::cpu::softmax::softmax_to_be_shown;
use super::{Arch, Decoder, Matrix, NotFinite, Transformer};
use crate::intervene::{Columns, Plan};

impl Transformer {
    /// The attention weights of one head of a layer over a whole sequence, `[rows, columns]`: each row sums to 1, to less where a
    /// sink takes a share, or to 0 if it has nothing to read.
    ///
    /// `states` are the hidden states that enter the layer, `[rows, hidden]`, of the positions from 0 on; `plan`
    /// says what they read.
    ///
    /// # Errors
    /// A product fails, or a score is [`NotFinite`].
    pub fn attention(&self, layer: usize, states: &Matrix, plan: &Plan, head: usize) -> Result<Matrix> {
        let Arch { heads, kv_heads, head_dim, .. } = *self.arch();
        let (qkv, keys) = self.queries_and_keys(layer, states)?;
        let sink = self.blocks()[layer].attention.sinks.as_ref().map(|sinks| sinks[head]);
        let part = |row: usize, at: usize| &qkv.row(row)[at..at + head_dim];
        let n = states.rows();
        let mut weights = Matrix::zeros(n, n);
        let each = weights.data_mut().par_chunks_exact_mut(n.max(1)).enumerate();
        each.try_for_each(|(row, weights)| {
            let query = part(row, head * head_dim);
            let visible = self.readable(layer, row, plan);
            let columns: Vec<usize> = visible.ranges().iter().cloned().flatten().collect();
            let score = |&column: &usize| {
                let key = part(column, keys + head / (heads / kv_heads) * head_dim);
                self.score(head, column, query, key)
            };
            let mut scores: Vec<f32> = columns.iter().map(score).collect();
            if scores.iter().any(|score| !score.is_finite()) {
                return Err(NotFinite { layer, position: row, row });
            }
            softmax_to_be_shown(&mut scores, sink);
            columns.into_iter().zip(scores).for_each(|(column, weight)| weights[column] = weight);
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
        self.scores().score(head, column, query.iter().zip(key).map(|(a, b)| a * b).sum())
    }
}
