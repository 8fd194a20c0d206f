//! A weight the other way round: from the gradient of its outputs to that of its inputs.

use anyhow::Result;

use crate::model::cpu::Matrix;
use crate::model::cpu::product::Panels;
use crate::model::parts::Linear;

/// A weight's transpose, in parts whose products are added.
pub struct Transpose(Vec<Panels>);

/// Terms of one sum over the vocabulary. Over all of it a single sum in f32 would leave gradients a few ten-thousandths off;
/// over a layer's outputs, which are fewer, it does not.
pub const VOCABULARY_PIECE: usize = 512;
/// Such pieces of one product: what enters it stays in the cache.
const PIECES_TOGETHER: usize = 8;

impl Transpose {
    /// Each sum has `piece` terms, where that is given, and is added to the next.
    ///
    /// # Errors
    /// Weights that are not held as f32.
    pub fn new(weight: &Linear, piece: Option<usize>) -> Result<Self> {
        let together = piece.map_or(usize::MAX, |piece| piece * PIECES_TOGETHER);
        Ok(Self(weight.transposed(together, piece)?))
    }

    /// The gradient of the weight's outputs, `[rows, out or more]` -> that of its inputs, `[rows, in filled up to 16]`.
    pub fn back(&self, back: &Matrix) -> Matrix {
        let mut sum = Matrix::default();
        let mut first = 0;
        for part in &self.0 {
            match first {
                0 => part.product(back, first, &mut sum),
                _ => part.add_product(back, first, &mut sum),
            }
            first += part.width();
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::base::random::uniform;
    use crate::model::Held;
    use crate::model::parts::Weight;

    /// Tokens are too few in the models of other tests for such a sum to go astray.
    #[test]
    fn a_sum_over_a_large_vocabulary_keeps_its_digits() {
        let (vocab, hidden) = (50_000, 24);
        let weight: Vec<f32> = (0..vocab * hidden).map(|at| uniform(1, at as u64) as f32).collect();
        let matrix = Tensor::from_vec(weight.clone(), (vocab, hidden), &Device::Cpu).unwrap();
        let linear = Linear::new(vec![Weight { matrix: Held::from(matrix), bias: None }]).unwrap();
        let back: Vec<f32> = (0..vocab).map(|at| uniform(2, at as u64) as f32 / vocab as f32).collect();
        let expected: Vec<f64> = (0..hidden)
            .map(|input| {
                let terms = back.iter().zip(weight.iter().skip(input).step_by(hidden));
                terms.map(|(back, weight)| f64::from(*back) * f64::from(*weight)).sum()
            })
            .collect();
        let worst = |piece: Option<usize>| {
            let found = Transpose::new(&linear, piece).unwrap().back(&Matrix::from_rows(vocab, back.clone()));
            let errors = found
                .row(0)
                .iter()
                .zip(&expected)
                .map(|(found, expected)| (f64::from(*found) / expected - 1.).abs());
            errors.fold(0., f64::max)
        };
        for piece in [Some(VOCABULARY_PIECE), None] {
            let worst = worst(piece);
            assert!(worst < 1e-6, "in pieces of {piece:?}: {worst:e}");
        }
    }
}
