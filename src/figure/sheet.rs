//! Charts side by side under one legend.

use anyhow::Result;

use super::chart::{Chart, colour, marker};
use super::image::width;
use super::svg::{Drawing, Part, Type};

/// What a legend explains.
#[derive(Debug, Clone, PartialEq)]
pub enum Sign {
    /// Colour and marker of a line.
    Line(usize),
    /// Dots and spaces of a level.
    Level(&'static str),
}

/// A line of the legend.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub sign: Sign,
    pub label: Vec<Part>,
}

/// Charts of one size, row by row, with what their lines mean.
pub struct Sheet {
    pub charts: Vec<Chart>,
    pub columns: usize,
    pub legend: Vec<Entry>,
}

/// One of several, and one alone.
const CHART: [f64; 2] = [440., 300.];
const ALONE: [f64; 2] = [640., 380.];
const EDGE: f64 = 10.;
const LEGEND_ROW: f64 = 22.;
const SIGN: f64 = 34.;
const GAP: f64 = 24.;

impl Sheet {
    /// As SVG.
    ///
    /// # Errors
    /// A text cannot be set.
    pub fn svg(&self) -> Result<String> {
        let columns = self.columns.clamp(1, self.charts.len().max(1));
        let rows = self.charts.len().div_ceil(columns);
        let size = if columns == 1 { ALONE } else { CHART };
        let sheet = columns as f64 * size[0] + 2. * EDGE;
        let mut drawing = Drawing::default();
        for (index, chart) in self.charts.iter().enumerate() {
            let (row, column) = (index / columns, index % columns);
            let corner = [EDGE + column as f64 * size[0], EDGE + row as f64 * size[1]];
            chart.draw(&mut drawing, [corner[0], corner[1], size[0], size[1]]);
        }
        let mut y = EDGE + rows as f64 * size[1] + 14.;
        for line in self.legend_lines(sheet - 2. * EDGE)? {
            let used: f64 = line.iter().map(|(_, width)| width + GAP).sum::<f64>() - GAP;
            let mut x = (sheet - used) / 2.;
            for (entry, width) in line {
                entry.draw(&mut drawing, x, y);
                x += width + GAP;
            }
            y += LEGEND_ROW;
        }
        Ok(drawing.finish(sheet, y - LEGEND_ROW + 16.))
    }

    /// Entries that fit beside each other, with their widths.
    fn legend_lines(&self, room: f64) -> Result<Vec<Vec<(&Entry, f64)>>> {
        let mut lines: Vec<Vec<(&Entry, f64)>> = Vec::new();
        let mut used = f64::INFINITY;
        for entry in &self.legend {
            let wide = SIGN + width(&entry.label, Type::new(11.5))?;
            if used + wide > room {
                lines.push(Vec::new());
                used = 0.;
            }
            if let Some(line) = lines.last_mut() {
                line.push((entry, wide));
            }
            used += wide + GAP;
        }
        Ok(lines)
    }
}

impl Entry {
    fn draw(&self, drawing: &mut Drawing, x: f64, y: f64) {
        match self.sign {
            Sign::Line(style) => {
                drawing.line([x, y, x + 26., y], colour(style), 1.7, "");
                marker(drawing, style, x + 13., y, 2.9);
            }
            Sign::Level(dash) => drawing.line([x, y, x + 26., y], "#222222", 1.3, dash),
        }
        drawing.text(x + SIGN, y + 4., &self.label, Type::new(11.5));
    }
}
