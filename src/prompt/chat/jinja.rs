//! Jinja as transformers sets it up for chat templates (`utils/chat_template_utils.py`), on minijinja.
//!
//! Where minijinja would write something else than Jinja2 does, the template is refused or the difference is mended
//! here. `strftime_now` is left undefined: what depends on the date is no experiment.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, Value};
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

/// Instructions that rendering one prompt may take. The longest templates of models take some thousands; one that needs
/// more than this would keep the user waiting for every prompt, or for ever.
const FUEL: u64 = 1_000_000;

/// An environment without templates.
pub fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(write);
    environment.set_unknown_method_callback(method);
    environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, format!("it says `{message}`")))
    });
    environment.add_filter("tojson", tojson);
    environment.add_filter("trim", trim);
    environment
}

/// Python's `str.isspace`: also the four separators U+001C to U+001F.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Without the white space at its start, as Python strips it.
pub fn trim_start(text: &str) -> &str {
    text.trim_start_matches(is_space)
}

/// Values as Python's `str` writes them, as far as templates print them.
fn write(out: &mut Output, state: &State, value: &Value) -> Result<(), Error> {
    let python = match value.kind() {
        ValueKind::Bool if value.is_true() => "True",
        ValueKind::Bool => "False",
        ValueKind::None => "None",
        ValueKind::Undefined | ValueKind::String => return minijinja::escape_formatter(out, state, value),
        ValueKind::Number if value.is_integer() => return minijinja::escape_formatter(out, state, value),
        kind => {
            let message =
                format!("it prints a value of kind {kind}, which Python writes in a way of its own");
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
    };
    Ok(out.write_str(python)?)
}

/// The `trim` filter.
fn trim(value: &str, chars: Option<&str>) -> String {
    let strips = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    value.trim_matches(strips).into()
}

/// Methods of Python's strings, lists and dictionaries.
fn method(state: &State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    match (value.as_str(), name, args) {
        (Some(text), "strip", []) => Ok(text.trim_matches(is_space).into()),
        (Some(text), "lstrip", []) => Ok(trim_start(text).into()),
        (Some(text), "rstrip", []) => Ok(text.trim_end_matches(is_space).into()),
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args),
    }
}

/// Spaces that JSON is indented by at most.
const WIDEST: usize = 100;

/// `json.dumps(value, ensure_ascii=False, indent=indent)`.
fn tojson(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    options.assert_all_used()?;
    let failed =
        |error| Error::new(ErrorKind::InvalidOperation, "cannot be written as JSON").with_source(error);
    match indent {
        Some(width) if width > WIDEST => {
            Err(Error::new(ErrorKind::InvalidOperation, format!("it indents by {width} spaces")))
        }
        None => json(value, Spaced).map_err(failed),
        Some(width) => {
            json(value, PrettyFormatter::with_indent(" ".repeat(width).as_bytes())).map_err(failed)
        }
    }
}

fn json(value: &Value, formatter: impl Formatter) -> Result<String, serde_json::Error> {
    let mut out = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut out, formatter))?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// One line, with a space after `,` and `:` as Python has it.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: std::io::Write + ?Sized>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }
    fn begin_object_key<W: std::io::Write + ?Sized>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }
    fn begin_object_value<W: std::io::Write + ?Sized>(&mut self, out: &mut W) -> std::io::Result<()> {
        CompactFormatter.begin_object_value(out)?;
        out.write_all(b" ")
    }
}
