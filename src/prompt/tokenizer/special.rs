//! Which tokens begin and end a text, how they are called, and what says so.

use std::collections::BTreeMap;

/// The special tokens of a tokenizer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Special {
    /// The token put before every text, if there is one.
    pub bos: Option<u32>,
    /// What says so, or says that there is none.
    pub bos_from: String,
    /// The tokens that end a text, each with the places that name it.
    pub eos: BTreeMap<u32, Vec<String>>,
    /// The text of special tokens by their role (`bos_token`, `eos_token`, ...), as chat templates know them. A role is
    /// here whether or not its token is put before or after a text.
    pub roles: BTreeMap<String, String>,
}

impl Special {
    /// One more place that names an end-of-text token.
    pub fn ends(&mut self, id: u32, place: &str) {
        self.eos.entry(id).or_default().push(place.into());
    }
}
