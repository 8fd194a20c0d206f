//! A `tokenizer.json` without its vocabulary: what has to be known of it before the library reads it.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::growth::Growth;
use super::keys::{TOKENIZER_JSON, TOKENIZER_MODEL, TOKENIZER_PART};
use crate::base::error::input;
use crate::base::keys::Unread;

/// A `tokenizer.json` without its vocabulary and merges.
#[derive(Deserialize)]
pub(super) struct Outline {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    decoder: Value,
    #[serde(default)]
    added_tokens: Vec<Added>,
    model: Model,
    #[serde(flatten)]
    rest: BTreeMap<String, IgnoredAny>,
}

/// An added token, its flags aside.
#[derive(Deserialize)]
struct Added {
    content: String,
}

#[derive(Deserialize)]
struct Model {
    #[serde(default)]
    vocab: IgnoredAny,
    #[serde(default)]
    merges: IgnoredAny,
    #[serde(default)]
    dropout: Value,
    #[serde(flatten)]
    rest: BTreeMap<String, IgnoredAny>,
}

impl Outline {
    /// How much longer the parts make a text, once it is known that reading the file stays within bounds.
    ///
    /// # Errors
    /// An `InputError` when ids would be random, or when the parts could fill the memory.
    pub fn check(&self) -> Result<Growth> {
        if let Some(key) = self.rest.keys().find(|key| !TOKENIZER_JSON.knows(key)) {
            return Err(input(format!(
                "tokenizer.json has the key `{key}`, which neither Hugging Face's library nor icl-mask knows: take it out"
            )));
        }
        match &self.model.dropout {
            Value::Null => {}
            Value::Number(number) if number.as_f64() == Some(0.) => {}
            dropout => {
                return Err(input(format!(
                    "tokenizer.json has `dropout` {dropout} in its model, which draws other tokens for a text each \
                     time: set it to null"
                )));
            }
        }
        let growth = Growth::of(&self.normalizer, &self.pre_tokenizer, &self.decoder)?;
        growth.check_post_processor(&self.post_processor)?;
        // The library brings each added token into normal form as it reads them.
        growth.check(self.added_tokens.iter().map(|added| added.content.len()).sum())?;
        Ok(growth)
    }

    /// The normalizer and the pre-tokenizer.
    pub fn before_the_model(&self) -> [&Value; 2] {
        [&self.normalizer, &self.pre_tokenizer]
    }

    /// Note the keys that are not known, of the model and of the parts around it.
    pub fn note(&self, unread: &mut Unread) {
        let Model { vocab: IgnoredAny, merges: IgnoredAny, rest, .. } = &self.model;
        let mut unknown: Vec<String> =
            rest.keys().filter(|key| !TOKENIZER_MODEL.knows(key)).map(|key| format!("model.{key}")).collect();
        let parts = [
            ("normalizer", &self.normalizer),
            ("pre_tokenizer", &self.pre_tokenizer),
            ("post_processor", &self.post_processor),
            ("decoder", &self.decoder),
        ];
        parts.into_iter().for_each(|(place, part)| unknown_keys(place, part, &mut unknown));
        unread.note("tokenizer.json", &[], unknown.iter().map(String::as_str));
    }
}

/// The keys of a part, and of the steps that it consists of, that no part has.
fn unknown_keys(place: &str, part: &Value, unknown: &mut Vec<String>) {
    let Some(fields) = part.as_object() else { return };
    unknown
        .extend(fields.keys().filter(|key| !TOKENIZER_PART.knows(key)).map(|key| format!("{place}.{key}")));
    for steps in STEPS.iter().filter_map(|key| fields.get(*key)?.as_array()) {
        steps.iter().for_each(|step| unknown_keys(place, step, unknown));
    }
}

/// Under these keys a part has its steps.
const STEPS: [&str; 4] = ["normalizers", "pretokenizers", "processors", "decoders"];
