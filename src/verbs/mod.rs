//! One module per verb of the command line.

mod adapted;
mod again;
mod checker;
mod collector;
mod data;
mod estimate;
mod export;
mod figure;
mod idle;
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
pub use score::{programs, score};
pub use show::show;
pub use status::status;
pub use submit::submit;
pub use verify::verify;

use std::path::Path;

use anyhow::Result;

use crate::console::{say_exactly, say_json, until_the_end};
use crate::results::ScoreRecord;

/// Columns of a terminal that what is printed for people fits into; paths and texts of users may be longer.
const COLUMNS: u16 = 80;

/// Print shell completions.
pub fn completions(shell: clap_complete::Shell) -> Result<()> {
    // Into memory first: written to a pipe that nothing reads, they would panic.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut crate::help::command(), "icl-mask", &mut script);
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

/// A text broken at spaces into lines that fit a terminal; every line but the first begins with `indent`.
fn wrapped(text: &str, indent: &str) -> String {
    let body = text.trim_start_matches(' ');
    let mut lines = text[..text.len() - body.len()].to_string();
    let (mut width, mut begins) = (lines.len(), true);
    for word in body.split(' ') {
        let length = word.chars().count();
        if !begins && width + 1 + length > usize::from(COLUMNS) {
            lines.push('\n');
            lines.push_str(indent);
            width = indent.chars().count();
        } else if !begins {
            lines.push(' ');
            width += 1;
        }
        lines.push_str(word);
        (width, begins) = (width + length, false);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_at_spaces() {
        let text = format!("  {} end", "word ".repeat(20).trim_end());
        let lines: Vec<String> = wrapped(&text, "    ").lines().map(String::from).collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("  word word") && lines[0].len() <= 80, "{lines:?}");
        assert!(lines[1].starts_with("    word") && lines[1].ends_with("word end"), "{lines:?}");
        assert_eq!(wrapped("short", "  "), "short");
        let long = "x".repeat(100);
        assert_eq!(wrapped(&format!("a {long} b"), " "), format!("a\n {long}\n b"));
    }
}
