//! The folder of one run on disk.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::claim::{Claim, no_links};
use super::lines::{GenerationLine, PartialLine};
use super::record::{Manifest, ScoreRecord, Settings};
use crate::base::console::note;
use crate::base::error::input;
use crate::base::files::{PARTIAL, check_place, sync_folder, write_atomically, write_json};
use crate::base::hash::Hash;
use crate::base::inputs::{self, MOST_TEXT, Trouble};
use crate::data::Example;
use crate::intervene::{Condition, LORA, Masks, Series};

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

    /// Refuse a place where no folder can be made, before anything is computed for it.
    ///
    /// # Errors
    /// A name that is too long, a symbolic link to nothing, or a file where a folder is wanted.
    pub fn check_place(&self) -> Result<()> {
        check_place(&self.0, "--results")
    }

    /// Where a condition's scores go; its generations go beside it as `.jsonl`.
    pub fn score_path(&self, condition: Condition) -> PathBuf {
        let file = condition.layer().map_or("baseline.json".into(), |layer| format!("layer-{layer}.json"));
        self.0.join(condition.series().to_string()).join(file)
    }

    /// The condition whose score file this is, as its path says.
    ///
    /// # Errors
    /// No condition has such a file, or its name is spelled otherwise: a copy, or a file of something else.
    pub fn condition_at(&self, path: &Path) -> Result<Condition> {
        let parsed = || match path.parent()?.file_name()?.to_str()?.parse().ok()? {
            Series::Baseline => Some(Condition::Baseline),
            series => Some(series.at(path.file_stem()?.to_str()?.strip_prefix("layer-")?.parse().ok()?)),
        };
        parsed().filter(|condition| self.score_path(*condition) == path).ok_or_else(|| {
            input(format!(
                "{}: is not the score file of a cell (MASK/layer-NUMBER.json, none/baseline.json); move it away",
                path.display()
            ))
        })
    }

    /// The folder of a layer's adapter.
    pub fn adapter_path(&self, layer: usize) -> PathBuf {
        self.0.join(LORA).join(format!("layer-{layer}"))
    }

    /// The manifest, if a run was here before.
    pub fn manifest(&self) -> Result<Option<Manifest>> {
        read_json(&self.0.join("manifest.json"))
    }

    /// The manifest as it is on disk, to see whether it has changed.
    pub fn manifest_bytes(&self) -> Option<Vec<u8>> {
        inputs::bytes(&self.0.join("manifest.json")).ok()
    }

    /// Refuse to mix results of other settings. More test items are no other settings: the folder grows by them.
    ///
    /// # Errors
    /// The settings that made this folder differ, with the fields that do; it holds more items than these settings; or
    /// nothing says which settings made it. A mask of the same name that had other rules.
    pub fn check(&self, settings: &Settings, masks: &Masks) -> Result<()> {
        // In this order: a manifest is written before any result.
        let holds_results = self.holds_results()?;
        match self.manifest()? {
            Some(Manifest { settings: known, masks: known_masks, .. }) => {
                let (same_items, n) = (known.of_items(settings.n), settings.n);
                if same_items.hash() != settings.hash() {
                    return Err(input(format!(
                        "{}: holds results of other settings ({}); give another folder with --results, or move this one away",
                        self.0.display(),
                        same_items.differences(settings).join("; ")
                    )));
                }
                if known.n > n {
                    return Err(input(format!(
                        "{}: holds results of {} test items, which {n} would cut short; write --limit {}, or give another \
                         folder with --results",
                        self.0.display(),
                        known.n,
                        known.n
                    )));
                }
                match masks
                    .iter()
                    .find(|(name, rules)| known_masks.get(*name).is_ok_and(|known| known != *rules))
                {
                    None => Ok(()),
                    Some((name, rules)) => Err(input(format!(
                        "{}: holds results of a mask `{name}` that had other rules ({}; now {rules}); give the mask another name, or \
                         give another folder with --results",
                        self.0.display(),
                        known_masks.get(name).map(|known| known.to_string()).unwrap_or_default()
                    ))),
                }
            }
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

    /// Take a cell of `n` test items, unless another process computes it. What a killed process has left unfinished of its
    /// files is removed.
    ///
    /// # Errors
    /// The folder cannot be written to, or locked.
    pub fn claim(&self, condition: Condition, n: usize) -> Result<Option<Claim>> {
        let path = self.score_path(condition);
        let claim = Claim::take(&path.with_extension(CLAIM))?;
        if claim.is_some() {
            remove_leftovers(&path)?;
            if self.items_of(condition) == Some(n) {
                self.drop_partial(condition)?;
            }
        }
        Ok(claim)
    }

    /// How many test items the score file of a cell says that it is of; nothing is checked. `None` if there is none.
    pub fn items_of(&self, condition: Condition) -> Option<usize> {
        read_json::<ScoreRecord>(&self.score_path(condition)).ok().flatten().map(|record| record.n)
    }

    /// Clear away what a killed process has left beside a finished cell.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    pub fn tidy(&self, condition: Condition, n: usize) -> Result<()> {
        if !self.claim_path(condition).exists() && !self.partial_path(condition).exists() {
            return Ok(());
        }
        let no_right = |error: &std::io::Error| {
            use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
            matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem)
        };
        match self.claim(condition, n) {
            // What is finished can be read all the same.
            Err(error) if error.root_cause().downcast_ref().is_some_and(no_right) => Ok(()),
            claimed => claimed.map(drop),
        }
    }

    /// Where the claim on a cell lies.
    pub fn claim_path(&self, condition: Condition) -> PathBuf {
        self.score_path(condition).with_extension(CLAIM)
    }

    /// Write the manifest, made from what is there already, and the test items.
    ///
    /// # Errors
    /// Another process has begun with other settings; or as [`write_atomically`].
    pub fn begin(
        &self,
        (settings, masks): (&Settings, &Masks),
        items: &[Example],
        locks: bool,
        manifest: impl FnOnce(Option<Manifest>) -> Manifest,
    ) -> Result<()> {
        let path = self.0.join("manifest.json");
        // One at a time: each adds to what the others have written.
        let _claim = if locks { Some(Claim::wait(&path.with_extension(CLAIM))?) } else { None };
        self.check(settings, masks)?;
        if locks {
            remove_leftovers(&path)?;
            remove_leftovers(&self.0.join("items.jsonl"))?;
        }
        let mut known = self.manifest()?;
        if let Some(known) = known.as_mut().filter(|known| known.asked.is_empty()) {
            // Of a version that did not note them.
            for path in self.score_files()? {
                let Some(ScoreRecord { identity, .. }) = read_json(&path)? else { continue };
                known.asked.add(identity.condition, identity.n_layers);
            }
        }
        write_lines(&self.0.join("items.jsonl"), items)?;
        write_json(&path, &manifest(known))
    }

    /// Write a finished cell; the scores last, so that a score file means that all is there. Returns them with the sha256 of
    /// the generations.
    pub fn finish(
        &self,
        condition: Condition,
        mut record: ScoreRecord,
        generations: &[PartialLine],
    ) -> Result<ScoreRecord> {
        let path = self.score_path(condition);
        if path.exists() {
            // Two files cannot be replaced at once. Until both are new, the cell is one that only its scores lack.
            write_lines(&self.partial_path(condition), generations)?;
            let removed = fs::remove_file(&path).map_err(anyhow::Error::from);
            removed
                .and_then(|()| sync_folder(path.parent().unwrap_or(Path::new("."))))
                .with_context(|| format!("cannot replace {}", path.display()))?;
        }
        let lines: Vec<&GenerationLine> = generations.iter().map(|partial| &partial.line).collect();
        let text = to_lines(&lines)?;
        record.generations_sha256 = Some(sha256(&text));
        write_atomically(&path.with_extension("jsonl"), |out| Ok(out.write_all(&text)?))?;
        write_json(&path, &record)?;
        self.drop_partial(condition)?;
        Ok(record)
    }

    fn drop_partial(&self, condition: Condition) -> Result<()> {
        let path = self.partial_path(condition);
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
    pub fn partial(&self, condition: Condition) -> Result<Vec<PartialLine>> {
        let path = self.partial_path(condition);
        let bytes = match inputs::bytes(&path) {
            Ok(bytes) => bytes,
            Err(trouble) if trouble.is_missing() => return Ok(Vec::new()),
            Err(trouble) => return Err(trouble.about(&path)),
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
            no_links(File::options().write(true)).open(&path)?.set_len(kept as u64)?;
        }
        Ok(parsed.into_iter().flatten().collect())
    }

    /// How many generations of a cell that is not finished are kept.
    pub fn count_partial(&self, condition: Condition) -> Result<usize> {
        let path = self.partial_path(condition);
        match inputs::bytes(&path) {
            Ok(bytes) => Ok(bytes.iter().filter(|&&byte| byte == b'\n').count()),
            Err(trouble) if trouble.is_missing() => Ok(0),
            Err(trouble) => Err(trouble.about(&path)),
        }
    }

    /// Keep one generation of a cell until the cell is finished.
    pub fn keep(&self, condition: Condition, line: &PartialLine) -> Result<()> {
        let path = self.partial_path(condition);
        let append = || -> Result<()> {
            fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
            let mut text = serde_json::to_vec(line)?;
            text.push(b'\n');
            let mut options = File::options();
            Ok(no_links(options.create(true).append(true)).open(&path)?.write_all(&text)?)
        };
        append().with_context(|| format!("cannot write {}", path.display()))
    }

    fn partial_path(&self, condition: Condition) -> PathBuf {
        self.score_path(condition).with_extension("partial.jsonl")
    }

    /// The test items of the run.
    pub fn items(&self) -> Result<Vec<Example>> {
        read_lines(&self.0.join("items.jsonl"))
    }

    /// A cell's generations.
    pub fn generations(&self, score_path: &Path) -> Result<Vec<GenerationLine>> {
        read_lines(&score_path.with_extension("jsonl"))
    }

    /// A cell's generations, and the sha256 of their file.
    pub(super) fn generations_and_sha256(&self, score_path: &Path) -> Result<(Vec<GenerationLine>, String)> {
        let path = score_path.with_extension("jsonl");
        let bytes = inputs::bytes(&path)
            .map_err(|error| input(format!("{}: cannot be opened ({error})", path.display())))?;
        Ok((parse_lines(&path, bytes.as_slice())?, sha256(&bytes)))
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
    let text = match inputs::text(path, MOST_TEXT) {
        Ok(text) => text,
        Err(trouble) if trouble.is_missing() => return Ok(None),
        Err(Trouble::System(error)) => {
            return Err(error).with_context(|| format!("cannot read {}", path.display()));
        }
        Err(trouble) => return Err(input(format!("{}: damaged ({trouble}); move it away", path.display()))),
    };
    let parsed = serde_json::from_str(&text);
    parsed.map(Some).map_err(|e| input(format!("{}: damaged ({e}); move it away", path.display())))
}

fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let file =
        inputs::open(path).map_err(|e| input(format!("{}: cannot be opened ({e})", path.display())))?;
    parse_lines(path, BufReader::new(file))
}

fn parse_lines<T: DeserializeOwned>(path: &Path, text: impl BufRead) -> Result<Vec<T>> {
    let mut all = Vec::new();
    for (number, line) in text.lines().enumerate() {
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

fn write_lines(path: &Path, lines: &[impl Serialize]) -> Result<()> {
    let text = to_lines(lines)?;
    write_atomically(path, |out| Ok(out.write_all(&text)?))
}

/// JSON, a value a line.
fn to_lines(lines: &[impl Serialize]) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    Ok(text)
}

fn sha256(text: &[u8]) -> String {
    let mut hash = Hash::default();
    hash.bytes(text);
    hash.hex()
}

/// The sha256 of the file that these lines make.
pub fn sha256_of_lines(lines: &[impl Serialize]) -> Result<String> {
    Ok(sha256(&to_lines(lines)?))
}
