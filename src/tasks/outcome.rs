//! What one answer adds to the scores, and how the lines of generations hold it.

use serde::{Deserialize, Serialize};

use super::choice::{Choice, WeighedOption};
use crate::sandbox::{Judged, Verdict};
use crate::score::{Answer, PairStats, TextScorer};

/// What an answer adds to the scores. In files the fields that are there tell which of these it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Outcome {
    /// A text, compared with its reference.
    Text {
        /// The statistics of the pair.
        stats: PairStats,
    },
    /// A program, run against its tests.
    Program {
        /// How it fared.
        verdict: Verdict,
        /// The exception or the cause.
        #[serde(skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// A short answer, compared with the right ones.
    Answer {
        /// How it compares.
        judged: Answer,
    },
    /// Options, weighed.
    Choice(Choice),
    /// A program that has not been run yet: in files of unfinished cells only.
    Pending {},
}

impl Outcome {
    /// It cannot be scored yet.
    pub fn is_pending(&self) -> bool {
        matches!(self, Self::Pending {})
    }

    /// This outcome without what `other` lacks because an earlier version judged it.
    pub fn limited_to(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Text { stats }, Self::Text { stats: other }) => {
                Self::Text { stats: stats.limited_to(other) }
            }
            (outcome, _) => outcome,
        }
    }

    /// What a reader of single answers is shown.
    pub fn mark(&self) -> Mark {
        match self {
            Self::Text { stats } => {
                Mark { score: Some(TextScorer::default().sentence_bleu(stats).score), ..Mark::default() }
            }
            Self::Program { verdict, .. } => Mark { verdict: Some(*verdict), ..Mark::default() },
            Self::Answer { judged } => Mark { right: Some(judged.exact), ..Mark::default() },
            Self::Choice(choice) => Mark { right: Some(choice.chosen == choice.right), ..Mark::default() },
            Self::Pending {} => Mark::default(),
        }
    }
}

impl From<Judged> for Outcome {
    fn from(Judged { verdict, reason, .. }: Judged) -> Self {
        Self::Program { verdict, reason }
    }
}

/// One answer's own score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Mark {
    /// BLEU of the sentence, where the answer is a text.
    pub score: Option<f64>,
    /// How it fared, where it is a program.
    pub verdict: Option<Verdict>,
    /// Whether the right option was chosen, or the answer is a right one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub right: Option<bool>,
}

/// The fields of all kinds of outcomes, as lines of generations hold them.
#[derive(Deserialize)]
pub struct WrittenOutcome {
    stats: Option<PairStats>,
    verdict: Option<Verdict>,
    reason: Option<String>,
    judged: Option<Answer>,
    options: Option<Vec<WeighedOption>>,
    chosen: Option<usize>,
    chosen_per_token: Option<usize>,
    right: Option<usize>,
    rank: Option<usize>,
    #[serde(default)]
    shared: usize,
    likeliest: Option<u32>,
    kl: Option<f32>,
}

impl WrittenOutcome {
    /// The choice, where the options of one are here.
    fn choice(&self) -> Result<Option<Choice>, &'static str> {
        let Some(options) = self.options.clone() else { return Ok(None) };
        let choice = || {
            Some(Choice {
                options,
                chosen: self.chosen?,
                chosen_per_token: self.chosen_per_token?,
                right: self.right?,
                rank: self.rank?,
                shared: self.shared,
                likeliest: self.likeliest?,
                kl: self.kl?,
            })
        };
        choice().map(Some).ok_or("holds `options`, but not all of `chosen`, `chosen_per_token`, `right`, `rank`, `likeliest`, `kl`")
    }
}

impl TryFrom<WrittenOutcome> for Outcome {
    type Error = &'static str;

    fn try_from(written: WrittenOutcome) -> Result<Self, Self::Error> {
        if let Some(choice) = written.choice()? {
            return match (&written.stats, written.verdict, written.judged) {
                (None, None, None) => Ok(Self::Choice(choice)),
                _ => Err("holds `options` beside another judgement: `stats`, `verdict` or `judged`"),
            };
        }
        if let Some(judged) = written.judged {
            return match (&written.stats, written.verdict) {
                (None, None) => Ok(Self::Answer { judged }),
                _ => Err("holds `judged` of a short answer beside `stats` or `verdict`"),
            };
        }
        let WrittenOutcome { stats, verdict, reason, .. } = written;
        match (stats, verdict, reason) {
            (Some(stats), None, None) => Ok(Self::Text { stats }),
            (None, Some(verdict), reason) => {
                Ok(Self::Program { verdict, reason: reason.unwrap_or_default() })
            }
            (None, None, None) => Ok(Self::Pending {}),
            (Some(_), _, _) => Err("holds `stats` of a text beside `verdict` or `reason` of a program"),
            (None, None, Some(_)) => Err("holds a `reason` without a `verdict`"),
        }
    }
}
