//! Tasks of a model laid over each other: layers as a share of the depth, scores of the baseline's.

use super::chart::{Chart, Level, Line, PLAIN};
use super::legend::{bands, names, notes, x_label};
use super::sheet::{LegendEntry, Sheet, Sign};
use super::style::Style;
use super::svg::TextPart;
use crate::stats::{Curve, Panel, Study};

/// A chart for each model; a line for each of its tasks and interventions.
pub fn sheet(study: &Study, titles: &[String], style: &Style) -> Sheet {
    let mut charts: Vec<(&str, Chart)> = Vec::new();
    let mut legend: Vec<LegendEntry> = Vec::new();
    for (panel, title) in study.panels.iter().zip(titles) {
        let model = panel.settings.model.as_str();
        if charts.last().is_none_or(|(of, _)| *of != model) {
            charts.push((model, empty(panel, style.names.of(model))));
        }
        for (curve, name) in panel.curves.iter().zip(names(panel)) {
            let label = label(panel, title, style.names.of(model), name);
            let line_style = match legend.iter().position(|entry| entry.label == label) {
                Some(known) => known,
                None => {
                    legend.push(LegendEntry { sign: Sign::Line(legend.len()), label });
                    legend.len() - 1
                }
            };
            if let Some((_, chart)) = charts.last_mut() {
                chart.lines.extend(line(curve, line_style, panel.n_layers));
            }
        }
    }
    legend.push(LegendEntry { sign: Sign::Level(PLAIN), label: vec![TextPart::plain("the baseline")] });
    legend.extend(bands(&study.panels, |point| point.ratio_interval));
    let charts: Vec<Chart> = charts.into_iter().map(|(_, chart)| chart).collect();
    Sheet { columns: [1, 1, 2, 3, 2][charts.len().min(4)], charts, legend, notes: notes(&study.panels) }
}

fn empty(panel: &Panel, name: &str) -> Chart {
    Chart {
        title: vec![TextPart::plain(name)],
        x_label: format!("{}, as a share of the depth", x_label(panel)),
        y_label: "score / baseline".into(),
        x: [0., 1.],
        whole: false,
        lines: Vec::new(),
        levels: vec![Level { value: 1., look: PLAIN }],
    }
}

/// `en-fr (corpus), BLEU: `, with the settings that tell it apart, and what is hidden.
fn label(panel: &Panel, title: &str, model: &str, name: Vec<TextPart>) -> Vec<TextPart> {
    let task = title.strip_prefix(&format!("{model}, ")).unwrap_or(title);
    let mut label = vec![TextPart::plain(format!("{task}, {}: ", panel.metric))];
    label.extend(name);
    label
}

/// `None` for a curve without a baseline above 0, of which there are no shares.
fn line(curve: &Curve, style: usize, n_layers: usize) -> Option<Line> {
    let depth = |layer: usize| layer as f64 / n_layers as f64;
    let points: Option<Vec<(f64, f64)>> =
        curve.points.iter().map(|point| Some((depth(point.layer), point.ratio?))).collect();
    let band: Option<Vec<[f64; 2]>> = curve.points.iter().map(|point| point.ratio_interval).collect();
    Some(Line { style, points: points?, band: band.unwrap_or_default() })
}
