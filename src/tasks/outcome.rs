//! What one answer adds to the scores, and how the lines of generations hold it.

use serde::{Deserialize, Serialize};

use crate::sandbox::{Judged, Verdict};
use crate::score::{PairStats, TextScorer};

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
    /// A program that has not been run yet: in files of unfinished cells only.
    Pending {},
}

impl Outcome {
    /// It cannot be scored yet.
    pub fn is_pending(&self) -> bool {
        matches!(self, Self::Pending {})
    }

    /// What a reader of single answers is shown.
    pub fn mark(&self) -> Mark {
        match self {
            Self::Text { stats } => {
                Mark { score: Some(TextScorer::default().sentence_bleu(stats).score), verdict: None }
            }
            Self::Program { verdict, .. } => Mark { score: None, verdict: Some(*verdict) },
            Self::Pending {} => Mark { score: None, verdict: None },
        }
    }
}

impl From<Judged> for Outcome {
    fn from(Judged { verdict, reason, .. }: Judged) -> Self {
        Self::Program { verdict, reason }
    }
}

/// One answer's own score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mark {
    /// BLEU of the sentence, where the answer is a text.
    pub score: Option<f64>,
    /// How it fared, where it is a program.
    pub verdict: Option<Verdict>,
}

/// The fields of all kinds of outcomes, as lines of generations hold them.
#[derive(Deserialize)]
pub struct WrittenOutcome {
    stats: Option<PairStats>,
    verdict: Option<Verdict>,
    reason: Option<String>,
}

impl TryFrom<WrittenOutcome> for Outcome {
    type Error = &'static str;

    fn try_from(written: WrittenOutcome) -> Result<Self, Self::Error> {
        let WrittenOutcome { stats, verdict, reason } = written;
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
