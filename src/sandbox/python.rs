//! The Python that runs the programs: which one, and which files it needs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::base::error::input;

/// Prints what [`Python`] holds.
const PROBE: &str = include_str!("harness/probe.py");

/// An interpreter and all that it reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Python {
    /// The program itself, behind wrappers, links and virtual environments.
    pub executable: PathBuf,
    /// `3.11.2`
    pub version: String,
    /// Folders of its standard library.
    pub library: Vec<PathBuf>,
    /// Shared objects that it or its library loads.
    pub objects: Vec<PathBuf>,
    /// Their other names, by which the loader looks for them, and what each stands for.
    pub links: BTreeMap<PathBuf, PathBuf>,
}

impl Python {
    /// The interpreter of that name or path. Packages installed beside it play no part.
    ///
    /// # Errors
    /// It is not there, or is no Python.
    pub fn find(name: &str) -> Result<Self> {
        let mut command = Command::new(name);
        // It runs outside of the sandbox: nothing that lies about or stands in the environment is to run with it.
        command.args(["-I", "-S", "-B", "-c", PROBE]).stdin(Stdio::null());
        let output = command.output().map_err(|error| {
            input(format!(
                "--python: `{name}` cannot be run ({error}); programs are checked with Python: install Python 3 or give \
                 its path with --python"
            ))
        })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().last().unwrap_or("nothing was said").to_string();
            return Err(input(format!("--python: `{name}` does not work as a Python 3 ({last})")));
        }
        serde_json::from_slice(&output.stdout).map_err(|_| {
            input(format!("--python: `{name}` does not work as a Python 3 (it says nothing of itself)"))
        })
    }

    /// Files and folders that it reads and that exist here, its dynamic loader's among them.
    pub fn reads(&self) -> impl Iterator<Item = &Path> {
        let loader = ["/etc/ld.so.cache"].map(Path::new).into_iter();
        let own = std::iter::once(self.executable.as_path());
        let files = self.library.iter().chain(&self.objects).map(PathBuf::as_path);
        own.chain(files).chain(loader).filter(|path| path.exists())
    }
}

/// As isolated as `-I`, which would ignore `PYTHONHASHSEED` too: then the order of a set, and so a verdict, would be
/// another one on each run. Neither the user's packages nor the machine's, and nothing is written beside the library.
pub const FLAGS: [&str; 3] = ["-s", "-S", "-B"];

/// All of its environment.
pub const ENVIRONMENT: [(&str, &str); 2] = [("PYTHONHASHSEED", "0"), ("PYTHONUTF8", "1")];
