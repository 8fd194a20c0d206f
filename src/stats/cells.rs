//! Results folders -> the cells in them, each with what its items add to the score.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::base::error::{absent, input};
use crate::base::interrupt::check_interrupted;
use crate::data::Example;
use crate::results::{FinishedCell, GenerationLine, Manifest, RunContents, RunFolder, ScoreRecord};
use crate::tasks::{ItemStats, Measure, Outcome};

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
    pub items: Vec<Example>,
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
    pub fn read(folder: &Path, metric: Option<&Measure>) -> Result<Self> {
        let place = RunFolder::new(folder.into());
        let (stored, found) =
            RunContents::read_run(&place, |stored, found| match stored.is_whole(&found.record) {
                true => StoredCell::new(stored, found, metric).map(Some),
                false => Ok(None),
            })?;
        let shorter = found.iter().filter(|found| found.is_none()).count();
        let mut cells: Vec<StoredCell> = found.into_iter().flatten().collect();
        cells.sort_by_key(|cell| cell.record.condition());
        let RunContents { manifest, items, .. } = stored;
        Ok(Self { folder: folder.into(), manifest, items, cells, shorter })
    }
}

impl StoredCell {
    /// What its generations add to the measure, item by item.
    fn new(stored: &RunContents, found: FinishedCell, metric: Option<&Measure>) -> Result<Self> {
        let path = stored.folder.score_path(found.condition);
        let refuse = |what: &str| input(format!("{}: {what}", path.display()));
        let scores = &found.record.scores;
        let known = stored.task.kind().measures(stored.samples());
        let added = found.lines.first().into_iter().flat_map(GenerationLine::added);
        let there: Vec<Measure> =
            known.iter().cloned().chain(added).filter(|measure| scores.value(measure).is_some()).collect();
        let measure = metric.cloned().unwrap_or_else(|| stored.usual());
        if let Some(why) = stored.task.lacks(&measure) {
            return Err(refuse(&format!("has no `{}`, as {why}; use another --metric", measure.key)));
        }
        // An earlier version stored fewer measures.
        if !there.contains(&measure) && known.contains(&measure) {
            let (key, folder) = (&measure.key, stored.folder.path().display());
            return Err(refuse(&format!("was scored without `{key}`; `icl-mask score {folder}` adds it")));
        }
        measure.among(&there, &path.display().to_string())?;
        let score = scores.value(&measure).ok_or_else(|| refuse("lacks a measure"))?;
        let outcomes: Vec<&Outcome> = found.lines.iter().map(|line| &line.outcome).collect();
        let items = match stored.added(&measure, &found.lines) {
            Some(items) => items,
            None => stored
                .task
                .items(&measure, stored.samples(), &outcomes)
                .map_err(|error| refuse(&format!("{error:#}")))?,
        };
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
