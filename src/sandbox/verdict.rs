//! What became of a program.

use serde::{Deserialize, Serialize};

/// How a program fared against its tests. The order is that of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The tests ran to their end.
    Passed,
    /// A wrong answer, an exception, or an end of the program before that of the tests.
    Failed,
    /// It used up its processor time, or slept.
    Timeout,
    /// It asked for more memory than it may have.
    Memory,
    /// It tried what the sandbox forbids.
    Killed,
    /// It is not Python.
    Syntax,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::Killed => "killed",
            Self::Syntax => "syntax",
        })
    }
}

/// A verdict and what led to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// How it fared.
    pub verdict: Verdict,
    /// The exception or the cause, in a line; empty where it passed.
    pub reason: String,
    /// How long the check took by the clock, all told.
    pub seconds: f64,
}

impl Judged {
    /// Addresses in memory are noise, and long texts say no more than short ones.
    pub(super) fn new(verdict: Verdict, reason: &str) -> Self {
        let line: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let mut reason = without_addresses(line.trim());
        if let Some((end, _)) = reason.char_indices().nth(300) {
            reason.truncate(end);
            reason.push('…');
        }
        Self { verdict, reason, seconds: 0. }
    }
}

/// `<function f at 0x7f...>` reads the same on every run.
fn without_addresses(text: &str) -> String {
    let mut parts = text.split(" at 0x");
    let mut all = parts.next().unwrap_or_default().to_string();
    for part in parts {
        all += " at 0x…";
        all += part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_short_and_the_same_on_every_run() {
        let judged = Judged::new(Verdict::Failed, "TypeError: <function f at 0x7f12ab> at 0xff\nand more ");
        assert_eq!(judged.reason, "TypeError: <function f at 0x…> at 0x… and more");
        let long = Judged::new(Verdict::Failed, &"é".repeat(1000));
        assert_eq!(long.reason.chars().count(), 301);
    }
}
