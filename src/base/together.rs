//! Files that belong together, written together: a figure and its numbers, an export's scores. All are written to a folder
//! beside their places first, and get their names when the last one is whole. So a call that is killed leaves the old files
//! or the new ones; only one that is killed within the moment of renaming leaves some of each.

use std::fs::{self, File, TryLockError};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::error::input;
use super::files::{sync_folder, unfinished_path};

/// How the folders are called: with the number of the process between.
const BEGIN: &str = ".icl-mask.";
const END: &str = ".partial";

/// Files being written.
pub struct Together {
    /// Holds the new files; removed when this is dropped.
    staging: PathBuf,
    /// Locked as long as this process writes, where the filesystem can do that.
    _lock: File,
    /// Places relative to the folder, in the order they were written.
    files: Vec<PathBuf>,
    folder: PathBuf,
}

impl Together {
    /// For files in this folder or below, which is made if need be. What killed calls have left in it is cleared away.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn within(folder: &Path) -> Result<Self> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let begin = || -> Result<Self> {
            fs::create_dir_all(folder)?;
            clear_leftovers(folder)?;
            let staging = folder.join(format!("{BEGIN}{}{END}", std::process::id()));
            fs::create_dir(&staging)?;
            let lock = File::open(&staging)?;
            // Where there are no locks, a leftover stays until someone removes it.
            let _ = lock.try_lock();
            Ok(Self { staging, _lock: lock, files: Vec::new(), folder: folder.into() })
        };
        begin().with_context(|| format!("cannot write to {}", folder.display()))
    }

    /// Write one of them, to this place below the folder.
    ///
    /// # Errors
    /// The disk is full; what is there is a device or a folder; whatever `write` returns.
    pub fn write(&mut self, place: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
        let path = self.folder.join(place);
        refuse_unless_a_file(&path)?;
        let attempt = || -> Result<()> {
            let staged = self.staging.join(place);
            fs::create_dir_all(staged.parent().unwrap_or(&self.staging))?;
            let mut out = BufWriter::new(File::create(staged)?);
            write(&mut out)?;
            out.flush()?;
            Ok(out.get_ref().sync_all()?)
        };
        attempt().with_context(|| format!("cannot write {}", path.display()))?;
        self.files.push(place.into());
        Ok(())
    }

    /// Give them their names.
    ///
    /// # Errors
    /// One of them cannot get it.
    pub fn publish(self) -> Result<()> {
        let mut folders: Vec<PathBuf> = Vec::new();
        for place in &self.files {
            let path = self.folder.join(place);
            let folder = path.parent().unwrap_or(&self.folder).to_path_buf();
            let name = || -> Result<()> {
                // A whole folder at once, where there is none of this name yet.
                if let Some(top) = self.new_folder(place) {
                    return Ok(fs::rename(self.staging.join(&top), self.folder.join(&top))?);
                }
                let staged = self.staging.join(place);
                if staged.exists() {
                    fs::create_dir_all(&folder)?;
                    moved(&staged, &path)?;
                }
                Ok(())
            };
            name().with_context(|| format!("cannot write {}", path.display()))?;
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        folders.push(self.folder.clone());
        folders.iter().try_for_each(|folder| {
            sync_folder(folder).with_context(|| format!("cannot write {}", folder.display()))
        })
    }

    /// The topmost folder of this place that is staged and not there yet.
    fn new_folder(&self, place: &Path) -> Option<PathBuf> {
        let mut above: Vec<&Path> =
            place.ancestors().skip(1).filter(|above| above.parent().is_some()).collect();
        above.reverse();
        let missing = |above: &&Path| !self.folder.join(above).exists() && self.staging.join(above).is_dir();
        above.into_iter().find(missing).map(Path::to_path_buf)
    }
}

impl Drop for Together {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.staging));
    }
}

/// Rename it, also where a folder of the place lies on another disk.
fn moved(staged: &Path, path: &Path) -> Result<()> {
    match fs::rename(staged, path) {
        Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
            let beside = unfinished_path(path);
            fs::copy(staged, &beside)?;
            File::open(&beside)?.sync_all()?;
            Ok(fs::rename(beside, path)?)
        }
        renamed => Ok(renamed?),
    }
}

/// Write one file, whole or not at all.
///
/// # Errors
/// As [`Together::write`].
pub fn write_alone(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let name = path.file_name().with_context(|| format!("{} names no file", path.display()))?;
    refuse_unless_a_file(path)?;
    let mut file = Together::within(path.parent().unwrap_or(Path::new(".")))?;
    file.write(Path::new(name), write)?;
    file.publish()
}

/// A renamed file would take the place of a device, for every program of the machine.
fn refuse_unless_a_file(path: &Path) -> Result<()> {
    match fs::metadata(path) {
        Ok(there) if !there.is_file() => {
            let what = if there.is_dir() { "is a folder" } else { "is a device or a pipe" };
            Err(input(format!("{} {what}; name a file", path.display())))
        }
        _ => Ok(()),
    }
}

/// What calls that were killed have left. Those that are still at work hold a lock on theirs.
fn clear_leftovers(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = name.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
        let ours = number.is_some_and(|number| number.parse::<u32>().is_ok()) && path.is_dir();
        let Some(file) = ours.then(|| File::open(&path).ok()).flatten() else { continue };
        match file.try_lock() {
            Ok(()) => drop(fs::remove_dir_all(&path)),
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_has_its_name_before_all_are_written() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.svg"), "old").unwrap();
        let mut files = Together::within(folder.path()).unwrap();
        files.write(Path::new("a.svg"), |out| Ok(out.write_all(b"new")?)).unwrap();
        files.write(Path::new("b/c/d.json"), |out| Ok(out.write_all(b"{}")?)).unwrap();
        files.write(Path::new("b/c/e.json"), |out| Ok(out.write_all(b"[]")?)).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("a.svg")).unwrap(), "old");
        assert!(!folder.path().join("b").exists());
        files.publish().unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("a.svg")).unwrap(), "new");
        assert_eq!(names(&folder.path().join("b/c")), ["d.json", "e.json"]);
        assert_eq!(names(folder.path()), ["a.svg", "b"]);
        // Into folders that are there.
        let mut files = Together::within(folder.path()).unwrap();
        files.write(Path::new("b/c/e.json"), |out| Ok(out.write_all(b"1")?)).unwrap();
        files.write(Path::new("b/f/g.json"), |out| Ok(out.write_all(b"2")?)).unwrap();
        files.publish().unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("b/c/e.json")).unwrap(), "1");
        assert_eq!(names(&folder.path().join("b")), ["c", "f"]);
    }

    #[test]
    fn what_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Together::within(folder.path()).unwrap();
        files.write(Path::new("a"), |out| Ok(out.write_all(b"1")?)).unwrap();
        assert!(files.write(Path::new("b"), |_| anyhow::bail!("no")).is_err());
        drop(files);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn what_a_killed_call_left_is_cleared_and_what_another_writes_is_not() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".icl-mask.1.partial", ".icl-mask.of-mine.partial"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let other = folder.path().join(".icl-mask.2.partial");
        fs::create_dir(&other).unwrap();
        let lock = File::open(&other).unwrap();
        lock.try_lock().unwrap();
        drop(Together::within(folder.path()).unwrap());
        assert_eq!(names(folder.path()), [".icl-mask.2.partial", ".icl-mask.of-mine.partial"]);
        drop(lock);
        drop(Together::within(folder.path()).unwrap());
        assert_eq!(names(folder.path()), [".icl-mask.of-mine.partial"]);
    }

    #[cfg(unix)]
    #[test]
    fn no_file_takes_the_place_of_a_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let error = write_alone(&pipe, |_| Ok(())).unwrap_err();
        assert!(
            error.is::<crate::base::error::InputError>()
                && error.to_string().contains("is a device or a pipe")
        );
    }
}
