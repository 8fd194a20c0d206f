//! One pair of axes with its lines.

use super::scale::{Scale, label, step, ticks};
use super::svg::{Anchor, Drawing, Part, Type};

/// Colours that people with any colour vision tell apart (Okabe and Ito, 2008), black left to baselines.
pub const COLOURS: [&str; 7] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F"];

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
    /// Dots and spaces of its line, as in SVG.
    pub dash: &'static str,
}

/// One pair of axes.
#[derive(Debug, Clone)]
pub struct Chart {
    pub title: String,
    pub x_label: String,
    pub y_label: String,
    /// First and last layer.
    pub x: [f64; 2],
    /// The ticks of x fall on whole numbers.
    pub whole: bool,
    pub lines: Vec<Line>,
    pub levels: Vec<Level>,
}

/// Room around the axes: left, top, right, bottom.
const MARGIN: [f64; 4] = [54., 34., 12., 46.];

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

    /// Draw into a rectangle.
    pub fn draw(&self, drawing: &mut Drawing, [left, top, width, height]: [f64; 4]) {
        let [low, high] = self.y_range();
        // A little room on both sides, so that the first and last marker are whole.
        let pad = ((self.x[1] - self.x[0]) * 0.02).max(1e-3);
        let x = Scale {
            low: self.x[0] - pad,
            high: self.x[1] + pad,
            from: left + MARGIN[0],
            to: left + width - MARGIN[2],
        };
        let y = Scale { low, high, from: top + height - MARGIN[3], to: top + MARGIN[1] };
        self.axes(drawing, &x, &y);
        drawing.text(
            (x.from + x.to) / 2.,
            top + 20.,
            &[Part::plain(&self.title)],
            Type::new(13.).bold().at(Anchor::Middle),
        );
        let below = top + height - 10.;
        drawing.text(
            (x.from + x.to) / 2.,
            below,
            &[Part::plain(&self.x_label)],
            Type::new(11.5).at(Anchor::Middle),
        );
        let (beside, middle) = (left + 15., (y.from + y.to) / 2.);
        let y_label = [Part::plain(&self.y_label)];
        drawing.text(beside, middle, &y_label, Type::new(11.5).at(Anchor::Middle).turned(-90.));
        for line in &self.lines {
            line.draw_band(drawing, &x, &y);
        }
        for level in &self.levels {
            let at = y.at(level.value);
            drawing.line([x.from, at, x.to, at], "#222222", 1.3, level.dash);
        }
        for line in &self.lines {
            line.draw(drawing, &x, &y);
        }
    }

    fn axes(&self, drawing: &mut Drawing, x: &Scale, y: &Scale) {
        let y_step = step(y.high - y.low, 5.);
        for tick in ticks(y.low, y.high, y_step) {
            let at = y.at(tick);
            drawing.line([x.from, at, x.to, at], "#e4e4e4", 1., "");
            let text = [Part::plain(label(tick, y_step))];
            drawing.text(x.from - 7., at + 3.6, &text, Type::new(10.).at(Anchor::End));
        }
        let x_step = step(self.x[1] - self.x[0], 6.);
        let x_step = if self.whole { x_step.max(1.) } else { x_step };
        for tick in ticks(self.x[0], self.x[1], x_step) {
            let at = x.at(tick);
            drawing.line([at, y.from, at, y.from + 4.], "#222222", 1., "");
            let text = [Part::plain(label(tick, x_step))];
            drawing.text(at, y.from + 16., &text, Type::new(10.).at(Anchor::Middle));
        }
        drawing.line([x.from, y.from, x.to, y.from], "#222222", 1., "");
        drawing.line([x.from, y.from, x.from, y.to], "#222222", 1., "");
        if y.low < 0. {
            drawing.line([x.from, y.at(0.), x.to, y.at(0.)], "#999999", 1., "");
        }
    }
}

impl Line {
    fn draw_band(&self, drawing: &mut Drawing, x: &Scale, y: &Scale) {
        if self.band.len() != self.points.len() || self.points.len() < 2 {
            return;
        }
        let edge = |end: usize| {
            self.points.iter().zip(&self.band).map(move |((at, _), band)| (x.at(*at), y.within(band[end])))
        };
        let around: Vec<(f64, f64)> = edge(0).chain(edge(1).rev()).collect();
        drawing.polygon(&around, colour(self.style), 0.16);
    }

    fn draw(&self, drawing: &mut Drawing, x: &Scale, y: &Scale) {
        let points: Vec<(f64, f64)> =
            self.points.iter().map(|(at, value)| (x.at(*at), y.within(*value))).collect();
        drawing.polyline(&points, colour(self.style), 1.7);
        for &(at, value) in &points {
            marker(drawing, self.style, at, value, 2.9);
        }
    }
}

/// The colour of a style.
pub fn colour(style: usize) -> &'static str {
    COLOURS[style % COLOURS.len()]
}

/// A filled mark: each style has its own shape, for those who print without colour.
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
    let corners: Vec<(f64, f64)> =
        corners.into_iter().map(|(dx, dy)| (x + dx * size, y + dy * size)).collect();
    drawing.polygon(&corners, colour(style), 1.);
}
