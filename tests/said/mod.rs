//! What the program says, as text for a snapshot: the call, its exit code, stdout and stderr. Only times, speeds and places
//! that differ from machine to machine are replaced, each by a word in brackets.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::fmt::Write;
use std::path::Path;
use std::process::Output;

use crate::world::World;

/// A call with all that it said.
pub fn said(call: &str, output: &Output, world: &World) -> String {
    let mut text = format!("$ icl-mask {call}\nexit code {}\n", code(output));
    for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        let part = redacted(&String::from_utf8_lossy(bytes), world);
        if !part.is_empty() {
            write!(text, "--- {name}\n{part}").expect("a string takes everything");
        }
    }
    text
}

/// A call that is refused, with its exit code and its sentence.
pub fn refusal(call: &str, output: &Output, world: &World) -> String {
    assert!(output.stdout.is_empty() && code(output) != 0, "{}", said(call, output, world));
    let sentence = redacted(&String::from_utf8_lossy(&output.stderr), world);
    format!("{call}\n  -> {}\n  {}\n", code(output), sentence.trim_end().replace('\n', "\n  "))
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("no signal ended it")
}

/// No line of a text is wider than a terminal of 100 columns.
pub fn assert_narrow(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "wider than 100 columns: {line}");
    }
}

/// The snapshot `tests/snapshots/words/NAME.snap` holds this text.
pub fn check(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/words");
    settings.set_snapshot_path(folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn redacted(text: &str, world: &World) -> String {
    let folder = world.path("").display().to_string();
    let text = text.replace(folder.trim_end_matches('/'), "[folder]");
    let text = text.replace(env!("CARGO_BIN_EXE_icl-mask"), "[program]");
    let text = text.replace(&format!("icl-mask {}", env!("CARGO_PKG_VERSION")), "icl-mask [version]");
    let mut in_table = false;
    let line = |line: &str| {
        let is_header = line.trim_end().ends_with("  seconds");
        in_table = is_header || in_table && line.starts_with(' ');
        if in_table && !is_header { without_seconds(line) } else { without_measures(line) }
    };
    text.split_inclusive('\n').map(line).collect()
}

/// A row of a table whose last number is the seconds that a cell took.
fn without_seconds(row: &str) -> String {
    let (cells, bar) = row.split_at(row.find('█').unwrap_or(row.trim_end().len()));
    let seconds = cells.split_whitespace().last().unwrap_or_default();
    assert!(seconds.parse::<f64>().is_ok(), "no seconds in this row: {row}");
    // As wide as the heading, so that the columns stay below each other.
    let at = cells.rfind(seconds).expect("it is there");
    let kept = cells[..at + seconds.len()].len() - "[secs]".len();
    format!("{}[secs]{}{bar}", &cells[..kept], &cells[at + seconds.len()..])
}

/// What follows a number that is measured: seconds of a call, its speed, a share of its time.
const MEASURED: [&str; 4] = ["s", "GFLOP/s", "% of the time", "of [measured] s"];

/// A line in which measured numbers are replaced; the spaces stay.
fn without_measures(line: &str) -> String {
    let mut words: Vec<String> = line.split(' ').map(String::from).collect();
    // From the end: `0.4 of 0.6 s` is two of them.
    for at in (0..words.len()).rev() {
        let number = words[at].trim_start_matches('(').to_string();
        let rest = words[at + 1..].join(" ");
        let is_measured = MEASURED.iter().any(|unit| {
            rest.strip_prefix(unit)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '/'))
        });
        if is_measured && number.parse::<f64>().is_ok() {
            words[at] = words[at].replace(&number, "[measured]");
        }
    }
    words.join(" ")
}
