//! Statistics -> figures for a paper: SVG, PNG, and the numbers behind them as CSV. Nothing here depends on the machine:
//! the same results give the same bytes.

pub mod attention;
mod chart;
mod curves;
mod image;
mod label;
mod savings;
mod scale;
mod sheet;
mod svg;

pub use curves::{Axis, curves, rows};
pub use image::{Image, with_ending};
pub use label::{label, labels, plain};
pub use savings::{Saved, savings};
pub use svg::Part;
