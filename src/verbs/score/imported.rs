//! `score --score-with`: scores that another program gave to generations.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde::Deserialize;

use crate::base::error::input;
use crate::base::inputs::{self, MOST_TEXT};
use crate::results::{FinishedCell, GenerationLine, RunContents, RunFolder};

/// A line of the file: what names a generation, as `export --hypotheses` writes it, and its scores.
#[derive(Debug, Deserialize)]
struct Line {
    folder: Option<String>,
    mask: String,
    layer: Option<usize>,
    id: String,
    #[serde(default)]
    sample: usize,
    scores: Option<BTreeMap<String, Score>>,
}

/// A score or a verdict.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Score {
    Number(f64),
    Verdict(bool),
}

/// What names a generation: folder, mask, layer, item and sample.
type Key = (Option<String>, String, Option<usize>, String, usize);

/// All scores of a file.
pub struct Imported {
    scores: BTreeMap<Key, BTreeMap<String, f64>>,
    shown: String,
}

impl Imported {
    /// Read a file, and find each of its lines among the results.
    ///
    /// # Errors
    /// A line that is malformed, comes twice or names no generation; a cell of which only some generations have scores.
    pub fn read(path: &Path, folders: &[std::path::PathBuf]) -> Result<Self> {
        let shown = path.display().to_string();
        let text = inputs::text(path, MOST_TEXT).map_err(|trouble| trouble.about(path))?;
        let mut scores = BTreeMap::new();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let refuse = |what: String| input(format!("{shown}:{}: {what}", at + 1));
            let line: Line = serde_json::from_str(line).map_err(|error| {
                let reason = error.to_string().replace(" at line 1 column ", " at column ");
                refuse(format!("{reason}; write the lines of `export --hypotheses` with `scores` added"))
            })?;
            let given = line.scores.filter(|scores| !scores.is_empty());
            let Some(given) = given else { return Err(refuse("has no `scores`".into())) };
            let mut numbers = BTreeMap::new();
            for (name, score) in given {
                let number = match score {
                    Score::Number(number) => number,
                    Score::Verdict(yes) => f64::from(u8::from(yes)),
                };
                if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || "-_.@".contains(c)) {
                    return Err(refuse(format!(
                        "`{name}` is not a name for a score; use letters, digits, - and _"
                    )));
                }
                numbers.insert(name, number);
            }
            let key = (line.folder, line.mask, line.layer, line.id.clone(), line.sample);
            if scores.insert(key, numbers).is_some() {
                return Err(refuse(format!("scores the same generation of {} again", line.id)));
            }
        }
        let imported = Self { scores, shown };
        imported.check(folders)?;
        Ok(imported)
    }

    /// Every line names a generation, and every cell has scores for all of them or for none.
    fn check(&self, folders: &[std::path::PathBuf]) -> Result<()> {
        let mut left: BTreeMap<&Key, bool> = self.scores.keys().map(|key| (key, false)).collect();
        for folder in folders {
            let stored = RunContents::open(RunFolder::new(folder.clone()))?;
            for path in stored.folder.score_files()? {
                let Some(found) = stored.check_files(&path)? else { continue };
                let mut lacking = None;
                let mut names: Option<Vec<&String>> = None;
                for line in &found.lines {
                    let Some((key, scores)) = self.entry(&stored, &found, line) else {
                        lacking.get_or_insert(&line.id);
                        continue;
                    };
                    if left.insert(key, true) == Some(true) {
                        return Err(input(format!(
                            "{}: a line for item {} fits several folders; add `folder` to each line",
                            self.shown, line.id
                        )));
                    }
                    let these: Vec<&String> = scores.keys().collect();
                    if names.as_ref().is_some_and(|names| *names != these) {
                        return Err(input(format!(
                            "{}: item {} of {} has other scores than the items before it",
                            self.shown,
                            line.id,
                            path.display()
                        )));
                    }
                    names = Some(these);
                }
                if let (Some(id), Some(_)) = (lacking, names) {
                    return Err(input(format!(
                        "{}: has scores for some generations of {} but not for item {id}; score all of a cell",
                        self.shown,
                        path.display()
                    )));
                }
            }
        }
        match left.into_iter().find(|(_, found)| !found) {
            None => Ok(()),
            Some(((folder, mask, layer, id, sample), _)) => {
                let layer = layer.map_or("baseline".into(), |layer| format!("layer {layer}"));
                let folder = folder.as_ref().map_or(String::new(), |folder| format!("{folder}: "));
                Err(input(format!(
                    "{}: names a generation that is not among the results: {folder}{mask}, {layer}, item {id}, sample {sample}",
                    self.shown
                )))
            }
        }
    }

    /// The scores of a generation, by the line that names its folder or by one that names none.
    fn entry(
        &self,
        stored: &RunContents,
        found: &FinishedCell,
        line: &GenerationLine,
    ) -> Option<(&Key, &BTreeMap<String, f64>)> {
        let folder = stored.folder.path().display().to_string();
        let key = |folder: Option<String>| {
            let series = found.condition.series().to_string();
            (folder, series, found.condition.layer(), line.id.clone(), line.sample)
        };
        self.scores.get_key_value(&key(Some(folder))).or_else(|| self.scores.get_key_value(&key(None)))
    }

    /// Put the scores to the generations of a cell. A cell without any keeps what it has.
    pub fn add(&self, stored: &RunContents, found: &FinishedCell, lines: &mut [GenerationLine]) {
        for line in lines {
            if let Some((_, scores)) = self.entry(stored, found, line) {
                line.imported.extend(scores.clone());
            }
        }
    }
}
