//! The folder of one run on disk.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::claim::Claim;
use super::record::{GenerationLine, Item, Manifest, PartialLine, ScoreRecord, Settings};
use crate::config::Cell;
use crate::console::note;
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

    /// The cell that a score file is of by its place; the baseline without its number of layers.
    pub fn cell_of(score_path: &Path) -> Option<Cell> {
        let mask = score_path.parent()?.file_name()?.to_str()?.parse().ok()?;
        let layer = score_path.file_stem()?.to_str()?.strip_prefix("layer-");
        match (mask, layer) {
            (Treatment::None, None) => Some(Cell { mask, from_layer: 0 }),
            (Treatment::None, _) | (_, None) => None,
            (_, Some(layer)) => Some(Cell { mask, from_layer: layer.parse().ok()? }),
        }
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
    /// The settings that made this folder differ, with the fields that do; or nothing says which they were.
    pub fn check(&self, settings: &Settings) -> Result<()> {
        // In this order: a manifest is written before any result.
        let holds_results = self.holds_results()?;
        match self.manifest()? {
            Some(manifest) if manifest.settings.hash() != settings.hash() => Err(input(format!(
                "{}: holds results of other settings ({}); give another folder with --results, or move this one away",
                self.0.display(),
                manifest.settings.differences(settings).join("; ")
            ))),
            None if holds_results => Err(input(format!(
                "{}: holds results, but the manifest.json that says of which settings is gone; give another folder with \
                 --results, or move this one away",
                self.0.display()
            ))),
            _ => Ok(()),
        }
    }

    /// Whether any cell has left something here, finished or not.
    fn holds_results(&self) -> Result<bool> {
        if !self.0.is_dir() {
            return Ok(false);
        }
        let of_a_cell = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            (name.starts_with("baseline.") || name.starts_with("layer-")) && !name.ends_with(CLAIM)
        };
        Ok(self.files()?.iter().any(of_a_cell))
    }

    /// Take a cell, unless another process computes it. What a killed process has left unfinished of its files is removed.
    ///
    /// # Errors
    /// The folder cannot be written to, or locked.
    pub fn claim(&self, cell: Cell) -> Result<Option<Claim>> {
        let path = self.score_path(cell);
        let claim = Claim::take(&path.with_extension(CLAIM))?;
        if claim.is_some() {
            remove_leftovers(&path)?;
            if path.exists() {
                self.drop_partial(cell)?;
            }
        }
        Ok(claim)
    }

    /// Clear away what a killed process has left beside a finished cell.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    pub fn tidy(&self, cell: Cell) -> Result<()> {
        if !self.claim_path(cell).exists() && !self.partial_path(cell).exists() {
            return Ok(());
        }
        let no_right = |error: &std::io::Error| {
            use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
            matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem)
        };
        match self.claim(cell) {
            // What is finished can be read all the same.
            Err(error) if error.root_cause().downcast_ref().is_some_and(no_right) => Ok(()),
            claimed => claimed.map(drop),
        }
    }

    /// Where the claim on a cell lies.
    pub fn claim_path(&self, cell: Cell) -> PathBuf {
        self.score_path(cell).with_extension(CLAIM)
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

    /// Write the manifest, made from what is there already, and the test items.
    ///
    /// # Errors
    /// Another process has begun with other settings; or as [`write_atomically`].
    pub fn begin(
        &self,
        settings: &Settings,
        items: &[Item],
        locks: bool,
        manifest: impl FnOnce(Option<Manifest>) -> Manifest,
    ) -> Result<()> {
        let path = self.0.join("manifest.json");
        // One at a time: each adds to what the others have written.
        let _claim = if locks { Some(Claim::wait(&path.with_extension(CLAIM))?) } else { None };
        self.check(settings)?;
        if locks {
            remove_leftovers(&path)?;
            remove_leftovers(&self.0.join("items.jsonl"))?;
        }
        let mut known = self.manifest()?;
        if let Some(known) = known.as_mut().filter(|known| known.cells.is_empty()) {
            // Of a version that did not note them.
            for path in self.score_files()? {
                let Some(ScoreRecord { mask, from_layer, .. }) = read_json(&path)? else { continue };
                known.cells.entry(mask).or_default().insert(from_layer);
            }
        }
        write_lines(&self.0.join("items.jsonl"), items)?;
        write_json(&path, &manifest(known))
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
        self.drop_partial(cell)?;
        Ok(path)
    }

    fn drop_partial(&self, cell: Cell) -> Result<()> {
        let path = self.partial_path(cell);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// The generations of a cell that a broken-off run had finished. What it had no time to write whole, or the machine to
    /// bring to its disk, is cut off.
    ///
    /// # Errors
    /// A damaged line before a whole one, which no broken-off run leaves.
    pub fn partial(&self, cell: Cell) -> Result<Vec<PartialLine>> {
        let path = self.partial_path(cell);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let parse = |line: &[u8]| match line.ends_with(b"\n") {
            true => serde_json::from_slice(line).map_err(|error| error.to_string()),
            false => Err("it has no end".to_string()),
        };
        let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
        let mut parsed: Vec<Result<PartialLine, String>> = lines.iter().map(|line| parse(line)).collect();
        let whole = parsed.iter().take_while(|line| line.is_ok()).count();
        let rest = parsed.split_off(whole);
        if let (Some(Err(why)), true) = (rest.first(), rest.iter().any(Result::is_ok)) {
            return Err(input(format!("{}:{}: damaged ({why}); move it away", path.display(), whole + 1)));
        }
        if !rest.is_empty() {
            let kept: usize = lines[..whole].iter().map(|line| line.len()).sum();
            let said = format!(
                "{}: {} bytes at its end were never written whole; they are computed again",
                path.display(),
                bytes.len() - kept
            );
            note(said);
            File::options().write(true).open(&path)?.set_len(kept as u64)?;
        }
        Ok(parsed.into_iter().flatten().collect())
    }

    /// How many generations of a cell that is not finished are kept.
    pub fn count_partial(&self, cell: Cell) -> Result<usize> {
        let path = self.partial_path(cell);
        match fs::read(&path) {
            Ok(bytes) => Ok(bytes.iter().filter(|&&byte| byte == b'\n').count()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
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
        let mut files = self.files()?;
        // What others leave beside them (backups, checkpoints of notebooks) are no cells.
        files.retain(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name == "baseline.json" || name.starts_with("layer-") && name.ends_with(".json")
        });
        files.sort();
        Ok(files)
    }

    /// What lies in the folders of masks.
    fn files(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.0).with_context(|| format!("cannot read {}", self.0.display()))? {
            let folder = entry?.path();
            if folder.is_dir() {
                let cannot = || format!("cannot read {}", folder.display());
                for entry in fs::read_dir(&folder).with_context(cannot)? {
                    files.push(entry.with_context(cannot)?.path());
                }
            }
        }
        Ok(files)
    }
}

/// How the files end that claims lie on.
const CLAIM: &str = "claim";

/// Remove what writing the files of this stem has left that was broken off. Nobody else may be writing them.
fn remove_leftovers(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let start = format!(".{}.", path.file_stem().unwrap_or_default().to_string_lossy());
    let cannot = || format!("cannot clear {}", folder.display());
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(&start) && name.ends_with(PARTIAL) {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
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

/// Write a file under another name beside its place, flush it to disk, then rename it, and bring the new name to disk: a
/// reader sees the old file or the whole new one, after a power failure too.
pub fn write_atomically(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let partial = unfinished_path(path);
    let attempt = || -> Result<()> {
        fs::create_dir_all(folder)?;
        let mut out = BufWriter::new(File::create(&partial)?);
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

const PARTIAL: &str = ".partial";

/// Bring the names in a folder to disk.
pub fn sync_folder(folder: &Path) -> Result<()> {
    // Other systems cannot open a folder, and have no need to.
    if cfg!(unix) {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
