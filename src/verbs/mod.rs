//! One module per verb of the command line.

mod adapted;
mod again;
mod checker;
mod collector;
mod data;
mod export;
mod figure;
mod loaded;
mod look;
mod lora;
mod lora_plan;
mod model;
mod models;
mod nameless;
mod pairs;
mod plan;
mod prepare;
mod progress;
mod report;
mod run;
mod score;
mod show;
mod status;
mod submit;
mod used;
mod verify;
mod work;

pub use data::data;
pub use export::export;
pub use figure::figure;
pub use lora::lora;
pub use model::OpenModel;
pub use models::models;
pub use prepare::{Prepared, hidden_json};
pub use report::report;
pub use run::run;
pub use score::score;
pub use show::show;
pub use status::status;
pub use submit::submit;
pub use verify::verify;

use std::path::Path;

use anyhow::Result;
use clap::CommandFactory;

use crate::console::{say_exactly, say_json, until_the_end};
use crate::results::ScoreRecord;

/// Print shell completions.
pub fn completions(shell: clap_complete::Shell) -> Result<()> {
    // Into memory first: written to a pipe that nothing reads, they would panic.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut crate::cli::Cli::command(), "icl-mask", &mut script);
    say_exactly(&String::from_utf8(script)?)
}

/// The command line, wherever the program lies.
fn command() -> Vec<String> {
    std::iter::once("icl-mask".into()).chain(std::env::args().skip(1)).collect()
}

/// One line of JSON for a finished cell.
fn print_record(record: &ScoreRecord, path: &Path) -> Result<()> {
    let mut value = serde_json::to_value(record)?;
    value["path"] = path.display().to_string().into();
    until_the_end(say_json(&value))
}
