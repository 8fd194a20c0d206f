//! What a corpus is made of: the files of `configs/data/`, or two files given by flag.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::de::{self, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};

use super::problems::{self, Fields};
use super::{Direction, Example, Part, table};
use crate::error::{input, suggest};

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
    /// Where the text is.
    pub kind: Kind,
}

/// The kinds of corpora.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder with one file per language and split, aligned line by line.
    Flores(Flores),
    /// Files with one pair per row: TSV with a header, or JSONL.
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
    pub columns: Columns,
}

/// `kind: code`: problems with their tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// The test items: JSONL, or the same compressed with gzip.
    pub test: TableFile,
    /// Names of the fields of a problem.
    pub fields: Fields,
    /// Where demonstrations are drawn from; may be left out for a corpus that is only used without any.
    pub demonstrations: Option<Pool>,
    /// Which columns (or JSON keys) of a demonstrations' file to read.
    pub demonstration_columns: Columns,
}

/// What demonstrations of programs are drawn from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pool {
    /// The other test items.
    LeaveOneOut,
    /// A file of pairs.
    File(TableFile),
}

/// What stands in a YAML file for [`Pool::LeaveOneOut`].
const LEAVE_ONE_OUT: &str = "leave-one-out";

impl Code {
    /// The examples of one part; `None` if there is no such part.
    pub(super) fn read(
        &self,
        config: &DataConfig,
        direction: &Direction,
        part: Part,
    ) -> Result<Option<Vec<Example>>> {
        let file = &self.test.file;
        if !problems::understands(Path::new(file)) {
            return Err(input(format!(
                "{file} is neither .jsonl nor .jsonl.gz; write one problem a line as JSON"
            )));
        }
        match (part, &self.demonstrations) {
            (Part::Test, _) | (Part::Demonstrations, Some(Pool::LeaveOneOut)) => {
                problems::read(config, &self.test, &self.fields).map(Some)
            }
            (Part::Demonstrations, Some(Pool::File(file))) => {
                let table = Table {
                    test: self.test.clone(),
                    demonstrations: Some(file.clone()),
                    training: None,
                    columns: self.demonstration_columns.clone(),
                };
                table::read(config, &table, direction, part)
            }
            (Part::Demonstrations, None) | (Part::Training, _) => Ok(None),
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
pub struct Columns {
    /// The id. If not given, a column called `id` is used where there is one, else the row's number.
    pub id: Option<String>,
    /// The text that is read.
    pub source: String,
    /// The reference.
    pub target: String,
}

impl Default for Columns {
    fn default() -> Columns {
        Columns { id: None, source: "source".into(), target: "target".into() }
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

impl<'de> Deserialize<'de> for LineRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<LineRange, D::Error> {
        let written = String::deserialize(deserializer)?;
        let ends = written
            .split_once("..")
            .and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
        match ends {
            Some((first, last)) if 1 <= first && first <= last => Ok(LineRange { first, last }),
            _ => Err(de::Error::custom(format!(
                "`{written}` is not a range of lines; write FIRST..LAST, counted from 1 and both included, like 801..997"
            ))),
        }
    }
}

impl<'de> Deserialize<'de> for TableFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TableFile, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Long {
            file: String,
            lines: Option<LineRange>,
        }
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = TableFile;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a path, or `file` and `lines`")
            }
            fn visit_str<E: de::Error>(self, file: &str) -> Result<TableFile, E> {
                Ok(TableFile { file: file.to_string(), lines: None })
            }
            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<TableFile, M::Error> {
                let Long { file, lines } = Long::deserialize(MapAccessDeserializer::new(map))?;
                Ok(TableFile { file, lines })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// What every kind's file may hold besides its own fields. Each kind is parsed straight from the text, not through a
/// tagged enum, because only then the parser's messages keep line and column.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FloresYaml {
    #[serde(rename = "kind")]
    _kind: String,
    description: Option<String>,
    prepare: Option<String>,
    folder: PathBuf,
    demonstrations: Split,
    test: Split,
    training: Option<Split>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableYaml {
    #[serde(rename = "kind")]
    _kind: String,
    description: Option<String>,
    prepare: Option<String>,
    test: TableFile,
    demonstrations: Option<TableFile>,
    training: Option<TableFile>,
    #[serde(default)]
    columns: Columns,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeYaml {
    #[serde(rename = "kind")]
    _kind: String,
    description: Option<String>,
    prepare: Option<String>,
    test: TableFile,
    demonstrations: Option<TableFile>,
    #[serde(default)]
    fields: Fields,
    #[serde(default)]
    demonstration_columns: Columns,
}

impl DataConfig {
    /// Reads a YAML file; the corpus is named after it.
    ///
    /// # Errors
    /// An [`InputError`](crate::error::InputError) if the file cannot be read, or as [`DataConfig::parse`].
    pub fn read(path: &Path) -> Result<DataConfig> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| input(format!("cannot read the corpus file {}: {error}", path.display())))?;
        DataConfig::parse(&text, path)
    }

    /// Understands the text of a YAML file that is, or would be, at `path`.
    ///
    /// # Errors
    /// An [`InputError`](crate::error::InputError) with file, line and column for anything that is not as described in
    /// [`Flores`] and [`Table`], unknown fields included.
    pub fn parse(text: &str, path: &Path) -> Result<DataConfig> {
        #[derive(Deserialize)]
        struct Probe {
            kind: Option<String>,
        }
        fn yaml<'de, T: Deserialize<'de>>(text: &'de str, path: &Path) -> Result<T> {
            serde_yaml::from_str(text).map_err(|error| input(format!("{}: {error}", path.display())))
        }
        let kind = yaml::<Probe>(text, path)?.kind.unwrap_or_default();
        let (description, prepare, kind) = match kind.as_str() {
            "flores" => {
                let FloresYaml { description, prepare, folder, demonstrations, test, training, .. } =
                    yaml(text, path)?;
                (description, prepare, Kind::Flores(Flores { folder, demonstrations, test, training }))
            }
            "table" => {
                let TableYaml { description, prepare, test, demonstrations, training, columns, .. } =
                    yaml(text, path)?;
                (description, prepare, Kind::Table(Table { test, demonstrations, training, columns }))
            }
            "code" => {
                let CodeYaml {
                    description,
                    prepare,
                    test,
                    demonstrations,
                    fields,
                    demonstration_columns,
                    ..
                } = yaml(text, path)?;
                let pool = |file: TableFile| match file.lines {
                    None if file.file == LEAVE_ONE_OUT => Pool::LeaveOneOut,
                    _ => Pool::File(file),
                };
                let demonstrations = demonstrations.map(pool);
                (
                    description,
                    prepare,
                    Kind::Code(Code { test, fields, demonstrations, demonstration_columns }),
                )
            }
            "" => {
                return Err(input(format!(
                    "{}: `kind` is missing; write `flores`, `table` or `code`",
                    path.display()
                )));
            }
            other => {
                let hint = suggest(other, &["flores", "table", "code"]);
                return Err(input(format!("{}: unknown kind `{other}`; {hint}", path.display())));
            }
        };
        Ok(DataConfig { name: name_of(path), origin: Some(path.to_path_buf()), description, prepare, kind })
    }

    /// A corpus of one file with test items and, unless no demonstrations are wanted, one to draw them from: TSV with
    /// a header `source<TAB>target` (and `id`, if wanted), or JSONL with these keys. Named after the test file.
    pub fn one_off(test: &Path, demonstrations: Option<&Path>) -> DataConfig {
        // A brace in the user's own path is no placeholder.
        let whole = |path: &Path| TableFile { file: path.display().to_string(), lines: None };
        let (test_file, demonstrations) = (whole(test), demonstrations.map(whole));
        let kind = Kind::Table(Table {
            test: test_file,
            demonstrations,
            training: None,
            columns: Columns::default(),
        });
        DataConfig { name: name_of(test), origin: None, description: None, prepare: None, kind }
    }

    /// Programming problems in a file, with demonstrations from another one or, without that, from the other problems.
    pub fn one_off_code(test: &Path, demonstrations: Option<&Path>) -> DataConfig {
        let whole = |path: &Path| TableFile { file: path.display().to_string(), lines: None };
        let kind = Kind::Code(Code {
            test: whole(test),
            fields: Fields::default(),
            demonstrations: Some(demonstrations.map(whole).map_or(Pool::LeaveOneOut, Pool::File)),
            demonstration_columns: Columns::default(),
        });
        DataConfig { kind, ..DataConfig::one_off(test, None) }
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
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = stem.strip_suffix(".jsonl").unwrap_or(&stem);
    let safe = |c: char| if c.is_alphanumeric() || "-_".contains(c) { c } else { '-' };
    stem.chars().map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DataConfig> {
        DataConfig::parse(text, Path::new("configs/data/mine.yaml"))
    }

    #[test]
    fn the_files_in_configs_are_understood() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/data");
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            names.push(DataConfig::read(&entry.unwrap().path()).unwrap().name);
        }
        assert!(
            ["flores", "nations", "own-example"].iter().all(|name| names.iter().any(|known| known == name))
        );
    }

    #[test]
    fn both_kinds_with_everything() {
        let config = parse(
            "kind: flores\ndescription: d\nprepare: bin/p.sh\nfolder: f\ndemonstrations: {split: dev, lines: 801..997}\n\
             test: {split: devtest}\ntraining: {split: dev, lines: 1..800}\n",
        )
        .unwrap();
        let Kind::Flores(flores) = &config.kind else { panic!("{config:?}") };
        assert_eq!(flores.demonstrations.lines, Some(LineRange { first: 801, last: 997 }));
        assert_eq!((config.name.as_str(), config.prepare.as_deref()), ("mine", Some("bin/p.sh")));
        let config = parse(
            "kind: table\ntest: a/{pair}.tsv\ndemonstrations: {file: b.jsonl, lines: 2..3}\n\
             columns: {source: '{source}', target: '{target}'}\n",
        )
        .unwrap();
        let Kind::Table(table) = &config.kind else { panic!("{config:?}") };
        assert_eq!(table.test, TableFile { file: "a/{pair}.tsv".into(), lines: None });
        assert_eq!(table.demonstrations.as_ref().unwrap().lines, Some(LineRange { first: 2, last: 3 }));
        assert_eq!((&table.columns.id, table.columns.source.as_str()), (&None, "{source}"));
    }

    #[test]
    fn mistakes_are_refused_with_file_and_place() {
        for (text, what) in [
            ("folder: f\n", "mine.yaml: `kind` is missing; write `flores`, `table` or `code`"),
            ("kind: tabel\n", "unknown kind `tabel`; did you mean `table`?"),
            ("kind: table\ntest: a\ndemos: b\n", "unknown field `demos`"),
            ("kind: table\ntest: a\ndemos: b\n", "line 3 column 1"),
            ("kind: table\ntest: {file: a, line: 1..2}\n", "unknown field `line`"),
            ("kind: table\ntest: 7\n", "a path, or `file` and `lines`"),
            ("kind: table\n", "missing field `test`"),
            ("kind: flores\nfolder: f\ntest: {split: devtest}\n", "missing field `demonstrations`"),
            ("kind: table\ntest: {file: a, lines: 0..2}\n", "`0..2` is not a range of lines"),
            ("kind: table\ntest: {file: a, lines: 3..2}\n", "`3..2` is not a range of lines"),
            ("kind: table\ntest: {file: a, lines: 5}\n", "lines"),
            ("kind: [\n", "mine.yaml: "),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.downcast_ref::<crate::error::InputError>().is_some());
            assert!(error.to_string().contains(what), "{error}");
        }
        let missing = DataConfig::read(Path::new("no/such.yaml")).unwrap_err().to_string();
        assert!(missing.starts_with("cannot read the corpus file no/such.yaml"), "{missing}");
    }
}
