//! Text -> tokens with segments: header, demonstrations and query, tokenized once.

use std::ops::Range;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

mod caught;
pub mod chat;
mod choice;
pub mod format;
pub mod placeholders;
pub mod sampling;
pub mod tokenizer;
mod vary;

pub use chat::ChatTemplate;
pub use choice::OptionTokens;
use choice::{is_space, option_tokens};
pub use format::{Context, Format, balanced_demonstrations, demonstrations};
pub use tokenizer::Tokenizer;
pub use vary::{Instructions, Targets, Variation};

use crate::base::error::input;
use crate::data::Example;

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

/// Token ranges of the parts of a prompt. They cover it without gap, in this order.
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
    /// What the chat template writes after the prompt, up to where the answer begins; empty without one. Never hidden
    /// by a mask of segments.
    #[serde(with = "as_pair", default, skip_serializing_if = "Range::is_empty")]
    pub closing: Range<usize>,
}

impl Segments {
    /// All of them by name, in their order.
    pub fn named(&self) -> [(&'static str, &Range<usize>); 6] {
        [
            ("bos", &self.bos),
            ("opening", &self.opening),
            ("instructions", &self.instructions),
            ("examples", &self.examples),
            ("query", &self.query),
            ("closing", &self.closing),
        ]
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
    /// Bytes of the text at which the examples and the query begin.
    pub borders: [usize; 2],
    /// Bytes of the text each token stands for; empty for a BOS that the tokenizer adds.
    pub spans: Vec<Range<usize>>,
    study: Option<StudyLengths>,
}

/// Whether a prompt keeps the white space at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whole {
    Kept,
    WithoutSpace,
}

/// Builds the prompts of one run: one format, one set of demonstrations, one tokenizer.
pub struct Prompter<'a> {
    /// With the names of the languages.
    format: Format,
    context: Context,
    tokenizer: &'a Tokenizer,
    profile: Profile,
    /// The study's code skips one more column for models of its class `Llama...`.
    llama: bool,
    chat: Option<&'a ChatTemplate>,
}

impl<'a> Prompter<'a> {
    /// `languages` are the names of source and target as the format writes them.
    pub fn new(
        format: &Format,
        languages: (&str, &str),
        demonstrations: &[Example],
        tokenizer: &'a Tokenizer,
        profile: Profile,
        llama: bool,
    ) -> Self {
        let format = format.filled(languages.0, languages.1);
        let context = format.context(demonstrations);
        Self { format, context, tokenizer, profile, llama, chat: None }
    }

    /// Prompts as one user message of this template, if there is one.
    pub fn with_chat(self, chat: Option<&'a ChatTemplate>) -> Self {
        Self { chat, ..self }
    }

    /// The prompt of one test item.
    ///
    /// # Errors
    /// If the tokens do not reproduce the text or the chat template changes it, so that segments cannot be told.
    pub fn prompt(&self, example: &Example) -> Result<Prompt> {
        self.up_to(example, Whole::Kept).map(|(prompt, _)| prompt)
    }

    /// The prompt of an item whose options are weighed, and the options as the tokens that follow it. The white space that the
    /// prompt ends with is the options' first, as lm-evaluation-harness has it.
    ///
    /// # Errors
    /// As [`prompt`](Self::prompt); an option that adds no token.
    pub fn weighing(&self, example: &Example) -> Result<(Prompt, OptionTokens)> {
        let (prompt, space) = self.up_to(example, Whole::WithoutSpace)?;
        let added = usize::from(self.adds_bos().is_some());
        let options = option_tokens(&prompt, &space, &self.option_texts(example), self.tokenizer, added)
            .map_err(|error| error.context(format!("item {}", example.id)))?;
        Ok((prompt, options))
    }

    /// The BOS that is put before a prompt. As transformers has it, a template writes the special tokens itself.
    fn adds_bos(&self) -> Option<u32> {
        self.tokenizer.bos().filter(|_| self.chat.is_none())
    }

    /// The options as a model would write them after the prompt.
    fn option_texts(&self, example: &Example) -> Vec<String> {
        // The answer of a chat begins with its first word.
        let before = match self.chat {
            Some(_) => self.format.before_target.trim_start(),
            None => &self.format.before_target,
        };
        let text = |option: &String| self.tokenizer.normalize(&format!("{before}{}", option.trim()));
        example.options.iter().map(text).collect()
    }

    /// The prompt, and the white space at its end that is not in it.
    fn up_to(&self, example: &Example, whole: Whole) -> Result<(Prompt, String)> {
        let (instructions, examples, query) = self.texts(example);
        let study = (self.profile == Profile::Sia2024).then(|| self.study_lengths(&query)).transpose()?;
        // Normalized part by part, so that the borders are those of the text that is tokenized.
        let parts = [instructions, examples, query].map(|part| self.tokenizer.normalize(&part));
        let parts = self.framed(parts)?;
        let mut text = parts.concat();
        let kept = match whole {
            Whole::Kept => text.len(),
            Whole::WithoutSpace => text.trim_end_matches(is_space).len(),
        };
        let space = text.split_off(kept);
        let mut end = 0;
        let ends = parts.map(|part| {
            end += part.len();
            end.min(kept)
        });
        let mut tokens = self.tokenizer.encode(&text)?;
        let mut spans = self.tokenizer.spans(&text, &tokens)?;
        if let Some(token) = self.adds_bos() {
            tokens.insert(0, token);
            spans.insert(0, 0..0);
        }
        let segments = self.segments(&tokens, &spans, ends);
        ensure!(!segments.query.is_empty(), input(format!("item {}: the query is empty", example.id)));
        let borders = [ends[1], ends[2]];
        let prompt = Prompt { item: example.id.clone(), text, tokens, segments, borders, spans, study };
        Ok((prompt, space))
    }

    /// What the chat template writes before instructions, examples and query, they themselves, and what it writes after
    /// them. White space that it trims from the ends of the prompt is taken from the segments that hold it.
    fn framed(&self, parts: [String; 3]) -> Result<[String; 5]> {
        let [instructions, examples, query] = parts;
        let Some(chat) = self.chat else {
            return Ok([String::new(), instructions, examples, query, String::new()]);
        };
        ensure!(self.profile == Profile::Exact, input("profile sia2024 has no chat template"));
        let prompt = format!("{instructions}{examples}{query}");
        let kept = chat.kept(&prompt)?;
        let (a, b) = (instructions.len(), instructions.len() + examples.len());
        let part = |part: Range<usize>| {
            let within = |byte: usize| byte.clamp(kept.start, kept.end);
            prompt[within(part.start)..within(part.end)].to_string()
        };
        let [opening, closing] = [chat.opening(), chat.closing()].map(|text| self.tokenizer.normalize(text));
        Ok([opening, part(0..a), part(a..b), part(b..prompt.len()), closing])
    }

    /// Tokens by segment, from the bytes at which opening, instructions, examples and query end: a token belongs to the
    /// segment that holds its first byte.
    fn segments(&self, tokens: &[u32], spans: &[Range<usize>], ends: [usize; 5]) -> Segments {
        let bos =
            usize::from(self.tokenizer.bos().is_some() && tokens.first().copied() == self.tokenizer.bos());
        let [a, b, c, d] =
            [0, 1, 2, 3].map(|part| bos + spans[bos..].partition_point(|span| span.start < ends[part]));
        let (opening, closing) = match self.chat {
            Some(_) => (bos..a, d..tokens.len()),
            None => (0..0, 0..0),
        };
        let query = c..if self.chat.is_some() { d } else { tokens.len() };
        Segments { bos: 0..bos, opening, instructions: a..b, examples: b..c, query, closing }
    }

    /// The texts of the three segments; joined they are the prompt.
    fn texts(&self, example: &Example) -> (String, String, String) {
        let Context { header, prefix } = &self.context;
        let separator = &self.format.separator;
        let examples = &prefix[header.len()..];
        match self.profile {
            // As released: separators in front of what follows, even after an empty header; the source as it is.
            Profile::Sia2024 => {
                let query = self.format.query(&example.source);
                (header.clone(), format!("{examples}{separator}"), query)
            }
            Profile::Exact => {
                let query = self.format.query(example.source.trim());
                let examples = examples.strip_prefix(separator.as_str()).unwrap_or(examples);
                let ended = |text: &str| match text.is_empty() {
                    true => String::new(),
                    false => format!("{text}{separator}"),
                };
                (ended(header), ended(examples), query)
            }
        }
    }

    fn study_lengths(&self, query: &str) -> Result<StudyLengths> {
        let bos = usize::from(self.tokenizer.bos().is_some());
        let count = |text: &str| Ok::<_, anyhow::Error>(self.tokenizer.encode(text)?.len() + bos);
        Ok(StudyLengths {
            start: usize::from(self.llama),
            header: count(&self.context.header)?,
            prefix: count(&self.context.prefix)?,
            query: count(query)?,
        })
    }

    /// The context that all prompts share.
    pub fn context(&self) -> &Context {
        &self.context
    }
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
