//! The scores of a cell, by what was asked for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sandbox::Verdict;
use crate::score::{CorpusScore, Interval, PassScore};

/// The scores of a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scores {
    /// Of texts.
    Text(TextScores),
    /// Of programs.
    Code(CodeScores),
}

/// Texts compared with references.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextScores {
    /// Corpus BLEU, 0 to 100.
    pub bleu: f64,
    /// Its 95 % bootstrap interval over items.
    pub bleu_interval: Option<[f64; 2]>,
    /// n-gram precisions, percent.
    pub bleu1: f64,
    /// As `bleu1`.
    pub bleu2: f64,
    /// As `bleu1`.
    pub bleu3: f64,
    /// As `bleu1`.
    pub bleu4: f64,
    /// 0 to 1.
    pub brevity_penalty: f64,
    /// chrF2, 0 to 100.
    pub chrf: f64,
    /// Its 95 % bootstrap interval over items.
    pub chrf_interval: Option<[f64; 2]>,
    /// sacreBLEU's signature of `bleu`.
    pub signature: String,
    /// sacreBLEU's signature of `chrf`.
    pub chrf_signature: String,
}

/// Programs run against tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CodeScores {
    /// The share of programs that pass, 0 to 1; with several samples the mean over problems.
    #[serde(rename = "pass@1")]
    pub pass_at_1: f64,
    /// Its 95 % bootstrap interval over problems.
    #[serde(rename = "pass@1_interval")]
    pub pass_at_1_interval: Option<[f64; 2]>,
    /// By k, the unbiased estimate of pass@k, where there are several samples.
    #[serde(rename = "pass@k", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pass_at_k: BTreeMap<String, f64>,
    /// Their 95 % bootstrap intervals over problems.
    #[serde(rename = "pass@k_interval", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pass_at_k_interval: BTreeMap<String, Option<[f64; 2]>>,
    /// Programs of each problem; where they differ in number (`score --task code`), the fewest.
    pub samples: usize,
    /// How many programs fared how.
    pub outcomes: BTreeMap<Verdict, usize>,
    /// What ran them: version of Python, limits, layers of the sandbox.
    pub runner: Runner,
}

/// What ran the programs. Verdicts of different ones are not strictly comparable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runner {
    /// Version of Python.
    pub python: String,
    /// Processor seconds of a program.
    pub time_limit: u64,
    /// Bytes of address space of a program.
    pub memory_limit: u64,
    /// Layers of the sandbox.
    pub sandbox: String,
}

fn pair(interval: Option<Interval>) -> Option<[f64; 2]> {
    interval.map(|interval| [interval.low, interval.high])
}

impl Scores {
    /// Of a corpus of texts.
    pub fn text(score: CorpusScore) -> Self {
        let [bleu1, bleu2, bleu3, bleu4] = score.bleu.precisions;
        Self::Text(TextScores {
            bleu: score.bleu.score,
            bleu_interval: pair(score.bleu_interval),
            bleu1,
            bleu2,
            bleu3,
            bleu4,
            brevity_penalty: score.bleu.brevity_penalty,
            chrf: score.chrf,
            chrf_interval: pair(score.chrf_interval),
            signature: score.bleu_signature,
            chrf_signature: score.chrf_signature,
        })
    }

    /// Of programs.
    pub fn code(score: PassScore, runner: Runner) -> Self {
        let (pass_at_1, interval) = score.pass.get(&1).copied().unwrap_or_default();
        let several = || score.pass.iter().filter(|_| score.samples > 1);
        Self::Code(CodeScores {
            pass_at_1,
            pass_at_1_interval: pair(interval),
            pass_at_k: several().map(|(k, (value, _))| (k.to_string(), *value)).collect(),
            pass_at_k_interval: several()
                .map(|(k, (_, interval))| (k.to_string(), pair(*interval)))
                .collect(),
            samples: score.samples,
            outcomes: score.outcomes,
            runner,
        })
    }

    /// The score that a curve is drawn of.
    pub fn main(&self) -> f64 {
        match self {
            Self::Text(scores) => scores.bleu,
            Self::Code(scores) => scores.pass_at_1,
        }
    }

    /// Its name.
    pub fn metric(&self) -> &'static str {
        match self {
            Self::Text(_) => "BLEU",
            Self::Code(_) => "pass@1",
        }
    }

    /// It as people read it.
    pub fn shown(&self, value: f64) -> String {
        match self {
            Self::Text(_) => format!("{value:.2}"),
            Self::Code(_) => format!("{value:.3}"),
        }
    }
}
