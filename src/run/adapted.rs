//! The adapter of an experiment's runs, held against the model that it is to change.

use std::path::Path;
use std::sync::Once;

use anyhow::Result;

use crate::base::console::note;
use crate::base::keys::Unread;
use crate::config::AdapterChoice;
use crate::lora::peft;
use crate::model::Arch;

/// What is known of an adapter before it is put to work.
pub struct AdapterHeader {
    /// sha256 of its files.
    pub sha256: String,
    /// Keys of its configuration that the program does not know.
    pub unread: Unread,
    /// Bytes that its numbers take.
    pub bytes: u64,
}

impl AdapterHeader {
    /// Read an adapter and hold it against an architecture. What there is to say about its files is said once.
    ///
    /// # Errors
    /// Files that are absent, damaged, of another kind, or of another model.
    pub fn open(choice: &AdapterChoice, arch: &Arch) -> Result<Self> {
        let opened = peft::open(&choice.path, arch)?;
        // An experiment has one adapter at most, but a run for each part of its grid.
        static SAID: Once = Once::new();
        SAID.call_once(|| say(&choice.path, &opened));
        let bytes = opened.adapter.bytes();
        Ok(Self { sha256: peft::sha256(&choice.path)?, unread: opened.unread, bytes })
    }
}

/// Say on stderr which keys are not known, and which weights are not there.
fn say(path: &Path, opened: &peft::AdapterFiles) {
    let path = path.display();
    let mut sentences = opened.unread.sentences(&path.to_string());
    if let Some(first) = opened.missing.first() {
        sentences.push(format!(
            "{path}: has no weights for {} of the modules that its configuration names, such as `{first}`; they stay as they \
             are",
            opened.missing.len()
        ));
    }
    sentences.iter().for_each(note);
}
