//! A measure: one number that judged answers have, with what tables, figures and tests need to know of it.

use std::fmt;

use serde::{Serialize, Serializer};

use super::TASKS;
use crate::base::error::input;
use crate::score::{Bleu, BleuStats, ChrfStats, MAX_ORDER, TextScorer};

/// A measure of the score files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    /// Its name in the score files and on the command line.
    pub key: String,
    /// How tables and axes name it.
    pub label: String,
    /// Decimals that people read.
    pub digits: usize,
    /// Whether more of it is better. Only of such measures is it asked which layers reach the baseline.
    pub higher_is_better: bool,
    /// How it is computed from any selection of items.
    pub statistic: Statistic,
    /// Where score files keep its value, if not at their top under its key: a field there, and a field in that.
    pub(super) nested: Option<[String; 2]>,
}

/// What the names of other programs' measures begin with.
const IMPORTED: &str = "imported:";

/// What the names of BLEU of the pieces of SentencePiece models begin with.
const OF_PIECES: &str = "spbleu:";

/// How a measure of any selection of items is computed from what each of them adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    /// Corpus BLEU, from summed counts of n-grams of words.
    Bleu,
    /// The precision of n-grams of this many words (1 to 4), from the same counts.
    Precision(usize),
    /// BLEU's brevity penalty, from the same counts.
    BrevityPenalty,
    /// Corpus chrF, from summed counts of n-grams of characters.
    Chrf,
    /// Corpus chrF++, from summed counts of n-grams of characters and of words.
    ChrfWords,
    /// Corpus TER, from summed edits.
    Ter,
    /// The mean of one number an item.
    Mean,
    /// The mean over labels of each label's F1.
    MacroF1,
    /// How far confidence is from accuracy.
    CalibrationError,
}

impl Statistic {
    /// The longest n-gram of words that it counts; answers with fewer words hold none of them.
    pub fn words(self) -> Option<usize> {
        match self {
            Self::Bleu => Some(MAX_ORDER),
            Self::Precision(order) => Some(order),
            _ => None,
        }
    }

    /// Its value for summed counts of n-grams of words.
    pub fn of_words(self, total: &BleuStats) -> f64 {
        let score = Bleu::default().score(total);
        match self {
            Self::Precision(order) => score.precisions[order - 1],
            Self::BrevityPenalty => score.brevity_penalty,
            _ => score.score,
        }
    }

    /// Its value for summed counts of n-grams of characters.
    pub fn of_characters(self, total: &ChrfStats) -> f64 {
        let scorer = TextScorer::default();
        match self {
            Self::ChrfWords => scorer.chrf_with_words().score(total),
            _ => scorer.chrf.score(total),
        }
    }
}

impl Measure {
    /// A measure that score files keep at their top, of which more is better.
    pub(super) fn new(key: &str, label: &str, digits: usize, statistic: Statistic) -> Self {
        let (key, label) = (key.into(), label.into());
        Self { key, label, digits, higher_is_better: true, statistic, nested: None }
    }

    /// The mean of what another program says of each item, under this name.
    pub fn imported(name: &str) -> Self {
        Self::new(&format!("{IMPORTED}{name}"), name, 3, Statistic::Mean)
    }

    /// The name under which another program's scores are stored, where this is a measure of one.
    pub fn imported_name(&self) -> Option<&str> {
        self.key.strip_prefix(IMPORTED)
    }

    /// BLEU of the pieces of the SentencePiece model of this name.
    pub fn of_pieces(name: &str) -> Self {
        Self::new(&format!("{OF_PIECES}{name}"), "spBLEU", 2, Statistic::Bleu)
    }

    /// The name of the SentencePiece model, where this is BLEU of its pieces.
    pub fn pieces_name(&self) -> Option<&str> {
        self.key.strip_prefix(OF_PIECES)
    }

    /// The number as people read it.
    pub fn shown(&self, value: f64) -> String {
        format!("{value:.*}", self.digits)
    }

    /// The measure of any task that a word of `--metric` names.
    ///
    /// # Errors
    /// There is no such measure.
    pub fn find(word: &str) -> anyhow::Result<Self> {
        if let Some(name) = word.trim().strip_prefix(IMPORTED) {
            return Ok(Self::imported(name));
        }
        if let Some(name) = word.trim().strip_prefix(OF_PIECES) {
            return Ok(Self::of_pieces(name));
        }
        let lower = word.trim().to_lowercase();
        TASKS.into_iter().find_map(|kind| (kind.measure)(&lower)).ok_or_else(|| {
            let known = TASKS.map(|kind| kind.measure_names).join(", ");
            input(format!("--metric `{word}` is not a measure: use {known}"))
        })
    }

    /// Of this measure, less is better.
    pub(super) fn lower_is_better(self) -> Self {
        Self { higher_is_better: false, ..self }
    }

    /// This measure, if it is among those that `whose` holds.
    ///
    /// # Errors
    /// It is not; the sentence lists those that are.
    pub fn among(&self, there: &[Self], whose: &str) -> anyhow::Result<()> {
        if there.contains(self) {
            return Ok(());
        }
        let there: Vec<&str> = there.iter().map(|measure| measure.key.as_str()).collect();
        Err(input(format!("--metric {}: {whose} holds {} only", self.key, there.join(", "))))
    }
}

/// As tables and axes name it.
impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.label)
    }
}

impl Serialize for Measure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for measure in TASKS.into_iter().flat_map(|kind| kind.measures(10)) {
            assert_eq!(Measure::find(&measure.key).expect("known"), measure);
        }
        for word in ["", "bleu0", "bleu5", "bleu-1", "pass@0", "pass@", "wer", "BLEU 4"] {
            let said = Measure::find(word).expect_err("unknown").to_string();
            assert!(said.contains("brevity_penalty") && said.contains("pass@K"), "{said}");
        }
        for (word, label) in [("chrF2", "chrF"), ("chrF2++", "chrF++"), ("TER", "TER")] {
            assert_eq!(Measure::find(word).expect("known").label, label);
        }
    }
}
