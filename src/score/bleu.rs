//! BLEU (Papineni et al., 2002), as sacrebleu computes it (Post, 2018).

use super::ngram::overlap;
use super::{SACREBLEU_VERSION, Tokenize, python};
use crate::base::error::{input, suggest};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// The longest n-gram that BLEU counts, in tokens.
pub const MAX_ORDER: usize = 4;

/// sacrebleu's stand-in for the logarithm of zero: low enough that the score is zero.
const LOG_OF_ZERO: f64 = -9_999_999_999.0;

/// What takes the place of an n-gram precision of zero (Chen and Cherry, 2014).
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Smooth {
    /// Nothing: one order without a match makes the score zero.
    None,
    /// A count of zero becomes this one. sacrebleu's default is 0.1.
    Floor(f64),
    /// This is added to matches and totals of the orders above 1. sacrebleu's default is 1.
    AddK(f64),
    /// The k-th order without a match counts as 1/2^k matches, as in `mteval-v13a.pl`.
    #[default]
    Exp,
}

impl Smooth {
    /// The method `none`, `floor`, `add-k` or `exp`, with `value` for the two that take one (or sacrebleu's default).
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) for an unknown method, for a value given to a method that takes
    /// none, and for a value that is negative or not a finite number.
    pub fn new(method: &str, value: Option<f64>) -> anyhow::Result<Self> {
        if let Some(value) = value.filter(|value| !value.is_finite() || *value < 0.0) {
            return Err(input(format!("smoothing value {value}: give a finite number, 0 or more")));
        }
        match (method, value) {
            ("floor", value) => Ok(Self::Floor(value.unwrap_or(0.1))),
            ("add-k", value) => Ok(Self::AddK(value.unwrap_or(1.0))),
            ("none", None) => Ok(Self::None),
            ("exp", None) => Ok(Self::Exp),
            ("none" | "exp", Some(value)) => {
                Err(input(format!("smoothing `{method}` takes no value, but {value} is given: leave it out")))
            }
            _ => {
                let known = suggest(method, &["none", "floor", "add-k", "exp"]);
                Err(input(format!("unknown smoothing method `{method}`; {known}")))
            }
        }
    }
}

impl fmt::Display for Smooth {
    /// As in a signature: `none`, `floor[0.10]`, `add-k[1.00]`, `exp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Floor(value) => write!(f, "floor[{value:.2}]"),
            Self::AddK(value) => write!(f, "add-k[{value:.2}]"),
            Self::Exp => f.write_str("exp"),
        }
    }
}

/// A BLEU metric: the settings that its signature records.
///
/// The default is sacrebleu's: tokenizer `13a`, case kept, exponential smoothing, all four orders.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Bleu {
    /// How lines are cut into tokens.
    pub tokenize: Tokenize,
    /// Whether both sides are lower-cased before tokenizing.
    pub lowercase: bool,
    /// What to do about orders without a match.
    pub smooth: Smooth,
    /// Whether orders longer than the hypothesis are left out of the mean; wanted for single sentences.
    pub effective_order: bool,
}

impl Bleu {
    /// What one sentence adds to a corpus score.
    pub fn stats(&self, hypothesis: &str, reference: &str) -> BleuStats {
        self.stats_of(&self.tokens(hypothesis), &self.tokens(reference))
    }

    /// The same for a sentence that is cut into tokens already.
    pub fn stats_of(&self, hypothesis: &[String], reference: &[String]) -> BleuStats {
        let mut stats = BleuStats {
            sys_len: hypothesis.len() as u64,
            ref_len: reference.len() as u64,
            ..BleuStats::default()
        };
        for order in 1..=MAX_ORDER {
            let found = overlap(hypothesis, reference, order);
            stats.matches[order - 1] = found.matches;
            stats.totals[order - 1] = found.hypothesis;
        }
        stats
    }

    fn tokens(&self, line: &str) -> Vec<String> {
        if self.lowercase { self.tokenize.tokens(&python::lower(line)) } else { self.tokenize.tokens(line) }
    }

    /// The score of one sentence ([`BleuStats`] from [`Bleu::stats`]) or of a corpus (their sum).
    pub fn score(&self, total: &BleuStats) -> BleuScore {
        let mut score = BleuScore {
            score: 0.0,
            precisions: [0.0; MAX_ORDER],
            brevity_penalty: total.brevity_penalty(),
            sys_len: total.sys_len,
            ref_len: total.ref_len,
        };
        if total.matches.iter().all(|matches| *matches == 0) {
            return score;
        }
        let orders;
        (score.precisions, orders) = self.precisions(total);
        let log = |precision: &f64| if *precision == 0.0 { LOG_OF_ZERO } else { precision.ln() };
        let mean = score.precisions[..orders].iter().map(log).sum::<f64>() / orders as f64;
        score.score = score.brevity_penalty * mean.exp();
        score
    }

    /// The smoothed precisions in percent, and how many of them enter the mean.
    fn precisions(&self, total: &BleuStats) -> ([f64; MAX_ORDER], usize) {
        let mut precisions = [0.0; MAX_ORDER];
        let mut orders = MAX_ORDER;
        let mut halvings = 1.0;
        for (index, precision) in precisions.iter_mut().enumerate() {
            let added = match self.smooth {
                Smooth::AddK(value) if index > 0 => value,
                _ => 0.0,
            };
            let (matches, total) = (total.matches[index] as f64 + added, total.totals[index] as f64 + added);
            if total == 0.0 {
                break;
            }
            if self.effective_order {
                orders = index + 1;
            }
            *precision = match self.smooth {
                _ if matches != 0.0 => 100.0 * matches / total,
                Smooth::Exp => {
                    halvings *= 2.0;
                    100.0 / (halvings * total)
                }
                Smooth::Floor(value) => 100.0 * value / total,
                Smooth::None | Smooth::AddK(_) => 0.0,
            };
        }
        (precisions, orders)
    }

    /// sacrebleu's signature for one reference, e.g. `nrefs:1|case:lc|eff:no|tok:13a|smooth:exp|version:2.6.0`.
    pub fn signature(&self) -> String {
        self.signature_with(self.tokenize.name())
    }

    /// The same where lines are cut by a tokenizer of this name.
    pub fn signature_with(&self, tokenizer: &str) -> String {
        format!(
            "nrefs:1|case:{}|eff:{}|tok:{tokenizer}|smooth:{}|version:{SACREBLEU_VERSION}",
            if self.lowercase { "lc" } else { "mixed" },
            if self.effective_order { "yes" } else { "no" },
            self.smooth,
        )
    }
}

/// BLEU's sufficient statistics: those of a corpus are the sum of its sentences'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct BleuStats {
    /// Tokens of the hypothesis.
    pub sys_len: u64,
    /// Tokens of the reference.
    pub ref_len: u64,
    /// For n = 1 to 4: n-grams of the hypothesis found in the reference, each at most as often as there.
    pub matches: [u64; MAX_ORDER],
    /// For n = 1 to 4: n-grams of the hypothesis.
    pub totals: [u64; MAX_ORDER],
}

impl BleuStats {
    fn brevity_penalty(&self) -> f64 {
        if self.sys_len >= self.ref_len {
            1.0
        } else if self.sys_len == 0 {
            0.0
        } else {
            (1.0 - self.ref_len as f64 / self.sys_len as f64).exp()
        }
    }
}

impl BleuStats {
    /// Counts that text can have: a damaged file must not overflow a sum.
    pub fn is_possible(&self) -> bool {
        let counts = self.matches.iter().zip(&self.totals);
        [self.sys_len, self.ref_len].iter().all(|length| *length < 1 << 40)
            && counts.into_iter().all(|(matches, total)| matches <= total && *total <= self.sys_len)
    }

    /// What is left without some of the sentences that are in the sum.
    pub fn without(mut self, some: &BleuStats) -> Self {
        self.sys_len -= some.sys_len;
        self.ref_len -= some.ref_len;
        for index in 0..MAX_ORDER {
            self.matches[index] -= some.matches[index];
            self.totals[index] -= some.totals[index];
        }
        self
    }
}

impl AddAssign<&BleuStats> for BleuStats {
    fn add_assign(&mut self, other: &BleuStats) {
        self.sys_len += other.sys_len;
        self.ref_len += other.ref_len;
        for index in 0..MAX_ORDER {
            self.matches[index] += other.matches[index];
            self.totals[index] += other.totals[index];
        }
    }
}

impl Add for BleuStats {
    type Output = BleuStats;

    fn add(mut self, other: BleuStats) -> BleuStats {
        self += &other;
        self
    }
}

impl Sum for BleuStats {
    fn sum<I: Iterator<Item = BleuStats>>(stats: I) -> Self {
        stats.fold(BleuStats::default(), Add::add)
    }
}

impl<'a> Sum<&'a BleuStats> for BleuStats {
    fn sum<I: Iterator<Item = &'a BleuStats>>(stats: I) -> Self {
        stats.copied().sum()
    }
}

/// A BLEU score and what it is made of.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct BleuScore {
    /// 0 to 100.
    pub score: f64,
    /// Smoothed n-gram precisions for n = 1 to 4, in percent; all zero where nothing matched at all.
    pub precisions: [f64; MAX_ORDER],
    /// Factor for hypotheses shorter than their references, 0 to 1.
    pub brevity_penalty: f64,
    /// Tokens of the hypotheses.
    pub sys_len: u64,
    /// Tokens of the references.
    pub ref_len: u64,
}

impl fmt::Display for BleuScore {
    /// sacrebleu's line: `BLEU = 48.53 82.4/50.0/45.5/37.5 (BP = 0.943 ratio = 0.944 hyp_len = 17 ref_len = 18)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p1, p2, p3, p4] = self.precisions;
        let ratio = if self.ref_len == 0 { 0.0 } else { self.sys_len as f64 / self.ref_len as f64 };
        write!(f, "BLEU = {:.2} {p1:.1}/{p2:.1}/{p3:.1}/{p4:.1} ", self.score)?;
        write!(f, "(BP = {:.3} ratio = {ratio:.3} ", self.brevity_penalty)?;
        write!(f, "hyp_len = {} ref_len = {})", self.sys_len, self.ref_len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perfect_sentence_scores_100_and_an_empty_one_0() {
        let bleu = Bleu::default();
        let perfect = bleu.score(&bleu.stats("the cat sat on the mat", "the cat sat on the mat"));
        assert!((perfect.score - 100.0).abs() < 1e-9, "{perfect}");
        let empty = bleu.score(&bleu.stats("", "the cat"));
        assert_eq!((empty.score, empty.brevity_penalty, empty.sys_len), (0.0, 0.0, 0));
        let both = bleu.score(&bleu.stats("", ""));
        assert_eq!((both.score, both.brevity_penalty), (0.0, 1.0));
    }

    #[test]
    fn a_short_sentence_needs_effective_order() {
        let plain = Bleu::default();
        assert_eq!(plain.score(&plain.stats("a b", "a b")).score, 0.0);
        let sentence = Bleu { effective_order: true, ..plain };
        assert!((sentence.score(&sentence.stats("a b", "a b")).score - 100.0).abs() < 1e-9);
    }

    #[test]
    fn smoothing_methods_are_checked() {
        assert_eq!(Smooth::new("add-k", Some(0.125)).expect("is valid").to_string(), "add-k[0.12]");
        assert_eq!(Smooth::new("floor", None).expect("is valid").to_string(), "floor[0.10]");
        for (method, value) in [
            ("expo", None),
            ("exp", Some(1.0)),
            ("none", Some(0.0)),
            ("floor", Some(-1.0)),
            ("add-k", Some(f64::NAN)),
        ] {
            assert!(Smooth::new(method, value).is_err(), "{method} {value:?}");
        }
    }

    #[test]
    fn a_corpus_is_the_sum_of_its_sentences() {
        let bleu = Bleu { lowercase: true, ..Bleu::default() };
        let parts = [bleu.stats("A b c d", "a b c"), bleu.stats("x", "x y z")];
        let total: BleuStats = parts.iter().sum();
        assert_eq!(total, parts[0] + parts[1]);
        assert_eq!((total.sys_len, total.ref_len, total.matches), (5, 6, [4, 2, 1, 0]));
    }
}
