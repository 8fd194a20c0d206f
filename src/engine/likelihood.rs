//! Logits -> log-probabilities of the tokens that are asked for, the likeliest token, and how far a run is from the unmasked one.

use std::borrow::Cow;

use anyhow::Result;
use rayon::prelude::*;

use crate::base::error::input;
use crate::model::Matrix;

/// A distribution over the vocabulary, by its logits.
pub struct Distribution<'a> {
    logits: Cow<'a, [f32]>,
    most: f32,
    /// Natural logarithm of the sum of all exponentials, after the greatest logit is taken away.
    log_sum: f64,
    likeliest: u32,
}

impl<'a> Distribution<'a> {
    /// The distribution of these logits, `[vocab]`.
    ///
    /// # Errors
    /// A logit that is not a finite number: nothing that follows could be right.
    pub fn new(logits: &'a [f32]) -> Result<Self> {
        let (mut most, mut likeliest) = (f32::NEG_INFINITY, 0);
        for (&logit, token) in logits.iter().zip(0..) {
            if !logit.is_finite() {
                return Err(input(
                    "the model computed NaN or an infinity instead of a logit: its weights are damaged or its type overflows",
                ));
            }
            // The lowest id among equals.
            if logit > most {
                (most, likeliest) = (logit, token);
            }
        }
        let sum: f64 = logits.iter().map(|&logit| f64::from((logit - most).exp())).sum();
        Ok(Self { logits: logits.into(), most, log_sum: sum.ln(), likeliest })
    }

    /// The distributions of some rows, computed beside each other.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of_rows(logits: &'a Matrix) -> Result<Vec<Self>> {
        (0..logits.rows()).into_par_iter().map(|row| Self::new(logits.row(row))).collect()
    }

    /// The same with logits of its own.
    pub fn kept(&self) -> Distribution<'static> {
        let Self { most, log_sum, likeliest, .. } = *self;
        Distribution { logits: self.logits.to_vec().into(), most, log_sum, likeliest }
    }

    /// The likeliest token, the lowest id among equals.
    pub fn likeliest(&self) -> u32 {
        self.likeliest
    }

    /// The natural logarithm of a token's probability.
    pub fn log_probability(&self, token: u32) -> f64 {
        f64::from(self.logits[token as usize]) - f64::from(self.most) - self.log_sum
    }

    /// The Kullback-Leibler divergence of another distribution from this one in nats: the sum of p (log p - log q) over all
    /// tokens, where p is this one.
    pub fn divergence(&self, other: &Distribution) -> f64 {
        let mean: f64 = (self.logits.iter().zip(&*other.logits))
            .map(|(&ours, &theirs)| {
                f64::from((ours - self.most).exp()) * (f64::from(ours) - f64::from(theirs))
            })
            .sum();
        let (ours, theirs) = (f64::from(self.most) + self.log_sum, f64::from(other.most) + other.log_sum);
        // Rounding may leave a hair below 0.
        (mean / self.log_sum.exp() - ours + theirs).max(0.)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_add_up_and_the_divergence_is_that_of_the_definition() {
        let [p, q] = [[1f32, 2., -3., 0.5], [0.25, 2.5, -1., 0.5]];
        let [p, q] = [&p, &q].map(|logits| Distribution::new(logits).expect("finite"));
        let all = |of: &Distribution| [0, 1, 2, 3].map(|token| of.log_probability(token));
        assert!((all(&p).iter().map(|log| log.exp()).sum::<f64>() - 1.).abs() < 1e-7);
        let expected: f64 = all(&p).iter().zip(all(&q)).map(|(a, b)| a.exp() * (a - b)).sum();
        assert!((p.divergence(&q) - expected).abs() < 1e-7, "{} {expected}", p.divergence(&q));
        assert_eq!((p.divergence(&p), p.likeliest()), (0., 1));
    }

    #[test]
    fn the_lowest_of_equals_is_the_likeliest_and_nan_is_refused() {
        assert_eq!(Distribution::new(&[0., 1., 1.]).expect("finite").likeliest(), 1);
        assert!(Distribution::new(&[0., f32::NAN]).is_err());
        assert!(Distribution::new(&[f32::INFINITY, 0.]).is_err());
    }

    #[test]
    fn far_logits_lose_nothing() {
        let far = Distribution::new(&[0., 200., -200.]).expect("finite");
        assert_eq!((far.log_probability(1), far.log_probability(2)), (0., -400.));
    }
}
