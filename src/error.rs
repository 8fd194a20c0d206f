//! The one error type that decides the exit code: what the user wrote is wrong, and here is how to mend it.

/// A mistake in the user's input: a flag, a file, a corpus, a model folder.
///
/// Its text is one sentence that names what was wrong, where (file, line, field) and what to do. Anywhere in an
/// error chain it makes the process exit with code 2; every other error exits with 1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InputError(pub String);

/// An [`anyhow::Error`] that holds an [`InputError`].
pub fn input(message: impl Into<String>) -> anyhow::Error {
    InputError(message.into()).into()
}

/// The known name nearest to what was written, if one is near enough to be a likely slip of the pen.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&written.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= 2.max(name.len() / 3))
        .min()
        .map(|(_, name)| name)
}

/// `; did you mean NAME?` or the whole list of known names: the end of a sentence about an unknown name.
pub fn suggest(written: &str, known: &[&str]) -> String {
    match nearest(written, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`? (known: {})", known.join(", ")),
        None => format!("known: {}", known.join(", ")),
    }
}

/// Terminal escapes in a corpus, in a model's outputs or in names are shown, not obeyed.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{FFFD}' } else { c }).collect()
}
