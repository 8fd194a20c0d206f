//! Placeholders in the strings of a format: `{source}` and `{target}`, which are the names of the languages, spans of the format's
//! own, and columns of the items. `{{` and `}}` are a brace, as in Python.

use std::collections::BTreeMap;

/// The placeholders that mean languages.
pub const NAMES: [&str; 2] = ["source", "target"];

/// Texts of spans by their names.
pub type SpanTexts = BTreeMap<String, String>;

/// A piece of a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextPiece<'a> {
    /// As it is.
    Text(&'a str),
    /// A doubled brace.
    Brace(&'a str),
    /// What is between two braces.
    Name(&'a str),
    /// A brace that is neither doubled nor part of a placeholder.
    Lone(&'a str),
}

fn pieces(text: &str) -> Vec<TextPiece<'_>> {
    let (mut rest, mut all) = (text, Vec::new());
    while let Some(at) = rest.find(['{', '}']) {
        all.push(TextPiece::Text(&rest[..at]));
        let brace = &rest[at..at + 1];
        let after = &rest[at + 1..];
        let (piece, left) = match after.strip_prefix(brace) {
            Some(left) => (TextPiece::Brace(brace), left),
            None => match after.find(['{', '}', '\n']) {
                Some(end) if brace == "{" && after[end..].starts_with('}') => {
                    (TextPiece::Name(&after[..end]), &after[end + 1..])
                }
                _ => (TextPiece::Lone(brace), after),
            },
        };
        all.push(piece);
        rest = left;
    }
    all.push(TextPiece::Text(rest));
    all
}

/// A piece of a string whose languages and spans are filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilledPiece {
    /// Text.
    Text(String),
    /// A span of the format: its name and its text.
    Span(String, String),
    /// A column of each item.
    Column(String),
}

/// The string in pieces, with the names of the two languages in it. A brace that [`wrong`] would name is left as it is.
pub fn filled(text: &str, languages: [&str; 2], spans: &SpanTexts) -> Vec<FilledPiece> {
    let piece = |piece: TextPiece| match piece {
        TextPiece::Text(text) | TextPiece::Brace(text) | TextPiece::Lone(text) => {
            FilledPiece::Text(text.into())
        }
        TextPiece::Name("source") => FilledPiece::Text(languages[0].into()),
        TextPiece::Name("target") => FilledPiece::Text(languages[1].into()),
        TextPiece::Name(name) => match spans.get(name) {
            Some(text) => FilledPiece::Span(name.into(), fill(text, languages, &SpanTexts::new())),
            None => FilledPiece::Column(name.into()),
        },
    };
    pieces(text).into_iter().map(piece).collect()
}

/// The string with languages and spans in it. A column is left as it is written.
pub fn fill(text: &str, languages: [&str; 2], spans: &SpanTexts) -> String {
    let piece = |piece: FilledPiece| match piece {
        FilledPiece::Text(text) | FilledPiece::Span(_, text) => text,
        FilledPiece::Column(name) => format!("{{{name}}}"),
    };
    filled(text, languages, spans).into_iter().map(piece).collect()
}

/// The placeholders of a string that mean no language.
pub fn others(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).into_iter().filter_map(|piece| match piece {
        TextPiece::Name(name) if !NAMES.contains(&name) => Some(name),
        _ => None,
    })
}

/// A text that [`fill`] gives back as it is.
pub fn escaped(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

/// What is wrong with the braces of a string, as the end of a sentence; `None` if they are right. `is_known` says which names may
/// be written beside the languages'.
pub fn wrong(text: &str, is_known: impl Fn(&str) -> bool) -> Option<String> {
    pieces(text).into_iter().find_map(|piece| match piece {
        TextPiece::Name(name) if !NAMES.contains(&name) && !is_known(name) => Some(format!(
            "`{{{name}}}` is not a placeholder; write {{source}} or {{target}} (the names of the languages), a name from `spans`, \
             or {{{{ and }}}} for braces"
        )),
        TextPiece::Lone(brace) => Some(format!("a single `{brace}`; write {brace}{brace} for a brace")),
        _ => None,
    })
}

/// Whether a string has a placeholder.
pub fn names_any(text: &str) -> bool {
    pieces(text).iter().any(|piece| matches!(piece, TextPiece::Name(name) if NAMES.contains(name)))
}

/// Whether a string has a doubled brace.
pub fn has_escapes(text: &str) -> bool {
    pieces(text).iter().any(|piece| matches!(piece, TextPiece::Brace(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `text.format(source="English", target="French")` of Python 3.11.
    #[test]
    fn braces_are_read_as_python_reads_them() {
        for (text, filled) in [
            ("Translate {source} to {target}:", "Translate English to French:"),
            ("{{{source}}}", "{English}"),
            ("{{source}}", "{source}"),
            ("}}{{", "}{"),
            ("{{\"a\": 1}}", "{\"a\": 1}"),
            ("{{{{target}}}}", "{{target}}"),
            ("", ""),
        ] {
            let languages = ["English", "French"];
            assert_eq!(
                (wrong(text, |_| false), fill(text, languages, &SpanTexts::new()).as_str()),
                (None, filled)
            );
        }
    }

    /// Python raises KeyError or ValueError.
    #[test]
    fn what_python_refuses_is_refused() {
        for (text, what) in [
            ("{src}", "`{src}` is not a placeholder; write {source}"),
            ("{ source }", "`{ source }` is not a placeholder"),
            ("{}", "`{}` is not a placeholder"),
            ("{source", "a single `{`; write {{ for a brace"),
            ("source}", "a single `}`; write }} for a brace"),
            ("{a{source}", "a single `{`"),
            ("{source}}}}", "a single `}`"),
            ("{\n}", "a single `{`"),
        ] {
            let wrong = wrong(text, |_| false).unwrap_or_default();
            assert!(wrong.starts_with(what), "{text}: {wrong}");
        }
        assert_eq!(fill("{src} {", ["a", "b"], &SpanTexts::new()), "{src} {");
    }

    #[test]
    fn a_name_is_not_filled_again() {
        assert_eq!(fill("{source}", ["{target}", "x"], &SpanTexts::new()), "{target}");
        let spans = SpanTexts::from([("rule".into(), "Say {{it}} in {target}.".into())]);
        let text = "A {rule} B {document}";
        assert_eq!(fill(text, ["x", "French"], &spans), "A Say {it} in French. B {document}");
        assert_eq!(others(text).collect::<Vec<_>>(), ["rule", "document"]);
        assert_eq!(
            wrong(text, |name| spans.contains_key(name)).map(|said| said.starts_with("`{document}`")),
            Some(true)
        );
    }
}
