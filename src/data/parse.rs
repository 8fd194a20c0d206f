//! The YAML files of `configs/data/` -> [`DataConfig`].

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::de::{self, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};

use super::Direction;
use super::config::{
    Code, CorpusKind, DataConfig, DemonstrationPool, Flores, LEAVE_ONE_OUT, LineRange, Split, Table,
    TableColumns, TableFile, name_of,
};
use super::problems::ProblemFields;
use crate::base::error::{input, suggest};
use crate::base::inputs::{self, MOST_SETTINGS};

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
    direction: Option<Direction>,
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
    direction: Option<Direction>,
    test: TableFile,
    demonstrations: Option<TableFile>,
    training: Option<TableFile>,
    #[serde(default)]
    columns: TableColumns,
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
    fields: ProblemFields,
    #[serde(default)]
    demonstration_columns: TableColumns,
}

/// Refuse YAML with brackets a thousand deep: the parser takes minutes over them, and nothing that is asked for has any.
///
/// # Errors
/// An [`InputError`](crate::base::error::InputError) that names the file and the line.
pub fn refuse_nesting(text: &str, path: &Path) -> Result<()> {
    let mut depth = 0usize;
    for (number, line) in (1..).zip(text.lines()) {
        for byte in line.bytes() {
            match byte {
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => (),
            }
            if depth > 1000 {
                let path = path.display();
                return Err(input(format!("{path}:{number}: has brackets within brackets, a thousand deep")));
            }
        }
    }
    Ok(())
}

/// What a file says, whatever its kind.
struct Described {
    description: Option<String>,
    prepare: Option<String>,
    direction: Option<Direction>,
    kind: CorpusKind,
}

impl From<FloresYaml> for Described {
    fn from(yaml: FloresYaml) -> Self {
        let FloresYaml { description, prepare, direction, folder, demonstrations, test, training, .. } = yaml;
        let kind = CorpusKind::Flores(Flores { folder, demonstrations, test, training });
        Self { description, prepare, direction, kind }
    }
}

impl From<TableYaml> for Described {
    fn from(yaml: TableYaml) -> Self {
        let TableYaml { description, prepare, direction, test, demonstrations, training, columns, .. } = yaml;
        let kind = CorpusKind::Table(Table { test, demonstrations, training, columns });
        Self { description, prepare, direction, kind }
    }
}

impl From<CodeYaml> for Described {
    fn from(yaml: CodeYaml) -> Self {
        let CodeYaml { description, prepare, test, demonstrations, fields, demonstration_columns, .. } = yaml;
        let pool = |file: TableFile| match file.lines {
            None if file.file == LEAVE_ONE_OUT => DemonstrationPool::LeaveOneOut,
            _ => DemonstrationPool::File(file),
        };
        let demonstrations = demonstrations.map(pool);
        let kind = CorpusKind::Code(Code { test, fields, demonstrations, demonstration_columns });
        Self { description, prepare, direction: None, kind }
    }
}

impl DataConfig {
    /// Reads a YAML file; the corpus is named after it.
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) if the file cannot be read, or as [`DataConfig::parse`].
    pub fn read(path: &Path) -> Result<DataConfig> {
        let text = inputs::text(path, MOST_SETTINGS)
            .map_err(|trouble| input(format!("cannot read the corpus file {}: {trouble}", path.display())))?;
        DataConfig::parse(&text, path)
    }

    /// Understands the text of a YAML file that is, or would be, at `path`.
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) with file, line and column for anything that is not as described in
    /// [`Flores`] and [`Table`], unknown fields included.
    pub fn parse(text: &str, path: &Path) -> Result<DataConfig> {
        #[derive(Deserialize)]
        struct Probe {
            kind: Option<String>,
        }
        fn yaml<'de, T: Deserialize<'de>>(text: &'de str, path: &Path) -> Result<T> {
            refuse_nesting(text, path)?;
            serde_yaml::from_str(text).map_err(|error| input(format!("{}: {error}", path.display())))
        }
        let kind = yaml::<Probe>(text, path)?.kind.unwrap_or_default();
        let Described { description, prepare, direction, kind } = match kind.as_str() {
            "flores" => yaml::<FloresYaml>(text, path)?.into(),
            "table" => yaml::<TableYaml>(text, path)?.into(),
            "code" => yaml::<CodeYaml>(text, path)?.into(),
            "" => {
                return Err(input(format!(
                    "{}: `kind` is missing; write `flores`, `table` or `code`",
                    path.display()
                )));
            }
            other => {
                let hint = suggest(other, &["flores", "table", "code"]);
                return Err(input(format!("{}: unknown kind `{other}`: {hint}", path.display())));
            }
        };
        Ok(DataConfig {
            name: name_of(path),
            origin: Some(path.to_path_buf()),
            description,
            prepare,
            direction,
            kind,
        })
    }
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
        let CorpusKind::Flores(flores) = &config.kind else { panic!("{config:?}") };
        assert_eq!(flores.demonstrations.lines, Some(LineRange { first: 801, last: 997 }));
        assert_eq!((config.name.as_str(), config.prepare.as_deref()), ("mine", Some("bin/p.sh")));
        let config = parse(
            "kind: table\ntest: a/{pair}.tsv\ndemonstrations: {file: b.jsonl, lines: 2..3}\n\
             columns: {source: '{source}', target: '{target}'}\n",
        )
        .unwrap();
        let CorpusKind::Table(table) = &config.kind else { panic!("{config:?}") };
        assert_eq!(table.test, TableFile { file: "a/{pair}.tsv".into(), lines: None });
        assert_eq!(table.demonstrations.as_ref().unwrap().lines, Some(LineRange { first: 2, last: 3 }));
        assert_eq!((&table.columns.id, table.columns.source.as_str()), (&None, "{source}"));
    }

    #[test]
    fn mistakes_are_refused_with_file_and_place() {
        for (text, what) in [
            ("folder: f\n", "mine.yaml: `kind` is missing; write `flores`, `table` or `code`"),
            ("kind: tabel\n", "unknown kind `tabel`: did you mean `table`?"),
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
            assert!(error.downcast_ref::<crate::base::error::InputError>().is_some());
            assert!(error.to_string().contains(what), "{error}");
        }
        let missing = DataConfig::read(Path::new("no/such.yaml")).unwrap_err().to_string();
        assert!(missing.starts_with("cannot read the corpus file no/such.yaml"), "{missing}");
    }
}
