//! A curve: one intervention's scores by layer, each with its spread and its difference from the baseline.

use rayon::prelude::*;
use serde::Serialize;

use super::cells::StoredCell;
use super::effect::{Varied, VaryEffect};
use super::key::CurveKey;
use super::paired::{DEALS, SEED_OF_DEALS, holm, randomization};
use super::recognition::{Recognised, Spread, recognise};
use super::resampled::{RESAMPLES, Resampled, interval};
use crate::intervene::InterventionKind;

/// The score of one seed's cell.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SeedScore {
    /// The seed that drew the demonstrations.
    pub seed: u32,
    /// The measure that is looked at.
    pub score: f64,
}

/// The unmasked run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Baseline {
    /// Mean over seeds.
    pub score: f64,
    /// By seed.
    pub seeds: Vec<SeedScore>,
    /// 95 % interval if other items had been drawn.
    pub items: Option<[f64; 2]>,
    /// 95 % interval if other items and other seeds had been drawn; absent with one seed.
    pub both: Option<[f64; 2]>,
    /// Computing time, mean over seeds.
    pub seconds: f64,
    /// How it differs from the baseline of the prompts that are not varied; absent where they are not among the runs.
    #[serde(flatten)]
    pub effect: Option<VaryEffect>,
}

impl Curve {
    /// Say what of the gap to a zero-shot score each layer recovers.
    pub(super) fn compare_with_zero_shot(&mut self, zero_shot: f64) {
        let Some(gap) = self.baseline.as_ref().map(|baseline| baseline.score - zero_shot) else { return };
        for point in &mut self.points {
            point.recovery = (gap != 0.).then(|| (point.score - zero_shot) / gap);
        }
    }
}

/// One layer of a curve.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// The first layer that hides, or the layer without attention.
    pub layer: usize,
    /// Mean over seeds.
    pub score: f64,
    /// By seed.
    pub seeds: Vec<SeedScore>,
    /// 95 % interval if other items had been drawn.
    pub items: Option<[f64; 2]>,
    /// 95 % interval if other items and other seeds had been drawn; absent with one seed.
    pub both: Option<[f64; 2]>,
    /// Score minus the baseline's, over the seeds that both have.
    pub difference: Option<f64>,
    /// Its 95 % interval: the same resamples of items (and seeds) for both.
    pub difference_interval: Option<[f64; 2]>,
    /// The score as a share of the baseline's, over the seeds that both have; absent where that is 0.
    pub ratio: Option<f64>,
    /// Its 95 % interval, resample by resample; absent where a baseline is 0.
    pub ratio_interval: Option<[f64; 2]>,
    /// The share of the gap between the zero-shot baseline and this curve's own that the score recovers; absent without a
    /// zero-shot baseline of the same format, and where there is no gap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery: Option<f64>,
    /// Two-sided p of the paired randomization test over items.
    pub p: Option<f64>,
    /// The same, corrected for the number of layers (Holm).
    pub p_corrected: Option<f64>,
    /// Computing time, mean over seeds.
    pub seconds: f64,
    /// Multiply-adds where each generation was computed by itself, mean over seeds.
    pub multiply_adds: Option<f64>,
    /// How it differs from the same layer with the prompts that are not varied; absent where they are not among the runs.
    #[serde(flatten)]
    pub effect: Option<VaryEffect>,
}

impl Point {
    /// The spread to be drawn: of seeds and items where there are several seeds, else of items.
    pub fn spread(&self) -> Option<[f64; 2]> {
        self.both.or(self.items)
    }

    /// Standard deviation over seeds; absent with one.
    pub fn seed_deviation(&self) -> Option<f64> {
        let n = self.seeds.len() as f64;
        let squares = self.seeds.iter().map(|seed| (seed.score - self.score).powi(2)).sum::<f64>();
        (n > 1.).then(|| (squares / (n - 1.)).sqrt())
    }
}

/// One intervention's scores by layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curve {
    /// What is treated how.
    #[serde(flatten)]
    pub key: CurveKey,
    /// The unmasked run of the same prompts.
    pub baseline: Option<Baseline>,
    /// Sorted by layer.
    pub points: Vec<Point>,
    /// From which layer on the context is no longer needed, by each definition; empty for an ablation, and where a layer
    /// or the baseline is missing.
    pub recognised: Vec<Recognised>,
    /// What its prompts vary, where the same prompts are compared that are not varied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub varied: Option<Varied>,
}

/// The cells of a curve, one a seed, and the baseline's.
pub struct CurveCells<'a> {
    pub key: CurveKey,
    pub n_layers: usize,
    /// By layer.
    pub layers: Vec<(usize, Vec<&'a StoredCell>)>,
    pub baseline: Vec<&'a StoredCell>,
    /// Whether the measure can tell interventions apart. If not, scores are described and nothing is tested.
    pub conclusive: bool,
}

impl CurveCells<'_> {
    /// All statistics; the baseline's over the seeds that the curve has.
    pub fn curve(mut self) -> Curve {
        let has =
            |seed: u32| self.layers.iter().flat_map(|(_, cells)| cells).any(|cell| cell.record.seed == seed);
        self.baseline.retain(|cell| has(cell.record.seed));
        let conclusive = self.conclusive;
        let measured: Vec<PointScores> = self
            .layers
            .par_iter()
            .map(|(layer, cells)| measure(*layer, cells, &self.baseline, conclusive))
            .collect();
        let corrected = holm(&measured.iter().map(|measured| measured.point.p).collect::<Vec<_>>());
        let spreads: Vec<Option<Spread>> = measured.iter().map(|measured| measured.spread.clone()).collect();
        let points: Vec<Point> = measured
            .into_iter()
            .zip(corrected)
            .map(|(measured, p_corrected)| Point { p_corrected, ..measured.point })
            .collect();
        let baseline = baseline(&self.baseline);
        let same_seeds = |point: &Point| {
            let seeds = |scores: &[SeedScore]| scores.iter().map(|score| score.seed).collect::<Vec<_>>();
            baseline.as_ref().is_some_and(|baseline| seeds(&baseline.seeds) == seeds(&point.seeds))
        };
        // Where less of a measure is better, no layer can be asked whether it reaches the baseline.
        let mut measures = self.layers.iter().flat_map(|(_, cells)| cells).map(|cell| cell.items.measure());
        let whole = conclusive
            && measures.all(|measure| measure.higher_is_better)
            && points.len() == self.n_layers
            && self.key.intervention.kind() == InterventionKind::Masks
            && points.iter().all(same_seeds);
        let spreads: Option<Vec<Spread>> = spreads.into_iter().collect();
        let recognised = match spreads.filter(|_| whole) {
            Some(spreads) => recognise(&spreads),
            None => Vec::new(),
        };
        Curve { key: self.key, baseline, points, recognised, varied: None }
    }
}

struct PointScores {
    point: Point,
    spread: Option<Spread>,
}

fn measure(layer: usize, cells: &[&StoredCell], baseline: &[&StoredCell], conclusive: bool) -> PointScores {
    let mean =
        |of: &dyn Fn(&StoredCell) -> f64| cells.iter().map(|cell| of(cell)).sum::<f64>() / cells.len() as f64;
    let resampled = Resampled::new(cells.iter().map(|cell| &cell.items), RESAMPLES);
    let pairs: Vec<(&StoredCell, &StoredCell)> = cells
        .iter()
        .filter_map(|cell| {
            let twin = baseline.iter().find(|twin| twin.record.seed == cell.record.seed)?;
            Some((*cell, *twin))
        })
        .collect();
    let spread = (!pairs.is_empty()).then(|| Spread::new(&pairs));
    let (a, b): (Vec<_>, Vec<_>) = pairs.iter().map(|(a, b)| (&a.items, &b.items)).unzip();
    let multiply_adds: Option<Vec<f64>> =
        cells.iter().map(|cell| cell.record.multiply_adds.map(|count| count as f64)).collect();
    let tested = spread.as_ref().filter(|_| conclusive);
    let point = Point {
        layer,
        score: mean(&|cell| cell.score),
        seeds: seeds(cells),
        items: interval(resampled.over_items()),
        both: if cells.len() > 1 { interval(resampled.over_both()) } else { None },
        difference: spread.as_ref().map(|spread| spread.score - spread.baseline),
        difference_interval: tested.and_then(|spread| interval(spread.differences())),
        ratio: spread
            .as_ref()
            .and_then(|spread| (spread.baseline > 0.).then(|| spread.score / spread.baseline)),
        ratio_interval: tested.and_then(|spread| interval(spread.ratios()?)),
        p: tested.and_then(|_| randomization(&a, &b, DEALS, SEED_OF_DEALS)),
        p_corrected: None,
        recovery: None,
        seconds: mean(&|cell| cell.record.seconds),
        multiply_adds: multiply_adds.map(|counts| counts.iter().sum::<f64>() / counts.len() as f64),
        effect: None,
    };
    PointScores { point, spread }
}

fn seeds(cells: &[&StoredCell]) -> Vec<SeedScore> {
    let score = |cell: &&StoredCell| SeedScore { seed: cell.record.seed, score: cell.score };
    cells.iter().map(score).collect()
}

fn baseline(cells: &[&StoredCell]) -> Option<Baseline> {
    if cells.is_empty() {
        return None;
    }
    let resampled = Resampled::new(cells.iter().map(|cell| &cell.items), RESAMPLES);
    let seeds = seeds(cells);
    Some(Baseline {
        score: seeds.iter().map(|seed| seed.score).sum::<f64>() / seeds.len() as f64,
        items: interval(resampled.over_items()),
        both: if cells.len() > 1 { interval(resampled.over_both()) } else { None },
        seconds: cells.iter().map(|cell| cell.record.seconds).sum::<f64>() / cells.len() as f64,
        seeds,
        effect: None,
    })
}
