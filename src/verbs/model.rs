//! A model opened: its header and its tokenizer, no weights.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::config::{ChatChoice, ModelChoice};
use crate::console::note;
use crate::error::input;
use crate::hub::Wanted;
use crate::keys::Unread;
use crate::model::{Arch, Checkpoint};
use crate::prompt::Tokenizer;
use crate::prompt::chat::{ChatTemplate, Source};

/// A model whose header and tokenizer have been read.
pub struct OpenModel {
    /// Its architecture.
    pub arch: Arch,
    /// The tokenizer beside or in it.
    pub tokenizer: Tokenizer,
    /// Keys of its files that the program does not know.
    pub unread: Unread,
    /// The folder or file.
    path: PathBuf,
    /// Headers of its weights, where they were asked for.
    checkpoint: Option<Checkpoint>,
}

impl OpenModel {
    /// Open the chosen model: for a plan its description is enough, for a run its weights must be here or are fetched.
    ///
    /// # Errors
    /// Absent, unreadable, or a tokenizer of another model.
    pub fn open(choice: &ModelChoice, wanted: Wanted) -> Result<Self> {
        let path = choice.locate(wanted)?;
        let arch = choice.arch(&path)?;
        let checkpoint = match wanted {
            Wanted::Description if path.is_dir() => None,
            Wanted::Description | Wanted::Weights => Some(Checkpoint::open(&path)?),
        };
        let tokenizer = match &checkpoint {
            Some(Checkpoint::Gguf(file)) => Tokenizer::from_gguf(file.metadata()),
            Some(Checkpoint::Safetensors(_)) | None => Tokenizer::from_file(&path.join("tokenizer.json")),
        }
        .with_context(|| format!("the tokenizer of {}", path.display()))?;
        let (tokens, rows) = (tokenizer.vocab_size(), arch.vocab);
        if tokens > rows {
            return Err(input(format!(
                "{}: its tokenizer has {tokens} tokens, its embedding only {rows}: they do not belong together",
                path.display()
            )));
        }
        let unread = Unread::default();
        unread.sentences(&choice.name).into_iter().for_each(note);
        Ok(Self { arch, tokenizer, unread, path, checkpoint })
    }

    /// Fetch the weights of a model that was opened for a plan, where they are not here, and open their headers.
    ///
    /// # Errors
    /// They are not to be had, or unreadable.
    pub fn fetch_weights(&mut self, choice: &ModelChoice) -> Result<()> {
        if self.checkpoint.is_none() {
            self.checkpoint = Some(Checkpoint::open(&choice.locate(Wanted::Weights)?)?);
        }
        Ok(())
    }

    /// Its weights' headers.
    ///
    /// # Errors
    /// If it was opened for a plan.
    pub fn checkpoint(&self) -> Result<&Checkpoint> {
        self.checkpoint.as_ref().context("the model was opened without its weights")
    }

    /// The chosen chat template, with the texts of this model's special tokens.
    ///
    /// # Errors
    /// The model has none of its own, or it cannot be used: see [`ChatTemplate::new`].
    pub fn chat_template(&self, choice: &ChatChoice) -> Result<ChatTemplate> {
        let source = match (choice, &self.checkpoint) {
            (ChatChoice::File(path), _) => Source::file(path)?,
            (ChatChoice::Model, Some(Checkpoint::Gguf(file))) => Source::gguf(file.metadata())?,
            (ChatChoice::Model, Some(Checkpoint::Safetensors(_)) | None) => {
                Source::beside(&self.path.join("tokenizer.json"))?
            }
        };
        ChatTemplate::new(source, &self.tokenizer.special().roles)
    }
}
