//! Scores by layer: the study's main figure, its ablation, and tasks of a model laid over each other.

use std::collections::BTreeMap;

use anyhow::Result;

use super::chart::{Chart, Line};
use super::image::Image;
use super::label::plain;
use super::legend::{Levels, Styles, bands, names, notes, x_label};
use super::relative;
use super::sheet::Sheet;
use super::style::Style;
use super::svg::TextPart;
use super::title::titles;
use crate::intervene::InterventionKind;
use crate::stats::{Curve, Panel, Point, Study};

/// What runs along the axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Scores by layer, a chart for each model and direction; layers counted from this number (0, or 1 as the study's
    /// figures do).
    Layers(usize),
    /// A chart for each model, its tasks laid over each other: layers as a share of the depth, scores of the baseline's.
    Relative,
}

/// The figure of a study's curves.
///
/// # Errors
/// It would be too narrow, or a text cannot be set.
pub fn curves(study: &Study, axis: Axis, style: &Style) -> Result<Image> {
    let titles = titles(&study.panels, &style.names);
    let sheet = match axis {
        Axis::Layers(first) => by_layer(study, first, &titles),
        Axis::Relative => relative::sheet(study, &titles, style),
    };
    let described = study.panels.iter().zip(&titles).map(|(panel, title)| {
        let names: Vec<String> = names(panel).iter().map(|name| plain(name)).collect();
        format!("{title}: {}", names.join("; "))
    });
    let mut kinds: Vec<InterventionKind> = study.panels.iter().map(Panel::kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let title = match (axis, kinds.as_slice()) {
        (Axis::Layers(_), [InterventionKind::Ablation]) => "Score by the layer whose attention is taken out",
        (Axis::Layers(_), [InterventionKind::Lora]) => "Score by the layer that an adapter is trained on",
        (Axis::Layers(_), [InterventionKind::Windows]) => {
            "Score by the first layer of a window in which parts of the prompt are hidden"
        }
        (Axis::Layers(_), [.., InterventionKind::Lora]) => {
            "Score by the layer from which on parts of the prompt are hidden, and by the layer that an adapter is trained on"
        }
        (Axis::Layers(_), _) => "Score by the layer from which on parts of the prompt are hidden",
        (Axis::Relative, _) => "Score, as a share of the baseline's, by relative depth",
    };
    let mut description = described.collect::<Vec<_>>();
    description.extend(sheet.notes.iter().cloned());
    Ok(Image::new(sheet.svg(style)?, title, description.join(". "), style))
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

fn by_layer(study: &Study, first: usize, titles: &[String]) -> Sheet {
    let styles = Styles::new(&study.panels);
    let mut levels = Levels::new(&styles, &study.panels);
    let mut charts = Vec::new();
    for (panel, title) in study.panels.iter().zip(titles) {
        let line = |(curve, name): (&Curve, Vec<TextPart>)| {
            let points =
                curve.points.iter().map(|point| ((point.layer + first) as f64, point.score)).collect();
            let band: Option<Vec<[f64; 2]>> = curve.points.iter().map(|point| point.spread()).collect();
            Line { style: styles.of(&name), points, band: band.unwrap_or_default() }
        };
        charts.push(Chart {
            title: vec![TextPart::plain(title)],
            x_label: x_label(panel).into(),
            y_label: panel.metric.to_string(),
            x: [first as f64, (panel.n_layers - 1 + first) as f64],
            whole: true,
            lines: panel.curves.iter().zip(names(panel)).map(line).collect(),
            levels: levels.of(panel),
        });
    }
    let mut legend = styles.legend();
    legend.extend(levels.legend());
    legend.extend(bands(&study.panels, Point::spread));
    Sheet { columns: columns(&study.panels), charts, legend, notes: notes(&study.panels) }
}
