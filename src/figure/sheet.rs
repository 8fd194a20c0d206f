//! Charts side by side under one title and above one legend.

use anyhow::Result;

use super::chart::{BAND, Chart, Dashes, LegendPlace, colour, dash, marker};
use super::image::width;
use super::style::Style;
use super::svg::{Anchor, Drawing, TextPart, Type};
use super::text::wrap;
use crate::base::error::input;

/// What a legend explains.
#[derive(Debug, Clone, PartialEq)]
pub enum Sign {
    /// Colour and marker of a line.
    Line(usize),
    /// Colour and dashes of a level.
    Level(Dashes),
    /// What lies around a line.
    Band,
}

/// An entry of the legend.
#[derive(Debug, Clone, PartialEq)]
pub struct LegendEntry {
    pub sign: Sign,
    pub label: Vec<TextPart>,
}

/// Charts of one size, row by row, with what their lines mean.
pub struct Sheet {
    pub charts: Vec<Chart>,
    pub columns: usize,
    pub legend: Vec<LegendEntry>,
    /// Sentences below the legend.
    pub notes: Vec<String>,
}

/// Pixels across of one of several, and of one alone, where nothing else is asked for.
const CHART: f64 = 440.;
const ALONE: f64 = 640.;
const EDGE: f64 = 10.;
const GAP: f64 = 24.;
/// Lines of a title, of a chart's title, of an entry, of a note, at most.
const MOST_LINES: usize = 6;
/// Axes narrower than this show nothing.
const NARROWEST: f64 = 90.;

/// A text broken into lines.
type Lines = Vec<Vec<TextPart>>;

impl Sheet {
    /// As SVG.
    ///
    /// # Errors
    /// The charts would be too narrow, or a text cannot be set.
    pub fn svg(&self, style: &Style) -> Result<String> {
        let columns = self.columns.clamp(1, self.charts.len().max(1));
        let usual = columns as f64 * if columns == 1 { ALONE } else { CHART } + 2. * EDGE;
        let across = style.width.unwrap_or(usual);
        let each = (across - 2. * EDGE) / columns as f64;
        let plot_height = each * if columns == 1 { 0.47 } else { 0.5 };
        let beside = self.beside(style, each, plot_height)?;
        let mut drawing = Drawing::default();
        let mut y = self.draw_title(&mut drawing, across, style)?;
        for row in self.charts.chunks(columns) {
            let titles = row.iter().map(|chart| {
                let how = Type::new(style.heading()).bold();
                wrap(&chart.title, how, each - 2. * style.font, MOST_LINES)
            });
            let titles: Vec<Lines> = titles.collect::<Result<_>>()?;
            let lines = titles.iter().map(Vec::len).max().unwrap_or(0) as f64;
            let title = lines * 1.3 * style.heading() + 1.5 * style.font;
            for (column, (chart, lines)) in row.iter().zip(&titles).enumerate() {
                let corner = [EDGE + column as f64 * each, y];
                let place = LegendPlace { corner, width: each, title, beside, plot_height };
                chart.draw(&mut drawing, lines, place, style)?;
            }
            y += title + plot_height + LegendPlace::below(style);
        }
        y = self.draw_legend(&mut drawing, across, y + style.font, style)?;
        y = self.draw_notes(&mut drawing, across, y, style)?;
        Ok(drawing.finish(across, y + 0.4 * style.font))
    }

    /// Room left of the axes, the same for all charts.
    fn beside(&self, style: &Style, each: f64, plot_height: f64) -> Result<f64> {
        let mut beside: f64 = 0.;
        for chart in &self.charts {
            beside = beside.max(chart.beside(style, plot_height)?);
            let labels = [(&chart.x_label, each - beside), (&chart.y_label, plot_height + 2. * style.font)];
            for (label, room) in labels {
                if width(&[TextPart::plain(label)], Type::new(style.font))? > room {
                    return Err(too_narrow(style, each));
                }
            }
        }
        match each - beside - LegendPlace::RIGHT < NARROWEST {
            true => Err(too_narrow(style, each)),
            false => Ok(beside),
        }
    }

    fn draw_title(&self, drawing: &mut Drawing, across: f64, style: &Style) -> Result<f64> {
        let Some(title) = &style.title else { return Ok(EDGE) };
        let how = Type::new(1.35 * style.font).bold();
        let mut y = EDGE;
        for line in wrap(&[TextPart::plain(title)], how, across - 2. * EDGE, MOST_LINES)? {
            y += 1.3 * how.size;
            drawing.text(across / 2., y, &line, how.at(Anchor::Middle));
        }
        Ok(y + 0.6 * style.font)
    }

    fn draw_legend(&self, drawing: &mut Drawing, across: f64, top: f64, style: &Style) -> Result<f64> {
        let mut y = top;
        for row in self.legend_rows(across - 2. * EDGE, style)? {
            let used: f64 = row.iter().map(|entry| entry.wide + GAP).sum::<f64>() - GAP;
            let mut x = (across - used) / 2.;
            let lines = row.iter().map(|entry| entry.lines.len()).max().unwrap_or(1);
            for entry in row {
                entry.draw(drawing, x, y, style);
                x += entry.wide + GAP;
            }
            y += (lines as f64 - 1.) * 1.3 * style.font + 1.9 * style.font;
        }
        Ok(y)
    }

    /// Entries that fit beside each other.
    fn legend_rows(&self, room: f64, style: &Style) -> Result<Vec<Vec<Placed<'_>>>> {
        let mut rows: Vec<Vec<Placed>> = Vec::new();
        let mut used = f64::INFINITY;
        for entry in &self.legend {
            let placed = Placed::new(entry, room, style)?;
            if used + placed.wide > room {
                rows.push(Vec::new());
                used = 0.;
            }
            used += placed.wide + GAP;
            if let Some(row) = rows.last_mut() {
                row.push(placed);
            }
        }
        Ok(rows)
    }

    fn draw_notes(&self, drawing: &mut Drawing, across: f64, top: f64, style: &Style) -> Result<f64> {
        let how = Type::new(style.font);
        let mut y = top;
        for note in &self.notes {
            for line in wrap(&[TextPart::plain(note)], how, across - 4. * EDGE, MOST_LINES)? {
                drawing.text(across / 2., y, &line, how.at(Anchor::Middle));
                y += 1.4 * style.font;
            }
        }
        Ok(y)
    }
}

fn too_narrow(style: &Style, each: f64) -> anyhow::Error {
    input(format!(
        "a chart {each:.0} pixels wide has no room for letters of {} pixels: choose a greater --width or a smaller --font-size",
        style.font
    ))
}

/// An entry, its label broken to fit.
struct Placed<'a> {
    sign: &'a Sign,
    lines: Lines,
    wide: f64,
}

/// Room for an entry's sign.
fn sign_room(style: &Style) -> f64 {
    3. * style.font
}

impl<'a> Placed<'a> {
    fn new(entry: &'a LegendEntry, room: f64, style: &Style) -> Result<Self> {
        let how = Type::new(style.font);
        let lines = wrap(&entry.label, how, room - sign_room(style), MOST_LINES)?;
        let mut widest: f64 = 0.;
        for line in &lines {
            widest = widest.max(width(line, how)?);
        }
        Ok(Self { sign: &entry.sign, lines, wide: sign_room(style) + widest })
    }

    fn draw(&self, drawing: &mut Drawing, x: f64, y: f64, style: &Style) {
        let end = x + 2.3 * style.font;
        match *self.sign {
            Sign::Line(line) => {
                drawing.line([x, y, end, y], colour(line), 1.7, dash(line));
                marker(drawing, line, (x + end) / 2., y, 2.9);
            }
            Sign::Level(look) => drawing.line([x, y, end, y], look.colour, 1.5, look.dash),
            Sign::Band => {
                let half = 0.4 * style.font;
                let around = [(x, y - half), (end, y - half), (end, y + half), (x, y + half)];
                drawing.polygon(&around, "#444444", 1.5 * BAND);
            }
        }
        for (nth, line) in self.lines.iter().enumerate() {
            let below = nth as f64 * 1.3 * style.font;
            let how = Type::new(style.font);
            drawing.text(x + sign_room(style), y + 0.35 * style.font + below, line, how);
        }
    }
}
