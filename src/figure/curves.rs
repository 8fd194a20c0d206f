//! Scores by layer: the study's main figure, its ablation, and tasks of a model laid over each other.

use std::collections::BTreeMap;

use anyhow::Result;

use super::chart::{COLOURS, Chart, Level, Line};
use super::image::Image;
use super::label::{labels, plain, setting};
use super::relative;
use super::sheet::{Entry, Sheet, Sign};
use super::svg::Part;
use crate::mask::Kind;
use crate::stats::{Baseline, Curve, CurveKey, Panel, Study};

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
pub(super) const DASHES: [&str; 3] = ["6 4", "2 3", "8 3 2 3"];

/// The figure of a study's curves.
///
/// # Errors
/// A text cannot be set.
pub fn curves(study: &Study, axis: Axis) -> Result<Image> {
    let sheet = match axis {
        Axis::Layers(first) => by_layer(study, first),
        Axis::Relative => relative::sheet(study),
    };
    let described = study.panels.iter().map(|panel| {
        let names: Vec<String> = names(panel).iter().map(|name| plain(name)).collect();
        format!("{}: {}", title(panel, &study.panels), names.join("; "))
    });
    let mut kinds: Vec<Kind> = study.panels.iter().map(Panel::kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let title = match (axis, kinds.as_slice()) {
        (Axis::Layers(_), [Kind::Ablation]) => "Score by the layer whose attention is taken out",
        (Axis::Layers(_), [Kind::Lora]) => "Score by the layer that an adapter is trained on",
        (Axis::Layers(_), [.., Kind::Lora]) => {
            "Score by the first layer that hides parts of the prompt, and by the layer that an adapter is trained on"
        }
        (Axis::Layers(_), _) => "Score by the first layer that hides parts of the prompt",
        (Axis::Relative, _) => "Score, as a share of the baseline's, by relative depth",
    };
    let description = described.collect::<Vec<_>>().join(". ");
    Ok(Image { svg: sheet.svg()?, title: title.into(), description })
}

/// `model, en-fr (corpus)`, with the settings by which it differs from others of that name.
pub fn title(panel: &Panel, among: &[Panel]) -> String {
    let name = |panel: &Panel| {
        let settings = &panel.settings;
        match settings.direction.as_str() {
            "" => format!("{} ({})", settings.model, settings.data),
            direction => format!("{}, {direction} ({})", settings.model, settings.data),
        }
    };
    let own = name(panel);
    let mut differing: Vec<String> = Vec::new();
    for other in among.iter().filter(|other| name(other) == own && other.kind() == panel.kind()) {
        let differences = panel.shared().named_differences(&other.shared());
        differing.extend(differences.into_iter().map(|(field, value)| format!("{field} {value}")));
    }
    differing.sort();
    differing.dedup();
    if differing.is_empty() { own } else { format!("{own}: {}", differing.join(", ")) }
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
pub fn names(panel: &Panel) -> Vec<Vec<Part>> {
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
            title: title(panel, &study.panels),
            x_label: x_label(panel).into(),
            y_label: panel.metric.into(),
            x: [first as f64, (panel.n_layers - 1 + first) as f64],
            whole: true,
            lines: panel.curves.iter().zip(names(panel)).map(line).collect(),
            levels: levels.into_iter().map(|(level, _)| level).collect(),
        });
    }
    Sheet { columns: columns(&study.panels), charts, legend }
}

/// What the layers of a panel's curves do.
pub(super) fn x_label(panel: &Panel) -> &'static str {
    match panel.kind() {
        Kind::Masks => "first layer that hides",
        Kind::Ablation => "layer without attention",
        Kind::Lora => "layer with an adapter",
    }
}

/// The baselines of a panel's curves, each once, with what they are called.
fn baselines(panel: &Panel) -> Vec<(Level, String)> {
    let mut all: Vec<(&CurveKey, &Baseline)> = Vec::new();
    for curve in &panel.curves {
        let Some(baseline) = &curve.baseline else { continue };
        if !all.iter().any(|(key, other)| is_same(&curve.key, baseline, key, other)) {
            all.push((&curve.key, baseline));
        }
    }
    let kind = panel.kind();
    let level = |(nth, (key, baseline)): (usize, &(&CurveKey, &Baseline))| {
        let twins = all.iter().filter(|(other, _)| setting(other) == setting(key)).count();
        let seeds: Vec<String> = baseline.seeds.iter().map(|seed| seed.seed.to_string()).collect();
        let seeds = if twins > 1 { format!(", seeds {}", seeds.join(", ")) } else { String::new() };
        let name = match (kind, nth) {
            (Kind::Ablation, _) => format!("all attention, {}{seeds}", setting(key)),
            (Kind::Lora, _) => format!("no adapter, {}{seeds}", setting(key)),
            (Kind::Masks, 0) => format!("nothing hidden{seeds}"),
            (Kind::Masks, _) => format!("nothing hidden, {}{seeds}", setting(key)),
        };
        (Level { value: baseline.score, dash: DASHES[nth.min(2)] }, name)
    };
    all.iter().enumerate().map(level).collect()
}

/// Two baselines of the same prompts and seeds are one.
pub(super) fn is_same(a: &CurveKey, of_a: &Baseline, b: &CurveKey, of_b: &Baseline) -> bool {
    let seeds = |baseline: &Baseline| baseline.seeds.iter().map(|seed| seed.seed).collect::<Vec<_>>();
    (&a.format, a.nprompts, seeds(of_a)) == (&b.format, b.nprompts, seeds(of_b))
}
