//! How a figure looks, as far as whoever draws it may say.

use std::collections::BTreeMap;

/// Pixels of ordinary letters where no other size is asked for.
pub const FONT: f64 = 11.5;

/// How a figure looks.
#[derive(Debug, Clone, PartialEq)]
pub struct Style {
    /// Pixels across; `None` for what suits the number of charts.
    pub width: Option<f64>,
    /// Pixels of ordinary letters: of axes' names and legends. Titles are larger, ticks smaller.
    pub font: f64,
    /// A title above the whole figure.
    pub title: Option<String>,
    /// Whether the SVG holds letters as text, for those who edit it, and not as outlines.
    pub svg_text: bool,
    /// What models are called.
    pub names: DisplayNames,
}

impl Default for Style {
    fn default() -> Self {
        Self { width: None, font: FONT, title: None, svg_text: false, names: DisplayNames::default() }
    }
}

impl Style {
    /// Size of a chart's title.
    pub fn heading(&self) -> f64 {
        self.font * 1.13
    }

    /// Size of the numbers along axes.
    pub fn tick(&self) -> f64 {
        self.font * 0.87
    }
}

/// Display names of models, by their names in the results.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DisplayNames(pub BTreeMap<String, String>);

impl DisplayNames {
    /// What a model is called: its own name, unless it has another.
    pub fn of<'a>(&'a self, model: &'a str) -> &'a str {
        self.0.get(model).map_or(model, String::as_str)
    }
}
