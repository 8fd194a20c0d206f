//! From which layer on is the context no longer needed? Three definitions, each with an interval from the same resamples
//! of items and seeds.

use std::fmt;

use serde::Serialize;

use super::cells::StoredCell;
use super::key::CurveKey;
use super::resampled::{RESAMPLES, Resampled, interval};
use crate::intervene::{Intervention, InterventionKind};
use crate::results::ScoreRecord;
use crate::tasks::Measure;

/// The share of the baseline's score that counts as reaching it.
pub const SHARE: f64 = 0.95;

/// What "no longer needed" means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Definition {
    /// The lowest layer at and above which no score differs detectably from the baseline's: the paired 95 % interval of
    /// the difference holds 0 at this layer and at all above.
    NoDifference,
    /// The lowest layer whose score is at least 95 % of the baseline's.
    Reaches,
    /// The layer whose score rises most above that of the layer before.
    Jump,
}

impl fmt::Display for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NoDifference => "no detectable difference from the baseline, here and above",
            Self::Reaches => "lowest layer with at least 95 % of the baseline's score",
            Self::Jump => "largest rise from the layer before",
        })
    }
}

/// The layer by one definition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recognised {
    /// Which.
    pub definition: Definition,
    /// The layer; `None` where no layer of the model is one.
    pub layer: Option<usize>,
    /// 95 % interval over resamples of items and seeds; the number of layers stands for no layer. That of
    /// [`Definition::NoDifference`] is open above: no number of items can show that there is no difference.
    pub interval: Option<[usize; 2]>,
}

impl Recognised {
    /// What was found about a curve, in a sentence; layers are counted from `first`.
    pub fn sentence(&self, key: &CurveKey, n_layers: usize, first: usize) -> String {
        let found = self.layer.map(|layer| layer + first);
        let said = match (self.definition, found) {
            (Definition::NoDifference, Some(layer)) => {
                format!("From layer {layer} on, hiding {} makes no detectable difference", key.hides())
            }
            (Definition::NoDifference, None) => {
                format!("Hiding {} makes a detectable difference up to the last layer", key.hides())
            }
            (Definition::Reaches, Some(layer)) => {
                format!("Layer {layer} is the lowest that scores at least 95 % of the baseline")
            }
            (Definition::Reaches, None) => "No layer scores 95 % of the baseline".into(),
            (Definition::Jump, Some(layer)) => {
                format!("The score rises most from layer {} to layer {layer}", layer - 1)
            }
            (Definition::Jump, None) => "The score never rises from one layer to the next".into(),
        };
        match self.ends(n_layers, first) {
            Some(ends) => format!("{said} (95 % CI: {ends})"),
            None => said,
        }
    }

    /// The interval in words, layers counted from `first`.
    pub fn ends(&self, n_layers: usize, first: usize) -> Option<String> {
        let [low, high] = self.interval?;
        let never = |layer: usize| layer >= n_layers;
        Some(match (low + first, high + first) {
            _ if never(low) => "no layer".into(),
            (low, _) if self.definition == Definition::NoDifference => format!("{low} or later"),
            (low, _) if never(high) => format!("{low} or later, or no layer"),
            (low, high) if low == high => low.to_string(),
            (low, high) => format!("{low} to {high}"),
        })
    }
}

/// One layer's score and its baseline's over the same seeds, as they are and resample by resample.
#[derive(Debug, Clone)]
pub struct Spread {
    pub score: f64,
    pub baseline: f64,
    scores: Vec<f64>,
    baselines: Vec<f64>,
}

impl Spread {
    /// Of pairs of cells, one pair a seed.
    pub fn new(pairs: &[(&StoredCell, &StoredCell)]) -> Self {
        let mean = |of: &dyn Fn(&(&StoredCell, &StoredCell)) -> f64| {
            pairs.iter().map(of).sum::<f64>() / pairs.len() as f64
        };
        let drawn = |cells: Vec<&StoredCell>| {
            Resampled::new(cells.iter().map(|cell| &cell.items), RESAMPLES).over_both()
        };
        Self {
            score: mean(&|(cell, _)| cell.score),
            baseline: mean(&|(_, twin)| twin.score),
            scores: drawn(pairs.iter().map(|(cell, _)| *cell).collect()),
            baselines: drawn(pairs.iter().map(|(_, twin)| *twin).collect()),
        }
    }

    /// Resample by resample, how far the score is from the baseline's.
    pub fn differences(&self) -> Vec<f64> {
        self.scores.iter().zip(&self.baselines).map(|(score, baseline)| score - baseline).collect()
    }

    /// Resample by resample, the score as a share of the baseline's; `None` where one is 0.
    pub fn ratios(&self) -> Option<Vec<f64>> {
        let pairs = self.scores.iter().zip(&self.baselines);
        pairs.map(|(score, baseline)| (*baseline > 0.).then(|| score / baseline)).collect()
    }

    fn difference(&self) -> f64 {
        self.score - self.baseline
    }
}

/// Scores that differ by less are equal: rounding must not break a tie, of which programs have many.
const TIE: f64 = 1e-9;

/// The first score that is at least [`SHARE`] of the baseline's, which must be above 0.
pub fn first_reaching(scores: &[f64], baseline: f64) -> Option<usize> {
    if baseline <= 0. { None } else { scores.iter().position(|score| *score >= SHARE * baseline - TIE) }
}

/// The score that is the most above the one before, if any is above it; of equals the first.
pub fn largest_jump(scores: &[f64]) -> Option<usize> {
    let rises = scores.windows(2).map(|pair| pair[1] - pair[0]).enumerate();
    let jump = rises.filter(|(_, rise)| *rise > TIE).reduce(|a, b| if b.1 > a.1 + TIE { b } else { a });
    jump.map(|(at, _)| at + 1)
}

/// The first place from which on every interval holds 0.
fn level(intervals: impl DoubleEndedIterator<Item = [f64; 2]> + ExactSizeIterator) -> Option<usize> {
    let n = intervals.len();
    let held = intervals.rev().take_while(|[low, high]| *low <= TIE && *high >= -TIE).count();
    (held > 0).then(|| n - held)
}

/// For each layer an interval of the difference, so wide that those of all layers together hold the true differences in
/// 95 % of cases: as many standard deviations of the resamples on either side as the layer that is furthest off needs.
fn simultaneous(layers: &[Spread]) -> Vec<[f64; 2]> {
    let deviation = |layer: &Spread| {
        let differences = layer.differences();
        let squares = differences.iter().map(|drawn| (drawn - layer.difference()).powi(2)).sum::<f64>();
        (squares / differences.len().max(1) as f64).sqrt()
    };
    let deviations: Vec<f64> = layers.iter().map(deviation).collect();
    let resamples = layers.first().map_or(0, |layer| layer.scores.len());
    let furthest = |at: usize| {
        let off = layers.iter().zip(&deviations).filter(|(_, deviation)| **deviation > TIE).map(
            |(layer, deviation)| {
                (layer.scores[at] - layer.baselines[at] - layer.difference()).abs() / deviation
            },
        );
        off.fold(0., f64::max)
    };
    let mut most: Vec<f64> = (0..resamples).map(furthest).collect();
    most.sort_by(f64::total_cmp);
    // A twentieth of the resamples is further off.
    let times = most.len().checked_sub(1 + most.len() / 20).map_or(0., |at| most[at]);
    let around = |(layer, deviation): (&Spread, &f64)| {
        [-times, times].map(|times| layer.difference() + times * deviation)
    };
    layers.iter().zip(&deviations).map(around).collect()
}

/// By all definitions, from the spreads of all layers in their order.
pub fn recognise(layers: &[Spread]) -> Vec<Recognised> {
    let (Some(first), n) = (layers.first(), layers.len()) else { return Vec::new() };
    let intervals: Option<Vec<[f64; 2]>> = layers.iter().map(|layer| interval(layer.differences())).collect();
    let Some(intervals) = intervals else { return Vec::new() };
    let scores: Vec<f64> = layers.iter().map(|layer| layer.score).collect();
    let resample = |at: usize| layers.iter().map(|layer| layer.scores[at]).collect::<Vec<f64>>();
    let spread = |of: &dyn Fn(usize) -> Option<usize>| {
        let drawn = (0..first.scores.len()).map(|at| of(at).unwrap_or(n) as f64).collect();
        interval(drawn).map(|[low, high]| [low as usize, high as usize])
    };
    vec![
        Recognised {
            definition: Definition::NoDifference,
            layer: level(intervals.iter().copied()),
            interval: level(simultaneous(layers).into_iter()).map(|low| [low, n]).or(Some([n, n])),
        },
        Recognised {
            definition: Definition::Reaches,
            layer: first_reaching(&scores, first.baseline),
            interval: spread(&|at| first_reaching(&resample(at), first.baselines[at])),
        },
        Recognised {
            definition: Definition::Jump,
            layer: largest_jump(&scores),
            interval: spread(&|at| largest_jump(&resample(at))),
        },
    ]
}

/// What a run's curve suggests by its scores alone, in a line; `None` without a baseline, if some layer is missing, or for a
/// measure of which less is better.
pub fn suggested(records: &[ScoreRecord], intervention: Intervention, measure: &Measure) -> Option<String> {
    let baseline = &records.iter().find(|record| record.condition().is_baseline())?.scores;
    let of_curve = |record: &&ScoreRecord| record.condition().intervention() == Some(intervention);
    let mut curve: Vec<&ScoreRecord> = records.iter().filter(of_curve).collect();
    curve.sort_by_key(|record| record.condition());
    let is_whole = curve.len() >= curve.first()?.n_layers();
    if intervention.kind() != InterventionKind::Masks || !is_whole || !measure.higher_is_better {
        return None;
    }
    let scores: Vec<f64> = curve.iter().map(|record| record.scores.value(measure)).collect::<Option<_>>()?;
    let reaches = match first_reaching(&scores, baseline.value(measure)?) {
        Some(layer) => format!("layer {layer} is the lowest that scores at least 95 % of the baseline"),
        None => "no layer scores 95 % of the baseline".into(),
    };
    let jump = match largest_jump(&scores) {
        Some(at) => {
            let [from, to] = [scores[at - 1], scores[at]].map(|score| measure.shown(score));
            format!("the score rises most from layer {} to layer {at} ({from} to {to})", at - 1)
        }
        None => "the score never rises from one layer to the next".into(),
    };
    Some(format!("{reaches}; {jump}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_suggests_what_its_scores_say() {
        let bleu = Measure::find("bleu").expect("a measure");
        let record = |mask: &str, layer: usize, bleu: f64| crate::results::sample_record(mask, layer, bleu);
        let curve = |scores: [f64; 4]| {
            let mut records = vec![record("none", 4, 20.)];
            records.extend(scores.iter().enumerate().map(|(layer, &bleu)| record("TTF", layer, bleu)));
            suggested(&records, "TTF".parse().expect("a mask"), &bleu)
        };
        assert_eq!(
            curve([1., 2., 19.5, 18.]).expect("complete"),
            "layer 2 is the lowest that scores at least 95 % of the baseline; the score rises most from layer 1 to layer 2 \
             (2.00 to 19.50)"
        );
        assert_eq!(
            curve([4., 3., 2., 1.]).expect("complete"),
            "no layer scores 95 % of the baseline; the score never rises from one layer to the next"
        );
        let partial = [record("none", 4, 20.), record("all", 0, 1.)];
        assert_eq!(suggested(&partial, Intervention::All, &bleu), None);
        assert_eq!(suggested(&[record("TTF", 0, 1.)], Intervention::All, &bleu), None);
    }

    #[test]
    fn what_is_found_is_said_in_a_sentence() {
        let key = |instructed, nprompts| CurveKey {
            intervention: "TTF".parse().expect("a mask"),
            format: "f".into(),
            instructed,
            nprompts,
            train_size: None,
            vary: String::new(),
        };
        let said = |definition, layer, interval, first| {
            Recognised { definition, layer, interval }.sentence(&key(false, 5), 24, first)
        };
        use Definition::{Jump, NoDifference, Reaches};
        assert_eq!(
            said(NoDifference, Some(20), Some([18, 24]), 0),
            "From layer 20 on, hiding the examples makes no detectable difference (95 % CI: 18 or later)"
        );
        assert_eq!(
            said(NoDifference, None, Some([24, 24]), 0),
            "Hiding the examples makes a detectable difference up to the last layer (95 % CI: no layer)"
        );
        assert_eq!(
            said(Reaches, Some(19), Some([17, 24]), 1),
            "Layer 20 is the lowest that scores at least 95 % of the baseline (95 % CI: 18 or later, or no layer)"
        );
        assert_eq!(said(Reaches, None, None, 0), "No layer scores 95 % of the baseline");
        assert_eq!(
            said(Jump, Some(18), Some([18, 18]), 0),
            "The score rises most from layer 17 to layer 18 (95 % CI: 18)"
        );
        assert_eq!(said(Jump, None, None, 0), "The score never rises from one layer to the next");
        assert_eq!(key(true, 5).hides(), "the instructions and examples");
        assert_eq!(key(true, 0).hides(), "the instructions");
    }

    #[test]
    fn each_definition_reads_the_curve() {
        let scores = [1., 2., 19.5, 18., 19.2];
        assert_eq!(first_reaching(&scores, 20.), Some(2));
        assert_eq!(first_reaching(&scores, 30.), None);
        assert_eq!(first_reaching(&scores, 0.), None);
        assert_eq!(largest_jump(&scores), Some(2));
        assert_eq!(largest_jump(&[3., 2., 1.]), None);
        assert_eq!(largest_jump(&[0., 1., 2.]), Some(1));
        assert_eq!(level([[-2., -1.], [-1., 1.], [-2., -1.], [-1., 0.]].into_iter()), Some(3));
        assert_eq!(level([[-1., 1.], [0., 0.]].into_iter()), Some(0));
        assert_eq!(level([[-1., 1.], [0.1, 0.2]].into_iter()), None);
        // Two rises of 7/48: of equals the first, whatever subtraction makes of them.
        assert_eq!(largest_jump(&[2. / 48., 9. / 48., 16. / 48., 23. / 48.]), Some(1));
        let level_by_rounding = [[0.1 + 0.2 - 0.3, 1.], [-1., -(0.1 + 0.2 - 0.3)]];
        assert_eq!(level(level_by_rounding.into_iter()), Some(0));
    }
}
