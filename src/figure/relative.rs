//! Tasks of a model laid over each other: layers as a share of the depth, scores of the baseline's.

use super::chart::{Chart, Level, Line};
use super::curves::{DASHES, names, title, x_label};
use super::sheet::{Entry, Sheet, Sign};
use super::svg::Part;
use crate::stats::{Curve, Panel, Study};

/// A chart for each model; a line for each of its tasks and treatments.
pub fn sheet(study: &Study) -> Sheet {
    let mut charts: Vec<Chart> = Vec::new();
    let mut legend: Vec<Entry> = Vec::new();
    let several =
        study.panels.iter().any(|panel| names(panel) != names(&study.panels[0]) || panel.curves.len() > 1);
    for panel in &study.panels {
        if charts.last().is_none_or(|chart| chart.title != panel.settings.model) {
            charts.push(empty(panel));
        }
        for (curve, name) in panel.curves.iter().zip(names(panel)) {
            let label = label(panel, &study.panels, several.then_some(name));
            let style = match legend.iter().position(|entry| entry.label == label) {
                Some(style) => style,
                None => {
                    legend.push(Entry { sign: Sign::Line(legend.len()), label });
                    legend.len() - 1
                }
            };
            if let Some(chart) = charts.last_mut() {
                chart.lines.extend(line(curve, style, panel.n_layers));
            }
        }
    }
    Sheet { columns: [1, 1, 2, 3, 2][charts.len().min(4)], charts, legend }
}

fn empty(panel: &Panel) -> Chart {
    Chart {
        title: panel.settings.model.clone(),
        x_label: format!("{}, as a share of the depth", x_label(panel)),
        y_label: "score / baseline".into(),
        x: [0., 1.],
        whole: false,
        lines: Vec::new(),
        levels: vec![Level { value: 1., dash: DASHES[0] }],
    }
}

/// `en-fr (corpus), BLEU`, with the settings that tell it apart, and what is hidden where there are several treatments.
fn label(panel: &Panel, among: &[Panel], name: Option<Vec<Part>>) -> Vec<Part> {
    let whole = title(panel, among);
    let task = whole.strip_prefix(&format!("{}, ", panel.settings.model)).unwrap_or(&whole);
    let mut label = vec![Part::plain(format!("{task}, {}", panel.metric))];
    if let Some(name) = name {
        label.push(Part::plain(": "));
        label.extend(name);
    }
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
