//! Results folders -> the cells in them, each with what its items add to the score.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::error::input;
use crate::results::{GenerationLine, Item, Manifest, Outcome, RunFolder, ScoreRecord, Scores, read_json};
use crate::sandbox::Verdict;
use crate::score::{Bleu, BleuStats};

/// What each test item adds to a score: enough for the score of any selection of items.
#[derive(Debug, Clone, PartialEq)]
pub enum ItemStats {
    /// Counts of n-grams, for corpus BLEU.
    Bleu(Vec<BleuStats>),
    /// The share of its programs that pass, for pass@1.
    Passed(Vec<f64>),
}

impl ItemStats {
    /// Of a cell's generations; `samples` of each item follow each other.
    ///
    /// # Errors
    /// A generation that was not scored.
    pub fn new(scores: &Scores, lines: &[GenerationLine]) -> Result<Self> {
        let unscored = "a generation is not scored as the cell is; `icl-mask score` scores it again";
        match scores {
            Scores::Text(_) => {
                let stats = lines.iter().map(|line| match &line.outcome {
                    Outcome::Text { stats } => Ok(stats.bleu),
                    _ => Err(input(unscored)),
                });
                Ok(Self::Bleu(stats.collect::<Result<_>>()?))
            }
            Scores::Code(code) => {
                let passed = lines.iter().map(|line| match &line.outcome {
                    Outcome::Program { verdict, .. } => Ok(f64::from(u8::from(*verdict == Verdict::Passed))),
                    _ => Err(input(unscored)),
                });
                let passed: Vec<f64> = passed.collect::<Result<_>>()?;
                let samples = code.samples.max(1);
                ensure!(passed.len().is_multiple_of(samples), input(unscored));
                Ok(Self::Passed(
                    passed.chunks(samples).map(|some| some.iter().sum::<f64>() / samples as f64).collect(),
                ))
            }
        }
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        match self {
            Self::Bleu(stats) => stats.len(),
            Self::Passed(shares) => shares.len(),
        }
    }

    /// No items?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The score of some items, each as often as it is named.
    pub fn score(&self, items: impl IntoIterator<Item = usize>) -> f64 {
        match self {
            Self::Bleu(stats) => {
                let mut total = BleuStats::default();
                items.into_iter().for_each(|item| total += &stats[item]);
                Bleu::default().score(&total).score
            }
            Self::Passed(shares) => {
                let (mut sum, mut count) = (0., 0usize);
                items.into_iter().for_each(|item| (sum, count) = (sum + shares[item], count + 1));
                sum / count.max(1) as f64
            }
        }
    }
}

/// A finished cell: its scores and what they are made of.
#[derive(Debug, Clone)]
pub struct StoredCell {
    /// The score file.
    pub record: ScoreRecord,
    /// By test item.
    pub items: ItemStats,
}

/// A run as it stands on disk.
#[derive(Debug, Clone)]
pub struct StoredRun {
    /// Where.
    pub folder: PathBuf,
    /// What it was.
    pub manifest: Manifest,
    /// Its test items.
    pub items: Vec<Item>,
    /// Its finished cells, sorted by mask and layer.
    pub cells: Vec<StoredCell>,
}

impl StoredRun {
    /// Read a run's folder.
    ///
    /// # Errors
    /// Damaged files, cells of other settings, generations that are not those of the items.
    pub fn read(folder: &Path) -> Result<Self> {
        let stored = RunFolder::new(folder.into());
        let manifest =
            stored.manifest()?.ok_or_else(|| input(format!("{}: no manifest.json", folder.display())))?;
        let items = stored.items()?;
        let mut cells = Vec::new();
        for path in stored.score_files()? {
            let record: ScoreRecord =
                read_json(&path)?.ok_or_else(|| input(format!("{}: has gone away", path.display())))?;
            ensure!(
                record.settings_sha256 == manifest.settings_sha256,
                input(format!("{}: was made with other settings than its manifest says", path.display()))
            );
            let lines = stored.generations(&path)?;
            let samples = manifest.settings.sampling.map_or(1, |drawn| drawn.samples);
            let wanted = items.iter().flat_map(|item| (0..samples).map(move |sample| (&item.id, sample)));
            ensure!(
                lines.iter().map(|line| (&line.id, line.sample)).eq(wanted),
                input(format!("{}: its generations are not those of items.jsonl", path.display()))
            );
            let of_items = ItemStats::new(&record.scores, &lines)
                .map_err(|error| input(format!("{}: {error:#}", path.display())))?;
            cells.push(StoredCell { record, items: of_items });
        }
        cells.sort_by_key(|cell| (cell.record.mask, cell.record.from_layer));
        Ok(Self { folder: folder.into(), manifest, items, cells })
    }
}

/// The run folders at or below these paths, sorted, each once.
///
/// # Errors
/// A path that cannot be read, or holds none.
pub fn find_runs(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        let before = found.len();
        walk(path, &mut found)?;
        if found.len() == before {
            return Err(input(format!("{}: no manifest.json here or below", path.display())));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn walk(path: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    if path.join("manifest.json").is_file() {
        found.push(path.into());
        return Ok(());
    }
    let entries = std::fs::read_dir(path).map_err(|e| input(format!("{}: {e}", path.display())))?;
    let mut folders: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders.iter().try_for_each(|folder| walk(folder, found))
}
