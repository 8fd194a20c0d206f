//! What a call asks for, read and checked for the whole grid, before weights are fetched or anything is computed.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::idle::Idle;
use super::inputs::RunInputs;
use super::model::OpenModel;
use crate::config::{Experiment, ModelChoice, Run, Training};
use crate::hub::ModelFiles;
use crate::intervene::{Condition, Intervention};
use crate::lora::TrainingText;
use crate::model::Arch;
use crate::model::cpu::lanes::Isa;
use crate::results::RunFolder;

/// A model with its runs.
pub type ModelRuns = (ModelChoice, OpenModel, Vec<RunPlan>);

/// Read and check what is asked for, for the whole grid, before weights are fetched, let alone anything computed for its first
/// part.
pub fn open(experiment: &Experiment, check: impl Fn(&Run, &Arch) -> Result<()>) -> Result<Vec<ModelRuns>> {
    let mut models: Vec<ModelRuns> = Vec::new();
    for run in &experiment.runs {
        if models.last().is_none_or(|(choice, ..)| choice.path != run.model.path) {
            models.push((
                run.model.clone(),
                OpenModel::open(&run.model, ModelFiles::Description)?,
                Vec::new(),
            ));
        }
        if let Some((_, model, planned)) = models.last_mut() {
            check(run, &model.arch)?;
            planned.push(RunPlan::new(run, model, &experiment.results)?);
        }
    }
    for (_, model, planned) in &mut models {
        let lengths: Vec<_> = planned.iter().map(|planned| planned.prepared.lengths()).collect();
        let shortest = lengths.iter().map(|lengths| *lengths.start()).min();
        let longest = lengths.iter().map(|lengths| *lengths.end()).max();
        if let (Some(shortest), Some(longest)) = (shortest, longest) {
            model.take_lengths(shortest..=longest)?;
        }
    }
    Ok(models)
}

/// Compute with so many threads, or with one a core, and with the instructions that are asked for.
///
/// # Errors
/// The threads were started before, or there are no such instructions.
pub fn set_threads(threads: Option<usize>) -> Result<()> {
    Isa::asked_for()?;
    let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    // candle's matrix products ask this variable, everything else the pool.
    // SAFETY: nothing else runs yet that could read the environment.
    unsafe { std::env::set_var("RAYON_NUM_THREADS", threads.to_string()) };
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().context("cannot start the threads")
}

/// A run made ready, with its folder.
pub struct RunPlan {
    pub prepared: RunInputs,
    pub folder: RunFolder,
}

impl RunPlan {
    pub fn new(run: &Run, model: &OpenModel, results: &Path) -> Result<Self> {
        let folder = RunFolder::new(results.join(run.folder()));
        folder.check_place()?;
        Ok(Self { prepared: RunInputs::new(run.clone(), model)?, folder })
    }
}

/// What a run that trains adapters needs besides.
impl RunPlan {
    pub fn training(&self) -> Option<&Training> {
        self.prepared.run.lora.as_ref()
    }

    pub fn texts(&self) -> &[TrainingText] {
        &self.prepared.texts
    }

    pub fn layers(&self) -> Vec<usize> {
        adapted(&self.prepared.run.conditions).collect()
    }
}

/// The layers of conditions in which one layer has an adapter.
pub(super) fn adapted(conditions: &[Condition]) -> impl Iterator<Item = usize> + '_ {
    conditions.iter().filter_map(|condition| match condition {
        Condition::At { intervention: Intervention::Lora, layer } => Some(*layer),
        _ => None,
    })
}

/// What to know before a call is computed: which items are left out by default, which masks hide nothing, where an earlier
/// version kept the same results.
///
/// # Errors
/// No mask of the call hides anything.
pub fn notes(experiment: &Experiment, models: &[ModelRuns]) -> Result<Vec<String>> {
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
    let direction = run.task.study_direction.filter(|_| run.direction.is_none())?.parse().ok();
    let folder = experiment.results.join(Run { direction, ..run.clone() }.folder());
    folder.join("manifest.json").exists().then_some(folder)
}
