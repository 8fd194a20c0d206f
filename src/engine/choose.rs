//! Which token comes next: the likeliest, or one drawn.

use anyhow::Result;

use crate::base::error::input;
use crate::base::random::uniform;
use crate::model::{Decoder, States};

/// How one generation draws its tokens: by the softmax of its logits at a temperature, from the likeliest tokens whose
/// probability reaches `top_p` (nucleus sampling; Holtzman et al., 2020).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Above 0.
    pub temperature: f64,
    /// Above 0; 1 for all tokens.
    pub top_p: f64,
    /// Names this generation's random numbers: they depend on nothing else but how many were drawn. Generations of a
    /// prompt under several masks with the same stream differ by their masks alone.
    pub stream: u64,
}

/// Rows whose logits are held at a time.
const ROWS: usize = 32;

/// States after the last layer `[rows, hidden]` -> for each row the next token. With each row, how it draws (`None`: the
/// likeliest token) and how many tokens it has.
///
/// # Errors
/// A logit that is not a finite number.
pub fn next_tokens<D: Decoder>(
    decoder: &D,
    states: &D::States,
    draws: &[(Option<Sample>, usize)],
) -> Result<Vec<u32>> {
    let drawn: Vec<usize> = (0..draws.len()).filter(|&row| draws[row].0.is_some()).collect();
    if drawn.is_empty() {
        return decoder.choose(states);
    }
    let mut tokens = vec![0; draws.len()];
    let greedy: Vec<usize> = (0..draws.len()).filter(|&row| draws[row].0.is_none()).collect();
    if !greedy.is_empty() {
        let chosen = decoder.choose(&states.gather(&greedy)?)?;
        greedy.iter().zip(chosen).for_each(|(&row, token)| tokens[row] = token);
    }
    for rows in drawn.chunks(ROWS) {
        let logits = decoder.logits(&states.gather(rows)?)?;
        for (at, &row) in rows.iter().enumerate() {
            if let (Some(sample), length) = draws[row] {
                tokens[row] = sample.draw(logits.row(at), length)?;
            }
        }
    }
    Ok(tokens)
}

impl Sample {
    /// The token number `length` of this generation, from its logits `[vocab]`.
    ///
    /// # Errors
    /// A logit that is not a finite number.
    pub fn draw(&self, logits: &[f32], length: usize) -> Result<u32> {
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if !logits.iter().all(|logit| logit.is_finite()) {
            return Err(input(
                "the model computed NaN or an infinity instead of a logit: its weights are damaged or its type overflows",
            ));
        }
        let weight = |&logit: &f32| (f64::from(logit - most) / self.temperature).exp();
        let mut weights: Vec<(u32, f64)> = (0..).zip(logits.iter().map(weight)).collect();
        let mut total: f64 = weights.iter().map(|(_, weight)| weight).sum();
        if self.top_p < 1. {
            // Of equals the lower id first, so that the order is one and the same everywhere.
            weights.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            let mut reached = 0.;
            let inside = weights.iter().take_while(|(_, weight)| {
                let before = reached;
                reached += weight / total;
                before < self.top_p
            });
            let inside = inside.count().max(1);
            weights.truncate(inside);
            total = weights.iter().map(|(_, weight)| weight).sum();
        }
        let mut left = uniform(self.stream, length as u64) * total;
        for &(token, weight) in &weights {
            left -= weight;
            if left < 0. {
                return Ok(token);
            }
        }
        // Rounding may leave a rest: the last token that can be drawn at all.
        let last = weights.iter().rfind(|(_, weight)| *weight > 0.);
        Ok(last.map_or(0, |(token, _)| *token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each token is drawn, of many.
    fn shares(temperature: f64, top_p: f64) -> Vec<f64> {
        let logits = [2., 1., 0., 0., -3.];
        let mut counts = vec![0.; logits.len()];
        for stream in 0..200 {
            let sample = Sample { temperature, top_p, stream };
            for length in 0..500 {
                counts[sample.draw(&logits, length).unwrap() as usize] += 1. / 100_000.;
            }
        }
        counts
    }

    #[test]
    fn tokens_are_drawn_by_their_probability() {
        for (temperature, top_p, kept) in
            [(1., 1., 5), (0.5, 1., 5), (2., 0.9, 4), (1., 0.7, 2), (1., 0.01, 1)]
        {
            let weights = [2f64, 1., 0., 0., -3.].map(|logit| (logit / temperature).exp());
            let total: f64 = weights[..kept].iter().sum();
            for (token, share) in shares(temperature, top_p).into_iter().enumerate() {
                let expected = if token < kept { weights[token] / total } else { 0. };
                // Five standard errors.
                let near = 5. * (expected * (1. - expected) / 100_000.).sqrt() + 1e-9;
                assert!(
                    (share - expected).abs() <= near,
                    "{temperature} {top_p} {token}: {share} {expected}"
                );
            }
        }
    }

    #[test]
    fn a_logit_that_is_no_number_is_refused() {
        let sample = Sample { temperature: 1., top_p: 1., stream: 0 };
        assert!(sample.draw(&[0., f32::NAN], 0).is_err());
    }
}
