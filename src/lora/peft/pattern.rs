//! Regular expressions as Python's `re` reads them, which PEFT uses to name modules.

use tokenizers::utils::SysRegex;

/// A regular expression that Python and this program read alike.
#[derive(Debug)]
pub struct Pattern(SysRegex);

/// What may follow `(?`: groups, looking ahead, looking back.
const GROUPS: [&str; 5] = [":", "=", "!", "<=", "<!"];
/// Letters that mean the same in both after a backslash.
const CLASSES: &str = "dDwWsSbBAZ";

impl Pattern {
    /// An expression that must match a whole name, as `re.fullmatch` asks. `None` for what Python may read otherwise.
    pub fn whole(expression: &str) -> Option<Self> {
        Self::new(expression, "")
    }

    /// An expression that must match the end of a name from a dot on, or all of it: `re.match(rf"(.*\.)?({key})$", name)`.
    pub fn end(expression: &str) -> Option<Self> {
        Self::new(expression, r"(?:.*\.)?")
    }

    fn new(expression: &str, before: &str) -> Option<Self> {
        let known = is_read_alike(expression);
        // What is wrong by itself must not become right inside of a group.
        let alone = known.then(|| SysRegex::new(expression).ok()).flatten();
        alone.and_then(|_| SysRegex::new(&format!("^{before}(?:{expression})$")).ok()).map(Self)
    }

    /// Whether a module's name is meant.
    pub fn matches(&self, name: &str) -> bool {
        self.0.find_iter(name).next().is_some()
    }
}

/// Whether an expression holds nothing that the two languages of expressions read in two ways.
fn is_read_alike(expression: &str) -> bool {
    let (mut rest, mut in_class) = (expression, false);
    while let Some(next) = rest.chars().next() {
        rest = &rest[next.len_utf8()..];
        let wrong = match next {
            '\\' => {
                let Some(escaped) = rest.chars().next() else { return false };
                rest = &rest[escaped.len_utf8()..];
                let class = CLASSES.contains(escaped) && !(in_class && "bBAZ".contains(escaped));
                let plain = escaped.is_ascii_punctuation() && !"<>".contains(escaped);
                !(class || plain)
            }
            '[' if in_class => true,
            '[' => {
                in_class = true;
                // A bracket that comes first is a plain character.
                let first = rest.strip_prefix('^').unwrap_or(rest);
                first.starts_with(']')
            }
            ']' if in_class => {
                in_class = false;
                false
            }
            '&' | '-' | '~' if in_class => rest.starts_with(next),
            '(' if !in_class => rest.strip_prefix('?').is_some_and(|kind| {
                let named = kind.strip_prefix("P<").is_some_and(|name| name.contains('>'));
                !named && !GROUPS.iter().any(|known| kind.starts_with(known))
            }),
            _ => false,
        };
        if wrong {
            return false;
        }
    }
    !in_class
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_a_pattern_is_the_end_of_a_name() {
        let name = "model.layers.0.self_attn.q_proj";
        for (key, expected) in [
            ("q_proj", true),
            ("self_attn.q_proj", true),
            ("_proj", false),
            ("proj", false),
            (r"layers\.0\..*", true),
            (r"^model.layers.0.self_attn.q_proj", true),
            ("^q_proj", false),
            ("k_proj|q_proj", true),
            ("self_attn", false),
            (r"layers\.[1-9]\..*", false),
        ] {
            assert_eq!(Pattern::end(key).unwrap().matches(name), expected, "{key}");
        }
    }

    #[test]
    fn a_whole_expression_is_the_whole_name() {
        let name = "model.language_model.layers.12.mlp.up_proj";
        for (expression, expected) in [
            (r".*\.up_proj", true),
            ("up_proj", false),
            (r"(?:.*?(?:language|text).*?(?:mlp|attn).*?(?:k_proj|up_proj).*?)", true),
            (r"(?:\bmodel\.layers\.[\d]{1,}\.(?:mlp)\.(?:up_proj))", false),
            (r"^(?!.*visual).*(?:down|up)_proj$", true),
            (r"^(model.language_model(?=\.).*\.(up_proj|q_proj))$", true),
            (r".*layers\.(1[0-9])\..*", true),
        ] {
            assert_eq!(Pattern::whole(expression).unwrap().matches(name), expected, "{expression}");
        }
    }

    #[test]
    fn what_python_reads_otherwise_is_not_read() {
        for expression in [
            r"a\1", "[[a]", "[a&&b]", r"\<a", r"a\h", "(?#x)a", "(?i)a", "(?P=n)", "(", "[]a]", "*a", "a)(b",
            r"a\",
        ] {
            assert!(Pattern::whole(expression).is_none(), "{expression}");
        }
    }
}
