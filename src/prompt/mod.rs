//! Text -> tokens with segments and spans: header, demonstrations and query, tokenized once.

use std::ops::Range;

use anyhow::Result;
use serde::{Deserialize, Serialize};

pub mod chat;
mod choice;
pub mod format;
mod marked;
pub mod placeholders;
mod prompter;
pub mod sampling;
mod spans;
pub mod tokenizer;
mod vary;

pub use chat::ChatTemplate;
pub use choice::OptionTokens;
pub use format::{Format, balanced_demonstrations, demonstrations};
pub use marked::{Part, Place};
pub use prompter::Prompter;
pub use spans::{BadSpan, SpanName, Stretch, is_name};
pub use tokenizer::Tokenizer;
pub use vary::{Instructions, Order, Targets, Variation};

use crate::base::error::input;

/// Whose reading of the experiment is followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// What the paper says: exact segments, answers end at the separator.
    #[default]
    Exact,
    /// What the study's released code does, quirks included (Sia, Mueller, Duh 2024).
    Sia2024,
}

/// Token ranges of the parts of a prompt. They cover it without gap, in this order; where the query comes first, the examples
/// follow it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segments {
    /// The beginning-of-text token, if the tokenizer adds one or the chat template writes it. Never hidden by a mask of segments.
    #[serde(with = "as_pair")]
    pub bos: Range<usize>,
    /// What the chat template writes before the prompt, BOS aside; empty without one. Never hidden by a mask of
    /// segments.
    #[serde(with = "as_pair", default, skip_serializing_if = "Range::is_empty")]
    pub opening: Range<usize>,
    /// The header and the separator after it.
    #[serde(with = "as_pair")]
    pub instructions: Range<usize>,
    /// The demonstrations and the separator after them.
    #[serde(with = "as_pair")]
    pub examples: Range<usize>,
    /// The query.
    #[serde(with = "as_pair")]
    pub query: Range<usize>,
    /// What the chat template writes after the prompt, up to where the answer begins; where the query comes first, also what the
    /// format writes before an answer. Else it is empty. Never hidden by a mask of segments.
    #[serde(with = "as_pair", default, skip_serializing_if = "Range::is_empty")]
    pub closing: Range<usize>,
}

impl Segments {
    /// All of them by name, in their order.
    pub fn named(&self) -> [(&'static str, &Range<usize>); 6] {
        let mut all = [
            ("bos", &self.bos),
            ("opening", &self.opening),
            ("instructions", &self.instructions),
            ("examples", &self.examples),
            ("query", &self.query),
            ("closing", &self.closing),
        ];
        all.sort_by_key(|(_, range)| (range.end, range.start));
        all
    }
}

/// A half-open range as `[start, end]`.
mod as_pair {
    use std::ops::Range;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(range: &Range<usize>, out: S) -> Result<S::Ok, S::Error> {
        [range.start, range.end].serialize(out)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Range<usize>, D::Error> {
        <[usize; 2]>::deserialize(input).map(|[start, end]| start..end)
    }
}

/// Lengths of separate tokenizations, in tokens with BOS where the tokenizer adds one: what the study's code counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct StudyLengths {
    /// 1 for Llama models, 0 otherwise.
    start: usize,
    header: usize,
    prefix: usize,
    query: usize,
}

/// One item's prompt, tokenized once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Which test item asks.
    pub item: String,
    /// The text, with what the chat template writes around the prompt.
    pub text: String,
    /// Its tokens, BOS included where the tokenizer adds one. With a chat template only what that writes.
    pub tokens: Vec<u32>,
    /// Which token belongs where.
    pub segments: Segments,
    /// Stretches within the segments that have names of their own.
    pub stretches: Vec<Stretch>,
    /// Bytes of the text at which the examples begin, and where what is the item's own does.
    pub borders: [usize; 2],
    /// Bytes of the text each token stands for; empty for a BOS that the tokenizer adds.
    pub spans: Vec<Range<usize>>,
    study: Option<StudyLengths>,
}

impl Prompt {
    /// The columns of these segments, as ranges.
    pub fn columns(&self, instructions: bool, examples: bool, query: bool) -> Vec<Range<usize>> {
        if let Some(lengths) = self.study {
            return lengths.range(instructions, examples, query).into_iter().collect();
        }
        let Segments { instructions: first, examples: second, query: third, .. } = &self.segments;
        let segments = [(instructions, first), (examples, second), (query, third)];
        segments.into_iter().filter(|(wanted, _)| *wanted).map(|(_, range)| range.clone()).collect()
    }

    /// Refuse a prompt that leaves no room for its answer.
    pub fn check_fits(&self, max_new_tokens: usize, context: usize) -> Result<()> {
        let needed = self.tokens.len().saturating_add(max_new_tokens);
        if needed <= context {
            return Ok(());
        }
        Err(input(format!(
            "item {}: its prompt of {} tokens and {max_new_tokens} new tokens exceed the model's context of {context}; \
             use fewer examples (--nprompts), fewer new tokens (--max-new-tokens) or leave the item out",
            self.item,
            self.tokens.len(),
        )))
    }
}

impl StudyLengths {
    /// The one range `[from, till)` that the study's code hides. It is cut out of lengths of separate tokenizations,
    /// so it may miss segment borders by a token or two and reach into generated columns.
    fn range(self, instructions: bool, examples: bool, query: bool) -> Option<Range<usize>> {
        let Self { start, header, prefix, query: query_length } = self;
        let (mut from, mut till) = (None, 0);
        if instructions {
            from = Some(start);
            till = start + header;
        }
        if examples {
            from = from.or(Some(start + header));
            till = start + prefix + 1;
        }
        if query {
            from = from.or(Some(start + prefix));
            till = start + prefix + query_length;
        }
        from.map(|from| from..till)
    }
}
