//! Task `code`: programs run against tests, by pass@k.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde_json::{Value, json};

use super::items::UNSCORED;
use super::scores::ends;
use super::{Delimiters, ItemParts, ItemStats, Measure, Outcome, Runner, Scores, Statistic, Task, TaskKind};
use crate::base::error::input;
use crate::data::{CorpusKind, DataConfig, Example};
use crate::engine::Stop;
use crate::prompt::{Format, Profile};
use crate::sandbox::{Trial, Verdict};
use crate::score::{Assembly, PassScore, exact_code, pass_at_k, reported_ks, sia2024};

/// What is known of the task.
pub(super) static KIND: TaskKind = TaskKind {
    name: "code",
    asks_for: "programming problems",
    defaults: Some("default-code"),
    runs_programs: true,
    weighs: false,
    names_languages: false,
    new_tokens: 50,
    has_corpus: true,
    trains_adapters: false,
    study_direction: Some("en-py"),
    fits: |kind| matches!(kind, CorpusKind::Code(_)),
    one_off: DataConfig::one_off_code,
    measures: |samples| reported_ks(samples.max(1)).map(pass_at).collect(),
    measure,
    measure_names: "pass@K (such as pass@1)",
    set_up: |profile, _, _| Ok(Box::new(Programs::new(profile))),
};

/// The task with the profile of a run.
#[derive(Debug)]
pub struct Programs {
    profile: Profile,
    /// How an answer becomes a program.
    pub assembly: Assembly,
}

/// pass@k. Score files keep that of one sample at their top, the others in a field of their own.
fn pass_at(k: usize) -> Measure {
    let name = format!("pass@{k}");
    let nested = (k > 1).then(|| ["pass@k".into(), k.to_string()]);
    Measure { nested, ..Measure::new(&name, &name, 3, Statistic::Mean) }
}

/// The k of a name such as `pass@10`.
fn k_of(name: &str) -> Option<usize> {
    name.strip_prefix("pass@")?.parse().ok().filter(|k| *k > 0)
}

fn measure(word: &str) -> Option<Measure> {
    k_of(word).map(pass_at)
}

/// The scores of programs, as score files hold them.
#[derive(Serialize)]
struct CodeScores {
    /// The share of programs that pass, 0 to 1; with several samples the mean over problems.
    #[serde(rename = "pass@1")]
    pass_at_1: f64,
    #[serde(rename = "pass@1_interval")]
    pass_at_1_interval: Option<[f64; 2]>,
    /// By k, where there are several samples.
    #[serde(rename = "pass@k", skip_serializing_if = "BTreeMap::is_empty")]
    pass_at_k: BTreeMap<String, f64>,
    #[serde(rename = "pass@k_interval", skip_serializing_if = "BTreeMap::is_empty")]
    pass_at_k_interval: BTreeMap<String, Option<[f64; 2]>>,
    /// Programs of each problem; where they differ in number (`score --task code`), the fewest.
    samples: usize,
    /// How many programs fared how.
    outcomes: BTreeMap<Verdict, usize>,
    runner: Runner,
}

impl Programs {
    /// In profile `exact` a program begins with the problem's own code; the study runs the answer alone.
    pub fn new(profile: Profile) -> Self {
        let assembly = match profile {
            Profile::Exact => Assembly::AfterPrompt,
            Profile::Sia2024 => Assembly::Alone,
        };
        Self { profile, assembly }
    }

    /// The scores of problems' programs, as score files hold them.
    ///
    /// # Errors
    /// A number that JSON cannot hold.
    pub fn written(score: PassScore, runner: &Runner) -> Result<Scores> {
        let (pass_at_1, interval) = score.pass.get(&1).copied().unwrap_or_default();
        let several = || score.pass.iter().filter(|_| score.samples > 1);
        Scores::written(&CodeScores {
            pass_at_1,
            pass_at_1_interval: ends(interval),
            pass_at_k: several().map(|(k, (value, _))| (k.to_string(), *value)).collect(),
            pass_at_k_interval: several()
                .map(|(k, (_, interval))| (k.to_string(), ends(*interval)))
                .collect(),
            samples: score.samples,
            outcomes: score.outcomes,
            runner: runner.clone(),
        })
    }
}

fn verdict(outcome: &Outcome) -> Option<Verdict> {
    match outcome {
        Outcome::Program { verdict, .. } => Some(*verdict),
        _ => None,
    }
}

impl Task for Programs {
    fn kind(&self) -> &'static TaskKind {
        &KIND
    }

    /// An answer has lines of its own: only the next question ends it.
    fn stops(&self, format: &Format) -> Vec<(String, Stop)> {
        let next = format!("{}{}", format.separator, format.question.trim());
        if next.trim().is_empty() { Vec::new() } else { vec![(next, Stop::Question)] }
    }

    fn clean(&self, text: &str, delimiters: &Delimiters) -> String {
        match self.profile {
            Profile::Exact => exact_code(text, &delimiters.stops).to_string(),
            Profile::Sia2024 => sia2024(text, &delimiters.format.question, &delimiters.format.answer),
        }
    }

    fn judge(&self, _: &Example, _: &str) -> Outcome {
        Outcome::Pending {}
    }

    fn trial(&self, item: &Example, clean: &str) -> Result<Option<Trial>> {
        let problem = item.problem.as_ref().ok_or_else(|| input(format!("{}: has no tests", item.id)))?;
        Ok(Some(self.assembly.trial(problem, clean)))
    }

    fn program(&self, item: &Example, clean: &str) -> Option<String> {
        Some(self.assembly.whole(item.problem.as_ref()?, clean))
    }

    fn takes(&self, outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Program { .. } | Outcome::Pending {})
    }

    fn scores(&self, samples: usize, outcomes: &[&Outcome], runner: Option<&Runner>) -> Result<Scores> {
        let Some(runner) = runner else { bail!("programs cannot be scored without running them") };
        let verdicts: Vec<Verdict> = outcomes.iter().filter_map(|outcome| verdict(outcome)).collect();
        let samples = samples.max(1);
        ensure!(
            verdicts.len() == outcomes.len() && verdicts.len().is_multiple_of(samples),
            input(super::scores::IMPOSSIBLE)
        );
        let problems: Vec<Vec<Verdict>> = verdicts.chunks(samples).map(<[_]>::to_vec).collect();
        Self::written(PassScore::new(&problems), runner)
    }

    fn items(&self, measure: &Measure, samples: usize, outcomes: &[&Outcome]) -> Result<ItemStats> {
        let k = k_of(&measure.key).context("a measure of programs")?;
        let passed = |outcome: &&Outcome| verdict(outcome).map(|verdict| verdict == Verdict::Passed);
        let passed: Option<Vec<bool>> = outcomes.iter().map(passed).collect();
        let estimate = |some: &[bool]| {
            pass_at_k(some.len(), some.iter().filter(|passed| **passed).count(), k)
                .ok_or_else(|| input(format!("pass@{k} needs {k} generations of each item")))
        };
        let items = passed.ok_or_else(|| input(UNSCORED))?;
        let values = items.chunks(samples.max(1)).map(estimate).collect::<Result<_>>()?;
        Ok(ItemStats::new(measure.clone(), ItemParts::Mean(values), Vec::new()))
    }

    fn beside(&self, scores: &Scores, _: &Measure) -> (&'static str, String) {
        let outcomes: BTreeMap<Verdict, usize> = scores
            .field("outcomes")
            .and_then(|outcomes| serde_json::from_value(outcomes.clone()).ok())
            .unwrap_or_default();
        let passed = outcomes.get(&Verdict::Passed).unwrap_or(&0);
        ("passed", format!("{passed}/{}", outcomes.values().sum::<usize>()))
    }

    fn study_scores(&self, scores: &Scores) -> Value {
        json!({ "pass@1": scores.value(&pass_at(1)) })
    }
}
