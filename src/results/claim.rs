//! Which process computes what: a lock on a file beside each cell. The system takes it back from a process that ends, however
//! it ends, so that no claim is left over that somebody would have to clear away.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::base::console::note;
use crate::base::error::input;
use crate::base::interrupt::check_interrupted;

/// What this process alone computes, until it is dropped.
#[derive(Debug)]
pub struct Claim {
    file: File,
    path: PathBuf,
}

/// Who holds a claim, for people to read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The machine.
    pub host: String,
    /// The process there.
    pub pid: u32,
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            0 => f.write_str("another process"),
            pid => write!(f, "process {pid} on {}", self.host),
        }
    }
}

impl Claim {
    /// Take it as soon as no other process has it, which is a matter of moments.
    ///
    /// # Errors
    /// As [`take`](Self::take), or the user does not want to wait.
    pub fn wait(path: &Path) -> Result<Self> {
        let (begun, mut told) = (Instant::now(), false);
        loop {
            if let Some(claim) = Self::take(path)? {
                return Ok(claim);
            }
            check_interrupted()?;
            if !told && begun.elapsed() > Duration::from_secs(2) {
                let owner = Self::owner(path)?.map_or("another process".into(), |owner| owner.to_string());
                note(format!("waiting for {owner}, which holds {}", path.display()));
                told = true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Take it, unless another process has it.
    ///
    /// # Errors
    /// The folder cannot be written to, or its filesystem knows no locks.
    pub fn take(path: &Path) -> Result<Option<Self>> {
        let cannot = || format!("cannot write {}", path.display());
        loop {
            fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).with_context(cannot)?;
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false);
            let opened = no_links(&mut options).open(path);
            let (file, of_another) = match opened {
                // Another user's, who may be at work or have been killed.
                Err(error) if error.kind() == ErrorKind::PermissionDenied && path.exists() => {
                    (File::open(path).with_context(cannot)?, true)
                }
                opened => (opened.with_context(cannot)?, false),
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(no_locks(path, &error)),
            }
            if of_another {
                fs::remove_file(path).with_context(cannot)?;
                continue;
            }
            let claim = Self { file, path: path.into() };
            // Between opening and locking it, its last holder may have let go of it and taken the file away.
            if claim.holds() {
                claim.sign().with_context(cannot)?;
                return Ok(Some(claim));
            }
        }
    }

    /// The file is still there: its folder was neither moved nor removed.
    pub fn holds(&self) -> bool {
        match (self.file.metadata(), fs::metadata(&self.path)) {
            (Ok(ours), Ok(there)) => same_file(&ours, &there),
            _ => false,
        }
    }

    fn sign(&self) -> Result<()> {
        let owner = Owner { host: host(), pid: std::process::id() };
        self.file.set_len(0)?;
        Ok((&self.file).write_all(&serde_json::to_vec(&owner)?)?)
    }

    /// Who holds the claim on this file, if somebody does.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn owner(path: &Path) -> Result<Option<Owner>> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        match file.try_lock_shared() {
            // Left over from a process that was killed.
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                file.read_to_string(&mut text).with_context(|| format!("cannot read {}", path.display()))?;
                // It may just be signing.
                Ok(Some(serde_json::from_str(&text).unwrap_or_default()))
            }
            Err(TryLockError::Error(error)) => Err(no_locks(path, &error)),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // While it is still locked, so that nobody holds another file of this name.
        if self.holds() {
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Open no symbolic link: in a folder of a stranger's it could lead to any file of the user's, which would be written to.
pub(super) fn no_links(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(target_os = "linux")]
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, libc::O_NOFOLLOW);
    options
}

/// As many files as the system allows at all.
pub fn allow_many_files() {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        // Without it, whoever opens too many is told so.
        if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
        }
    }
}

fn no_locks(path: &Path, error: &std::io::Error) -> anyhow::Error {
    input(format!(
        "{}: its filesystem refuses locks ({error}), without which two processes could do the same work; put --results on one that \
         has them, or write --locks false and see to it that no two calls compute the same cells",
        path.display()
    ))
}

#[cfg(unix)]
fn same_file(a: &fs::Metadata, b: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(not(unix))]
fn same_file(_: &fs::Metadata, _: &fs::Metadata) -> bool {
    true
}

fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::env::var("HOSTNAME"));
    name.map_or_else(|_| "?".into(), |name| name.trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("TTF/layer-3.claim");
        let first = Claim::take(&path).unwrap().unwrap();
        assert!(Claim::take(&path).unwrap().is_none());
        assert_eq!(Claim::owner(&path).unwrap().unwrap().pid, std::process::id());
        drop(first);
        assert!(!path.exists());
        assert!(Claim::take(&path).unwrap().is_some());
    }

    #[test]
    fn what_a_killed_process_left_is_nobodys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("layer-3.claim");
        fs::write(&path, r#"{"host":"node7","pid":17}"#).unwrap();
        assert_eq!(Claim::owner(&path).unwrap(), None);
        assert!(Claim::take(&path).unwrap().is_some());
    }

    #[test]
    fn a_folder_that_goes_away_takes_the_claim_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/layer-3.claim");
        let claim = Claim::take(&path).unwrap().unwrap();
        assert!(claim.holds());
        fs::rename(folder.path().join("run"), folder.path().join("elsewhere")).unwrap();
        assert!(!claim.holds());
        // Another one there now is not touched when ours is dropped.
        let other = Claim::take(&path).unwrap().unwrap();
        drop(claim);
        assert!(other.holds());
    }

    /// Many threads, each of which counts on being alone.
    #[test]
    fn claims_are_never_shared() {
        let folder = tempfile::tempdir().unwrap();
        let (path, alone) = (folder.path().join("x.claim"), std::sync::atomic::AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let claim = Claim::wait(&path).unwrap();
                        assert_eq!(alone.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        alone.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(claim);
                    }
                });
            }
        });
    }
}
