//! Task `answer`: a short answer is generated and compared with the right ones.

use anyhow::{Result, ensure};
use serde_json::{Map, Value, json};

use super::items::UNSCORED;
use super::scores::{IMPOSSIBLE, ends};
use super::{
    Asked, Delimiters, ItemParts, ItemStats, Measure, Outcome, Runner, Scores, Statistic, Take, Task,
    TaskKind, line_stops, share,
};
use crate::base::error::input;
use crate::data::{CorpusKind, DataConfig, Example};
use crate::engine::Stop;
use crate::prompt::{Format, Profile};
use crate::score::{Answer, AnswerRule, Bootstrap, exact, first_line};

/// What is known of the task.
pub(super) static KIND: TaskKind = TaskKind {
    name: "answer",
    asks_for: "questions with short answers",
    defaults: Some("default-answer"),
    runs_programs: false,
    weighs: false,
    names_languages: false,
    new_tokens: 20,
    has_corpus: false,
    trains_adapters: false,
    study_direction: None,
    fits: |kind| matches!(kind, CorpusKind::Table(_)),
    one_off: DataConfig::one_off,
    measures: |_| MEASURES.iter().map(Known::measure).collect(),
    measure: |word| MEASURES.iter().find(|known| known.key == word).map(Known::measure),
    measure_names: "exact_match, f1, contains, number",
    set_up: |profile, _, asked| Answers::new(profile, asked).map(|task| Box::new(task) as Box<dyn Task>),
};

/// A measure, with what an answer adds to it; nothing where it is not asked for.
struct Known {
    key: &'static str,
    label: &'static str,
    adds: fn(&Answer) -> Option<f64>,
}

/// All measures, the usual one first.
static MEASURES: [Known; 4] = [
    Known { key: "exact_match", label: "exact match", adds: |answer| Some(share(answer.exact)) },
    Known { key: "f1", label: "F1", adds: |answer| Some(answer.f1) },
    Known { key: "contains", label: "contains", adds: |answer| Some(share(answer.contains)) },
    Known { key: "number", label: "number", adds: |answer| answer.number.map(share) },
];

impl Known {
    fn measure(&self) -> Measure {
        Measure::new(self.key, self.label, 3, Statistic::Mean)
    }

    /// By item, the mean over its samples; `None` where some answer was not judged so.
    fn values(&self, samples: usize, answers: &[&Answer]) -> Option<Vec<f64>> {
        let each: Vec<f64> = answers.iter().map(|answer| (self.adds)(answer)).collect::<Option<_>>()?;
        let mean = |some: &[f64]| some.iter().sum::<f64>() / some.len() as f64;
        Some(each.chunks(samples.max(1)).map(mean).collect())
    }
}

/// The task with what a run asks.
#[derive(Debug)]
pub struct Answers {
    rule: AnswerRule,
    take: Take,
    usual: Measure,
}

impl Answers {
    /// The task as a run has it.
    ///
    /// # Errors
    /// The profile of the study, which knows no short answers; a measure that they do not have.
    pub fn new(profile: Profile, asked: &Asked) -> Result<Self> {
        ensure!(
            profile == Profile::Exact,
            input("--profile: sia2024 knows translations and programs only; write --profile exact")
        );
        let usual = match asked.metric.as_str() {
            "" => MEASURES[0].measure(),
            word => (KIND.measure)(word).ok_or_else(|| {
                input(format!(
                    "metric: `{word}` is not a measure of short answers: use {}",
                    KIND.measure_names
                ))
            })?,
        };
        let rule = asked.answer.clone().unwrap_or_default();
        ensure!(
            usual.key != "number" || rule.tolerance.is_some(),
            input("metric: number needs `tolerance` under `answer`; write tolerance: 0 for equal numbers")
        );
        Ok(Self { rule, take: asked.take, usual })
    }

    /// The judgement of an answer; `None` where it has none, or such as no answer can have.
    fn judged(outcome: &Outcome) -> Option<&Answer> {
        match outcome {
            Outcome::Answer { judged } if (0. ..=1.).contains(&judged.f1) => Some(judged),
            _ => None,
        }
    }
}

impl Task for Answers {
    fn kind(&self) -> &'static TaskKind {
        &KIND
    }

    fn usual(&self, _: usize) -> Measure {
        self.usual.clone()
    }

    fn check(&self, item: &Example) -> Result<()> {
        let right: Vec<String> = item.right().map(String::from).collect();
        let number = self.rule.judge("", &right)?.number;
        ensure!(
            self.rule.tolerance.is_none() || number.is_some(),
            input(format!(
                "item {}: its answer `{}` holds no number to compare with, but the task has a `tolerance`",
                item.id,
                item.target.trim()
            ))
        );
        Ok(())
    }

    fn stops(&self, format: &Format) -> Vec<(String, Stop)> {
        line_stops(format)
    }

    fn clean(&self, text: &str, delimiters: &Delimiters) -> String {
        let cut = exact(text, &delimiters.stops);
        match self.take {
            Take::Line => first_line(cut).into(),
            Take::Text => cut.trim().into(),
        }
    }

    /// A search for `extract` that is given up has found nothing.
    fn judge(&self, item: &Example, clean: &str) -> Outcome {
        let right: Vec<String> = item.right().map(|right| right.trim().into()).collect();
        let wrong =
            Answer { exact: false, contains: false, f1: 0., number: self.rule.tolerance.map(|_| false) };
        Outcome::Answer { judged: self.rule.judge(clean, &right).unwrap_or(wrong) }
    }

    fn takes(&self, outcome: &Outcome) -> bool {
        Self::judged(outcome).is_some()
    }

    fn scores(&self, samples: usize, outcomes: &[&Outcome], _: Option<&Runner>) -> Result<Scores> {
        let answers: Vec<&Answer> = outcomes.iter().filter_map(|outcome| Self::judged(outcome)).collect();
        ensure!(answers.len() == outcomes.len(), input(IMPOSSIBLE));
        let mut fields = Map::new();
        for known in &MEASURES {
            let Some(values) = known.values(samples, &answers) else { continue };
            let interval = Bootstrap::default().of_mean(&values);
            fields.insert(known.key.into(), json!(values.iter().sum::<f64>() / values.len().max(1) as f64));
            fields.insert(format!("{}_interval", known.key), json!(ends(interval)));
        }
        Scores::written(&fields)
    }

    fn items(&self, measure: &Measure, samples: usize, outcomes: &[&Outcome]) -> Result<ItemStats> {
        let answers: Option<Vec<&Answer>> = outcomes.iter().map(|outcome| Self::judged(outcome)).collect();
        let known = MEASURES.iter().find(|known| known.key == measure.key);
        let values = answers.zip(known).and_then(|(answers, known)| known.values(samples, &answers));
        let values = values.ok_or_else(|| input(UNSCORED))?;
        Ok(ItemStats::new(measure.clone(), ItemParts::Mean(values), Vec::new()))
    }

    fn beside(&self, scores: &Scores, measure: &Measure) -> (&'static str, String) {
        let other = if measure.key == MEASURES[1].key { &MEASURES[0] } else { &MEASURES[1] };
        let value = scores.value(&other.measure());
        (other.label, value.map_or(String::new(), |value| other.measure().shown(value)))
    }

    fn study_scores(&self, scores: &Scores) -> Value {
        json!({ "exact_match": scores.value(&MEASURES[0].measure()) })
    }
}
