//! What an adapter is trained on.

use anyhow::{Context, Result};

use crate::base::error::input;
use crate::data::Example;
use crate::prompt::{Format, Tokenizer};

/// A pair as one text, tokenized once: the query as a prompt without examples asks it, the answer, and the token that
/// ends a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainingText {
    /// Which pair.
    pub id: String,
    /// Its tokens, BOS included where the tokenizer adds one.
    pub tokens: Vec<u32>,
    /// The first token of the answer: the first one that begins after the query.
    pub answer: usize,
}

impl TrainingText {
    /// Tokenize a pair.
    ///
    /// # Errors
    /// The tokens do not reproduce the text, or nothing ends one.
    pub fn new(example: &Example, format: &Format, tokenizer: &Tokenizer) -> Result<Self> {
        let (source, target) = (example.source.trim(), example.target.trim());
        let query = tokenizer.normalize(&format!("{}{source}{}", format.question, format.answer));
        let text = format!("{query}{}", tokenizer.normalize(&format!("{}{target}", format.before_target)));
        let mut tokens = tokenizer.encode(&text)?;
        let spans = tokenizer.spans(&text, &tokens).with_context(|| format!("item {}", example.id))?;
        let mut answer = spans.partition_point(|span| span.start < query.len());
        if let Some(bos) = tokenizer.bos() {
            tokens.insert(0, bos);
            answer += 1;
        }
        tokens.push(end(tokenizer)?);
        Ok(Self { id: example.id.clone(), tokens, answer })
    }

    /// The token that follows each one, `None` where its loss is not counted: of the last one, and where the answer alone
    /// is counted, of those before it.
    pub fn next(&self, answer_alone: bool) -> impl Iterator<Item = Option<u32>> + '_ {
        let first = if answer_alone { self.answer } else { 0 };
        (1..=self.tokens.len()).map(move |at| self.tokens.get(at).copied().filter(|_| at >= first))
    }

    /// Refuse a text that the model has no positions for.
    ///
    /// # Errors
    /// It is longer than the model's context.
    pub fn check_fits(&self, context: usize) -> Result<()> {
        match self.tokens.len() <= context {
            true => Ok(()),
            false => Err(input(format!(
                "training pair {}: its {} tokens exceed the model's context of {context}; leave it out",
                self.id,
                self.tokens.len()
            ))),
        }
    }
}

/// The token that ends a text: the tokenizer's `eos_token`, or the only one that is named.
fn end(tokenizer: &Tokenizer) -> Result<u32> {
    let named = tokenizer.special().roles.get("eos_token").and_then(|text| tokenizer.id_of(text));
    named.or_else(|| tokenizer.eos().first().copied()).ok_or_else(|| {
        input("the tokenizer names no token that ends a text, which the model is to learn to write after an answer")
    })
}
