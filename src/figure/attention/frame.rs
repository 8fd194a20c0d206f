//! Rows and columns of weights as cells of a rectangle.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;

use super::super::svg::{Drawing, n};
use super::AttentionMap;

/// Steps of the scale.
pub const SHADES: usize = 48;
/// Of columns that are hidden.
pub const HIDDEN: &str = "#d9d9d9";

/// Colours of segments along the sides, the report's too.
const SEGMENT_COLOURS: [(&str, &str); 6] = [
    ("bos", "#7F7F7F"),
    ("opening", "#7F7F7F"),
    ("instructions", "#56B4E9"),
    ("examples", "#E69F00"),
    ("query", "#009E73"),
    ("closing", "#7F7F7F"),
];

/// The colour of a segment.
pub fn segment_colour(name: &str) -> &'static str {
    SEGMENT_COLOURS.iter().find(|(known, _)| *known == name).map_or("#7F7F7F", |(_, fill)| fill)
}

/// Which cells are drawn where.
#[derive(Debug, Clone)]
pub struct Frame {
    pub rows: Range<usize>,
    pub columns: Range<usize>,
    corner: [f64; 2],
    size: [f64; 2],
}

impl Frame {
    pub fn new(rows: Range<usize>, columns: Range<usize>, corner: [f64; 2], size: [f64; 2]) -> Self {
        Self { rows, columns, corner, size }
    }

    /// The same at another height.
    pub fn at(self, top: f64) -> Self {
        Self { corner: [self.corner[0], top], ..self }
    }

    pub fn left(&self) -> f64 {
        self.corner[0]
    }

    pub fn top(&self) -> f64 {
        self.corner[1]
    }

    pub fn right(&self) -> f64 {
        self.corner[0] + self.size[0]
    }

    pub fn bottom(&self) -> f64 {
        self.corner[1] + self.size[1]
    }

    /// Pixels of a cell: across and down.
    pub fn cell(&self) -> [f64; 2] {
        [self.size[0] / self.columns.len().max(1) as f64, self.size[1] / self.rows.len().max(1) as f64]
    }

    /// Left edge of a column of it, or its right edge.
    pub fn x(&self, column: usize) -> f64 {
        self.left()
            + (column.clamp(self.columns.start, self.columns.end) - self.columns.start) as f64
                * self.cell()[0]
    }

    /// Upper edge of a row of it, or its lower edge.
    pub fn y(&self, row: usize) -> f64 {
        self.top() + (row.clamp(self.rows.start, self.rows.end) - self.rows.start) as f64 * self.cell()[1]
    }
}

/// What two ranges share; empty where they do not meet.
pub fn shared(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    let from = a.start.max(b.start);
    from..a.end.min(b.end).max(from)
}

impl AttentionMap {
    /// Cells, what is hidden of them, and the segments along both sides.
    pub(super) fn draw_frame(&self, drawing: &mut Drawing, frame: &Frame) {
        drawing.rect([frame.left(), frame.top(), frame.size[0], frame.size[1]], "#fbfbfb");
        self.draw_hidden(drawing, frame);
        self.draw_weights(drawing, frame);
        for (name, range) in &self.segments {
            let (columns, rows) = (shared(range, &frame.columns), shared(range, &frame.rows));
            if !columns.is_empty() {
                let (from, till) = (frame.x(columns.start), frame.x(columns.end));
                drawing.rect([from, frame.top() - 12., till - from, 8.], segment_colour(name));
                drawing.line([from, frame.top(), from, frame.bottom()], "#b5b5b5", 0.6, "2 2");
            }
            if !rows.is_empty() {
                let (from, till) = (frame.y(rows.start), frame.y(rows.end));
                drawing.rect([frame.left() - 12., from, 8., till - from], segment_colour(name));
                drawing.line([frame.left(), from, frame.right(), from], "#b5b5b5", 0.6, "2 2");
            }
        }
    }

    /// Cells of one shade are one path.
    fn draw_weights(&self, drawing: &mut Drawing, frame: &Frame) {
        let mut shades: BTreeMap<usize, String> = BTreeMap::new();
        let high = n(frame.cell()[1]);
        for row in frame.rows.clone() {
            let (weights, end) = (&self.weights[row], frame.columns.end.min(row + 1));
            let mut column = frame.columns.start;
            while column < end {
                let shade = shade(weights[column]);
                let same =
                    weights[column..end].iter().take_while(|weight| self::shade(**weight) == shade).count();
                if shade > 0 {
                    let (x, y) = (n(frame.x(column)), n(frame.y(row)));
                    let wide = n(same as f64 * frame.cell()[0]);
                    // Writing to a string cannot fail.
                    let _ = write!(shades.entry(shade).or_default(), "M{x} {y}h{wide}v{high}h-{wide}z");
                }
                column += same;
            }
        }
        for (shade, path) in shades {
            drawing.cells(&path, &colour(shade));
        }
    }

    /// Hidden columns, hatched as far as a row could read them.
    fn draw_hidden(&self, drawing: &mut Drawing, frame: &Frame) {
        for range in self.hidden.ranges() {
            let range = shared(range, &frame.columns);
            if range.is_empty() {
                continue;
            }
            // The upper edge is level until the first row that is drawn, then goes down with the diagonal.
            let mut edge = vec![range.start, range.end];
            edge.extend(Some(frame.rows.start).filter(|row| range.contains(row)));
            edge.sort_unstable();
            let mut corners: Vec<(f64, f64)> =
                edge.iter().map(|&column| (frame.x(column), frame.y(column))).collect();
            corners.extend([(frame.x(range.end), frame.bottom()), (frame.x(range.start), frame.bottom())]);
            drawing.polygon(&corners, HIDDEN, 1.);
            let mut stripe = frame.x(range.start);
            while stripe < frame.x(range.end) {
                let column = range.start + ((stripe - frame.x(range.start)) / frame.cell()[0]) as usize;
                drawing.line([stripe, frame.y(column), stripe, frame.bottom()], "#f4f4f4", 1., "");
                stripe += 4.;
            }
        }
    }
}

/// Small weights are told apart too: by the square root.
fn shade(weight: f32) -> usize {
    (f64::from(weight).sqrt() * SHADES as f64).round() as usize
}

/// White, over blue, to nearly black: even in lightness, for any colour vision.
pub fn colour(shade: usize) -> String {
    let stops =
        [[255., 255., 255.], [198., 219., 239.], [107., 174., 214.], [33., 113., 181.], [8., 40., 90.]];
    let at = shade as f64 / SHADES as f64 * (stops.len() - 1) as f64;
    let (low, part) = (at.floor() as usize, at.fract());
    let high = (low + 1).min(stops.len() - 1);
    let mixed = [0, 1, 2].map(|i| (stops[low][i] + (stops[high][i] - stops[low][i]) * part).round() as u8);
    format!("#{:02x}{:02x}{:02x}", mixed[0], mixed[1], mixed[2])
}
