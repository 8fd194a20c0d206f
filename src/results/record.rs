//! The records, as they stand in the files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::identity::{ConditionList, Identity, Schema};
use super::lines::GenerationLine;
use crate::base::hash::Hash;
use crate::base::keys::Unread;
use crate::config::{Sampling, Training};
use crate::data::Example;
use crate::engine::Stop;
use crate::intervene::{Condition, Masks};
use crate::prompt::{Format, Profile, Segments, Variation};
use crate::tasks::{Asked, Scores};

/// Everything that the generations of a run depend on, beside mask and layer. Results of different settings are never
/// mixed in one folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Name of the model.
    pub model: String,
    /// sha256 of its files.
    pub model_sha256: String,
    /// `mt`
    pub task: String,
    /// What a task of a file asks beside that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// Name of the corpus.
    pub data: String,
    /// sha256 over its demonstrations and test items.
    pub data_sha256: String,
    /// `en-fr`; empty where the task has no languages.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub direction: String,
    /// Name of the prompt format.
    pub format: String,
    /// Its strings.
    pub format_strings: Format,
    /// The names of the languages as the prompts write them, where version 0.1.0 would have written others, or would have read
    /// the braces of the format otherwise: its results are of other prompts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub languages: Option<[String; 2]>,
    /// Number of demonstrations.
    pub nprompts: usize,
    /// The seed that drew them.
    pub seed: u32,
    /// What was changed in the prompts themselves, if anything was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vary: Option<Variation>,
    /// Whose reading of the experiment is followed.
    pub profile: Profile,
    /// sha256 of the chat template, if the prompt is put into one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_template: Option<String>,
    /// Number of test items.
    pub n: usize,
    /// Most tokens generated per item.
    pub max_new_tokens: usize,
    /// How many generations of an item are drawn, and how; absent where the likeliest tokens are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,
    /// All of them were generated, whatever they were.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_stop: bool,
    /// Each was computed and timed by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drop_context: bool,
    /// sha256 of the adapter that was at work, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// How the adapters were trained, where some were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<TrainedOn>,
    /// Type of weights and activations.
    pub dtype: String,
    /// `cuda`, where a GPU computed: its sums have another order, and near ties may fall otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

/// What adapters were trained on, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainedOn {
    /// sha256 over the pairs, those of the dev loss included.
    pub pairs_sha256: String,
    /// How.
    #[serde(flatten)]
    pub training: Training,
}

impl Settings {
    /// The strings of the format as the prompts have them.
    pub fn format_as_written(&self) -> Format {
        match &self.languages {
            Some([source, target]) => self.format_strings.filled(source, target),
            // Nothing but the header names a language.
            None => self.format_strings.clone(),
        }
    }

    /// What the task asks beside what its kind says.
    pub fn asked(&self) -> Asked {
        self.asked.clone().unwrap_or_else(|| Asked::plain(&self.task))
    }

    /// sha256 of the settings.
    pub fn hash(&self) -> String {
        let mut hash = Hash::default();
        hash.bytes(serde_json::to_vec(self).unwrap_or_default());
        hash.hex()
    }

    /// These settings for the first `n` test items. A folder grows by more of them; nothing else of its settings changes.
    pub fn of_items(&self, n: usize) -> Self {
        Self { n, ..self.clone() }
    }

    /// The names of the fields in which two settings differ, with both values.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let theirs = other.fields();
        let sentence = |(key, value): (String, Value)| {
            let theirs = theirs.get(&key).map_or("not set".into(), ToString::to_string);
            format!("{key} was {value}, now {theirs}")
        };
        let new = other.named_differences(self).into_iter();
        let new = new.filter(|(key, _)| !self.fields().contains_key(key));
        let added = new.map(|(key, value)| format!("{key} was not set, now {value}"));
        self.named_differences(other).into_iter().map(sentence).chain(added).collect()
    }

    /// The fields of these settings that others do not have or have otherwise.
    pub fn named_differences(&self, other: &Self) -> Vec<(String, Value)> {
        let theirs = other.fields();
        self.fields().into_iter().filter(|(key, value)| theirs.get(key) != Some(value)).collect()
    }

    fn fields(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        }
    }
}

/// `layer-<l>.json`: the scores of one cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreRecord {
    /// What the fields mean.
    #[serde(default = "Schema::first")]
    pub schema: Schema,
    /// Name of the model.
    pub model: String,
    /// sha256 of its files.
    pub model_sha256: String,
    /// Name of the corpus.
    pub data: String,
    /// `en-fr`; empty where the task has no languages.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub direction: String,
    /// Name of the task, where a file describes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Name of the prompt format.
    pub format: String,
    /// The condition, and the layers of the model.
    #[serde(flatten)]
    pub identity: Identity,
    /// The seed that drew the demonstrations.
    pub seed: u32,
    /// Number of demonstrations.
    pub nprompts: usize,
    /// What was changed in the prompts themselves, if anything was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vary: Option<Variation>,
    /// Whose reading of the experiment is followed.
    pub profile: Profile,
    /// sha256 of the chat template, if the prompt is put into one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_template: Option<String>,
    /// sha256 of the adapter that was at work in every row, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// Pairs that adapters of this run were trained on, where some were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_size: Option<usize>,
    /// Number of test items.
    pub n: usize,
    /// The scores.
    #[serde(flatten)]
    pub scores: Scores,
    /// Tokens of all prompts.
    pub prompt_tokens: usize,
    /// Tokens of all generations.
    pub generated_tokens: usize,
    /// How many generations ended in each way.
    pub stops: BTreeMap<Stop, usize>,
    /// This cell's share of the computing time.
    pub seconds: f64,
    /// What it took, where it was computed by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiply_adds: Option<u64>,
    /// sha256 of the run's settings.
    pub settings_sha256: String,
    /// sha256 of the file of generations that these are the scores of; absent in results of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generations_sha256: Option<String>,
    /// Version of icl-mask.
    pub version: String,
}

impl ScoreRecord {
    /// The record of a condition of the run with these settings.
    pub fn new(settings: &Settings, settings_sha256: &str, identity: Identity, scores: Scores) -> Self {
        Self {
            schema: Schema::NOW,
            model: settings.model.clone(),
            model_sha256: settings.model_sha256.clone(),
            data: settings.data.clone(),
            direction: settings.direction.clone(),
            task: settings.asked.as_ref().map(|asked| asked.name.clone()),
            format: settings.format.clone(),
            identity,
            seed: settings.seed,
            nprompts: settings.nprompts,
            vary: settings.vary.clone(),
            profile: settings.profile,
            chat_template: settings.chat_template.clone(),
            adapter: settings.adapter.clone(),
            train_size: settings.lora.as_ref().map(|lora| lora.training.train_size),
            n: settings.n,
            scores,
            prompt_tokens: 0,
            generated_tokens: 0,
            stops: BTreeMap::new(),
            seconds: 0.,
            multiply_adds: None,
            settings_sha256: settings_sha256.into(),
            generations_sha256: None,
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }

    /// What it is the record of.
    pub fn condition(&self) -> Condition {
        self.identity.condition
    }

    /// Layers of the model.
    pub fn n_layers(&self) -> usize {
        self.identity.n_layers
    }

    /// Count tokens and ends.
    pub fn with_generations(mut self, lines: &[GenerationLine]) -> Self {
        for line in lines {
            self.prompt_tokens = self.prompt_tokens.saturating_add(line.prompt_tokens);
            self.generated_tokens += line.tokens.len();
            *self.stops.entry(line.stop).or_default() += 1;
        }
        self
    }

    /// What computing it took: its share of the time, and the multiply-adds if it was computed by itself.
    pub fn with_costs(mut self, seconds: f64, multiply_adds: Option<u64>) -> Self {
        (self.seconds, self.multiply_adds) = (seconds, multiply_adds);
        self
    }
}

/// Settings of decoding that are not applied, such as a repetition penalty: by file and key, with their values.
pub type NotApplied = BTreeMap<String, BTreeMap<String, serde_json::Value>>;

/// `manifest.json`: what a run was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// What the fields mean.
    #[serde(default = "Schema::first")]
    pub schema: Schema,
    /// What its results depend on.
    pub settings: Settings,
    /// sha256 of the settings.
    pub settings_sha256: String,
    /// The demonstrations, in the order of the prompt.
    pub demonstrations: Vec<Example>,
    /// Where demonstrations are test items themselves: what is the last one in the prompts of those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub substitute: Option<Example>,
    /// The first item's prompt.
    pub prompt: ManifestPrompt,
    /// Columns that each series hides of the first item's prompt, as ranges; `own` for every column but the row's own.
    pub hidden: BTreeMap<String, serde_json::Value>,
    /// What its masks hide that are written as rules.
    #[serde(default, skip_serializing_if = "Masks::is_empty")]
    pub masks: Masks,
    /// All conditions that were asked for in this folder, finished or not.
    #[serde(default, rename = "cells")]
    pub asked: ConditionList,
    /// Whether the tokenizer adds a BOS, and which tokens end a text.
    pub special_tokens: SpecialTokens,
    /// Strings that end an answer.
    pub stop_strings: Vec<String>,
    /// The sentence about test items that the default limit left out, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
    /// Keys of the model's and the adapter's files that this version does not know.
    #[serde(default, skip_serializing_if = "Unread::is_empty")]
    pub unread_keys: Unread,
    /// How tokens are chosen, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub decoding: String,
    /// What the model's files ask of decoding and is not done.
    #[serde(default, skip_serializing_if = "NotApplied::is_empty")]
    pub not_applied: NotApplied,
    /// Version of icl-mask.
    pub version: String,
    /// Commit it was built from, if known.
    pub git: Option<String>,
    /// What it ran on.
    pub device: String,
    /// Worker threads.
    pub threads: usize,
    /// The command line that made the run.
    pub command: Vec<String>,
    /// All settings of that call, defaults included, from which the run can be made again.
    #[serde(default)]
    pub typed: crate::config::Settings,
    /// Which of the runs of that call it was: its folder below the results folder.
    #[serde(default)]
    pub folder: PathBuf,
}

/// The first item's prompt, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManifestPrompt {
    /// Which item.
    pub id: String,
    /// Its text.
    pub text: String,
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// The text of each token, so that segments can be shown without the tokenizer; part of a letter reads U+FFFD.
    #[serde(default)]
    pub token_texts: Vec<String>,
    /// Token ranges.
    pub segments: Segments,
}

/// The tokenizer's special tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpecialTokens {
    /// At the start of each prompt, if any.
    pub bos: Option<u32>,
    /// These end a text.
    pub eos: Vec<u32>,
    /// The text of `bos`.
    #[serde(default)]
    pub bos_text: Option<String>,
    /// What puts it there, or says that there is none.
    #[serde(default)]
    pub bos_from: String,
    /// The texts of `eos`.
    #[serde(default)]
    pub eos_texts: Vec<String>,
    /// What names each of them.
    #[serde(default)]
    pub eos_from: Vec<String>,
}

/// Seconds to the millisecond: more digits would only be noise.
pub fn round(seconds: f64) -> f64 {
    (seconds * 1000.).round() / 1000.
}
