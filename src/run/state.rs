//! One run being worked on: which cells are finished, which are this process's to compute, and which another's.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::{Result, ensure};
use rayon::prelude::*;

use super::inputs::RunInputs;
use super::model::OpenModel;
use super::open::RunPlan;
use super::print::print_record;
use crate::base::console::note;
use crate::base::error::input;
use crate::base::interrupt::check_interrupted;
use crate::config::{self, Experiment};
use crate::data::Example;
use crate::engine::Limits;
use crate::intervene::Condition;
use crate::results::{Claim, FinishedCell, PartialLine, RunContents, RunFolder, ScoreRecord, Settings};
use crate::tasks::{Measure, Outcome};

/// One run's cells, finished and not.
pub struct OpenCells {
    pub prepared: RunInputs,
    pub folder: RunFolder,
    pub settings: Settings,
    pub settings_sha256: String,
    /// To be computed: by this process alone, once it has claimed them.
    pub pending: Vec<Condition>,
    /// The claims of the pending cells; empty if the run was told to do without claims.
    claims: HashMap<Condition, Claim>,
    /// What a broken-off run has left of them, by slot.
    kept: HashMap<Condition, Vec<Option<PartialLine>>>,
    locks: bool,
    /// What the whole call was.
    typed: config::Settings,
    /// The measure of the closing table, if not the task's usual one.
    pub(super) metric: Option<Measure>,
    /// Other processes compute these.
    pub(super) others: Vec<Condition>,
    pub(super) finished: Vec<ScoreRecord>,
    /// Finished cells that a line of JSON was printed of.
    printed: HashSet<Condition>,
    pub(super) limits: Limits,
    /// Which run of the call it is, counted from 1, and of how many.
    pub(super) number: [usize; 2],
}

/// A cell that is finished, if only for fewer test items, checked.
fn finished(
    stored: Option<&RunContents>,
    condition: Condition,
    n_layers: usize,
) -> Result<Option<FinishedCell>> {
    let Some(stored) = stored else { return Ok(None) };
    let path = stored.folder.score_path(condition);
    let Some(found) = stored.check(&path)? else { return Ok(None) };
    match found.record.n_layers() == n_layers {
        true => Ok(Some(found)),
        false => Err(input(format!(
            "{}: says that the model has {} layers, but it has {n_layers}",
            path.display(),
            found.record.n_layers()
        ))),
    }
}

/// What is there already must be of the first of these items, in the same prompts.
fn check_items(stored: &RunContents, prepared: &RunInputs) -> Result<()> {
    let refuse = |what: &str| {
        Err(input(format!(
            "{}: {what}; give another folder with --results, or move this one away",
            stored.folder.path().display()
        )))
    };
    let same = |(ours, theirs): (&Example, &Example)| {
        (&ours.id, &ours.source, &ours.target) == (&theirs.id, &theirs.source, &theirs.target)
    };
    if !prepared.items.iter().zip(&stored.items).all(same) {
        return refuse("its items.jsonl holds other test items than the corpus");
    }
    let manifest = &stored.manifest;
    let first = prepared.prompts.iter().find(|prompt| prompt.item == manifest.prompt.id);
    let demonstrations = manifest.demonstrations.iter().map(|item| &item.id);
    let same_prompts = first.is_some_and(|first| first.tokens == manifest.prompt.tokens)
        && demonstrations.eq(prepared.demonstrations.iter().map(|example| &example.id))
        && manifest.substitute.as_ref().map(|item| &item.id)
            == prepared.substitute.as_ref().map(|item| &item.id);
    match same_prompts {
        true => Ok(()),
        false => refuse(
            "its results are of other prompts (see manifest.json) than this version makes of the same settings",
        ),
    }
}

/// Between two looks at what other processes do.
const LOOK_AGAIN: Duration = Duration::from_millis(300);

impl OpenCells {
    pub(super) fn new(planned: RunPlan, settings: Settings, experiment: &Experiment) -> Result<Self> {
        let RunPlan { prepared, folder } = planned;
        let settings_sha256 = settings.hash();
        let n_layers = prepared.run.model.layers;
        let stored = folder.manifest()?.is_some().then(|| RunContents::open(folder.clone())).transpose()?;
        if let Some(stored) = &stored {
            check_items(stored, &prepared)?;
            // What lies beside the cells of this call is at least at a cell's place.
            folder.score_files()?.iter().try_for_each(|path| folder.condition_at(path).map(drop))?;
        }
        let found = prepared.run.conditions.par_iter().map(|&cell| {
            check_interrupted()?;
            Ok((cell, finished(stored.as_ref(), cell, n_layers)?))
        });
        let (mut pending, mut finished) = (Vec::new(), Vec::new());
        for (cell, found) in found.collect::<Result<Vec<_>>>()? {
            match found {
                Some(found) if found.record.n == settings.n => finished.push(found.record),
                _ => pending.push(cell),
            }
        }
        let (claims, kept, others) = (HashMap::new(), HashMap::new(), Vec::new());
        let limits = Limits::branches(1);
        Ok(Self {
            prepared,
            folder,
            settings,
            settings_sha256,
            pending,
            claims,
            kept,
            locks: experiment.locks,
            typed: experiment.typed.clone(),
            metric: None,
            others,
            finished,
            printed: HashSet::new(),
            limits,
            number: [1, 1],
        })
    }

    /// Take what nobody else computes; what others have finished meanwhile is finished.
    pub(super) fn claim(&mut self) -> Result<()> {
        let known = self.folder.manifest()?.is_some();
        let stored = known.then(|| RunContents::open(self.folder.clone())).transpose()?;
        // Another process may just have begun, with other settings or more test items.
        self.folder.check(&self.settings, &self.prepared.run.masks)?;
        if self.locks {
            let open = |cell: &&Condition| self.pending.contains(cell) || self.others.contains(cell);
            let finished = self.prepared.run.conditions.iter().filter(|cell| !open(cell));
            finished.copied().try_for_each(|cell| self.folder.tidy(cell, self.settings.n))?;
        }
        let mut wanted = std::mem::take(&mut self.pending);
        wanted.append(&mut self.others);
        for cell in wanted {
            let claim = if self.locks { self.folder.claim(cell, self.settings.n)? } else { None };
            let found = finished(stored.as_ref(), cell, self.prepared.run.model.layers).or_else(|error| {
                self.folder.check(&self.settings, &self.prepared.run.masks).and(Err(error))
            })?;
            let found = match found {
                Some(found) if found.record.n == self.settings.n => {
                    self.finished.push(found.record);
                    continue;
                }
                found => found,
            };
            if claim.is_none() && self.locks {
                self.others.push(cell);
                continue;
            }
            self.claims.extend(claim.map(|claim| (cell, claim)));
            self.kept.insert(cell, self.kept(cell, found)?);
            self.pending.push(cell);
        }
        Ok(())
    }

    /// One line of JSON for each finished cell that has none yet.
    ///
    /// # Errors
    /// Nobody reads them any more.
    pub(super) fn print_finished(&mut self) -> Result<()> {
        for record in &self.finished {
            let condition = record.condition();
            if self.printed.insert(condition) {
                print_record(record, &self.folder.score_path(condition))?;
            }
        }
        Ok(())
    }

    /// Let go of what will not be computed.
    pub(super) fn release(&mut self) {
        let Self { claims, pending, .. } = self;
        claims.retain(|cell, _| pending.contains(cell));
    }

    /// Something is not finished, whoever computes it.
    pub(super) fn is_open(&self) -> bool {
        !self.pending.is_empty() || !self.others.is_empty()
    }

    /// Wait for what other processes compute, until all of it is there (false), or some of it was given up and is ours now.
    pub(super) fn wait(&mut self) -> Result<bool> {
        let mut told = false;
        loop {
            self.claim()?;
            if !self.pending.is_empty() || self.others.is_empty() {
                return Ok(!self.pending.is_empty());
            }
            if !told {
                let owner = Claim::owner(&self.folder.claim_path(self.others[0]))?;
                let owner = owner.map_or("another process".into(), |owner| owner.to_string());
                let said = format!(
                    "{}: {} cells are computed by {owner}; waiting for them",
                    self.folder.path().display(),
                    self.others.len()
                );
                note(said);
                told = true;
            }
            check_interrupted()?;
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Nobody else can write this cell's files, and they are still where they were.
    ///
    /// # Errors
    /// Its folder was moved or removed, with what was finished in it.
    fn check_claim(&self, condition: Condition) -> Result<()> {
        ensure!(
            self.claims.get(&condition).is_none_or(Claim::holds),
            "{} was moved or removed while results were written to it; nothing more is written",
            self.folder.path().display()
        );
        Ok(())
    }

    /// Write files of a cell that nobody else can write.
    ///
    /// # Errors
    /// As [`check_claim`](Self::check_claim), also where the folder goes while it is written to; whatever `write` returns.
    pub(super) fn write<T>(
        &self,
        condition: Condition,
        write: impl FnOnce(&RunFolder) -> Result<T>,
    ) -> Result<T> {
        self.check_claim(condition)?;
        // That the folder is gone says more than which file could not be written then.
        write(&self.folder).or_else(|error| self.check_claim(condition).and(Err(error)))
    }

    /// Write what its results will be of.
    pub(super) fn begin(&self, model: &OpenModel) -> Result<()> {
        let Self { prepared, folder, settings, .. } = self;
        folder.begin((settings, &prepared.run.masks), &prepared.items, self.locks, |known| {
            prepared.manifest(settings.clone(), model, &self.typed, known)
        })
    }

    /// By cell and slot, what is there already of what is to be computed; the rest is `None`.
    pub(super) fn take_kept(&mut self) -> Vec<Vec<Option<PartialLine>>> {
        let slots = self.slots();
        let none = || vec![None; slots];
        self.pending.iter().map(|cell| self.kept.remove(cell).unwrap_or_else(none)).collect()
    }

    /// These cells are finished, and `printed` if lines of JSON are wanted. Nothing is claimed any more.
    pub(super) fn add(&mut self, records: Vec<ScoreRecord>, printed: bool) {
        if printed {
            self.printed.extend(records.iter().map(ScoreRecord::condition));
        }
        self.finished.extend(records);
        self.claims.clear();
    }

    /// Generations of a cell: each item has as many as there are samples.
    pub fn slots(&self) -> usize {
        self.prepared.items.len() * self.prepared.run.sampling.samples
    }

    /// By slot, what is there already of a cell: of one that was finished for fewer test items, and of a run that was broken off.
    ///
    /// # Errors
    /// It is not what this run would have made.
    fn kept(&self, condition: Condition, shorter: Option<FinishedCell>) -> Result<Vec<Option<PartialLine>>> {
        let RunInputs { items, prompts, run, task, .. } = &self.prepared;
        let mut lines = self.folder.partial(condition)?;
        let mut finished = shorter.map(|shorter| shorter.as_partial()).unwrap_or_default();
        if run.task.runs_programs {
            // All programs of a cell are judged within the same limits, which may be others now.
            finished.iter_mut().for_each(|partial| partial.line.outcome = Outcome::Pending {});
        }
        lines.append(&mut finished);
        let places: HashMap<&str, usize> =
            items.iter().enumerate().map(|(at, item)| (item.id.as_str(), at)).collect();
        let mut kept: Vec<Option<PartialLine>> = vec![None; self.slots()];
        for line in lines {
            let id = &line.line.id;
            let refuse = |what: &str| {
                input(format!(
                    "{}: {id}: {what}; move the cell's files away",
                    self.folder.score_path(condition).display()
                ))
            };
            let Some(&item) = places.get(id.as_str()).filter(|_| line.line.sample < run.sampling.samples)
            else {
                return Err(refuse("a generation is of no test item of this run"));
            };
            if line.line.prompt_tokens != prompts[item].tokens.len() {
                return Err(refuse("a generation is of a prompt with another number of tokens"));
            }
            if !task.takes(&line.line.outcome) {
                return Err(refuse("a generation is not scored as this task wants"));
            }
            let slot = item * run.sampling.samples + line.line.sample;
            kept[slot] = Some(line);
        }
        Ok(kept)
    }
}
