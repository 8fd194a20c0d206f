//! From which language into which: `en-fr`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::languages;
use crate::base::error::{InputError, input};

/// The two codes of a translation (or of a task: `en-py`), source first.
///
/// A language of [`languages`] is kept under its short code whichever of its codes was written, so that
/// `eng_Latn-fra_Latn` and `en-fr` are one direction with one folder of results. An unknown code is kept as it is:
/// a user's own corpus, or Python, may have one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Direction {
    /// Code of the language that is read.
    pub source: String,
    /// Code of the language that is written.
    pub target: String,
}

impl Direction {
    /// The pairs of codes a file may be named by: short, FLORES-101, FLORES-200. An unknown code stands for itself
    /// in each of them.
    pub fn spellings(&self) -> Vec<(String, String)> {
        let [source, target] = [&self.source, &self.target].map(|code| match languages::find(code) {
            Some(known) => {
                [known.code, known.flores101.unwrap_or(known.code), known.flores200].map(String::from)
            }
            None => [code.clone(), code.clone(), code.clone()],
        });
        let mut pairs: Vec<_> = source.into_iter().zip(target).collect();
        pairs.dedup();
        pairs
    }
}

impl FromStr for Direction {
    type Err = anyhow::Error;

    fn from_str(written: &str) -> Result<Direction, anyhow::Error> {
        let code = |part: &str| {
            // A code becomes part of folder names, so what it may hold is narrow.
            let legal = !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            legal.then(|| languages::find(part).map_or(part, |language| language.code).to_string())
        };
        let both = written.split_once('-').and_then(|(source, target)| Some((code(source)?, code(target)?)));
        both.map(|(source, target)| Direction { source, target }).ok_or_else(|| {
            input(format!(
                "the direction `{written}` is not two language codes joined by one hyphen; write it like `en-fr` or \
                 `eng_Latn-fra_Latn`"
            ))
        })
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.source, self.target)
    }
}

impl Serialize for Direction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Direction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Direction, D::Error> {
        let written = String::deserialize(deserializer)?;
        written.parse().map_err(|error: anyhow::Error| match error.downcast::<InputError>() {
            Ok(mistake) => serde::de::Error::custom(mistake),
            Err(other) => serde::de::Error::custom(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_code_gives_the_same_direction() {
        for written in ["en-fr", "eng-fra", "eng_Latn-fra_Latn", "en-fra", "EN-FR"] {
            assert_eq!(written.parse::<Direction>().unwrap().to_string(), "en-fr", "{written}");
        }
        assert_eq!("en-py".parse::<Direction>().unwrap().to_string(), "en-py");
        assert_eq!("zho_simpl-zho_trad".parse::<Direction>().unwrap().to_string(), "zh-zho_Hant");
    }

    #[test]
    fn a_malformed_direction_is_refused() {
        for written in ["", "en", "en-", "-fr", "en-pt-BR", "en/fr", "en-../x", "en fr", "en–fr"] {
            let error = written.parse::<Direction>().unwrap_err();
            assert!(error.downcast_ref::<InputError>().is_some(), "{written}");
            assert!(error.to_string().contains(&format!("`{written}`")), "{error}");
        }
    }

    #[test]
    fn spellings_cover_both_releases_of_flores() {
        let pairs = "en-fr".parse::<Direction>().unwrap().spellings();
        let expected = [("en", "fr"), ("eng", "fra"), ("eng_Latn", "fra_Latn")];
        assert_eq!(pairs, expected.map(|(a, b)| (a.to_string(), b.to_string())));
        assert_eq!("en-py".parse::<Direction>().unwrap().spellings()[1], ("eng".into(), "py".into()));
        assert_eq!("xx-yy".parse::<Direction>().unwrap().spellings().len(), 1);
    }

    #[test]
    fn serde_uses_the_written_form() {
        let direction: Direction = serde_json::from_str("\"eng-fra\"").unwrap();
        assert_eq!(serde_json::to_string(&direction).unwrap(), "\"en-fr\"");
        assert!(serde_json::from_str::<Direction>("\"en\"").unwrap_err().to_string().contains("one hyphen"));
    }
}
