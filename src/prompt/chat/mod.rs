//! A model's chat template: what it writes around the prompt.
//!
//! The whole prompt (instructions, examples and query) is the content of one user message. Rendered once with a
//! stand-in for the prompt, the template shows what it writes before and after it, whatever the prompt; every prompt is
//! then rendered too and must come out between those two unchanged, white space at its ends aside.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::quantized::gguf_file;
use minijinja::{Environment, Error, ErrorKind, Value};

mod generation;
mod jinja;

use super::tokenizer::files::Beside;
use crate::base::allowance::within;
use crate::base::caught::quietly;
use crate::base::error::input;
use crate::base::hash::Hash;
use crate::base::inputs::{self, MOST_SETTINGS};

/// The name of the one template in its environment.
const NAME: &str = "chat_template";
/// Stands for the prompt: private-use characters, which no template writes itself, and no white space at the ends.
const STAND_IN: &str = "\u{e0f1}the prompt\u{e0f2}";

/// Bytes of a template at most.
const LONGEST: usize = 256 << 10;
/// Bytes that rendering may hold, beside some copies of the prompt: published templates need a few hundred thousand.
const ROOM: usize = 16 << 20;
/// Copies of the prompt and the template that rendering may hold.
const COPIES: usize = 64;

/// A template's text, with where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateSource {
    /// The template.
    pub text: String,
    /// For messages: a file, or a field of one.
    pub place: String,
}

impl TemplateSource {
    /// A template in a file of its own.
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) when it cannot be read.
    pub fn file(path: &Path) -> Result<Self> {
        let place = path.display().to_string();
        let text = inputs::text(path, MOST_SETTINGS).map_err(|trouble| trouble.about(path))?;
        Ok(Self { text, place })
    }

    /// The model's own, from the files beside its `tokenizer.json`.
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) when it has none.
    pub fn beside(tokenizer: &Path) -> Result<Self> {
        match Beside::read(tokenizer)?.chat_template()? {
            Some((text, place)) => Ok(Self { text, place }),
            None => Err(none(&format!(
                "neither chat_template.jinja nor `chat_template` in tokenizer_config.json is beside {}",
                tokenizer.display()
            ))),
        }
    }

    /// The model's own, from a GGUF file's metadata.
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) when it has none.
    pub fn gguf(metadata: &HashMap<String, gguf_file::Value>) -> Result<Self> {
        let place = "the GGUF file's `tokenizer.chat_template`".to_string();
        match metadata.get("tokenizer.chat_template") {
            Some(gguf_file::Value::String(text)) => Ok(Self { text: text.clone(), place }),
            Some(_) => Err(input(format!("{place} is not a text: fetch or convert the file again"))),
            None => Err(none("the GGUF file has no `tokenizer.chat_template`")),
        }
    }
}

fn none(why: &str) -> anyhow::Error {
    input(format!(
        "--chat-template: the model has no chat template of its own ({why}); write --chat-template false, choose an \
         instruction-tuned model, or give a template with --chat-template FILE"
    ))
}

/// A chat template, compiled.
pub struct ChatTemplate {
    environment: Arc<Environment<'static>>,
    place: String,
    sha256: String,
    /// `bos_token` and the like.
    roles: BTreeMap<String, String>,
    opening: String,
    closing: String,
}

impl ChatTemplate {
    /// Compile a template for a tokenizer whose special tokens have these texts by role.
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) when the template cannot be read, fails, asks for the date, or does
    /// not write the message exactly once.
    pub fn new(source: TemplateSource, roles: &BTreeMap<String, String>) -> Result<Self> {
        let TemplateSource { text, place } = source;
        let mut sha256 = Hash::default();
        sha256.bytes(&text);
        if text.len() > LONGEST {
            return Err(input(format!(
                "the chat template {place} is longer than {LONGEST} bytes; is this a chat template?"
            )));
        }
        let text = generation::as_scopes(&text.replace("\r\n", "\n").replace('\r', "\n"));
        let compiled = with_room(&place, text.len(), || {
            let mut environment = jinja::environment();
            environment.add_template_owned(NAME, text).map(|()| environment)
        })?;
        let environment = Arc::new(compiled.map_err(|error| refused(&place, &error, ""))?);
        let (opening, closing) = (String::new(), String::new());
        let mut template =
            Self { environment, place, sha256: sha256.hex(), roles: roles.clone(), opening, closing };
        let rendered = template.render(STAND_IN)?;
        let parts: Vec<&str> = rendered.split(STAND_IN).collect();
        let [opening, closing] = parts[..] else {
            return Err(input(format!(
                "the chat template {} writes the message {} times, but it must write it once and unchanged, so \
                 that the prompt's segments can be found: give another template with --chat-template FILE",
                template.place,
                parts.len() - 1
            )));
        };
        (template.opening, template.closing) = (opening.into(), closing.into());
        Ok(template)
    }

    /// What it writes before the prompt, BOS included where it writes one.
    pub fn opening(&self) -> &str {
        &self.opening
    }

    /// What it writes after the prompt, up to where the model's answer begins.
    pub fn closing(&self) -> &str {
        &self.closing
    }

    /// sha256 of the template's text.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The bytes of `prompt` that stand in the rendered text: all of them, or without the white space at the ends that
    /// many templates trim.
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) when the template fails or changes the prompt in another way.
    pub fn kept(&self, prompt: &str) -> Result<Range<usize>> {
        let rendered = self.render(prompt)?;
        let between = rendered
            .strip_prefix(self.opening.as_str())
            .and_then(|rest| rest.strip_suffix(self.closing.as_str()));
        between.filter(|kept| !kept.is_empty()).and_then(|kept| place_of(prompt, kept)).ok_or_else(|| {
            input(format!(
                "the chat template {} changes the prompt, or what it writes around it depends on the prompt, so that \
                 segments cannot be told: give another template with --chat-template FILE",
                self.place
            ))
        })
    }

    /// What transformers' `apply_chat_template` renders for one user message, with the generation prompt.
    fn render(&self, content: &str) -> Result<String> {
        let (environment, roles, content) =
            (self.environment.clone(), self.roles.clone(), content.to_string());
        let rendered = with_room(&self.place, content.len(), move || {
            let message = BTreeMap::from([("role", "user"), ("content", content.as_str())]);
            let roles = roles.iter().map(|(role, token)| (role.as_str(), Value::from(token.as_str())));
            let own = [
                ("messages", Value::from_serialize([message])),
                ("tools", Value::from(())),
                ("documents", Value::from(())),
                ("add_generation_prompt", Value::from(true)),
                // An answer is asked for, not what a model thinks before it (Qwen3, SmolLM3).
                ("enable_thinking", Value::from(false)),
            ];
            let context: BTreeMap<&str, Value> = roles.chain(own).collect();
            environment.get_template(NAME)?.render(context)
        })?;
        rendered.map_err(|error| {
            let template = self.environment.get_template(NAME);
            refused(&self.place, &error, template.as_ref().map_or("", |template| template.source()))
        })
    }
}

/// Compile or render, with a bound on memory. The engine goes down into what nests, link by link of a chain of operators:
/// where the stack is large enough for the longest chain that a template can be.
fn with_room<T: Send + 'static>(
    place: &str,
    length: usize,
    call: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let room = ROOM + COPIES * length;
    match within(room, || quietly(call)).context("to render the chat template in")? {
        Some(Ok(made)) => Ok(made),
        Some(Err(why)) => Err(input(format!(
            "the chat template {place} makes the template engine fail ({why}); give another with --chat-template FILE"
        ))),
        None => Err(input(format!(
            "the chat template {place} needs more than {} MiB of memory for one user message; give another with \
             --chat-template FILE",
            room >> 20
        ))),
    }
}

/// Where `kept` stands in `prompt`, if nothing but white space stands around it.
fn place_of(prompt: &str, kept: &str) -> Option<Range<usize>> {
    let first = prompt.len() - jinja::trim_start(prompt).len();
    let starts = prompt.char_indices().map(|(at, _)| at).take_while(|&at| at <= first);
    starts.map(|start| start..start + kept.len()).find(|range| {
        prompt.get(range.clone()) == Some(kept) && jinja::trim_start(&prompt[range.end..]).is_empty()
    })
}

/// The error for a template that the engine or the template itself refuses; `source` is its text.
fn refused(place: &str, error: &Error, source: &str) -> anyhow::Error {
    let detail = error.detail().map_or_else(|| error.to_string(), String::from);
    // Within a macro the engine looks the name up as a variable and does not tell which one it was.
    let called = error.line().and_then(|line| source.lines().nth(line.saturating_sub(1)));
    let dated = match error.kind() {
        ErrorKind::UnknownFunction => detail.contains("strftime_now"),
        _ => detail.contains("not callable") && called.is_some_and(|line| line.contains("strftime_now")),
    };
    if dated {
        return input(format!(
            "the chat template {place} writes today's date and has no fixed one to fall back on, so a prompt would \
             change from day to day: copy it to a file, replace `strftime_now(...)` by a date, and give it with \
             --chat-template FILE"
        ));
    }
    let line = error.line().map_or(String::new(), |line| format!(" (line {line})"));
    input(format!(
        "the chat template {place} cannot be used for one user message{line}: {detail}; give another with \
         --chat-template FILE"
    ))
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatTemplate")
            .field("place", &self.place)
            .field("opening", &self.opening)
            .field("closing", &self.closing)
            .finish_non_exhaustive()
    }
}
