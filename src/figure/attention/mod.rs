//! The attention of one layer, seen: which row reads which column how much, the prompt's segments along both sides, and
//! what is hidden. Of a long prompt the query is drawn once more, large enough to read its tokens.

mod frame;
mod labels;

use std::ops::Range;

use anyhow::Result;
use serde::Serialize;

use self::frame::{Frame, HIDDEN, SHADES, colour};
use super::image::{Image, width};
use super::style::Style;
use super::svg::{Anchor, Drawing, TextPart, Type};
use super::text::wrap;
use crate::base::error::input;
use crate::intervene::Columns;

/// What is to be seen.
pub struct AttentionMap {
    /// `model, layer 14, head 3, TTF from layer 10`
    pub title: String,
    /// `[row][column]`, rows and columns being tokens.
    pub weights: Vec<Vec<f32>>,
    /// The tokens' texts.
    pub tokens: Vec<String>,
    /// Names and token ranges, covering the prompt.
    pub segments: Vec<(String, Range<usize>)>,
    /// The columns that this layer hides from the row that chooses the next token; none where rows read themselves alone.
    pub hidden: Columns,
}

/// One weight, for the CSV.
#[derive(Debug, Serialize)]
pub struct AttentionWeight<'a> {
    row: usize,
    row_token: &'a str,
    row_segment: &'a str,
    column: usize,
    column_token: &'a str,
    column_segment: &'a str,
    weight: f32,
}

/// Pixels across, where nothing else is asked for.
const ACROSS: f64 = 880.;
/// A map narrower than this shows nothing.
const NARROWEST: f64 = 120.;
/// Rows that are enlarged at most: the last ones.
const MOST_ROWS: usize = 80;
/// Rows that are enlarged where a prompt has no query.
const ROWS: usize = 24;

/// Where things go.
struct MapLayout {
    left: f64,
    side: f64,
    across: f64,
}

impl AttentionMap {
    /// All weights that are not 0, and each row's own, so that every token is named.
    pub fn rows(&self) -> impl Iterator<Item = AttentionWeight<'_>> {
        let segment = |at: usize| {
            self.segments.iter().find(|(_, range)| range.contains(&at)).map_or("", |(name, _)| name.as_str())
        };
        self.weights.iter().enumerate().flat_map(move |(row, weights)| {
            weights.iter().enumerate().filter(move |(column, weight)| **weight > 0. || *column == row).map(
                move |(column, &weight)| AttentionWeight {
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

    /// The heat map; and where its cells are too small for their tokens' texts, the query's rows enlarged.
    ///
    /// # Errors
    /// It would be too narrow, or a text cannot be set.
    pub fn image(&self, style: &Style) -> Result<Image> {
        let (mut drawing, n) = (Drawing::default(), self.weights.len());
        let layout = self.layout(style)?;
        let mut y = self.draw_title(&mut drawing, &layout, style)?;
        let whole = Frame::new(0..n, 0..n, [layout.left, 0.], [layout.side, layout.side]);
        y += self.above(&whole, style)?;
        let whole = whole.at(y);
        self.draw_frame(&mut drawing, &whole);
        self.name_columns(&mut drawing, &whole, style)?;
        self.name_rows(&mut drawing, &whole, style)?;
        self.draw_scale(&mut drawing, &layout, y, style);
        let legible = whole.cell()[0] >= 1.1 * style.tick();
        y = match legible {
            true => self.write_columns(&mut drawing, &whole, style)?,
            false => self.count_columns(&mut drawing, &whole, style),
        };
        match legible {
            true => self.write_rows(&mut drawing, &whole, style)?,
            false => self.count_rows(&mut drawing, &whole, style),
        }
        let middle = layout.left + layout.side / 2.;
        y += 1.4 * style.font;
        let named = Type::new(style.font).at(Anchor::Middle);
        drawing.text(middle, y, &[TextPart::plain("column: the token that is read")], named);
        let beside = (1.2 * style.font, (whole.top() + whole.bottom()) / 2.);
        let row = [TextPart::plain("row: the token that reads")];
        drawing.text(beside.0, beside.1, &row, named.turned(-90.));
        if !legible {
            y = self.draw_enlarged(&mut drawing, &layout, y + 2. * style.font, style)?;
        }
        let description = "Attention weights, darker is more, by the square root; hatched columns and segments with a line \
                           above their name are hidden";
        let svg = drawing.finish(layout.across, y + 1.2 * style.font);
        Ok(Image::new(svg, &self.title, description.into(), style))
    }

    /// The rows of the query, once with all columns and once with its own.
    fn draw_enlarged(
        &self,
        drawing: &mut Drawing,
        layout: &MapLayout,
        top: f64,
        style: &Style,
    ) -> Result<f64> {
        let (rows, n) = (self.enlarged(), self.weights.len());
        let heading = Type::new(style.font).bold();
        let each = 1.3 * style.tick();
        let high = rows.len() as f64 * each;
        let named = match self.query() {
            Some(query) if query.start == rows.start => "The rows of the query, enlarged".into(),
            _ => format!("The last {} rows, enlarged", rows.len()),
        };
        let mut y = top + heading.size;
        drawing.text(layout.left, y, &[TextPart::plain(&named)], heading);
        let strip = Frame::new(rows.clone(), 0..n, [layout.left, 0.], [layout.side, high]);
        y += self.above(&strip, style)? + 0.4 * style.font;
        let strip = strip.at(y);
        self.draw_frame(drawing, &strip);
        self.name_columns(drawing, &strip, style)?;
        self.write_rows(drawing, &strip, style)?;
        y = self.write_most_read(drawing, &strip, style)?;

        y += 2.4 * style.font;
        drawing.text(
            layout.left,
            y,
            &[TextPart::plain(format!("{named}: what they read of themselves"))],
            heading,
        );
        let wide = (rows.len() as f64 * each * 1.2).min(layout.side);
        let own = Frame::new(rows.clone(), rows, [layout.left, 0.], [wide, high]);
        y += self.above(&own, style)? + 0.4 * style.font;
        let own = own.at(y);
        self.draw_frame(drawing, &own);
        self.name_columns(drawing, &own, style)?;
        self.write_rows(drawing, &own, style)?;
        match own.cell()[0] >= 1.1 * style.tick() {
            true => self.write_columns(drawing, &own, style),
            false => self.write_most_read(drawing, &own, style),
        }
    }

    fn query(&self) -> Option<Range<usize>> {
        let found = self.segments.iter().find(|(name, range)| name == "query" && !range.is_empty());
        found.map(|(_, range)| range.clone())
    }

    /// The rows from the query on: those that choose the answer.
    fn enlarged(&self) -> Range<usize> {
        let n = self.weights.len();
        let from = self.query().map_or(n.saturating_sub(ROWS), |query| query.start);
        from.max(n.saturating_sub(MOST_ROWS))..n
    }

    /// Room for names of segments and texts of tokens left of the map, for the scale right of it.
    fn layout(&self, style: &Style) -> Result<MapLayout> {
        let across = style.width.unwrap_or(ACROSS * (style.font / super::style::FONT).max(1.));
        let mut names: f64 = 0.;
        for (name, _) in &self.segments {
            names = names.max(width(&[TextPart::plain(name)], Type::new(style.tick()))?);
        }
        let texts = self.text_room(style);
        let left = 2. * style.font + (names + 2. * style.tick()).max(texts) + 1.6 * style.font;
        let side = across - left - 6.5 * style.font;
        match side < NARROWEST {
            true => Err(input(format!(
                "a figure {across:.0} pixels wide has no room for letters of {} pixels: choose a greater --width or a smaller \
                 --font-size",
                style.font
            ))),
            false => Ok(MapLayout { left, side, across }),
        }
    }

    fn draw_title(&self, drawing: &mut Drawing, layout: &MapLayout, style: &Style) -> Result<f64> {
        let title = style.title.as_ref().unwrap_or(&self.title);
        let how = Type::new(style.heading()).bold();
        let mut y = 0.4 * style.font;
        for line in wrap(&[TextPart::plain(title)], how, layout.across - 2. * style.font, 6)? {
            y += 1.4 * how.size;
            drawing.text(layout.across / 2., y, &line, how.at(Anchor::Middle));
        }
        Ok(y + 0.8 * style.font)
    }

    fn draw_scale(&self, drawing: &mut Drawing, layout: &MapLayout, top: f64, style: &Style) {
        let (x, high) = (layout.left + layout.side + 1.6 * style.font, (0.6 * layout.side).min(240.));
        let (each, small) = (high / SHADES as f64, Type::new(style.tick()));
        drawing.text(x, top - 1.3 * style.font, &[TextPart::plain("weight")], small);
        for shade in 0..=SHADES {
            let y = top + high - shade as f64 * each;
            drawing.rect([x, y - each, 14., each + 0.5], &colour(shade));
        }
        for weight in [0., 0.01, 0.05, 0.1, 0.25, 0.5, 1.] {
            let y = top + high - f64::sqrt(weight) * high;
            drawing.line([x + 14., y, x + 18., y], "#222222", 1., "");
            drawing.text(x + 21., y + 0.36 * style.tick(), &[TextPart::plain(weight.to_string())], small);
        }
        if !self.hidden.is_empty() {
            let y = top + high + 2. * style.font;
            drawing.rect([x, y, 14., 14.], HIDDEN);
            drawing.text(x + 20., y + 11., &[TextPart { text: "hidden".into(), hidden: true }], small);
        }
    }
}
