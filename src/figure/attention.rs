//! The attention of one layer, seen: which row reads which column how much, the prompt's segments along both sides, and
//! what is hidden.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;

use anyhow::Result;
use serde::Serialize;

use super::image::{Image, width};
use super::scale::{step, ticks};
use super::svg::{Anchor, Drawing, Part, Type, n};
use crate::mask::Hidden;

/// What is to be seen.
pub struct Seen {
    /// `model, layer 14, head 3, TTF from layer 10`
    pub title: String,
    /// `[row][column]`, rows and columns being tokens.
    pub weights: Vec<Vec<f32>>,
    /// The tokens' texts.
    pub tokens: Vec<String>,
    /// Names and token ranges, covering the prompt.
    pub segments: Vec<(String, Range<usize>)>,
    /// What this layer hides.
    pub hidden: Hidden,
}

/// One weight, for the CSV.
#[derive(Debug, Serialize)]
pub struct Weight<'a> {
    row: usize,
    row_token: &'a str,
    row_segment: &'a str,
    column: usize,
    column_token: &'a str,
    column_segment: &'a str,
    weight: f32,
}

const LEFT: f64 = 96.;
const TOP: f64 = 74.;
const SIDE: f64 = 620.;
const SHADES: usize = 48;

/// Colours of segments along the sides, the report's too.
const SEGMENT_COLOURS: [(&str, &str); 6] = [
    ("bos", "#7F7F7F"),
    ("opening", "#7F7F7F"),
    ("instructions", "#56B4E9"),
    ("examples", "#E69F00"),
    ("query", "#009E73"),
    ("closing", "#7F7F7F"),
];

impl Seen {
    /// All weights that are not 0, and each row's own, so that every token is named.
    pub fn rows(&self) -> impl Iterator<Item = Weight<'_>> {
        let segment = |at: usize| {
            self.segments.iter().find(|(_, range)| range.contains(&at)).map_or("", |(name, _)| name.as_str())
        };
        self.weights.iter().enumerate().flat_map(move |(row, weights)| {
            weights.iter().enumerate().filter(move |(column, weight)| **weight > 0. || *column == row).map(
                move |(column, &weight)| Weight {
                    row,
                    row_token: &self.tokens[row],
                    row_segment: segment(row),
                    column,
                    column_token: &self.tokens[column],
                    column_segment: segment(column),
                    weight,
                },
            )
        })
    }

    /// The heat map.
    ///
    /// # Errors
    /// A text cannot be set.
    pub fn image(&self) -> Result<Image> {
        let cell = SIDE / self.weights.len().max(1) as f64;
        let mut drawing = Drawing::default();
        drawing.text(
            LEFT + SIDE / 2.,
            22.,
            &[Part::plain(&self.title)],
            Type::new(13.).bold().at(Anchor::Middle),
        );
        drawing.rect([LEFT, TOP, SIDE, SIDE], "#fbfbfb");
        self.draw_hidden(&mut drawing, cell);
        self.draw_weights(&mut drawing, cell);
        self.draw_segments(&mut drawing, cell)?;
        self.draw_scale(&mut drawing);
        let (end, below) = (TOP + SIDE, TOP + SIDE + 38.);
        drawing.text(
            LEFT + SIDE / 2.,
            below,
            &[Part::plain("column: the token that is read")],
            Type::new(11.5).at(Anchor::Middle),
        );
        let beside = Type::new(11.5).at(Anchor::Middle).turned(-90.);
        drawing.text(16., TOP + SIDE / 2., &[Part::plain("row: the token that reads")], beside);
        let description =
            "Attention weights, darker is more, by the square root; hatched columns are hidden".into();
        Ok(Image {
            svg: drawing.finish(LEFT + SIDE + 86., end + 52.),
            title: self.title.clone(),
            description,
        })
    }

    /// Cells of one shade are one path.
    fn draw_weights(&self, drawing: &mut Drawing, cell: f64) {
        let mut shades: BTreeMap<usize, String> = BTreeMap::new();
        for (row, weights) in self.weights.iter().enumerate() {
            let mut column = 0;
            while column <= row {
                let shade = shade(weights[column]);
                let same =
                    weights[column..=row].iter().take_while(|weight| self::shade(**weight) == shade).count();
                if shade > 0 {
                    let (x, y) = (LEFT + column as f64 * cell, TOP + row as f64 * cell);
                    let (width, high) = (n(same as f64 * cell), n(cell));
                    // Writing to a string cannot fail.
                    let _ = write!(
                        shades.entry(shade).or_default(),
                        "M{} {}h{width}v{high}h-{width}z",
                        n(x),
                        n(y)
                    );
                }
                column += same;
            }
        }
        for (shade, path) in shades {
            drawing.cells(&path, &colour(shade));
        }
    }

    /// Hidden columns, hatched as far as a row could read them.
    fn draw_hidden(&self, drawing: &mut Drawing, cell: f64) {
        let Hidden::Columns(columns) = &self.hidden else { return };
        let rows = self.weights.len();
        for range in columns.ranges() {
            let (from, till) = (range.start.min(rows), range.end.min(rows));
            let at = |column: usize| (LEFT + column as f64 * cell, TOP + column as f64 * cell);
            let corners = [at(from), at(till), (at(till).0, TOP + SIDE), (at(from).0, TOP + SIDE)];
            drawing.polygon(&corners, "#d9d9d9", 1.);
            let mut stripe = at(from).0;
            while stripe < at(till).0 {
                let top = TOP + (stripe - LEFT);
                drawing.line([stripe, top, stripe, TOP + SIDE], "#f4f4f4", 1., "");
                stripe += 4.;
            }
        }
    }

    fn draw_segments(&self, drawing: &mut Drawing, cell: f64) -> Result<()> {
        for (name, range) in self.segments.iter().filter(|(_, range)| !range.is_empty()) {
            let fill =
                SEGMENT_COLOURS.iter().find(|(known, _)| known == name).map_or("#7F7F7F", |(_, fill)| fill);
            let (from, size) = (range.start as f64 * cell, range.len() as f64 * cell);
            drawing.rect([LEFT + from, TOP - 12., size, 8.], fill);
            drawing.rect([LEFT - 12., TOP + from, 8., size], fill);
            drawing.line([LEFT + from, TOP, LEFT + from, TOP + SIDE], "#b5b5b5", 0.6, "2 2");
            drawing.line([LEFT, TOP + from, LEFT + SIDE, TOP + from], "#b5b5b5", 0.6, "2 2");
            let text = [Part::plain(name)];
            if width(&text, Type::new(10.))? < size {
                drawing.text(LEFT + from + size / 2., TOP - 18., &text, Type::new(10.).at(Anchor::Middle));
                let beside = Type::new(10.).at(Anchor::Middle).turned(-90.);
                drawing.text(LEFT - 46., TOP + from + size / 2., &text, beside);
            }
        }
        let last = self.weights.len() as f64 - 1.;
        for tick in ticks(0., last, step(last.max(1.), 8.).max(1.)) {
            let at = (tick + 0.5) * cell;
            let text = [Part::plain(format!("{tick:.0}"))];
            drawing.text(LEFT + at, TOP + SIDE + 15., &text, Type::new(9.).at(Anchor::Middle));
            drawing.text(LEFT - 16., TOP + at + 3., &text, Type::new(9.).at(Anchor::End));
        }
        Ok(())
    }

    fn draw_scale(&self, drawing: &mut Drawing) {
        let (x, high) = (LEFT + SIDE + 22., 240.);
        let each = high / SHADES as f64;
        for shade in 0..=SHADES {
            let y = TOP + high - shade as f64 * each;
            drawing.rect([x, y - each, 14., each + 0.5], &colour(shade));
        }
        for weight in [0., 0.01, 0.05, 0.1, 0.25, 0.5, 1.] {
            let y = TOP + high - f64::sqrt(weight) * high;
            drawing.line([x + 14., y, x + 18., y], "#222222", 1., "");
            drawing.text(x + 21., y + 3.4, &[Part::plain(weight.to_string())], Type::new(9.));
        }
        drawing.text(x, TOP - 18., &[Part::plain("weight")], Type::new(10.));
        if matches!(&self.hidden, Hidden::Columns(columns) if !columns.is_empty()) {
            drawing.rect([x, TOP + high + 22., 14., 14.], "#d9d9d9");
            drawing.text(x + 20., TOP + high + 33., &[Part::plain("hidden")], Type::new(10.));
        }
    }
}

/// Small weights are told apart too: by the square root.
fn shade(weight: f32) -> usize {
    (f64::from(weight).sqrt() * SHADES as f64).round() as usize
}

/// White, over blue, to nearly black: even in lightness, for any colour vision.
fn colour(shade: usize) -> String {
    let stops =
        [[255., 255., 255.], [198., 219., 239.], [107., 174., 214.], [33., 113., 181.], [8., 40., 90.]];
    let at = shade as f64 / SHADES as f64 * (stops.len() - 1) as f64;
    let (low, part) = (at.floor() as usize, at.fract());
    let high = (low + 1).min(stops.len() - 1);
    let mixed = [0, 1, 2].map(|i| (stops[low][i] + (stops[high][i] - stops[low][i]) * part).round() as u8);
    format!("#{:02x}{:02x}{:02x}", mixed[0], mixed[1], mixed[2])
}
