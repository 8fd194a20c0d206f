//! The options of a run's items, tokenized.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::model::OpenModel;
use crate::base::error::input;
use crate::data::Example;
use crate::engine::Options;
use crate::prompt::{OptionTokens, Prompt};

/// Options that are the same for many items are kept once.
#[derive(Default)]
pub struct Known {
    last: Option<Arc<Options>>,
}

impl Known {
    /// The options of an item.
    ///
    /// # Errors
    /// Two of them are the same tokens.
    pub fn options(&mut self, tokens: OptionTokens, item: &Example) -> Result<Arc<Options>> {
        if let Some(last) = self.last.as_ref().filter(|last| last.tokens() == tokens.tokens) {
            return Ok(last.clone());
        }
        let mut seen = HashSet::new();
        for (option, tokens) in item.options.iter().zip(&tokens.tokens) {
            if !seen.insert(tokens) {
                return Err(input(format!(
                    "item {}: the option `{}` is the same tokens as another one; take one of them out",
                    item.id,
                    option.trim()
                )));
            }
        }
        let options =
            Options::new(tokens.tokens, tokens.shared).with_context(|| format!("item {}", item.id))?;
        Ok(self.last.insert(options.into()).clone())
    }
}

/// Refuse options that the model cannot read after their prompt.
///
/// # Errors
/// A token without an embedding; more positions than the model has.
pub fn check(options: &Options, prompt: &Prompt, model: &OpenModel) -> Result<()> {
    let whose = || format!("item {}: one of its options holds", prompt.item);
    options.tokens().iter().try_for_each(|tokens| model.check_embedded(whose, tokens))?;
    let (rows, longest, context) = (prompt.tokens.len(), options.longest(), model.arch.context);
    // Nothing follows an option's last token, so it takes no position.
    if rows + longest - 1 <= context {
        return Ok(());
    }
    Err(input(format!(
        "item {}: its prompt of {rows} tokens and its longest option of {longest} tokens exceed the model's context of \
         {context}; use fewer examples (--nprompts), shorter options, or leave the item out",
        prompt.item
    )))
}
