//! A model on disk: its architecture and its tensors, whatever the format.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Arch;
use crate::base::error::input;
use crate::base::hash::Hash;

mod gguf;
mod gguf_layout;
mod gguf_parts;
mod held;
mod mxfp4;
mod safetensors;
mod storage;

pub use gguf::GgufFile;
pub use held::{Held, Precision};
pub use safetensors::{INDEX, SINGLE, SafetensorsFolder};

/// A checkpoint whose header has been read and whose weights have not.
pub enum Checkpoint {
    /// One `.gguf` file, or the parts of a split one.
    Gguf(GgufFile),
    /// A folder with `config.json`, safetensors and `tokenizer.json`.
    Safetensors(SafetensorsFolder),
}

/// Tensors by the names, shapes and layouts that transformers gives them.
pub trait Weights {
    /// The tensor `name`, which must have this shape.
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) that names the tensor and the file: missing, of another shape, of
    /// an unreadable type, or cut off.
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Held>;

    /// Whether a tensor `name` is known to be there: of several names of the same weights the first one is, if there is none.
    fn holds(&self, _name: &str) -> bool {
        false
    }

    /// Refuse a checkpoint that holds more than was asked for: it is of another model than its configuration says.
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) that names a tensor nobody asked for, and the file.
    fn refuse_surplus(&self, asked: &BTreeSet<String>) -> Result<()>;
}

/// The error for a tensor that is not what the architecture says.
fn misshapen(file: &str, name: &str, found: &[usize], expected: &[usize]) -> anyhow::Error {
    input(format!("{file}: tensor `{name}` has shape {found:?}, expected {expected:?}"))
}

/// The error for tensors that no part of the model takes.
fn surplus(file: &str, names: &[&str]) -> anyhow::Error {
    let more = match names.len() {
        1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    };
    input(format!(
        "{file}: tensor `{}`{more} has no place in this architecture: configuration and weights do not belong together",
        names[0]
    ))
}

/// Files of weights that can run code when they are read.
const PICKLES: [&str; 4] = ["bin", "pt", "pth", "ckpt"];

impl Checkpoint {
    /// Open a `.gguf` file or a model folder; reads headers only.
    pub fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            Ok(Self::Safetensors(SafetensorsFolder::open(path)?))
        } else if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf")) {
            Ok(Self::Gguf(GgufFile::open(path)?))
        } else if path
            .extension()
            .is_some_and(|e| PICKLES.iter().any(|pickle| e.eq_ignore_ascii_case(pickle)))
        {
            Err(input(format!(
                "{}: a pickle file is not read, because reading it can run code: save the model as safetensors \
                 (save_pretrained) and give the folder",
                path.display()
            )))
        } else {
            Err(input(format!(
                "{}: not a model: give a .gguf file or a folder with config.json, safetensors and tokenizer.json",
                path.display()
            )))
        }
    }

    /// Its architecture.
    pub fn arch(&self) -> &Arch {
        match self {
            Self::Gguf(file) => &file.arch,
            Self::Safetensors(folder) => &folder.arch,
        }
    }

    /// Its tensors.
    pub fn weights(&self) -> &dyn Weights {
        match self {
            Self::Gguf(file) => file,
            Self::Safetensors(folder) => folder,
        }
    }

    /// The files that hold it, sorted.
    pub fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Gguf(file) => file.files(),
            Self::Safetensors(folder) => folder.files(),
        }
    }

    /// Bytes of its files.
    pub fn size(&self) -> Result<u64> {
        let sizes = self.files().into_iter().map(|path| Ok(std::fs::metadata(path)?.len()));
        sizes.sum()
    }

    /// sha256 over its files' contents, hexadecimal.
    pub fn hash(&self) -> Result<String> {
        let mut hash = Hash::default();
        for path in self.files() {
            hash.file(&path)?;
        }
        Ok(hash.hex())
    }
}
