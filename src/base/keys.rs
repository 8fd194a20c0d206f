//! What a file of a model says, key by key, and what this program makes of each: one policy for every kind of file.
//!
//! A key is read, or it is known not to change a result, or it is neither. A value that would change a result and is not
//! computed is refused by the code that reads the file. Keys of the third kind are named once on stderr and in the manifest.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The keys of one kind of file that the program knows.
#[derive(Debug, Clone, Copy)]
pub struct Keys {
    /// Keys that the program reads, or whose values it checks.
    pub read: &'static [&'static str],
    /// Keys that cannot change a result: training, generation by sampling, bookkeeping.
    pub harmless: &'static [&'static str],
}

impl Keys {
    /// Whether the program knows what to make of a key.
    pub fn knows(&self, key: &str) -> bool {
        self.read.contains(&key) || self.harmless.contains(&key)
    }
}

/// Keys that the files of a model hold and the program does not know, by file name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Unread(BTreeMap<String, BTreeSet<String>>);

impl Unread {
    /// Note those keys of a file that none of `known` knows.
    pub fn note<'a>(&mut self, file: &str, known: &[Keys], keys: impl IntoIterator<Item = &'a str>) {
        let unknown = keys.into_iter().filter(|key| !known.iter().any(|known| known.knows(key)));
        let unknown: BTreeSet<String> = unknown.map(String::from).collect();
        if !unknown.is_empty() {
            self.0.entry(file.into()).or_default().extend(unknown);
        }
    }

    /// Add what was noted of other files.
    pub fn join(&mut self, other: Self) {
        for (file, keys) in other.0 {
            self.0.entry(file).or_default().extend(keys);
        }
    }

    /// Every key was known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One sentence a file, about the files of `whose` (a model's or an adapter's name).
    pub fn sentences(&self, whose: &str) -> Vec<String> {
        let sentence = |(file, keys): (&String, &BTreeSet<String>)| {
            let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
            format!("{whose}: {file} has keys that icl-mask does not know and ignores: {}", keys.join(", "))
        };
        self.0.iter().map(sentence).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_in_no_list_is_named() {
        let known = [Keys { read: &["hidden_size"], harmless: &["dropout"] }];
        let mut unread = Unread::default();
        unread.note("config.json", &known, ["hidden_size", "dropout"]);
        assert!(unread.is_empty());
        unread.note("config.json", &known, ["hidden_size", "new_norm", "logit_cap"]);
        let expected =
            "tiny: config.json has keys that icl-mask does not know and ignores: `logit_cap`, `new_norm`";
        assert_eq!(unread.sentences("tiny"), [expected]);
    }
}
