//! `run`: the whole experiment. Everything is resolved, read and checked before weights are loaded; each cell is
//! written as soon as it is finished.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::again::again;
use super::checker::Checker;
use super::idle::Idle;
use super::loaded::{Loaded, Place, holding};
use super::model::OpenModel;
use super::plan;
use super::prepare::Prepared;
use super::work::{Work, table_metric};
use super::wrapped;
use crate::cli::RunArgs;
use crate::config::{Experiment, ModelChoice, Run, Task, Training};
use crate::console::note;
use crate::data::Example;
use crate::engine::{Holding, Limits, Memory, Request};
use crate::error::{InputError, input};
use crate::hub::Wanted;
use crate::lora::{Text, peft};
use crate::mask::Treatment;
use crate::model::{Arch, NotFinite, Precision};
use crate::results::{Metric, RunFolder};

/// Run an experiment.
pub fn run(args: RunArgs) -> Result<()> {
    if let Some(manifest) = &args.from_manifest {
        return again(manifest, args.settings);
    }
    let mut experiment = Experiment::resolve(args.config.as_deref(), args.settings)?;
    if let Some(shard) = args.shard {
        experiment.keep(shard)?;
    }
    let metric = table_metric(args.metric.as_deref(), &experiment)?;
    set_threads(experiment.threads)?;
    if args.dry_run {
        return plan::print(&experiment, args.json);
    }
    let place = Place::of(&experiment)?;
    let models = open(&experiment, |_, _| Ok(()))?;
    notes(&experiment, &models)?.iter().for_each(|sentence| note(wrapped(sentence, "  ")));
    compute_all(&experiment, models, &place, metric, args.json)
}

/// What to know before a call is computed: which items are left out by default, which masks hide nothing, where an earlier
/// version kept the same results.
///
/// # Errors
/// No mask of the call hides anything.
pub(super) fn notes(experiment: &Experiment, models: &[Opened]) -> Result<Vec<String>> {
    let (mut notes, mut idle) = (Vec::new(), Idle::default());
    for planned in models.iter().flat_map(|(_, _, planned)| planned) {
        let prepared = &planned.prepared;
        idle.add(prepared);
        let older = earlier_folder(&prepared.run, experiment).map(|folder| {
            format!(
                "{} holds results of an earlier version; --direction en-py adds to them",
                folder.display()
            )
        });
        notes.extend(prepared.left_out().into_iter().chain(older));
    }
    notes.extend(idle.sentences()?);
    let mut seen = HashSet::new();
    notes.retain(|note| seen.insert(note.clone()));
    Ok(notes)
}

/// Earlier versions gave programs a direction.
fn earlier_folder(run: &Run, experiment: &Experiment) -> Option<PathBuf> {
    let direction = "en-py".parse().ok().filter(|_| run.task == Task::Code && run.direction.is_none())?;
    let folder = experiment.results.join(Run { direction: Some(direction), ..run.clone() }.folder());
    folder.join("manifest.json").exists().then_some(folder)
}

/// All runs of an experiment; their tables show this measure, or the task's usual one.
pub(super) fn compute(experiment: &Experiment, metric: Option<Metric>, json: bool) -> Result<()> {
    let place = Place::of(experiment)?;
    compute_all(experiment, open(experiment, |_, _| Ok(()))?, &place, metric, json)
}

fn compute_all(
    experiment: &Experiment,
    models: Vec<Opened>,
    place: &Place,
    metric: Option<Metric>,
    json: bool,
) -> Result<()> {
    let mut ready = Vec::new();
    for (choice, mut model, planned) in models {
        model.fetch_weights(&choice)?;
        let mut work = unfinished(&model, planned, experiment, place)?;
        work.iter_mut().for_each(|work| work.metric = metric);
        ready.push((choice, model, work));
    }
    let all: usize = ready.iter().map(|(_, _, work)| work.len()).sum();
    for (at, work) in ready.iter_mut().flat_map(|(_, _, work)| work).enumerate() {
        work.number = [at + 1, all];
    }
    // Programs that cannot be judged need not be generated.
    let checker = checker(experiment, ready.iter().flat_map(|(_, _, work)| work))?;
    for (choice, model, work) in ready {
        run_model(&choice, &model, work, (experiment.dtype, place), checker.as_ref(), json)?;
    }
    Ok(())
}

/// A model with its runs.
pub(super) type Opened = (ModelChoice, OpenModel, Vec<Planned>);

/// Read and check what is asked for, for the whole grid, before weights are fetched, let alone anything computed for its first
/// part.
pub(super) fn open(
    experiment: &Experiment,
    check: impl Fn(&Run, &Arch) -> Result<()>,
) -> Result<Vec<Opened>> {
    let mut models: Vec<Opened> = Vec::new();
    for run in &experiment.runs {
        if models.last().is_none_or(|(choice, ..)| choice.path != run.model.path) {
            models.push((run.model.clone(), OpenModel::open(&run.model, Wanted::Description)?, Vec::new()));
        }
        if let Some((_, model, planned)) = models.last_mut() {
            check(run, &model.arch)?;
            planned.push(Planned::new(run, model, &experiment.results)?);
        }
    }
    Ok(models)
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
    pub(super) prepared: Prepared,
    pub(super) folder: RunFolder,
}

impl Planned {
    pub(super) fn new(run: &Run, model: &OpenModel, results: &Path) -> Result<Self> {
        let folder = RunFolder::new(results.join(run.folder()));
        folder.check_place()?;
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
    place: &Place,
) -> Result<Vec<Work>> {
    let model_sha256 = model.checkpoint()?.hash()?;
    let mut work = Vec::new();
    for planned in planned {
        let settings = planned.prepared.settings(&model_sha256, experiment);
        planned.folder.check(&settings)?;
        let mut planned = Work::new(planned, settings, experiment)?;
        if !planned.pending.is_empty() {
            let requests = planned.prepared.requests(&planned.pending);
            planned.limits = fitting(&planned.prepared, &requests, 0, model, experiment, place)?;
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
    (dtype, place): (Precision, &Place),
    checker: Option<&Checker>,
    json: bool,
) -> Result<()> {
    let mut decoder: Option<Loaded> = None;
    let mut compute = |work: &mut Work| -> Result<()> {
        if decoder.is_none() {
            decoder = Some(Loaded::load(choice, model, dtype, place)?);
        }
        let Some(decoder) = &mut decoder else { return Ok(()) };
        if let Some(adapter) = &work.prepared.run.adapter {
            decoder.adapt(peft::read(&adapter.path, &model.arch)?)?;
        }
        let computed = decoder.compute(work, model, checker, json);
        computed.map_err(|error| match &work.prepared.run.adapter {
            Some(adapter) if error.is::<InputError>() || error.is::<NotFinite>() => {
                error.context(format!("with the adapter {}", adapter.path.display()))
            }
            _ => error,
        })
    };
    // First all that nobody else does, then what others have left undone.
    let mut left = Vec::new();
    for mut work in work {
        work.claim()?;
        if json {
            work.print_finished()?;
        }
        if !work.pending.is_empty() {
            compute(&mut work)?;
        }
        if work.others.is_empty() { work.close() } else { left.push(work) }
    }
    for mut work in left {
        while work.wait()? {
            compute(&mut work)?;
        }
        if json {
            work.print_finished()?;
        }
        work.close();
    }
    Ok(())
}

/// How much of some requests is computed at a time within the memory there is, beside other bytes that are held.
///
/// # Errors
/// What cannot fit is refused before anything is loaded.
pub(super) fn fitting(
    prepared: &Prepared,
    requests: &[Request],
    others: u64,
    model: &OpenModel,
    experiment: &Experiment,
    place: &Place,
) -> Result<Limits> {
    let stored = model.checkpoint()?.size()?;
    let Some(budget) = place.budget else { return Ok(Limits::branches(experiment.batch)) };
    let others = others + prepared.adapted.as_ref().map_or(0, |adapted| adapted.bytes);
    let holding = holding(experiment, Some(stored));
    let fit = |holding| {
        let left = budget.saturating_sub(others);
        Memory::fit(&model.arch, holding, requests, &prepared.rule, experiment.batch, left)
    };
    let needed = match fit(holding) {
        Ok((limits, _)) => return Ok(limits),
        Err(needed) => needed,
    };
    let gib = |bytes: u64| format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30));
    let smaller = if holding.on_device { Precision::Bf16 } else { Precision::Stored };
    let narrower = match fit(Holding { precision: smaller, ..holding }) {
        Ok((_, memory)) | Err(memory) => memory.weights,
    };
    Err(input(format!(
        "{} needs {} of memory with one generation at a time (weights as {} {}, KV cache {}, states {}) and {} are {}; \
         --dtype {smaller} makes the weights {}",
        prepared.run.model.name,
        gib(needed.total() + others),
        experiment.dtype,
        gib(needed.weights),
        gib(needed.kv_cache),
        gib(needed.states),
        gib(budget),
        if experiment.memory.is_some() { "allowed by --memory" } else { "available" },
        gib(narrower),
    )))
}
