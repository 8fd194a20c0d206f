//! How a prompt is written: the strings of a file of `configs/format/`.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{placeholders, sampling};
use crate::base::error::input;
use crate::data::Example;

/// A prompt format. The prompt reads
/// `header separator (question source answer before_target target after_target separator)* question source answer`.
///
/// In each of its strings `{source}` and `{target}` are the names of the two languages ([`Format::filled`]).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Format {
    /// The file's name without `.yaml`.
    #[serde(skip)]
    pub name: String,
    /// What it is for, in a line; no part of what results depend on.
    #[serde(default, skip_serializing)]
    pub description: String,
    /// The instructions.
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
    /// Its strings by the keys of the file.
    pub fn strings(&self) -> Vec<(&'static str, &str)> {
        let fixed = [
            ("header", &self.header),
            ("question", &self.question),
            ("answer", &self.answer),
            ("before_target", &self.before_target),
            ("after_target", &self.after_target),
            ("separator", &self.separator),
        ];
        let stops = self.stops.iter().flatten().map(|stop| ("stops", stop));
        fixed.into_iter().chain(stops).map(|(key, text)| (key, text.as_str())).collect()
    }

    /// Whether its strings name the languages, or a placeholder at all.
    pub fn names_languages(&self) -> bool {
        self.strings().iter().any(|(_, text)| placeholders::names_any(text))
    }

    /// Whether version 0.1.0 read it otherwise: it filled placeholders of the header only, and knew no doubled braces.
    pub fn is_read_anew(&self) -> bool {
        let beside = |(key, text): &(&str, &str)| *key != "header" && text.contains(['{', '}']);
        self.strings().iter().any(beside) || placeholders::has_escapes(&self.header)
    }

    /// The format with the names of the languages in place of its placeholders.
    pub fn filled(&self, source: &str, target: &str) -> Self {
        let fill = |text: &String| placeholders::fill(text, source, target);
        Self {
            name: self.name.clone(),
            description: self.description.clone(),
            header: fill(&self.header),
            question: fill(&self.question),
            answer: fill(&self.answer),
            before_target: fill(&self.before_target),
            after_target: fill(&self.after_target),
            separator: fill(&self.separator),
            stops: self.stops.as_ref().map(|stops| stops.iter().map(fill).collect()),
            max_new_tokens: self.max_new_tokens,
        }
    }

    /// One demonstration.
    fn example(&self, example: &Example) -> String {
        let (source, target) = (example.source.trim(), example.target.trim());
        let Self { question, answer, before_target, after_target, .. } = self;
        format!("{question}{source}{answer}{before_target}{target}{after_target}")
    }

    /// Header and examples.
    pub(super) fn context(&self, examples: &[Example]) -> Context {
        let header = self.header.clone();
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

/// The demonstrations of a seed, as many of each label as of every other, as far as `k` allows: the pool in the order in which
/// pandas' `sample` draws all of it, of which each label's first ones are taken. They keep that order.
///
/// # Errors
/// The pool has fewer than `k`, or too few of a label.
pub fn balanced_demonstrations(pool: &[Example], k: usize, seed: u32) -> Result<Vec<Example>> {
    sampling::sample(pool.len(), k, seed)?;
    let order = sampling::sample(pool.len(), pool.len(), seed)?;
    let mut labels: Vec<&str> = Vec::new();
    for label in order.iter().map(|&row| pool[row].target.trim()) {
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    // The labels that are drawn first get one more where k is no multiple.
    let count = labels.len().max(1);
    let mut left: Vec<usize> = (0..labels.len()).map(|at| k / count + usize::from(at < k % count)).collect();
    let mut chosen = Vec::with_capacity(k);
    for row in order {
        let label = labels.iter().position(|label| *label == pool[row].target.trim()).unwrap_or(0);
        if left[label] > 0 {
            left[label] -= 1;
            chosen.push(pool[row].clone());
        }
    }
    match left.iter().position(|left| *left > 0) {
        None => Ok(chosen),
        Some(label) => Err(input(format!(
            "balanced: the demonstrations hold too few with the answer `{}` for {k} balanced ones; lower --nprompts or add some",
            labels[label]
        ))),
    }
}

/// The demonstrations of a seed: drawn once, then the same for every test item, as pandas' `sample` draws them.
pub fn demonstrations(pool: &[Example], k: usize, seed: u32) -> Result<Vec<Example>> {
    Ok(sampling::sample(pool.len(), k, seed)?.into_iter().map(|row| pool[row].clone()).collect())
}
