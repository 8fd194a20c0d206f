//! Statistics -> figures for a paper: SVG, PNG, and the numbers behind them as CSV. Nothing here depends on the machine:
//! the same results give the same bytes.

pub mod attention;
mod chart;
mod curves;
mod image;
mod label;
mod relative;
mod rows;
mod savings;
mod scale;
mod sheet;
mod svg;

pub use curves::{Axis, curves, names, title};
pub use image::{Image, with_ending};
pub use label::{label, labels, plain};
pub use rows::rows;
pub use savings::{Saved, savings};
pub use svg::Part;
