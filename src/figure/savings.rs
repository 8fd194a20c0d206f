//! What is saved if the context is dropped at a layer: by the study's formula, by the multiply-adds that are not done, and
//! by the clock.

use anyhow::Result;
use serde::Serialize;

use super::chart::{Chart, Level, Line, PLAIN};
use super::image::Image;
use super::legend::names;
use super::sheet::{LegendEntry, Sheet, Sign};
use super::style::Style;
use super::svg::TextPart;
use super::title::titles;
use crate::base::error::input;
use crate::intervene::Intervention;
use crate::results::Settings;
use crate::stats::{CurveKey, Panel, Point, StoredRun, Study};
use crate::tasks::Measure;

/// Savings at one layer, as shares of what the baseline takes over the same seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Saving {
    /// Its panel, by its place in the study.
    #[serde(skip)]
    pub panel: usize,
    model: String,
    data: String,
    direction: String,
    max_new_tokens: usize,
    dtype: String,
    /// What its panel is called.
    #[serde(skip)]
    pub title: String,
    /// Its curve.
    #[serde(skip)]
    pub key: CurveKey,
    format: String,
    nprompts: usize,
    #[serde(rename = "mask")]
    intervention: Intervention,
    /// The first layer that does without the hidden columns.
    pub layer: usize,
    n_layers: usize,
    metric: Measure,
    score: f64,
    baseline_score: f64,
    /// `(n - r) / n * k / (k + 1)`: the study's estimate, for r layers that see k examples and a query of the same length;
    /// where examples are hidden.
    pub formula: Option<f64>,
    /// Multiply-adds that are not done, of those of the baseline.
    pub operations: f64,
    /// Time that is not spent.
    pub time: f64,
    seconds: f64,
    baseline_seconds: f64,
    multiply_adds: f64,
    baseline_multiply_adds: f64,
}

impl Saving {
    /// A line of the table that is printed, layers counted from `first`.
    pub fn line(&self, first: usize) -> String {
        let percent = |share: f64| format!("{:.1} %", 100. * share);
        let formula = self
            .formula
            .map_or(String::new(), |share| format!("{} by the study's formula, ", percent(share)));
        format!(
            "layer {:>2}: {} {} (baseline {}); saved {formula}{} of the multiply-adds, {} of the time ({:.1} of {:.1} s)",
            self.layer + first,
            self.metric,
            self.metric.shown(self.score),
            self.metric.shown(self.baseline_score),
            percent(self.operations),
            percent(self.time),
            self.baseline_seconds - self.seconds,
            self.baseline_seconds
        )
    }
}

/// The study's formula: `layer` of `n_layers` see the `k` examples.
pub fn formula(layer: usize, n_layers: usize, k: usize) -> f64 {
    let (r, n, k) = (layer as f64, n_layers as f64, k as f64);
    (n - r) / n * k / (k + 1.)
}

/// The figure, layers counted from `first`, and the numbers behind it.
///
/// # Errors
/// No run was made with `--drop-context`, or none of them has a baseline; the figure would be too narrow.
pub fn savings(study: &Study, first: usize, style: &Style) -> Result<(Image, Vec<Saving>)> {
    let (mut charts, mut rows) = (Vec::new(), Vec::new());
    let dropped = |(_, panel): &(usize, &Panel)| panel.settings.drop_context;
    let (places, panels): (Vec<usize>, Vec<Panel>) =
        study.panels.iter().enumerate().filter(dropped).map(|(place, panel)| (place, panel.clone())).unzip();
    let titles = titles(&panels, &style.names);
    for ((place, panel), title) in places.into_iter().zip(&panels).zip(&titles) {
        for (curve, name) in panel.curves.iter().zip(names(panel)) {
            let saved = curve.points.iter().filter_map(|point| Saving::new(study, place, &curve.key, point));
            let saved: Vec<Saving> = saved.map(|saved| Saving { title: title.clone(), ..saved }).collect();
            if !saved.is_empty() {
                let mut of = vec![TextPart::plain(format!("{title}: "))];
                of.extend(name);
                charts.push(chart(panel, of, &saved, first));
                rows.extend(saved);
            }
        }
    }
    if charts.is_empty() {
        return Err(input(
            "no run with --drop-context holds both a mask and a baseline of the same seeds; make one \
             with `icl-mask run --drop-context --mask none,TTF`",
        ));
    }
    let legend = ["the study's formula", "multiply-adds", "time"].into_iter().enumerate();
    let legend = legend
        .map(|(style, name)| LegendEntry { sign: Sign::Line(style), label: vec![TextPart::plain(name)] });
    let columns = [1, 1, 2, 3, 2][charts.len().min(4)];
    let sheet = Sheet { columns, charts, legend: legend.collect(), notes: Vec::new() };
    let title = "What dropping hidden columns at a layer saves";
    let description =
        "By layer: the study's formula, multiply-adds not done, and time not spent, as shares".into();
    Ok((Image::new(sheet.svg(style)?, title, description, style), rows))
}

fn chart(panel: &Panel, title: Vec<TextPart>, saved: &[Saving], first: usize) -> Chart {
    let line = |style: usize, of: &dyn Fn(&Saving) -> Option<f64>| Line {
        style,
        points: saved.iter().filter_map(|row| Some(((row.layer + first) as f64, of(row)?))).collect(),
        band: Vec::new(),
    };
    Chart {
        title,
        x_label: "first layer without the hidden columns".into(),
        y_label: "share saved".into(),
        x: [first as f64, (panel.n_layers - 1 + first) as f64],
        whole: true,
        lines: vec![
            line(0, &|row| row.formula),
            line(1, &|row| Some(row.operations)),
            line(2, &|row| Some(row.time)),
        ],
        levels: vec![Level { value: 0., look: PLAIN }],
    }
}

impl Saving {
    /// `None` where costs were not measured, or not of the baseline of the same seeds.
    fn new(study: &Study, place: usize, key: &CurveKey, point: &Point) -> Option<Self> {
        let panel = &study.panels[place];
        let multiply_adds = point.multiply_adds?;
        let mut baselines = Vec::new();
        for seed in &point.seeds {
            let of_seed = |run: &&StoredRun| {
                let settings = &run.manifest.settings;
                (&settings.format, settings.nprompts, settings.seed) == (&key.format, key.nprompts, seed.seed)
            };
            let run = panel.runs.iter().map(|&run| &study.runs[run]).find(of_seed)?;
            let cell = run.cells.iter().find(|cell| cell.record.condition().is_baseline())?;
            baselines.push((cell.score, cell.record.seconds, cell.record.multiply_adds? as f64));
        }
        let mean = |of: &dyn Fn(&(f64, f64, f64)) -> f64| {
            baselines.iter().map(of).sum::<f64>() / baselines.len() as f64
        };
        let (baseline_seconds, baseline_multiply_adds) = (mean(&|cell| cell.1), mean(&|cell| cell.2));
        let Settings { model, data, direction, max_new_tokens, dtype, .. } = panel.settings.clone();
        let measured = baseline_seconds > 0. && baseline_multiply_adds > 0.;
        let hides_examples = matches!(key.intervention, Intervention::Segments { examples: true, .. });
        measured.then(|| Self {
            panel: place,
            title: String::new(),
            model,
            data,
            direction,
            max_new_tokens,
            dtype,
            key: key.clone(),
            format: key.format.clone(),
            nprompts: key.nprompts,
            intervention: key.intervention,
            layer: point.layer,
            n_layers: panel.n_layers,
            metric: panel.metric.clone(),
            score: point.score,
            baseline_score: mean(&|cell| cell.0),
            formula: hides_examples.then(|| formula(point.layer, panel.n_layers, key.nprompts)),
            operations: 1. - multiply_adds / baseline_multiply_adds,
            time: 1. - point.seconds / baseline_seconds,
            seconds: point.seconds,
            baseline_seconds,
            multiply_adds,
            baseline_multiply_adds,
        })
    }
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
