//! sha256 of what a result depends on, so that results of different inputs are never mixed.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::base::inputs;

/// A sha256 in the making.
#[derive(Default)]
pub struct Hash(Sha256);

impl Hash {
    /// Add bytes.
    pub fn bytes(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.update(bytes);
    }

    /// Add a file's content.
    pub fn file(&mut self, path: &Path) -> Result<()> {
        let mut file = inputs::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer).with_context(|| format!("cannot read {}", path.display()))? {
                0 => return Ok(()),
                n => self.0.update(&buffer[..n]),
            }
        }
    }

    /// The digest in hexadecimal, 64 characters.
    pub fn hex(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
