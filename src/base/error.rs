//! The one error type that decides the exit code: what the user wrote is wrong, and here is how to mend it.

/// A mistake in the user's input: a flag, a file, a corpus, a model folder.
///
/// Its text is one sentence that names what was wrong, where (file, line, field) and what to do. Anywhere in an
/// error chain it makes the process exit with code 2 (see [`is_wrong_input`]); other errors exit with 1.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct InputError {
    text: String,
    mistake: Mistake,
}

/// Whether the user's input is what is wrong, and not the machine: an [`InputError`], or a name that the system cannot take for
/// what it was meant to be (too long, a folder for a file, a file for a folder).
pub fn is_wrong_input(error: &anyhow::Error) -> bool {
    use std::io::ErrorKind::{InvalidFilename, IsADirectory, NotADirectory};
    error.chain().any(|cause| {
        let kind = cause.downcast_ref().map(std::io::Error::kind);
        cause.is::<InputError>() || matches!(kind, Some(InvalidFilename | IsADirectory | NotADirectory))
    })
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

/// The same where the known names are too many for a sentence: `lists` is the command that lists them.
pub fn suggest_of_many(written: &str, known: &[&str], lists: &str) -> String {
    match nearest(written, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`? `{lists}` lists all {} names", known.len()),
        None => format!("`{lists}` lists all {} names", known.len()),
    }
}

/// Whether a terminal obeys this character or shows nothing for it, so that it can hide or reorder the text around it:
/// controls (C0, DEL, C1), controls of the writing direction, separators of lines and paragraphs, and format characters
/// without a shape (zero width spaces, word joiners, interlinear annotations, tags).
///
/// Line end and tab are not among them, nor what words are spelled with: the zero width joiner and non-joiner (Persian,
/// Hindi, emoji), the soft hyphen, variation selectors.
pub fn is_obeyed(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{61C}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' => true,
        '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}' => true,
        _ => c.is_control(),
    }
}

/// Terminal escapes in a corpus, in a model's outputs or in names are shown, not obeyed: each such character is `\u{FFFD}`.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if is_obeyed(c) { '\u{FFFD}' } else { c }).collect()
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
    fn nothing_that_a_terminal_obeys_is_printable() {
        let obeyed = "\u{0}\u{7}\u{8}\r\u{1b}\u{7f}\u{85}\u{9b}\u{61c}\u{200b}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}\u{feff}\u{e0041}";
        assert_eq!(printable(obeyed), "\u{FFFD}".repeat(obeyed.chars().count()));
        // Line ends, Persian's non-joiner, Hindi's joiner, a family, the narrow space before a French colon, a soft hyphen.
        for kept in
            ["a\n\tb", "می\u{200c}خواهم", "क\u{200d}ष", "👩\u{200d}👧", "ici\u{202f}: é", "so\u{ad}ft"]
        {
            assert_eq!(printable(kept), kept);
        }
    }

    #[test]
    fn what_is_far_longer_is_near_to_nothing() {
        assert_eq!(nearest("layerz", ["layers", "mask"]), Some("layers"));
        assert_eq!(nearest(&"layers".repeat(1_000_000), ["layers", "mask"]), None);
    }
}
