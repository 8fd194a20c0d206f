//! Stored generations, cleaned and scored again from their raw text.

use std::path::Path;

use anyhow::Result;

use super::super::checker::Checker;
use super::super::cleaner::Cleaner;
use super::super::collector::scores;
use super::super::prepare::Scoring;
use super::super::say;
use super::programs::running;
use crate::cli::ScoreArgs;
use crate::config::{Cell, Task, task};
use crate::data::Example;
use crate::error::input;
use crate::mask::Treatment;
use crate::results::{
    GenerationLine, Item, Manifest, Outcome, RunFolder, ScoreRecord, Scores, read_json, table,
};
use crate::sandbox::Pool;
use crate::stats::find_runs;

/// Score all runs at or below the folders again.
pub fn score(args: &ScoreArgs) -> Result<()> {
    let folders = find_runs(&args.results)?;
    folders.into_iter().try_for_each(|folder| score_run(RunFolder::new(folder), args))
}

fn score_run(folder: RunFolder, args: &ScoreArgs) -> Result<()> {
    let mut stored = Stored::open(folder)?;
    if stored.task == Task::Code {
        let examples: Vec<Example> = stored.items.iter().cloned().map(Item::example).collect();
        let checker = Checker::new(&running(args)?, examples.iter())?;
        let pool = checker.pool();
        stored.judges = Some((checker, pool));
    }
    let mut records = Vec::new();
    for path in stored.folder.score_files()? {
        let Again { old, record, lines } = stored.again(&path)?;
        if args.json {
            let mut value = serde_json::to_value(&record)?;
            value["path"] = path.display().to_string().into();
            say(&value.to_string())?;
        }
        if record != old {
            let (metric, was, is) = (record.scores.metric(), old.scores.main(), record.scores.main());
            eprintln!("{}: {metric} was {was:.4}, is {is:.4}", path.display());
            let cell = Cell { mask: old.mask, from_layer: old.from_layer };
            stored.folder.finish(cell, &record, &lines)?;
        }
        records.push(record);
    }
    records.sort_by_key(|record| (record.mask != Treatment::None, record.mask, record.from_layer));
    eprintln!("{}\n{}", stored.folder.path().display(), table(&records, None));
    Ok(())
}

/// One run, as it stands on disk.
pub struct Stored {
    /// Where.
    pub folder: RunFolder,
    /// What it was.
    pub manifest: Manifest,
    /// Its test items.
    pub items: Vec<Item>,
    scoring: Scoring,
    task: Task,
    /// What judges its programs; without it their verdicts stand as they are.
    judges: Option<(Checker, Pool)>,
}

/// A cell, scored again.
pub struct Again {
    /// Its record as it is on disk.
    pub old: ScoreRecord,
    /// Its record by its generations.
    pub record: ScoreRecord,
    /// Its generations, cleaned and scored again.
    pub lines: Vec<GenerationLine>,
}

impl Stored {
    /// Read what all cells of a run have in common.
    ///
    /// # Errors
    /// Something is missing or damaged.
    pub fn open(folder: RunFolder) -> Result<Self> {
        let shown = folder.path().display().to_string();
        let manifest = folder.manifest()?.ok_or_else(|| input(format!("{shown}: no manifest.json")))?;
        let items = folder.items()?;
        let task = task(&manifest.settings.task, &format!("{shown}/manifest.json"))?;
        let scoring = Scoring::new(task, manifest.settings.profile, &manifest.settings.direction.parse()?)?;
        Ok(Self { folder, manifest, items, scoring, task, judges: None })
    }

    /// Generations of each item.
    pub fn samples(&self) -> usize {
        self.manifest.settings.sampling.map_or(1, |drawn| drawn.samples)
    }

    /// A cell scored again from the raw text of its generations.
    ///
    /// # Errors
    /// Its files are missing or damaged, or hold generations of other items.
    pub fn again(&mut self, path: &Path) -> Result<Again> {
        let settings = self.manifest.settings.clone();
        let samples = self.samples();
        let old: ScoreRecord =
            read_json(path)?.ok_or_else(|| input(format!("{}: has gone away", path.display())))?;
        let mut lines = self.folder.generations(path)?;
        let wanted = self.items.iter().flat_map(|item| (0..samples).map(move |sample| (&item.id, sample)));
        if !lines.iter().map(|line| (&line.id, line.sample)).eq(wanted) {
            return Err(input(format!("{}: its generations are not those of items.jsonl", path.display())));
        }
        let cleaner = Cleaner {
            task: self.task,
            profile: settings.profile,
            format: &settings.format_strings,
            stops: self.manifest.stop_strings.iter().map(String::as_str).collect(),
        };
        let mut asked = Vec::new();
        for (at, line) in lines.iter_mut().enumerate() {
            let item = &self.items[at / samples];
            line.clean = cleaner.clean(&line.text);
            match &self.scoring {
                Scoring::Text(scorer) => {
                    let stats = scorer.pair(&cleaner.hypothesis(&line.clean), &item.target);
                    line.outcome = Outcome::Text { stats };
                }
                Scoring::Code(assembly) => {
                    let problem = item.problem.as_ref();
                    let problem = problem.ok_or_else(|| input(format!("{}: has no tests", item.id)))?;
                    asked.push(assembly.trial(problem, &line.clean));
                }
            }
        }
        let stored_runner = match &old.scores {
            Scores::Code(scores) => Some(scores.runner.clone()),
            Scores::Text(_) => None,
        };
        if let Some((_, pool)) = &mut self.judges {
            for (line, judged) in lines.iter_mut().zip(pool.all(asked)?) {
                line.outcome = Outcome::Program { verdict: judged.verdict, reason: judged.reason };
            }
        }
        let runner = self.judges.as_ref().map(|(checker, _)| checker.runner()).or(stored_runner);
        let scores = scores(&self.scoring, samples, &lines, runner.as_ref())?;
        let cell = Cell { mask: old.mask, from_layer: old.from_layer };
        let record = ScoreRecord::new(&settings, &self.manifest.settings_sha256, cell, old.n_layers, scores)
            .with_generations(&lines)
            .with_costs(old.seconds, old.multiply_adds);
        Ok(Again { old, record, lines })
    }
}
