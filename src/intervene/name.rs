//! Names of masks that are written as rules.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The name of a mask of one's own, as folders, files and figures write it. It is as cheap to copy as a letter of `TTF`: each name
/// is kept once, for as long as the program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaskName(&'static str);

/// All names so far.
static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// Letters of a name at most: it is the name of a folder, and files of longer names are written beside it.
const LONGEST: usize = 160;

/// What begins the part of a name that says how many layers a window has.
const WINDOW: &str = "window=";

impl MaskName {
    /// A name, if a folder can be called so: letters, digits and `-_.,=[]+`, of which the first is a letter or a digit.
    pub fn new(text: &str) -> Option<Self> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.,=[]+".contains(c);
        let begins = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
        if !begins || text.len() > LONGEST || !text.chars().all(allowed) {
            return None;
        }
        // A thread that failed with the set in hand has left it whole.
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        match names.get(text) {
            Some(known) => Some(Self(known)),
            None => {
                let kept: &'static str = Box::leak(text.into());
                names.insert(kept);
                Some(Self(kept))
            }
        }
    }

    /// The name.
    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// How many layers its window has, if it has one.
    pub fn window(self) -> Option<usize> {
        self.0.split('+').find_map(|part| part.strip_prefix(WINDOW)?.parse().ok())
    }
}

impl Serialize for MaskName {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for MaskName {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        Self::new(&text).ok_or_else(|| de::Error::custom(format!("`{text}` is not the name of a mask")))
    }
}

impl fmt::Display for MaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_once_and_are_names_of_folders() {
        let name = MaskName::new("hide=examples[0].output,-query+window=5").expect("a name");
        assert_eq!(MaskName::new(&name.to_string()), Some(name));
        assert_eq!((name.window(), MaskName::new("mine").expect("a name").window()), (Some(5), None));
        for wrong in ["", ".hidden", "-a", "a/b", "a b", "a\\b", "é", &"a".repeat(200)] {
            assert_eq!(MaskName::new(wrong), None, "{wrong}");
        }
    }
}
