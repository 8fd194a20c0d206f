//! What the files beside a `tokenizer.json` say of special tokens and chat templates.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::Value;

use super::added::Tokens;
use super::bytes::Spelling;
use super::special::Special;
use super::{class, keys};
use crate::base::error::input;
use crate::base::inputs;
use crate::base::keys::Unread;

/// The files beside one `tokenizer.json`.
pub(in crate::prompt) struct Beside {
    tokenizer: PathBuf,
    tokenizer_config: Option<Value>,
    special_tokens_map: Option<Value>,
    added_tokens: Option<Value>,
    generation_config: Option<Value>,
    config: Option<Value>,
}

impl Beside {
    /// Reads those that are there.
    ///
    /// # Errors
    /// An `InputError` when one is there but is not JSON.
    pub fn read(tokenizer: &Path) -> Result<Self> {
        let json = |name: &str| read(&tokenizer.with_file_name(name));
        Ok(Self {
            tokenizer: tokenizer.into(),
            tokenizer_config: json("tokenizer_config.json")?,
            special_tokens_map: json("special_tokens_map.json")?,
            added_tokens: json("added_tokens.json")?,
            generation_config: json("generation_config.json")?,
            config: json("config.json")?,
        })
    }

    /// Refuse values of tokenizer_config.json that would change ids or texts and are not done here.
    ///
    /// # Errors
    /// An `InputError` that names the key.
    pub fn check(&self) -> Result<()> {
        let Some(config) = &self.tokenizer_config else { return Ok(()) };
        let refused = |what: &str| {
            let file = self.tokenizer.with_file_name("tokenizer_config.json");
            Err(input(format!("{}: {what}, which is not done here: take it out", file.display())))
        };
        let on = |key: &str| config.get(key) == Some(&Value::Bool(true));
        if on("split_special_tokens") {
            return refused("`split_special_tokens` is true and cuts special tokens apart");
        }
        if on("clean_up_tokenization_spaces")
            && on("clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output")
        {
            return refused(
                "`clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output` is true",
            );
        }
        let files = config.get("fast_tokenizer_files").and_then(Value::as_array);
        if files.is_some_and(|files| files.iter().any(|file| file.as_str() != Some("tokenizer.json"))) {
            return refused("`fast_tokenizer_files` names other files than tokenizer.json");
        }
        Ok(())
    }

    /// The tokens that these files know.
    ///
    /// # Errors
    /// An `InputError` for a token that is not one.
    pub(super) fn tokens(&self) -> Result<Tokens> {
        let files = [&self.tokenizer_config, &self.special_tokens_map, &self.added_tokens];
        let [config, map, added] = files.map(Option::as_ref);
        Tokens::read(config, map, added)
    }

    /// What the class that reads this tokenizer makes of `add_prefix_space`; see [`class::prefix_space`].
    ///
    /// # Errors
    /// As there.
    pub(super) fn prefix_space(&self, spelling: Spelling, parts: [&Value; 2]) -> Result<Option<bool>> {
        class::prefix_space(self.tokenizer_config.as_ref(), self.config.as_ref(), spelling, parts)
    }

    /// Note the keys of tokenizer_config.json and special_tokens_map.json that are not known.
    pub fn note(&self, unread: &mut Unread) {
        let files = [
            ("tokenizer_config.json", &self.tokenizer_config, keys::TOKENIZER_CONFIG),
            ("special_tokens_map.json", &self.special_tokens_map, keys::SPECIAL_TOKENS_MAP),
        ];
        for (name, file, known) in files {
            let keys = file.as_ref().and_then(Value::as_object).into_iter().flatten();
            let keys = keys.map(|(key, _)| key.as_str()).filter(|key| !keys::is_role(key));
            unread.note(name, &[known], keys);
        }
    }

    /// Adds the end-of-text tokens: the tokenizer's own, and those at which transformers' `generate` stops, which are
    /// those of generation_config.json or, where there is none, of config.json.
    ///
    /// # Errors
    /// An `InputError` when a number of a token is none.
    pub fn ends(&self, special: &mut Special, id_of: impl Fn(&str) -> Option<u32>) -> Result<()> {
        if let Some(id) = special.roles.get("eos_token").and_then(|token| id_of(token)) {
            let own = self.tokenizer_config.as_ref().is_some_and(|config| config.get("eos_token").is_some());
            let file = if own { "tokenizer_config.json" } else { "special_tokens_map.json" };
            special.ends(id, &format!("eos_token of {file}"));
        }
        let (file, config) = match (&self.generation_config, &self.config) {
            (Some(config), _) => ("generation_config.json", Some(config)),
            (None, config) => ("config.json", config.as_ref()),
        };
        let key = "eos_token_id";
        let ids = config.and_then(|config| {
            let inner = ["decoder", "generator", "text_config"].into_iter().find_map(|part| config.get(part));
            let inner = inner.filter(|_| file == "config.json").and_then(|inner| inner.get(key));
            config.get(key).filter(|ids| !ids.is_null()).or(inner)
        });
        for id in ids.map(token_ids).unwrap_or_default() {
            let id = id.ok_or_else(|| {
                let file = self.tokenizer.with_file_name(file);
                input(format!(
                    "{}: `{key}` is neither the number of a token nor a list of them",
                    file.display()
                ))
            })?;
            special.ends(id, &format!("{key} of {file}"));
        }
        Ok(())
    }

    /// The model's own chat template, with where it stands: `chat_template.jinja`, else `chat_template` of
    /// tokenizer_config.json, there perhaps the one named `default`.
    ///
    /// # Errors
    /// An `InputError` when a file cannot be read, or holds templates of which none is the default.
    pub fn chat_template(&self) -> Result<Option<(String, String)>> {
        let file = self.tokenizer.with_file_name("chat_template.jinja");
        if file.exists() {
            // As it is: transformers renders a byte order mark too.
            let bytes = inputs::bytes(&file).map_err(|trouble| trouble.about(&file))?;
            let text = String::from_utf8(bytes)
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
    match inputs::bytes(path) {
        Ok(json) => serde_json::from_slice(&json)
            .map(Some)
            .map_err(|error| input(format!("{shown} is not JSON ({error}): fetch the file again"))),
        Err(trouble) if trouble.is_missing() => Ok(None),
        Err(error) => Err(input(format!("cannot read {shown}: {error}"))),
    }
}

/// A number of a token, or a list of them; `None` for what is not one. A negative number names no token.
fn token_ids(value: &Value) -> Vec<Option<u32>> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    let counts = |value: &&Value| value.as_i64().is_none_or(|id| id >= 0);
    match value {
        Value::Null => Vec::new(),
        Value::Array(ids) => ids.iter().filter(counts).map(id).collect(),
        value => Some(value).filter(counts).map(id).into_iter().collect(),
    }
}
