//! Results -> one HTML file to be opened and explored: curves, tables, the prompt, and what came out layer by layer. It
//! needs nothing but a browser.

mod data;
mod options;
mod page;

pub use data::Report;
pub use page::html;
