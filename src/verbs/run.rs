//! `run`: the whole experiment. Everything is resolved, read and checked before weights are loaded; each cell is
//! written as soon as it is finished.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};

use super::checker::Checker;
use super::collector::Collector;
use super::model::OpenModel;
use super::plan;
use super::prepare::{Prepared, as_items};
use crate::cli::RunArgs;
use crate::config::{Cell, Experiment, ModelChoice, Run, Task, Training};
use crate::data::Example;
use crate::engine::{Limits, Memory, Request, generate, generate_alone};
use crate::error::input;
use crate::hub::Wanted;
use crate::lora::{Text, peft};
use crate::mask::Treatment;
use crate::model::{Decoder, Precision, Transformer};
use crate::results::{PartialLine, RunFolder, ScoreRecord, Settings, table};
use crate::stats::suggested;

/// Run an experiment.
pub fn run(args: RunArgs) -> Result<()> {
    let experiment = Experiment::resolve(args.config.as_deref(), args.settings)?;
    set_threads(experiment.threads)?;
    if args.dry_run {
        return plan::print(&experiment, args.json);
    }
    // Input is checked for the whole grid before weights are fetched, let alone anything computed for its first part.
    let mut models: Vec<(ModelChoice, OpenModel, Vec<Planned>)> = Vec::new();
    for run in &experiment.runs {
        if models.last().is_none_or(|(choice, ..)| choice.path != run.model.path) {
            models.push((run.model.clone(), OpenModel::open(&run.model, Wanted::Description)?, Vec::new()));
        }
        if let Some((_, model, planned)) = models.last_mut() {
            planned.push(Planned::new(run, model, &experiment.results)?);
        }
    }
    let mut ready = Vec::new();
    for (choice, mut model, planned) in models {
        model.fetch_weights(&choice)?;
        let work = unfinished(&model, planned, &experiment)?;
        ready.push((choice, model, work));
    }
    // Programs that cannot be judged need not be generated.
    let checker = checker(&experiment, ready.iter().flat_map(|(_, _, work)| work))?;
    for (choice, model, work) in ready {
        run_model(&choice, &model, work, &experiment, checker.as_ref(), args.json)?;
    }
    Ok(())
}

pub fn set_threads(threads: Option<usize>) -> Result<()> {
    let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    // candle's matrix products ask this variable, everything else the pool.
    // SAFETY: nothing else runs yet that could read the environment.
    unsafe { std::env::set_var("RAYON_NUM_THREADS", threads.to_string()) };
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().context("cannot start the threads")
}

/// A run made ready, with its folder.
pub(super) struct Planned {
    prepared: Prepared,
    folder: RunFolder,
}

impl Planned {
    pub(super) fn new(run: &Run, model: &OpenModel, results: &Path) -> Result<Self> {
        let folder = RunFolder::new(results.join(run.folder()));
        Ok(Self { prepared: Prepared::new(run.clone(), model)?, folder })
    }
}

/// Of a run that trains adapters.
impl Planned {
    pub(super) fn training(&self) -> Option<&Training> {
        self.prepared.run.lora.as_ref()
    }

    pub(super) fn texts(&self) -> &[Text] {
        &self.prepared.texts
    }

    pub(super) fn layers(&self) -> Vec<usize> {
        let cells = self.prepared.run.cells.iter();
        cells.filter(|cell| cell.mask == Treatment::Lora).map(|cell| cell.from_layer).collect()
    }
}

/// What is finished and what is not of one model's runs. Refuses folders of other settings and what cannot fit.
pub(super) fn unfinished(
    model: &OpenModel,
    planned: Vec<Planned>,
    experiment: &Experiment,
) -> Result<Vec<Work>> {
    let model_sha256 = model.checkpoint()?.hash()?;
    let mut work = Vec::new();
    for planned in planned {
        let settings = planned.prepared.settings(&model_sha256, experiment.dtype);
        planned.folder.check(&settings)?;
        if let Some(adapter) = &planned.prepared.run.adapter {
            // It must belong to the model; it is read again when it is put to work.
            peft::read(&adapter.path, &model.arch)?;
        }
        let mut planned = Work::new(planned, settings)?;
        if !planned.pending.is_empty() {
            planned.limits = limits(&planned, model, experiment)?;
        }
        work.push(planned);
    }
    Ok(work)
}

/// What judges programs, if some are to be judged.
fn checker<'a>(experiment: &Experiment, work: impl Iterator<Item = &'a Work>) -> Result<Option<Checker>> {
    let code = |work: &&Work| work.prepared.run.task == Task::Code && !work.pending.is_empty();
    let items: Vec<&Example> = work.filter(code).flat_map(|work| &work.prepared.items).collect();
    if items.is_empty() {
        return Ok(None);
    }
    Checker::new(&experiment.running, items.into_iter()).map(Some)
}

/// All runs of one model: its weights are loaded once, and only if some cell is not finished yet.
fn run_model(
    choice: &ModelChoice,
    model: &OpenModel,
    work: Vec<Work>,
    experiment: &Experiment,
    checker: Option<&Checker>,
    json: bool,
) -> Result<()> {
    let mut decoder: Option<Transformer> = None;
    for mut work in work {
        if !work.pending.is_empty() {
            if decoder.is_none() {
                decoder = Some(load(choice, model, experiment.dtype)?);
            }
            if let Some(decoder) = &mut decoder {
                if let Some(adapter) = &work.prepared.run.adapter {
                    decoder.adapt(peft::read(&adapter.path, &model.arch)?, true)?;
                }
                work.compute(decoder, model, checker, json)?;
            }
        }
        work.close();
    }
    Ok(())
}

/// The weights of a model.
pub(super) fn load(choice: &ModelChoice, model: &OpenModel, dtype: Precision) -> Result<Transformer> {
    eprintln!("loading {} ({})", choice.name, choice.path.display());
    Transformer::load(model.checkpoint()?, dtype)
}

/// How much is computed at a time within the memory there is.
///
/// # Errors
/// A run that cannot fit is refused before anything is loaded.
fn limits(work: &Work, model: &OpenModel, experiment: &Experiment) -> Result<Limits> {
    let requests = work.prepared.requests(&work.pending);
    let stored = model.checkpoint()?.size()?;
    let Some(budget) = experiment.memory_budget() else { return Ok(Limits::branches(experiment.batch)) };
    let fit = |precision| {
        let (arch, rule) = (&model.arch, &work.prepared.rule);
        Memory::fit(arch, precision, Some(stored), &requests, rule, experiment.batch, budget)
    };
    let needed = match fit(experiment.dtype) {
        Ok((limits, _)) => return Ok(limits),
        Err(needed) => needed,
    };
    let gib = |bytes: u64| format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30));
    let stored = match fit(Precision::Stored) {
        Ok((_, memory)) | Err(memory) => memory.weights,
    };
    Err(input(format!(
        "{} needs {} of memory with one generation at a time (weights as {} {}, KV cache {}, states {}) and {} are {}; \
         --dtype stored makes the weights {}",
        work.prepared.run.model.name,
        gib(needed.total()),
        experiment.dtype,
        gib(needed.weights),
        gib(needed.kv_cache),
        gib(needed.states),
        gib(budget),
        if experiment.memory.is_some() { "allowed by --memory" } else { "available" },
        gib(stored),
    )))
}

/// One run's cells, finished and not.
pub struct Work {
    pub prepared: Prepared,
    pub folder: RunFolder,
    pub settings: Settings,
    pub settings_sha256: String,
    pub pending: Vec<Cell>,
    finished: Vec<ScoreRecord>,
    limits: Limits,
}

impl Work {
    fn new(planned: Planned, settings: Settings) -> Result<Self> {
        let Planned { prepared, folder } = planned;
        let settings_sha256 = settings.hash();
        let (mut pending, mut finished) = (Vec::new(), Vec::new());
        for &cell in &prepared.run.cells {
            match folder.finished(cell, &settings_sha256)? {
                Some(record) => finished.push(record),
                None => pending.push(cell),
            }
        }
        let limits = Limits::branches(1);
        Ok(Self { prepared, folder, settings, settings_sha256, pending, finished, limits })
    }

    /// Write what its results will be of.
    pub(super) fn begin(&self, model: &OpenModel) -> Result<()> {
        let Self { prepared, folder, .. } = self;
        let known = folder.manifest()?.map(|manifest| manifest.hidden).unwrap_or_default();
        let manifest = prepared.manifest(self.settings.clone(), model, known);
        folder.begin(&manifest, &as_items(&prepared.items))
    }

    pub(super) fn compute(
        &mut self,
        decoder: &dyn Decoder,
        model: &OpenModel,
        checker: Option<&Checker>,
        json: bool,
    ) -> Result<()> {
        self.begin(model)?;
        let prepared = &self.prepared;
        let generations: Vec<Vec<Option<PartialLine>>> =
            self.pending.iter().map(|&cell| self.kept(cell)).collect::<Result<_>>()?;
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
        let work = done?.total() as f64;
        judged?;
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

    /// The closing table and what it suggests.
    pub(super) fn close(mut self) {
        self.finished.sort_by_key(|record| (record.mask != Treatment::None, record.mask, record.from_layer));
        eprintln!("\n{}\n{}", self.folder.path().display(), table(&self.finished));
        let mut masks: Vec<Treatment> = self.finished.iter().map(|record| record.mask).collect();
        masks.dedup();
        for mask in masks.into_iter().filter(|mask| *mask != Treatment::None) {
            if let Some(suggested) = suggested(&self.finished, mask) {
                eprintln!("{mask}: {suggested}");
            }
        }
    }
}
