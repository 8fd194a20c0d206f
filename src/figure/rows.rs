//! The numbers behind a figure of curves.

use serde::Serialize;

use super::legend::is_same;
use crate::intervene::{Intervention, Series};
use crate::prompt::Profile;
use crate::stats::{Baseline, CurveKey, Panel, Point, SeedScore, Study, VaryEffect};

/// A row of the CSV behind the figure: everything of one layer of one curve.
#[derive(Debug, Default, Serialize)]
pub struct CurveRow {
    model: String,
    data: String,
    direction: String,
    format: String,
    nprompts: usize,
    /// Where some run varies its prompts.
    #[serde(skip_serializing_if = "Option::is_none")]
    vary: Option<String>,
    #[serde(rename = "mask")]
    series: Series,
    train_size: Option<usize>,
    layer: usize,
    n_layers: usize,
    profile: Profile,
    chat_template: bool,
    max_new_tokens: usize,
    samples: usize,
    dtype: String,
    n: usize,
    metric: String,
    score: f64,
    seeds: usize,
    seed_scores: String,
    seed_deviation: Option<f64>,
    items_low: Option<f64>,
    items_high: Option<f64>,
    both_low: Option<f64>,
    both_high: Option<f64>,
    baseline: Option<f64>,
    difference: Option<f64>,
    difference_low: Option<f64>,
    difference_high: Option<f64>,
    ratio: Option<f64>,
    ratio_low: Option<f64>,
    ratio_high: Option<f64>,
    /// Where some curve has a zero-shot baseline beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery: Option<Option<f64>>,
    /// What a variation of the prompts changes, in six columns, where some curve was compared with the prompts as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    vary_difference: Option<Option<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vary_low: Option<Option<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vary_high: Option<Option<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vary_p: Option<Option<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vary_items: Option<Option<usize>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vary_left_out: Option<Option<usize>>,
    p: Option<f64>,
    p_corrected: Option<f64>,
    seconds: f64,
}

/// The numbers behind a figure of curves; the baselines' rows have mask `none` and the number of layers as their layer.
pub fn rows(study: &Study) -> Vec<CurveRow> {
    let mut rows = Vec::new();
    for panel in &study.panels {
        let mut seen: Vec<(&CurveKey, &Baseline)> = Vec::new();
        for curve in &panel.curves {
            let new = |baseline: &&Baseline| {
                !seen.iter().any(|(key, other)| is_same(&curve.key, baseline, key, other))
            };
            if let Some(baseline) = curve.baseline.as_ref().filter(new) {
                seen.push((&curve.key, baseline));
                rows.push(of_baseline(panel, &curve.key, baseline));
            }
            let score = curve.baseline.as_ref().map(|baseline| baseline.score);
            rows.extend(curve.points.iter().map(|point| of_point(panel, &curve.key, point, score)));
        }
    }
    // Columns that nothing fills are left out, so that other rows read as they always have.
    let varied = rows.iter().any(|row| row.vary.as_ref().is_some_and(|vary| !vary.is_empty()));
    let compared = rows.iter().any(|row| row.vary_difference.flatten().is_some());
    let recovered = rows.iter().any(|row| row.recovery.flatten().is_some());
    for row in &mut rows {
        row.vary = row.vary.take().filter(|_| varied);
        row.recovery = recovered.then_some(row.recovery.flatten());
        if !compared {
            row.compared(None);
        }
    }
    rows
}

impl CurveRow {
    /// Fill the columns of a comparison with prompts that are not varied; outside `Some`, leave them out.
    fn compared(&mut self, effect: Option<Option<&VaryEffect>>) {
        let interval = |at: usize| effect.map(|effect| end(effect.and_then(|effect| effect.interval), at));
        self.vary_difference = effect.map(|effect| effect.map(|effect| effect.difference));
        (self.vary_low, self.vary_high) = (interval(0), interval(1));
        self.vary_p = effect.map(|effect| effect.and_then(|effect| effect.p));
        self.vary_items = effect.map(|effect| effect.map(|effect| effect.items));
        self.vary_left_out = effect.map(|effect| effect.map(|effect| effect.left_out));
    }
}

fn end(interval: Option<[f64; 2]>, at: usize) -> Option<f64> {
    interval.map(|interval| interval[at])
}

/// A row without statistics.
fn plain(panel: &Panel, key: &CurveKey, series: Series, layer: usize, scores: &[SeedScore]) -> CurveRow {
    let settings = &panel.settings;
    CurveRow {
        model: settings.model.clone(),
        data: settings.data.clone(),
        direction: settings.direction.clone(),
        format: key.format.clone(),
        nprompts: key.nprompts,
        vary: Some(key.vary.clone()),
        series,
        train_size: key.train_size.filter(|_| series == Series::Of(Intervention::Lora)),
        layer,
        n_layers: panel.n_layers,
        profile: settings.profile,
        chat_template: settings.chat_template.is_some(),
        max_new_tokens: settings.max_new_tokens,
        samples: settings.sampling.map_or(1, |drawn| drawn.samples),
        dtype: settings.dtype.clone(),
        n: settings.n,
        metric: panel.metric.to_string(),
        seeds: scores.len(),
        seed_scores: scores.iter().map(|s| format!("{}:{}", s.seed, s.score)).collect::<Vec<_>>().join(" "),
        ..CurveRow::default()
    }
}

fn of_baseline(panel: &Panel, key: &CurveKey, baseline: &Baseline) -> CurveRow {
    let mut row = CurveRow {
        score: baseline.score,
        items_low: end(baseline.items, 0),
        items_high: end(baseline.items, 1),
        both_low: end(baseline.both, 0),
        both_high: end(baseline.both, 1),
        seconds: baseline.seconds,
        ..plain(panel, key, Series::Baseline, panel.n_layers, &baseline.seeds)
    };
    row.compared(Some(baseline.effect.as_ref()));
    row
}

fn of_point(panel: &Panel, key: &CurveKey, point: &Point, baseline: Option<f64>) -> CurveRow {
    let mut row = CurveRow {
        score: point.score,
        seed_deviation: point.seed_deviation(),
        items_low: end(point.items, 0),
        items_high: end(point.items, 1),
        both_low: end(point.both, 0),
        both_high: end(point.both, 1),
        baseline,
        difference: point.difference,
        difference_low: end(point.difference_interval, 0),
        difference_high: end(point.difference_interval, 1),
        ratio: point.ratio,
        ratio_low: end(point.ratio_interval, 0),
        ratio_high: end(point.ratio_interval, 1),
        recovery: Some(point.recovery),
        p: point.p,
        p_corrected: point.p_corrected,
        seconds: point.seconds,
        ..plain(panel, key, Series::Of(key.intervention), point.layer, &point.seeds)
    };
    row.compared(Some(point.effect.as_ref()));
    row
}
