//! What a corpus is made of: the files of `configs/data/`, or two files given by flag.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Deserialize;

use super::problems::{self, ProblemFields};
use super::{CorpusPart, Direction, Example, table};
use crate::base::error::input;

/// A corpus as its YAML file describes it. Paths in it are relative to the current folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataConfig {
    /// The name in flags and results: the YAML file's, without `.yaml`.
    pub name: String,
    /// The YAML file, for messages; `None` for files given by flag.
    pub origin: Option<PathBuf>,
    /// One sentence for lists.
    pub description: Option<String>,
    /// The script that makes the files; messages about missing files name it.
    pub prepare: Option<String>,
    /// The direction that is meant where none is asked for.
    pub direction: Option<Direction>,
    /// Where the text is.
    pub kind: CorpusKind,
}

/// The kinds of corpora.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorpusKind {
    /// A folder with one file per language and split, aligned line by line.
    Flores(Flores),
    /// Files with one pair per row: TSV or CSV with a header, JSONL, or a JSON list.
    Table(Table),
    /// Programming problems, checked by running what is generated.
    Code(Code),
}

/// `kind: flores`: `FOLDER/SPLIT/LANGUAGE.SPLIT`, one sentence a line, as in FLORES-101 and FLORES-200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flores {
    /// The folder that holds `dev` and `devtest`.
    pub folder: PathBuf,
    /// Where demonstrations are drawn from.
    pub demonstrations: Split,
    /// The test items.
    pub test: Split,
    /// The training pairs, if any.
    pub training: Option<Split>,
}

/// Some lines of one split of a FLORES folder.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// `dev` or `devtest`.
    pub split: String,
    /// Which lines; all if not given.
    pub lines: Option<LineRange>,
}

/// `kind: table`: each part is a file with one pair per row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The test items.
    pub test: TableFile,
    /// Where demonstrations are drawn from; may be left out for a corpus that is only used without any.
    pub demonstrations: Option<TableFile>,
    /// The training pairs, if any.
    pub training: Option<TableFile>,
    /// Which columns (or JSON keys) to read.
    pub columns: TableColumns,
}

/// `kind: code`: problems with their tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// The test items: JSONL, or the same compressed with gzip.
    pub test: TableFile,
    /// Names of the fields of a problem.
    pub fields: ProblemFields,
    /// Where demonstrations are drawn from; may be left out for a corpus that is only used without any.
    pub demonstrations: Option<DemonstrationPool>,
    /// Which columns (or JSON keys) of a demonstrations' file to read.
    pub demonstration_columns: TableColumns,
}

/// What demonstrations of programs are drawn from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DemonstrationPool {
    /// The other test items.
    LeaveOneOut,
    /// A file of pairs.
    File(TableFile),
}

/// How a YAML file writes [`DemonstrationPool::LeaveOneOut`].
pub(super) const LEAVE_ONE_OUT: &str = "leave-one-out";

impl Code {
    /// The examples of one part; `None` if there is no such part.
    pub(super) fn read(
        &self,
        config: &DataConfig,
        direction: Option<&Direction>,
        part: CorpusPart,
    ) -> Result<Option<Vec<Example>>> {
        let file = &self.test.file;
        if !problems::understands(Path::new(file)) {
            return Err(input(format!(
                "{file} is neither .jsonl nor .jsonl.gz; write one problem a line as JSON"
            )));
        }
        match (part, &self.demonstrations) {
            (CorpusPart::Test, _) | (CorpusPart::Demonstrations, Some(DemonstrationPool::LeaveOneOut)) => {
                problems::read(config, &self.test, &self.fields).map(Some)
            }
            (CorpusPart::Demonstrations, Some(DemonstrationPool::File(file))) => {
                let table = Table {
                    test: self.test.clone(),
                    demonstrations: Some(file.clone()),
                    training: None,
                    columns: self.demonstration_columns.clone(),
                };
                table::read(config, &table, direction, part)
            }
            (CorpusPart::Demonstrations, None) | (CorpusPart::Training, _) => Ok(None),
        }
    }
}

/// A file of a table: its path, or `{file: PATH, lines: 1..100}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFile {
    /// The path; may hold `{source}`, `{target}` (codes of the direction) and `{pair}` (both, in either order).
    pub file: String,
    /// Which rows, counted without the header; all if not given.
    pub lines: Option<LineRange>,
}

/// Names of columns or JSON keys; may hold `{source}` and `{target}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TableColumns {
    /// The id. If not given, a column called `id` is used where there is one, else the row's number.
    pub id: Option<String>,
    /// The text that is read.
    pub source: String,
    /// The reference; in JSON also a list of right answers, the usual one first.
    pub target: String,
    /// What is to be chosen from: a list in JSON, texts parted by `|` in TSV and CSV. If not given, a column called `options` is
    /// used where a task needs one.
    pub options: Option<String>,
    /// What columns are called here that a prompt's format calls otherwise.
    pub fields: BTreeMap<String, String>,
    /// The task chooses among options, so they are read.
    #[serde(skip)]
    pub with_options: bool,
    /// Other columns that the prompt's format shows, by its names for them.
    #[serde(skip)]
    pub shown: Vec<String>,
}

impl Default for TableColumns {
    fn default() -> TableColumns {
        TableColumns {
            id: None,
            source: "source".into(),
            target: "target".into(),
            options: None,
            fields: BTreeMap::new(),
            with_options: false,
            shown: Vec::new(),
        }
    }
}

/// Lines `first..last`, counted from 1, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineRange {
    /// The first line, at least 1.
    pub first: usize,
    /// The last line, at least `first`.
    pub last: usize,
}

impl LineRange {
    /// Whether a line, counted from 1, is in the range.
    pub fn contains(&self, line: usize) -> bool {
        (self.first..=self.last).contains(&line)
    }
}

impl fmt::Display for LineRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}..{}", self.first, self.last)
    }
}

impl DataConfig {
    /// A corpus of one file with test items and, unless no demonstrations are wanted, one to draw them from: TSV or CSV
    /// with columns `source` and `target` or two languages such as `en` and `it` (and `id`, if wanted), or JSON with these keys.
    /// Named after the test file.
    pub fn one_off(test: &Path, demonstrations: Option<&Path>) -> DataConfig {
        // A brace in the user's own path is no placeholder.
        let whole = |path: &Path| TableFile { file: path.display().to_string(), lines: None };
        let (test_file, demonstrations) = (whole(test), demonstrations.map(whole));
        let kind = CorpusKind::Table(Table {
            test: test_file,
            demonstrations,
            training: None,
            columns: TableColumns::default(),
        });
        DataConfig {
            name: name_of(test),
            origin: None,
            description: None,
            prepare: None,
            direction: None,
            kind,
        }
    }

    /// Programming problems in a file, with demonstrations from another one or, without that, from the other problems.
    pub fn one_off_code(test: &Path, demonstrations: Option<&Path>) -> DataConfig {
        let whole = |path: &Path| TableFile { file: path.display().to_string(), lines: None };
        let kind = CorpusKind::Code(Code {
            test: whole(test),
            fields: ProblemFields::default(),
            demonstrations: Some(
                demonstrations.map(whole).map_or(DemonstrationPool::LeaveOneOut, DemonstrationPool::File),
            ),
            demonstration_columns: TableColumns::default(),
        });
        DataConfig { kind, ..DataConfig::one_off(test, None) }
    }

    /// The same corpus, read with the options of its items. Other tasks read none: such a column is of no concern to them.
    pub fn with_options(mut self) -> Self {
        if let CorpusKind::Table(table) = &mut self.kind {
            table.columns.with_options = true;
        }
        self
    }

    /// The same corpus, read with these columns of its rows beside source and target.
    pub fn showing(mut self, columns: Vec<String>) -> Self {
        if let CorpusKind::Table(table) = &mut self.kind {
            table.columns.shown = columns;
        }
        self
    }

    /// Whether it says where demonstrations are drawn from.
    pub fn has_demonstrations(&self) -> bool {
        match &self.kind {
            CorpusKind::Table(table) => table.demonstrations.is_some(),
            CorpusKind::Code(code) => code.demonstrations.is_some(),
            CorpusKind::Flores(_) => true,
        }
    }

    /// The end of a sentence about something missing: what to run or which field to mend.
    pub(super) fn advice(&self, field: &str) -> String {
        match (&self.prepare, &self.origin) {
            (Some(script), Some(file)) => {
                format!(
                    "run `{script}`, which prepares the corpus, or change `{field}:` in {}",
                    file.display()
                )
            }
            (None, Some(file)) => format!("check `{field}:` in {}", file.display()),
            (_, None) => format!("check `--{field}`"),
        }
    }
}

/// A file's name without folder and extension, in characters that are safe in the folder names of results.
pub(super) fn name_of(path: &Path) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let packed = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gz"));
    let stem = if packed { stem.rsplit_once('.').map_or(&*stem, |(stem, _)| stem) } else { &stem };
    let safe = |c: char| if c.is_alphanumeric() || "-_".contains(c) { c } else { '-' };
    stem.chars().map(safe).collect()
}
