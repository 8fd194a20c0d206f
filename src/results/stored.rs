//! A run's folder as it is on disk, held against itself: the one check that everything goes through that reads results.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, Result};

use super::identity::Schema;
use super::lines::{GenerationLine, PartialLine};
use super::record::{Manifest, ScoreRecord};
use super::store::RunFolder;
use crate::base::error::input;
use crate::base::inputs;
use crate::base::interrupt::check_interrupted;
use crate::data::Example;
use crate::intervene::{Condition, Intervention};
use crate::sandbox::Trial;
use crate::score::BleuStats;
use crate::tasks::{Delimiters, ItemStats, Measure, Outcome, Runner, Scores, Task, TaskKind};

/// What all cells of a run have in common.
#[derive(Debug)]
pub struct RunContents {
    /// Where.
    pub folder: RunFolder,
    /// What the run was.
    pub manifest: Manifest,
    /// Its test items.
    pub items: Vec<Example>,
    /// What was asked.
    pub task: Box<dyn Task>,
}

/// A finished cell as it is on disk. Its files were found to belong together.
#[derive(Debug, Clone)]
pub struct FinishedCell {
    /// The condition, as its path says.
    pub condition: Condition,
    /// Its scores.
    pub record: ScoreRecord,
    /// Its generations.
    pub lines: Vec<GenerationLine>,
}

/// How much of a cell is computed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Depth {
    /// Nothing: its two files are each other's, and lie at the place that they name.
    Files,
    /// Its scores, from the statistics and verdicts of its generations.
    Scores,
    /// The statistics too, from the texts.
    Texts,
}

impl FinishedCell {
    /// Its generations as those of a cell that is not finished. What computing them took is said with the first one.
    pub fn as_partial(&self) -> Vec<PartialLine> {
        let counted = self.record.multiply_adds;
        let costs = |at: usize| match at {
            0 => (self.record.seconds, counted),
            _ => (0., counted.map(|_| 0)),
        };
        let partial = |(at, line): (usize, &GenerationLine)| {
            let (seconds, multiply_adds) = costs(at);
            PartialLine { line: line.clone(), seconds, multiply_adds }
        };
        self.lines.iter().enumerate().map(partial).collect()
    }
}

impl RunContents {
    /// Read what all cells of a run have in common.
    ///
    /// # Errors
    /// Something is missing, damaged or edited.
    pub fn open(folder: RunFolder) -> Result<Self> {
        let shown = folder.path().display().to_string();
        let manifest = folder.manifest()?.ok_or_else(|| input(format!("{shown}: no manifest.json")))?;
        let refuse = |what: String| Err(input(format!("{shown}/{what}")));
        if manifest.settings.hash() != manifest.settings_sha256 {
            return refuse("manifest.json: its hash is not that of its settings; it was edited".into());
        }
        let n = manifest.settings.n;
        let mut items = folder.items()?;
        if n == 0 || items.len() < n {
            return refuse(format!("items.jsonl holds {} items, the manifest says {n}", items.len()));
        }
        // Items are written before the manifest that counts them: a folder that was about to grow has more.
        items.truncate(n);
        let mut ids = HashSet::new();
        if let Some(item) = items.iter().find(|item| !ids.insert(item.id.as_str())) {
            return refuse(format!("items.jsonl: holds some of them twice ({})", item.id));
        }
        let kind = TaskKind::find(&manifest.settings.task, &format!("{shown}/manifest.json"))?;
        // A task without languages has no direction.
        let direction = match manifest.settings.direction.as_str() {
            "" => None,
            written => Some(written.parse()?),
        };
        let task = kind.set_up(manifest.settings.profile, direction.as_ref(), &manifest.settings.asked())?;
        Ok(Self { folder, manifest, items, task })
    }

    /// Read and check a whole run; `take` gets each finished cell. A run may be writing to the folder meanwhile: what
    /// fails because the folder has just grown is done again.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`check`](Self::check); whatever `take` returns.
    pub fn read_run<T>(
        folder: &RunFolder,
        mut take: impl FnMut(&Self, FinishedCell) -> Result<T>,
    ) -> Result<(Self, Vec<T>)> {
        let mut read = || -> Result<(Self, Vec<T>)> {
            let stored = Self::open(folder.clone())?;
            let mut taken = Vec::new();
            for path in folder.score_files()? {
                check_interrupted()?;
                if let Some(cell) = stored.check(&path)? {
                    taken.push(take(&stored, cell)?);
                }
            }
            Ok((stored, taken))
        };
        loop {
            let before = folder.manifest_bytes();
            match read() {
                Err(_) if folder.manifest_bytes() != before => check_interrupted()?,
                done => return done,
            }
        }
    }

    /// A finished cell, checked: its place, its settings, its generations by their sha256, its scores by their statistics. Where no
    /// sha256 was kept, the statistics are computed again from the texts. `None` if its score file is not there.
    ///
    /// # Errors
    /// The first fault that is found, with the file.
    pub fn check(&self, path: &Path) -> Result<Option<FinishedCell>> {
        self.checked(path, Depth::Scores)
    }

    /// The same without a look at its scores, for what computes them again.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_files(&self, path: &Path) -> Result<Option<FinishedCell>> {
        self.checked(path, Depth::Files)
    }

    fn checked(&self, path: &Path, depth: Depth) -> Result<Option<FinishedCell>> {
        let Some((cell, faults)) = self.settled(path, depth)? else { return Ok(None) };
        match faults.into_iter().next() {
            Some(fault) => Err(input(fault)),
            None => Ok(Some(cell)),
        }
    }

    /// All faults of a cell, a sentence each; everything is computed again. `None` if its score file is not there.
    ///
    /// # Errors
    /// A file that cannot be read at all.
    pub fn faults(&self, path: &Path) -> Result<Option<(FinishedCell, Vec<String>)>> {
        self.settled(path, Depth::Texts)
    }

    /// The two files of a cell cannot be replaced at once: where something is wrong, look again at what has just been replaced.
    fn settled(&self, path: &Path, depth: Depth) -> Result<Option<(FinishedCell, Vec<String>)>> {
        loop {
            let before = inputs::bytes(path).ok();
            let found = self.examined(path, depth);
            let wrong = found
                .as_ref()
                .map_or(true, |found| found.as_ref().is_some_and(|(_, faults)| !faults.is_empty()));
            if !wrong || inputs::bytes(path).ok() == before {
                return found;
            }
            check_interrupted()?;
        }
    }

    fn examined(&self, path: &Path, depth: Depth) -> Result<Option<(FinishedCell, Vec<String>)>> {
        let shown = path.display();
        let condition = self.folder.condition_at(path)?;
        let Some(record) = super::read_json::<ScoreRecord>(path)? else { return Ok(None) };
        self.check_mask(condition, path)?;
        let (lines, sha256) = self.folder.generations_and_sha256(path)?;
        let found = FinishedCell { condition, record, lines };
        let mut faults = self.faults_of_place(&found);
        if !self.holds_items(&found) {
            faults.push("its generations are not those of items.jsonl".into());
        } else if faults.is_empty() {
            let kept = found.record.generations_sha256.as_ref();
            if kept.is_some_and(|kept| *kept != sha256) {
                faults.push(
                    "its generations are not those that were scored (sha256): they were edited or cut".into(),
                );
            }
            let depth = match (depth, kept) {
                (Depth::Scores, None) => Depth::Texts,
                _ => depth,
            };
            faults.extend(self.faults_of_scores(&found, depth)?);
        }
        let faults = faults.into_iter().map(|fault| format!("{shown}: {fault}")).collect();
        Ok(Some((found, faults)))
    }

    /// A folder is a mask's if the manifest knows the mask.
    fn check_mask(&self, condition: Condition, path: &Path) -> Result<()> {
        let Some(Intervention::Rules(name)) = condition.intervention() else { return Ok(()) };
        // Another process may have added it since this manifest was read.
        let known = |manifest: &Manifest| manifest.masks.get(name).is_ok();
        if known(&self.manifest) || self.folder.manifest()?.is_some_and(|manifest| known(&manifest)) {
            return Ok(());
        }
        Err(input(format!(
            "{}: is not the score file of a cell: manifest.json has no mask `{name}`; move it away",
            path.display()
        )))
    }

    /// What its score file says of itself, beside the scores.
    fn faults_of_place(&self, found: &FinishedCell) -> Vec<String> {
        let FinishedCell { condition, record, .. } = found;
        let mut faults = Vec::new();
        let (said, n_layers) = (record.condition(), record.n_layers());
        if said != *condition {
            faults.push(format!("says that it is {} from layer {}", said.series(), said.start(n_layers)));
        } else if self.manifest.asked.n_layers().is_some_and(|layers| layers != n_layers) {
            faults.push(format!("says that the model has {n_layers} layers"));
        }
        let settings = &self.manifest.settings;
        if record.settings_sha256 != settings.of_items(record.n).hash() {
            faults.push(
                "was made with other settings than manifest.json says; move it away to compute it again"
                    .into(),
            );
        } else if record.n == 0 || record.n > settings.n {
            faults.push(format!("holds {} test items, manifest.json says {}", record.n, settings.n));
        }
        faults
    }

    /// Its generations are those of the first items, as many as it says.
    fn holds_items(&self, found: &FinishedCell) -> bool {
        let (samples, n) = (self.samples(), found.record.n);
        let items = self.items.iter().take(n);
        let wanted = items.flat_map(|item| (0..samples).map(move |sample| (&item.id, sample)));
        found.lines.iter().map(|line| (&line.id, line.sample)).eq(wanted)
    }

    fn faults_of_scores(&self, found: &FinishedCell, depth: Depth) -> Result<Vec<String>> {
        let mut faults = Vec::new();
        if depth == Depth::Files {
            return Ok(faults);
        }
        let first = &self.manifest.prompt;
        let of_first = found.lines.iter().find(|line| line.id == first.id);
        if of_first.is_some_and(|line| line.prompt_tokens != first.tokens.len()) {
            faults.push("its first prompt has not as many tokens as the one of manifest.json".into());
        }
        let mut again = if depth == Depth::Texts { Some(self.cleaned_again(found)?) } else { None };
        for (line, was) in again.iter_mut().flatten().zip(&found.lines) {
            line.outcome = line.outcome.clone().limited_to(&was.outcome);
        }
        for (line, was) in again.iter().flatten().zip(&found.lines) {
            if line != was {
                faults.push(format!("what is scored of {} is not what comes of its text", line.id));
            }
        }
        let lines = again.as_ref().unwrap_or(&found.lines);
        let record = self.record(found, lines, None)?;
        if !says_what(&record, &found.record) {
            let measure = self.usual();
            let [was, is] = [&found.record, &record].map(|record| record.scores.value(&measure));
            faults.push(match (was, is) {
                (Some(was), Some(is)) if (was - is).abs() >= 1e-9 => format!(
                    "{measure} is {was:.4}, but {is:.4} by its generations; `icl-mask score` scores them again"
                ),
                _ => {
                    "its scores or counts, or its settings, are not those of its generations; `icl-mask score` writes them anew".into()
                }
            });
        }
        Ok(faults)
    }

    /// The measure that its curves show where no other is asked for.
    pub fn usual(&self) -> Measure {
        self.task.usual(self.samples())
    }

    /// Generations of each item.
    pub fn samples(&self) -> usize {
        self.manifest.settings.sampling.map_or(1, |drawn| drawn.samples.max(1))
    }

    /// Whether a cell has all test items. One that has not was finished before the folder grew.
    pub fn is_whole(&self, record: &ScoreRecord) -> bool {
        record.n == self.manifest.settings.n
    }

    /// The generations of a cell, cleaned and compared with their references again. Programs keep their verdicts.
    ///
    /// # Errors
    /// An item has no tests, but is a problem.
    pub fn cleaned_again(&self, found: &FinishedCell) -> Result<Vec<GenerationLine>> {
        let format = self.manifest.settings.format_as_written();
        let stops = self.manifest.stop_strings.iter().map(String::as_str).collect();
        let delimiters = Delimiters { format: &format, stops };
        let mut lines = found.lines.clone();
        for (at, line) in lines.iter_mut().enumerate() {
            let clean = self.task.clean(&line.text, &delimiters);
            if clean != line.clean {
                // These counts are of the text as it was, and the models that made them are not here.
                line.spbleu.clear();
            }
            line.clean = clean;
            let judged = self.task.judge(&self.items[at / self.samples()], &line.clean);
            if let Some(again) = self.task.judged_again(&self.items[at / self.samples()], &line.outcome) {
                line.outcome = again;
            } else if !judged.is_pending() {
                line.outcome = judged;
            }
        }
        Ok(lines)
    }

    /// What is to be run for these generations of a cell; nothing if they are texts.
    ///
    /// # Errors
    /// An item has no tests.
    pub fn trials(&self, lines: &[GenerationLine]) -> Result<Vec<Trial>> {
        let trial = |(at, line): (usize, &GenerationLine)| {
            self.task.trial(&self.items[at / self.samples()], &line.clean).transpose()
        };
        lines.iter().enumerate().filter_map(trial).collect()
    }

    /// What each item adds to a measure that is none of the task's; `None` where some generation lacks it.
    pub fn added(&self, measure: &Measure, lines: &[GenerationLine]) -> Option<ItemStats> {
        if let Some(name) = measure.pieces_name() {
            let each: Vec<BleuStats> =
                lines.iter().map(|line| line.spbleu.get(name).copied()).collect::<Option<_>>()?;
            let items = each.chunks(self.samples());
            let references = items.clone().map(|some| some[0].ref_len).collect();
            return Some(ItemStats::of_pieces(
                measure,
                items.map(|some| some.iter().sum()).collect(),
                references,
            ));
        }
        // Of another program's measure, an item has the mean over its samples.
        let name = measure.imported_name()?;
        let each: Vec<f64> =
            lines.iter().map(|line| line.imported.get(name).copied()).collect::<Option<_>>()?;
        let mean = |some: &[f64]| some.iter().sum::<f64>() / some.len() as f64;
        Some(ItemStats::imported(measure, each.chunks(self.samples()).map(mean).collect()))
    }

    /// The record of a cell by these generations, judged by `runner` or by what has judged them before.
    ///
    /// # Errors
    /// A generation was not scored as the task wants.
    pub fn record(
        &self,
        found: &FinishedCell,
        lines: &[GenerationLine],
        runner: Option<&Runner>,
    ) -> Result<ScoreRecord> {
        let FinishedCell { condition, record: old, .. } = found;
        let before = old.scores.runner()?;
        let outcomes: Vec<&Outcome> = lines.iter().map(|line| &line.outcome).collect();
        let scores = self
            .task
            .scores(self.samples(), &outcomes, runner.or(before.as_ref()))
            .with_context(|| self.folder.score_path(*condition).display().to_string())?;
        let mut scores = scores;
        for measure in lines.first().into_iter().flat_map(GenerationLine::added) {
            if let Some(items) = self.added(&measure, lines) {
                scores.add(&items);
            }
        }
        let settings = self.manifest.settings.of_items(old.n);
        Ok(ScoreRecord::new(&settings, &settings.hash(), old.identity, scores)
            .with_generations(lines)
            .with_costs(old.seconds, old.multiply_adds))
    }
}

/// Whether a stored record says what one that is computed anew says. Another version may have written it, without the sha256.
fn says_what(computed: &ScoreRecord, stored: &ScoreRecord) -> bool {
    let rest = |record: &ScoreRecord| ScoreRecord {
        schema: Schema::NOW,
        version: String::new(),
        generations_sha256: None,
        scores: Scores::default(),
        ..record.clone()
    };
    computed.scores.are_in(&stored.scores) && rest(computed) == rest(stored)
}
