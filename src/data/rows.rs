//! Rows of a table, whichever its format: TSV, CSV, JSONL, one JSON list, or Parquet.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::Result;
use serde_json::{Map, Value};

use super::columnar::{ParquetRow, ParquetRows};
use super::lines::{Lines, unreadable};
use super::records::{self, Record};
use crate::base::error::input;
use crate::base::inputs::{self, MOST_TEXT};

/// Ends of names of files that [`TableRows::open`] understands; `.gz` may follow each but the last.
const EXTENSIONS: [&str; 8] = ["tsv", "tab", "txt", "csv", "jsonl", "ndjson", "json", "parquet"];

/// Whether a word is the name of a file of rows: `--data` takes names of corpora too.
pub(crate) fn is_named_like_one(word: &str) -> bool {
    EXTENSIONS.contains(&&*extension(Path::new(word)))
}

/// The end of a file's name in small letters, without the `.gz` of a packed file.
pub(super) fn extension(path: &Path) -> String {
    let of =
        |path: &Path| path.extension().map(|end| end.to_string_lossy().to_lowercase()).unwrap_or_default();
    match of(path) {
        packed if packed == "gz" => of(Path::new(path.file_stem().unwrap_or_default())),
        end => end,
    }
}

/// The rows of a file.
pub(super) struct TableRows {
    path: PathBuf,
    cells: RowSyntax,
}

enum RowSyntax {
    Tsv { lines: Lines, names: Rc<[String]> },
    Csv { records: std::vec::IntoIter<Record>, names: Rc<[String]> },
    JsonLines(Lines),
    JsonList(std::iter::Enumerate<std::vec::IntoIter<Value>>),
    Parquet(Box<ParquetRows>),
}

/// One row.
pub(super) struct TableRow {
    /// The file and the place in it: the beginning of a sentence about the row.
    pub place: String,
    /// The place alone: `on line 3`.
    pub at: String,
    fields: RowFields,
}

enum RowFields {
    Columns(Rc<[String]>, Vec<String>),
    Object(Map<String, Value>),
    Parquet(ParquetRow),
}

/// What a row has under a name.
pub(super) enum Found<'a> {
    /// A text.
    Text(&'a str),
    /// A number, as it is written.
    Number(String),
    /// A list of texts, or of numbers as they are written.
    Texts(Vec<String>),
    /// Something else.
    Other,
    /// Something that is not read, and the clause that says why.
    Unread(&'a str),
}

impl TableRows {
    /// Open a file; `advice` ends the sentence if it is missing or empty.
    ///
    /// # Errors
    /// It cannot be read, has no header, or its name says no format that is read.
    pub fn open(path: &Path, advice: &str) -> Result<Self> {
        let cells = match extension(path).as_str() {
            "jsonl" | "ndjson" => RowSyntax::JsonLines(Lines::open(path, advice)?),
            "tsv" | "tab" | "txt" => tsv(path, advice)?,
            "csv" => csv(path, advice)?,
            "json" => json(path, advice)?,
            "parquet" => parquet(path, advice)?,
            _ => {
                // A pipe is named as what it is, whatever it is called.
                Lines::open(path, advice)?;
                return Err(input(format!(
                    "{} is neither .tsv, .csv, .jsonl, .json nor .parquet; convert it to one of them",
                    path.display()
                )));
            }
        };
        Ok(Self { path: path.into(), cells })
    }

    /// The header of a file that has one, as a row whose texts are its names.
    pub fn header(&self) -> Option<TableRow> {
        let (RowSyntax::Tsv { names, .. } | RowSyntax::Csv { names, .. }) = &self.cells else { return None };
        Some(row(&self.path, 1, RowFields::Columns(names.clone(), names.to_vec())))
    }

    /// The next row, or `None` after the last.
    pub fn next_row(&mut self) -> Result<Option<TableRow>> {
        let path = &self.path;
        Ok(match &mut self.cells {
            RowSyntax::Tsv { lines, names } => {
                let Some(line) = lines.next_line()? else { return Ok(None) };
                let fields: Vec<String> = line.split('\t').map(String::from).collect();
                let row = row(path, lines.number(), RowFields::Columns(names.clone(), fields));
                Some(row.whole("a field cannot hold a tab")?)
            }
            RowSyntax::Csv { records, names } => {
                let Some(Record { line, fields }) = records.next() else { return Ok(None) };
                let row = row(path, line, RowFields::Columns(names.clone(), fields));
                Some(row.whole("put a field that holds the separator in quotes")?)
            }
            RowSyntax::JsonLines(lines) => {
                let Some(line) = lines.next_line()? else { return Ok(None) };
                let object = serde_json::from_str(&line).map_err(|error| {
                    // The parser knows a single line, so its own line number would mislead.
                    let reason = error.to_string().replace(" at line 1 column ", " at column ");
                    lines.refuse(&format!("is not a JSON object: {reason}; write one object a line"))
                })?;
                Some(row(path, lines.number(), RowFields::Object(object)))
            }
            RowSyntax::JsonList(values) => {
                let Some((at, value)) = values.next() else { return Ok(None) };
                let at = format!("item {}", at + 1);
                let place = format!("{}: {at}", path.display());
                let Value::Object(object) = value else {
                    return Err(input(format!("{place} is not an object; write a list of objects")));
                };
                Some(TableRow { place, at: format!("as {at}"), fields: RowFields::Object(object) })
            }
            RowSyntax::Parquet(rows) => {
                let Some(row) = rows.next_row()? else { return Ok(None) };
                let at = format!("row {}", row.number);
                let place = format!("{}: {at}", path.display());
                Some(TableRow { place, at: format!("as {at}"), fields: RowFields::Parquet(row) })
            }
        })
    }
}

fn row(path: &Path, line: usize, fields: RowFields) -> TableRow {
    TableRow { place: format!("{}:{line}", path.display()), at: format!("on line {line}"), fields }
}

fn tsv(path: &Path, advice: &str) -> Result<RowSyntax> {
    let mut lines = Lines::open(path, advice)?;
    let Some(header) = lines.next_line()? else {
        return Err(input(format!("{} is empty; {advice}", path.display())));
    };
    let names = header.split('\t').map(String::from).collect();
    Ok(RowSyntax::Tsv { names: distinct(names, path)?, lines })
}

fn csv(path: &Path, advice: &str) -> Result<RowSyntax> {
    let text = inputs::text(path, MOST_TEXT).map_err(|trouble| unreadable(trouble, path, advice))?;
    let records = records::read(&text, records::separator(&text))
        .map_err(|wrong| input(format!("{}:{} {}", path.display(), wrong.line, wrong.what)))?;
    let mut records = records.into_iter();
    let Some(header) = records.next() else {
        return Err(input(format!("{} is empty; {advice}", path.display())));
    };
    Ok(RowSyntax::Csv { names: distinct(header.fields, path)?, records })
}

/// A list, or what some libraries call JSON: one object a line.
fn json(path: &Path, advice: &str) -> Result<RowSyntax> {
    let text = inputs::text(path, MOST_TEXT).map_err(|trouble| unreadable(trouble, path, advice))?;
    if !text.trim_start().starts_with('[') {
        return Ok(RowSyntax::JsonLines(Lines::open(path, advice)?));
    }
    let list: Vec<Value> = serde_json::from_str(&text).map_err(|error| {
        let reason = error.to_string();
        let reason = reason.split(" at line ").next().unwrap_or_default();
        input(format!("{}:{} is not a JSON list: {reason}", path.display(), error.line()))
    })?;
    Ok(RowSyntax::JsonList(list.into_iter().enumerate()))
}

fn parquet(path: &Path, advice: &str) -> Result<RowSyntax> {
    let rows = ParquetRows::open(path).map_err(|trouble| unreadable(trouble, path, advice))?;
    if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gz")) {
        return Err(input(format!(
            "{} is packed once more than Parquet files are, which pack their pages; unpack it with gunzip first",
            path.display()
        )));
    }
    Ok(RowSyntax::Parquet(Box::new(rows?)))
}

/// The names of a header.
fn distinct(names: Vec<String>, path: &Path) -> Result<Rc<[String]>> {
    let mut seen = HashSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        Some(twice) => Err(input(format!("{}:1 has two columns `{twice}`; rename one", path.display()))),
        None => Ok(names.into()),
    }
}

impl TableRow {
    /// What stands under a name: of a column, of a key, or of a key within a key (`translation.en`).
    pub fn get(&self, name: &str) -> Option<Found<'_>> {
        match &self.fields {
            RowFields::Columns(names, fields) => {
                let place = names.iter().position(|known| known == name)?;
                fields.get(place).map(|text| Found::Text(text))
            }
            RowFields::Object(object) => nested(object, name).map(found),
            RowFields::Parquet(row) => match row.why_unread(name) {
                Some(why) => Some(Found::Unread(why)),
                None => nested(&row.object, name).map(found),
            },
        }
    }

    /// The names that [`TableRow::get`] knows, keys within a key once deep.
    pub fn names(&self) -> Vec<String> {
        match &self.fields {
            RowFields::Columns(names, _) => names.to_vec(),
            RowFields::Object(object) | RowFields::Parquet(ParquetRow { object, .. }) => {
                let names = |(key, value): (&String, &Value)| match value {
                    Value::Object(inner) if !inner.is_empty() => {
                        inner.keys().map(|inner| format!("{key}.{inner}")).collect()
                    }
                    _ => vec![key.clone()],
                };
                object.iter().flat_map(names).collect()
            }
        }
    }

    /// An input error about the row.
    pub fn refuse(&self, what: &str) -> anyhow::Error {
        input(format!("{} {what}", self.place))
    }

    /// As many fields as the header has.
    fn whole(self, advice: &str) -> Result<Self> {
        match &self.fields {
            RowFields::Columns(names, fields) if names.len() != fields.len() => Err(self.refuse(&format!(
                "has {} fields where the header has {}; {advice}",
                fields.len(),
                names.len()
            ))),
            _ => Ok(self),
        }
    }
}

fn found(value: &Value) -> Found<'_> {
    match value {
        Value::String(text) => Found::Text(text),
        Value::Number(number) => Found::Number(number.to_string()),
        Value::Array(list) => texts(list).map_or(Found::Other, Found::Texts),
        _ => Found::Other,
    }
}

/// A list of texts and numbers.
fn texts(list: &[Value]) -> Option<Vec<String>> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    list.iter().map(text).collect()
}

/// The value of a key, or of a key within a key: `translation.en`. A key that is written so itself comes first.
pub(super) fn nested<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let within = |(at, _): (usize, &str)| nested(object.get(&name[..at])?.as_object()?, &name[at + 1..]);
    object.get(name).or_else(|| name.match_indices('.').find_map(within))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_file_is_what_its_name_without_gz_says() {
        for (name, end) in
            [("a.tsv", "tsv"), ("a.CSV.GZ", "csv"), ("b.jsonl.gz", "jsonl"), ("gz", ""), (".gz", "")]
        {
            assert_eq!(extension(Path::new(name)), end, "{name}");
        }
        assert!(
            is_named_like_one("x/a.json") && is_named_like_one("a.tsv.gz") && !is_named_like_one("flores")
        );
    }

    #[test]
    fn a_name_with_dots_is_a_key_or_a_path() {
        let object = serde_json::json!({"a": {"b": {"c": 1}, "b.c": 2}, "a.b": {"d": 3}, "x.y": 4});
        let object = object.as_object().unwrap();
        for (name, value) in
            [("a.b.c", Some(2)), ("a.b.d", Some(3)), ("x.y", Some(4)), ("a.x", None), ("", None)]
        {
            assert_eq!(nested(object, name).and_then(Value::as_i64), value, "{name}");
        }
    }
}
