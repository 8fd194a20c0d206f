//! How answers are scored, and the scores of a cell's generations. Pure, so that everything that reads results can compute them
//! again.

use anyhow::{Result, ensure};

use super::lines::{GenerationLine, Outcome};
use super::scores::{Runner, Scores};
use crate::base::error::input;
use crate::config::Task;
use crate::data::Direction;
use crate::prompt::Profile;
use crate::sandbox::Verdict;
use crate::score::{Assembly, PairStats, PassScore, TextScorer, Tokenize};

/// How answers are scored.
#[derive(Debug, Clone, Copy)]
pub enum Scoring {
    /// As texts, against references.
    Text(TextScorer),
    /// As programs, by running them.
    Code(Assembly),
}

impl Scoring {
    /// What the task and the profile want.
    ///
    /// # Errors
    /// A language whose tokenizer is not here.
    pub fn new(task: Task, profile: Profile, direction: Option<&Direction>) -> Result<Self> {
        Ok(match (task, profile) {
            (Task::Mt, _) => Self::Text(text_scorer(direction)?),
            (Task::Code, Profile::Exact) => Self::Code(Assembly::AfterPrompt),
            (Task::Code, Profile::Sia2024) => Self::Code(Assembly::Alone),
        })
    }
}

/// Lower-cased BLEU with sacreBLEU's tokenizer for the target language, as the study scores; and chrF2.
///
/// # Errors
/// A language whose tokenizer is not here.
fn text_scorer(direction: Option<&Direction>) -> Result<TextScorer> {
    let tokenize = match direction.map_or("", |direction| direction.target.as_str()) {
        "zh" => Tokenize::Zh,
        "ja" => {
            return Err(input(
                "--direction: Japanese is scored with sacreBLEU's ja-mecab tokenizer, which this version lacks",
            ));
        }
        _ => Tokenize::V13a,
    };
    Ok(TextScorer::new(tokenize, true))
}

/// The scores of a cell's generations, item by item.
///
/// # Errors
/// A generation has no outcome of the kind that is scored.
pub fn scores(
    scoring: &Scoring,
    samples: usize,
    lines: &[GenerationLine],
    runner: Option<&Runner>,
) -> Result<Scores> {
    let wrong = "a stored generation has the wrong kind of score, or one that no text can have; was it written by another version?";
    match (scoring, runner) {
        (Scoring::Text(scorer), _) => {
            let stats = |line: &GenerationLine| match &line.outcome {
                Outcome::Text { stats } if stats.bleu.is_possible() && stats.chrf.is_possible() => {
                    Some(stats.clone())
                }
                _ => None,
            };
            let pairs: Vec<PairStats> = lines.iter().filter_map(stats).collect();
            ensure!(pairs.len() == lines.len(), input(wrong));
            // Items are what is resampled, not their samples.
            let items: Vec<PairStats> = pairs.chunks(samples.max(1)).map(PairStats::sum).collect();
            Ok(Scores::text(scorer.corpus(&items)))
        }
        (Scoring::Code(_), Some(runner)) => {
            let verdict = |line: &GenerationLine| match &line.outcome {
                Outcome::Program { verdict, .. } => Some(*verdict),
                _ => None,
            };
            let verdicts: Vec<Verdict> = lines.iter().filter_map(verdict).collect();
            ensure!(
                verdicts.len() == lines.len() && verdicts.len().is_multiple_of(samples.max(1)),
                input(wrong)
            );
            let problems: Vec<Vec<Verdict>> = verdicts.chunks(samples.max(1)).map(<[_]>::to_vec).collect();
            Ok(Scores::code(PassScore::new(&problems), runner.clone()))
        }
        (Scoring::Code(_), None) => anyhow::bail!("programs cannot be scored without running them"),
    }
}
