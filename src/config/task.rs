//! What is asked: a task by its name, or a file of `configs/task/`.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::files;
use super::named::check_placeholders;
use super::settings::{Settings, parse_yaml};
use crate::base::error::{input, suggest};
use crate::prompt::Format;
use crate::score::AnswerRule;
use crate::tasks::{Asked, TASKS, Take, TaskKind};

/// Keys of a file of `configs/task/`.
const KEYS: [&str; 12] = [
    "balanced",
    "description",
    "ask",
    "options",
    "answer",
    "take",
    "metric",
    "data",
    "format",
    "prompt",
    "nprompts",
    "max_new_tokens",
];

/// A task as a run has it.
#[derive(Debug, Clone)]
pub struct ChosenTask {
    /// Which of the program's tasks it is.
    pub kind: &'static TaskKind,
    /// What it asks beside that.
    pub asked: Asked,
    /// How its prompts are written, where its file says so itself.
    pub prompt: Option<Format>,
    /// Settings that its file names, with the file.
    pub settings: Option<(Settings, files::ConfigFile)>,
}

/// A file of `configs/task/`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskFile {
    #[serde(default, rename = "description")]
    _description: String,
    ask: String,
    #[serde(default)]
    options: WrittenOptions,
    answer: Option<AnswerRule>,
    take: Option<Take>,
    #[serde(default)]
    balanced: bool,
    #[serde(default)]
    metric: String,
    data: Option<String>,
    format: Option<String>,
    prompt: Option<Format>,
    nprompts: Option<usize>,
    max_new_tokens: Option<usize>,
}

/// Options as they are written: a list, or a mapping from what the corpus writes to the option.
#[derive(Debug, Default)]
struct WrittenOptions {
    options: Vec<String>,
    labels: BTreeMap<String, String>,
}

/// A text, a number or a truth value, as it is written.
struct Word(String);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_yaml::Value::deserialize(deserializer)? {
            serde_yaml::Value::String(text) => Ok(Self(text)),
            serde_yaml::Value::Number(number) => Ok(Self(number.to_string())),
            serde_yaml::Value::Bool(yes) => Ok(Self(yes.to_string())),
            _ => Err(serde::de::Error::custom("an option is a text")),
        }
    }
}

impl<'de> Deserialize<'de> for WrittenOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OptionsVisitor;
        impl<'de> Visitor<'de> for OptionsVisitor {
            type Value = WrittenOptions;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list of options, or a mapping from labels of the corpus to options")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut written = WrittenOptions::default();
                while let Some(Word(option)) = list.next_element()? {
                    written.options.push(option);
                }
                Ok(written)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut written = WrittenOptions::default();
                while let Some((Word(label), Word(option))) = map.next_entry()? {
                    // Several labels may mean one option.
                    if !written.options.contains(&option) {
                        written.options.push(option.clone());
                    }
                    written.labels.insert(label, option);
                }
                Ok(written)
            }
        }
        deserializer.deserialize_any(OptionsVisitor)
    }
}

/// A task by its name, by the name of a file of `configs/task/`, or by the path of such a file.
///
/// # Errors
/// There is none; the file is malformed. `origin` says where the name was written.
pub fn find_task(word: &str, origin: &str) -> Result<ChosenTask> {
    if let Some(kind) = TASKS.into_iter().find(|kind| kind.name == word) {
        return Ok(ChosenTask { kind, asked: Asked::plain(word), prompt: None, settings: None });
    }
    let Some(file) = files::try_find("task", word)? else {
        let known = files::names("task");
        let names: Vec<&str> =
            TASKS.iter().map(|kind| kind.name).chain(known.iter().map(String::as_str)).collect();
        return Err(input(format!("{origin}: unknown task `{word}`: {}", suggest(word, &names))));
    };
    from_file(file)
}

fn from_file(file: files::ConfigFile) -> Result<ChosenTask> {
    let read: TaskFile = parse_yaml(&file.path, &file.text, &KEYS)?;
    let refuse = |what: String| Err(input(format!("{}: {what}", file.path.display())));
    let kind = match read.ask.as_str() {
        "choose" => TaskKind::find("choice", "ask")?,
        "generate" => TaskKind::find("answer", "ask")?,
        other => return refuse(format!("ask: `{other}` is not something to ask; write choose or generate")),
    };
    let unused = [
        ("answer", kind.weighs && read.answer.is_some()),
        ("take", kind.weighs && read.take.is_some()),
        ("options", !kind.weighs && !read.options.options.is_empty()),
    ];
    if let Some((key, _)) = unused.into_iter().find(|(_, is_unused)| *is_unused) {
        return refuse(format!("{key}: has no effect where the task is to {}; leave it out", read.ask));
    }
    if let Some(empty) = read.options.options.iter().position(|option| option.trim().is_empty()) {
        return refuse(format!("options: number {} is empty; fill it in or take it out", empty + 1));
    }
    if read.prompt.is_some() && read.format.is_some() {
        return refuse(
            "`prompt` and `format` both say how prompts are written; leave one of them out".into(),
        );
    }
    if kind.weighs && read.max_new_tokens.is_some() {
        return refuse("max_new_tokens: nothing is generated where options are weighed; leave it out".into());
    }
    let prompt = read.prompt.map(|prompt| Format { name: file.name.clone(), ..prompt });
    if let Some(prompt) = &prompt {
        check_placeholders(prompt, &file)?;
    }
    let words = |word: Option<String>| word.map(|word| vec![word]);
    // Prompts that the file describes are a format of its name.
    let format = read.format.or_else(|| prompt.as_ref().map(|prompt| prompt.name.clone()));
    let settings = Settings {
        data: words(read.data),
        format: words(format),
        nprompts: words(read.nprompts.map(|count| count.to_string())),
        max_new_tokens: words(read.max_new_tokens.map(|count| count.to_string())),
        ..Settings::default()
    };
    let WrittenOptions { options, labels } = read.options;
    let (answer, take) = (read.answer, read.take.unwrap_or_default());
    let (name, balanced, metric) = (file.name.clone(), read.balanced, read.metric);
    let asked = Asked { name, options, labels, answer, take, balanced, metric };
    Ok(ChosenTask { kind, asked, prompt, settings: Some((settings, file)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ChosenTask> {
        let path = "configs/task/mine.yaml".into();
        from_file(files::ConfigFile { name: "mine".into(), path, text: text.into() })
    }

    #[test]
    fn options_are_a_list_or_labels() {
        let list = read("ask: choose\noptions: [yes, 2, a b]\n").expect("a task").asked;
        assert_eq!(list.options, ["yes", "2", "a b"]);
        let map = read("ask: choose\noptions: {0: negative, 1: positive}\n").expect("a task").asked;
        assert_eq!(map.options, ["negative", "positive"]);
        assert_eq!(map.labels["1"], "positive");
        let merged = read("ask: choose\noptions: {1: bad, 2: bad, 3: good}\n").expect("a task").asked;
        assert_eq!((merged.options, merged.labels.len()), (vec!["bad".to_string(), "good".into()], 3));
        assert!(read("ask: choose\n").expect("options by item").asked.options.is_empty());
    }

    #[test]
    fn a_prompt_is_a_format_and_settings_are_settings() {
        let task = read(
            "ask: choose\ndata: reviews\nnprompts: 3\nprompt: {question: 'Review: ', answer: \"\\nLabel:\"}\n",
        );
        let task = task.expect("a task");
        assert_eq!(task.prompt.expect("a format").name, "mine");
        let (settings, _) = task.settings.expect("settings");
        assert_eq!(
            (settings.data, settings.nprompts),
            (Some(vec!["reviews".into()]), Some(vec!["3".into()]))
        );
    }

    #[test]
    fn mistakes_are_refused() {
        for (text, says) in [
            ("ask: chose\n", "ask: `chose` is not something to ask"),
            ("ask: choose\noption: [a]\n", "unknown key `option`"),
            ("ask: choose\noptions: [a, ' ']\n", "options: number 2 is empty"),
            ("ask: choose\noptions: 7\n", "a list of options"),
            ("ask: choose\nformat: x\nprompt: {question: a, answer: b}\n", "leave one of them out"),
            ("ask: choose\nmax_new_tokens: 3\n", "nothing is generated"),
            ("ask: generate\noptions: [a]\n", "options: has no effect"),
            ("ask: choose\ntake: text\n", "take: has no effect"),
            ("ask: generate\nanswer: {tolerance: -1}\n", "tolerance"),
            ("ask: generate\nanswer: {normalize: squad}\n", "normalize"),
            ("ask: choose\nprompt: {header: '{x}', question: a, answer: b}\n", "is not a placeholder"),
            ("ask: choose\nprompt: {question: '{a b}', answer: b}\n", "is not a placeholder"),
            ("ask: choose\nprompt: {question: a, answer: b, spans: {rule: c}}\n", "`rule` is not used"),
            (
                "ask: choose\nprompt: {question: a, answer: b, spans: {query: c}}\n",
                "no span can be called `query`",
            ),
        ] {
            let said = read(text).expect_err(text).to_string();
            assert!(said.contains(says), "{text}: {said}");
        }
    }
}
