//! One pair of axes with its lines.

use anyhow::Result;

use super::image::width;
use super::scale::{Scale, label, step, ticks};
use super::style::Style;
use super::svg::{Anchor, Drawing, TextPart, Type};

/// Colours that people with any colour vision tell apart (Okabe and Ito, 2008), black left to baselines.
pub const COLOURS: [&str; 7] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F"];

/// Of texts, axes, and the first baseline.
pub const INK: &str = "#222222";

/// One line of points.
#[derive(Debug, Clone)]
pub struct Line {
    /// Index of colour and marker.
    pub style: usize,
    /// Ascending in x.
    pub points: Vec<(f64, f64)>,
    /// From and to, where there is a spread: as many as points, or none.
    pub band: Vec<[f64; 2]>,
}

/// A level all across.
#[derive(Debug, Clone)]
pub struct Level {
    pub value: f64,
    pub look: Dashes,
}

/// How a level is drawn: colour, and dashes as in SVG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dashes {
    pub colour: &'static str,
    pub dash: &'static str,
}

/// The look of the only level, or of the first.
pub const PLAIN: Dashes = Dashes { colour: INK, dash: "7 4" };

/// One pair of axes.
#[derive(Debug, Clone)]
pub struct Chart {
    pub title: Vec<TextPart>,
    pub x_label: String,
    pub y_label: String,
    /// First and last layer.
    pub x: [f64; 2],
    /// The ticks of x fall on whole numbers, one of them on the first.
    pub whole: bool,
    pub lines: Vec<Line>,
    pub levels: Vec<Level>,
}

/// Where a chart goes.
#[derive(Debug, Clone, Copy)]
pub struct LegendPlace {
    /// Its left and upper edge, with the room for its title.
    pub corner: [f64; 2],
    pub width: f64,
    /// Room for the title's lines.
    pub title: f64,
    /// Room for the numbers and the name of the y axis.
    pub beside: f64,
    /// Of the axes alone.
    pub plot_height: f64,
}

impl LegendPlace {
    /// Room below the axes.
    pub fn below(style: &Style) -> f64 {
        4. * style.font
    }

    /// Room right of the axes.
    pub const RIGHT: f64 = 12.;
}

/// About how many ticks fit, at most five beside the y axis.
fn wanted(length: f64, each: f64, most: f64) -> f64 {
    (length / each).clamp(1., most)
}

impl Chart {
    fn y_range(&self) -> [f64; 2] {
        let points = self.lines.iter().flat_map(|line| line.points.iter().map(|(_, y)| *y));
        let bands = self.lines.iter().flat_map(|line| line.band.iter().flatten().copied());
        let levels = self.levels.iter().map(|level| level.value);
        let all: Vec<f64> = points.chain(bands).chain(levels).filter(|y| y.is_finite()).collect();
        let (low, high) = all.iter().fold((0f64, 0f64), |(low, high), y| (low.min(*y), high.max(*y)));
        let high = if high > low { high } else { low + 1. };
        let step = step(high - low, 5.);
        [(low / step + 1e-9).floor() * step, (high / step - 1e-9).ceil() * step]
    }

    fn y_step(&self, style: &Style, plot_height: f64) -> f64 {
        let [low, high] = self.y_range();
        step(high - low, wanted(plot_height, 2.2 * style.tick(), 5.))
    }

    /// Room that the numbers and the name of the y axis need.
    ///
    /// # Errors
    /// A text cannot be set.
    pub fn beside(&self, style: &Style, plot_height: f64) -> Result<f64> {
        let ([low, high], step) = (self.y_range(), self.y_step(style, plot_height));
        let mut widest: f64 = 0.;
        for tick in ticks(low, high, step) {
            widest = widest.max(width(&[TextPart::plain(label(tick, step))], Type::new(style.tick()))?);
        }
        Ok(widest + 2.2 * style.font + 9.)
    }

    /// Draw; the title's lines are given, broken to fit.
    ///
    /// # Errors
    /// A text cannot be set.
    pub fn draw(
        &self,
        drawing: &mut Drawing,
        title: &[Vec<TextPart>],
        place: LegendPlace,
        style: &Style,
    ) -> Result<()> {
        let [left, top] = place.corner;
        let [low, high] = self.y_range();
        // A little room on both sides, so that the first and last marker are whole.
        let pad = ((self.x[1] - self.x[0]) * 0.02).max(1e-3);
        let x = Scale {
            low: self.x[0] - pad,
            high: self.x[1] + pad,
            from: left + place.beside,
            to: left + place.width - LegendPlace::RIGHT,
        };
        let end = top + place.title + place.plot_height;
        let y = Scale { low, high, from: end, to: top + place.title };
        let middle = left + place.width / 2.;
        let heading = Type::new(style.heading()).bold().at(Anchor::Middle);
        for (nth, line) in title.iter().enumerate() {
            let above = (title.len() - nth) as f64 - 1.;
            drawing.text(middle, y.to - 0.8 * style.font - above * 1.3 * style.heading(), line, heading);
        }
        self.axes(drawing, &x, &y, style)?;
        let named = Type::new(style.font).at(Anchor::Middle);
        drawing.text((x.from + x.to) / 2., end + 3.1 * style.font, &[TextPart::plain(&self.x_label)], named);
        let y_label = [TextPart::plain(&self.y_label)];
        drawing.text(left + 1.3 * style.font, (y.from + y.to) / 2., &y_label, named.turned(-90.));
        for line in &self.lines {
            line.draw_band(drawing, &x, &y);
        }
        for level in &self.levels {
            let at = y.at(level.value);
            drawing.line([x.from, at, x.to, at], level.look.colour, 1.5, level.look.dash);
        }
        for line in &self.lines {
            line.draw(drawing, &x, &y);
        }
        Ok(())
    }

    fn axes(&self, drawing: &mut Drawing, x: &Scale, y: &Scale, style: &Style) -> Result<()> {
        let small = Type::new(style.tick());
        let y_step = self.y_step(style, y.from - y.to);
        for tick in ticks(y.low, y.high, y_step) {
            let at = y.at(tick);
            drawing.line([x.from, at, x.to, at], "#e4e4e4", 1., "");
            let text = [TextPart::plain(label(tick, y_step))];
            drawing.text(x.from - 7., at + 0.36 * style.tick(), &text, small.at(Anchor::End));
        }
        for (tick, text) in self.x_ticks(x, style)? {
            let at = x.at(tick);
            drawing.line([at, y.from, at, y.from + 4.], INK, 1., "");
            drawing.text(at, y.from + 1.6 * style.tick(), &text, small.at(Anchor::Middle));
        }
        drawing.line([x.from, y.from, x.to, y.from], INK, 1., "");
        drawing.line([x.from, y.from, x.from, y.to], INK, 1., "");
        if y.low < 0. {
            drawing.line([x.from, y.at(0.), x.to, y.at(0.)], "#999999", 1., "");
        }
        Ok(())
    }

    /// Ticks along x with their texts. Of layers the first has one, so that it is seen where counting begins.
    fn x_ticks(&self, x: &Scale, style: &Style) -> Result<Vec<(f64, [TextPart; 1])>> {
        let step = step(self.x[1] - self.x[0], wanted(x.to - x.from, 5. * style.font, 8.));
        let step = if self.whole { step.max(1.) } else { step };
        let mut all = ticks(self.x[0], self.x[1], step);
        if self.whole && all.first().is_none_or(|first| *first > self.x[0]) {
            all.insert(0, self.x[0]);
        }
        let mut kept: Vec<(f64, [TextPart; 1])> = Vec::new();
        let mut free = f64::NEG_INFINITY;
        for tick in all {
            let text = [TextPart::plain(label(tick, step))];
            let half = width(&text, Type::new(style.tick()))? / 2.;
            // One that would touch the one before is left out.
            if x.at(tick) - half > free {
                free = x.at(tick) + half + 0.4 * style.tick();
                kept.push((tick, text));
            }
        }
        Ok(kept)
    }
}

impl Line {
    fn draw_band(&self, drawing: &mut Drawing, x: &Scale, y: &Scale) {
        if self.band.len() != self.points.len() {
            return;
        }
        if let ([(at, _)], [band]) = (self.points.as_slice(), self.band.as_slice()) {
            // A band without breadth would not be seen.
            let [low, high] = band.map(|end| y.within(end));
            drawing.line([x.at(*at), low, x.at(*at), high], colour(self.style), 1.2, "");
            return;
        }
        let edge = |end: usize| {
            self.points.iter().zip(&self.band).map(move |((at, _), band)| (x.at(*at), y.within(band[end])))
        };
        let around: Vec<(f64, f64)> = edge(0).chain(edge(1).rev()).collect();
        drawing.polygon(&around, colour(self.style), BAND);
    }

    fn draw(&self, drawing: &mut Drawing, x: &Scale, y: &Scale) {
        let points: Vec<(f64, f64)> =
            self.points.iter().map(|(at, value)| (x.at(*at), y.within(*value))).collect();
        drawing.polyline(&points, colour(self.style), 1.7, dash(self.style));
        for &(at, value) in &points {
            marker(drawing, self.style, at, value, 2.9);
        }
    }
}

/// How dense bands are.
pub const BAND: f64 = 0.16;

/// The colour of a style.
pub fn colour(style: usize) -> &'static str {
    COLOURS[style % COLOURS.len()]
}

/// The dashes of a style: none, until there are more lines than colours.
pub fn dash(style: usize) -> &'static str {
    ["", "6 3", "2 3", "8 3 2 3"][(style / COLOURS.len()) % 4]
}

/// A mark: each style has its own shape, for those who print without colour; hollow where its colour comes again.
pub fn marker(drawing: &mut Drawing, style: usize, x: f64, y: f64, size: f64) {
    let corners: Vec<(f64, f64)> = match style % COLOURS.len() {
        0 => {
            (0..16).map(|i| f64::from(i) / 16. * std::f64::consts::TAU).map(|a| (a.cos(), a.sin())).collect()
        }
        1 => vec![(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        2 => vec![(0., -1.2), (1.1, 0.8), (-1.1, 0.8)],
        3 => vec![(0., -1.3), (1.3, 0.), (0., 1.3), (-1.3, 0.)],
        4 => vec![(0., 1.2), (1.1, -0.8), (-1.1, -0.8)],
        5 => vec![
            (-1.2, -0.4),
            (-0.4, -0.4),
            (-0.4, -1.2),
            (0.4, -1.2),
            (0.4, -0.4),
            (1.2, -0.4),
            (1.2, 0.4),
            (0.4, 0.4),
            (0.4, 1.2),
            (-0.4, 1.2),
            (-0.4, 0.4),
            (-1.2, 0.4),
        ],
        _ => vec![(-1.3, -0.5), (1.3, -0.5), (1.3, 0.5), (-1.3, 0.5)],
    };
    let scaled = |size: f64| -> Vec<(f64, f64)> {
        corners.iter().map(|(dx, dy)| (x + dx * size, y + dy * size)).collect()
    };
    drawing.polygon(&scaled(size), colour(style), 1.);
    if style >= COLOURS.len() {
        drawing.polygon(&scaled(size * 0.5), "#ffffff", 1.);
    }
}
