//! What is saved if the context is dropped at a layer: by the study's formula, by the multiply-adds that are not done, and
//! by the clock.

use anyhow::Result;
use serde::Serialize;

use super::chart::{Chart, Level, Line};
use super::image::Image;
use super::sheet::{Entry, Sheet, Sign};
use super::svg::Part;
use crate::error::input;
use crate::mask::Treatment;
use crate::stats::{CurveKey, Panel, StoredRun, Study};

/// Savings at one layer, as shares.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Saved {
    model: String,
    data: String,
    direction: String,
    mask: Treatment,
    format: String,
    nprompts: usize,
    /// The first layer that does without the context.
    pub layer: usize,
    n_layers: usize,
    metric: &'static str,
    score: f64,
    baseline_score: f64,
    /// `(n - r) / n * k / (k + 1)`: the study's estimate, for r layers that see k examples and a query of the same length.
    pub formula: f64,
    /// Multiply-adds that are not done, of those of the baseline.
    pub operations: f64,
    /// Time that is not spent.
    pub time: f64,
    seconds: f64,
    baseline_seconds: f64,
    multiply_adds: f64,
    baseline_multiply_adds: f64,
}

impl Saved {
    /// A line of the table that is printed.
    pub fn line(&self) -> String {
        let percent = |share: f64| format!("{:.1} %", 100. * share);
        let (formula, operations, time) =
            (percent(self.formula), percent(self.operations), percent(self.time));
        format!(
            "layer {:>2}: {} {:.2} of {:.2}; saved {formula} by the formula, {operations} of the multiply-adds, {time} of the \
             time ({:.1} of {:.1} s)",
            self.layer,
            self.metric,
            self.score,
            self.baseline_score,
            self.baseline_seconds - self.seconds,
            self.baseline_seconds
        )
    }

    /// The curve that it belongs to.
    pub fn is_of(&self, panel: &Panel, key: &CurveKey) -> bool {
        let settings = &panel.settings;
        (&self.model, &self.data, &self.direction) == (&settings.model, &settings.data, &settings.direction)
            && (self.mask, self.nprompts) == (key.mask, key.nprompts)
            && self.format == key.format
    }
}

/// The study's formula: `layer` of `n_layers` see the `k` examples.
pub fn formula(layer: usize, n_layers: usize, k: usize) -> f64 {
    let (r, n, k) = (layer as f64, n_layers as f64, k as f64);
    (n - r) / n * k / (k + 1.)
}

/// The figure, and the numbers behind it.
///
/// # Errors
/// No run was made with `--drop-context`, or none of them has a baseline.
pub fn savings(study: &Study) -> Result<(Image, Vec<Saved>)> {
    let (mut charts, mut rows) = (Vec::new(), Vec::new());
    for panel in study.panels.iter().filter(|panel| panel.settings.drop_context) {
        for curve in &panel.curves {
            let runs = panel.runs.iter().map(|&run| &study.runs[run]);
            let Some(baseline) = costs(runs, &curve.key) else { continue };
            let saved: Vec<Saved> = curve
                .points
                .iter()
                .filter_map(|point| {
                    let multiply_adds = point.multiply_adds?;
                    Some(Saved {
                        model: panel.settings.model.clone(),
                        data: panel.settings.data.clone(),
                        direction: panel.settings.direction.clone(),
                        mask: curve.key.mask,
                        format: curve.key.format.clone(),
                        nprompts: curve.key.nprompts,
                        layer: point.layer,
                        n_layers: panel.n_layers,
                        metric: panel.metric,
                        score: point.score,
                        baseline_score: baseline.score,
                        formula: formula(point.layer, panel.n_layers, curve.key.nprompts),
                        operations: 1. - multiply_adds / baseline.multiply_adds,
                        time: 1. - point.seconds / baseline.seconds,
                        seconds: point.seconds,
                        baseline_seconds: baseline.seconds,
                        multiply_adds,
                        baseline_multiply_adds: baseline.multiply_adds,
                    })
                })
                .collect();
            let line = |style: usize, of: &dyn Fn(&Saved) -> f64| Line {
                style,
                points: saved.iter().map(|row| (row.layer as f64, of(row))).collect(),
                band: Vec::new(),
            };
            charts.push(Chart {
                title: format!("{}: {}", super::curves::title(panel), curve.key.mask),
                x_label: "first layer without the context".into(),
                y_label: "share saved".into(),
                x: [0., (panel.n_layers - 1) as f64],
                whole: true,
                lines: vec![
                    line(0, &|row| row.formula),
                    line(1, &|row| row.operations),
                    line(2, &|row| row.time),
                ],
                levels: vec![Level { value: 0., dash: "6 4" }],
            });
            rows.extend(saved);
        }
    }
    if charts.is_empty() {
        return Err(input(
            "none of these runs was made with --drop-context and holds a baseline beside a mask; make one with `icl-mask run \
             --drop-context --mask none,TTF`",
        ));
    }
    let legend = ["the study's formula", "multiply-adds", "time"].into_iter().enumerate();
    let legend =
        legend.map(|(style, name)| Entry { sign: Sign::Line(style), label: vec![Part::plain(name)] });
    let sheet = Sheet { columns: [1, 1, 2, 3, 2][charts.len().min(4)], charts, legend: legend.collect() };
    let title = "What dropping the context at a layer saves".into();
    let description =
        "By layer: the study's formula, multiply-adds not done, and time not spent, as shares".into();
    Ok((Image { svg: sheet.svg()?, title, description }, rows))
}

/// Mean costs of a baseline over its seeds.
struct Costs {
    score: f64,
    seconds: f64,
    multiply_adds: f64,
}

fn costs<'a>(runs: impl Iterator<Item = &'a StoredRun>, key: &CurveKey) -> Option<Costs> {
    let mut all = Vec::new();
    for run in runs {
        let settings = &run.manifest.settings;
        if settings.format != key.format || settings.nprompts != key.nprompts {
            continue;
        }
        let Some(cell) = run.cells.iter().find(|cell| cell.record.mask == Treatment::None) else { continue };
        all.push((cell.record.scores.main(), cell.record.seconds, cell.record.multiply_adds? as f64));
    }
    let n = all.len() as f64;
    let mean = |of: &dyn Fn(&(f64, f64, f64)) -> f64| all.iter().map(of).sum::<f64>() / n;
    (n > 0.).then(|| Costs {
        score: mean(&|cell| cell.0),
        seconds: mean(&|cell| cell.1),
        multiply_adds: mean(&|cell| cell.2),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formula_gives_the_studys_number() {
        assert!((formula(14, 32, 5) - 0.46875).abs() < 1e-12);
        assert_eq!(formula(32, 32, 5), 0.);
    }
}
