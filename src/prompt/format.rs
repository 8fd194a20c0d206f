//! How a prompt is written: the strings of a file of `configs/format/`.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::marked::{Marked, Part, Place};
use super::placeholders::{self, FilledPiece, SpanTexts};
use super::sampling;
use crate::base::error::input;
use crate::data::Example;

/// A prompt format. The prompt reads
/// `header separator (question source answer before_target target after_target separator)* question source answer`.
///
/// In each of its strings `{source}` and `{target}` are the names of the two languages ([`Format::filled`]), and the name of a span
/// is that span's text. In `question` and `answer` any other name is a column of the items.
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
    /// Texts that its strings may hold as `{name}`. Masks can name them.
    #[serde(default, skip_serializing_if = "SpanTexts::is_empty")]
    pub spans: SpanTexts,
    /// Most tokens generated, unless a flag says otherwise.
    #[serde(default)]
    pub max_new_tokens: Option<usize>,
}

fn newline() -> String {
    "\n".into()
}

/// The strings of a format as the prompts of a run have them, in pieces.
#[derive(Debug, Clone)]
pub(super) struct Strings {
    header: Vec<FilledPiece>,
    question: Vec<FilledPiece>,
    answer: Vec<FilledPiece>,
    before_target: Vec<FilledPiece>,
    after_target: Vec<FilledPiece>,
    /// Between header, examples and query.
    pub separator: String,
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
        let spans = self.spans.values().map(|text| ("spans", text));
        fixed.into_iter().chain(stops).chain(spans).map(|(key, text)| (key, text.as_str())).collect()
    }

    /// The columns of items that its questions and answers show, each once.
    pub fn columns(&self) -> Vec<String> {
        let mut columns: Vec<String> = Vec::new();
        for name in placeholders::others(&self.question).chain(placeholders::others(&self.answer)) {
            if !self.spans.contains_key(name) && !columns.iter().any(|known| known == name) {
                columns.push(name.into());
            }
        }
        columns
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

    /// The format with languages and spans in place of its placeholders. Of a question that shows a column of the items, this is the
    /// text before the column: what all questions begin with.
    pub fn filled(&self, source: &str, target: &str) -> Self {
        let fill = |text: &String| placeholders::fill(text, [source, target], &self.spans);
        let begins = |text: &String| {
            let pieces = placeholders::filled(text, [source, target], &self.spans).into_iter();
            let texts = pieces.map_while(|piece| match piece {
                FilledPiece::Text(text) | FilledPiece::Span(_, text) => Some(text),
                FilledPiece::Column(_) => None,
            });
            texts.collect()
        };
        Self {
            name: self.name.clone(),
            description: self.description.clone(),
            header: fill(&self.header),
            question: begins(&self.question),
            answer: begins(&self.answer),
            before_target: fill(&self.before_target),
            after_target: fill(&self.after_target),
            separator: fill(&self.separator),
            stops: self.stops.as_ref().map(|stops| stops.iter().map(fill).collect()),
            spans: self.spans.clone(),
            max_new_tokens: self.max_new_tokens,
        }
    }

    /// Its strings with languages and spans in them, in pieces.
    pub(super) fn strings_for(&self, languages: [&str; 2]) -> Strings {
        let pieces = |text: &str| placeholders::filled(text, languages, &self.spans);
        Strings {
            header: pieces(&self.header),
            question: pieces(&self.question),
            answer: pieces(&self.answer),
            before_target: pieces(&self.before_target),
            after_target: pieces(&self.after_target),
            separator: placeholders::fill(&self.separator, languages, &self.spans),
        }
    }
}

impl Strings {
    /// The instructions.
    pub fn header(&self) -> Marked {
        let mut text = Marked::default();
        write(&self.header, &mut text, Place::Instructions, &Example::default());
        text.mark(0, Place::Instructions, Part::Whole);
        text
    }

    /// One demonstration.
    pub fn example(&self, number: usize, example: &Example) -> Marked {
        let (mut text, place) = (Marked::default(), Place::Example(number));
        self.write_input(&mut text, place, example, example.source.trim());
        write(&self.answer, &mut text, place, example);
        let output = text.text.len();
        write(&self.before_target, &mut text, place, example);
        text.push(example.target.trim());
        text.mark(output, place, Part::Output);
        write(&self.after_target, &mut text, place, example);
        text.mark(0, place, Part::Whole);
        text
    }

    /// What is asked of an item: its source, with the format's question before it.
    pub fn question(&self, example: &Example, source: &str) -> Marked {
        let mut text = Marked::default();
        self.write_input(&mut text, Place::Query, example, source);
        text
    }

    /// What the answer to an item follows.
    pub fn answer(&self, example: &Example) -> Marked {
        let mut text = Marked::default();
        write(&self.answer, &mut text, Place::Query, example);
        text
    }

    fn write_input(&self, text: &mut Marked, place: Place, example: &Example, source: &str) {
        write(&self.question, text, place, example);
        let input = text.text.len();
        text.push(source);
        text.mark(input, place, Part::Input);
    }
}

/// Write a string of the format for an example.
fn write(pieces: &[FilledPiece], into: &mut Marked, place: Place, example: &Example) {
    for piece in pieces {
        let from = into.text.len();
        let (name, text) = match piece {
            FilledPiece::Text(text) => (None, text.as_str()),
            FilledPiece::Span(name, text) => (Some(name), text.as_str()),
            FilledPiece::Column(name) => {
                (Some(name), example.columns.get(name).map_or("", |text| text.trim()))
            }
        };
        into.push(text);
        if let Some(name) = name {
            into.mark(from, place, Part::Named(name.clone()));
        }
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
