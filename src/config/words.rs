//! Words as typed -> numbers and lists, each refused with where it was written.

use anyhow::Result;

use super::layers;
use super::resolve::Resolver;
use crate::base::error::input;

/// Numbers of things that are written; products of two of them can still be counted.
const LARGEST: usize = 1_000_000_000;

impl Resolver {
    /// A finite number.
    pub(super) fn number(&self, field: &str, words: &Option<Vec<String>>) -> Result<f64> {
        let word = self.one(field, words)?;
        let number = word.parse().ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| input(format!("{}: `{word}` is not a number", self.origins.of(field))))
    }

    /// Words, none of them empty.
    pub(super) fn list<'a>(&self, field: &str, words: &'a Option<Vec<String>>) -> Result<&'a [String]> {
        match words.as_deref() {
            Some(words) if !words.is_empty() && words.iter().all(|word| !word.is_empty()) => Ok(words),
            Some(_) => Err(input(format!("{}: a value is empty", self.origins.of(field)))),
            None => Err(input(format!("{} is not set", self.origins.of(field)))),
        }
    }

    /// The only word.
    pub(super) fn one<'a>(&self, field: &str, words: &'a Option<Vec<String>>) -> Result<&'a str> {
        match self.list(field, words)? {
            [word] => Ok(word),
            words => Err(input(format!("{}: takes one value, not {}", self.origins.of(field), words.len()))),
        }
    }

    /// A number of things, at least one.
    pub(super) fn count(&self, field: &str, words: &Option<Vec<String>>) -> Result<usize> {
        let word = self.one(field, words)?;
        let origin = self.origins.of(field);
        match word.parse() {
            Ok(0) => Err(input(format!("{origin}: must be at least 1"))),
            Ok(count) if count > LARGEST => Err(input(format!("{origin}: {count} is more than {LARGEST}"))),
            Ok(count) => Ok(count),
            Err(_) => Err(input(format!("{origin}: `{word}` is not a whole number"))),
        }
    }

    /// `true` or `false`.
    pub(super) fn yes_or_no(&self, field: &str, words: &Option<Vec<String>>) -> Result<bool> {
        match self.one(field, words)? {
            "true" => Ok(true),
            "false" => Ok(false),
            word => Err(input(format!("{}: `{word}` is neither true nor false", self.origins.of(field)))),
        }
    }

    /// A number of things, or `None` for all of them.
    pub(super) fn count_or_all(&self, field: &str, words: &Option<Vec<String>>) -> Result<Option<usize>> {
        if self.one(field, words)? == "all" { Ok(None) } else { self.count(field, words).map(Some) }
    }

    /// Numbers and ranges that fit 32 bits.
    pub(super) fn numbers(&self, field: &str, words: &Option<Vec<String>>) -> Result<Vec<u64>> {
        let origin = self.origins.of(field);
        let numbers = layers::numbers(self.list(field, words)?, &origin)?;
        match numbers.iter().find(|number| **number > u64::from(u32::MAX)) {
            Some(number) => Err(input(format!("{origin}: {number} is more than {}", u32::MAX))),
            None => Ok(numbers),
        }
    }

    /// Each word parsed; `parse` is told where they were written.
    pub(super) fn each<T>(
        &self,
        field: &str,
        words: &Option<Vec<String>>,
        parse: impl Fn(&str, &str) -> Result<T>,
    ) -> Result<Vec<T>> {
        let origin = self.origins.of(field);
        self.list(field, words)?.iter().map(|word| parse(word, &origin)).collect()
    }
}
