//! When a generation ends.

use serde::{Deserialize, Serialize};

use crate::prompt::Tokenizer;

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stop {
    /// The model wrote an end-of-text token.
    Eos,
    /// The text holds the format's separator: what follows cannot change what is scored.
    Separator,
    /// The text holds the next question.
    Question,
    /// The text holds another of the format's strings that end an answer.
    Text,
    /// As many tokens as allowed.
    Length,
    /// Nothing was generated: the text is the option that was chosen.
    Chosen,
}

/// The rules of one run.
#[derive(Debug, Clone)]
pub struct StopRule {
    /// Tokens that end a text.
    pub eos: Vec<u32>,
    /// Strings that end an answer, with the reason each stands for; none in the profile `sia2024`.
    pub strings: Vec<(String, Stop)>,
    /// Most tokens generated.
    pub max_new_tokens: usize,
    /// Generate all of them, whatever they are.
    pub full_length: bool,
}

impl StopRule {
    /// Does a generation end with its last token?
    pub fn check(&self, tokens: &[u32], tokenizer: &Tokenizer) -> Option<Stop> {
        if self.full_length {
            return (tokens.len() >= self.max_new_tokens).then_some(Stop::Length);
        }
        if tokens.last().is_some_and(|token| self.eos.contains(token)) {
            return Some(Stop::Eos);
        }
        // A stop string may straddle tokens, so the whole text is looked at; it is short.
        if !self.strings.is_empty() {
            let text = tokenizer.decode(tokens);
            let found = self.strings.iter().filter_map(|(string, stop)| Some((text.find(string)?, *stop)));
            if let Some((_, stop)) = found.min_by_key(|(at, _)| *at) {
                return Some(stop);
            }
        }
        (tokens.len() >= self.max_new_tokens).then_some(Stop::Length)
    }

    /// What was generated up to the first token that ends a text, which is all unless the full length was asked for.
    pub fn answer<'t>(&self, tokens: &'t [u32]) -> &'t [u32] {
        let end = tokens.iter().position(|token| self.eos.contains(token));
        &tokens[..end.map_or(tokens.len(), |end| end + 1)]
    }
}
