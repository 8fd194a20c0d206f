//! What stands along the sides of a map: names of segments, texts of tokens, and where there is no room for these, their
//! numbers.

use anyhow::Result;

use super::super::image::width;
use super::super::scale::{step, ticks};
use super::super::style::Style;
use super::super::svg::{Anchor, Drawing, TextPart, Type};
use super::super::text::shortened;
use super::AttentionMap;
use super::frame::{Frame, segment_colour, shared};

/// Rows of names above a map, at most: names that find no room beside each other go higher.
const MOST_LEVELS: usize = 4;
/// Columns that nothing reads with at least this weight have no text where there is not room for all.
const READ: f32 = 0.02;

/// A segment's name above a map.
struct Name {
    text: [TextPart; 1],
    colour: &'static str,
    /// Where its segment is, and where it stands.
    points_at: f64,
    from: f64,
    level: usize,
}

impl AttentionMap {
    /// A line above what is hidden, as the paper writes it.
    fn name(&self, segment: usize) -> [TextPart; 1] {
        let (name, range) = &self.segments[segment];
        let hidden = !range.is_empty() && range.clone().all(|column| self.hidden.contains(column));
        [TextPart { text: name.clone(), hidden }]
    }

    /// Names above a map, each as near its segment as those before it allow.
    fn names_above(&self, frame: &Frame, style: &Style) -> Result<Vec<Name>> {
        let mut names: Vec<Name> = Vec::new();
        let mut taken = [f64::NEG_INFINITY; MOST_LEVELS];
        for (at, (name, range)) in self.segments.iter().enumerate() {
            let columns = shared(range, &frame.columns);
            if columns.is_empty() {
                continue;
            }
            let text = self.name(at);
            let wide = width(&text, Type::new(style.tick()))?;
            let points_at = (frame.x(columns.start) + frame.x(columns.end)) / 2.;
            let wanted = (points_at - wide / 2.).clamp(0., (frame.right() - wide).max(0.));
            let free = |level: &usize| taken[*level] <= wanted;
            // Where no level is free, the one that is free soonest, further to the right.
            let level = (0..MOST_LEVELS).find(free).unwrap_or_else(|| {
                (0..MOST_LEVELS).min_by(|a, b| taken[*a].total_cmp(&taken[*b])).unwrap_or(0)
            });
            let from = wanted.max(taken[level]);
            taken[level] = from + wide + 0.5 * style.tick();
            names.push(Name { text, colour: segment_colour(name), points_at, from, level });
        }
        Ok(names)
    }

    /// Room for the names above a map.
    pub(super) fn above(&self, frame: &Frame, style: &Style) -> Result<f64> {
        let levels = self.names_above(frame, style)?.iter().map(|name| name.level + 1).max().unwrap_or(0);
        Ok(16. + levels as f64 * 1.35 * style.tick())
    }

    pub(super) fn name_columns(&self, drawing: &mut Drawing, frame: &Frame, style: &Style) -> Result<()> {
        for name in self.names_above(frame, style)? {
            let y = frame.top() - 17. - name.level as f64 * 1.35 * style.tick();
            if name.level > 0 {
                drawing.line(
                    [name.points_at, y + 2., name.points_at, frame.top() - 12.],
                    name.colour,
                    0.8,
                    "",
                );
            }
            drawing.text(name.from, y, &name.text, Type::new(style.tick()));
        }
        Ok(())
    }

    /// Names left of a map, pushed down where they would touch.
    pub(super) fn name_rows(&self, drawing: &mut Drawing, frame: &Frame, style: &Style) -> Result<()> {
        if frame.cell()[1] >= 1.1 * style.tick() {
            // The texts of the tokens stand there.
            return Ok(());
        }
        let how = Type::new(style.tick()).at(Anchor::End);
        let mut free = f64::NEG_INFINITY;
        for (at, (name, range)) in self.segments.iter().enumerate() {
            let rows = shared(range, &frame.rows);
            if rows.is_empty() {
                continue;
            }
            let points_at = (frame.y(rows.start) + frame.y(rows.end)) / 2.;
            let y = (points_at + 0.36 * style.tick()).max(free);
            free = y + 1.2 * style.tick();
            let beside = frame.left() - 14. - 3.2 * style.tick();
            let middle = y - 0.36 * style.tick();
            drawing.line([beside + 2., middle, frame.left() - 13., points_at], segment_colour(name), 0.8, "");
            drawing.text(beside, y, &self.name(at), how);
        }
        Ok(())
    }

    /// Room for the text of a token.
    pub(super) fn text_room(&self, style: &Style) -> f64 {
        8.5 * style.tick()
    }

    /// A token's text as it can be seen: spaces and line ends too.
    fn text(&self, token: usize, style: &Style) -> Result<String> {
        let shown: String = self.tokens[token]
            .chars()
            .map(|c| match c {
                ' ' => '␣',
                '\n' => '↵',
                '\t' => '→',
                c => c,
            })
            .collect();
        shortened(&shown, Type::new(style.tick()), self.text_room(style) - style.tick())
    }

    /// The text of each row's token.
    pub(super) fn write_rows(&self, drawing: &mut Drawing, frame: &Frame, style: &Style) -> Result<()> {
        let how = Type::new(style.tick()).at(Anchor::End);
        for row in frame.rows.clone() {
            let y = frame.y(row) + frame.cell()[1] / 2. + 0.36 * style.tick();
            drawing.text(frame.left() - 16., y, &[TextPart::plain(self.text(row, style)?)], how);
        }
        Ok(())
    }

    /// The text of each column's token, below; says where they end.
    pub(super) fn write_columns(&self, drawing: &mut Drawing, frame: &Frame, style: &Style) -> Result<f64> {
        let columns: Vec<usize> = frame.columns.clone().collect();
        self.write_below(drawing, frame, &columns, style)
    }

    /// The texts of the columns that are read most, as many as have room; says where they end.
    pub(super) fn write_most_read(&self, drawing: &mut Drawing, frame: &Frame, style: &Style) -> Result<f64> {
        let most = |column: usize| {
            let of_rows = frame.rows.clone().filter(|row| *row >= column);
            of_rows.map(|row| self.weights[row][column]).fold(0., f32::max)
        };
        let mut columns: Vec<(usize, f32)> =
            frame.columns.clone().map(|column| (column, most(column))).collect();
        columns.retain(|(_, weight)| *weight >= READ);
        columns.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut placed: Vec<usize> = Vec::new();
        for (column, _) in columns {
            let apart = |other: &usize| (frame.x(*other) - frame.x(column)).abs() >= 1.15 * style.tick();
            if placed.iter().all(apart) {
                placed.push(column);
            }
        }
        placed.sort_unstable();
        self.write_below(drawing, frame, &placed, style)
    }

    fn write_below(
        &self,
        drawing: &mut Drawing,
        frame: &Frame,
        columns: &[usize],
        style: &Style,
    ) -> Result<f64> {
        let how = Type::new(style.tick()).at(Anchor::End).turned(-90.);
        let mut longest: f64 = 0.;
        for &column in columns {
            let text = [TextPart::plain(self.text(column, style)?)];
            longest = longest.max(width(&text, Type::new(style.tick()))?);
            let x = frame.x(column) + frame.cell()[0] / 2.;
            drawing.line([x, frame.bottom(), x, frame.bottom() + 4.], "#222222", 0.7, "");
            drawing.text(x + 0.36 * style.tick(), frame.bottom() + 6., &text, how);
        }
        Ok(frame.bottom() + 6. + longest)
    }

    /// Numbers of columns, below; says where they end.
    pub(super) fn count_columns(&self, drawing: &mut Drawing, frame: &Frame, style: &Style) -> f64 {
        for tick in self.counted(frame, style) {
            let x = frame.x(tick) + frame.cell()[0] / 2.;
            let text = [TextPart::plain(tick.to_string())];
            let how = Type::new(style.tick()).at(Anchor::Middle);
            drawing.line([x, frame.bottom(), x, frame.bottom() + 4.], "#222222", 0.7, "");
            drawing.text(x, frame.bottom() + 1.6 * style.tick(), &text, how);
        }
        frame.bottom() + 1.6 * style.tick()
    }

    pub(super) fn count_rows(&self, drawing: &mut Drawing, frame: &Frame, style: &Style) {
        for tick in self.counted(frame, style) {
            let y = frame.y(tick) + frame.cell()[1] / 2.;
            let how = Type::new(style.tick()).at(Anchor::End);
            let text = [TextPart::plain(tick.to_string())];
            drawing.text(frame.left() - 15., y + 0.36 * style.tick(), &text, how);
        }
    }

    fn counted(&self, frame: &Frame, style: &Style) -> Vec<usize> {
        let (last, side) = (self.weights.len() as f64 - 1., frame.right() - frame.left());
        let wanted = (side / (6. * style.tick())).clamp(1., 10.);
        ticks(0., last, step(last.max(1.), wanted).max(1.)).into_iter().map(|tick| tick as usize).collect()
    }
}
