//! Task `choice`: one of given options is chosen by its log-probability; nothing is generated.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Result, ensure};
use serde_json::{Map, Value, json};

use super::asked::right;
use super::items::UNSCORED;
use super::scores::{IMPOSSIBLE, ends};
use super::{
    Asked, Choice, Delimiters, ItemParts, ItemStats, Measure, Outcome, Runner, Scores, Statistic, Task,
    TaskKind, share,
};
use crate::base::error::input;
use crate::data::{CorpusKind, DataConfig, Example};
use crate::engine::{Options, Stop, Weighed};
use crate::prompt::{Format, Profile};
use crate::score::{Bootstrap, Confidence, Labelled};

/// What is known of the task.
pub(super) static KIND: TaskKind = TaskKind {
    name: "choice",
    asks_for: "items with options",
    defaults: Some("default-choice"),
    runs_programs: false,
    weighs: true,
    names_languages: false,
    new_tokens: 1,
    has_corpus: false,
    trains_adapters: false,
    study_direction: None,
    fits: |kind| matches!(kind, CorpusKind::Table(_)),
    one_off: DataConfig::one_off,
    measures: |_| MEASURES.iter().map(Known::measure).collect(),
    measure: |word| MEASURES.iter().find(|known| known.key == word).map(Known::measure),
    measure_names: "accuracy, accuracy_per_token, logprob, margin, logit_difference, option_mass, option_rate, macro_f1, ece, kl",
    set_up: |profile, _, asked| Choices::new(profile, asked).map(|task| Box::new(task) as Box<dyn Task>),
};

/// A measure, with what each item adds to it.
struct Known {
    key: &'static str,
    label: &'static str,
    higher_is_better: bool,
    adds: Adds,
}

/// What an item adds.
enum Adds {
    /// A number, of which the measure is the mean.
    Number(fn(&Choice) -> f64),
    /// The same, but not every item has one: the measure is absent where some item lacks it.
    Perhaps(fn(&Choice) -> Option<f64>),
    /// The right label and the chosen one.
    Labels,
    /// The confidence, and whether it was right.
    Confidence,
}

/// All measures, the usual one first.
static MEASURES: [Known; 10] = [
    better("accuracy", "accuracy", Adds::Number(|choice| share(choice.chosen == choice.right))),
    better(
        "accuracy_per_token",
        "accuracy by token",
        Adds::Number(|choice| share(choice.chosen_per_token == choice.right)),
    ),
    better("logprob", "log-probability", Adds::Number(Choice::logprob)),
    better("margin", "margin", Adds::Number(Choice::margin)),
    better("logit_difference", "logit difference", Adds::Perhaps(Choice::logit_difference)),
    better("option_mass", "option mass", Adds::Number(Choice::mass)),
    better("option_rate", "option rate", Adds::Number(|choice| share(choice.knows_options()))),
    better("macro_f1", "macro F1", Adds::Labels),
    worse("ece", "calibration error", Adds::Confidence),
    worse("kl", "KL from baseline", Adds::Number(|choice| f64::from(choice.kl))),
];

const fn better(key: &'static str, label: &'static str, adds: Adds) -> Known {
    Known { key, label, higher_is_better: true, adds }
}

const fn worse(key: &'static str, label: &'static str, adds: Adds) -> Known {
    Known { key, label, higher_is_better: false, adds }
}

impl Known {
    fn measure(&self) -> Measure {
        let statistic = match self.adds {
            Adds::Number(_) | Adds::Perhaps(_) => Statistic::Mean,
            Adds::Labels => Statistic::MacroF1,
            Adds::Confidence => Statistic::CalibrationError,
        };
        let higher_is_better = self.higher_is_better;
        Measure { higher_is_better, ..Measure::new(self.key, self.label, 3, statistic) }
    }

    /// What these choices add; `None` where some of them adds nothing.
    fn items(&self, choices: &[&Choice]) -> Option<ItemStats> {
        let parts = match self.adds {
            Adds::Number(number) => ItemParts::Mean(choices.iter().map(|choice| number(choice)).collect()),
            Adds::Perhaps(number) => {
                ItemParts::Mean(choices.iter().map(|choice| number(choice)).collect::<Option<_>>()?)
            }
            Adds::Labels => ItemParts::Labels(labels(choices, HashMap::new())),
            Adds::Confidence => ItemParts::Confidence(
                choices
                    .iter()
                    .map(|choice| Confidence {
                        confidence: choice.confidence(),
                        right: choice.chosen == choice.right,
                    })
                    .collect(),
            ),
        };
        Some(ItemStats::new(self.measure(), parts, Vec::new()))
    }
}

/// Labels by number: those that are known, then others in the order in which the choices first name them.
fn labels(choices: &[&Choice], mut known: HashMap<String, usize>) -> Vec<Labelled> {
    let mut number = |text: &str| number(text, &mut known);
    let labelled = |choice: &&Choice| Labelled {
        right: number(choice.right_text()),
        chosen: number(choice.chosen_text()),
    };
    choices.iter().map(labelled).collect()
}

fn number(label: &str, known: &mut HashMap<String, usize>) -> usize {
    let next = known.len();
    *known.entry(label.to_string()).or_insert(next)
}

/// The options of these choices by number, in the order of the items. All cells of the same items number them alike, so that
/// items of two cells can change places in a test.
fn numbered(choices: &[&Choice]) -> HashMap<String, usize> {
    let mut known = HashMap::new();
    for option in choices.iter().flat_map(|choice| &choice.options) {
        number(&option.text, &mut known);
    }
    known
}

/// Labels whose counts score files hold; of more, the counts would only fill them.
const COUNTED: usize = 50;

/// The task with what a run asks.
#[derive(Debug)]
pub struct Choices {
    asked: Asked,
    usual: Measure,
}

impl Choices {
    /// The task as a run has it.
    ///
    /// # Errors
    /// The profile of the study, which knows no options; a measure that choices do not have.
    pub fn new(profile: Profile, asked: &Asked) -> Result<Self> {
        ensure!(
            profile == Profile::Exact,
            input("--profile: sia2024 knows no options to choose from; write --profile exact")
        );
        let usual = match asked.metric.as_str() {
            "" => MEASURES[0].measure(),
            word => (KIND.measure)(word).ok_or_else(|| {
                input(format!("metric: `{word}` is not a measure of choices: use {}", KIND.measure_names))
            })?,
        };
        Ok(Self { asked: asked.clone(), usual })
    }

    fn choice(outcome: &Outcome) -> Option<&Choice> {
        match outcome {
            Outcome::Choice(choice) if choice.is_possible() => Some(choice),
            _ => None,
        }
    }
}

impl Task for Choices {
    fn kind(&self) -> &'static TaskKind {
        &KIND
    }

    fn usual(&self, _: usize) -> Measure {
        self.usual.clone()
    }

    fn ask(&self, example: &mut Example) {
        self.asked.applied(example);
    }

    fn check(&self, item: &Example) -> Result<()> {
        self.asked.check_choice(item)
    }

    fn weighed(&self, item: &Example, options: &Options, weighed: &Weighed) -> Result<Outcome> {
        let right = right(item).first().copied().unwrap_or(0);
        Ok(Outcome::Choice(Choice::new(item, options, weighed, right)))
    }

    fn judged_again(&self, item: &Example, outcome: &Outcome) -> Option<Outcome> {
        let Outcome::Choice(choice) = outcome else { return None };
        Some(Outcome::Choice(choice.clone().settled(right(item).first().copied()?)))
    }

    fn stops(&self, _: &Format) -> Vec<(String, Stop)> {
        Vec::new()
    }

    fn clean(&self, text: &str, _: &Delimiters) -> String {
        text.into()
    }

    fn judge(&self, _: &Example, _: &str) -> Outcome {
        Outcome::Pending {}
    }

    fn takes(&self, outcome: &Outcome) -> bool {
        Self::choice(outcome).is_some()
    }

    fn scores(&self, _: usize, outcomes: &[&Outcome], _: Option<&Runner>) -> Result<Scores> {
        let choices: Vec<&Choice> = outcomes.iter().filter_map(|outcome| Self::choice(outcome)).collect();
        ensure!(choices.len() == outcomes.len(), input(IMPOSSIBLE));
        let mut fields = Map::new();
        for known in &MEASURES {
            let Some(items) = known.items(&choices) else { continue };
            let interval = match items.parts() {
                ItemParts::Mean(values) => Bootstrap::default().of_mean(values),
                _ => Bootstrap::default().interval(choices.len(), |drawn| items.score(drawn.iter().copied())),
            };
            fields.insert(known.key.into(), json!(items.score(0..choices.len())));
            fields.insert(format!("{}_interval", known.key), json!(ends(interval)));
        }
        let mut labels: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
        for choice in choices {
            labels.entry(choice.right_text()).or_default()[0] += 1;
            labels.entry(choice.chosen_text()).or_default()[1] += 1;
        }
        if labels.len() <= COUNTED {
            let counts = labels.into_iter();
            let counts =
                counts.map(|(label, [right, chosen])| (label, json!({ "right": right, "chosen": chosen })));
            fields
                .insert("labels".into(), counts.map(|(label, counts)| (label.to_string(), counts)).collect());
        }
        Scores::written(&fields)
    }

    fn items(&self, measure: &Measure, _: usize, outcomes: &[&Outcome]) -> Result<ItemStats> {
        let choices: Option<Vec<&Choice>> = outcomes.iter().map(|outcome| Self::choice(outcome)).collect();
        let choices = choices.ok_or_else(|| input(UNSCORED))?;
        let known = MEASURES.iter().find(|known| known.key == measure.key).ok_or_else(|| input(UNSCORED))?;
        match known.adds {
            Adds::Labels => {
                let parts = ItemParts::Labels(labels(&choices, numbered(&choices)));
                Ok(ItemStats::new(known.measure(), parts, Vec::new()))
            }
            _ => known.items(&choices).ok_or_else(|| input(UNSCORED)),
        }
    }

    fn beside(&self, scores: &Scores, measure: &Measure) -> (&'static str, String) {
        let other = if measure.key == MEASURES[0].key { &MEASURES[6] } else { &MEASURES[0] };
        let value = scores.value(&other.measure());
        (other.label, value.map_or(String::new(), |value| other.measure().shown(value)))
    }

    fn study_scores(&self, scores: &Scores) -> Value {
        json!({ "accuracy": scores.value(&MEASURES[0].measure()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::WeighedOption;

    /// An item with options a, b and c, of which a is right and this one was chosen.
    fn chosen(chosen: usize) -> Outcome {
        let option = |at: usize| WeighedOption {
            text: ["a", "b", "c"][at].into(),
            tokens: vec![at as u32],
            logprob: if at == chosen { -1. } else { -2. },
            per_token: if at == chosen { -1. } else { -2. },
            token_logprobs: Vec::new(),
        };
        let (options, kl) = ([0, 1, 2].map(option).to_vec(), 0.);
        let new = Choice {
            options,
            chosen,
            chosen_per_token: chosen,
            right: 0,
            rank: 0,
            shared: 0,
            likeliest: 0,
            kl,
        };
        Outcome::Choice(new.settled(0))
    }

    #[test]
    fn cells_of_the_same_items_number_labels_alike() {
        let task = Choices::new(Profile::Exact, &Asked::plain("choice")).expect("a task");
        let measure = (KIND.measure)("macro_f1").expect("a measure");
        let of = |outcomes: [&Outcome; 2]| {
            let items = task.items(&measure, 1, &outcomes).expect("choices");
            let ItemParts::Labels(labels) = items.parts() else { panic!("labels are counted") };
            labels.iter().map(|labelled| (labelled.right, labelled.chosen)).collect::<Vec<_>>()
        };
        let (b, c) = (chosen(1), chosen(2));
        assert_eq!((of([&b, &c]), of([&c, &b])), (vec![(0, 1), (0, 2)], vec![(0, 2), (0, 1)]));
    }
}
