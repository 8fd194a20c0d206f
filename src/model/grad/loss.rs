//! The loss: cross-entropy of the token that follows each row.

use anyhow::Result;
use rayon::prelude::*;

use super::{Transpose, norm, trimmed};
use crate::model::cpu::Matrix;
use crate::model::cpu::rowwise::{each_row, exponentials, greatest};
use crate::model::{Decoder, Transformer};

/// Loss of some tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Loss {
    /// Of all of them, in nats.
    pub sum: f64,
    /// How many they are.
    pub tokens: usize,
}

impl Loss {
    /// Both.
    pub fn add(&mut self, other: Self) {
        self.sum += other.sum;
        self.tokens += other.tokens;
    }

    /// Per token.
    pub fn mean(self) -> f64 {
        self.sum / self.tokens as f64
    }
}

/// Rows whose logits are held at a time, at most: half a pass. Each time the vocabulary's weights are read again, there and
/// back.
pub const ROWS: usize = super::ROWS / 2;

/// States after the last layer, `[rows, hidden]` -> the loss of the tokens `next`; with the vocabulary projection's transpose
/// and a share, the states become the gradient of that share of the loss.
pub fn cross_entropy(
    model: &Transformer,
    back: Option<(&Transpose, f32)>,
    states: &mut Matrix,
    next: &[Option<u32>],
) -> Result<Loss> {
    let hidden = states.width();
    let counted: Vec<usize> = (0..next.len()).filter(|&row| next[row].is_some()).collect();
    let mut loss = Loss { sum: 0., tokens: counted.len() };
    let (mut logits, mut of_rows) = (Matrix::default(), Vec::new());
    // In equal parts: a few rows left over would have all the weights read for little.
    let together = counted.len().div_ceil(counted.len().div_ceil(ROWS).max(1)).max(1);
    for rows in counted.chunks(together) {
        let some = states.select(rows.iter().copied());
        model.head().forward(&model.last_normed(&some), &mut logits)?;
        let vocab = model.arch().vocab;
        let stride = logits.width();
        let losses = logits.data_mut().par_chunks_mut(stride).zip(rows).map(|(logits, &row)| {
            let token = next[row].map_or(0, |token| token as usize);
            logits[vocab..].fill(0.);
            row_loss(&mut logits[..vocab], token)
        });
        let losses: Vec<RowLoss> = losses.collect();
        loss.sum += losses.iter().map(|row| row.loss).sum::<f64>();
        if let Some((head, share)) = back {
            let mut of_normed = trimmed(&head.back(&logits), hidden);
            each_row(&mut of_normed, |row, back| {
                let factor = (f64::from(share) / losses[row].powers) as f32;
                back.iter_mut().for_each(|back| *back *= factor);
            });
            of_rows.push(norm::backward(model.last_norm(), &some, &of_normed));
        }
    }
    if back.is_some() {
        states.data_mut().fill(0.);
        for (rows, of_rows) in counted.chunks(together).zip(&of_rows) {
            rows.iter()
                .enumerate()
                .for_each(|(at, &row)| states.row_mut(row).copy_from_slice(of_rows.row(at)));
        }
    }
    Ok(loss)
}

/// Of one row.
struct RowLoss {
    /// Minus the logarithm of its token's probability, or NaN if a logit is no finite number.
    loss: f64,
    /// Sum of e to the power of each logit less the greatest.
    powers: f64,
}

/// Logits become `powers` times the gradient of the loss: that factor is left to the product that follows, which has fewer
/// outputs than there are logits.
fn row_loss(logits: &mut [f32], token: usize) -> RowLoss {
    let Some((_, most)) = greatest(logits) else { return RowLoss { loss: f64::NAN, powers: f64::NAN } };
    let of_token = logits[token];
    let powers = exponentials(logits, most);
    logits[token] = (f64::from(logits[token]) - powers) as f32;
    RowLoss { loss: powers.ln() - f64::from(of_token - most), powers }
}
