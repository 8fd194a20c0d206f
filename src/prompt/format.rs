//! How a prompt is written: the strings of a file of `configs/format/`.

use serde::{Deserialize, Serialize};

use super::sampling;
use crate::data::Example;
use anyhow::Result;

/// A prompt format. The prompt reads
/// `header separator (question source answer before_target target after_target separator)* question source answer`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Format {
    /// The file's name without `.yaml`.
    #[serde(skip)]
    pub name: String,
    /// What it is for, in a line; no part of what results depend on.
    #[serde(default, skip_serializing)]
    pub description: String,
    /// The instructions. `{source}` and `{target}` stand for the names of the two languages.
    #[serde(default)]
    pub header: String,
    /// Before each source.
    pub question: String,
    /// After each source.
    pub answer: String,
    /// Before each target of an example; the model writes it itself after the query.
    #[serde(default)]
    pub before_target: String,
    /// After each target of an example.
    #[serde(default)]
    pub after_target: String,
    /// Between header, examples and query; an answer ends at it (profile `exact`).
    #[serde(default = "newline")]
    pub separator: String,
    /// Strings that end an answer (profile `exact`), as they stand here. Without them, separator and question do; where
    /// programs are asked for, separator and question together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stops: Option<Vec<String>>,
    /// Most tokens generated, unless a flag says otherwise.
    #[serde(default)]
    pub max_new_tokens: Option<usize>,
}

fn newline() -> String {
    "\n".into()
}

/// The text of the context that all items of a run share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Context {
    /// The instructions, with language names.
    pub header: String,
    /// Header and examples, joined, without the separator that follows them.
    pub prefix: String,
}

impl Format {
    /// The header with its placeholders filled.
    pub fn header_for(&self, source: &str, target: &str) -> String {
        self.header.replace("{source}", source).replace("{target}", target)
    }

    /// Whether some text of it depends on the languages.
    pub fn names_languages(&self) -> bool {
        let Self { header, question, answer, before_target, after_target, separator, stops, .. } = self;
        let texts = [header, question, answer, before_target, after_target, separator];
        let mut texts = texts.into_iter().chain(stops.iter().flatten());
        texts.any(|text| text.contains("{source}") || text.contains("{target}"))
    }

    /// One demonstration.
    fn example(&self, example: &Example) -> String {
        let (source, target) = (example.source.trim(), example.target.trim());
        let Self { question, answer, before_target, after_target, .. } = self;
        format!("{question}{source}{answer}{before_target}{target}{after_target}")
    }

    /// Header and examples.
    pub(super) fn context(&self, header: String, examples: &[Example]) -> Context {
        let examples: Vec<String> = examples.iter().map(|example| self.example(example)).collect();
        let prefix = match examples.is_empty() {
            true => header.clone(),
            false => format!("{header}{}{}", self.separator, examples.join(&self.separator)),
        };
        Context { header, prefix }
    }

    /// The query.
    pub(super) fn query(&self, source: &str) -> String {
        format!("{}{source}{}", self.question, self.answer)
    }
}

/// The demonstrations of a seed: drawn once, then the same for every test item, as pandas' `sample` draws them.
pub fn demonstrations(pool: &[Example], k: usize, seed: u32) -> Result<Vec<Example>> {
    Ok(sampling::sample(pool.len(), k, seed)?.into_iter().map(|row| pool[row].clone()).collect())
}
