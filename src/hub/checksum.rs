//! The two checksums by which the hub names a file's content.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha1::{Digest, Sha1};

use super::id::is_hex;
use crate::base::hash::Hash;

/// A checksum in the making, and what it should become.
pub(super) enum Checksum {
    /// Of a file in LFS: 64 digits.
    Sha256(Hash),
    /// Of any other: git's name of a blob, 40 digits.
    GitBlob(Sha1),
}

impl Checksum {
    /// For content of `size` bytes that is to be named `etag`; `None` if that is neither kind of checksum.
    pub(super) fn of(etag: &str, size: u64) -> Option<Self> {
        if is_hex(etag, 64) {
            return Some(Self::Sha256(Hash::default()));
        }
        is_hex(etag, 40).then(|| {
            let mut sha1 = Sha1::new();
            sha1.update(format!("blob {size}\0"));
            Self::GitBlob(sha1)
        })
    }

    /// Add bytes.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.bytes(bytes),
            Self::GitBlob(sha1) => sha1.update(bytes),
        }
    }

    /// Add all that is left to read; how many bytes that was.
    pub(super) fn read(&mut self, source: &mut impl Read) -> io::Result<u64> {
        let mut buffer = vec![0; 1 << 20];
        let mut total = 0;
        loop {
            let read = source.read(&mut buffer)?;
            if read == 0 {
                return Ok(total);
            }
            self.bytes(&buffer[..read]);
            total += read as u64;
        }
    }

    /// The digest, hexadecimal.
    pub(super) fn hex(self) -> String {
        match self {
            Self::Sha256(hash) => hash.hex(),
            Self::GitBlob(sha1) => sha1.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

/// Whether a file's content is what `etag` names; `None` if `etag` is no checksum.
pub(super) fn matches(path: &Path, etag: &str) -> io::Result<Option<bool>> {
    let mut file = File::open(path)?;
    let Some(mut checksum) = Checksum::of(etag, file.metadata()?.len()) else { return Ok(None) };
    checksum.read(&mut file)?;
    Ok(Some(checksum.hex() == etag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_git_blob_has_the_name_that_git_gives_it() {
        // printf 'hello\n' | git hash-object --stdin
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "hello\n").unwrap();
        assert_eq!(matches(&path, "ce013625030ba8dba906f756967f9e9ca394464a").unwrap(), Some(true));
        assert_eq!(matches(&path, "ce013625030ba8dba906f756967f9e9ca394464b").unwrap(), Some(false));
        assert_eq!(matches(&path, "../etc").unwrap(), None);
    }
}
