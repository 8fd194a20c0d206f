//! Where a prompt ends and an option begins: cut as lm-evaluation-harness cuts it.

use anyhow::{Result, ensure};
use rayon::prelude::*;

use super::{Prompt, Tokenizer};
use crate::base::error::input;

/// The options of an item as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionTokens {
    /// By option, the tokens that it adds to the prompt.
    pub tokens: Vec<Vec<u32>>,
    /// The first of them that all options share, while each has one left: they are no choice.
    pub shared: usize,
}

/// What Python's `str.rstrip` takes away.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// Each option's tokens: those of prompt, white space and option tokenized together, without as many as the prompt alone has
/// (`_encode_pair` of lm-evaluation-harness 0.4). `added` tokens of the prompt are not of its text: a BOS that the tokenizer puts
/// before it.
///
/// # Errors
/// An option adds no token, or the tokens do not spell the text.
pub fn option_tokens(
    prompt: &Prompt,
    space: &str,
    options: &[String],
    tokenizer: &Tokenizer,
    added: usize,
) -> Result<OptionTokens> {
    let before = prompt.tokens.len() - added;
    let one = |option: &String| -> Result<Vec<u32>> {
        let whole = format!("{}{space}{option}", prompt.text);
        let all = tokenizer.encode(&whole)?;
        ensure!(
            all.len() > before,
            input(format!(
                "the option `{}` adds no token to the prompt: the tokenizer joins it with the prompt's end; write a space or \
                 a line end between them (`answer` or `before_target` of the format)",
                option.trim()
            ))
        );
        // The tokens must spell the text, or the option would not be what is weighed.
        tokenizer.spans(&whole, &all)?;
        Ok(all[before..].to_vec())
    };
    let tokens = options.par_iter().map(one).collect::<Result<Vec<_>>>()?;
    let first = tokens.first().cloned().unwrap_or_default();
    let alike = |at: usize| tokens.iter().all(|tokens| tokens.len() > at + 1 && tokens[at] == first[at]);
    let shared = (0..first.len()).take_while(|&at| alike(at)).count();
    Ok(OptionTokens { tokens, shared })
}
