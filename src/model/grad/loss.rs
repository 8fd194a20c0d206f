//! The loss: cross-entropy of the token that follows each row.

use anyhow::Result;
use rayon::prelude::*;

use super::{Differentiable, norm, trimmed};
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

/// States after the last layer, `[rows, hidden]` -> the loss of the tokens `next`; with the way back through the
/// vocabulary projection and a share, the states become the gradient of that share of the loss.
pub fn cross_entropy(
    model: &Transformer,
    back: Option<(&Differentiable, f32)>,
    states: &mut Matrix,
    next: &[Option<u32>],
) -> Result<Loss> {
    let arch = model.arch();
    let counted: Vec<usize> = (0..next.len()).filter(|&row| next[row].is_some()).collect();
    let mut loss = Loss { sum: 0., tokens: counted.len() };
    let (mut logits, mut of_rows) = (Matrix::default(), Vec::new());
    // In equal parts: a few rows left over would have all the weights read for little.
    let together = counted.len().div_ceil(counted.len().div_ceil(ROWS).max(1)).max(1);
    for rows in counted.chunks(together) {
        let some = states.select(rows.iter().copied());
        model.head().forward(&model.leaving(&some)?, &mut logits)?;
        model.finish_logits(&mut logits);
        let (vocab, cap) = (arch.vocab, arch.logit_cap.map(|cap| cap as f32));
        let stride = logits.width();
        let losses = logits.data_mut().par_chunks_mut(stride).zip(rows).map(|(logits, &row)| {
            let token = next[row].map_or(0, |token| token as usize);
            logits[vocab..].fill(0.);
            let slopes =
                cap.map(|cap| logits[..vocab].iter().map(|x| 1. - (x / cap) * (x / cap)).collect::<Vec<_>>());
            let loss = row_loss(&mut logits[..vocab], token);
            logits.iter_mut().zip(slopes.iter().flatten()).for_each(|(back, slope)| *back *= slope);
            loss
        });
        let losses: Vec<RowLoss> = losses.collect();
        loss.sum += losses.iter().map(|row| row.loss).sum::<f64>();
        if let Some((way, share)) = back {
            let mut of_leaving = trimmed(&way.head.back(&logits), arch.embedding_width());
            each_row(&mut of_leaving, |row, back| {
                let factor = (f64::from(share) * arch.multipliers.logits / losses[row].powers) as f32;
                back.iter_mut().for_each(|back| *back *= factor);
            });
            let projected =
                way.project_out.as_ref().map(|project| trimmed(&project.back(&of_leaving), arch.hidden));
            let of_normed = projected.unwrap_or(of_leaving);
            let last = model.last_norm();
            of_rows.push(last.map_or(of_normed.copied(), |norm| norm::backward(norm, &some, &of_normed)));
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
