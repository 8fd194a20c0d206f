//! The loss: cross-entropy of the token that follows each row.

use anyhow::Result;
use rayon::prelude::*;

use super::{Transpose, norm, trimmed};
use crate::model::cpu::Matrix;
use crate::model::cpu::rowwise::{exponentials, greatest};
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

/// Rows whose logits are held at a time.
pub const ROWS: usize = 96;

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
    for rows in counted.chunks(ROWS) {
        let some = states.select(rows.iter().copied());
        model.head().forward(&model.last_normed(&some), &mut logits)?;
        let vocab = model.arch().vocab;
        let stride = logits.width();
        let losses = logits.data_mut().par_chunks_mut(stride).zip(rows).map(|(logits, &row)| {
            let token = next[row].map_or(0, |token| token as usize);
            logits[vocab..].fill(0.);
            row_loss(&mut logits[..vocab], token, back.map(|(_, share)| share))
        });
        loss.sum += losses.collect::<Vec<_>>().iter().sum::<f64>();
        if let Some((head, _)) = back {
            let of_normed = head.back(&logits);
            of_rows.push(norm::backward(model.last_norm(), &some, &trimmed(&of_normed, hidden)));
        }
    }
    if back.is_some() {
        states.data_mut().fill(0.);
        for (rows, of_rows) in counted.chunks(ROWS).zip(&of_rows) {
            rows.iter()
                .enumerate()
                .for_each(|(at, &row)| states.row_mut(row).copy_from_slice(of_rows.row(at)));
        }
    }
    Ok(loss)
}

/// Minus the logarithm of a token's probability, or NaN if a logit is no finite number; with a share, logits become its
/// gradient times that.
fn row_loss(logits: &mut [f32], token: usize, share: Option<f32>) -> f64 {
    let Some((_, most)) = greatest(logits) else { return f64::NAN };
    let of_token = logits[token];
    let sum = exponentials(logits, most);
    if let Some(share) = share {
        let factor = (f64::from(share) / sum) as f32;
        logits.iter_mut().for_each(|weight| *weight *= factor);
        logits[token] -= share;
    }
    sum.ln() - f64::from(of_token - most)
}
