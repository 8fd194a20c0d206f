//! The scores of a condition on resampled items, seed by seed: what every interval is read off.

use crate::score::{Bootstrap, Resamples};

use crate::tasks::ItemStats;

/// Resamples of an interval: sacreBLEU's number.
pub const RESAMPLES: usize = 1000;

/// `[seed][resample]`: scores on the same resamples of the items. Two of these over the same items and seeds can be
/// subtracted resample by resample.
#[derive(Debug, Clone, PartialEq)]
pub struct Resampled {
    scores: Vec<Vec<f64>>,
}

/// A 95 % interval, its ends those that sacreBLEU takes: a fortieth of the resamples lies beyond either.
pub fn interval(mut values: Vec<f64>) -> Option<[f64; 2]> {
    if values.is_empty() {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let outside = values.len() / 40;
    Some([values[outside], values[values.len() - 1 - outside]])
}

impl Resampled {
    /// The cells of a condition, one a seed, all with the same items. The resamples are those of the intervals in the
    /// score files.
    pub fn new<'a>(cells: impl IntoIterator<Item = &'a ItemStats>, resamples: usize) -> Self {
        let bootstrap = Bootstrap { resamples, ..Bootstrap::default() };
        let of_cell = |items: &ItemStats| {
            let mut draws = Resamples::new(&bootstrap, items.len());
            let mut scores = Vec::with_capacity(resamples);
            while let Some(drawn) = draws.draw() {
                scores.push(items.score(drawn.iter().copied()));
            }
            scores
        };
        Self { scores: cells.into_iter().map(of_cell).collect() }
    }

    /// The mean over seeds, resample by resample: items vary, seeds do not.
    pub fn over_items(&self) -> Vec<f64> {
        self.mean_of(|_, seeds| (0..seeds).collect())
    }

    /// The same with seeds drawn anew for each resample too: both vary.
    pub fn over_both(&self) -> Vec<f64> {
        let seeds = self.scores.len();
        let bootstrap = Bootstrap { resamples: self.resamples(), seed: SEED_OF_SEEDS };
        let mut draws = Resamples::new(&bootstrap, seeds);
        let drawn: Vec<Vec<usize>> = std::iter::from_fn(|| draws.draw().map(<[usize]>::to_vec)).collect();
        self.mean_of(|resample, _| drawn[resample].clone())
    }

    fn mean_of(&self, seeds: impl Fn(usize, usize) -> Vec<usize>) -> Vec<f64> {
        let mean = |resample: usize| {
            let seeds = seeds(resample, self.scores.len());
            seeds.iter().map(|&seed| self.scores[seed][resample]).sum::<f64>() / seeds.len() as f64
        };
        (0..self.resamples()).map(mean).collect()
    }

    fn resamples(&self) -> usize {
        self.scores.first().map_or(0, Vec::len)
    }
}

/// Another than that of the items, so that the two draws have nothing to do with each other.
const SEED_OF_SEEDS: u64 = 54321;
