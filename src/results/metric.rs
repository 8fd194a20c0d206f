//! Which measure of the score files a figure, a table or a test shows.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::scores::Scores;
use crate::base::error::input;
use crate::score::MAX_ORDER;

/// A measure of the score files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Corpus BLEU, 0 to 100.
    Bleu,
    /// The precision of n-grams of this length (1 to 4), in percent.
    Precision(usize),
    /// BLEU's brevity penalty, 0 to 1.
    BrevityPenalty,
    /// Corpus chrF, 0 to 100.
    Chrf,
    /// pass@k, 0 to 1.
    PassAt(usize),
}

impl Metric {
    /// Its name in the score files and on the command line.
    pub fn key(self) -> String {
        match self {
            Self::Bleu => "bleu".into(),
            Self::Precision(order) => format!("bleu{order}"),
            Self::BrevityPenalty => "brevity_penalty".into(),
            Self::Chrf => "chrf".into(),
            Self::PassAt(k) => format!("pass@{k}"),
        }
    }

    /// Decimals that people read.
    pub fn digits(self) -> usize {
        match self {
            Self::Bleu | Self::Precision(_) | Self::Chrf => 2,
            Self::BrevityPenalty | Self::PassAt(_) => 3,
        }
    }

    /// The number as people read it.
    pub fn shown(self, value: f64) -> String {
        format!("{value:.*}", self.digits())
    }

    /// The longest n-gram of words that it counts; answers with fewer words hold none of them.
    pub fn words(self) -> Option<usize> {
        match self {
            Self::Bleu => Some(MAX_ORDER),
            Self::Precision(order) => Some(order),
            Self::BrevityPenalty | Self::Chrf | Self::PassAt(_) => None,
        }
    }

    /// What an unmatched `--metric` may have meant: every name there is.
    fn known() -> String {
        "bleu, bleu1, bleu2, bleu3, bleu4, brevity_penalty, chrf, pass@K (such as pass@1)".into()
    }
}

/// As tables and axes name it.
impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bleu => f.pad("BLEU"),
            Self::Precision(order) => f.pad(&format!("{order}-gram precision")),
            Self::BrevityPenalty => f.pad("brevity penalty"),
            Self::Chrf => f.pad("chrF"),
            Self::PassAt(k) => f.pad(&format!("pass@{k}")),
        }
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Metric {
    type Err = anyhow::Error;

    /// # Errors
    /// There is no such measure.
    fn from_str(word: &str) -> anyhow::Result<Self> {
        let lower = word.trim().to_lowercase();
        let order = |digits: &str| digits.parse().ok().filter(|order| (1..=MAX_ORDER).contains(order));
        let found = match lower.as_str() {
            "bleu" => Some(Self::Bleu),
            "chrf" | "chrf2" => Some(Self::Chrf),
            "brevity_penalty" => Some(Self::BrevityPenalty),
            other => match (other.strip_prefix("bleu"), other.strip_prefix("pass@")) {
                (Some(digits), _) => order(digits).map(Self::Precision),
                (_, Some(digits)) => digits.parse().ok().filter(|k| *k > 0).map(Self::PassAt),
                _ => None,
            },
        };
        found.ok_or_else(|| input(format!("--metric `{word}` is not a measure: use {}", Self::known())))
    }
}

impl Scores {
    /// The measure that a curve shows where no other is asked for.
    pub fn usual(&self) -> Metric {
        match self {
            Self::Text(_) => Metric::Bleu,
            Self::Code(_) => Metric::PassAt(1),
        }
    }

    /// All measures that are here.
    pub fn metrics(&self) -> Vec<Metric> {
        match self {
            Self::Text(_) => Metric::of_text(),
            Self::Code(code) => {
                let several = code.pass_at_k.keys().filter_map(|k| k.parse().ok()).filter(|k| *k > 1);
                let mut ks: Vec<usize> = several.collect();
                ks.sort_unstable();
                [1].into_iter().chain(ks).map(Metric::PassAt).collect()
            }
        }
    }

    /// The value of a measure; `None` where it is not here.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        match (self, metric) {
            (Self::Text(text), Metric::Bleu) => Some(text.bleu),
            (Self::Text(text), Metric::Precision(order)) => {
                [text.bleu1, text.bleu2, text.bleu3, text.bleu4].get(order.checked_sub(1)?).copied()
            }
            (Self::Text(text), Metric::BrevityPenalty) => Some(text.brevity_penalty),
            (Self::Text(text), Metric::Chrf) => Some(text.chrf),
            (Self::Code(code), Metric::PassAt(1)) => Some(code.pass_at_1),
            (Self::Code(code), Metric::PassAt(k)) => code.pass_at_k.get(&k.to_string()).copied(),
            _ => None,
        }
    }

    /// The stored 95 % interval of a measure; `None` where none is stored.
    pub fn interval(&self, metric: Metric) -> Option<[f64; 2]> {
        match (self, metric) {
            (Self::Text(text), Metric::Bleu) => text.bleu_interval,
            (Self::Text(text), Metric::Chrf) => text.chrf_interval,
            (Self::Code(code), Metric::PassAt(1)) => code.pass_at_1_interval,
            (Self::Code(code), Metric::PassAt(k)) => {
                code.pass_at_k_interval.get(&k.to_string()).copied().flatten()
            }
            _ => None,
        }
    }
}

impl Metric {
    /// The measures of texts.
    pub fn of_text() -> Vec<Self> {
        let precisions = (1..=MAX_ORDER).map(Self::Precision);
        [Self::Bleu].into_iter().chain(precisions).chain([Self::BrevityPenalty, Self::Chrf]).collect()
    }

    /// This measure, if it is among those that `whose` holds.
    ///
    /// # Errors
    /// It is not; the sentence lists those that are.
    pub fn among(self, there: &[Self], whose: &str) -> anyhow::Result<Self> {
        if there.contains(&self) {
            return Ok(self);
        }
        let there: Vec<String> = there.iter().map(|metric| metric.key()).collect();
        Err(input(format!("--metric {}: {whose} holds {} only", self.key(), there.join(", "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for metric in Metric::of_text().into_iter().chain([Metric::PassAt(1), Metric::PassAt(10)]) {
            assert_eq!(metric.key().parse::<Metric>().expect("known"), metric);
        }
        for word in ["", "bleu0", "bleu5", "bleu-1", "pass@0", "pass@", "ter", "BLEU 4"] {
            let said = word.parse::<Metric>().expect_err("unknown").to_string();
            assert!(said.contains("brevity_penalty"), "{said}");
        }
        assert_eq!("chrF".parse::<Metric>().expect("known"), Metric::Chrf);
    }
}
