//! A drawing in the making: SVG elements, one behind the other.

use std::fmt::Write;

use crate::base::error::is_obeyed;

/// One stretch of a text.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TextPart {
    /// What it says.
    pub text: String,
    /// Drawn with a line above it: what is hidden, as the paper writes it.
    pub hidden: bool,
}

impl TextPart {
    /// A stretch without a line.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), hidden: false }
    }
}

/// Which point of a text stands at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text is set.
#[derive(Debug, Clone, Copy)]
pub struct Type {
    /// Pixels.
    pub size: f64,
    pub bold: bool,
    pub anchor: Anchor,
    /// Degrees, clockwise around the place.
    pub turned: f64,
}

impl Type {
    /// Upright, from its place to the right.
    pub fn new(size: f64) -> Self {
        Self { size, bold: false, anchor: Anchor::Start, turned: 0. }
    }

    pub fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub fn at(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }

    pub fn turned(self, turned: f64) -> Self {
        Self { turned, ..self }
    }
}

/// Elements so far.
#[derive(Debug, Default)]
pub struct Drawing {
    elements: String,
}

impl Drawing {
    /// A filled rectangle.
    pub fn rect(&mut self, [x, y, width, height]: [f64; 4], fill: &str) {
        self.add(format_args!(
            r#"<rect x="{}" y="{}" width="{}" height="{}" fill="{fill}"/>"#,
            n(x),
            n(y),
            n(width),
            n(height)
        ));
    }

    /// A straight line; `dash` as in SVG, empty for none.
    pub fn line(&mut self, [x1, y1, x2, y2]: [f64; 4], stroke: &str, width: f64, dash: &str) {
        let dash = if dash.is_empty() { String::new() } else { format!(r#" stroke-dasharray="{dash}""#) };
        self.add(format_args!(
            r#"<line x1="{}" y1="{}" x2="{}" y2="{}" stroke="{stroke}" stroke-width="{}"{dash}/>"#,
            n(x1),
            n(y1),
            n(x2),
            n(y2),
            n(width)
        ));
    }

    /// A line through points; `dash` as in SVG, empty for none.
    pub fn polyline(&mut self, points: &[(f64, f64)], stroke: &str, width: f64, dash: &str) {
        let points = joined(points);
        let dash = if dash.is_empty() { String::new() } else { format!(r#" stroke-dasharray="{dash}""#) };
        self.add(format_args!(
            r#"<polyline points="{points}" fill="none" stroke="{stroke}" stroke-width="{}"{dash} stroke-linejoin="round" stroke-linecap="round"/>"#,
            n(width)
        ));
    }

    /// A filled area.
    pub fn polygon(&mut self, points: &[(f64, f64)], fill: &str, opacity: f64) {
        let points = joined(points);
        self.add(format_args!(r#"<polygon points="{points}" fill="{fill}" fill-opacity="{}"/>"#, n(opacity)));
    }

    /// Any path, filled without smoothing, as cells of a raster are.
    pub fn cells(&mut self, path: &str, fill: &str) {
        self.add(format_args!(r#"<path d="{path}" fill="{fill}" shape-rendering="crispEdges"/>"#));
    }

    /// Text, stretch by stretch.
    pub fn text(&mut self, x: f64, y: f64, parts: &[TextPart], how: Type) {
        let anchor = match how.anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let weight = if how.bold { r#" font-weight="bold""# } else { "" };
        let turned = match how.turned {
            0. => String::new(),
            degrees => format!(r#" transform="rotate({} {} {})""#, n(degrees), n(x), n(y)),
        };
        let spans: String = parts
            .iter()
            .map(|part| match part.hidden {
                true => {
                    format!(r#"<tspan text-decoration="overline">{}</tspan>"#, escaped(&part.text))
                }
                false => format!("<tspan>{}</tspan>", escaped(&part.text)),
            })
            .collect();
        self.add(format_args!(
            r##"<text x="{}" y="{}" font-family="DejaVu Sans, Verdana, sans-serif" font-size="{}"{weight} text-anchor="{anchor}" fill="#222222" xml:space="preserve"{turned}>{spans}</text>"##,
            n(x),
            n(y),
            n(how.size),
        ));
    }

    fn add(&mut self, element: std::fmt::Arguments) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.elements, "{element}");
    }

    /// The whole image, white.
    pub fn finish(&self, width: f64, height: f64) -> String {
        let (width, height) = (n(width), n(height));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} \
             {height}\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n{}</svg>\n",
            self.elements
        )
    }
}

fn joined(points: &[(f64, f64)]) -> String {
    points.iter().map(|(x, y)| format!("{},{}", n(*x), n(*y))).collect::<Vec<_>>().join(" ")
}

/// A coordinate to a hundredth of a pixel, without needless digits: the same on every machine.
pub fn n(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

/// Text as XML holds it; control characters, which XML has no place for, are shown as such.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() || is_obeyed(c) || matches!(c, '\u{FFFE}' | '\u{FFFF}') => {
                out.push('\u{FFFD}')
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_text_is_safe() {
        assert_eq!([n(1.), n(0.126), n(-0.001), n(10.5), n(100.)], ["1", "0.13", "0", "10.5", "100"]);
        assert_eq!(escaped("<a&\"b\">\u{1b}"), "&lt;a&amp;&quot;b&quot;&gt;\u{FFFD}");
    }
}
