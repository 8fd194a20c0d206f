//! One module per verb of the command line.

mod again;
mod checker;
mod cleaner;
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
pub use score::score;
pub use show::show;
pub use status::status;
pub use submit::submit;
pub use verify::verify;

use std::io::Write;

use anyhow::Result;

pub use crate::error::printable;

/// Columns of a terminal that what is printed for people fits into; paths and texts of users may be longer.
const COLUMNS: u16 = 80;

/// Print shell completions.
pub fn completions(shell: clap_complete::Shell) -> Result<()> {
    clap_complete::generate(shell, &mut crate::help::command(), "icl-mask", &mut std::io::stdout());
    Ok(())
}

/// The command line, wherever the program lies.
fn command() -> Vec<String> {
    std::iter::once("icl-mask".into()).chain(std::env::args().skip(1)).collect()
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

/// Print a line to stderr. Results do not depend on whether anything reads it.
fn tell(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// Print a line to stdout; a closed pipe is an error to return, not a panic.
fn say(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{line}")?)
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
