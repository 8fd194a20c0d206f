//! An experiment carried out: each model is loaded once, and what is not finished of its runs is computed in one sweep a run.
//! Each cell is written as soon as it is finished.

use std::time::Instant;

use anyhow::Result;

use super::checker::Checker;
use super::collect::Collector;
use super::estimate::Estimate;
use super::inputs::RunInputs;
use super::load::ResidentModel;
use super::model::OpenModel;
use super::open::{ModelRuns, RunPlan, open};
use super::place::{Place, holding};
use super::progress::Progress;
use super::state::OpenCells;
use crate::base::console::note;
use crate::base::error::{InputError, input};
use crate::base::units::in_gib;
use crate::config::{Experiment, ModelChoice};
use crate::data::Example;
use crate::engine::{Expected, Holding, Limits, Memory, Request, generate, generate_alone, weigh};
use crate::lora::peft;
use crate::model::{Decoder, NotFinite, Precision};
use crate::results::PartialLine;
use crate::tasks::Measure;

/// All runs of an experiment; their tables show this measure, or the task's usual one.
pub fn compute(experiment: &Experiment, metric: Option<Measure>, json: bool) -> Result<()> {
    let place = Place::of(experiment)?;
    compute_all(experiment, open(experiment, |_, _| Ok(()))?, &place, metric, json)
}

/// The same of models that are opened already.
///
/// # Errors
/// What cannot fit into memory, folders of other settings, whatever a computation meets.
pub fn compute_all(
    experiment: &Experiment,
    models: Vec<ModelRuns>,
    place: &Place,
    metric: Option<Measure>,
    json: bool,
) -> Result<()> {
    let mut ready = Vec::new();
    for (choice, mut model, planned) in models {
        model.fetch_weights(&choice)?;
        let mut work = unfinished(&model, planned, experiment, place)?;
        work.iter_mut().for_each(|work| work.metric = metric.clone());
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

/// What is finished and what is not of one model's runs. Refuses folders of other settings and what cannot fit.
pub(super) fn unfinished(
    model: &OpenModel,
    planned: Vec<RunPlan>,
    experiment: &Experiment,
    place: &Place,
) -> Result<Vec<OpenCells>> {
    let model_sha256 = model.checkpoint()?.hash()?;
    let mut work = Vec::new();
    for planned in planned {
        let settings = planned.prepared.settings(&model_sha256, experiment);
        planned.folder.check(&settings, &planned.prepared.run.masks)?;
        let mut planned = OpenCells::new(planned, settings, experiment)?;
        if !planned.pending.is_empty() {
            let requests = planned.prepared.requests(&planned.pending)?;
            planned.limits = fitting(&planned.prepared, &requests, 0, model, experiment, place)?;
        }
        work.push(planned);
    }
    Ok(work)
}

/// What judges programs, if some are to be judged.
fn checker<'a>(
    experiment: &Experiment,
    work: impl Iterator<Item = &'a OpenCells>,
) -> Result<Option<Checker>> {
    let code = |work: &&OpenCells| work.prepared.run.task.runs_programs && !work.pending.is_empty();
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
    work: Vec<OpenCells>,
    (dtype, place): (Precision, &Place),
    checker: Option<&Checker>,
    json: bool,
) -> Result<()> {
    let mut decoder: Option<ResidentModel> = None;
    let mut compute = |work: &mut OpenCells| -> Result<()> {
        if decoder.is_none() {
            decoder = Some(ResidentModel::load(choice, model, dtype, place)?);
        }
        let Some(decoder) = &mut decoder else { return Ok(()) };
        if let Some(adapter) = &work.prepared.run.adapter {
            decoder.adapt(peft::read(&adapter.path, &model.arch)?)?;
        }
        let computed = match decoder {
            ResidentModel::Host(decoder) => compute_cells(work, &**decoder, model, checker, json),
            ResidentModel::Device(decoder) => compute_cells(work, &**decoder, model, checker, json),
        };
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
        match work.pending.is_empty() {
            false => compute(&mut work)?,
            true if work.others.is_empty() => work.say_finished(),
            true => {}
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

/// Compute all pending cells of a run, in one sweep.
///
/// # Errors
/// The model computes nothing, a file cannot be written, nobody reads the lines of JSON any more, Ctrl-C.
pub(super) fn compute_cells<D: Decoder>(
    work: &mut OpenCells,
    decoder: &D,
    model: &OpenModel,
    checker: Option<&Checker>,
    json: bool,
) -> Result<()> {
    work.begin(model)?;
    let generations = work.take_kept();
    let prepared = &work.prepared;
    let wanted = wanted(prepared, &generations);
    let samples = prepared.run.sampling.samples;
    let request =
        |&(cell, slot): &(usize, usize)| prepared.request(work.pending[cell], slot / samples, slot % samples);
    let requests: Vec<Request> = wanted.iter().map(request).collect::<Result<_>>()?;
    let shown = (decoder.arch().layers, progress(work, decoder, &requests));
    if work.number[1] > 1 {
        let [at, all] = work.number;
        note(format!("run {at} of {all}: {}", work.folder.path().display()));
    }
    let mut collector = Collector::new(work, &model.tokenizer, shown, wanted, generations, checker, json);
    collector.begin()?;
    let begun = Instant::now();
    let (tokenizer, rule) = (&model.tokenizer, &prepared.rule);
    let done = match prepared.run.drop_context {
        _ if prepared.run.task.weighs => weigh(decoder, &requests, work.limits, &mut collector),
        false => generate(decoder, tokenizer, &requests, rule, work.limits, &mut collector),
        true => generate_alone(decoder, tokenizer, &requests, rule, &mut collector),
    };
    let seconds = begun.elapsed().as_secs_f64();
    let judged = if done.is_ok() { collector.end() } else { Ok(()) };
    let (records, unheard) = (std::mem::take(&mut collector.records), collector.unheard.take());
    drop(collector);
    let generations = requests.len();
    work.add(records, json);
    if let Some(error) = unheard {
        // It is why this was interrupted.
        return Err(error);
    }
    let multiply_adds = done?.total() as f64;
    judged?;
    work.pending.clear();
    if generations > 0 {
        note(format!(
            "{generations} generations: {:.3} tera multiply-adds in {seconds:.2} s, {:.0} GFLOP/s",
            multiply_adds / 1e12,
            2e-9 * multiply_adds / seconds
        ));
    }
    Ok(())
}

/// Cell and slot of each generation that is not there yet: item by item, so that all cells of a prompt are together and share
/// its trunk.
fn wanted(prepared: &RunInputs, generations: &[Vec<Option<PartialLine>>]) -> Vec<(usize, usize)> {
    let samples = prepared.run.sampling.samples;
    let mut wanted = Vec::new();
    for item in 0..prepared.prompts.len() {
        for (cell, generations) in generations.iter().enumerate() {
            let slots = item * samples..(item + 1) * samples;
            wanted.extend(slots.filter(|&slot| generations[slot].is_none()).map(|slot| (cell, slot)));
        }
    }
    wanted
}

fn progress<D: Decoder>(work: &OpenCells, decoder: &D, requests: &[Request]) -> Progress {
    let (longest, alone) = (work.prepared.run.max_new_tokens, work.prepared.run.drop_context);
    let expected = Expected::of(decoder.arch(), requests, longest, work.limits.branches, alone);
    Progress::new(work.pending.len(), requests.len(), Estimate::new(expected, requests.len(), longest))
}

/// How much of some requests is computed at a time within the memory there is, beside other bytes that are held.
///
/// # Errors
/// What cannot fit is refused before anything is loaded.
pub fn fitting(
    prepared: &RunInputs,
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
    let smaller = if holding.on_device { Precision::Bf16 } else { Precision::Stored };
    let narrower = match fit(Holding { precision: smaller, ..holding }) {
        Ok((_, memory)) | Err(memory) => memory.weights,
    };
    Err(input(format!(
        "{} needs {} of memory with one generation at a time (weights as {} {}, KV cache {}, states {}) and {} are {}; \
         --dtype {smaller} makes the weights {}",
        prepared.run.model.name,
        in_gib(needed.total() + others),
        experiment.dtype,
        in_gib(needed.weights),
        in_gib(needed.kv_cache),
        in_gib(needed.states),
        in_gib(budget),
        if experiment.memory.is_some() { "allowed by --memory" } else { "available" },
        in_gib(narrower),
    )))
}
