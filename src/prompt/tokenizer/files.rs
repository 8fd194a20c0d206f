//! What the files beside a `tokenizer.json` say of special tokens and chat templates.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::Value;

use super::special::Special;
use crate::error::input;

/// The files beside one `tokenizer.json`.
pub(in crate::prompt) struct Beside {
    tokenizer: PathBuf,
    tokenizer_config: Option<Value>,
}

impl Beside {
    /// Reads tokenizer_config.json, if there is one.
    ///
    /// # Errors
    /// An `InputError` when it is there but is not JSON.
    pub fn read(tokenizer: &Path) -> Result<Self> {
        let tokenizer_config = read(&tokenizer.with_file_name("tokenizer_config.json"))?;
        Ok(Self { tokenizer: tokenizer.into(), tokenizer_config })
    }

    /// Adds the end-of-text tokens and the texts of special tokens by role.
    ///
    /// # Errors
    /// An `InputError` when one of the files is there but is not JSON, or names an end-of-text token that is not
    /// in the vocabulary.
    pub fn special(&self, special: &mut Special, id_of: impl Fn(&str) -> Option<u32>) -> Result<()> {
        special.roles = self.roles()?;
        if let Some(token) =
            self.tokenizer_config.as_ref().and_then(|config| text_of(config.get("eos_token")?))
        {
            let id = id_of(token).ok_or_else(|| {
                input(format!(
                    "tokenizer_config.json beside {} names `{token}` as eos_token, which the tokenizer does not \
                     have: the two files are of different models",
                    self.tokenizer.display()
                ))
            })?;
            special.ends(id, "eos_token of tokenizer_config.json");
        }
        for (file, last_resort) in [("generation_config.json", false), ("config.json", true)] {
            // GPT-2 and GPT-Neo say it in config.json only.
            if last_resort && !special.eos.is_empty() {
                continue;
            }
            for id in self.json(file)?.as_ref().map(eos_ids).unwrap_or_default() {
                special.ends(id, &format!("eos_token_id of {file}"));
            }
        }
        Ok(())
    }

    /// `bos_token` and the like with their texts: from tokenizer_config.json, and in folders of older versions of
    /// transformers (those without `added_tokens_decoder`) from special_tokens_map.json first, as transformers reads
    /// them.
    fn roles(&self) -> Result<BTreeMap<String, String>> {
        let config = self.tokenizer_config.as_ref();
        let old = config.is_none_or(|config| config.get("added_tokens_decoder").is_none());
        let map = if old { self.json("special_tokens_map.json")? } else { None };
        let fields = config.into_iter().chain(&map).filter_map(Value::as_object).flatten();
        let named = fields.filter(|(role, _)| role.ends_with("_token"));
        Ok(named.filter_map(|(role, token)| Some((role.clone(), text_of(token)?.to_string()))).collect())
    }

    /// The model's own chat template, with where it stands: `chat_template.jinja`, else `chat_template` of
    /// tokenizer_config.json, there perhaps the one named `default`.
    ///
    /// # Errors
    /// An `InputError` when a file cannot be read, or holds templates of which none is the default.
    pub fn chat_template(&self) -> Result<Option<(String, String)>> {
        let file = self.tokenizer.with_file_name("chat_template.jinja");
        if file.exists() {
            let text = std::fs::read_to_string(&file)
                .map_err(|error| input(format!("cannot read {}: {error}", file.display())))?;
            return Ok(Some((text, file.display().to_string())));
        }
        let file = self.tokenizer.with_file_name("tokenizer_config.json");
        let place = format!("{}: chat_template", file.display());
        match self.tokenizer_config.as_ref().and_then(|config| config.get("chat_template")) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some((text.clone(), place))),
            Some(Value::Array(list)) => named_default(list, &place).map(|text| Some((text, place))),
            Some(_) => Err(input(format!("{place} is neither a text nor a list of named texts"))),
        }
    }

    fn json(&self, name: &str) -> Result<Option<Value>> {
        read(&self.tokenizer.with_file_name(name))
    }
}

/// The template named `default` of a list of `{"name", "template"}`.
fn named_default(list: &[Value], place: &str) -> Result<String> {
    let name = |entry: &Value| entry.get("name").and_then(Value::as_str).map(String::from);
    let default = list.iter().find(|entry| name(entry).as_deref() == Some("default"));
    let text = default.and_then(|entry| entry.get("template")).and_then(Value::as_str);
    text.map(String::from).ok_or_else(|| {
        let names: Vec<String> = list.iter().filter_map(name).collect();
        input(format!(
            "{place} holds several templates and none of them is named `default` (there are: {}); write the one you \
             mean to a file and give it with --chat-template FILE",
            names.join(", ")
        ))
    })
}

/// A JSON file, if there is one.
fn read(path: &Path) -> Result<Option<Value>> {
    let shown = path.display();
    match std::fs::read(path) {
        Ok(json) => serde_json::from_slice(&json)
            .map(Some)
            .map_err(|error| input(format!("{shown} is not JSON ({error}): fetch the file again"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(input(format!("cannot read {shown}: {error}"))),
    }
}

/// A token's text: a string, or an object that holds it as `content`.
fn text_of(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token.get("content")?.as_str())
}

/// `eos_token_id`: a number or a list of them.
fn eos_ids(config: &Value) -> Vec<u32> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match config.get("eos_token_id") {
        Some(Value::Array(ids)) => ids.iter().filter_map(id).collect(),
        Some(value) => id(value).into_iter().collect(),
        None => Vec::new(),
    }
}
