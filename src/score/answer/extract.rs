//! What a regular expression takes out of an answer, as the `regex` filter of lm-evaluation-harness does.

use anyhow::Context;
use fancy_regex::{Captures, Regex};

use super::super::python::strip;
use super::Pick;
use crate::base::error::input;

/// What is compared where the expression matches nothing, as in lm-evaluation-harness.
pub const INVALID: &str = "[invalid]";

/// A regular expression whose match takes the place of an answer.
///
/// It is read as Python's `re` reads it, without the flags `a`, `L` and `u`. What Python does not know (`\G`, `\K`, `\h`,
/// `\p{...}`) is read as `fancy_regex` does.
#[derive(Debug, Clone)]
pub struct Extract {
    written: String,
    search: Regex,
    /// The same, but it matches no empty text where the search begins.
    advance: Regex,
}

impl PartialEq for Extract {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Extract {
    /// The expression as it is written.
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) for an expression that cannot be read.
    pub fn new(written: &str) -> anyhow::Result<Self> {
        let pattern = from_python(written);
        let compiled = |pattern: &str| {
            Regex::new(pattern).map_err(|error| {
                let error = error.to_string();
                let error = error.split_whitespace().collect::<Vec<_>>().join(" ");
                input(format!("extract: `{written}` is no regular expression ({error}); correct it"))
            })
        };
        // A comment at the end would take the parenthesis in.
        let end = if has_flag(written, 'x', ")") { "\n" } else { "" };
        let advance = format!("(?:{pattern}{end})(?!\\G)");
        Ok(Self { written: written.into(), search: compiled(&pattern)?, advance: compiled(&advance)? })
    }

    /// The expression as it was written.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// What the expression takes out of a text: of the first or the last of the matches that Python's `re.findall` has, the
    /// group (of several groups, the first that is not empty; without groups, the whole match), without white space around
    /// it. It is [`INVALID`] where nothing matches, or where several groups are all empty.
    ///
    /// # Errors
    /// The expression goes back over this text so often that the search was given up.
    pub fn apply(&self, text: &str, which: Pick) -> anyhow::Result<String> {
        let (mut picked, mut from, mut advance) = (None, 0, false);
        loop {
            let regex = if advance { &self.advance } else { &self.search };
            let found = regex
                .captures_from_pos(text, from)
                .with_context(|| format!("extract: the search for `{}` was given up", self.written))?;
            let Some((captures, whole)) = found.and_then(|found| found.get(0).map(|whole| (found, whole)))
            else {
                break;
            };
            (from, advance) = (whole.end(), whole.start() == whole.end());
            picked = Some(taken(&captures));
            if which == Pick::First {
                break;
            }
        }
        Ok(picked.flatten().map_or(INVALID, strip).to_owned())
    }
}

/// What lm-evaluation-harness takes of a match; `None` where several groups are all empty.
fn taken<'a>(captures: &Captures<'a>) -> Option<&'a str> {
    let group = |index: usize| captures.get(index).map_or("", |group| group.as_str());
    match captures.len() {
        0 | 1 => Some(group(0)),
        2 => Some(group(1)),
        groups => (1..groups).map(group).find(|text| !text.is_empty()),
    }
}

/// Python's `\w` as the inside of a class: no combining marks.
const WORD: &str = r"\p{L}\p{N}_";
/// Python's `\s` as the inside of a class: the information separators too.
const SPACE: &str = r"\s\x1c-\x1f";

/// A Python expression in the syntax of `fancy_regex`, where the two would read the same characters differently: `\w`, `\b`
/// and `\s`; `$` also matches before a line end that ends the text, `\Z` only at the very end; `\<` and `\>` are
/// characters, and in a class `[`, `&` and `~` are.
fn from_python(written: &str) -> String {
    let multiline = has_flag(written, 'm', "):-");
    let mut out = String::with_capacity(written.len() + 16);
    let (mut in_class, mut characters) = (false, written.chars().peekable());
    while let Some(c) = characters.next() {
        match (c, in_class) {
            ('\\', _) => match characters.next() {
                Some(escaped) => out.push_str(&escape_from_python(escaped, in_class)),
                None => out.push('\\'),
            },
            ('[', false) => {
                in_class = true;
                out.push('[');
                out.extend(characters.next_if_eq(&'^'));
                if characters.next_if_eq(&']').is_some() {
                    out.push_str("\\]");
                }
            }
            (']', true) => {
                in_class = false;
                out.push(']');
            }
            ('[' | '&' | '~', true) => out.extend(['\\', c]),
            ('$', false) if !multiline => out.push_str("(?=\\n?\\z)"),
            _ => out.push(c),
        }
    }
    out
}

/// What a backslash and this character mean.
fn escape_from_python(escaped: char, in_class: bool) -> String {
    match (escaped, in_class) {
        ('w', true) => WORD.into(),
        ('s', true) => SPACE.into(),
        ('w', false) => format!("[{WORD}]"),
        ('s', false) => format!("[{SPACE}]"),
        ('W', _) => format!("[^{WORD}]"),
        ('S', _) => format!("[^{SPACE}]"),
        ('b', false) => format!("(?:(?<=[{WORD}])(?![{WORD}])|(?<![{WORD}])(?=[{WORD}]))"),
        ('B', false) => format!("(?:(?<=[{WORD}])(?=[{WORD}])|(?<![{WORD}])(?![{WORD}]))"),
        ('Z', false) => "\\z".into(),
        ('<' | '>', _) => escaped.into(),
        _ => format!("\\{escaped}"),
    }
}

/// Whether the expression sets a flag, where one of `ends` follows the flags: `)` for all of it, `:` or `-` for a group.
fn has_flag(written: &str, flag: char, ends: &str) -> bool {
    written.split("(?").skip(1).any(|after| {
        let rest = after.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        rest.starts_with(|end| ends.contains(end)) && after[..after.len() - rest.len()].contains(flag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(pattern: &str, text: &str, which: Pick) -> String {
        Extract::new(pattern).expect("is valid").apply(text, which).expect("is found or not")
    }

    #[test]
    fn groups_are_taken_as_by_findall() {
        let text = "x #### 1,000 y #### 2";
        assert_eq!(taken(r"#### (\-?[0-9\.\,]+)", text, Pick::First), "1,000");
        assert_eq!(taken(r"#### (\-?[0-9\.\,]+)", text, Pick::Last), "2");
        assert_eq!(taken(r"(-?[$0-9.,]{2,})|(-?[0-9]+)", "a 5 b", Pick::First), "5");
        assert_eq!(taken("(q)?(r)?x", "x", Pick::First), INVALID);
        assert_eq!(taken("(q)?x", "x", Pick::First), "");
        assert_eq!(taken(".*", "abc", Pick::Last), "", "Python finds the empty end too");
        assert_eq!(taken("|x", "x", Pick::First), "");
    }

    #[test]
    fn a_class_and_a_dollar_are_pythons() {
        assert_eq!(taken(r"[[(]([A-Z])[])]$", "so [B]\n", Pick::First), "B");
        assert_eq!(taken(r"[a&&~]+", "b a&~ c", Pick::First), "a&~");
        assert_eq!(taken(r"b\Z", "b\n", Pick::First), INVALID);
        assert_eq!(taken(r"(?m)^(\w+)$", "one\ntwo", Pick::Last), "two");
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_what_takes_too_long_is_an_error() {
        let error = Extract::new("(a").expect_err("is invalid").to_string();
        assert!(error.starts_with("extract: `(a` is no regular expression"), "{error}");
        let slow = Extract::new(r"(?=(a+)+b)(a*)*\1c").expect("is valid");
        let error = slow.apply(&"a".repeat(60), Pick::First).expect_err("takes too long");
        assert!(error.to_string().contains("given up"), "{error}");
    }
}
