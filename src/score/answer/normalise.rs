//! What two short answers may differ in and still be the same.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::python::{is_word, lower, words};
use crate::base::error::{input, suggest};

/// What is taken out of answers before they are compared. The steps are done in the order of the fields.
///
/// `case`, `punctuation` and `numbers` are the three switches of lm-evaluation-harness' `exact_match`. With
/// [`Normalise::SQUAD`] the result is that of SQuAD's `normalize_answer`. The goldens compare both with Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Normalise {
    /// Lower case, as Python's `str.lower` makes it.
    pub case: bool,
    /// The 32 ASCII punctuation marks are removed, and no others.
    pub punctuation: bool,
    /// The digits `0` to `9` are removed, and no others.
    pub numbers: bool,
    /// The words `a`, `an` and `the` become a space, where they are written in lower case.
    pub articles: bool,
    /// Every stretch of white space becomes one space, and there is none at the ends.
    pub spaces: bool,
}

/// The words of the steps, in their order.
const STEPS: [&str; 5] = ["case", "punctuation", "numbers", "articles", "spaces"];
/// The names of the presets.
const PRESETS: [(&str, Normalise); 2] = [("none", Normalise::NONE), ("squad", Normalise::SQUAD)];

impl Normalise {
    /// The preset `none`: answers are compared as they are.
    pub const NONE: Self =
        Self { case: false, punctuation: false, numbers: false, articles: false, spaces: false };
    /// The preset `squad`: all steps but `numbers`.
    pub const SQUAD: Self =
        Self { case: true, punctuation: true, numbers: false, articles: true, spaces: true };

    /// A text without what does not count.
    pub fn apply(&self, text: &str) -> String {
        let mut text = if self.case { lower(text) } else { text.to_owned() };
        let gone =
            |c: char| self.punctuation && c.is_ascii_punctuation() || self.numbers && c.is_ascii_digit();
        text.retain(|c| !gone(c));
        if self.articles {
            text = without_articles(&text);
        }
        if self.spaces {
            text = words(&text).collect::<Vec<_>>().join(" ");
        }
        text
    }

    fn flags(self) -> [bool; 5] {
        [self.case, self.punctuation, self.numbers, self.articles, self.spaces]
    }

    /// The steps of a list of words.
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) for a word that is no step.
    pub fn steps(list: &[String]) -> anyhow::Result<Self> {
        if let Some(unknown) = list.iter().find(|word| !STEPS.contains(&word.as_str())) {
            return Err(input(format!("normalise: unknown step `{unknown}`; {}", suggest(unknown, &STEPS))));
        }
        let [case, punctuation, numbers, articles, spaces] =
            STEPS.map(|step| list.iter().any(|word| word == step));
        Ok(Self { case, punctuation, numbers, articles, spaces })
    }

    /// The preset of this name.
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) for any other word.
    pub fn preset(name: &str) -> anyhow::Result<Self> {
        PRESETS.into_iter().find(|(known, _)| *known == name).map(|(_, preset)| preset).ok_or_else(|| {
            let steps = STEPS.join(", ");
            input(format!(
                "normalise: `{name}` is neither `none` nor `squad`; write one of them, or a list of {steps}"
            ))
        })
    }
}

/// Python's `re.sub(r"\b(a|an|the)\b", " ", text)`: each whole run of word characters that is an article becomes a space.
fn without_articles(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_run = is_word(first);
        let end = rest.find(|c| is_word(c) != is_run).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        out.push_str(if matches!(run, "a" | "an" | "the") { " " } else { run });
        rest = after;
    }
    out
}

/// As files hold it: a preset's name, or a list of steps.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "`none`, `squad`, or a list of case, punctuation, numbers, articles, spaces")]
enum Written {
    Preset(String),
    Steps(Vec<String>),
}

impl TryFrom<Written> for Normalise {
    type Error = anyhow::Error;

    fn try_from(written: Written) -> anyhow::Result<Self> {
        match written {
            Written::Preset(name) => Self::preset(&name),
            Written::Steps(list) => Self::steps(&list),
        }
    }
}

impl From<Normalise> for Written {
    fn from(normalise: Normalise) -> Self {
        match PRESETS.into_iter().find(|(_, preset)| *preset == normalise) {
            Some((name, _)) => Self::Preset(name.into()),
            None => {
                let chosen = STEPS.into_iter().zip(normalise.flags()).filter(|(_, flag)| *flag);
                Self::Steps(chosen.map(|(step, _)| step.into()).collect())
            }
        }
    }
}

/// As files hold it.
impl fmt::Display for Normalise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Written::from(*self) {
            Written::Preset(name) => f.write_str(&name),
            Written::Steps(list) => write!(f, "[{}]", list.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squad_takes_case_marks_articles_and_spaces_away() {
        let squad = |text: &str| Normalise::SQUAD.apply(text);
        assert_eq!(squad(" The  Beatles,\n(an English band) "), "beatles english band");
        assert_eq!(squad("a.b the-end theatre"), "ab theend theatre", "marks go before articles");
        assert_eq!(squad("«The» a\u{301} an_a 1a"), "« » \u{301} ana 1a");
        assert_eq!(Normalise::NONE.apply(" The 1. "), " The 1. ");
        let numbers = Normalise { numbers: true, ..Normalise::NONE };
        assert_eq!(numbers.apply("a1b２"), "ab２");
    }

    #[test]
    fn it_is_written_as_it_is_read() {
        for text in ["none", "squad", "[case, numbers]", "[punctuation]"] {
            let read: Normalise = serde_yaml::from_str(text).expect("is valid");
            assert_eq!(read.to_string(), text);
            let json = serde_json::to_string(&read).expect("serialises");
            assert_eq!(serde_json::from_str::<Normalise>(&json).expect("reads back"), read);
        }
        for (text, said) in
            [("squat", "neither"), ("[case, Case]", "did you mean `case`"), ("3", "a list of")]
        {
            let error = serde_yaml::from_str::<Normalise>(text).expect_err("is invalid").to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
