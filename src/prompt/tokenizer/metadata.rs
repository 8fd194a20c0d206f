//! Typed reading of GGUF metadata, with errors that name the key.

use std::collections::HashMap;

use anyhow::Result;
use candle_core::quantized::gguf_file::Value;

use crate::base::error::input;

/// The `tokenizer.ggml.*` part of a GGUF file's metadata.
#[derive(Clone, Copy)]
pub(super) struct Metadata<'a>(pub &'a HashMap<String, Value>);

impl<'a> Metadata<'a> {
    fn get(self, key: &str) -> Option<&'a Value> {
        self.0.get(&format!("tokenizer.ggml.{key}"))
    }

    /// Whether the key is there.
    pub fn has(self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// A text, if the key is there.
    pub fn text(self, key: &str) -> Result<Option<&'a str>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(key, "a text")),
        }
    }

    /// A yes or no, if the key is there.
    pub fn flag(self, key: &str) -> Result<Option<bool>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(wrong(key, "true or false")),
        }
    }

    /// A token's id, if the key is there; it must be below `vocab_size`.
    pub fn id(self, key: &str, vocab_size: usize) -> Result<Option<u32>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let id = integer(value).and_then(|id| u32::try_from(id).ok());
        match id.filter(|&id| (id as usize) < vocab_size) {
            Some(id) => Ok(Some(id)),
            None => Err(wrong(key, &format!("the id of one of the {vocab_size} tokens"))),
        }
    }

    /// A list of texts; an error when the key is missing.
    pub fn texts(self, key: &str) -> Result<Vec<&'a str>> {
        let text = |value: &'a Value| match value {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        };
        self.list(key, text)?.ok_or_else(|| wrong(key, "there, a list of texts"))
    }

    /// A list of integers of any width, if the key is there.
    pub fn integers(self, key: &str) -> Result<Option<Vec<i64>>> {
        self.list(key, integer)
    }

    /// A list of numbers, if the key is there.
    pub fn numbers(self, key: &str) -> Result<Option<Vec<f64>>> {
        self.list(key, |value| match value {
            Value::F32(number) => Some(f64::from(*number)),
            Value::F64(number) => Some(*number),
            other => integer(other).map(|number| number as f64),
        })
    }

    fn list<T>(self, key: &str, item: impl Fn(&'a Value) -> Option<T>) -> Result<Option<Vec<T>>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Array(values)) => match values.iter().map(item).collect() {
                Some(items) => Ok(Some(items)),
                None => Err(wrong(key, "a list of one kind")),
            },
            Some(_) => Err(wrong(key, "a list")),
        }
    }
}

/// An integer of any width: converters do not agree on one.
fn integer(value: &Value) -> Option<i64> {
    match *value {
        Value::U8(number) => Some(number.into()),
        Value::I8(number) => Some(number.into()),
        Value::U16(number) => Some(number.into()),
        Value::I16(number) => Some(number.into()),
        Value::U32(number) => Some(number.into()),
        Value::I32(number) => Some(number.into()),
        Value::U64(number) => i64::try_from(number).ok(),
        Value::I64(number) => Some(number),
        _ => None,
    }
}

/// The error for a key whose value is not what it has to be.
pub(super) fn wrong(key: &str, expected: &str) -> anyhow::Error {
    input(format!(
        "the GGUF file's `tokenizer.ggml.{key}` is not {expected}: fetch or convert the file again, or use the \
         model's folder with its tokenizer.json"
    ))
}
