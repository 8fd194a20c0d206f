//! What the program says: the only place that writes to stdout and stderr.
//!
//! Names and texts come from other people. Whatever is said for a person is made [`printable`] here, so that no call has to
//! remember it. A terminal or a log that is lost ends no computation: [`note`] ignores it. Results on stdout are another
//! matter: [`say`] returns an [`Unheard`].
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the one place for stdout and stderr"
)]

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::base::error::{is_obeyed, printable};

/// Stdout cannot be written to.
#[derive(Debug, thiserror::Error)]
pub enum Unheard {
    /// What read it has gone away, as `head` does when it has seen enough.
    #[error("nothing reads stdout any more")]
    Reader,
    /// The disk is full, or the device is gone.
    #[error("cannot write to stdout: {0}")]
    Write(std::io::Error),
}

/// The reader of `--json` went away before all cells were finished.
#[derive(Debug, thiserror::Error)]
#[error(
    "nothing reads the output of --json any more, so this stopped; what is finished is kept, and the same call does the rest"
)]
pub struct Abandoned;

/// Columns of a terminal that what is printed for people fits into; paths and texts of users may be longer.
pub const COLUMNS: u16 = 80;

/// A space at which no line is broken: between a number and its `%`. No text holds this character.
const KEPT: char = '\u{E000}';

/// A text broken at spaces into lines that fit a terminal; every line but the first begins with `indent`.
pub fn wrapped(text: &str, indent: &str) -> String {
    let text = text.replace(" %", &format!("{KEPT}%")).replace("% CI: ", &format!("%{KEPT}CI:{KEPT}"));
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
    lines.replace(KEPT, " ")
}

/// Say something on stderr, for people. That it cannot be written is no reason to stop.
pub fn note(text: impl Display) {
    let line = format!("{}\n", printable(&text.to_string()));
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

/// Print a line (or several) for people to stdout.
///
/// # Errors
/// An [`Unheard`].
pub fn say(text: &str) -> Result<()> {
    write(&format!("{}\n", printable(text)))
}

/// As [`say`], in a colour (a number of ANSI's) where stdout is a terminal.
///
/// # Errors
/// An [`Unheard`].
pub fn say_in_colour(colour: u8, text: &str) -> Result<()> {
    let coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    match coloured {
        true => write(&format!("\x1b[{colour}m{}\x1b[0m\n", printable(text))),
        false => say(text),
    }
}

/// Print one line of JSON to stdout. What a terminal would obey is written as `\u` escapes: the value is the same.
///
/// # Errors
/// An [`Unheard`], or a value that is none of JSON's.
pub fn say_json(value: &impl Serialize) -> Result<()> {
    write(&format!("{}\n", escaped(&serde_json::to_string(value)?)))
}

/// Print a text for another program to stdout, as it is.
///
/// # Errors
/// An [`Unheard`].
pub fn say_exactly(text: &str) -> Result<()> {
    write(text)
}

/// For a verb whose exit code says more than its output: whether there is still a reader.
///
/// # Errors
/// Any but that the reader has gone away.
pub fn heard(said: Result<()>) -> Result<bool> {
    match said {
        Err(error) if matches!(error.downcast_ref(), Some(Unheard::Reader)) => Ok(false),
        said => said.map(|()| true),
    }
}

/// For a verb that computes: the reader of its results is wanted until the end.
///
/// # Errors
/// An [`Abandoned`], if there is no reader any more.
pub fn until_the_end(said: Result<()>) -> Result<()> {
    if heard(said)? { Ok(()) } else { Err(Abandoned.into()) }
}

fn write(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| unheard(error).into())
}

/// What an error of stdout means.
pub fn unheard(error: std::io::Error) -> Unheard {
    match error.kind() {
        ErrorKind::BrokenPipe => Unheard::Reader,
        _ => Unheard::Write(error),
    }
}

/// JSON whose strings hold nothing that a terminal obeys: outside of strings there is nothing of the kind.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match is_obeyed(c) {
            true => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out += &format!("\\u{unit:04x}")),
            false => out.push(c),
        }
    }
    out
}

/// A bar on stderr, cleared away when it is dropped. Where stderr is not a terminal there is none.
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar of this length, laid out as [`ProgressStyle`] says.
    pub fn new(template: &str, length: u64) -> Self {
        let bar = ProgressBar::new(length);
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        Self(bar)
    }

    /// The text of `{prefix}`.
    pub fn prefix(&self, text: &str) {
        self.0.set_prefix(printable(text));
    }

    /// The text of `{msg}`.
    pub fn message(&self, text: &str) {
        self.0.set_message(printable(text));
    }

    /// Begin anew, with another text and length.
    pub fn restart(&self, text: &str, length: u64) {
        self.message(text);
        self.0.reset();
        self.0.set_length(length);
    }

    /// How far it is.
    pub fn position(&self, at: u64) {
        self.0.set_position(at);
    }

    /// One more is done.
    pub fn advance(&self) {
        self.0.inc(1);
    }

    /// Whether stderr is no terminal, so that there is no bar.
    pub fn is_hidden(&self) -> bool {
        self.0.is_hidden()
    }

    /// A line above the bar; nothing where there is no bar.
    pub fn line(&self, text: &str) {
        self.0.println(printable(text));
    }

    /// A [`note`] that does not disturb the bar.
    pub fn note(&self, text: &str) {
        self.0.suspend(|| note(text));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_its_value_and_holds_nothing_that_is_obeyed() {
        let text = "a\u{1b}[31m\u{9b}31m\u{202e}b\u{2028}\u{e0041}é\n\"\\";
        let written = escaped(&serde_json::to_string(text).unwrap());
        assert!(!written.chars().any(is_obeyed), "{written}");
        assert!(written.contains("\\u202e") && written.contains("\\udb40\\udc41"), "{written}");
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
    }

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

    #[test]
    fn only_a_broken_pipe_of_stdout_is_a_reader_gone() {
        let pipe = || std::io::Error::from(ErrorKind::BrokenPipe);
        assert!(!heard(Err(unheard(pipe()).into())).unwrap());
        assert!(until_the_end(Err(unheard(pipe()).into())).unwrap_err().is::<Abandoned>());
        // Of the network, or of a process that judges programs.
        assert!(heard(Err(pipe().into())).is_err());
        assert!(heard(Err(unheard(ErrorKind::StorageFull.into()).into())).is_err());
        assert!(heard(Ok(())).unwrap());
    }
}
