//! Where named configurations live: the user's `configs/` first, then those built into the binary.

use std::path::{Path, PathBuf};

use anyhow::Result;
use include_dir::{Dir, include_dir};

use crate::base::error::{input, suggest};
use crate::base::inputs::{self, MOST_SETTINGS};

/// The repository's `configs/`, so that the one binary works in any folder.
static BUILT_IN: Dir = include_dir!("$CARGO_MANIFEST_DIR/configs");

/// A configuration file as found.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    /// Its name: the file's without `.yaml`.
    pub name: String,
    /// For messages.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
}

/// Find `name` among the `kind` (`model`, `mask`, `format`, `data`, `experiments`): a path to a `.yaml` file, a file
/// of `configs/<kind>/` below the working folder, or one built in.
///
/// # Errors
/// An unknown name, with the nearest known ones; `origin` says where it was written.
pub fn find(kind: &str, name: &str, origin: &str) -> Result<ConfigFile> {
    match try_find(kind, name)? {
        Some(found) => Ok(found),
        None => {
            let known = names(kind);
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let what = match kind {
                "data" => "corpus",
                "experiments" => "experiment",
                other => other,
            };
            Err(input(format!("{origin}: unknown {what} `{name}`: {}", suggest(name, &known))))
        }
    }
}

/// As [`find`], but `None` for an unknown name.
pub fn try_find(kind: &str, name: &str) -> Result<Option<ConfigFile>> {
    let read = |path: PathBuf| {
        let text = inputs::text(&path, MOST_SETTINGS).map_err(|trouble| trouble.about(&path))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Some(ConfigFile { name, path, text }))
    };
    if name.ends_with(".yaml") || name.ends_with(".yml") {
        return read(PathBuf::from(name));
    }
    if name.is_empty() || name.contains(['/', '\\']) {
        return Ok(None);
    }
    let relative = Path::new(kind).join(format!("{name}.yaml"));
    let local = Path::new("configs").join(&relative);
    if local.is_file() {
        return read(local);
    }
    let built_in = BUILT_IN.get_file(&relative).and_then(|file| file.contents_utf8());
    Ok(built_in.map(|text| ConfigFile { name: name.into(), path: local, text: text.into() }))
}

/// All names of a kind, sorted: those below the working folder and those built in.
pub fn names(kind: &str) -> Vec<String> {
    let built_in = BUILT_IN.get_dir(kind).map(|dir| dir.files().map(|file| file.path().to_path_buf()));
    let local = std::fs::read_dir(Path::new("configs").join(kind));
    let local = local.into_iter().flatten().flatten().map(|entry| entry.path());
    let mut names: Vec<String> = built_in
        .into_iter()
        .flatten()
        .chain(local)
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_string()))
        .collect();
    names.sort();
    names.dedup();
    names
}
