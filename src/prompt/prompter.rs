//! Prompts of a run: one format, one set of demonstrations, one tokenizer.

use std::ops::Range;

use anyhow::{Result, ensure};

use super::chat::ChatTemplate;
use super::choice::{OptionTokens, is_space, option_tokens};
use super::format::{Format, Strings};
use super::marked::Marked;
use super::spans::stretches;
use super::vary::Order;
use super::{Profile, Prompt, Segments, StudyLengths, Tokenizer};
use crate::base::error::input;
use crate::data::Example;

/// Whether a prompt keeps the white space at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whole {
    Kept,
    WithoutSpace,
}

/// Which segment a part of a prompt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Segment {
    Opening,
    Instructions,
    Examples,
    Query,
    Closing,
}

/// A text with the segment that it is.
type SegmentText = (Segment, Marked);

/// Builds the prompts of one run.
pub struct Prompter<'a> {
    /// With the names of the languages.
    format: Format,
    strings: Strings,
    header: Marked,
    examples: Vec<Marked>,
    tokenizer: &'a Tokenizer,
    profile: Profile,
    order: Order,
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
        let strings = format.strings_for([languages.0, languages.1]);
        let header = strings.header();
        let examples = demonstrations.iter().enumerate();
        let examples = examples.map(|(number, example)| strings.example(number, example)).collect();
        let format = format.filled(languages.0, languages.1);
        let order = Order::default();
        Self { format, strings, header, examples, tokenizer, profile, order, llama, chat: None }
    }

    /// Prompts as one user message of this template, if there is one.
    pub fn with_chat(self, chat: Option<&'a ChatTemplate>) -> Self {
        Self { chat, ..self }
    }

    /// Prompts whose parts are in this order.
    pub fn in_order(self, order: Order) -> Self {
        Self { order, ..self }
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
        let parts = self.texts(example);
        let study = (self.profile == Profile::Sia2024).then(|| self.study_lengths(example)).transpose()?;
        // Normalized part by part, so that the borders are those of the text that is tokenized.
        let normalized =
            |(segment, text): SegmentText| (segment, text.normalized(|text| self.tokenizer.normalize(text)));
        let parts = self.framed(parts.into_iter().map(normalized).collect())?;
        let mut marked = Marked::default();
        let mut ends: Vec<(Segment, usize)> = Vec::new();
        for (segment, part) in &parts {
            marked.append(part);
            ends.push((*segment, marked.text.len()));
        }
        let Marked { mut text, marks } = marked;
        let kept = match whole {
            Whole::Kept => text.len(),
            Whole::WithoutSpace => text.trim_end_matches(is_space).len(),
        };
        let space = text.split_off(kept);
        ends.iter_mut().for_each(|(_, end)| *end = (*end).min(kept));
        let mut tokens = self.tokenizer.encode(&text)?;
        let mut spans = self.tokenizer.spans(&text, &tokens)?;
        if let Some(token) = self.adds_bos() {
            tokens.insert(0, token);
            spans.insert(0, 0..0);
        }
        let segments = self.segments(&tokens, &spans, &ends);
        ensure!(!segments.query.is_empty(), input(format!("item {}: the query is empty", example.id)));
        let stretches = stretches(&text, &spans, &segments, &marks);
        let end = |segment: Segment| ends.iter().find(|(of, _)| *of == segment).map_or(0, |(_, end)| *end);
        let own = match self.order {
            Order::QueryLast => end(Segment::Examples),
            Order::QueryFirst => end(Segment::Instructions),
        };
        let borders = [end(Segment::Instructions).min(own), own];
        let item = example.id.clone();
        let prompt = Prompt { item, text, tokens, segments, stretches, borders, spans, study };
        Ok((prompt, space))
    }

    /// What the chat template writes before the parts, they themselves, and what it writes after them. White space that it trims
    /// from the ends of the prompt is taken from the segments that hold it.
    fn framed(&self, parts: Vec<SegmentText>) -> Result<Vec<SegmentText>> {
        let Some(chat) = self.chat else { return Ok(parts) };
        ensure!(self.profile == Profile::Exact, input("profile sia2024 has no chat template"));
        let prompt: String = parts.iter().map(|(_, part)| part.text.as_str()).collect();
        let kept = chat.kept(&prompt)?;
        let [opening, closing] = [chat.opening(), chat.closing()].map(|text| self.tokenizer.normalize(text));
        let mut framed = vec![(Segment::Opening, Marked::plain(opening))];
        let mut start = 0;
        for (segment, part) in parts {
            let end = start + part.text.len();
            let from = kept.start.clamp(start, end);
            let till = kept.end.clamp(from, end);
            framed.push((segment, part.part(from - start..till - start)));
            start = end;
        }
        framed.push((Segment::Closing, Marked::plain(closing)));
        Ok(framed)
    }

    /// Tokens by segment, from the bytes at which parts end: a token belongs to the segment that holds its first byte.
    fn segments(&self, tokens: &[u32], spans: &[Range<usize>], ends: &[(Segment, usize)]) -> Segments {
        let bos =
            usize::from(self.tokenizer.bos().is_some() && tokens.first().copied() == self.tokenizer.bos());
        let empty = || 0..0;
        let mut segments = Segments {
            bos: 0..bos,
            opening: empty(),
            instructions: empty(),
            examples: empty(),
            query: empty(),
            closing: empty(),
        };
        let mut from = bos;
        for (at, (segment, end)) in ends.iter().enumerate() {
            let till = match at + 1 == ends.len() {
                true => tokens.len(),
                false => bos + spans[bos..].partition_point(|span| span.start < *end),
            };
            let range = match segment {
                Segment::Opening => &mut segments.opening,
                Segment::Instructions => &mut segments.instructions,
                Segment::Examples => &mut segments.examples,
                Segment::Query => &mut segments.query,
                Segment::Closing => &mut segments.closing,
            };
            // A template's closing follows the format's.
            *range = if range.start == range.end { from..till } else { range.start..till };
            from = till;
        }
        segments
    }

    /// The parts of a prompt; joined they are the prompt.
    fn texts(&self, example: &Example) -> Vec<SegmentText> {
        let separator = self.strings.separator.as_str();
        let joined = |examples: &[Marked]| {
            let mut all = Marked::default();
            for (at, example) in examples.iter().enumerate() {
                if at > 0 {
                    all.push(separator);
                }
                all.append(example);
            }
            all
        };
        // As released: separators in front of what follows, even after an empty header; the source as it is.
        if self.profile == Profile::Sia2024 {
            let mut examples = Marked::default();
            for example in &self.examples {
                examples.push(separator);
                examples.append(example);
            }
            examples.push(separator);
            let mut query = self.strings.question(example, &example.source);
            query.append(&self.strings.answer(example));
            return vec![
                (Segment::Instructions, self.header.clone()),
                (Segment::Examples, examples),
                (Segment::Query, query),
            ];
        }
        let header = (Segment::Instructions, self.header.clone().ended(separator));
        let examples = (Segment::Examples, joined(&self.examples).ended(separator));
        let mut query = self.strings.question(example, example.source.trim());
        let answer = self.strings.answer(example);
        match self.order {
            Order::QueryLast => {
                query.append(&answer);
                vec![header, examples, (Segment::Query, query)]
            }
            Order::QueryFirst => {
                // The examples end with a line end already, or with whatever else parts them.
                let begins = answer.text.len() - answer.text.trim_start_matches(['\n', '\r']).len();
                let answer = answer.part(begins..answer.text.len());
                vec![header, (Segment::Query, query.ended(separator)), examples, (Segment::Closing, answer)]
            }
        }
    }

    fn study_lengths(&self, example: &Example) -> Result<StudyLengths> {
        let bos = usize::from(self.tokenizer.bos().is_some());
        let count = |text: &str| Ok::<_, anyhow::Error>(self.tokenizer.encode(text)?.len() + bos);
        let mut prefix = self.header.text.clone();
        for example in &self.examples {
            prefix.push_str(&self.strings.separator);
            prefix.push_str(&example.text);
        }
        let mut query = self.strings.question(example, &example.source);
        query.append(&self.strings.answer(example));
        Ok(StudyLengths {
            start: usize::from(self.llama),
            header: count(&self.header.text)?,
            prefix: count(&prefix)?,
            query: count(&query.text)?,
        })
    }
}
