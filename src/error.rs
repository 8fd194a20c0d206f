//! The one error type that decides the exit code: what the user wrote is wrong, and here is how to mend it.

/// A mistake in the user's input: a flag, a file, a corpus, a model folder.
///
/// Its text is one sentence that names what was wrong, where (file, line, field) and what to do. Anywhere in an
/// error chain it makes the process exit with code 2; every other error exits with 1.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct InputError {
    text: String,
    mistake: Mistake,
}

/// What kind of mistake it is, for code that has to tell them apart. No code reads the text for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// Something is wrong.
    Wrong,
    /// A file or folder does not exist (yet).
    Absent,
}

impl InputError {
    /// What kind of mistake it is.
    pub fn mistake(&self) -> Mistake {
        self.mistake
    }
}

/// An [`anyhow::Error`] that holds an [`InputError`]. A message that quotes a long input keeps its beginning and its end.
pub fn input(message: impl Into<String>) -> anyhow::Error {
    InputError { text: shortened(message.into()), mistake: Mistake::Wrong }.into()
}

/// The same for a file or folder that does not exist.
pub fn absent(message: impl Into<String>) -> anyhow::Error {
    InputError { text: shortened(message.into()), mistake: Mistake::Absent }.into()
}

/// Whether an error says that a file or folder does not exist.
pub fn is_absent(error: &anyhow::Error) -> bool {
    error.downcast_ref::<InputError>().is_some_and(|error| error.mistake() == Mistake::Absent)
}

/// Bytes that are kept of the beginning of a long message, and of its end, where it says what to do.
const KEPT: [usize; 2] = [3000, 600];

fn shortened(message: String) -> String {
    let [begin, end] = KEPT;
    if message.len() <= 2 * (begin + end) {
        return message;
    }
    let boundary = |at: usize| (0..=at).rev().find(|&at| message.is_char_boundary(at)).unwrap_or(0);
    let (begin, end) = (boundary(begin), boundary(message.len() - end));
    format!("{} [{} bytes more] {}", &message[..begin], end - begin, &message[end..])
}

/// The known name nearest to what was written, if one is near enough to be a likely slip of the pen.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        // A longer one cannot be near, and comparing it would take time.
        .filter(|name| written.len() <= 2 * name.len() + 4)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_keeps_its_beginning_and_its_end() {
        let message = input(format!("field `{}` is unknown; remove it", "ä".repeat(100_000))).to_string();
        assert!(
            message.len() < 4000
                && message.starts_with("field `ä")
                && message.ends_with("ä` is unknown; remove it")
        );
        assert!(message.contains(" bytes more] "), "{message}");
        assert_eq!(input("short").to_string(), "short");
    }

    #[test]
    fn what_is_far_longer_is_near_to_nothing() {
        assert_eq!(nearest("layerz", ["layers", "mask"]), Some("layers"));
        assert_eq!(nearest(&"layers".repeat(1_000_000), ["layers", "mask"]), None);
    }
}
