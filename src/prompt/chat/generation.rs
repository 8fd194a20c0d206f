//! `{% generation %}` ... `{% endgeneration %}`: in transformers the tags mark what the model itself has written, for
//! training. In a rendered text they are not seen, but what is set between them is not known after them. So each pair
//! becomes `{% with %}` ... `{% endwith %}`, which minijinja has.

/// The tags and what stands for them.
const TAGS: [(&str, &str); 2] = [("generation", "with"), ("endgeneration", "endwith")];

/// A template with its tags of generation as scopes. Control of white space stays as it is written.
pub fn as_scopes(template: &str) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find("{%").into_iter().chain(rest.find("{#")).chain(rest.find("{{")).min() {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let length = if rest.starts_with("{%") { statement(rest, &mut out) } else { copied(rest, &mut out) };
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

/// Copy a comment or an expression, and return its length.
fn copied(rest: &str, out: &mut String) -> usize {
    let length = match rest.starts_with("{#") {
        true => rest.find("#}").map_or(rest.len(), |end| end + 2),
        false => end_of(rest, "}}"),
    };
    out.push_str(&rest[..length]);
    length
}

/// Copy a statement, as a scope if it is a tag of generation, and return its length. Of `{% raw %}` all is copied up to
/// its end.
fn statement(rest: &str, out: &mut String) -> usize {
    let length = end_of(rest, "%}");
    let (tag, after) = rest.split_at(length);
    if name(tag) == "raw" {
        let raw = length + raw_length(after);
        out.push_str(&rest[..raw]);
        return raw;
    }
    match TAGS.into_iter().find(|(from, _)| only(tag, from)) {
        Some((from, to)) => out.push_str(&tag.replacen(from, to, 1)),
        None => out.push_str(tag),
    }
    length
}

/// The text between the ends of a statement, without the signs that control white space.
fn inside(tag: &str) -> &str {
    let inner = tag.strip_prefix("{%").unwrap_or(tag);
    let inner = inner.strip_suffix("%}").unwrap_or(inner);
    inner.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).trim()
}

/// The first word of a statement.
fn name(tag: &str) -> &str {
    inside(tag).split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// Whether a statement consists of this word.
fn only(tag: &str, word: &str) -> bool {
    tag.ends_with("%}") && inside(tag) == word
}

/// How long an expression or a statement is, strings in it skipped; up to the template's end if it has no end.
fn end_of(rest: &str, end: &str) -> usize {
    let bytes = rest.as_bytes();
    let (mut at, mut quote) = (2, None);
    while let Some(&byte) = bytes.get(at) {
        match (quote, byte) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if open == byte => quote = None,
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, _) if bytes[at..].starts_with(end.as_bytes()) => return at + end.len(),
            _ => {}
        }
        at += 1;
    }
    rest.len()
}

/// How much comes before the end of `{% endraw %}`, with it.
fn raw_length(after: &str) -> usize {
    let mut at = 0;
    while let Some(start) = after[at..].find("{%") {
        let tag = at + start;
        let Some(end) = after[tag..].find("%}") else { break };
        if only(&after[tag..tag + end + 2], "endraw") {
            return tag + end + 2;
        }
        at = tag + 2;
    }
    after.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_become_scopes_and_nothing_else_changes() {
        for (template, expected) in [
            ("a{% generation %}b{% endgeneration %}c", "a{% with %}b{% endwith %}c"),
            ("{%- generation -%}\n{%+endgeneration+%}", "{%- with -%}\n{%+endwith+%}"),
            ("{%generation%}{%\nendgeneration\n%}", "{%with%}{%\nendwith\n%}"),
            ("{{ '{% generation %}' }}", "{{ '{% generation %}' }}"),
            ("{{ \"\\\"}}{% generation %}\" }}", "{{ \"\\\"}}{% generation %}\" }}"),
            ("{# {% generation %} #}{% generation %}", "{# {% generation %} #}{% with %}"),
            (
                "{% raw %}{% generation %}{%- endraw %}{% generation %}",
                "{% raw %}{% generation %}{%- endraw %}{% with %}",
            ),
            ("{% set generation = '%}{% generation %}' %}", "{% set generation = '%}{% generation %}' %}"),
            ("{% if generation %}{% generation x %}", "{% if generation %}{% generation x %}"),
            ("{% generation", "{% generation"),
            ("{{ 'open", "{{ 'open"),
            ("{% raw %}{% é", "{% raw %}{% é"),
        ] {
            assert_eq!(as_scopes(template), expected);
        }
    }
}
