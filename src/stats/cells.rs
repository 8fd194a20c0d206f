//! Results folders -> the cells in them, each with what its items add to the score.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::engine::check_interrupted;
use crate::error::input;
use crate::results::{
    FinishedCell, GenerationLine, Item, Manifest, Outcome, RunFolder, ScoreRecord, Scores, Stored,
};
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
    pub fn new(scores: &Scores, samples: usize, lines: &[GenerationLine]) -> Result<Self> {
        let unscored = "a generation is not scored as the cell is; `icl-mask score` scores it again";
        match scores {
            Scores::Text(_) => {
                let stats = lines.iter().map(|line| match &line.outcome {
                    Outcome::Text { stats } if stats.bleu.is_possible() => Ok(stats.bleu),
                    _ => Err(input(unscored)),
                });
                let stats: Vec<BleuStats> = stats.collect::<Result<_>>()?;
                Ok(Self::Bleu(stats.chunks(samples.max(1)).map(|some| some.iter().sum()).collect()))
            }
            Scores::Code(_) => {
                let passed = lines.iter().map(|line| match &line.outcome {
                    Outcome::Program { verdict, .. } => Ok(f64::from(u8::from(*verdict == Verdict::Passed))),
                    _ => Err(input(unscored)),
                });
                let passed: Vec<f64> = passed.collect::<Result<_>>()?;
                let samples = samples.max(1);
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
    /// How many more were finished for fewer test items than the run now has.
    pub shorter: usize,
}

impl StoredRun {
    /// Read a run's folder, checked.
    ///
    /// # Errors
    /// Damaged or edited files, cells of other settings, generations that are not those of the items.
    pub fn read(folder: &Path) -> Result<Self> {
        let place = RunFolder::new(folder.into());
        let (stored, found) =
            Stored::read_run(&place, |stored, found| match stored.is_whole(&found.record) {
                true => StoredCell::new(stored, found).map(Some),
                false => Ok(None),
            })?;
        let shorter = found.iter().filter(|found| found.is_none()).count();
        let mut cells: Vec<StoredCell> = found.into_iter().flatten().collect();
        cells.sort_by_key(|cell| (cell.record.mask, cell.record.from_layer));
        let Stored { manifest, items, .. } = stored;
        Ok(Self { folder: folder.into(), manifest, items, cells, shorter })
    }
}

impl StoredCell {
    /// What its generations add to its score, item by item.
    fn new(stored: &Stored, found: FinishedCell) -> Result<Self> {
        let path = stored.folder.score_path(found.cell);
        let items = ItemStats::new(&found.record.scores, stored.samples(), &found.lines)
            .map_err(|error| input(format!("{}: {error:#}", path.display())))?;
        Ok(Self { record: found.record, items })
    }
}

/// The run folders at or below these paths, sorted, each once.
///
/// # Errors
/// A path that cannot be read, or holds none.
pub fn find_runs(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    for path in paths {
        let before = seen.len();
        let met = walk(path, &mut found, &mut seen)?;
        if !met && seen.len() > before {
            return Err(input(format!("{}: no manifest.json here or below", path.display())));
        }
    }
    found.sort();
    Ok(found)
}

/// Is there a run at or below this path? Folders that were seen, by whatever name, are not walked again.
fn walk(path: &Path, found: &mut Vec<PathBuf>, seen: &mut HashSet<PathBuf>) -> Result<bool> {
    check_interrupted()?;
    let refuse = |error: std::io::Error| input(format!("{}: {error}", path.display()));
    if !seen.insert(path.canonicalize().map_err(refuse)?) {
        return Ok(false);
    }
    if path.join("manifest.json").is_file() {
        found.push(path.into());
        return Ok(true);
    }
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(path).map_err(refuse)? {
        let path = entry.map_err(refuse)?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    let mut met = false;
    for folder in folders {
        met |= walk(&folder, found, seen)?;
    }
    Ok(met)
}
