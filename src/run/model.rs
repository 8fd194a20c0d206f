//! A model opened: its header and its tokenizer, no weights.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::fetch::locate;
use crate::base::console::note;
use crate::base::error::input;
use crate::base::keys::Unread;
use crate::config::{ChatChoice, ModelChoice};
use crate::hub::ModelFiles;
use crate::model::{Arch, Checkpoint, INDEX, SINGLE, not_applied, not_applied_gguf, unread, unread_gguf};
use crate::prompt::Tokenizer;
use crate::prompt::chat::{ChatTemplate, TemplateSource};
use crate::prompt::tokenizer::keys;
use crate::results::NotApplied;

/// A model whose header and tokenizer have been read.
pub struct OpenModel {
    /// Its architecture.
    pub arch: Arch,
    /// The tokenizer beside or in it.
    pub tokenizer: Tokenizer,
    /// Keys of its files that the program does not know.
    pub unread: Unread,
    /// What its files ask of decoding and the program does not do.
    pub not_applied: NotApplied,
    /// The folder or file.
    path: PathBuf,
    /// Headers of its weights, where they were asked for.
    checkpoint: Option<Checkpoint>,
    /// The lengths of the sequences that it is to compute, once they are known.
    lengths: Option<RangeInclusive<usize>>,
}

impl OpenModel {
    /// Open the chosen model: for a plan its description is enough, for a run its weights must be here or are fetched.
    ///
    /// # Errors
    /// Absent or unreadable.
    pub fn open(choice: &ModelChoice, wanted: ModelFiles) -> Result<Self> {
        let path = locate(choice, wanted)?;
        let arch = choice.arch(&path)?;
        let checkpoint = match wanted {
            ModelFiles::Description if path.is_dir() => None,
            ModelFiles::Description | ModelFiles::Weights => Some(Checkpoint::open(&path)?),
        };
        let tokenizer = match &checkpoint {
            Some(Checkpoint::Gguf(file)) => Tokenizer::from_gguf(file.metadata()),
            Some(Checkpoint::Safetensors(_)) | None => Tokenizer::from_file(&path.join("tokenizer.json")),
        }
        .with_context(|| format!("the tokenizer of {}", path.display()))?;
        let arch = checkpoint.as_ref().map_or(arch, |checkpoint| checkpoint.arch().clone());
        let (mut unread, not_applied) = said(&path, checkpoint.as_ref())?;
        unread.join(tokenizer.unread().clone());
        unread.sentences(&choice.name).into_iter().for_each(note);
        sentences(&choice.name, &not_applied).into_iter().for_each(note);
        if path.join(SINGLE).exists() && path.join(INDEX).exists() {
            note(format!(
                "{}: {SINGLE} is read, and {INDEX} beside it is ignored, as in transformers",
                choice.name
            ));
        }
        Ok(Self { arch, tokenizer, unread, not_applied, path, checkpoint, lengths: None })
    }

    /// Refuse tokens that the model's embedding has no row for. A tokenizer may have such tokens, of images or for padding,
    /// as long as no text holds one. `whose` says where the tokens stand.
    ///
    /// # Errors
    /// It names the first such token.
    pub fn check_embedded(&self, whose: impl FnOnce() -> String, tokens: &[u32]) -> Result<()> {
        let rows = self.arch.vocab;
        let Some(&token) = tokens.iter().find(|&&token| token as usize >= rows) else { return Ok(()) };
        Err(input(format!(
            "{} the token `{}` (number {token}), for which the embedding of {}, with its {rows} rows, has none: take \
             it out of the text, or choose the tokenizer that belongs to the model",
            whose(),
            self.tokenizer.token_text(token),
            self.path.display()
        )))
    }

    /// Refuse a model whose texts could not end: all tokens that end one are beyond its embedding.
    ///
    /// # Errors
    /// It names one of them.
    pub fn check_end_of_text(&self) -> Result<()> {
        let ends = self.tokenizer.eos();
        match ends.iter().any(|&end| (end as usize) < self.arch.vocab) {
            true => Ok(()),
            false => self.check_embedded(|| "a text ends with".into(), &ends),
        }
    }

    /// Fetch the weights of a model that was opened for a plan, where they are not here, and open their headers.
    ///
    /// # Errors
    /// They are not to be had, or unreadable.
    pub fn fetch_weights(&mut self, choice: &ModelChoice) -> Result<()> {
        if self.checkpoint.is_none() {
            let checkpoint = Checkpoint::open(&locate(choice, ModelFiles::Weights)?)?;
            // Only the weights say whether embedding and head are one.
            self.arch = checkpoint.arch().clone();
            self.checkpoint = Some(checkpoint);
            if let Some(lengths) = self.lengths.clone() {
                self.take_lengths(lengths)?;
            }
        }
        Ok(())
    }

    /// Say how long the sequences are, from the first step of the shortest to the last step of the longest.
    ///
    /// # Errors
    /// The model cannot compute all of them in one call.
    pub fn take_lengths(&mut self, lengths: RangeInclusive<usize>) -> Result<()> {
        self.arch = self.arch.for_lengths(lengths.clone())?;
        self.lengths = Some(lengths);
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
            (ChatChoice::File(path), _) => TemplateSource::file(path)?,
            (ChatChoice::Model, Some(Checkpoint::Gguf(file))) => TemplateSource::gguf(file.metadata())?,
            (ChatChoice::Model, Some(Checkpoint::Safetensors(_)) | None) => {
                TemplateSource::beside(&self.path.join("tokenizer.json"))?
            }
        };
        ChatTemplate::new(source, &self.tokenizer.special().roles)
    }
}

/// What the files of a model say that is not done: keys that are not known, and settings of decoding.
fn said(path: &Path, checkpoint: Option<&Checkpoint>) -> Result<(Unread, NotApplied)> {
    let (unread, file, settings) = match checkpoint {
        Some(Checkpoint::Gguf(gguf)) => {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let (metadata, settings) = (gguf.metadata(), not_applied_gguf(gguf.metadata()));
            let mut unread = unread_gguf(&file, gguf.architecture(), metadata);
            unread.join(keys::unread_gguf(&file, metadata));
            (unread, file, settings)
        }
        Some(Checkpoint::Safetensors(_)) | None => {
            (unread(path)?, "generation_config.json".to_string(), not_applied(path)?)
        }
    };
    let not_applied = if settings.is_empty() { NotApplied::new() } else { [(file, settings)].into() };
    Ok((unread, not_applied))
}

/// One sentence a file about settings of decoding that are not applied.
fn sentences(model: &str, not_applied: &NotApplied) -> Vec<String> {
    let sentence = |(file, settings): (&String, &std::collections::BTreeMap<_, serde_json::Value>)| {
        let settings: Vec<String> =
            settings.iter().map(|(key, value)| format!("`{key}` = {value}")).collect();
        format!(
            "{model}: {file} asks for {}, which is not applied: each token is chosen by the logits alone",
            settings.join(", ")
        )
    };
    not_applied.iter().map(sentence).collect()
}
