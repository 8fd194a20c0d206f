//! Models of the hub, fetched where they are not here.

use std::cell::RefCell;
use std::path::PathBuf;

use anyhow::Result;

use crate::base::console::Bar;
use crate::base::error::input;
use crate::config::ModelChoice;
use crate::hub::{self, DownloadProgress, HubSettings, ModelFiles, ModelId};

/// `config.json` and the tokenizer of a model of the hub, in a folder here.
///
/// # Errors
/// Not to be had from the hub.
pub fn describe(id: &ModelId) -> Result<PathBuf> {
    fetch(id, ModelFiles::Description)
}

/// The folder or file with what is wanted, fetched from the hub where it is not here.
///
/// # Errors
/// Not there (with the way to get it), or not to be had from the hub.
pub fn locate(choice: &ModelChoice, wanted: ModelFiles) -> Result<PathBuf> {
    let chosen_by_id = choice.config.is_none();
    match &choice.hub {
        Some(id) if chosen_by_id || !choice.path.exists() => fetch(id, wanted),
        _ if choice.path.exists() => Ok(choice.path.clone()),
        _ => Err(input(choice.missing())),
    }
}

/// Fetch from the hub, with a bar for each file.
fn fetch(id: &ModelId, wanted: ModelFiles) -> Result<PathBuf> {
    let bar = Bar::new("{msg} {bar:24} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left", 0);
    let shown = RefCell::new(String::new());
    let show = |progress: DownloadProgress| match progress {
        DownloadProgress::File { name, done, size } => {
            if *shown.borrow() != name {
                bar.restart(name, size);
                shown.replace(name.into());
            }
            bar.position(done);
        }
        DownloadProgress::Note(line) => bar.note(&line),
    };
    Ok(hub::fetch(id, wanted, &HubSettings::from_env()?, &show)?.folder)
}
