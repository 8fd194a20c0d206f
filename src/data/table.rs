//! Tables: one pair per row, as TSV with a header or as JSONL.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Map, Value};

use super::lines::Lines;
use super::{Columns, DataConfig, Direction, Example, Part, Table, header, languages};
use crate::error::{absent, input};

/// The examples of one part; `None` if there is no such part.
pub(super) fn read(
    config: &DataConfig,
    table: &Table,
    direction: Option<&Direction>,
    part: Part,
) -> Result<Option<Vec<Example>>> {
    if direction.is_none() && config.needs_direction() {
        return Err(input(config.wants_direction()));
    }
    let file = match part {
        Part::Demonstrations => table.demonstrations.as_ref(),
        Part::Test => Some(&table.test),
        Part::Training => table.training.as_ref(),
    };
    let Some(file) = file else { return Ok(None) };
    let advice = config.advice(part.name());
    // Paths given by flag are taken as they are: a brace in them is no placeholder.
    let path = match config.origin {
        Some(_) => existing(&file.file, direction, &advice)?,
        None => PathBuf::from(&file.file),
    };
    let columns = Wanted::new(&table.columns, direction, config);
    let mut rows = Rows::open(&path, &columns, &advice)?;
    let mut first_lines = HashMap::new();
    let mut examples = Vec::new();
    while let Some(example) = rows.next_example()? {
        let line = rows.lines.number();
        if let Some(first) = first_lines.insert(example.id.clone(), line) {
            let what = format!(
                "has the id `{}` again (first on line {first}); give every row its own id",
                example.id
            );
            return Err(rows.lines.refuse(&what));
        }
        if file.lines.is_none_or(|range| range.contains(rows.count)) {
            examples.push(example);
        }
    }
    let count = rows.count;
    match file.lines {
        _ if count == 0 => Err(input(format!("{} has no rows; {advice}", path.display()))),
        Some(range) if range.last > count => Err(input(format!(
            "lines {range} were asked for but {} has only {count} rows; {advice}",
            path.display()
        ))),
        _ => Ok(Some(examples)),
    }
}

/// The paths or names a template stands for, the likeliest first.
fn expand(template: &str, direction: Option<&Direction>) -> Vec<String> {
    let Some(direction) = direction else { return vec![template.into()] };
    let mut all = Vec::new();
    for (source, target) in direction.spellings() {
        let filled = template.replace("{source}", &source).replace("{target}", &target);
        for pair in [format!("{source}-{target}"), format!("{target}-{source}")] {
            let candidate = filled.replace("{pair}", &pair);
            if !all.contains(&candidate) {
                all.push(candidate);
            }
        }
    }
    all
}

/// The first file that exists among those a path template stands for.
fn existing(template: &str, direction: Option<&Direction>, advice: &str) -> Result<PathBuf> {
    let candidates = expand(template, direction);
    let found = candidates.iter().map(PathBuf::from).find(|path| path.exists());
    found.ok_or_else(|| match (candidates.as_slice(), direction) {
        (_, None) => absent(format!("the file {template} does not exist; {advice}")),
        ([only], _) => absent(format!("the file {only} does not exist; {advice}")),
        (_, Some(direction)) => {
            let unknown = [&direction.source, &direction.target]
                .into_iter()
                .find_map(|code| languages::lookup(code).err());
            let hint = unknown.map_or(String::new(), |error| format!(" ({error})"));
            absent(format!("there is no file {template} for the direction {direction}{hint}; {advice}"))
        }
    })
}

/// Columns that a message lists.
const LISTED: usize = 20;

/// The names under which id, source and target may stand in a file.
struct Wanted {
    id: Option<Vec<String>>,
    source: Vec<String>,
    target: Vec<String>,
    /// Of a file that no YAML file describes: its columns may be called by the languages.
    languages: Option<Direction>,
    advice: String,
}

impl Wanted {
    fn new(columns: &Columns, direction: Option<&Direction>, config: &DataConfig) -> Wanted {
        let advice = match &config.origin {
            Some(file) => format!("name the right one under `columns:` in {}", file.display()),
            None => {
                "rename one, or describe the file by a YAML file in configs/data/ with `columns:`".to_string()
            }
        };
        Wanted {
            id: columns.id.as_ref().map(|id| expand(id, direction)),
            source: expand(&columns.source, direction),
            target: expand(&columns.target, direction),
            languages: direction.filter(|_| config.origin.is_none()).cloned(),
            advice,
        }
    }

    /// Where id (if any), source and target are among the names a file has.
    fn locate(&self, names: &[&str], lines: &Lines) -> Result<(Option<usize>, usize, usize)> {
        let find =
            |wanted: &[String]| wanted.iter().find_map(|want| names.iter().position(|name| name == want));
        let lacks = |what: String| {
            let more = match names.len().saturating_sub(LISTED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let listed = names[..names.len().min(LISTED)].join(", ");
            lines.refuse(&format!("has no {what} (it has {listed}{more}); {}", self.advice))
        };
        let need = |wanted: &[String]| {
            let looked_for = wanted.first().map_or("", String::as_str);
            find(wanted).ok_or_else(|| lacks(format!("column `{looked_for}`")))
        };
        let languages = self.languages.as_ref().filter(|_| !self.names_one(names));
        let (source, target) = match languages.map(|direction| (direction, spoken(names, direction))) {
            Some((_, Some(both))) => both,
            Some((direction, None))
                if names.iter().any(|name| *name != "id" && languages::find(name).is_some()) =>
            {
                return Err(lacks(format!("columns `{}` and `{}`", direction.source, direction.target)));
            }
            _ => (need(&self.source)?, need(&self.target)?),
        };
        let id = match &self.id {
            Some(wanted) => Some(need(wanted)?),
            // `id` is Indonesian, too.
            None => names.iter().position(|name| *name == "id").filter(|id| ![source, target].contains(id)),
        };
        Ok((id, source, target))
    }

    /// Whether a column is called what is looked for, so that no other one is meant by its language.
    fn names_one(&self, names: &[&str]) -> bool {
        self.source.iter().chain(&self.target).any(|want| names.iter().any(|name| name == want))
    }
}

/// The columns that are called by the two languages.
fn spoken(names: &[&str], direction: &Direction) -> Option<(usize, usize)> {
    let place = |code: &str| names.iter().position(|name| header::is_language(name, code));
    Some((place(&direction.source)?, place(&direction.target)?))
}

/// The rows of a file, whichever its format.
struct Rows<'a> {
    lines: Lines,
    format: Format,
    wanted: &'a Wanted,
    /// How many rows were read, the header not counted.
    count: usize,
}

enum Format {
    /// With the number of columns and the places of id, source and target.
    Tsv(Vec<String>, (Option<usize>, usize, usize)),
    JsonLines,
}

/// The names of a file's columns, as they are ordered in it: the header of a TSV file, the keys of the first line of JSONL.
pub(super) fn names(path: &Path, advice: &str) -> Result<Vec<String>> {
    let mut lines = Lines::open(path, advice)?;
    let Some(first) = lines.next_line()? else {
        return Err(input(format!("{} is empty; {advice}", path.display())));
    };
    if ["jsonl", "ndjson"].contains(&extension(path).as_str()) {
        return lines.object(&first).map(|object| object.keys().cloned().collect());
    }
    Ok(first.split('\t').map(String::from).collect())
}

/// A file's extension, in lower case.
fn extension(path: &Path) -> String {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or("").to_lowercase()
}

impl Lines {
    /// A line of JSONL.
    fn object(&self, line: &str) -> Result<Map<String, Value>> {
        serde_json::from_str(line).map_err(|error| {
            // The parser knows a single line, so its own line number would mislead.
            let reason = error.to_string().replace(" at line 1 column ", " at column ");
            self.refuse(&format!("is not a JSON object: {reason}; write one object a line"))
        })
    }
}

impl<'a> Rows<'a> {
    fn open(path: &Path, wanted: &'a Wanted, advice: &str) -> Result<Rows<'a>> {
        let mut lines = Lines::open(path, advice)?;
        let format = match extension(path).as_str() {
            "jsonl" | "ndjson" => Format::JsonLines,
            "tsv" | "tab" | "txt" => {
                let Some(header) = lines.next_line()? else {
                    return Err(input(format!("{} is empty; {advice}", path.display())));
                };
                let names: Vec<_> = header.split('\t').collect();
                let mut seen = HashSet::new();
                if let Some(twice) = names.iter().find(|name| !seen.insert(**name)) {
                    return Err(lines.refuse(&format!("has two columns `{twice}`; rename one")));
                }
                let places = wanted.locate(&names, &lines)?;
                Format::Tsv(names.iter().map(|name| name.to_string()).collect(), places)
            }
            _ => {
                let what =
                    format!("{} is neither .tsv nor .jsonl; convert it to one of them", path.display());
                return Err(input(what));
            }
        };
        Ok(Rows { lines, format, wanted, count: 0 })
    }

    fn next_example(&mut self) -> Result<Option<Example>> {
        let Some(line) = self.lines.next_line()? else { return Ok(None) };
        self.count += 1;
        match &self.format {
            Format::Tsv(names, places) => self.tsv_example(&line, names, *places),
            Format::JsonLines => self.json_example(&line),
        }
        .map(Some)
    }

    fn tsv_example(
        &self,
        line: &str,
        names: &[String],
        places: (Option<usize>, usize, usize),
    ) -> Result<Example> {
        let fields: Vec<_> = line.split('\t').collect();
        if fields.len() != names.len() {
            return Err(self.lines.refuse(&format!(
                "has {} fields where the header has {}; a field cannot hold a tab",
                fields.len(),
                names.len()
            )));
        }
        let text = |place: usize| self.filled(&names[place], fields[place]);
        let (id, source, target) = places;
        let id = id.map_or_else(|| Ok(self.count.to_string()), text)?;
        Ok(Example { id, source: text(source)?, target: text(target)?, problem: None })
    }

    fn json_example(&self, line: &str) -> Result<Example> {
        let object = self.lines.object(line)?;
        let names: Vec<_> = object.keys().map(String::as_str).collect();
        let (id, source, target) = self.wanted.locate(&names, &self.lines)?;
        let text = |place: usize| match &object[names[place]] {
            Value::String(text) => self.filled(names[place], text),
            _ => Err(self
                .lines
                .refuse(&format!("has a `{}` that is not a string; put it in quotes", names[place]))),
        };
        let id = match id.map(|place| (place, &object[names[place]])) {
            None => self.count.to_string(),
            Some((_, Value::Number(number))) => number.to_string(),
            Some((place, _)) => text(place)?,
        };
        Ok(Example { id, source: text(source)?, target: text(target)?, problem: None })
    }

    fn filled(&self, name: &str, text: &str) -> Result<String> {
        if text.trim().is_empty() {
            return Err(self.lines.refuse(&format!("has an empty `{name}`; fill it in or remove the row")));
        }
        Ok(text.to_string())
    }
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
        Example { id: id.into(), source: source.into(), target: target.into(), problem: None }
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
            ("x.csv", b"source,target\n", "x.csv is neither .tsv nor .jsonl"),
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
                b"{\"source\":\"a\",\"target\":5}\n",
                "x.jsonl:1 has a `target` that is not a string",
            ),
            ("x.jsonl", b"{\"source\":\"\",\"target\":\"b\"}\n", "x.jsonl:1 has an empty `source`"),
            ("x.jsonl", b"", "x.jsonl has no rows"),
        ] {
            let error = read_one(name, content).unwrap_err();
            assert!(error.downcast_ref::<crate::error::InputError>().is_some(), "{error}");
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
            error.starts_with("there is no file ") && error.contains("{pair}.tsv for the direction en-de;"),
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
