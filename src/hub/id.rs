//! `owner/name[@revision]`, checked before it becomes part of an address or a path.

use std::fmt;
use std::str::FromStr;

use crate::base::error::input;

/// A model of the hub: `owner/name[@revision]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelId {
    /// `owner/name`.
    pub repo: String,
    /// A branch, a tag, a commit or `refs/pr/N`; `None` is `main`.
    pub revision: Option<String>,
}

impl ModelId {
    /// The revision asked for.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }
}

impl FromStr for ModelId {
    type Err = anyhow::Error;

    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) that says which part is not as the hub allows it.
    fn from_str(written: &str) -> Result<Self, Self::Err> {
        let wrong = |why: &str| {
            input(format!(
                "`{}` is no model of the hub: {why}; write owner/name or owner/name@revision",
                written.escape_debug()
            ))
        };
        let (repo, revision) = match written.split_once('@') {
            Some((repo, revision)) => (repo, Some(revision)),
            None => (written, None),
        };
        let Some((owner, name)) = repo.split_once('/') else { return Err(wrong("it has no owner")) };
        if written.contains("://") || name.contains('/') {
            return Err(wrong("it has more than one slash before the revision"));
        }
        for (part, what) in [(owner, "owner"), (name, "name")] {
            check_name(part).map_err(|why| wrong(&format!("its {what} {why}")))?;
        }
        if let Some(revision) = revision {
            check_revision(revision).map_err(|why| wrong(&format!("its revision {why}")))?;
        }
        Ok(Self { repo: repo.into(), revision: revision.map(Into::into) })
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repo)?;
        match &self.revision {
            Some(revision) => write!(f, "@{revision}"),
            None => Ok(()),
        }
    }
}

/// The hub's own rules for an owner and a name (`validate_repo_id` of huggingface_hub).
fn check_name(part: &str) -> Result<(), &'static str> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match part {
        "" => Err("is empty"),
        _ if part.len() > 96 => Err("is longer than 96 characters"),
        _ if !part.chars().all(|c| word(c) || "-.".contains(c)) => {
            Err("has a character other than letters, digits, `-`, `_` and `.`")
        }
        _ if !part.starts_with(word) || !part.ends_with(word) => Err("begins or ends with `-` or `.`"),
        _ if part.contains("--") || part.contains("..") => Err("has `--` or `..` in it"),
        _ if part.ends_with(".git") => Err("ends with `.git`"),
        _ => Ok(()),
    }
}

/// Stricter than git: a revision becomes part of an address and the path of a file in `refs/`.
fn check_revision(revision: &str) -> Result<(), &'static str> {
    let known = |c: char| c.is_ascii_alphanumeric() || "-_.+/".contains(c);
    match revision {
        "" => Err("is empty"),
        _ if revision.len() > 200 => Err("is longer than 200 characters"),
        _ if !revision.chars().all(known) => {
            Err("has a character other than letters, digits, `-`, `_`, `.`, `+` and `/`")
        }
        _ if revision.contains("..") => Err("has `..` in it"),
        _ if revision.split('/').any(|part| part.is_empty() || part.starts_with(['.', '-'])) => {
            Err("has an empty part, or one that begins with `.` or `-`")
        }
        _ => Ok(()),
    }
}

/// Whether it is a full commit: 40 hexadecimal digits, as the hub writes them.
pub(super) fn is_commit(text: &str) -> bool {
    is_hex(text, 40)
}

/// Exactly `length` lowercase hexadecimal digits: safe as a file's name.
pub(super) fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_ids_survive_the_round_trip() {
        for written in ["a/b", "Qwen/Qwen2.5-0.5B", "meta-llama/Llama-2-7b-hf@refs/pr/1", "o_/n@v1.0+x"] {
            assert_eq!(written.parse::<ModelId>().unwrap().to_string(), written);
        }
        assert_eq!("a/b".parse::<ModelId>().unwrap().revision(), "main");
    }

    #[test]
    fn bad_ids_are_refused() {
        let bad = "gpt2|a/b/c|/b|a/|../b|a/..|a/b..c|a/b--c|a/.b|a/b-|a/b.git|a b/c|a/b@|a/b@../x|a/b@/x|a/b@x/|\
                   a/b@x//y|a/b@.x|a/b@-x|a/b@x y|a/b@x?y|a/b@x%2e|a/b@x@y|https://huggingface.co/a/b|a\\b/c|ä/b|a/b\n";
        for written in bad.split('|') {
            assert!(written.parse::<ModelId>().is_err(), "{written:?} was accepted");
        }
        assert!(format!("a/{}", "x".repeat(97)).parse::<ModelId>().is_err());
    }
}
