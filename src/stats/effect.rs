//! How a cell of a varied run differs from the same cell of the run without the variation, paired by test item.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::cells::StoredRun;
use super::paired::{DEALS, SEED_OF_DEALS, randomization};
use super::resampled::{RESAMPLES, Resampled, interval};
use crate::intervene::Condition;
use crate::tasks::{ItemStats, Measure};

/// What the prompts of a curve vary, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Varied {
    /// What they have: `shuffled targets`.
    pub by: String,
    /// What the prompts have that are not varied: `the right ones`.
    pub than: &'static str,
}

/// How a cell of a varied run differs from the same cell of the run that has the same settings, but no variation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VaryEffect {
    /// Its score minus that of the other cell, mean over the seeds that both have.
    #[serde(rename = "vary_difference")]
    pub difference: f64,
    /// Its 95 % interval: the same resamples of items (and seeds) for both; absent where the measure allows no conclusion.
    #[serde(rename = "vary_interval")]
    pub interval: Option<[f64; 2]>,
    /// Two-sided p of the paired randomization test over items, not corrected; absent where the measure allows no conclusion.
    #[serde(rename = "vary_p")]
    pub p: Option<f64>,
    /// Test items that both runs have.
    #[serde(rename = "vary_items")]
    pub items: usize,
    /// Test items that only one of both has: they are left out.
    #[serde(rename = "vary_left_out")]
    pub left_out: usize,
}

impl VaryEffect {
    /// The difference in words: `accuracy 0.120 lower than with the right ones (95 % CI 0.091 to 0.152, p = 0.002)`.
    pub fn sentence(&self, measure: &Measure, varied: &Varied) -> String {
        let far = |value: f64| measure.shown(value.abs());
        let none = |value: f64| far(value) == measure.shown(0.);
        let side = |value: f64| if value < 0. { "lower" } else { "higher" };
        let mut said = match none(self.difference) {
            true => format!("{measure} as with {}", varied.than),
            false => {
                let (far, side) = (far(self.difference), side(self.difference));
                format!("{measure} {far} {side} than with {}", varied.than)
            }
        };
        let mut found: Vec<String> = Vec::new();
        if let Some(ends) = self.interval {
            let alike = |end: f64| !none(end) && end * self.difference > 0.;
            let [low, high] = match ends {
                // Both ends are on the side of the difference, which the sentence has named.
                [low, high] if alike(low) && alike(high) => {
                    if low < 0. {
                        [far(high), far(low)]
                    } else {
                        [far(low), far(high)]
                    }
                }
                ends => {
                    ends.map(|end| if none(end) { far(end) } else { format!("{} {}", far(end), side(end)) })
                }
            };
            found.push(format!("95 % CI {low} to {high}"));
        }
        found.extend(self.p.map(|p| if p < 0.001 { "p < 0.001".into() } else { format!("p = {p:.3}") }));
        if !found.is_empty() {
            said += &format!(" ({})", found.join(", "));
        }
        said
    }

    /// How many items were left out, in words.
    pub fn items_left_out(&self) -> Option<String> {
        match self.left_out {
            0 => None,
            1 => Some(format!(
                "1 item that only one of both runs has is left out; {} are compared",
                self.items
            )),
            some => Some(format!(
                "{some} items that only one of both runs has are left out; {} are compared",
                self.items
            )),
        }
    }
}

/// A cell: the ids of its test items, and what each of them adds to the measure.
#[derive(Clone)]
pub(super) struct Side<'a> {
    ids: Vec<&'a str>,
    items: &'a ItemStats,
}

impl<'a> Side<'a> {
    /// The cell of a condition; `None` where the run has not finished it.
    pub fn of(run: &'a StoredRun, condition: Condition) -> Option<Self> {
        let cell = run.cells.iter().find(|cell| cell.record.condition() == condition)?;
        Some(Self { ids: run.items.iter().map(|item| item.id.as_str()).collect(), items: &cell.items })
    }

    /// What these test items add, in their order.
    fn of_items(&self, ids: &[&str]) -> ItemStats {
        let places: HashMap<&str, usize> = self.ids.iter().enumerate().map(|(at, id)| (*id, at)).collect();
        let places: Vec<usize> = ids.iter().filter_map(|id| places.get(id).copied()).collect();
        self.items.of_items(&places)
    }
}

/// The ids that all sides have, in the order of the first one.
pub(super) fn common<'a>(pairs: &[[Side<'a>; 2]]) -> Vec<&'a str> {
    let sets: Vec<HashSet<&str>> =
        pairs.iter().flatten().map(|side| side.ids.iter().copied().collect()).collect();
    let first = pairs.first().map(|[varied, _]| varied.ids.as_slice()).unwrap_or_default();
    first.iter().copied().filter(|id| sets.iter().all(|set| set.contains(id))).collect()
}

/// Compare cells, a pair for each seed, on the test items that all of them have. `None` without a pair or without such items.
pub(super) fn effect(pairs: &[[Side; 2]], conclusive: bool) -> Option<VaryEffect> {
    let ids = common(pairs);
    if ids.is_empty() {
        return None;
    }
    let all: HashSet<&str> = pairs.iter().flatten().flat_map(|side| side.ids.iter().copied()).collect();
    let [varied, other] =
        [0, 1].map(|side| pairs.iter().map(|pair| pair[side].of_items(&ids)).collect::<Vec<_>>());
    let mean = |cells: &[ItemStats]| {
        cells.iter().map(|items| items.score(0..items.len())).sum::<f64>() / cells.len() as f64
    };
    let differences = || {
        let [a, b] = [&varied, &other].map(|cells| Resampled::new(cells, RESAMPLES).over_both());
        a.iter().zip(&b).map(|(a, b)| a - b).collect()
    };
    let tested = || {
        let [a, b] = [&varied, &other].map(|cells| cells.iter().collect::<Vec<_>>());
        randomization(&a, &b, DEALS, SEED_OF_DEALS)
    };
    Some(VaryEffect {
        difference: mean(&varied) - mean(&other),
        interval: if conclusive { interval(differences()) } else { None },
        p: if conclusive { tested() } else { None },
        items: ids.len(),
        left_out: all.len() - ids.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(values: &[u8]) -> ItemStats {
        ItemStats::mean(values.iter().map(|&value| f64::from(value)).collect())
    }

    /// Five items of eight differ, all in one direction: of the 32 deals of these five, two are as extreme.
    #[test]
    fn cells_are_paired_by_the_id_of_the_item() {
        let ids: Vec<String> = (0..9).map(|id| id.to_string()).collect();
        let named = |order: &[usize]| order.iter().map(|&at| ids[at].as_str()).collect::<Vec<_>>();
        let (varied, other) = (share(&[0; 8]), share(&[1, 1, 0, 1, 1, 0, 1, 0, 1]));
        // The other run has its items in another order, and one more of them.
        let pair = [
            Side { ids: named(&[0, 1, 2, 3, 4, 5, 6, 7]), items: &varied },
            Side { ids: named(&[8, 7, 6, 5, 4, 3, 2, 1, 0]), items: &other },
        ];
        let found = effect(std::slice::from_ref(&pair), true).expect("common items");
        // The ids 7, 5, 4, 2 and 0 have a 1 in the other run; 8 has one too and is left out.
        assert_eq!((found.difference, found.items, found.left_out), (-5. / 8., 8, 1));
        let p = found.p.expect("tested");
        assert!((p - 2. / 32.).abs() < 0.01, "{p}");
        let [low, high] = found.interval.expect("resampled");
        assert!(low < -5. / 8. && -5. / 8. < high && high < 0., "{low} {high}");
        let twice = effect(&[pair.clone(), pair.clone()], true).expect("two seeds");
        assert_eq!((twice.difference, twice.p), (found.difference, found.p));
        let untested = effect(&[pair], false).expect("common items");
        assert_eq!((untested.difference, untested.interval, untested.p), (-5. / 8., None, None));
        assert_eq!(effect(&[], true), None);
    }

    #[test]
    fn a_difference_is_said_in_plain_words() {
        let varied = Varied { by: "shuffled targets".into(), than: "the right ones" };
        let said = |difference, interval, p| {
            let effect =
                VaryEffect { difference, interval: Some(interval), p: Some(p), items: 8, left_out: 0 };
            effect.sentence(share(&[1]).measure(), &varied)
        };
        assert_eq!(
            said(-0.12, [-0.152, -0.091], 0.0004),
            "share 0.120 lower than with the right ones (95 % CI 0.091 to 0.152, p < 0.001)"
        );
        assert_eq!(
            said(0.02, [-0.01, 0.05], 0.31),
            "share 0.020 higher than with the right ones (95 % CI 0.010 lower to 0.050 higher, p = 0.310)"
        );
        assert_eq!(
            said(0., [0., 0.], 1.),
            "share as with the right ones (95 % CI 0.000 to 0.000, p = 1.000)"
        );
    }
}
