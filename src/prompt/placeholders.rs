//! `{source}` and `{target}` in the strings of a format. `{{` and `}}` are a brace, as in Python.

/// The placeholders there are.
pub const NAMES: [&str; 2] = ["source", "target"];

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

/// The string with the two names in it. A brace that [`wrong`] would name is left as it is.
pub fn fill(text: &str, source: &str, target: &str) -> String {
    let mut filled = String::new();
    for piece in pieces(text) {
        match piece {
            TextPiece::Text(text) | TextPiece::Brace(text) | TextPiece::Lone(text) => filled.push_str(text),
            TextPiece::Name("source") => filled.push_str(source),
            TextPiece::Name("target") => filled.push_str(target),
            TextPiece::Name(other) => {
                filled.push('{');
                filled.push_str(other);
                filled.push('}');
            }
        }
    }
    filled
}

/// A text that [`fill`] gives back as it is.
pub fn escaped(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

/// What is wrong with the braces of a string, as the end of a sentence; `None` if they are right.
pub fn wrong(text: &str) -> Option<String> {
    pieces(text).into_iter().find_map(|piece| match piece {
        TextPiece::Name(name) if !NAMES.contains(&name) => Some(format!(
            "`{{{name}}}` is not a placeholder; write {{source}} or {{target}} (the names of the languages), or {{{{ and }}}} \
             for braces"
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
            assert_eq!((wrong(text), fill(text, "English", "French").as_str()), (None, filled));
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
            let wrong = wrong(text).unwrap_or_default();
            assert!(wrong.starts_with(what), "{text}: {wrong}");
        }
        assert_eq!(fill("{src} {", "a", "b"), "{src} {");
    }

    #[test]
    fn a_name_is_not_filled_again() {
        assert_eq!(fill("{source}", "{target}", "x"), "{target}");
    }
}
