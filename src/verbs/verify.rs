//! `verify`: is all there that was asked for, does it belong together, and are the scores those of the generations?

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail, ensure};
use serde::Serialize;

use super::output::named_layers;
use super::status::asked_for;
use crate::base::console::{heard, say, say_json};
use crate::base::interrupt::{Interrupted, check_interrupted};
use crate::cli::VerifyArgs;
use crate::intervene::{Condition, Intervention, Series};
use crate::lora::{Log, peft};
use crate::results::{FinishedCell, RunContents, RunFolder, read_json};
use crate::stats::find_runs;

/// Check all runs at or below the folders.
///
/// # Errors
/// Something is missing or wrong, after all of it was said.
pub fn verify(args: &VerifyArgs) -> Result<()> {
    let (mut runs, mut wrong) = (0, 0);
    for path in find_runs(&args.results)? {
        let found = Findings::new(&RunFolder::new(path))?;
        (runs, wrong) = (runs + 1, wrong + usize::from(!found.is_good()));
        // Whether it is right is said by the exit code too, whether there is a reader or not.
        heard(if args.json { say_json(&found) } else { say(&found.text()) })?;
    }
    match wrong {
        0 => Ok(()),
        1 => bail!("1 of {runs} runs is incomplete or wrong"),
        _ => bail!("{wrong} of {runs} runs are incomplete or wrong"),
    }
}

/// What was found in one run's folder.
#[derive(Debug, Serialize)]
struct Findings {
    folder: String,
    /// Cells that are finished, and right.
    cells: usize,
    /// Their generations.
    generations: usize,
    /// Layers by series that were asked for and are not finished.
    missing: BTreeMap<Series, BTreeSet<usize>>,
    /// Layers by series that were finished before the folder got more test items.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    shorter: BTreeMap<Series, BTreeSet<usize>>,
    /// What is wrong, a sentence each.
    wrong: Vec<String>,
}

/// A layer's adapter is there, whole, and as its training left it.
fn adapter(folder: &RunFolder, layer: usize) -> Result<()> {
    let path = folder.adapter_path(layer);
    peft::check(&path, layer)?;
    let log: Option<Log> = read_json(&path.join("training.json"))?;
    ensure!(log.is_some_and(|log| log.layer == layer), "training.json is gone, or of another layer");
    Ok(())
}

impl Findings {
    /// Check a run, to which another process may be writing: if it has just grown, it is checked again.
    fn new(folder: &RunFolder) -> Result<Self> {
        loop {
            let before = folder.manifest_bytes();
            let found = Self::once(folder)?;
            if found.wrong.is_empty() || folder.manifest_bytes() == before {
                return Ok(found);
            }
        }
    }

    fn once(folder: &RunFolder) -> Result<Self> {
        let shown = folder.path().display().to_string();
        let (missing, shorter) = Default::default();
        let mut found = Self { folder: shown, cells: 0, generations: 0, missing, shorter, wrong: Vec::new() };
        match RunContents::open(folder.clone()) {
            Ok(stored) => match found.run(&stored) {
                Err(error) if error.is::<Interrupted>() => return Err(error),
                Err(error) => found.wrong.push(format!("{error:#}")),
                Ok(()) => {}
            },
            Err(error) => found.wrong.push(format!("{error:#}")),
        }
        Ok(found)
    }

    fn is_good(&self) -> bool {
        self.missing.is_empty() && self.shorter.is_empty() && self.wrong.is_empty()
    }

    fn run(&mut self, stored: &RunContents) -> Result<()> {
        let folder = &stored.folder;
        let files = folder.score_files()?;
        let n_layers = stored.manifest.asked.n_layers().unwrap_or(0);
        for condition in asked_for(folder, &stored.manifest)? {
            if !files.contains(&folder.score_path(condition)) {
                self.missing.entry(condition.series()).or_default().insert(condition.start(n_layers));
            } else if let Condition::At { intervention: Intervention::Lora, layer } = condition
                && let Err(error) = adapter(folder, layer)
            {
                self.wrong.push(format!("lora/layer-{layer}: {error:#}"));
            }
        }
        for path in files {
            check_interrupted()?;
            match stored.faults(&path) {
                Ok(Some((cell, faults))) if faults.is_empty() => self.right(stored, &cell),
                Ok(Some((_, faults))) => self.wrong.extend(faults),
                // Another process has just taken it away, to write it anew.
                Ok(None) => {}
                Err(error) => self.wrong.push(format!("{error:#}")),
            }
        }
        Ok(())
    }

    fn right(&mut self, stored: &RunContents, found: &FinishedCell) {
        if !stored.is_whole(&found.record) {
            let layer = found.condition.start(found.record.n_layers());
            self.shorter.entry(found.condition.series()).or_default().insert(layer);
            return;
        }
        self.cells += 1;
        self.generations += found.lines.len();
    }

    fn text(&self) -> String {
        let mut text =
            format!("{}: {} cells and {} generations are right", self.folder, self.cells, self.generations);
        let named = |(series, layers): (&Series, &BTreeSet<usize>)| match series {
            Series::Baseline => series.to_string(),
            Series::Of(intervention) => format!("{intervention}, {}", named_layers(layers)),
        };
        for missing in self.missing.iter().map(named) {
            text += &format!("\n  not finished: {missing}");
        }
        for shorter in self.shorter.iter().map(named) {
            text += &format!(
                "\n  not finished: {shorter}: finished for fewer test items than the folder now has"
            );
        }
        for wrong in &self.wrong {
            text += &format!("\n  wrong: {wrong}");
        }
        text
    }
}
