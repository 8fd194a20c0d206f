//! Statistics -> figures for a paper: SVG, PDF, PNG, and the numbers behind them as CSV. Nothing here depends on the machine:
//! the same results give the same bytes.

pub mod attention;
mod chart;
mod curves;
mod image;
mod label;
mod legend;
mod pdf;
mod relative;
mod rows;
mod savings;
mod scale;
mod sheet;
mod style;
mod svg;
mod text;
mod title;

pub use curves::{Axis, curves};
pub use image::{Image, with_ending};
pub use label::{label, labels, plain};
pub use legend::names;
pub use rows::rows;
pub use savings::{Saving, savings};
pub use style::{DisplayNames, FONT, Style};
pub use svg::TextPart;
pub use title::titles;
