//! Answers that are too short for a measure: where most references hold fewer words than its longest n-gram, the measure
//! counts nothing in them, whatever the answers are, and no conclusion can be drawn from it.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::tasks::Measure;

/// Why no conclusion is drawn from a measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooShort {
    measure: Measure,
    /// Words of the measure's longest n-gram.
    words: usize,
    /// References with fewer words.
    short: usize,
    /// References.
    of: usize,
}

impl TooShort {
    /// `None` where the measure can judge answers to references of these lengths, in words as BLEU counts them: where at
    /// most half of them are shorter than its longest n-gram.
    pub fn new(measure: &Measure, references: &[u64]) -> Option<Self> {
        let (words, of) = (measure.statistic.words()?, references.len());
        let short = references.iter().filter(|length| **length < words as u64).count();
        (2 * short > of).then_some(Self { measure: measure.clone(), words, short, of })
    }
}

impl fmt::Display for TooShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { measure, words, short, of } = self;
        let (unit, instead) = match words {
            1 => ("word", "--metric chrf"),
            _ => ("words", "--metric chrf or --metric bleu1"),
        };
        write!(
            f,
            "No conclusion is drawn from {measure}: {short} of {of} references have fewer than {words} {unit}, and {measure} \
             finds nothing to count in them; use {instead}"
        )
    }
}

impl Serialize for TooShort {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_half_must_be_too_short() {
        let measure = |name| Measure::find(name).expect("a measure");
        let short = |name, references: &[u64]| TooShort::new(&measure(name), references).is_some();
        assert!(short("bleu", &[1, 2, 3]) && short("bleu", &[3, 3, 4, 3, 9]));
        assert!(!short("bleu", &[3, 4]) && !short("bleu", &[4, 4, 1]) && !short("bleu", &[]));
        assert!(short("bleu2", &[1, 1, 9]) && !short("bleu2", &[2, 2, 1]));
        assert!(!short("bleu1", &[1, 1]) && !short("chrf", &[1, 1]));
        let said = TooShort::new(&measure("bleu"), &[1, 1]).expect("too short").to_string();
        assert!(
            said.starts_with("No conclusion is drawn from BLEU: 2 of 2 references have fewer than 4 words"),
            "{said}"
        );
    }
}
