//! `run --from-manifest`: make a run again from nothing but its manifest, and compare every score and every generation.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::output::ranges;
use crate::base::console::{heard, note, say};
use crate::base::error::input;
use crate::base::files::check_names;
use crate::base::hash::Hash;
use crate::base::interrupt::{Interrupted, check_interrupted};
use crate::config::{Experiment, Settings};
use crate::intervene::{Condition, Intervention, Series};
use crate::results::{self, Manifest, RunContents, RunFolder, Schema, ScoreRecord, read_json};
use crate::run::{compute, describe, open, set_threads, train};
use crate::tasks::TaskKind;

/// Make the run again, with as many threads, so much memory and in such batches as `over` says; none of them changes results.
///
/// # Errors
/// It cannot be made again, or comes out otherwise.
pub fn repeat(path: &Path, over: Settings) -> Result<()> {
    let refuse = |what: String| Err(input(format!("--from-manifest {}: {what}", path.display())));
    check_names(path, "--from-manifest")?;
    if path.is_dir() {
        return refuse("is a folder; give the manifest.json in it".into());
    }
    let Some(manifest) = read_json::<Manifest>(path)? else { return refuse("there is no such file".into()) };
    let old = RunFolder::new(path.parent().unwrap_or(Path::new(".")).to_path_buf());
    let mut temporary = over.results.is_none().then(|| Temporary::new(path));
    let results = temporary.as_ref().map(|made| made.path.as_path());
    let experiment = experiment(path, &manifest, &old, over, results)?;
    set_threads(experiment.threads)?;
    let [made] = experiment.runs.as_slice() else { bail!("more than one run") };
    let new = RunFolder::new(experiment.results.join(made.folder()));
    if new.path().canonicalize().is_ok_and(|new| old.path().canonicalize().is_ok_and(|old| old == new)) {
        return Err(input("--results: is where the run itself lies; give another folder"));
    }
    let before = made.conditions.iter().filter(|condition| new.score_path(**condition).exists()).count();
    if before == made.conditions.len() {
        return Err(input(format!(
            "--results: {} holds all of it already; give another folder",
            new.path().display()
        )));
    }
    check(path, &manifest.settings, &experiment)?;
    let computed = match made.lora {
        Some(_) => train::compute(&experiment, None, false),
        None => compute(&experiment, None, false),
    };
    if computed.as_ref().is_err_and(|error| error.is::<Interrupted>()) && temporary.is_some() {
        note("nothing of it is kept without --results FOLDER");
    }
    computed?;
    let differences = compare(&old, &new, &made.conditions)?;
    let folder = old.path().display();
    if !differences.is_empty() {
        if let Some(made) = &mut temporary {
            made.kept = true;
        }
        // That it differs is said by the exit code too, whether there is a reader or not.
        heard(differences.iter().try_for_each(|difference| say(difference)))?;
        bail!("{folder} came out otherwise; what was made now is in {}", new.path().display());
    }
    let samples = manifest.settings.sampling.map_or(1, |drawn| drawn.samples);
    let (cells, generations) = (made.conditions.len(), made.conditions.len() * new.items()?.len() * samples);
    let before = if before > 0 { format!(" ({before} of them before)") } else { String::new() };
    say(&format!("{folder}: {cells} cells made again{before}, their {generations} generations identical"))
}

/// A folder among those of other programs; it is removed in the end, unless it is kept.
struct Temporary {
    path: PathBuf,
    kept: bool,
}

impl Temporary {
    fn new(manifest: &Path) -> Self {
        let mut hash = Hash::default();
        hash.bytes(manifest.display().to_string());
        let name = format!("icl-mask-again-{}-{}", std::process::id(), &hash.hex()[..8]);
        Self { path: std::env::temp_dir().join(name), kept: false }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.kept {
            drop(std::fs::remove_dir_all(&self.path));
        }
    }
}

/// What runs programs, how safely, and how much memory may be taken: the command line says it, or else these defaults. A manifest
/// may be a stranger's. Where no programs are run, how they are run is not said.
fn safe(over: Settings, task: &TaskKind) -> Settings {
    let or = |given: Option<Vec<String>>, default: &str| given.or_else(|| Some(vec![default.into()]));
    let of_programs = |given: Option<Vec<String>>, default: &str| match task.runs_programs {
        true => or(given, default),
        false => given,
    };
    Settings {
        python: of_programs(over.python, "python3"),
        sandbox: of_programs(over.sandbox, "required"),
        memory: or(over.memory, "auto"),
        locks: or(over.locks, "true"),
        ..over
    }
}

/// Where the manifest says otherwise, the user should know.
fn say_what_is_not_taken(typed: &Settings, over: &Settings) {
    for (flag, theirs, ours) in
        [("--python", &typed.python, &over.python), ("--sandbox", &typed.sandbox, &over.sandbox)]
    {
        if let (Some(theirs), Some(ours)) = (theirs, ours)
            && theirs != ours
        {
            let (theirs, ours) = (theirs.join(","), ours.join(","));
            let said = format!(
                "{flag} {theirs} of the manifest is not used, but {flag} {ours}: only the command line decides how programs run"
            );
            note(said);
        }
    }
}

/// The one run, with the cells that are finished.
fn experiment(
    path: &Path,
    manifest: &Manifest,
    old: &RunFolder,
    over: Settings,
    results: Option<&Path>,
) -> Result<Experiment> {
    if manifest.typed == Settings::default() {
        return Err(input(format!(
            "{}: was written by a version that did not keep all settings; run its command again: {}",
            path.display(),
            manifest.command.join(" ")
        )));
    }
    let Settings { threads, memory, batch, results: elsewhere, locks, python, sandbox, .. } = over.clone();
    let allowed = Settings {
        threads,
        memory,
        batch,
        results: elsewhere,
        locks,
        python,
        sandbox,
        ..Settings::default()
    };
    if allowed != over {
        return Err(input(
            "--from-manifest: takes all settings from the manifest; beside it only --results, --threads, --memory, --batch, \
             --locks, --python and --sandbox can be given",
        ));
    }
    let to = results.map(|results| vec![results.display().to_string()]);
    let task = TaskKind::find(&manifest.settings.task, &path.display().to_string())?;
    let over = safe(Settings { results: over.results.clone().or(to), ..over }, task);
    say_what_is_not_taken(&manifest.typed, &over);
    let mut experiment = Experiment::again(manifest.typed.clone(), path, over, describe)?;
    experiment.runs.retain(|run| run.folder() == manifest.folder);
    let (_, cells) = RunContents::read_run(old, |stored, found| {
        Ok(stored.is_whole(&found.record).then_some(found.condition))
    })?;
    match experiment.runs.as_mut_slice() {
        [run] => {
            run.conditions = cells.into_iter().flatten().collect();
            run.conditions.sort();
            if run.conditions.is_empty() {
                return Err(input(format!("{}: nothing is finished there", old.path().display())));
            }
        }
        runs => {
            return Err(input(format!(
                "{}: its settings make {} runs for the folder {}; they have been edited",
                path.display(),
                runs.len(),
                manifest.folder.display()
            )));
        }
    }
    Ok(experiment)
}

/// Refuse before anything is computed what cannot come out the same: the model, the corpus or a format are others now.
fn check(path: &Path, settings: &results::Settings, experiment: &Experiment) -> Result<()> {
    for (choice, mut model, planned) in open(experiment, |_, _| Ok(()))? {
        model.fetch_weights(&choice)?;
        let model_sha256 = model.checkpoint()?.hash()?;
        for planned in planned {
            let now = planned.prepared.settings(&model_sha256, experiment);
            if now.hash() != settings.hash() {
                return Err(input(format!(
                    "{}: cannot be made again, something is another now: {}",
                    path.display(),
                    settings.differences(&now).join("; ")
                )));
            }
        }
    }
    Ok(())
}

/// What differs, a sentence each; times aside.
fn compare(old: &RunFolder, new: &RunFolder, conditions: &[Condition]) -> Result<Vec<String>> {
    let mut otherwise: BTreeMap<Series, BTreeSet<usize>> = BTreeMap::new();
    for &condition in conditions {
        check_interrupted()?;
        let scores = |folder: &RunFolder| -> Result<ScoreRecord> {
            let path = folder.score_path(condition);
            let record = read_json::<ScoreRecord>(&path)?;
            let mut record = record.with_context(|| format!("{} was not made", path.display()))?;
            record.schema = Schema::NOW;
            record.seconds = 0.;
            record.version.clear();
            // Of an earlier version there is none; the generations themselves are compared.
            record.generations_sha256 = None;
            Ok(record)
        };
        let lines = |folder: &RunFolder| folder.generations(&folder.score_path(condition));
        let (was, mut is) = (scores(old)?, scores(new)?);
        // A time limit that goes by the reference solutions is another each time.
        is.scores = is.scores.run_as(&was.scores);
        let mut same = was == is && lines(old)? == lines(new)?;
        if let Condition::At { intervention: Intervention::Lora, layer } = condition {
            let weights = |folder: &RunFolder| {
                let path = folder.adapter_path(layer).join("adapter_model.safetensors");
                crate::base::inputs::bytes(&path).with_context(|| format!("cannot read {}", path.display()))
            };
            same &= weights(old)? == weights(new)?;
        }
        if !same {
            otherwise.entry(condition.series()).or_default().extend(condition.layer());
        }
    }
    let sentence = |(series, layers): (&Series, &BTreeSet<usize>)| match series {
        Series::Baseline => "the baseline differs".into(),
        Series::Of(intervention) => format!("{intervention}: differs at {}", ranges(layers)),
    };
    Ok(otherwise.iter().map(sentence).collect())
}
