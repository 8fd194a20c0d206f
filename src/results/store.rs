//! The folder of one run on disk.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::record::{GenerationLine, Item, Manifest, PartialLine, ScoreRecord, Settings};
use crate::config::Cell;
use crate::error::input;
use crate::mask::{LORA, Treatment};

/// `results/<model>/<data>.<direction>/<format>-k<k>-seed<s>[-<profile>][-chat]`
#[derive(Debug, Clone)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// The folder at this path; nothing is read or made yet.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where a cell's scores go; its generations go beside it as `.jsonl`.
    pub fn score_path(&self, cell: Cell) -> PathBuf {
        let file = match cell.mask {
            Treatment::None => "baseline.json".into(),
            _ => format!("layer-{}.json", cell.from_layer),
        };
        self.0.join(cell.mask.to_string()).join(file)
    }

    /// The folder of a layer's adapter.
    pub fn adapter_path(&self, layer: usize) -> PathBuf {
        self.0.join(LORA).join(format!("layer-{layer}"))
    }

    /// The manifest, if a run was here before.
    pub fn manifest(&self) -> Result<Option<Manifest>> {
        read_json(&self.0.join("manifest.json"))
    }

    /// Refuse to mix results of other settings.
    ///
    /// # Errors
    /// The settings that made this folder differ, with the fields that do.
    pub fn check(&self, settings: &Settings) -> Result<()> {
        match self.manifest()? {
            Some(manifest) if manifest.settings.hash() != settings.hash() => Err(input(format!(
                "{}: holds results of other settings ({}); give another folder with --results, or move this one away",
                self.0.display(),
                manifest.settings.differences(settings).join("; ")
            ))),
            _ => Ok(()),
        }
    }

    /// The scores of a cell that is finished with these settings.
    pub fn finished(&self, cell: Cell, settings_sha256: &str) -> Result<Option<ScoreRecord>> {
        let path = self.score_path(cell);
        match read_json::<ScoreRecord>(&path)? {
            Some(record) if record.settings_sha256 != settings_sha256 => Err(input(format!(
                "{}: was made with other settings than the manifest beside it says; move it away to compute it again",
                path.display()
            ))),
            found => Ok(found),
        }
    }

    /// Write the manifest and the test items.
    pub fn begin(&self, manifest: &Manifest, items: &[Item]) -> Result<()> {
        write_lines(&self.0.join("items.jsonl"), items)?;
        write_json(&self.0.join("manifest.json"), manifest)
    }

    /// Write a finished cell; the scores last, so that a score file means that all is there.
    pub fn finish(
        &self,
        cell: Cell,
        record: &ScoreRecord,
        generations: &[GenerationLine],
    ) -> Result<PathBuf> {
        let path = self.score_path(cell);
        write_lines(&path.with_extension("jsonl"), generations)?;
        write_json(&path, record)?;
        match fs::remove_file(self.partial_path(cell)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(path),
        }
    }

    /// The generations of a cell that a broken-off run had finished.
    ///
    /// # Errors
    /// A damaged line before the last; the last one may have been cut off and is dropped.
    pub fn partial(&self, cell: Cell) -> Result<Vec<PartialLine>> {
        let path = self.partial_path(cell);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            File::options().write(true).open(&path)?.set_len(whole as u64)?;
        }
        let parse = |(number, line): (usize, &str)| {
            serde_json::from_str(line)
                .map_err(|e| input(format!("{}:{}: damaged ({e}); move it away", path.display(), number + 1)))
        };
        text[..whole].lines().enumerate().map(parse).collect()
    }

    /// Keep one generation of a cell until the cell is finished.
    pub fn keep(&self, cell: Cell, line: &PartialLine) -> Result<()> {
        let path = self.partial_path(cell);
        let append = || -> Result<()> {
            fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
            let mut text = serde_json::to_vec(line)?;
            text.push(b'\n');
            Ok(File::options().create(true).append(true).open(&path)?.write_all(&text)?)
        };
        append().with_context(|| format!("cannot write {}", path.display()))
    }

    fn partial_path(&self, cell: Cell) -> PathBuf {
        self.score_path(cell).with_extension("partial.jsonl")
    }

    /// The test items of the run.
    pub fn items(&self) -> Result<Vec<Item>> {
        read_lines(&self.0.join("items.jsonl"))
    }

    /// A cell's generations.
    pub fn generations(&self, score_path: &Path) -> Result<Vec<GenerationLine>> {
        read_lines(&score_path.with_extension("jsonl"))
    }

    /// The score files below the folder, sorted.
    pub fn score_files(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.0).with_context(|| format!("cannot read {}", self.0.display()))? {
            let folder = entry?.path();
            if folder.is_dir() {
                for entry in fs::read_dir(&folder)? {
                    files.push(entry?.path());
                }
            }
        }
        // What others leave beside them (backups, checkpoints of notebooks) are no cells.
        files.retain(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name == "baseline.json" || name.starts_with("layer-") && name.ends_with(".json")
        });
        files.sort();
        Ok(files)
    }
}

/// A JSON file, or `None` if there is none.
///
/// # Errors
/// It cannot be read, or is not what it should be.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            return Err(input(format!("{}: damaged ({error}); move it away", path.display())));
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let parsed = serde_json::from_str(&text);
    parsed.map(Some).map_err(|e| input(format!("{}: damaged ({e}); move it away", path.display())))
}

fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let file = File::open(path).map_err(|e| input(format!("{}: cannot be opened ({e})", path.display())))?;
    let mut all = Vec::new();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData => {
                input(format!("{}:{}: damaged ({error})", path.display(), number + 1))
            }
            _ => anyhow::Error::from(error).context(format!("cannot read {}", path.display())),
        })?;
        let record = serde_json::from_str(&line)
            .map_err(|e| input(format!("{}:{}: damaged ({e})", path.display(), number + 1)))?;
        all.push(record);
    }
    Ok(all)
}

/// Write JSON, whole or not at all.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    write_atomically(path, |out| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        Ok(out.write_all(b"\n")?)
    })
}

fn write_lines(path: &Path, lines: &[impl Serialize]) -> Result<()> {
    write_atomically(path, |out| {
        for line in lines {
            serde_json::to_writer(&mut *out, line)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    })
}

/// Write a file under another name beside its place, flush it to disk, then rename it: a reader sees the old file or
/// the whole new one.
pub fn write_atomically(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = folder.join(format!(".{name}.{}.partial", std::process::id()));
    let attempt = || -> Result<()> {
        fs::create_dir_all(folder)?;
        let mut out = BufWriter::new(File::create(&partial)?);
        write(&mut out)?;
        out.flush()?;
        out.get_ref().sync_all()?;
        Ok(fs::rename(&partial, path)?)
    };
    attempt()
        .inspect_err(|_| drop(fs::remove_file(&partial)))
        .with_context(|| format!("cannot write {}", path.display()))
}
