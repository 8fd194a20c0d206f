//! The options of a run's items, tokenized.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::model::OpenModel;
use crate::base::error::input;
use crate::data::Example;
use crate::engine::Options;
use crate::prompt::{OptionTokens, Prompt};

/// The options of an item.
#[derive(Debug, Clone)]
pub struct ItemOptions {
    /// As tokens.
    pub tokens: Arc<OptionTokens>,
    /// As they are weighed.
    pub weighed: Arc<Options>,
}

/// Options that are the same for many items are kept once.
#[derive(Default)]
pub struct Known {
    last: Option<ItemOptions>,
}

impl Known {
    /// The options of an item.
    ///
    /// # Errors
    /// Two of them are the same tokens.
    pub fn options(&mut self, tokens: OptionTokens, item: &Example) -> Result<ItemOptions> {
        if let Some(last) = self.last.as_ref().filter(|last| *last.tokens == tokens) {
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
        let weighed = Options::new(tokens.tokens.clone(), tokens.shared)
            .with_context(|| format!("item {}", item.id))?;
        let options = ItemOptions { tokens: tokens.into(), weighed: weighed.into() };
        self.last = Some(options.clone());
        Ok(options)
    }
}

impl ItemOptions {
    /// Refuse options that the model cannot read after their prompt.
    ///
    /// # Errors
    /// A token without an embedding; more positions than the model has.
    pub fn check(&self, prompt: &Prompt, model: &OpenModel) -> Result<()> {
        let whose = || format!("item {}: one of its options holds", prompt.item);
        self.tokens.tokens.iter().try_for_each(|tokens| model.check_embedded(whose, tokens))?;
        let (rows, longest, context) = (prompt.tokens.len(), self.weighed.longest(), model.arch.context);
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
}
