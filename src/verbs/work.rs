//! One run being worked on: which cells are finished, which are this process's to compute, and which another's.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::checker::Checker;
use super::collector::Collector;
use super::model::OpenModel;
use super::prepare::{Prepared, Scoring, as_items};
use super::run::Planned;
use crate::config::{self, Cell, Experiment, Task};
use crate::data::Example;
use crate::engine::{Limits, Request, check_interrupted, generate, generate_alone};
use crate::error::printable;
use crate::mask::Treatment;
use crate::model::Decoder;
use crate::results::{Claim, Metric, PartialLine, RunFolder, ScoreRecord, Settings, table};
use crate::score::reported_ks;
use crate::stats::{TooShort, suggested};

/// One run's cells, finished and not.
pub struct Work {
    pub prepared: Prepared,
    pub folder: RunFolder,
    pub settings: Settings,
    pub settings_sha256: String,
    /// To be computed: by this process alone, once it has claimed them.
    pub pending: Vec<Cell>,
    /// Of them, unless it was told to do without.
    claims: HashMap<Cell, Claim>,
    /// What a broken-off run has left of them, by slot.
    kept: HashMap<Cell, Vec<Option<PartialLine>>>,
    locks: bool,
    /// What the whole call was.
    typed: config::Settings,
    /// The measure of the closing table, if not the task's usual one.
    pub(super) metric: Option<Metric>,
    /// Other processes compute these.
    pub(super) others: Vec<Cell>,
    finished: Vec<ScoreRecord>,
    pub(super) limits: Limits,
}

/// The measure that closing tables show, by its name: `None` for the task's usual one.
///
/// # Errors
/// There is no such measure, or a run's scores will not hold it.
pub(super) fn table_metric(word: Option<&str>, experiment: &Experiment) -> Result<Option<Metric>> {
    let Some(word) = word else { return Ok(None) };
    let metric: Metric = word.parse()?;
    for run in &experiment.runs {
        let held = match run.task {
            Task::Mt => Metric::of_text(),
            Task::Code => reported_ks(run.sampling.samples).map(Metric::PassAt).collect(),
        };
        metric.among(&held, &format!("a run of the task {}", run.task))?;
    }
    Ok(Some(metric))
}

/// Between two looks at what other processes do.
const LOOK_AGAIN: Duration = Duration::from_millis(300);

impl Work {
    pub(super) fn new(planned: Planned, settings: Settings, experiment: &Experiment) -> Result<Self> {
        let Planned { prepared, folder } = planned;
        let settings_sha256 = settings.hash();
        let (mut pending, mut finished) = (Vec::new(), Vec::new());
        for &cell in &prepared.run.cells {
            match folder.finished(cell, &settings_sha256)? {
                Some(record) => finished.push(record),
                None => pending.push(cell),
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
            limits,
        })
    }

    /// Take what nobody else computes; what others have finished meanwhile is finished.
    pub(super) fn claim(&mut self) -> Result<()> {
        // Another process may just have begun, with other settings.
        self.folder.check(&self.settings)?;
        if self.locks {
            let open = |cell: &&Cell| self.pending.contains(cell) || self.others.contains(cell);
            let finished = self.prepared.run.cells.iter().filter(|cell| !open(cell));
            finished.copied().try_for_each(|cell| self.folder.tidy(cell))?;
        }
        let mut wanted = std::mem::take(&mut self.pending);
        wanted.append(&mut self.others);
        for cell in wanted {
            let claim = if self.locks { self.folder.claim(cell)? } else { None };
            if let Some(record) = self.folder.finished(cell, &self.settings_sha256)? {
                self.finished.push(record);
                continue;
            }
            if claim.is_none() && self.locks {
                self.others.push(cell);
                continue;
            }
            self.claims.extend(claim.map(|claim| (cell, claim)));
            self.kept.insert(cell, self.kept(cell)?);
            self.pending.push(cell);
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
                eprintln!("{}", printable(&said));
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
    fn check_claim(&self, cell: Cell) -> Result<()> {
        ensure!(
            self.claims.get(&cell).is_none_or(Claim::holds),
            "{} was moved or removed while results were written to it; nothing more is written",
            self.folder.path().display()
        );
        Ok(())
    }

    /// Write files of a cell that nobody else can write.
    ///
    /// # Errors
    /// As [`check_claim`](Self::check_claim), also where the folder goes while it is written to; whatever `write` returns.
    pub(super) fn write<T>(&self, cell: Cell, write: impl FnOnce(&RunFolder) -> Result<T>) -> Result<T> {
        self.check_claim(cell)?;
        // That the folder is gone says more than which file could not be written then.
        write(&self.folder).or_else(|error| self.check_claim(cell).and(Err(error)))
    }

    /// Write what its results will be of.
    pub(super) fn begin(&self, model: &OpenModel) -> Result<()> {
        let Self { prepared, folder, settings, .. } = self;
        let items = as_items(&prepared.items);
        folder.begin(settings, &items, self.locks, |known| {
            prepared.manifest(settings.clone(), model, &self.typed, known)
        })
    }

    pub(super) fn compute<D: Decoder>(
        &mut self,
        decoder: &D,
        model: &OpenModel,
        checker: Option<&Checker>,
        json: bool,
    ) -> Result<()> {
        self.begin(model)?;
        let prepared = &self.prepared;
        let slots = self.slots();
        let none = || vec![None; slots];
        let generations: Vec<Vec<Option<PartialLine>>> =
            self.pending.iter().map(|cell| self.kept.remove(cell).unwrap_or_else(none)).collect();
        // Item by item, so that all cells of a prompt stand together and share its trunk.
        let samples = prepared.run.sampling.samples;
        let mut wanted: Vec<(usize, usize)> = Vec::new();
        for item in 0..prepared.prompts.len() {
            for (cell, generations) in generations.iter().enumerate() {
                let slots = item * samples..(item + 1) * samples;
                wanted.extend(slots.filter(|&slot| generations[slot].is_none()).map(|slot| (cell, slot)));
            }
        }
        let request = |&(cell, slot): &(usize, usize)| {
            prepared.request(self.pending[cell], slot / samples, slot % samples)
        };
        let requests: Vec<Request> = wanted.iter().map(request).collect();
        let n_layers = decoder.arch().layers;
        let mut collector =
            Collector::new(self, &model.tokenizer, n_layers, wanted, generations, checker, json);
        collector.begin()?;
        let begun = Instant::now();
        let (tokenizer, rule) = (&model.tokenizer, &prepared.rule);
        let done = match prepared.run.drop_context {
            false => generate(decoder, tokenizer, &requests, rule, self.limits, &mut collector),
            true => generate_alone(decoder, tokenizer, &requests, rule, &mut collector),
        };
        let seconds = begun.elapsed().as_secs_f64();
        let judged = if done.is_ok() { collector.end() } else { Ok(()) };
        let records = std::mem::take(&mut collector.records);
        drop(collector);
        let generations = requests.len();
        self.finished.extend(records);
        self.claims.clear();
        let work = done?.total() as f64;
        judged?;
        self.pending.clear();
        if generations == 0 {
            return Ok(());
        }
        eprintln!(
            "{generations} generations: {:.3} tera multiply-adds in {seconds:.2} s, {:.0} GFLOP/s",
            work / 1e12,
            2e-9 * work / seconds
        );
        Ok(())
    }

    /// Generations of a cell: each item has as many as there are samples.
    pub fn slots(&self) -> usize {
        self.prepared.items.len() * self.prepared.run.sampling.samples
    }

    /// By slot, what a broken-off run has left of a cell.
    fn kept(&self, cell: Cell) -> Result<Vec<Option<PartialLine>>> {
        let (items, samples) = (&self.prepared.items, self.prepared.run.sampling.samples);
        let mut kept: Vec<Option<PartialLine>> = vec![None; self.slots()];
        for line in self.folder.partial(cell)? {
            let item = items.iter().position(|item| item.id == line.line.id);
            let slot =
                item.filter(|_| line.line.sample < samples).map(|item| item * samples + line.line.sample);
            let slot =
                slot.with_context(|| format!("{}: holds an unknown item", self.folder.path().display()))?;
            kept[slot] = Some(line);
        }
        Ok(kept)
    }

    /// Why the measure of the table cannot judge these answers, if it cannot.
    fn too_short(&self) -> Option<TooShort> {
        let Scoring::Text(scorer) = &self.prepared.scoring else { return None };
        let words = |item: &Example| scorer.pair("", &item.target).bleu.ref_len;
        let references: Vec<u64> = self.prepared.items.iter().map(words).collect();
        TooShort::new(self.metric.unwrap_or(Metric::Bleu), &references)
    }

    /// The closing table and what it suggests.
    pub(super) fn close(mut self) {
        self.finished.sort_by_key(|record| (record.mask != Treatment::None, record.mask, record.from_layer));
        let folder = printable(&self.folder.path().display().to_string());
        eprintln!("\n{folder}\n{}", table(&self.finished, self.metric));
        if let Some(too_short) = self.too_short() {
            eprintln!("{too_short}");
            return;
        }
        let mut masks: Vec<Treatment> = self.finished.iter().map(|record| record.mask).collect();
        masks.dedup();
        for mask in masks.into_iter().filter(|mask| *mask != Treatment::None) {
            if let Some(suggested) = suggested(&self.finished, mask, self.metric) {
                eprintln!("{mask}: {suggested}");
            }
        }
    }
}
