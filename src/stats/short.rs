//! Answers that are too short for a measure: where most references hold fewer words than its longest n-gram, the measure
//! counts nothing in them, whatever the answers are, and no conclusion can be drawn from it.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::results::Metric;

/// Why no conclusion is drawn from a measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooShort {
    metric: Metric,
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
    pub fn new(metric: Metric, references: &[u64]) -> Option<Self> {
        let (words, of) = (metric.words()?, references.len());
        let short = references.iter().filter(|length| **length < words as u64).count();
        (2 * short > of).then_some(Self { metric, words, short, of })
    }
}

impl fmt::Display for TooShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metric, words, short, of } = self;
        let (unit, instead) = match words {
            1 => ("word", "--metric chrf"),
            _ => ("words", "--metric chrf or --metric bleu1"),
        };
        write!(
            f,
            "No conclusion is drawn from {metric}: {short} of {of} references have fewer than {words} {unit}, and {metric} \
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
        let short = |metric, references: &[u64]| TooShort::new(metric, references).is_some();
        assert!(short(Metric::Bleu, &[1, 2, 3]) && short(Metric::Bleu, &[3, 3, 4, 3, 9]));
        assert!(
            !short(Metric::Bleu, &[3, 4]) && !short(Metric::Bleu, &[4, 4, 1]) && !short(Metric::Bleu, &[])
        );
        assert!(short(Metric::Precision(2), &[1, 1, 9]) && !short(Metric::Precision(2), &[2, 2, 1]));
        assert!(!short(Metric::Precision(1), &[1, 1]) && !short(Metric::Chrf, &[1, 1]));
        let said = TooShort::new(Metric::Bleu, &[1, 1]).expect("too short").to_string();
        assert!(
            said.starts_with("No conclusion is drawn from BLEU: 2 of 2 references have fewer than 4 words"),
            "{said}"
        );
    }
}
