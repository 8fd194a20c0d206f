//! One adapter per layer trained, then each tested. An adapter is written as soon as it is trained; the tests of all of them go
//! through the sweep together, sharing the layers below each one's.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::compute::{compute_cells, unfinished};
use super::load::on_host;
use super::model::OpenModel;
use super::open::{ModelRuns, adapted, open};
use super::place::Place;
use super::state::OpenCells;
use crate::base::console::note;
use crate::base::error::input;
use crate::base::files::{sync_folder, unfinished_path, write_json};
use crate::base::units::in_gib;
use crate::config::{Experiment, Run, Training};
use crate::engine::weights;
use crate::intervene::{Condition, Intervention};
use crate::lora::{Diverged, Frozen, KeptBuffers, Step, Trained, loss_before, peft, train};
use crate::model::grad::{Differentiable, TOGETHER, pass_bytes};
use crate::model::{
    Adapter, AdapterId, Adapters, Arch, Decoder, Precision, Projection, Transformer, module_name,
};
use crate::results::{RunFolder, allow_many_files};
use crate::tasks::Measure;

/// All runs of an experiment; their tables show this measure, or the task's usual one.
pub fn compute(experiment: &Experiment, metric: Option<Measure>, json: bool) -> Result<()> {
    let place = Place::of(experiment)?;
    let models = opened(experiment)?;
    // A lock is an open file, and a grid can have thousands of cells.
    allow_many_files();
    let mut diverged = Vec::new();
    for (choice, mut model, planned) in models {
        model.fetch_weights(&choice)?;
        let mut works = unfinished(&model, planned, experiment, &place)?;
        works.iter_mut().for_each(|work| work.metric = metric.clone());
        works.iter_mut().try_for_each(OpenCells::claim)?;
        if json {
            works.iter_mut().try_for_each(OpenCells::print_finished)?;
        }
        if works.iter().any(OpenCells::is_open) {
            works.iter().try_for_each(|work| check_memory(experiment, &place, &model.arch, work))?;
            let mut decoder = on_host(&choice, &model, experiment.dtype)?;
            loop {
                for group in groups(&works) {
                    let group: Vec<&OpenCells> = group.into_iter().map(|at| &works[at]).collect();
                    diverged.extend(train_layers(&decoder, &model, &group)?);
                }
                for work in &mut works {
                    test(work, &mut decoder, &model, json)?;
                }
                // What other processes had taken and left undone.
                let mut more = false;
                for work in &mut works {
                    // What is ours is computed before anything is waited for.
                    if more { work.claim()? } else { more = work.wait()? }
                }
                if !more {
                    break;
                }
            }
        }
        if json {
            works.iter_mut().try_for_each(OpenCells::print_finished)?;
        }
        works.into_iter().for_each(OpenCells::close);
    }
    match diverged.len() {
        0 => Ok(()),
        count => bail!("{count} adapters were not trained: {}", diverged.join("; ")),
    }
}

/// Everything that is asked for, read and checked.
pub fn opened(experiment: &Experiment) -> Result<Vec<ModelRuns>> {
    if experiment.dtype != Precision::F32 {
        return Err(input(format!(
            "--dtype {}: adapters are trained with weights as f32; write --dtype f32",
            experiment.dtype
        )));
    }
    open(experiment, check_projections)
}

/// Each projection must be a module of its own, which PEFT's files can name, and at least as wide as the rank.
fn check_projections(run: &Run, arch: &Arch) -> Result<()> {
    let Some(training) = &run.lora else { return Ok(()) };
    for &projection in &training.projections {
        let sizes = projection.sizes(arch).filter(|_| module_name(arch, 0, projection).is_some());
        let Some([inputs, outputs]) = sizes else {
            return Err(input(format!(
                "--projection {projection}: {} has no such module of its own; write --projection o",
                run.model.name
            )));
        };
        let most = inputs.min(outputs);
        if training.rank > most {
            return Err(input(format!(
                "--rank {}: projection {projection} of {} takes {inputs} values to {outputs}, so a change of it has a rank \
                 of {most} at most",
                training.rank, run.model.name
            )));
        }
    }
    Ok(())
}

/// Runs whose states can be shared: of the same pairs, whatever their number, in the same format.
fn groups(works: &[OpenCells]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, work) in works.iter().enumerate() {
        let same = |other: &usize| {
            let (a, b) = (&work.prepared.run, &works[*other].prepared.run);
            (&a.data.name, &a.direction, &a.format) == (&b.data.name, &b.direction, &b.format)
        };
        match groups.iter_mut().find(|group| group.first().is_some_and(same)) {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    groups
}

/// Train what is missing, layer by layer upwards, so that each layer of the trunk is computed once for all runs of a group.
/// Returns what did not come to an end.
fn train_layers(decoder: &Transformer, model: &OpenModel, group: &[&OpenCells]) -> Result<Vec<String>> {
    let missing = |work: &OpenCells| -> Vec<usize> {
        let trained = |layer: &usize| work.folder.adapter_path(*layer).is_dir();
        adapted(&work.pending).filter(|layer| !trained(layer)).collect()
    };
    let mut layers: Vec<usize> = group.iter().flat_map(|work| missing(work)).collect();
    layers.sort_unstable();
    layers.dedup();
    let (Some(&first), Some(largest)) = (layers.first(), group.iter().max_by_key(|work| size(work))) else {
        return Ok(Vec::new());
    };
    let _kept = KeptBuffers::from_now_on();
    let differentiable = Differentiable::new(decoder, first)?;
    let (texts, pairs) = (&largest.prepared.texts, size(largest));
    let mut frozen = Frozen::new(decoder, texts)?;
    let mut diverged = Vec::new();
    frozen.advance_to(first)?;
    // Once for all: runs of one call differ in the number of pairs and the seed alone.
    let dev = pairs..texts.len();
    let before = loss_before(&differentiable, &frozen, training(largest)?, dev.clone())?;
    for layer in layers {
        frozen.advance_to(layer)?;
        for work in group.iter().filter(|work| missing(work).contains(&layer)) {
            let (run, training) = (&work.prepared.run, training(work)?);
            work.begin(model)?;
            match train(
                &differentiable,
                &frozen,
                training,
                run.seed,
                0..training.train_size,
                dev.clone(),
                before,
            ) {
                Ok(trained) => {
                    let condition = Condition::At { intervention: Intervention::Lora, layer };
                    work.write(condition, |folder| {
                        write(folder, layer, &trained, &model.arch, &run.model.name, training)
                    })?;
                    note(line(&trained, training));
                }
                Err(error) if error.is::<Diverged>() => {
                    note(&error);
                    diverged.push(error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(diverged)
}

fn training(work: &OpenCells) -> Result<&Training> {
    work.prepared.run.lora.as_ref().context("a run without training")
}

fn size(work: &OpenCells) -> usize {
    work.prepared.run.lora.as_ref().map_or(0, |training| training.train_size)
}

/// What came of one layer: mean losses of the first epoch and the last, dev losses before and after.
fn line(trained: &Trained, training: &Training) -> String {
    let log = &trained.log;
    let mean = |steps: &[Step]| steps.iter().map(|step| step.loss).sum::<f64>() / steps.len().max(1) as f64;
    let epochs: Vec<f64> = log.steps.chunk_by(|a, b| a.epoch == b.epoch).map(mean).collect();
    let loss = match epochs.as_slice() {
        [first, .., last] => format!("loss {first:.4} to {last:.4}"),
        some => format!("loss {:.4}", some.first().unwrap_or(&f64::NAN)),
    };
    let dev = match (log.dev_losses.first(), log.dev_losses.get(log.best_epoch)) {
        (Some(before), Some(best)) if training.dev_size > 0 => {
            format!(", dev {before:.4} to {best:.4} after epoch {}", log.best_epoch)
        }
        _ => String::new(),
    };
    format!(
        "layer {:>2}, {} pairs, seed {}: {loss}{dev}, {:.1} s",
        log.layer, training.train_size, log.seed, log.seconds
    )
}

/// `lora/layer-<l>/`, whole or not at all.
fn write(
    folder: &RunFolder,
    layer: usize,
    trained: &Trained,
    arch: &Arch,
    base: &str,
    training: &Training,
) -> Result<()> {
    let path = folder.adapter_path(layer);
    let partial = unfinished_path(&path);
    let attempt = || -> Result<()> {
        peft::write(&partial, &trained.adapter, arch, base, training.alpha, training.dropout)?;
        write_json(&partial.join("training.json"), &trained.log)?;
        std::fs::rename(&partial, &path)?;
        sync_folder(path.parent().unwrap_or(Path::new(".")))
    };
    attempt()
        .inspect_err(|_| drop(std::fs::remove_dir_all(&partial)))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Test the adapters that are there, all in one sweep, and the model as it is.
fn test(work: &mut OpenCells, decoder: &mut Transformer, model: &OpenModel, json: bool) -> Result<()> {
    let folder = work.folder.clone();
    let there =
        |condition: &Condition| condition.layer().is_none_or(|layer| folder.adapter_path(layer).is_dir());
    work.pending.retain(there);
    // What did not come to an end is nobody's: another process may be waiting for it.
    work.release();
    let mut all = Adapter::default();
    for layer in adapted(&work.pending) {
        let path = folder.adapter_path(layer);
        let adapter = peft::read(&path, decoder.arch())?;
        if adapter.0.keys().any(|(changed, _)| *changed != layer) {
            return Err(input(format!(
                "{}: changes another layer than {layer}; move it away",
                path.display()
            )));
        }
        all.join(adapter)?;
    }
    decoder.adapt(Adapters::default().with(AdapterId::TRAINED, all))?;
    match work.pending.is_empty() {
        true => Ok(()),
        false => compute_cells(work, decoder, model, None, json),
    }
}

/// Bytes of the adapter in training, its best state, its moments and its gradients, and of all adapters that are tested.
fn adapter_bytes(arch: &Arch, work: &OpenCells) -> u64 {
    let Some(training) = &work.prepared.run.lora else { return 0 };
    let numbers =
        |projection: &Projection| projection.sizes(arch).map_or(0, |[inputs, outputs]| inputs + outputs);
    let one = training.projections.iter().map(numbers).sum::<usize>() * training.rank * size_of::<f32>();
    let tested = work.prepared.run.conditions.len();
    (one * (5 + TOGETHER + tested)) as u64
}

/// Refuse a training that cannot fit into memory.
fn check_memory(experiment: &Experiment, place: &Place, arch: &Arch, work: &OpenCells) -> Result<()> {
    let Some(budget) = place.budget else { return Ok(()) };
    let rows: usize = work.prepared.texts.iter().map(|text| text.tokens.len()).sum();
    let longest = work.prepared.texts.iter().map(|text| text.tokens.len()).max().unwrap_or(0);
    let adapters = adapter_bytes(arch, work);
    // Beside each weight its transpose.
    let needed = 2 * weights(arch, Precision::F32, None)
        + Frozen::bytes(rows, arch.hidden)
        + pass_bytes(arch, longest)
        + adapters;
    if needed <= budget {
        return Ok(());
    }
    Err(input(format!(
        "training {} needs {} of memory (weights and their transposes {}, states of {rows} tokens {}, a pass {}, adapters \
         {}) and {} are {}; fewer pairs (--train-size) take less",
        work.prepared.run.model.name,
        in_gib(needed),
        in_gib(2 * weights(arch, Precision::F32, None)),
        in_gib(Frozen::bytes(rows, arch.hidden)),
        in_gib(pass_bytes(arch, longest)),
        in_gib(adapters),
        in_gib(budget),
        if experiment.memory.is_some() { "allowed by --memory" } else { "available" },
    )))
}
