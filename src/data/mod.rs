//! Corpora: from files to [`Example`]s.
//!
//! A corpus is described by a YAML file of `configs/data/` ([`DataConfig`]) or by two files given by flag
//! ([`DataConfig::one_off`]). [`Corpus::load`] reads its test items and demonstrations for one direction. Whatever is
//! wrong with a file is refused with the file, the line and what to do; no line is ever skipped or repaired silently,
//! because a shifted line pairs every later source with the wrong target.

mod columnar;
mod config;
mod direction;
mod flores;
mod header;
pub mod languages;
mod lines;
mod options;
mod parse;
mod problems;
mod records;
mod rows;
mod table;
mod templates;

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};

pub use config::{
    Code, CorpusKind, DataConfig, DemonstrationPool, Flores, LineRange, Split, Table, TableColumns, TableFile,
};
pub use direction::Direction;
pub use parse::refuse_nesting;
pub use problems::{Problem, ProblemFields, docstring};
pub(crate) use rows::is_named_like_one;

use crate::base::error::input;
use crate::base::hash::Hash;

/// One pair: what the model reads and what it should write.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// Unique within its file; where the file has no ids, the line number counted from 1 (without the header).
    pub id: String,
    /// Text as it stands in the file, without its line end.
    pub source: String,
    /// The reference, likewise.
    pub target: String,
    /// Other right answers, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_right: Vec<String>,
    /// What is to be chosen from, where something is; the reference is one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Other columns of its row, which the prompt's format shows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, String>,
    /// What a program is checked with, where one is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// Everything an experiment reads of a corpus in one direction.
#[derive(Debug, Clone)]
pub struct Corpus {
    /// Name of the corpus, as in results: `flores`.
    pub name: String,
    /// The direction that was read.
    pub direction: Option<Direction>,
    /// What demonstrations are drawn from, in the order of the file.
    pub demonstrations: Vec<Example>,
    /// The test items, in the order of the file.
    pub test: Vec<Example>,
    /// The demonstrations are the test items themselves: an item's prompt must not hold it.
    pub leave_one_out: bool,
    /// SHA-256, in hexadecimal, over all demonstrations and test items with their ids. Results carry it, so that
    /// those of a changed corpus are never mixed with older ones.
    pub hash: String,
}

/// What a set of examples is for; names the field of the YAML file and the flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CorpusPart {
    Demonstrations,
    Test,
    Training,
}

impl CorpusPart {
    fn name(self) -> &'static str {
        match self {
            CorpusPart::Demonstrations => "demonstrations",
            CorpusPart::Test => "test",
            CorpusPart::Training => "training",
        }
    }
}

impl Example {
    /// All right answers, the usual one first.
    pub fn right(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.target).chain(&self.also_right).map(String::as_str)
    }
}

impl Corpus {
    /// Reads the test items and the demonstrations of a corpus in one direction; the training split stays on disk.
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) for anything wrong with the files: missing, not parallel, empty
    /// lines, not UTF-8, malformed rows, repeated ids, fewer lines than the configuration asks for.
    pub fn load(config: &DataConfig, direction: &Direction) -> Result<Corpus> {
        Self::load_any(config, Some(direction))
    }

    /// The same for a corpus that may have no languages.
    ///
    /// # Errors
    /// As [`load`](Self::load); also if its files or columns go by languages and no direction is given.
    pub fn load_any(config: &DataConfig, direction: Option<&Direction>) -> Result<Corpus> {
        let test = read(config, direction, CorpusPart::Test)?.unwrap_or_default();
        // A table may do without demonstrations; drawing some from it is refused later, where their number is known.
        let demonstrations = read(config, direction, CorpusPart::Demonstrations)?.unwrap_or_default();
        let hash = hash(&demonstrations, &test);
        let leave_one_out = matches!(&config.kind, CorpusKind::Code(code) if code.demonstrations == Some(DemonstrationPool::LeaveOneOut));
        let (name, direction) = (config.name.clone(), direction.cloned());
        Ok(Corpus { name, direction, demonstrations, test, leave_one_out, hash })
    }
}

/// Reads the training split of a corpus.
///
/// # Errors
/// As [`Corpus::load`]; and if the configuration names no training split.
pub fn load_training(config: &DataConfig, direction: Option<&Direction>) -> Result<Vec<Example>> {
    read(config, direction, CorpusPart::Training)?.ok_or_else(|| {
        let fix = match &config.origin {
            Some(file) => format!("add `training:` to {}", file.display()),
            None => "describe the corpus by a file of configs/data/ with `training:`".to_string(),
        };
        input(format!("the corpus `{}` has no training split; {fix}", config.name))
    })
}

/// The examples of one part, or `None` if the configuration has no such part.
fn read(
    config: &DataConfig,
    direction: Option<&Direction>,
    part: CorpusPart,
) -> Result<Option<Vec<Example>>> {
    let examples = match &config.kind {
        CorpusKind::Flores(flores) => flores::read(config, flores, direction, part)?,
        CorpusKind::Table(table) => table::read(config, table, direction, part)?,
        CorpusKind::Code(code) => code.read(config, direction, part)?,
    };
    Ok(examples)
}

fn hash(demonstrations: &[Example], test: &[Example]) -> String {
    let mut hash = Hash::default();
    for examples in [demonstrations, test] {
        hash.bytes((examples.len() as u64).to_le_bytes());
        for text in examples.iter().flat_map(|example| [&example.id, &example.source, &example.target]) {
            // With its length in front, text cannot move from one field to the next without changing the hash.
            hash.bytes((text.len() as u64).to_le_bytes());
            hash.bytes(text);
        }
        // Corpora without lists keep the hash that they had before there were any.
        let lists = examples.iter().flat_map(|example| [(1u8, &example.also_right), (2, &example.options)]);
        for (which, texts) in lists.filter(|(_, texts)| !texts.is_empty()) {
            hash.bytes([which]);
            hash.bytes((texts.len() as u64).to_le_bytes());
            for text in texts {
                hash.bytes((text.len() as u64).to_le_bytes());
                hash.bytes(text);
            }
        }
        let columns = examples.iter().flat_map(|example| &example.columns);
        for text in columns.flat_map(|(name, text)| [name, text]) {
            hash.bytes([3]);
            hash.bytes((text.len() as u64).to_le_bytes());
            hash.bytes(text);
        }
        for problem in examples.iter().filter_map(|example| example.problem.as_ref()) {
            for text in [Some(&problem.prompt), Some(&problem.test), problem.entry_point.as_ref()] {
                let text = text.map_or("", String::as_str);
                hash.bytes((text.len() as u64).to_le_bytes());
                hash.bytes(text);
            }
        }
    }
    hash.hex()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(id: &str, source: &str, target: &str) -> Example {
        Example { id: id.into(), source: source.into(), target: target.into(), ..Example::default() }
    }

    #[test]
    fn the_hash_tells_apart_what_differs() {
        let base = [example("1", "ab", "c")];
        let mut hashes = vec![
            hash(&base, &base),
            hash(&[], &base),
            hash(&base, &[]),
            hash(&[example("1", "a", "bc")], &base),
            hash(&[example("2", "ab", "c")], &base),
            hash(&base, &[example("1", "ab", "d")]),
        ];
        assert!(hashes.iter().all(|hash| hash.len() == 64));
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), 6);
        assert_eq!(hash(&base, &base), hash(&base.clone(), &base.clone()));
    }

    #[test]
    fn one_off_files_make_a_corpus_and_a_changed_file_another_hash() {
        let folder = tempfile::tempdir().unwrap();
        let [test, demonstrations] = ["my test.tsv", "demos.jsonl"].map(|name| folder.path().join(name));
        std::fs::write(&test, "target\tsource\tid\nbonjour\thello\ta1\n").unwrap();
        std::fs::write(&demonstrations, "{\"id\": 7, \"source\": \"s\", \"target\": \"t\"}\n").unwrap();
        let config = DataConfig::one_off(&test, Some(&demonstrations));
        let direction: Direction = "en-fr".parse().unwrap();
        let corpus = Corpus::load(&config, &direction).unwrap();
        assert_eq!(corpus.name, "my-test");
        assert_eq!(corpus.test, [example("a1", "hello", "bonjour")]);
        assert_eq!(corpus.demonstrations, [example("7", "s", "t")]);
        let message = load_training(&config, Some(&direction)).unwrap_err().to_string();
        assert!(message.starts_with("the corpus `my-test` has no training split"), "{message}");

        std::fs::write(&test, "target\tsource\tid\nBonjour\thello\ta1\n").unwrap();
        assert_ne!(Corpus::load(&config, &direction).unwrap().hash, corpus.hash);
        let zero_shot = Corpus::load(&DataConfig::one_off(&test, None), &direction).unwrap();
        assert!(zero_shot.demonstrations.is_empty());

        std::fs::remove_file(&test).unwrap();
        let message = Corpus::load(&config, &direction).unwrap_err().to_string();
        assert!(message.ends_with("my test.tsv does not exist; check `--test`"), "{message}");
    }
}
