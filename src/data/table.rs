//! Tables: one pair per row, as TSV or CSV with a header, as JSONL, as one JSON list, or as Parquet.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::options::OptionsColumn;
use super::rows::{Found, TableRow, TableRows};
use super::templates::{existing, expand};
use super::{CorpusPart, DataConfig, Direction, Example, Table, TableColumns, header};
use crate::base::error::input;

/// The examples of one part; `None` if there is no such part.
pub(super) fn read(
    config: &DataConfig,
    table: &Table,
    direction: Option<&Direction>,
    part: CorpusPart,
) -> Result<Option<Vec<Example>>> {
    if direction.is_none() && config.needs_direction() {
        return Err(input(config.wants_direction()));
    }
    let file = match part {
        CorpusPart::Demonstrations => table.demonstrations.as_ref(),
        CorpusPart::Test => Some(&table.test),
        CorpusPart::Training => table.training.as_ref(),
    };
    let Some(file) = file else { return Ok(None) };
    let advice = config.advice(part.name());
    // Paths given by flag are taken as they are: a brace in them is no placeholder.
    let path = match config.origin {
        Some(_) => existing(&file.file, direction, &advice)?,
        None => PathBuf::from(&file.file),
    };
    let wanted = ColumnNames::new(&table.columns, direction, config);
    let mut rows = TableRows::open(&path, &advice)?;
    if let Some(header) = rows.header() {
        wanted.names(&header)?;
    }
    let (mut examples, mut first, mut count) = (Vec::new(), HashMap::new(), 0);
    while let Some(row) = rows.next_row()? {
        count += 1;
        let example = wanted.example(&row, count)?;
        if let Some(first) = first.get(&example.id) {
            let what =
                format!("has the id `{}` again (first {first}); give every row its own id", example.id);
            return Err(row.refuse(&what));
        }
        first.insert(example.id.clone(), row.at);
        if file.lines.is_none_or(|range| range.contains(count)) {
            examples.push(example);
        }
    }
    match file.lines {
        _ if count == 0 => Err(input(format!("{} has no rows; {advice}", path.display()))),
        Some(range) if range.last > count => Err(input(format!(
            "lines {range} were asked for but {} has only {count} rows; {advice}",
            path.display()
        ))),
        _ => Ok(Some(examples)),
    }
}

/// Columns that a message lists.
const LISTED: usize = 20;

/// The names under which id, source and target may stand in a file.
struct ColumnNames {
    id: Option<Vec<String>>,
    source: Vec<String>,
    target: Vec<String>,
    options: OptionsColumn,
    /// Names in the prompt's format, with the columns that they mean.
    shown: Vec<(String, String)>,
    /// Of a file that no YAML file describes: its columns may be called by the languages.
    languages: Option<Direction>,
    advice: String,
}

impl ColumnNames {
    fn new(columns: &TableColumns, direction: Option<&Direction>, config: &DataConfig) -> ColumnNames {
        let advice = match &config.origin {
            Some(file) => format!("name the right one under `columns:` in {}", file.display()),
            None => {
                "rename one, or describe the file by a YAML file in configs/data/ with `columns:`".to_string()
            }
        };
        // Pairs that are no translation are often called so; a file that was described says its names.
        let of_tasks = |column: &str, usual: &str, other: &str| {
            let mut names = expand(column, direction);
            if config.origin.is_none() && column == usual {
                names.push(other.into());
            }
            names
        };
        ColumnNames {
            id: columns.id.as_ref().map(|id| expand(id, direction)),
            source: of_tasks(&columns.source, "source", "input"),
            target: of_tasks(&columns.target, "target", "output"),
            options: OptionsColumn::new(columns),
            shown: columns
                .shown
                .iter()
                .map(|name| (name.clone(), columns.fields.get(name).unwrap_or(name).clone()))
                .collect(),
            languages: direction.filter(|_| config.origin.is_none()).cloned(),
            advice,
        }
    }

    /// Under which names a row has id (if any), source and target.
    fn names(&self, row: &TableRow) -> Result<(Option<String>, String, String)> {
        let lacks = |what: String| {
            let names = row.names();
            let more = match names.len().saturating_sub(LISTED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let listed = names[..names.len().min(LISTED)].join(", ");
            row.refuse(&format!("has no {what} (it has {listed}{more}); {}", self.advice))
        };
        let need = |wanted: &[String]| {
            let found = wanted.iter().find(|name| row.get(name).is_some());
            let looked_for = wanted.first().map_or("", String::as_str);
            found.cloned().ok_or_else(|| lacks(format!("column `{looked_for}`")))
        };
        let (source, target) = match self.spoken(row) {
            Spoken::Both(source, target) => (source, target),
            Spoken::Others(direction) => {
                return Err(lacks(format!("columns `{}` and `{}`", direction.source, direction.target)));
            }
            Spoken::None => (need(&self.source)?, need(&self.target)?),
        };
        let id = match &self.id {
            Some(wanted) => Some(need(wanted)?),
            // `id` is Indonesian, too.
            None => Some("id")
                .filter(|id| ![&*source, &*target].contains(id) && row.get(id).is_some())
                .map(String::from),
        };
        Ok((id, source, target))
    }

    /// The columns that are called by languages, where that may be and none is called what is looked for.
    fn spoken(&self, row: &TableRow) -> Spoken<'_> {
        let Some(direction) = &self.languages else { return Spoken::None };
        if self.source.iter().chain(&self.target).any(|name| row.get(name).is_some()) {
            return Spoken::None;
        }
        let mut names = row.names();
        let place =
            |names: &[String], code: &str| names.iter().position(|name| header::is_language(name, code));
        match (place(&names, &direction.source), place(&names, &direction.target)) {
            (Some(source), Some(target)) => {
                Spoken::Both(std::mem::take(&mut names[source]), std::mem::take(&mut names[target]))
            }
            _ if names.iter().any(|name| name != "id" && header::language(name).is_some()) => {
                Spoken::Others(direction)
            }
            _ => Spoken::None,
        }
    }

    /// The row as an example; `number` is its id where it has none.
    fn example(&self, row: &TableRow, number: usize) -> Result<Example> {
        let (id, source, target) = self.names(row)?;
        let filled = |name: &str, text: &str| match text.trim().is_empty() {
            true => Err(row.refuse(&format!("has an empty `{name}`; fill it in or remove the row"))),
            false => Ok(text.to_string()),
        };
        let text = |name: &str| match row.get(name) {
            Some(Found::Text(text)) => filled(name, text),
            Some(Found::Unread(why)) => {
                Err(row.refuse(&format!("has a `{name}` {why}; leave it out or write it as text")))
            }
            _ => Err(row.refuse(&format!("has a `{name}` that is not a string; put it in quotes"))),
        };
        let id = match id.as_deref().map(|name| (name, row.get(name))) {
            None => number.to_string(),
            Some((_, Some(Found::Number(number)))) => number,
            Some((name, _)) => text(name)?,
        };
        let (target, also_right) = match row.get(&target) {
            Some(Found::Texts(texts)) if !texts.is_empty() => {
                texts.iter().try_for_each(|text| filled(&target, text).map(drop))?;
                (texts[0].clone(), texts[1..].to_vec())
            }
            // An answer may well be a number. Others than whole ones are written in many ways.
            Some(Found::Number(number)) if number.parse::<i64>().is_ok() => (number, Vec::new()),
            _ => (text(&target)?, Vec::new()),
        };
        let options = self.options.of(row)?;
        let columns = self.shown.iter().map(|(name, column)| {
            if row.get(column).is_none() {
                let what =
                    format!("has no column `{column}`, which the prompt's format shows; {}", self.advice);
                return Err(row.refuse(&what));
            }
            Ok((name.clone(), text(column)?))
        });
        let columns = columns.collect::<Result<_>>()?;
        Ok(Example { id, source: text(&source)?, target, also_right, options, columns, problem: None })
    }
}

/// Columns that are called by languages.
enum Spoken<'a> {
    /// By those of the direction.
    Both(String, String),
    /// By others than this direction.
    Others(&'a Direction),
    /// No such columns are looked for, or there are none.
    None,
}

/// The names of a file's columns, as they are ordered in it: its header, or the keys of its first object.
pub(super) fn names(path: &Path, advice: &str) -> Result<Vec<String>> {
    let mut rows = TableRows::open(path, advice)?;
    let first = match rows.header() {
        Some(header) => Some(header),
        None => rows.next_row()?,
    };
    let first = first.ok_or_else(|| input(format!("{} has no rows; {advice}", path.display())))?;
    Ok(first.names())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Corpus;

    fn read_one(name: &str, content: &[u8]) -> Result<Vec<Example>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        Ok(Corpus::load(&DataConfig::one_off(&path, None), &"en-fr".parse().unwrap())?.test)
    }

    fn read_with_options(name: &str, content: &str) -> Result<Vec<Example>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        Ok(Corpus::load_any(&DataConfig::one_off(&path, None).with_options(), None)?.test)
    }

    fn configured(files: &[(&str, &str)], rest: &str, direction: &str) -> Result<Corpus> {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let text = format!("kind: table\n{rest}").replace("FOLDER", &folder.path().display().to_string());
        let config = DataConfig::parse(&text, Path::new("configs/data/mine.yaml"))?;
        Corpus::load(&config, &direction.parse().unwrap())
    }

    fn example(id: &str, source: &str, target: &str) -> Example {
        Example { id: id.into(), source: source.into(), target: target.into(), ..Example::default() }
    }

    #[test]
    fn tsv_and_jsonl_with_and_without_ids() {
        let expected = [example("1", "a \"b\"", " c"), example("2", "d", "e")];
        assert_eq!(
            read_one("x.tsv", b"\xEF\xBB\xBFsource\ttarget\r\na \"b\"\t c\r\nd\te").unwrap(),
            expected
        );
        let lines = b"{\"target\":\" c\",\"source\":\"a \\\"b\\\"\"}\n{\"source\":\"d\",\"target\":\"e\",\"more\":[1]}\n";
        assert_eq!(read_one("x.jsonl", lines).unwrap(), expected);
        assert_eq!(read_one("x.TSV", b"id\tsource\ttarget\nq7\ta\tb\n").unwrap(), [example("q7", "a", "b")]);
        let code = b"{\"id\":11,\"source\":\"a\",\"target\":\"def f():\\n  pass\\n\"}\n";
        assert_eq!(read_one("x.jsonl", code).unwrap(), [example("11", "a", "def f():\n  pass\n")]);
    }

    #[test]
    fn csv_json_lists_and_packed_files() {
        let expected = [example("1", "a, \"b\"", "c\nd"), example("2", "e", "f")];
        let csv = b"\xEF\xBB\xBFsource,target\r\n\"a, \"\"b\"\"\",\"c\nd\"\r\ne,f\r\n";
        assert_eq!(read_one("x.csv", csv).unwrap(), expected);
        let semicolons = b"id;target;source\n1;\"c\nd\";\"a, \"\"b\"\"\"\n2;f;e\n";
        assert_eq!(read_one("x.csv", semicolons).unwrap(), expected);
        let list =
            br#"[{"input": "a, \"b\"", "output": "c\nd"}, {"source": "e", "target": "f", "input": "?"}]"#;
        assert_eq!(read_one("x.json", list).unwrap(), expected);
        // What some libraries call JSON.
        let lines = br#"{"source": "a, \"b\"", "target": "c\nd"}
{"source": "e", "target": "f"}"#;
        assert_eq!(read_one("x.json", lines).unwrap(), expected);
    }

    #[test]
    fn keys_within_keys_serve_both_directions() {
        let files = [("a.jsonl", "{\"id\":7,\"translation\":{\"en\":\"hello\",\"nb\":\"hei\"}}\n")];
        let rest = "test: FOLDER/a.jsonl\ncolumns: {source: 'translation.{source}', target: 'translation.{target}'}\n";
        for (direction, one) in [("en-nb", ("hello", "hei")), ("nob_Latn-eng", ("hei", "hello"))] {
            assert_eq!(configured(&files, rest, direction).unwrap().test, [example("7", one.0, one.1)]);
        }
        let rest = "test: FOLDER/a.jsonl\ncolumns: {source: translation.en, target: translation.no, id: translation}\n";
        let error = configured(&files, rest, "en-nb").unwrap_err().to_string();
        assert!(
            error.contains("has no column `translation.no` (it has id, translation.en, translation.nb)"),
            "{error}"
        );
    }

    #[test]
    fn answers_may_be_several_and_options_are_a_list() {
        let several = |target: &str, also: &[&str], options: &[&str]| {
            let [also_right, options] =
                [also, options].map(|all| all.iter().map(|one| one.to_string()).collect());
            Example { also_right, options, ..example("1", "a", target) }
        };
        for (name, content, wanted) in [
            ("x.jsonl", "{\"source\":\"a\",\"target\":[\"b\",\"c\"]}\n", several("b", &["c"], &[])),
            (
                "x.jsonl",
                "{\"source\":\"a\",\"target\":5,\"options\":[5,\"six\"]}\n",
                several("5", &[], &["5", "six"]),
            ),
            ("x.tsv", "source\ttarget\toptions\na\tb\tb | c d\n", several("b", &[], &["b", "c d"])),
        ] {
            assert_eq!(read_with_options(name, content).unwrap(), [wanted], "{content}");
        }
        for (content, says) in [
            ("{\"source\":\"a\",\"target\":[]}\n", "has a `target` that is not a string"),
            ("{\"source\":\"a\",\"target\":[\"b\",\" \"]}\n", "has an empty `target`"),
            (
                "{\"source\":\"a\",\"target\":\"b\",\"options\":[\"b\",\"\"]}\n",
                "has an empty option in `options`",
            ),
            ("{\"source\":\"a\",\"target\":\"b\",\"options\":5}\n", "not a list of texts"),
        ] {
            let said = read_with_options("x.jsonl", content).unwrap_err().to_string();
            assert!(said.contains(says), "{said}");
        }
        // A task that needs no options is not concerned with such a column.
        let odd = "{\"source\":\"a\",\"target\":\"b\",\"options\":5}\n";
        assert_eq!(read_one("x.jsonl", odd.as_bytes()).unwrap(), [example("1", "a", "b")]);
    }

    #[test]
    fn bad_tables_are_refused_with_file_and_line() {
        for (name, content, what) in [
            (
                "x.tsv",
                &b"source\tfr\na\tb\n"[..],
                "x.tsv:1 has no column `target` (it has source, fr); rename one",
            ),
            ("x.tsv", b"source\ttarget\tsource\na\tb\tc\n", "x.tsv:1 has two columns `source`"),
            ("x.tsv", b"source\ttarget\na\tb\na\tb\tc\n", "x.tsv:3 has 3 fields where the header has 2"),
            ("x.tsv", b"source\ttarget\na\n", "x.tsv:2 has 1 fields where the header has 2"),
            ("x.tsv", b"source\ttarget\na\t \n", "x.tsv:2 has an empty `target`"),
            ("x.tsv", b"source\ttarget\na\tb\n\n", "x.tsv:3 is empty"),
            ("x.tsv", b"source\ttarget\na\t\xE9\n", "x.tsv:2 is not UTF-8 (byte 3 of the line)"),
            (
                "x.tsv",
                b"id\tsource\ttarget\n7\ta\tb\n8\tc\td\n7\te\tf\n",
                "x.tsv:4 has the id `7` again (first on line 2)",
            ),
            ("x.tsv", b"source\ttarget\n", "x.tsv has no rows"),
            ("x.tsv", b"", "x.tsv is empty"),
            ("x.csv", b"source,target\n", "x.csv has no rows"),
            ("x.csv", b"", "x.csv is empty"),
            ("x.csv", b"source,target\na,b,c\n", "x.csv:2 has 3 fields where the header has 2; put a field"),
            ("x.csv", b"source,target\na,\"b\n", "x.csv:2 opens a quote that is never closed"),
            ("x.xlsx", b"source,target\n", "x.xlsx is neither .tsv, .csv, .jsonl, .json nor .parquet"),
            ("x.json", b"[{\"source\":\"a\",\"target\":\"b\"},\n{]", "x.json:2 is not a JSON list"),
            ("x.json", b"[1]", "x.json: item 1 is not an object"),
            (
                "x.json",
                b"[{\"id\":1,\"source\":\"a\",\"target\":\"b\"},{\"id\":\"1\",\"source\":\"a\",\"target\":\"b\"}]",
                "x.json: item 2 has the id `1` again (first as item 1)",
            ),
            (
                "x.jsonl",
                b"{\"translation\":{\"en\":\"a\",\"it\":\"b\"},\"n\":1}\n",
                "x.jsonl:1 has no columns `en` and `fr` (it has translation.en, translation.it, n)",
            ),
            (
                "x.jsonl",
                b"{\"source\":\"a\",\"target\":\"b\"}\n{\"source\":\n",
                "x.jsonl:2 is not a JSON object: EOF",
            ),
            ("x.jsonl", b"[1]\n", "x.jsonl:1 is not a JSON object"),
            (
                "x.jsonl",
                b"{\"source\":\"a\",\"reference\":\"b\"}\n",
                "x.jsonl:1 has no column `target` (it has source, reference)",
            ),
            (
                "x.jsonl",
                b"{\"source\":\"a\",\"target\":5.5}\n",
                "x.jsonl:1 has a `target` that is not a string",
            ),
            ("x.jsonl", b"{\"source\":\"\",\"target\":\"b\"}\n", "x.jsonl:1 has an empty `source`"),
            ("x.jsonl", b"", "x.jsonl has no rows"),
        ] {
            let error = read_one(name, content).unwrap_err();
            assert!(error.downcast_ref::<crate::base::error::InputError>().is_some(), "{error}");
            assert!(error.to_string().contains(what), "{error}\nshould say: {what}");
        }
    }

    #[test]
    fn one_file_serves_both_directions() {
        let files = [("en-fr.tsv", "id\ten\tfr\n1\thello\tbonjour\n")];
        let rest = "test: FOLDER/{pair}.tsv\ncolumns: {source: '{source}', target: '{target}'}\n";
        assert_eq!(configured(&files, rest, "en-fr").unwrap().test, [example("1", "hello", "bonjour")]);
        assert_eq!(configured(&files, rest, "fr-en").unwrap().test, [example("1", "bonjour", "hello")]);
        assert_eq!(configured(&files, rest, "eng_Latn-fra").unwrap().test.len(), 1);
        let error = configured(&files, rest, "en-de").unwrap_err().to_string();
        assert!(
            error.starts_with("there is no file ")
                && error.contains("en-de.tsv (from ")
                && error.contains("{pair}.tsv) for the direction en-de;"),
            "{error}"
        );
        assert!(error.ends_with("check `test:` in configs/data/mine.yaml"), "{error}");
        let error = configured(&files, rest, "en-frr").unwrap_err().to_string();
        assert!(
            error.contains("en-frr (`frr` is not a language code") && error.contains("did you mean `fr`"),
            "{error}"
        );
        let files = [("eng_Latn-fra_Latn.tsv", "eng\tfra\nhello\tbonjour\n")];
        assert_eq!(configured(&files, rest, "en-fr").unwrap().test, [example("1", "hello", "bonjour")]);
    }

    #[test]
    fn columns_and_line_ranges_are_taken_from_the_configuration() {
        let files =
            [("a.jsonl", "{\"n\":\"x\",\"q\":\"1\",\"a\":\"2\"}\n{\"n\":\"y\",\"q\":\"3\",\"a\":\"4\"}\n")];
        let rest = "test: FOLDER/a.jsonl\ndemonstrations: {file: FOLDER/a.jsonl, lines: 2..2}\n\
                    columns: {id: n, source: q, target: a}\n";
        let corpus = configured(&files, rest, "en-py").unwrap();
        assert_eq!((corpus.test.len(), corpus.demonstrations), (2, vec![example("y", "3", "4")]));
        let error = configured(&files, &rest.replace("2..2", "2..3"), "en-py").unwrap_err().to_string();
        assert!(error.contains("lines 2..3 were asked for but "), "{error}");
        assert!(error.contains("a.jsonl has only 2 rows"), "{error}");
        let error = configured(&files, &rest.replace("id: n", "id: m"), "en-py").unwrap_err().to_string();
        assert!(
            error.contains("has no column `m` (it has n, q, a); name the right one under `columns:`"),
            "{error}"
        );
    }
}
