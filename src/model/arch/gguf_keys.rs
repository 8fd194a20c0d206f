//! Metadata of GGUF files, with their types.

use std::collections::HashMap;

use anyhow::Result;
use candle_core::quantized::gguf_file::Value;

use crate::base::error::input;

/// Keys of one architecture, written without its name.
pub struct GgufKeys<'a> {
    pub metadata: Metadata<'a>,
    pub name: &'a str,
}

impl GgufKeys<'_> {
    pub fn key(&self, part: &str) -> String {
        format!("{}.{part}", self.name)
    }

    pub fn size(&self, part: &str) -> Result<usize> {
        self.metadata.size(&self.key(part))
    }

    pub fn optional_string(&self, part: &str) -> Result<Option<&str>> {
        match self.metadata.0.get(&self.key(part)) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(input(format!("metadata `{}` is not text", self.key(part)))),
        }
    }

    pub fn optional_size(&self, part: &str) -> Result<Option<usize>> {
        self.metadata.optional_size(&self.key(part))
    }

    pub fn float(&self, part: &str) -> Result<f64> {
        self.metadata.float(&self.key(part))
    }

    pub fn optional_float(&self, part: &str) -> Result<Option<f64>> {
        self.metadata.optional_float(&self.key(part))
    }

    pub fn flag(&self, part: &str) -> Result<bool> {
        self.optional_flag(part)?.ok_or_else(|| input(format!("metadata `{}` is missing", self.key(part))))
    }

    pub fn optional_flag(&self, part: &str) -> Result<Option<bool>> {
        match self.metadata.0.get(&self.key(part)) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(input(format!("metadata `{}` is not a truth value", self.key(part)))),
        }
    }
}

/// Typed look-ups that name the key when they fail.
#[derive(Clone, Copy)]
pub struct Metadata<'a>(pub &'a HashMap<String, Value>);

impl<'a> Metadata<'a> {
    pub fn string(self, key: &str) -> Result<&'a str> {
        self.optional_string(key).ok_or_else(|| input(format!("metadata `{key}` is missing or not text")))
    }

    pub fn optional_string(self, key: &str) -> Option<&'a str> {
        self.0.get(key).and_then(|value| value.to_string().ok()).map(String::as_str)
    }

    pub fn size(&self, key: &str) -> Result<usize> {
        self.optional_size(key)?.ok_or_else(|| input(format!("metadata `{key}` is missing")))
    }

    pub fn optional_size(&self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        let size = match value {
            Value::U8(size) => Some(usize::from(*size)),
            Value::U16(size) => Some(usize::from(*size)),
            Value::U32(size) => usize::try_from(*size).ok(),
            Value::U64(size) => usize::try_from(*size).ok(),
            Value::I32(size) => usize::try_from(*size).ok(),
            _ => None,
        };
        size.map(Some).ok_or_else(|| input(format!("metadata `{key}` is not a size")))
    }

    pub fn float(&self, key: &str) -> Result<f64> {
        self.optional_float(key)?.ok_or_else(|| input(format!("metadata `{key}` is missing")))
    }

    pub fn optional_float(&self, key: &str) -> Result<Option<f64>> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        match value {
            Value::F32(float) => Ok(Some(f64::from(*float))),
            Value::F64(float) => Ok(Some(*float)),
            _ => Err(input(format!("metadata `{key}` is not a number"))),
        }
    }
}
