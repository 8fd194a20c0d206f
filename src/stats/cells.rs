//! Results folders -> the cells in them, each with what its items add to the score.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::base::error::{absent, input};
use crate::base::interrupt::check_interrupted;
use crate::results::{
    FinishedCell, GenerationLine, Item, Manifest, Metric, Outcome, RunFolder, ScoreRecord, Stored,
};
use crate::sandbox::Verdict;
use crate::score::{Bleu, BleuStats, Chrf, ChrfStats, PairStats, pass_at_k};

/// What each test item adds to a measure: enough for the measure of any selection of items.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemStats {
    metric: Metric,
    parts: Parts,
    /// Words of each item's reference, as BLEU counts them; none for programs.
    references: Vec<u64>,
}

/// By item.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Parts {
    /// Counts of n-grams of words, for corpus BLEU and what it is made of.
    Words(Vec<BleuStats>),
    /// Counts of n-grams of characters, for corpus chrF.
    Characters(Vec<ChrfStats>),
    /// The item's own pass@k: that of several items is their mean.
    Mean(Vec<f64>),
}

const UNSCORED: &str = "a generation is not scored as the cell is; `icl-mask score` scores it again";

impl ItemStats {
    /// Of a cell's generations; `samples` of each item follow each other.
    ///
    /// # Errors
    /// A generation that was not scored, or not so that this measure could be computed.
    pub fn new(metric: Metric, samples: usize, lines: &[GenerationLine]) -> Result<Self> {
        let samples = samples.max(1);
        if let Metric::PassAt(k) = metric {
            let passed = lines.iter().map(passed).collect::<Result<Vec<bool>>>()?;
            let estimate = |some: &[bool]| {
                pass_at_k(some.len(), some.iter().filter(|passed| **passed).count(), k)
                    .ok_or_else(|| input(format!("pass@{k} needs {k} generations of each item")))
            };
            let parts = Parts::Mean(passed.chunks(samples).map(estimate).collect::<Result<_>>()?);
            return Ok(Self { metric, parts, references: Vec::new() });
        }
        let pairs: Vec<&PairStats> = lines.iter().map(pair).collect::<Result<_>>()?;
        let items = || pairs.chunks(samples);
        let parts = match metric {
            Metric::Chrf => {
                Parts::Characters(items().map(|some| some.iter().map(|pair| &pair.chrf).sum()).collect())
            }
            _ => Parts::Words(items().map(|some| some.iter().map(|pair| &pair.bleu).sum()).collect()),
        };
        let references = items().map(|some| some[0].bleu.ref_len).collect();
        Ok(Self { metric, parts, references })
    }

    /// A measure that is the mean of one number an item.
    #[cfg(test)]
    pub(super) fn mean(values: Vec<f64>) -> Self {
        Self { metric: Metric::PassAt(1), parts: Parts::Mean(values), references: Vec::new() }
    }

    /// Of which measure.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Words of each item's reference, as BLEU counts them; none for programs.
    pub fn references(&self) -> &[u64] {
        &self.references
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        match &self.parts {
            Parts::Words(stats) => stats.len(),
            Parts::Characters(stats) => stats.len(),
            Parts::Mean(values) => values.len(),
        }
    }

    /// No items?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The measure of some items, each as often as it is named.
    pub fn score(&self, items: impl IntoIterator<Item = usize>) -> f64 {
        match &self.parts {
            Parts::Words(stats) => {
                let mut total = BleuStats::default();
                items.into_iter().for_each(|item| total += &stats[item]);
                of_words(self.metric, &total)
            }
            Parts::Characters(stats) => {
                let mut total = ChrfStats::default();
                items.into_iter().for_each(|item| total += &stats[item]);
                Chrf::default().score(&total)
            }
            Parts::Mean(values) => {
                let (mut sum, mut count) = (0., 0usize);
                items.into_iter().for_each(|item| (sum, count) = (sum + values[item], count + 1));
                sum / count.max(1) as f64
            }
        }
    }
}

/// A measure made of counts of n-grams of words.
pub(super) fn of_words(metric: Metric, total: &BleuStats) -> f64 {
    let score = Bleu::default().score(total);
    match metric {
        Metric::Precision(order) => score.precisions[order - 1],
        Metric::BrevityPenalty => score.brevity_penalty,
        _ => score.score,
    }
}

fn pair(line: &GenerationLine) -> Result<&PairStats> {
    match &line.outcome {
        Outcome::Text { stats } if stats.bleu.is_possible() && stats.chrf.is_possible() => Ok(stats),
        _ => Err(input(UNSCORED)),
    }
}

fn passed(line: &GenerationLine) -> Result<bool> {
    match &line.outcome {
        Outcome::Program { verdict, .. } => Ok(*verdict == Verdict::Passed),
        _ => Err(input(UNSCORED)),
    }
}

/// A finished cell: its scores and what they are made of.
#[derive(Debug, Clone)]
pub struct StoredCell {
    /// The score file.
    pub record: ScoreRecord,
    /// The measure that is looked at.
    pub score: f64,
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
    /// Its finished cells, sorted by condition.
    pub cells: Vec<StoredCell>,
    /// How many more were finished for fewer test items than the run now has.
    pub shorter: usize,
}

impl StoredRun {
    /// Read a run's folder, checked, to look at this measure, or at the task's usual one.
    ///
    /// # Errors
    /// Damaged or edited files, cells of other settings, generations that are not those of the items, a measure that is not
    /// here.
    pub fn read(folder: &Path, metric: Option<Metric>) -> Result<Self> {
        let place = RunFolder::new(folder.into());
        let (stored, found) =
            Stored::read_run(&place, |stored, found| match stored.is_whole(&found.record) {
                true => StoredCell::new(stored, found, metric).map(Some),
                false => Ok(None),
            })?;
        let shorter = found.iter().filter(|found| found.is_none()).count();
        let mut cells: Vec<StoredCell> = found.into_iter().flatten().collect();
        cells.sort_by_key(|cell| cell.record.condition());
        let Stored { manifest, items, .. } = stored;
        Ok(Self { folder: folder.into(), manifest, items, cells, shorter })
    }
}

impl StoredCell {
    /// What its generations add to the measure, item by item.
    fn new(stored: &Stored, found: FinishedCell, metric: Option<Metric>) -> Result<Self> {
        let path = stored.folder.score_path(found.condition);
        let refuse = |what: &str| input(format!("{}: {what}", path.display()));
        let there = found.record.scores.metrics();
        let metric =
            metric.unwrap_or(found.record.scores.usual()).among(&there, &path.display().to_string())?;
        let score = found.record.scores.value(metric).ok_or_else(|| refuse("lacks a measure"))?;
        let items = ItemStats::new(metric, stored.samples(), &found.lines)
            .map_err(|error| refuse(&format!("{error:#}")))?;
        Ok(Self { record: found.record, score, items })
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
            return Err(input(format!(
                "{}: holds no results: there is no manifest.json in this folder or below it",
                path.display()
            )));
        }
    }
    found.sort();
    Ok(found)
}

/// Is there a run at or below this path? Folders that were seen, by whatever name, are not walked again.
fn walk(path: &Path, found: &mut Vec<PathBuf>, seen: &mut HashSet<PathBuf>) -> Result<bool> {
    check_interrupted()?;
    let refuse = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => absent(format!("there is no folder {}", path.display())),
        _ => input(format!("{}: {error}", path.display())),
    };
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
