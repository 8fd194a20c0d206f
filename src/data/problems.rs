//! Programming problems: JSONL with one problem a line, plain or compressed, as HumanEval and MBPP come.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::lines::Lines;
use super::rows;
use super::{DataConfig, Example, TableFile};
use crate::base::error::{input, suggest};

/// What a program is checked with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The code that a program begins with: imports, helpers, signature and docstring; empty where a problem is asked
    /// in words alone.
    pub prompt: String,
    /// Code that raises where a program is wrong.
    pub test: String,
    /// The function that is handed to the tests' `check`, if they have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_point: Option<String>,
    /// Without an entry point: functions and classes of the reference, which the tests call by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub defines: Vec<String>,
}

/// Names of the fields of a problem. Those of HumanEval and of MBPP are found without being named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProblemFields {
    /// The id.
    pub id: Option<String>,
    /// What is asked: code (with an entry point) or words.
    pub prompt: Option<String>,
    /// The reference: what completes the prompt (with an entry point), or a whole program.
    pub solution: Option<String>,
    /// The tests: code, or a list of lines of code.
    pub test: Option<String>,
    /// The name of the function.
    pub entry_point: Option<String>,
}

const IDS: [&str; 2] = ["task_id", "id"];
const PROMPTS: [&str; 3] = ["prompt", "text", "source"];
const SOLUTIONS: [&str; 4] = ["canonical_solution", "solution", "code", "target"];
const TESTS: [&str; 2] = ["test", "test_list"];
const ENTRY_POINTS: [&str; 1] = ["entry_point"];

/// The problems of a file, in its order.
pub(super) fn read(config: &DataConfig, file: &TableFile, fields: &ProblemFields) -> Result<Vec<Example>> {
    let advice = config.advice("test");
    let path = PathBuf::from(&file.file);
    let mut lines = Lines::open(&path, &advice)?;
    let (mut examples, mut first_lines, mut count) = (Vec::new(), HashMap::new(), 0);
    while let Some(line) = lines.next_line()? {
        count += 1;
        let object: Map<String, Value> = serde_json::from_str(&line).map_err(|error| {
            let reason = error.to_string().replace(" at line 1 column ", " at column ");
            lines.refuse(&format!("is not a JSON object: {reason}; write one problem a line"))
        })?;
        let example = ProblemRow { object: &object, lines: &lines }.example(fields, count)?;
        if let Some(first) = first_lines.insert(example.id.clone(), lines.number()) {
            let what = format!("has the id `{}` again (first on line {first})", example.id);
            return Err(lines.refuse(&what));
        }
        if file.lines.is_none_or(|range| range.contains(count)) {
            examples.push(example);
        }
    }
    match file.lines {
        _ if count == 0 => Err(input(format!("{} has no problems; {advice}", path.display()))),
        Some(range) if range.last > count => {
            let path = path.display();
            Err(input(format!("lines {range} were asked for but {path} has only {count}; {advice}")))
        }
        _ => Ok(examples),
    }
}

/// Whether a path looks like one that [`read`] understands.
pub(super) fn understands(path: &Path) -> bool {
    ["jsonl", "ndjson"].contains(&&*rows::extension(path))
}

struct ProblemRow<'a> {
    object: &'a Map<String, Value>,
    lines: &'a Lines,
}

impl ProblemRow<'_> {
    fn example(&self, fields: &ProblemFields, number: usize) -> Result<Example> {
        let id = match self.find(&fields.id, &IDS)? {
            None => number.to_string(),
            Some((_, Value::Number(id))) => id.to_string(),
            Some((name, value)) => self.text(name, value)?,
        };
        let need = |wanted: &Option<String>, known: &[&str]| {
            let found = self.find(wanted, known)?;
            let (name, value) = found.ok_or_else(|| self.missing(known[0]))?;
            self.text(name, value)
        };
        let asked = need(&fields.prompt, &PROMPTS)?;
        let solution = need(&fields.solution, &SOLUTIONS)?;
        let test = need(&fields.test, &TESTS)?;
        let entry_point = match self.find(&fields.entry_point, &ENTRY_POINTS)? {
            Some((name, value)) => Some(self.text(name, value)?),
            None => None,
        };
        let Some(entry_point) = entry_point else {
            let defines = defined(&solution);
            let problem = Problem { prompt: String::new(), test, entry_point: None, defines };
            return Ok(Example {
                id,
                source: asked,
                target: solution,
                problem: Some(problem),
                ..Example::default()
            });
        };
        let start = definition(&asked, &entry_point).ok_or_else(|| {
            self.lines.refuse(&format!("asks for `{entry_point}`, but its prompt has no `def {entry_point}`"))
        })?;
        let target = format!("{}{solution}", &asked[start..]);
        let problem =
            Problem { prompt: asked.clone(), test, entry_point: Some(entry_point), defines: Vec::new() };
        Ok(Example { id, source: asked, target, problem: Some(problem), ..Example::default() })
    }

    /// The field of that name, or the first of those usually used.
    fn find<'a>(
        &'a self,
        wanted: &'a Option<String>,
        known: &[&'a str],
    ) -> Result<Option<(&'a str, &'a Value)>> {
        let field = |name: &'a str| Some((name, rows::nested(self.object, name)?));
        match wanted {
            Some(wanted) => field(wanted).map(Some).ok_or_else(|| self.missing(wanted)),
            None => Ok(known.iter().find_map(|name| field(name))),
        }
    }

    fn missing(&self, name: &str) -> anyhow::Error {
        let names: Vec<&str> = self.object.keys().map(String::as_str).collect();
        let hint = suggest(name, &names);
        self.lines.refuse(&format!("has no field `{name}`: {hint}; name the right one under `fields:`"))
    }

    /// A string, or a list of strings as lines.
    fn text(&self, name: &str, value: &Value) -> Result<String> {
        let lines = |values: &Vec<Value>| -> Option<String> {
            let lines: Option<Vec<&str>> = values.iter().map(Value::as_str).collect();
            Some(lines?.join("\n"))
        };
        let text = match value {
            Value::String(text) => Some(text.clone()),
            Value::Array(values) => lines(values),
            _ => None,
        };
        let text = text.ok_or_else(|| {
            self.lines.refuse(&format!("has a `{name}` that is neither a string nor a list of strings"))
        })?;
        match text.trim().is_empty() {
            true => Err(self.lines.refuse(&format!("has an empty `{name}`; fill it in or remove the line"))),
            false => Ok(text),
        }
    }
}

/// Where the definition of a function begins, its decorators aside: the last one of that name, at the left margin.
fn definition(code: &str, name: &str) -> Option<usize> {
    let begins = |line: &str| {
        let rest = line.strip_prefix("async ").unwrap_or(line).strip_prefix("def ")?;
        rest.trim_start().strip_prefix(name)?.trim_start().starts_with(['(', '[']).then_some(())
    };
    let mut at = 0;
    let mut found = None;
    for line in code.split_inclusive('\n') {
        if begins(line).is_some() {
            found = Some(at);
        }
        at += line.len();
    }
    found
}

/// Functions and classes that a program defines at the left margin.
fn defined(code: &str) -> Vec<String> {
    let name = |line: &str| {
        let rest = line.strip_prefix("async ").unwrap_or(line);
        let rest = rest.strip_prefix("def ").or_else(|| rest.strip_prefix("class "))?.trim_start();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        (end > 0).then(|| rest[..end].to_string())
    };
    code.lines().filter_map(name).collect()
}

/// The docstring of a prompt: what stands between its first pair of triple quotes, as the study takes it.
pub fn docstring(prompt: &str) -> Option<&str> {
    let quotes = ["\"\"\"", "'''"].into_iter().filter_map(|quote| Some((prompt.find(quote)?, quote)));
    let (start, quote) = quotes.min()?;
    let text = &prompt[start + quote.len()..];
    text.find(quote).map(|end| &text[..end])
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::data::Corpus;

    const HUMAN: &str = r#"{"task_id": "H/0", "prompt": "import math\n\n\ndef twice(x):\n    \"\"\"Double x.\"\"\"\n", "entry_point": "twice", "canonical_solution": "    return 2 * x\n", "test": "def check(candidate):\n    assert candidate(2) == 4\n"}"#;
    const MBPP: &str = r#"{"task_id": 11, "text": "Double a number.", "code": "def twice(x):\n    return 2 * x", "test_list": ["assert twice(2) == 4", "assert twice(0) == 0"]}"#;

    fn corpus(files: &[(&str, &[u8])], rest: &str) -> Result<Corpus> {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let text = format!("kind: code\n{rest}").replace("FOLDER", &folder.path().display().to_string());
        let config = DataConfig::parse(&text, Path::new("configs/data/mine.yaml"))?;
        Corpus::load(&config, &"en-py".parse().unwrap())
    }

    #[test]
    fn both_kinds_of_problems_are_read_plain_and_compressed() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(HUMAN.as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        let files: [(&str, &[u8]); 2] = [("h.jsonl.gz", &packed), ("m.jsonl", MBPP.as_bytes())];
        let read = corpus(
            &files,
            "test: FOLDER/h.jsonl.gz\ndemonstrations: FOLDER/m.jsonl\n\
             demonstration_columns: {id: task_id, source: text, target: code}\n",
        )
        .unwrap();
        let item = &read.test[0];
        assert_eq!(item.id, "H/0");
        assert!(item.source.starts_with("import math"));
        assert_eq!(item.target, "def twice(x):\n    \"\"\"Double x.\"\"\"\n    return 2 * x\n");
        assert_eq!(item.problem.as_ref().unwrap().entry_point.as_deref(), Some("twice"));
        assert_eq!(read.demonstrations[0].source, "Double a number.");
        assert!(!read.leave_one_out);

        let read = corpus(&files, "test: FOLDER/m.jsonl\ndemonstrations: leave-one-out\n").unwrap();
        let problem = read.test[0].problem.clone().unwrap();
        assert_eq!(problem.test, "assert twice(2) == 4\nassert twice(0) == 0");
        assert_eq!((problem.prompt.as_str(), problem.entry_point), ("", None));
        assert_eq!(problem.defines, ["twice"]);
        assert_eq!((read.test[0].id.as_str(), read.demonstrations.len()), ("11", 1));
        assert!(read.leave_one_out);
    }

    #[test]
    fn wrong_files_are_refused_with_line_and_field() {
        for (text, rest, what) in [
            ("{\"prompt\": 1}", "", "has a `prompt` that is neither a string"),
            ("[]", "", "h.jsonl:1 is not a JSON object"),
            (HUMAN, "fields: {id: nr}\n", "has no field `nr`"),
            (&HUMAN.replace("def twice", "def thrice"), "", "has no `def twice`"),
            (&HUMAN.replace("H/0", " "), "", "has an empty `task_id`"),
            (&format!("{HUMAN}\n{HUMAN}"), "", "h.jsonl:2 has the id `H/0` again (first on line 1)"),
            (&HUMAN.replace("\"test\"", "\"tests\""), "", "has no field `test`: did you mean `tests`?"),
            (HUMAN, "fields: {nr: id}\n", "unknown field `nr`"),
            ("", "", "has no problems"),
        ] {
            let error = corpus(&[("h.jsonl", text.as_bytes())], &format!("test: FOLDER/h.jsonl\n{rest}"));
            let error = error.unwrap_err();
            assert!(error.downcast_ref::<crate::base::error::InputError>().is_some());
            assert!(error.to_string().contains(what), "{error}");
        }
        let error = corpus(&[("h.jsonl.gz", b"no gzip")], "test: FOLDER/h.jsonl.gz\n").unwrap_err();
        assert!(error.to_string().contains("h.jsonl.gz:1 cannot be unpacked"), "{error}");
        let error = corpus(&[("h.tsv", b"x")], "test: FOLDER/h.tsv\n").unwrap_err();
        assert!(error.to_string().contains("h.tsv is neither .jsonl nor .jsonl.gz"), "{error}");
    }

    #[test]
    fn the_docstring_is_between_the_first_triple_quotes() {
        assert_eq!(docstring("def f():\n    ''' a \"\"\" b '''\n\"\"\"c\"\"\""), Some(" a \"\"\" b "));
        assert_eq!(docstring("def f():\n    \"\"\"x"), None);
        assert_eq!(definition("def ab(x):\n    def a(y): 0\ndef a (x): 0\n", "a"), Some(27));
    }
}
