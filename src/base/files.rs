//! Files that are written whole or not at all, and names that files cannot have.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use super::error::input;

/// Write JSON, whole or not at all.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    write_atomically(path, |out| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        Ok(out.write_all(b"\n")?)
    })
}

/// Write a file under another name beside its place, flush it to disk, then rename it, and bring the new name to disk: a
/// reader sees the old file or the whole new one, after a power failure too.
pub fn write_atomically(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let partial = unfinished_path(path);
    let attempt = || -> Result<()> {
        fs::create_dir_all(folder)?;
        // Whatever has this name is left over; a link would be followed.
        drop(fs::remove_file(&partial));
        let mut out = BufWriter::new(File::create_new(&partial)?);
        write(&mut out)?;
        out.flush()?;
        out.get_ref().sync_all()?;
        fs::rename(&partial, path)?;
        sync_folder(folder)
    };
    attempt()
        .inspect_err(|_| drop(fs::remove_file(&partial)))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// What a file or a folder is called beside its place while it is written.
pub fn unfinished_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}{PARTIAL}", std::process::id()))
}

/// How such names end.
pub const PARTIAL: &str = ".partial";

/// Bring the names in a folder to disk.
pub fn sync_folder(folder: &Path) -> Result<()> {
    // Other systems cannot open a folder, and have no need to.
    if cfg!(unix) {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Bytes of a name in a folder: no common filesystem takes more.
const LONGEST_NAME: usize = 255;

/// Refuse a path with a name in it that no file or folder can have.
///
/// # Errors
/// A name that is too long; `flag` says where it was written.
pub fn check_names(path: &Path, flag: &str) -> Result<()> {
    match path.iter().find(|name| name.len() > LONGEST_NAME) {
        None => Ok(()),
        Some(name) => Err(input(format!(
            "{flag} {}: the name {} has {} bytes, and a name can have {LONGEST_NAME}; use shorter names of folder, model, \
             corpus, format and adapter",
            path.display(),
            name.to_string_lossy(),
            name.len()
        ))),
    }
}

/// Refuse a folder that cannot be made.
///
/// # Errors
/// A name that is too long, a symbolic link to nothing, or a file where a folder is wanted; `flag` says where it was written.
pub fn check_place(folder: &Path, flag: &str) -> Result<()> {
    if folder.as_os_str().is_empty() {
        return Err(input(format!("{flag} is empty; name a folder")));
    }
    check_names(folder, flag)?;
    let shown = folder.display();
    for part in folder.ancestors().filter(|part| !part.as_os_str().is_empty()) {
        match (part.symlink_metadata(), part.metadata()) {
            (Ok(_), Ok(there)) if there.is_dir() => return Ok(()),
            (Ok(_), Ok(_)) => {
                return Err(input(format!("{flag} {shown}: {} is not a folder", part.display())));
            }
            (Ok(_), Err(error)) => {
                let target = fs::read_link(part).map_or("nothing".into(), |to| to.display().to_string());
                return Err(input(format!(
                    "{flag} {shown}: {} is a symbolic link to {target}, which cannot be used ({error}); make that folder, or \
                     remove the link",
                    part.display()
                )));
            }
            _ => {}
        }
    }
    Ok(())
}
