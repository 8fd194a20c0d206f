//! The cache of `huggingface_hub`: `models--owner--name/{blobs,refs,snapshots,.no_exist}` and `.locks` beside it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use hf_hub::{CacheRepo, Repo, RepoType};
use serde::Deserialize;

use super::failure::Failure;
use super::id::is_commit;
use super::{HubSettings, ModelId, Transfer, checksum};

/// The part of the cache that is one model's.
pub(super) struct Cache {
    folder: PathBuf,
    locks: PathBuf,
    layout: CacheRepo,
}

/// How a file stands in the cache.
pub(super) enum State {
    /// As announced, as far as that can be told without hashing weights.
    Whole,
    /// Not there.
    Missing,
    /// There, but cut off or otherwise not what it should be; how so.
    Broken(String),
}

impl Cache {
    /// Of a model. Touches nothing.
    pub(super) fn new(id: &ModelId, settings: &HubSettings) -> Self {
        let repo = Repo::new(id.repo.clone(), RepoType::Model);
        let name = repo.folder_name();
        let layout = hf_hub::Cache::new(settings.cache.clone()).repo(repo);
        Self { folder: settings.cache.join(&name), locks: settings.cache.join(".locks").join(name), layout }
    }

    /// `models--owner--name`
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of a commit's files.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.layout.pointer_path(commit)
    }

    /// Where the content named `etag` is; `etag` must have been checked to be hexadecimal.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.layout.blob_path(etag)
    }

    /// Where it grows until it is complete.
    pub(super) fn incomplete(&self, etag: &str) -> PathBuf {
        self.blob(&format!("{etag}.incomplete"))
    }

    /// The commit that a revision was when the hub was last asked.
    pub(super) fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return self.snapshot(revision).is_dir().then(|| revision.into());
        }
        let text = fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        // Becomes part of a path.
        Some(text.trim().to_string()).filter(|commit| is_commit(commit))
    }

    /// Remember which commit a revision is.
    pub(super) fn write_ref(&self, revision: &str, commit: &str) -> Result<(), Failure> {
        if is_commit(revision) || self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.folder.join("refs").join(revision);
        put(&path, |temporary| fs::write(temporary, commit))
    }

    /// Remember that the repository has no such file.
    pub(super) fn mark_absent(&self, commit: &str, name: &str) -> Result<(), Failure> {
        if self.known_absent(commit, name) {
            return Ok(());
        }
        put(&self.absent(commit, name), |temporary| fs::write(temporary, ""))
    }

    /// Whether the hub has said that the repository has no such file.
    pub(super) fn known_absent(&self, commit: &str, name: &str) -> bool {
        self.absent(commit, name).exists()
    }

    fn absent(&self, commit: &str, name: &str) -> PathBuf {
        self.folder.join(".no_exist").join(commit).join(name)
    }

    /// Let a commit's file be the content named `etag`.
    pub(super) fn link(&self, commit: &str, name: &str, etag: &str) -> Result<(), Failure> {
        let path = self.snapshot(commit).join(name);
        // From snapshots/COMMIT/, and one more up for each folder in the name.
        let up = "../".repeat(2 + name.matches('/').count());
        let target = PathBuf::from(format!("{up}blobs/{etag}"));
        put(&path, |temporary| link_or_copy(&target, &self.blob(etag), temporary))
    }

    /// Wait until nobody else, in this process or another, fetches the content named `etag`.
    pub(super) fn lock(&self, etag: &str, job: Transfer) -> Result<Lock, Failure> {
        let path = self.locks.join(format!("{etag}.lock"));
        let fail = |error: io::Error| Failure::disk(&path, &error);
        fs::create_dir_all(&self.locks).map_err(fail)?;
        let file = File::options().create(true).append(true).open(&path).map_err(fail)?;
        match file.try_lock() {
            Ok(()) => return Ok(Lock { _file: file }),
            Err(fs::TryLockError::WouldBlock) => {
                job.note(format!("{} is being fetched by another process or thread; waiting for it", job.id));
            }
            Err(fs::TryLockError::Error(_)) => {}
        }
        match file.lock() {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                job.note(format!(
                    "{}: files cannot be locked here; fetch one model at a time",
                    path.display()
                ));
            }
            other => other.map_err(fail)?,
        }
        Ok(Lock { _file: file })
    }

    /// How a commit's file stands. With the announced size, that decides: what is in `blobs/` under its final name was
    /// verified when it was put there. Without it (no hub), the file must say itself whether it is whole: safetensors
    /// have their length in their header, small files are hashed.
    pub(super) fn state(&self, commit: &str, name: &str, announced: Option<u64>) -> State {
        let path = self.snapshot(commit).join(name);
        match self.check(&path, announced) {
            Ok(()) => State::Whole,
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::Missing,
            Err(error) => State::Broken(error.to_string()),
        }
    }

    fn check(&self, path: &Path, announced: Option<u64>) -> io::Result<()> {
        let length = fs::metadata(path)?.len();
        let safetensors = path.extension().is_some_and(|extension| extension == "safetensors");
        let expected = match announced {
            Some(size) => size,
            None if safetensors => safetensors_length(path)?,
            None => {
                let etag = fs::read_link(path).ok().and_then(|target| Some(target.file_name()?.to_owned()));
                let verdict =
                    etag.map(|etag| checksum::matches(path, &etag.to_string_lossy())).transpose()?;
                return match verdict.flatten() {
                    Some(false) => Err(io::Error::other("its checksum differs")),
                    // A plain file, as on systems without links: nothing is known of it.
                    Some(true) | None => Ok(()),
                };
            }
        };
        if length != expected {
            return Err(io::Error::other(format!("{length} of {expected} bytes")));
        }
        Ok(())
    }
}

/// Held while a file is fetched; the system gives it up when the process ends, however it ends.
pub(super) struct Lock {
    _file: File,
}

/// Make a file or link under another name and rename it, so that it is there as a whole or not at all.
fn put(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), Failure> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let unique = format!(".{}-{}.tmp", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let folder = path.parent().unwrap_or(Path::new("."));
    let temporary = folder.join(unique);
    let made = fs::create_dir_all(folder)
        .and_then(|()| make(&temporary))
        .and_then(|()| fs::rename(&temporary, path));
    made.map_err(|error| {
        // Only the first error says what is wrong; a temporary name left behind does no harm.
        fs::remove_file(&temporary).ok();
        Failure::disk(path, &error)
    })
}

#[cfg(unix)]
fn link_or_copy(target: &Path, _blob: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

/// Links need a right there that not everybody has.
#[cfg(not(unix))]
fn link_or_copy(_target: &Path, blob: &Path, link: &Path) -> io::Result<()> {
    fs::hard_link(blob, link).or_else(|_| fs::copy(blob, link).map(|_| ()))
}

/// The length of a safetensors file by its own header.
fn safetensors_length(path: &Path) -> io::Result<u64> {
    #[derive(Deserialize)]
    struct Tensor {
        #[serde(default)]
        data_offsets: (u64, u64),
    }
    // As the format's own library limits it.
    const LONGEST: u64 = 100_000_000;
    let wrong = |why: &str| io::Error::other(format!("its header {why}"));
    let mut file = File::open(path)?;
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|_| wrong("is cut off"))?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST {
        return Err(wrong("is no safetensors header"));
    }
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header)?;
    let tensors: BTreeMap<String, Tensor> =
        serde_json::from_slice(&header).map_err(|_| wrong("is cut off or damaged"))?;
    let end = tensors.values().map(|tensor| tensor.data_offsets.1).max().unwrap_or(0);
    (8 + length).checked_add(end).ok_or_else(|| wrong("is damaged"))
}
