//! Paired tests and what many of them at once are worth.

use crate::base::random::SplitMix64;
use crate::score::{BleuStats, ChrfStats, Confidence, Labelled, Ter, TerStats, calibration_error, macro_f1};
use crate::tasks::{ItemParts, ItemStats, Statistic};

/// Deals of a randomization test: sacreBLEU's number.
pub(super) const DEALS: usize = 10_000;
pub(super) const SEED_OF_DEALS: u64 = 12345;

/// The two-sided p of a paired randomization test: how often the difference of two conditions is at least as large as the
/// one seen if each item's outputs are dealt to the two at random, all seeds of an item together (approximate
/// randomization: Noreen, 1989; for BLEU Riezler and Maxwell, 2005).
///
/// `a` and `b` hold the cells of the same seeds in the same order. The deal seen counts too, so p is never 0.
///
/// `None` without items, or where the two are not scored alike.
pub fn randomization(a: &[&ItemStats], b: &[&ItemStats], deals: usize, seed: u64) -> Option<f64> {
    let n = a.first()?.len();
    if n == 0 || a.len() != b.len() || a.iter().chain(b).any(|cell| cell.len() != n) {
        return None;
    }
    let pairs: Vec<Pair> = a.iter().zip(b).map(|(a, b)| Pair::new(a, b)).collect::<Option<_>>()?;
    let difference = |swapped: &[bool]| {
        pairs.iter().map(|pair| pair.difference(swapped)).sum::<f64>() / pairs.len() as f64
    };
    let seen = difference(&vec![false; n]).abs();
    // Equal up to rounding is equal.
    let enough = seen - 1e-9 * seen.max(1e-3);
    let mut random = SplitMix64::new(seed);
    let mut swapped = vec![false; n];
    let mut extreme = 0usize;
    for _ in 0..deals {
        let mut bits = 0;
        for (item, swap) in swapped.iter_mut().enumerate() {
            if item % 64 == 0 {
                bits = random.bits();
            }
            *swap = bits >> (item % 64) & 1 == 1;
        }
        extreme += usize::from(difference(&swapped).abs() >= enough);
    }
    Some((extreme + 1) as f64 / (deals + 1) as f64)
}

/// Two cells of one seed, with the sum of both.
enum Pair<'a> {
    Words { statistic: Statistic, a: &'a [BleuStats], b: &'a [BleuStats], both: BleuStats },
    Characters { statistic: Statistic, a: &'a [ChrfStats], b: &'a [ChrfStats], both: ChrfStats },
    Edits { a: &'a [TerStats], b: &'a [TerStats], both: TerStats },
    Mean { a: &'a [f64], b: &'a [f64], both: f64 },
    Labels { a: &'a [Labelled], b: &'a [Labelled] },
    Confidence { a: &'a [Confidence], b: &'a [Confidence] },
}

impl<'a> Pair<'a> {
    fn new(a: &'a ItemStats, b: &'a ItemStats) -> Option<Self> {
        if a.measure() != b.measure() {
            return None;
        }
        let statistic = a.statistic();
        match (a.parts(), b.parts()) {
            (ItemParts::Words(a), ItemParts::Words(b)) => {
                Some(Self::Words { statistic, a, b, both: a.iter().chain(b).sum() })
            }
            (ItemParts::Characters(a), ItemParts::Characters(b)) => {
                Some(Self::Characters { statistic, a, b, both: a.iter().chain(b).sum() })
            }
            (ItemParts::Edits(a), ItemParts::Edits(b)) => {
                Some(Self::Edits { a, b, both: a.iter().chain(b).sum() })
            }
            (ItemParts::Mean(a), ItemParts::Mean(b)) => {
                Some(Self::Mean { a, b, both: a.iter().chain(b).sum() })
            }
            (ItemParts::Labels(a), ItemParts::Labels(b)) => Some(Self::Labels { a, b }),
            (ItemParts::Confidence(a), ItemParts::Confidence(b)) => Some(Self::Confidence { a, b }),
            _ => None,
        }
    }

    /// Score of the one minus score of the other, where some items have changed hands.
    fn difference(&self, swapped: &[bool]) -> f64 {
        match self {
            Self::Words { statistic, a, b, both } => {
                let mine: BleuStats = dealt(a, b, swapped).sum();
                statistic.of_words(&mine) - statistic.of_words(&both.without(&mine))
            }
            Self::Characters { statistic, a, b, both } => {
                let mine: ChrfStats = dealt(a, b, swapped).sum();
                statistic.of_characters(&mine) - statistic.of_characters(&both.clone().without(&mine))
            }
            Self::Edits { a, b, both } => {
                let (mine, ter): (TerStats, _) = (dealt(a, b, swapped).sum(), Ter::default());
                ter.score(&mine) - ter.score(&both.without(&mine))
            }
            Self::Mean { a, b, both } => {
                let mine: f64 = dealt(a, b, swapped).sum();
                (2. * mine - both) / swapped.len() as f64
            }
            Self::Labels { a, b } => {
                let [mine, theirs] = [(a, b), (b, a)].map(|(a, b)| macro_f1(dealt(a, b, swapped).copied()));
                mine - theirs
            }
            Self::Confidence { a, b } => {
                let error = |(a, b)| calibration_error(dealt(a, b, swapped).copied());
                let [mine, theirs] = [(*a, *b), (*b, *a)].map(error);
                mine - theirs
            }
        }
    }
}

/// What the first of two conditions holds after a deal.
fn dealt<'a, T>(a: &'a [T], b: &'a [T], swapped: &'a [bool]) -> impl Iterator<Item = &'a T> {
    a.iter().zip(b).zip(swapped).map(|((a, b), swap)| if *swap { b } else { a })
}

/// p values corrected for how many there are: the chance of a single false one among all stays below the level (Holm,
/// 1979). In the order given; what is not there stays so and does not count.
pub fn holm(p: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<(usize, f64)> =
        p.iter().enumerate().filter_map(|(at, p)| p.map(|p| (at, p))).collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (mut corrected, mut most) = (vec![None; p.len()], 0f64);
    for (rank, &(at, p)) in order.iter().enumerate() {
        most = most.max((p * (order.len() - rank) as f64).min(1.));
        corrected[at] = Some(most);
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(values: &[u8]) -> ItemStats {
        ItemStats::mean(values.iter().map(|&value| f64::from(value)).collect())
    }

    #[test]
    fn holm_is_that_of_the_textbook() {
        let p = [Some(0.01), Some(0.04), None, Some(0.03), Some(0.005)];
        let wanted = [Some(0.03), Some(0.06), None, Some(0.06), Some(0.02)];
        for (found, wanted) in holm(&p).into_iter().zip(wanted) {
            assert_eq!(found.map(|p| (p * 1e9).round()), wanted.map(|p: f64| (p * 1e9).round()));
        }
        assert_eq!(holm(&[Some(0.9), Some(0.8)]), [Some(1.), Some(1.)]);
    }

    #[test]
    fn what_is_the_same_does_not_differ_and_what_differs_everywhere_does() {
        let (a, b) = (passed(&[1, 0, 1, 1, 0, 1, 0, 1]), passed(&[0; 8]));
        assert_eq!(randomization(&[&a], &[&a], 1000, 1), Some(1.));
        let p = randomization(&[&a], &[&b], 20_000, 1).expect("has items");
        // Of the 2^5 deals of the five items that differ, two are as extreme.
        assert!((p - 2. / 32.).abs() < 0.006, "{p}");
        assert_eq!(randomization(&[&a, &a], &[&b, &b], 20_000, 1), Some(p), "the same seed twice");
        assert_eq!(randomization(&[], &[], 10, 1), None);
        assert_eq!(randomization(&[&a], &[&passed(&[1])], 10, 1), None);
    }
}
