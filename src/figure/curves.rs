//! Scores by layer: the study's main figure, its ablation, and tasks of a model laid over each other.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use super::chart::{COLOURS, Chart, Level, Line};
use super::image::Image;
use super::label::{labels, plain, setting};
use super::sheet::{Entry, Sheet, Sign};
use super::svg::Part;
use crate::mask::Treatment;
use crate::stats::{Curve, CurveKey, Panel, Study};

/// What runs along the axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Scores by layer, a chart for each model and direction; layers counted from this number (0, or 1 as the study's
    /// figures do).
    Layers(usize),
    /// A chart for each model, its tasks laid over each other: layers as a share of the depth, scores of the baseline's.
    Relative,
}

/// Dashes of baselines: with instructions, without, others.
const DASHES: [&str; 3] = ["6 4", "2 3", "8 3 2 3"];

/// The figure of a study's curves.
///
/// # Errors
/// A text cannot be set.
pub fn curves(study: &Study, axis: Axis) -> Result<Image> {
    let sheet = match axis {
        Axis::Layers(first) => by_layer(study, first),
        Axis::Relative => relative(study),
    };
    let described = study.panels.iter().map(|panel| {
        let names: Vec<String> = panel.curves.iter().map(|curve| plain(&super::label(&curve.key))).collect();
        format!("{}: {}", title(panel), names.join("; "))
    });
    let title = match axis {
        Axis::Layers(_) => "Score by the first layer that hides parts of the prompt",
        Axis::Relative => "Score, as a share of the baseline's, by relative depth",
    };
    let description = described.collect::<Vec<_>>().join(". ");
    Ok(Image { svg: sheet.svg()?, title: title.into(), description })
}

/// `model, en-fr (corpus)`
pub fn title(panel: &Panel) -> String {
    let settings = &panel.settings;
    let sia = if settings.profile == crate::prompt::Profile::Sia2024 { ", sia2024" } else { "" };
    format!("{}, {} ({}{sia})", settings.model, settings.direction, settings.data)
}

/// Styles of curves by what they are called, the same in every chart of a sheet.
struct Styles {
    known: Vec<(Vec<Part>, usize)>,
}

impl Styles {
    fn new(panels: &[Panel]) -> Self {
        let mut known: Vec<(Vec<Part>, usize)> = Vec::new();
        for panel in panels {
            for (label, curve) in names(panel).into_iter().zip(&panel.curves) {
                if known.iter().any(|(other, _)| *other == label) {
                    continue;
                }
                let free = |style: &usize| known.iter().all(|(_, taken)| taken != style);
                let own = Some(usual(&curve.key)).filter(free);
                let style = own.or_else(|| (0..COLOURS.len()).find(free)).unwrap_or(known.len());
                known.push((label, style));
            }
        }
        Self { known }
    }

    fn of(&self, label: &[Part]) -> usize {
        self.known.iter().find(|(known, _)| known == label).map_or(0, |(_, style)| *style)
    }

    fn legend(&self) -> Vec<Entry> {
        let entry =
            |(label, style): &(Vec<Part>, usize)| Entry { sign: Sign::Line(*style), label: label.clone() };
        self.known.iter().map(entry).collect()
    }
}

/// What a panel's curves are called.
fn names(panel: &Panel) -> Vec<Vec<Part>> {
    labels(&panel.curves.iter().map(|curve| &curve.key).collect::<Vec<_>>())
}

/// The style that a treatment has in every figure.
fn usual(key: &CurveKey) -> usize {
    match (key.mask.to_string().as_str(), key.instructed) {
        ("TTF", true) => 0,
        ("FTF", true) => 1,
        ("FTF" | "TTF", false) => 2,
        ("FFT", _) => 3,
        ("TTT", _) => 4,
        ("TFF", _) => 5,
        ("all", _) => 6,
        _ => 0,
    }
}

/// Charts in a row belong to one model where each has as many.
fn columns(panels: &[Panel]) -> usize {
    let mut by_model: BTreeMap<&str, usize> = BTreeMap::new();
    panels.iter().for_each(|panel| *by_model.entry(&panel.settings.model).or_default() += 1);
    let counts: Vec<usize> = by_model.into_values().collect();
    match counts.first() {
        Some(&first) if counts.len() > 1 && first <= 3 && counts.iter().all(|count| *count == first) => first,
        _ => [1, 1, 2, 3, 2][panels.len().min(4)],
    }
}

fn by_layer(study: &Study, first: usize) -> Sheet {
    let styles = Styles::new(&study.panels);
    let (mut charts, mut legend) = (Vec::new(), styles.legend());
    for panel in &study.panels {
        let ablation = panel.curves.iter().all(|curve| curve.key.mask == Treatment::Ablation);
        let line = |(curve, name): (&Curve, Vec<Part>)| {
            let points =
                curve.points.iter().map(|point| ((point.layer + first) as f64, point.score)).collect();
            let band: Option<Vec<[f64; 2]>> = curve.points.iter().map(|point| point.spread()).collect();
            Line { style: styles.of(&name), points, band: band.unwrap_or_default() }
        };
        let levels = baselines(panel);
        for (level, label) in &levels {
            let entry = Entry { sign: Sign::Level(level.dash), label: vec![Part::plain(label)] };
            if !legend.contains(&entry) {
                legend.push(entry);
            }
        }
        charts.push(Chart {
            title: title(panel),
            x_label: if ablation { "layer without attention" } else { "first layer that hides" }.into(),
            y_label: panel.metric.into(),
            x: [first as f64, (panel.n_layers - 1 + first) as f64],
            whole: true,
            lines: panel.curves.iter().zip(names(panel)).map(line).collect(),
            levels: levels.into_iter().map(|(level, _)| level).collect(),
        });
    }
    Sheet { columns: columns(&study.panels), charts, legend }
}

/// The baselines of a panel's curves, each once, with what they are called.
fn baselines(panel: &Panel) -> Vec<(Level, String)> {
    let mut settings: Vec<(&CurveKey, f64)> = Vec::new();
    for curve in &panel.curves {
        let Some(baseline) = &curve.baseline else { continue };
        let same = |(key, _): &(&CurveKey, f64)| {
            key.format == curve.key.format && key.nprompts == curve.key.nprompts
        };
        if !settings.iter().any(same) {
            settings.push((&curve.key, baseline.score));
        }
    }
    let name = |key: &CurveKey, nth: usize| match (
        panel.curves.iter().all(|c| c.key.mask == Treatment::Ablation),
        nth,
    ) {
        (true, _) => format!("all attention, {}", setting(key)),
        (false, 0) => "nothing hidden".into(),
        (false, _) => format!("nothing hidden, {}", setting(key)),
    };
    let level = |(nth, (key, value)): (usize, (&CurveKey, f64))| {
        (Level { value, dash: DASHES[nth.min(2)] }, name(key, nth))
    };
    settings.into_iter().enumerate().map(level).collect()
}

/// A chart for each model; a line for each of its tasks and treatments.
fn relative(study: &Study) -> Sheet {
    let mut charts: Vec<Chart> = Vec::new();
    let mut legend: Vec<Entry> = Vec::new();
    let several = {
        let mut masks: Vec<&CurveKey> =
            study.panels.iter().flat_map(|p| p.curves.iter().map(|c| &c.key)).collect();
        masks.dedup_by_key(|key| key.mask);
        masks.len() > 1
    };
    for panel in &study.panels {
        let settings = &panel.settings;
        if charts.last().is_none_or(|chart| chart.title != settings.model) {
            charts.push(Chart {
                title: settings.model.clone(),
                x_label: "first layer that hides, as a share of the depth".into(),
                y_label: "score / baseline".into(),
                x: [0., 1.],
                whole: false,
                lines: Vec::new(),
                levels: vec![Level { value: 1., dash: DASHES[0] }],
            });
        }
        for curve in &panel.curves {
            let Some(baseline) = curve.baseline.as_ref().filter(|baseline| baseline.score > 0.) else {
                continue;
            };
            let mut label =
                vec![Part::plain(format!("{}, {} ({})", settings.data, settings.direction, panel.metric))];
            if several {
                label.push(Part::plain(": "));
                label.extend(super::label(&curve.key));
            }
            let style = match legend.iter().position(|entry| entry.label == label) {
                Some(style) => style,
                None => {
                    legend.push(Entry { sign: Sign::Line(legend.len()), label });
                    legend.len() - 1
                }
            };
            let depth = |layer: usize| layer as f64 / panel.n_layers as f64;
            let points = curve.points.iter().map(|point| (depth(point.layer), point.score / baseline.score));
            let band: Option<Vec<[f64; 2]>> = curve.points.iter().map(|point| point.ratio_interval).collect();
            if let Some(chart) = charts.last_mut() {
                let band = band.unwrap_or_default();
                chart.lines.push(Line { style, points: points.collect(), band });
            }
        }
    }
    Sheet { columns: [1, 1, 2, 3, 2][charts.len().min(4)], charts, legend }
}

/// A row of the CSV behind the figure: everything of one layer of one curve.
#[derive(Debug, Serialize)]
pub struct Row {
    model: String,
    data: String,
    direction: String,
    format: String,
    nprompts: usize,
    mask: Treatment,
    layer: usize,
    n_layers: usize,
    n: usize,
    metric: &'static str,
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
    ratio_low: Option<f64>,
    ratio_high: Option<f64>,
    p: Option<f64>,
    p_corrected: Option<f64>,
    seconds: f64,
}

/// The numbers behind a figure of curves; the baselines' rows have mask `none` and the number of layers as their layer.
pub fn rows(study: &Study) -> Vec<Row> {
    let mut rows = Vec::new();
    for panel in &study.panels {
        let settings = &panel.settings;
        let row = |key: &CurveKey,
                   mask: Treatment,
                   layer: usize,
                   score: f64,
                   scores: &[crate::stats::SeedScore]| Row {
            model: settings.model.clone(),
            data: settings.data.clone(),
            direction: settings.direction.clone(),
            format: key.format.clone(),
            nprompts: key.nprompts,
            mask,
            layer,
            n_layers: panel.n_layers,
            n: settings.n,
            metric: panel.metric,
            score,
            seeds: scores.len(),
            seed_scores: scores
                .iter()
                .map(|s| format!("{}:{}", s.seed, s.score))
                .collect::<Vec<_>>()
                .join(" "),
            seed_deviation: None,
            items_low: None,
            items_high: None,
            both_low: None,
            both_high: None,
            baseline: None,
            difference: None,
            difference_low: None,
            difference_high: None,
            ratio_low: None,
            ratio_high: None,
            p: None,
            p_corrected: None,
            seconds: 0.,
        };
        let end = |interval: Option<[f64; 2]>, at: usize| interval.map(|interval| interval[at]);
        let mut seen: Vec<(&str, usize)> = Vec::new();
        for curve in &panel.curves {
            let setting = (curve.key.format.as_str(), curve.key.nprompts);
            if let Some(baseline) = curve.baseline.as_ref().filter(|_| !seen.contains(&setting)) {
                seen.push(setting);
                rows.push(Row {
                    items_low: end(baseline.items, 0),
                    items_high: end(baseline.items, 1),
                    both_low: end(baseline.both, 0),
                    both_high: end(baseline.both, 1),
                    seconds: baseline.seconds,
                    ..row(&curve.key, Treatment::None, panel.n_layers, baseline.score, &baseline.seeds)
                });
            }
            rows.extend(curve.points.iter().map(|point| Row {
                seed_deviation: point.seed_deviation(),
                items_low: end(point.items, 0),
                items_high: end(point.items, 1),
                both_low: end(point.both, 0),
                both_high: end(point.both, 1),
                baseline: curve.baseline.as_ref().map(|baseline| baseline.score),
                difference: point.difference,
                difference_low: end(point.difference_interval, 0),
                difference_high: end(point.difference_interval, 1),
                ratio_low: end(point.ratio_interval, 0),
                ratio_high: end(point.ratio_interval, 1),
                p: point.p,
                p_corrected: point.p_corrected,
                seconds: point.seconds,
                ..row(&curve.key, curve.key.mask, point.layer, point.score, &point.seeds)
            }));
        }
    }
    rows
}
