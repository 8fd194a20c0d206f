//! Fields of a `config.json`, by name and type. `null` is refused where transformers refuses it, and counts as absent
//! where transformers allows it.

use anyhow::Result;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::base::error::input;

/// A JSON object whose fields are asked for by name. Errors name the field.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields(pub Map<String, Value>);

impl Fields {
    /// A field that must be there.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        self.find(name)?.ok_or_else(|| input(format!("field `{name}` is missing or null")))
    }

    /// A field, or what transformers takes when it is absent. It may not be `null`.
    pub fn get_or<T: DeserializeOwned>(&self, name: &str, absent: T) -> Result<T> {
        if self.0.contains_key(name) { self.get(name) } else { Ok(absent) }
    }

    /// A field that may be absent or `null`.
    pub fn find<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value.clone())
                .map(Some)
                .map_err(|error| input(format!("field `{name}` cannot be {value}: {error}"))),
        }
    }

    /// An object within.
    pub fn object(&self, name: &str) -> Result<Option<Fields>> {
        Ok(self.find::<Map<String, Value>>(name)?.map(Fields))
    }

    /// The same fields, with these values for those that are absent.
    pub fn with_defaults(&self, defaults: &[(&str, usize)]) -> Self {
        let mut fields = self.clone();
        for &(name, absent) in defaults {
            fields.0.entry(name).or_insert(absent.into());
        }
        fields
    }

    /// The same fields under one name each: transformers takes an alias after the name itself, so the alias wins.
    pub fn without_aliases(&self, aliases: &[(&str, &str)]) -> Self {
        let mut fields = self.clone();
        for &(alias, name) in aliases {
            if let Some(value) = fields.0.remove(alias) {
                fields.0.insert(name.into(), value);
            }
        }
        fields
    }

    /// Refuse a model that sets an option to anything but what this decoder computes.
    pub fn only<T: DeserializeOwned + PartialEq + std::fmt::Debug>(
        &self,
        name: &str,
        computed: T,
    ) -> Result<()> {
        match self.find::<T>(name)? {
            Some(found) if found != computed => {
                Err(input(format!("field `{name}` is {found:?}, and only {computed:?} is computed")))
            }
            _ => Ok(()),
        }
    }

    /// Refuse an option that is set at all.
    pub fn absent(&self, name: &str) -> Result<()> {
        match self.find::<Value>(name)? {
            None => Ok(()),
            Some(found) => Err(input(format!("field `{name}` is {found}, which is not computed"))),
        }
    }
}
