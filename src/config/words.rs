//! Words as typed -> numbers and lists, each refused with where it was written.

use anyhow::Result;

use super::layers;
use super::resolve::Resolver;
use super::settings::Setting;
use crate::base::error::input;

/// Numbers of things that are written; products of two of them can still be counted.
const LARGEST: usize = 1_000_000_000;

impl Resolver {
    /// A finite number.
    pub(super) fn number(&self, asked: Setting) -> Result<f64> {
        let word = self.one(asked)?;
        let number = word.parse().ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| input(format!("{}: `{word}` is not a number", self.origins.of(asked.name))))
    }

    /// Words, none of them empty.
    pub(super) fn list<'a>(&self, asked: Setting<'a>) -> Result<&'a [String]> {
        match asked.words.as_deref() {
            Some(words) if !words.is_empty() && words.iter().all(|word| !word.is_empty()) => Ok(words),
            Some(_) => Err(input(format!("{}: a value is empty", self.origins.of(asked.name)))),
            None => Err(input(format!("{} is not set", self.origins.of(asked.name)))),
        }
    }

    /// The only word.
    pub(super) fn one<'a>(&self, asked: Setting<'a>) -> Result<&'a str> {
        match self.list(asked)? {
            [word] => Ok(word),
            words => {
                Err(input(format!("{}: takes one value, not {}", self.origins.of(asked.name), words.len())))
            }
        }
    }

    /// A number of things, at least one.
    pub(super) fn count(&self, asked: Setting) -> Result<usize> {
        let word = self.one(asked)?;
        let origin = self.origins.of(asked.name);
        match word.parse() {
            Ok(0) => Err(input(format!("{origin}: must be at least 1"))),
            Ok(count) if count > LARGEST => Err(input(format!("{origin}: {count} is more than {LARGEST}"))),
            Ok(count) => Ok(count),
            Err(_) => Err(input(format!("{origin}: `{word}` is not a whole number"))),
        }
    }

    /// `true` or `false`.
    pub(super) fn yes_or_no(&self, asked: Setting) -> Result<bool> {
        match self.one(asked)? {
            "true" => Ok(true),
            "false" => Ok(false),
            word => {
                Err(input(format!("{}: `{word}` is neither true nor false", self.origins.of(asked.name))))
            }
        }
    }

    /// A number of things, or `None` for all of them.
    pub(super) fn count_or_all(&self, asked: Setting) -> Result<Option<usize>> {
        if self.one(asked)? == "all" { Ok(None) } else { self.count(asked).map(Some) }
    }

    /// Numbers and ranges that fit 32 bits.
    pub(super) fn numbers(&self, asked: Setting) -> Result<Vec<u64>> {
        let origin = self.origins.of(asked.name);
        let numbers = layers::numbers(self.list(asked)?, &origin)?;
        match numbers.iter().find(|number| **number > u64::from(u32::MAX)) {
            Some(number) => Err(input(format!("{origin}: {number} is more than {}", u32::MAX))),
            None => Ok(numbers),
        }
    }

    /// Each word parsed; `parse` is told where they were written.
    pub(super) fn each<T>(&self, asked: Setting, parse: impl Fn(&str, &str) -> Result<T>) -> Result<Vec<T>> {
        let origin = self.origins.of(asked.name);
        self.list(asked)?.iter().map(|word| parse(word, &origin)).collect()
    }
}
