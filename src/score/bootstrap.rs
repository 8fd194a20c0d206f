//! Percentile intervals by resampling items with replacement (Efron, 1979; for translation scores Koehn, 2004).

use std::ops::AddAssign;

use crate::base::random::SplitMix64;

/// How intervals are drawn. The same seed and number of items draw the same resamples on every platform.
///
/// Two scores of the same items therefore get the same resamples, and may be compared resample by resample.
/// The scores themselves go through the platform's `exp` and `ln`, which may differ in the last bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Bootstrap {
    /// How many resamples are drawn.
    pub resamples: usize,
    /// Seed of the random numbers.
    pub seed: u64,
}

impl Default for Bootstrap {
    /// 1000 resamples, seed 12345: sacrebleu's numbers, though not its generator.
    fn default() -> Self {
        Bootstrap { resamples: 1000, seed: 12345 }
    }
}

/// A 95 % percentile interval of a score, in the score's own unit.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    /// The score that a fortieth of the resamples stay below.
    pub low: f64,
    /// The score that a fortieth of the resamples exceed.
    pub high: f64,
    /// The mean over all resamples.
    pub mean: f64,
}

impl Bootstrap {
    /// The interval of any statistic of `items` items: `statistic` gets the indices of each resample.
    ///
    /// `None` without items or without resamples.
    pub fn interval(&self, items: usize, mut statistic: impl FnMut(&[usize]) -> f64) -> Option<Interval> {
        if items == 0 || self.resamples == 0 {
            return None;
        }
        let mut draws = Resamples::new(self, items);
        let mut scores = Vec::with_capacity(self.resamples);
        while let Some(drawn) = draws.draw() {
            scores.push(statistic(drawn));
        }
        scores.sort_by(f64::total_cmp);
        // The order statistics that sacrebleu takes: one fortieth of the resamples lies beyond either end.
        let outside = scores.len() / 40;
        let mean = scores.iter().sum::<f64>() / scores.len() as f64;
        Some(Interval { low: scores[outside], high: scores[scores.len() - 1 - outside], mean })
    }

    /// The interval of a corpus score that `score` computes from the sum of the items' sufficient statistics.
    ///
    /// `None` without items or without resamples.
    pub fn of_sums<S>(&self, stats: &[S], score: impl Fn(&S) -> f64) -> Option<Interval>
    where
        S: Default + for<'a> AddAssign<&'a S>,
    {
        self.interval(stats.len(), |drawn| {
            let mut total = S::default();
            for &index in drawn {
                total += &stats[index];
            }
            score(&total)
        })
    }

    /// The interval of a mean, e.g. of pass@1 over items that are each 0 or 1.
    ///
    /// `None` without items or without resamples.
    pub fn of_mean(&self, values: &[f64]) -> Option<Interval> {
        self.of_sums(values, |sum| sum / values.len() as f64)
    }
}

/// The resamples of a bootstrap, one after the other.
pub struct Resamples {
    random: SplitMix64,
    drawn: Vec<usize>,
    left: usize,
}

impl Resamples {
    /// Of so many items.
    pub fn new(bootstrap: &Bootstrap, items: usize) -> Self {
        Self { random: SplitMix64::new(bootstrap.seed), drawn: vec![0; items], left: bootstrap.resamples }
    }

    /// The items of the next one, as many as there are items; `None` after the last, or without items.
    pub fn draw(&mut self) -> Option<&[usize]> {
        let items = self.drawn.len() as u64;
        self.left = self.left.checked_sub(1).filter(|_| items > 0)?;
        let random = &mut self.random;
        self.drawn.fill_with(|| random.below(items) as usize);
        Some(&self.drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_proportion_is_that_of_the_binomial() {
        let values: Vec<f64> = (0..164).map(|item| f64::from(u8::from(item % 4 == 0))).collect();
        let interval = Bootstrap::default().of_mean(&values).expect("has items");
        // Standard error sqrt(p (1 - p) / n) = 0.0338, so about 0.25 -+ 0.066.
        assert!(
            (interval.low - 0.184).abs() < 0.015 && (interval.high - 0.316).abs() < 0.015,
            "{interval:?}"
        );
        assert!((interval.mean - 0.25).abs() < 0.005);
    }

    #[test]
    fn the_same_seed_gives_the_same_interval_and_one_item_gives_a_point() {
        let values = [1.0, 2.0, 4.0, 8.0, 16.0];
        let draw = |seed| Bootstrap { seed, resamples: 200 }.of_mean(&values);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let point = Bootstrap::default().of_mean(&[3.0]).expect("has an item");
        assert_eq!((point.low, point.high, point.mean), (3.0, 3.0, 3.0));
        assert_eq!(Bootstrap::default().of_mean(&[]), None);
        assert_eq!(Bootstrap { resamples: 0, seed: 0 }.of_mean(&values), None);
    }
}
