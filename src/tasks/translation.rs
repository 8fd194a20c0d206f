//! Task `mt`: texts compared with references, by BLEU, chrF, chrF++ and TER, and looked at for their language.

use anyhow::{Result, ensure};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::items::UNSCORED;
use super::scores::ends;
use super::{
    Delimiters, ItemParts, ItemStats, Measure, Outcome, Runner, Scores, Statistic, Task, TaskKind, line_stops,
};
use crate::base::error::input;
use crate::data::{CorpusKind, DataConfig, Direction, Example};
use crate::engine::Stop;
use crate::prompt::{Format, Profile};
use crate::score::{
    CorpusScore, Language, MAX_ORDER, PairStats, Scored, TextScorer, Tokenize, exact, sia2024,
    sia2024_hypothesis,
};

/// What is known of the task.
pub(super) static KIND: TaskKind = TaskKind {
    name: "mt",
    asks_for: "sentences",
    defaults: None,
    runs_programs: false,
    weighs: false,
    names_languages: true,
    new_tokens: 50,
    has_corpus: true,
    trains_adapters: true,
    study_direction: None,
    fits: |kind| matches!(kind, CorpusKind::Table(_) | CorpusKind::Flores(_)),
    one_off: DataConfig::one_off,
    measures: |_| measures(),
    measure,
    measure_names: "bleu, bleu1, bleu2, bleu3, bleu4, brevity_penalty, chrf, chrf++, ter, language",
    set_up: |profile, direction, _| Ok(Box::new(Translation::new(profile, direction)?)),
};

/// The task with the profile and the target language of a run.
#[derive(Debug)]
pub struct Translation {
    profile: Profile,
    scorer: TextScorer,
    /// The target language, where it can be told from others.
    language: Option<Language>,
}

fn bleu() -> Measure {
    Measure::new("bleu", "BLEU", 2, Statistic::Bleu)
}

fn chrf() -> Measure {
    Measure::new("chrf", "chrF", 2, Statistic::Chrf)
}

fn chrf_with_words() -> Measure {
    Measure::new("chrf++", "chrF++", 2, Statistic::ChrfWords)
}

fn ter() -> Measure {
    Measure::new("ter", "TER", 2, Statistic::Ter).lower_is_better()
}

/// The share of answers that are in the target language.
fn language() -> Measure {
    Measure::new("language", "in language", 3, Statistic::Mean)
}

fn precision(order: usize) -> Measure {
    let (key, label) = (format!("bleu{order}"), format!("{order}-gram precision"));
    Measure::new(&key, &label, 2, Statistic::Precision(order))
}

fn brevity_penalty() -> Measure {
    Measure::new("brevity_penalty", "brevity penalty", 3, Statistic::BrevityPenalty)
}

fn measures() -> Vec<Measure> {
    let precisions = (1..=MAX_ORDER).map(precision);
    [bleu()]
        .into_iter()
        .chain(precisions)
        .chain([brevity_penalty(), chrf(), chrf_with_words(), ter(), language()])
        .collect()
}

fn measure(word: &str) -> Option<Measure> {
    let word = match word {
        "chrf2" => "chrf",
        "chrf2++" => "chrf++",
        other => other,
    };
    measures().into_iter().find(|measure| measure.key == word)
}

/// The scores of texts, as score files hold them.
#[derive(Serialize)]
struct TextScores {
    bleu: f64,
    bleu_interval: Option<[f64; 2]>,
    bleu1: f64,
    bleu2: f64,
    bleu3: f64,
    bleu4: f64,
    brevity_penalty: f64,
    chrf: f64,
    chrf_interval: Option<[f64; 2]>,
    signature: String,
    chrf_signature: String,
    /// What not every version stored, or what not every language has: the measures that all answers have.
    #[serde(flatten)]
    further: Map<String, Value>,
}

/// Measures that may be missing, each with its interval and its signature.
fn further(score: &CorpusScore) -> Map<String, Value> {
    let measures =
        [(chrf_with_words(), &score.chrf_with_words), (ter(), &score.ter), (language(), &score.language)];
    let fields = |(measure, scored): (Measure, &Option<Scored>)| {
        let (key, scored) = (measure.key, scored.clone()?);
        Some([
            (key.clone(), scored.score.into()),
            (format!("{key}_interval"), json!(ends(scored.interval))),
            (format!("{key}_signature"), scored.signature.into()),
        ])
    };
    measures.into_iter().filter_map(fields).flatten().collect()
}

impl From<CorpusScore> for TextScores {
    fn from(score: CorpusScore) -> Self {
        let further = further(&score);
        let [bleu1, bleu2, bleu3, bleu4] = score.bleu.precisions;
        Self {
            bleu: score.bleu.score,
            bleu_interval: ends(score.bleu_interval),
            bleu1,
            bleu2,
            bleu3,
            bleu4,
            brevity_penalty: score.bleu.brevity_penalty,
            chrf: score.chrf,
            chrf_interval: ends(score.chrf_interval),
            signature: score.bleu_signature,
            chrf_signature: score.chrf_signature,
            further,
        }
    }
}

impl Translation {
    /// Lower-cased BLEU with sacreBLEU's tokenizer for the target language, as the study scores; chrF2, chrF2++ and TER.
    ///
    /// # Errors
    /// A language whose tokenizer is not here.
    pub fn new(profile: Profile, direction: Option<&Direction>) -> Result<Self> {
        let target = direction.map_or("", |direction| direction.target.as_str());
        let tokenize = match target {
            "zh" => Tokenize::Zh,
            "ja" => {
                return Err(input(
                    "--direction: Japanese is scored with sacreBLEU's ja-mecab tokenizer, which this version lacks",
                ));
            }
            _ => Tokenize::V13a,
        };
        let language = Language::of_code(target);
        Ok(Self { profile, scorer: TextScorer::new(tokenize, true), language })
    }

    /// What is compared with the reference.
    fn hypothesis(&self, clean: &str) -> String {
        match self.profile {
            Profile::Exact => clean.to_owned(),
            Profile::Sia2024 => sia2024_hypothesis(clean),
        }
    }

    /// The statistics of an answer; `None` where it has none, or such as no text can have.
    fn stats(outcome: &Outcome) -> Option<&PairStats> {
        match outcome {
            Outcome::Text { stats } if stats.is_possible() => Some(stats),
            _ => None,
        }
    }
}

impl Task for Translation {
    fn kind(&self) -> &'static TaskKind {
        &KIND
    }

    fn check(&self, item: &Example) -> Result<()> {
        ensure!(
            item.also_right.is_empty(),
            input(format!(
                "item {}: has several right answers, but a translation is compared with one; keep one, or write --task answer",
                item.id
            ))
        );
        Ok(())
    }

    fn stops(&self, format: &Format) -> Vec<(String, Stop)> {
        line_stops(format)
    }

    fn clean(&self, text: &str, delimiters: &Delimiters) -> String {
        match self.profile {
            Profile::Exact => exact(text, &delimiters.stops).to_string(),
            Profile::Sia2024 => sia2024(text, &delimiters.format.question, &delimiters.format.answer),
        }
    }

    fn compared(&self, clean: &str) -> Option<String> {
        Some(self.hypothesis(clean))
    }

    fn judge(&self, item: &Example, clean: &str) -> Outcome {
        let stats = self.scorer.pair(&self.hypothesis(clean), &item.target);
        let language = self.language.map(|language| u64::from(language.is_of(clean)));
        Outcome::Text { stats: PairStats { language, ..stats } }
    }

    fn takes(&self, outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Text { .. })
    }

    fn scores(&self, samples: usize, outcomes: &[&Outcome], _: Option<&Runner>) -> Result<Scores> {
        let pairs: Vec<PairStats> =
            outcomes.iter().filter_map(|outcome| Self::stats(outcome)).cloned().collect();
        ensure!(pairs.len() == outcomes.len(), input(super::scores::IMPOSSIBLE));
        // Items are what is resampled, not their samples.
        let samples = samples.max(1);
        let items: Vec<PairStats> = pairs.chunks(samples).map(PairStats::sum).collect();
        Scores::written(&TextScores::from(self.scorer.corpus(&items, samples)))
    }

    fn items(&self, measure: &Measure, samples: usize, outcomes: &[&Outcome]) -> Result<ItemStats> {
        let pairs: Option<Vec<&PairStats>> = outcomes.iter().map(|outcome| Self::stats(outcome)).collect();
        let pairs = pairs.ok_or_else(|| input(UNSCORED))?;
        let items = || pairs.chunks(samples.max(1));
        let sums = || items().map(|some| PairStats::sum(some.iter().copied()));
        let parts = match measure.statistic {
            Statistic::Chrf => Some(ItemParts::Characters(sums().map(|sum| sum.chrf).collect())),
            Statistic::ChrfWords => {
                sums().map(|sum| sum.chrf_with_words()).collect::<Option<_>>().map(ItemParts::Characters)
            }
            Statistic::Ter => sums().map(|sum| sum.ter).collect::<Option<_>>().map(ItemParts::Edits),
            Statistic::Mean => {
                let share = |sum: PairStats| sum.language.map(|texts| texts as f64 / samples.max(1) as f64);
                sums().map(share).collect::<Option<_>>().map(ItemParts::Mean)
            }
            _ => Some(ItemParts::Words(sums().map(|sum| sum.bleu).collect())),
        };
        let parts = parts.ok_or_else(|| input(UNSCORED))?;
        let references = items().map(|some| some[0].bleu.ref_len).collect();
        Ok(ItemStats::new(measure.clone(), parts, references))
    }

    fn lacks(&self, measure: &Measure) -> Option<String> {
        let is_unknown = self.language.is_none() && *measure == language();
        is_unknown.then(|| "its target language is none that can be told from others".into())
    }

    fn beside(&self, scores: &Scores, measure: &Measure) -> (&'static str, String) {
        let (name, other) =
            if measure.statistic == Statistic::Chrf { ("BLEU", bleu()) } else { ("chrF", chrf()) };
        (name, scores.value(&other).map_or(String::new(), |value| other.shown(value)))
    }

    fn reference_words(&self, item: &Example) -> Option<u64> {
        Some(self.scorer.pair("", &item.target).bleu.ref_len)
    }

    fn study_scores(&self, scores: &Scores) -> Value {
        let round =
            |measure: Measure| scores.value(&measure).map(|value| (value * 1000.).round_ties_even() / 1000.);
        let signature = scores.field("signature").and_then(Value::as_str).unwrap_or_default();
        json!([{
            "bleu": round(bleu()),
            "bleu1": round(precision(1)),
            "bleu2": round(precision(2)),
            "bleu3": round(precision(3)),
            "bleu4": round(precision(4)),
            "brevity_penalty": round(brevity_penalty()),
            "tokenizer": if signature.contains("tok:zh") { "Zh" } else { "13a" },
        }])
    }
}
