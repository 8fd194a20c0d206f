//! chrF (Popović, 2015) and chrF++ (Popović, 2017), as sacrebleu computes them.

use super::ngram::{Overlap, overlap};
use super::{SACREBLEU_VERSION, python};
use std::iter::Sum;
use std::ops::AddAssign;

/// Keeps a precision or recall of an absent order above zero, as in sacrebleu.
const EPSILON: f64 = 1e-16;

/// A chrF metric: the settings that its signature records.
///
/// The default is sacrebleu's, chrF2: characters up to order 6, no words, recall weighted twice. `word_order: 2`
/// makes it chrF++.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Chrf {
    /// The longest character n-gram.
    pub char_order: usize,
    /// The longest word n-gram; 0 counts no words.
    pub word_order: usize,
    /// How many times more recall weighs than precision.
    pub beta: u32,
    /// Whether both sides are lower-cased.
    pub lowercase: bool,
    /// Whether white space is part of the character n-grams.
    pub whitespace: bool,
    /// Whether absent orders count as epsilon (as in chrF++.py, NLTK and Moses) or are left out.
    pub eps_smoothing: bool,
}

impl Default for Chrf {
    fn default() -> Self {
        Chrf {
            char_order: 6,
            word_order: 0,
            beta: 2,
            lowercase: false,
            whitespace: false,
            eps_smoothing: false,
        }
    }
}

impl Chrf {
    /// The same metric with words up to this order beside its characters.
    pub fn with_words(self, word_order: usize) -> Self {
        Self { word_order, ..self }
    }

    /// The same metric of its words alone: their counts are what this metric without words lacks.
    pub fn words_alone(self) -> Self {
        Self { char_order: 0, ..self }
    }

    /// What one sentence adds to a corpus score.
    pub fn stats(&self, hypothesis: &str, reference: &str) -> ChrfStats {
        let (hypothesis, reference) = (self.prepare(hypothesis), self.prepare(reference));
        let (hyp_chars, ref_chars) = (self.characters(&hypothesis), self.characters(&reference));
        let (hyp_words, ref_words) = (words(&hypothesis), words(&reference));
        let characters = (1..=self.char_order).map(|order| overlap(&hyp_chars, &ref_chars, order));
        let words = (1..=self.word_order).map(|order| overlap(&hyp_words, &ref_words, order));
        ChrfStats { counts: characters.chain(words).map(counts).collect() }
    }

    fn prepare(&self, line: &str) -> String {
        if self.lowercase { python::lower(line) } else { line.to_owned() }
    }

    fn characters(&self, line: &str) -> Vec<char> {
        line.chars().filter(|c| self.whitespace || !python::is_space(*c)).collect()
    }

    /// The score of one sentence or of a corpus (the sum of its sentences' statistics), 0 to 100.
    pub fn score(&self, total: &ChrfStats) -> f64 {
        let orders = self.char_order + self.word_order;
        let factor = f64::from(self.beta).powi(2);
        let f_score =
            |precision: f64, recall: f64| (1.0 + factor) * precision * recall / (factor * precision + recall);
        let (mut precisions, mut recalls, mut effective, mut smoothed) = (0.0, 0.0, 0, 0.0);
        for index in 0..orders {
            let [hypothesis, reference, matches] =
                total.counts.get(index).map_or([0.0; 3], |c| c.map(|n| n as f64));
            let precision = if hypothesis > 0.0 { matches / hypothesis } else { EPSILON };
            let recall = if reference > 0.0 { matches / reference } else { EPSILON };
            let possible = factor * precision + recall > 0.0;
            smoothed += if possible { f_score(precision, recall) } else { EPSILON };
            if hypothesis > 0.0 && reference > 0.0 {
                precisions += precision;
                recalls += recall;
                effective += 1;
            }
        }
        if self.eps_smoothing && orders > 0 {
            return 100.0 * smoothed / orders as f64;
        }
        if precisions + recalls == 0.0 {
            return 0.0;
        }
        let effective = f64::from(effective);
        100.0 * f_score(precisions / effective, recalls / effective)
    }

    /// The metric's name as sacrebleu writes it: `chrF2`, or `chrF2++` with words.
    pub fn name(&self) -> String {
        format!("chrF{}{}", self.beta, "+".repeat(self.word_order))
    }

    /// sacrebleu's signature for one reference, e.g. `nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0`.
    pub fn signature(&self) -> String {
        let yes = |flag| if flag { "yes" } else { "no" };
        format!(
            "nrefs:1|case:{}|eff:{}|nc:{}|nw:{}|space:{}|version:{SACREBLEU_VERSION}",
            if self.lowercase { "lc" } else { "mixed" },
            yes(!self.eps_smoothing),
            self.char_order,
            self.word_order,
            yes(self.whitespace),
        )
    }
}

/// The words of a line, one ASCII punctuation mark at a word's end (else at its beginning) being a word of its own.
fn words(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for word in python::words(line) {
        let (first, last) = (word.chars().next(), word.chars().next_back());
        let mark = |c: Option<char>| c.is_some_and(|c| c.is_ascii_punctuation());
        // A mark is one byte long, so these cuts fall between characters.
        if word.chars().nth(1).is_none() {
            found.push(word);
        } else if mark(last) {
            found.extend([&word[..word.len() - 1], &word[word.len() - 1..]]);
        } else if mark(first) {
            found.extend([&word[..1], &word[1..]]);
        } else {
            found.push(word);
        }
    }
    found
}

/// The three counts of one order. Without reference n-grams sacrebleu counts no hypothesis n-grams either.
fn counts(found: Overlap) -> [u64; 3] {
    [if found.reference > 0 { found.hypothesis } else { 0 }, found.reference, found.matches]
}

/// chrF's sufficient statistics: those of a corpus are the sum of its sentences'.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ChrfStats {
    /// For each character order, then each word order: n-grams of the hypothesis, of the reference, and matches.
    pub counts: Vec<[u64; 3]>,
}

impl ChrfStats {
    /// Those of a metric with characters alone, followed by those of one with words alone.
    pub fn followed_by(&self, words: &ChrfStats) -> Self {
        Self { counts: self.counts.iter().chain(&words.counts).copied().collect() }
    }

    /// Counts that text can have: a damaged file must not overflow a sum.
    pub fn is_possible(&self) -> bool {
        self.counts.iter().all(|[hypothesis, reference, matches]| {
            hypothesis.max(reference) < &(1 << 40) && matches <= hypothesis.min(reference)
        })
    }

    /// What is left without some of the sentences that are in the sum.
    pub fn without(mut self, some: &ChrfStats) -> Self {
        for (left, taken) in self.counts.iter_mut().zip(&some.counts) {
            for (left, taken) in left.iter_mut().zip(taken) {
                *left -= taken;
            }
        }
        self
    }
}

impl AddAssign<&ChrfStats> for ChrfStats {
    fn add_assign(&mut self, other: &ChrfStats) {
        // A fresh total has no orders yet.
        self.counts.resize(self.counts.len().max(other.counts.len()), [0; 3]);
        for (total, added) in self.counts.iter_mut().zip(&other.counts) {
            for (total, added) in total.iter_mut().zip(added) {
                *total += added;
            }
        }
    }
}

impl<'a> Sum<&'a ChrfStats> for ChrfStats {
    fn sum<I: Iterator<Item = &'a ChrfStats>>(stats: I) -> Self {
        stats.fold(ChrfStats::default(), |mut total, one| {
            total += one;
            total
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_lines_score_100_and_nothing_scores_0() {
        let chrf = Chrf::default();
        assert!((chrf.score(&chrf.stats("bonjour à tous", "bonjour à tous")) - 100.0).abs() < 1e-9);
        assert_eq!(chrf.score(&chrf.stats("", "bonjour")), 0.0);
        assert_eq!(chrf.score(&ChrfStats::default()), 0.0);
        assert_eq!(chrf.name(), "chrF2");
    }

    #[test]
    fn punctuation_is_split_off_words_once() {
        assert_eq!(words("(so) what?! . é, «x»"), ["(so", ")", "what?", "!", ".", "é", ",", "«x»"]);
        assert_eq!(words("\"a b"), ["\"", "a", "b"]);
    }
}
