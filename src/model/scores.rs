//! From the product of a query and a key to the score of a column: scale, cap, and what ALiBi adds.

use super::arch::{Alibi, Arch, Positions};

/// How an architecture makes scores. All backends, training and what is shown read it.
pub struct Scores {
    /// Products are multiplied by this.
    pub scale: f32,
    /// Scores are bent below this, where the family does so.
    pub cap: Option<f32>,
    /// What a score gains with its column, where positions are ALiBi.
    pub gains: Option<Gains>,
}

/// What a score gains with its column (Press, Smith, Lewis 2022, "Train Short, Test Long", ALiBi). It falls with the distance, up to a
/// constant of the row that softmax does not see.
pub struct Gains {
    /// `[heads]`
    slopes: Vec<f32>,
    kind: Alibi,
    /// The scale of scores.
    scale: f32,
}

impl Scores {
    /// Those of an architecture.
    pub fn of(arch: &Arch) -> Self {
        let scale = arch.score_scale as f32;
        let gains = match arch.positions {
            Positions::Alibi(kind) => Some(Gains { slopes: slopes(arch.heads), kind, scale }),
            _ => None,
        };
        Self { scale, cap: arch.score_cap.map(|cap| cap as f32), gains }
    }

    /// The score of a head's column. Rounded as transformers rounds it: product and scale, cap, sum.
    pub fn score(&self, head: usize, column: usize, product: f32) -> f32 {
        let gain = self.gains.as_ref().map_or(0., |gains| gains.at(head, column));
        self.capped(product) + gain
    }

    /// The slope of the score over the product.
    pub fn slope(&self, product: f32) -> f32 {
        let bent = self.cap.map_or(0., |cap| self.capped(product) / cap);
        self.scale * (1. - bent * bent)
    }

    fn capped(&self, product: f32) -> f32 {
        let score = product * self.scale;
        self.cap.map_or(score, |cap| cap * (score / cap).tanh())
    }
}

impl Gains {
    /// What the score of a head's column gains.
    pub fn at(&self, head: usize, column: usize) -> f32 {
        match self.kind {
            Alibi::Exact => self.slopes[head] * column as f32,
            // transformers holds all three as bfloat16: slope, column and product.
            Alibi::Rounded => bf16(bf16(self.slopes[head]) * bf16(column as f32)) * self.scale,
        }
    }

    /// `[heads]`: what a score gains with each column, where it gains as much with each.
    pub fn slopes(&self) -> Option<&[f32]> {
        (self.kind == Alibi::Exact).then_some(&self.slopes)
    }
}

/// To the nearest bfloat16, of two the even one.
fn bf16(value: f32) -> f32 {
    half::bf16::from_f32(value).to_f32()
}

/// A geometric sequence from `2^(-8/n)`, and for a number of heads that is no power of two, every other slope of the next power
/// of two.
fn slopes(heads: usize) -> Vec<f32> {
    let power = if heads.is_power_of_two() { heads } else { heads.next_power_of_two() / 2 };
    let slope = |heads: usize, i: usize| {
        let base = 2f64.powf(-(2f64.powf(-((heads as f64).log2() - 3.))));
        (base as f32).powi(i as i32)
    };
    let regular = (1..=power).map(|i| slope(power, i));
    regular.chain((0..heads - power).map(|i| slope(2 * power, 2 * i + 1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(cap: Option<f32>, kind: Option<Alibi>) -> Scores {
        let gains = kind.map(|kind| Gains { slopes: slopes(18), kind, scale: 0.25 });
        Scores { scale: 0.25, cap, gains }
    }

    #[test]
    fn a_cap_bends_and_its_slope_is_that_of_the_score() {
        let bent = scores(Some(3.), None);
        assert_eq!(scores(None, None).score(0, 5, 8.), 2.);
        assert!((bent.score(0, 5, 8.) - 3. * (2f32 / 3.).tanh()).abs() < 1e-6);
        assert!(bent.score(0, 0, 1e6) <= 3.);
        let step = 1e-2;
        let difference = (bent.score(0, 0, 8. + step) - bent.score(0, 0, 8. - step)) / (2. * step);
        assert!((bent.slope(8.) - difference).abs() < 1e-4);
        assert_eq!(scores(None, None).slope(8.), 0.25);
    }

    #[test]
    fn alibi_is_rounded_where_the_family_rounds_it() {
        let (exact, rounded) = (scores(None, Some(Alibi::Exact)), scores(None, Some(Alibi::Rounded)));
        let slope = slopes(18)[16];
        assert_eq!(exact.score(16, 257, 0.), slope * 257.);
        // The slope becomes 215 / 256 and the column 256.
        assert_eq!(rounded.score(16, 257, 0.), 0.25 * 215.);
        assert!(exact.gains.as_ref().and_then(Gains::slopes).is_some());
        assert!(rounded.gains.as_ref().and_then(Gains::slopes).is_none());
    }
}
