//! `status`: what is finished in results folders, what is being computed, and by whom.

use std::collections::BTreeSet;

use anyhow::Result;
use serde::Serialize;

use super::output::named_layers;
use crate::base::console::{say, say_json};
use crate::base::error::input;
use crate::cli::StatusArgs;
use crate::intervene::{Condition, Series};
use crate::results::{Claim, Manifest, Owner, RunFolder};
use crate::stats::find_runs;

/// Say where all runs at or below the folders stand.
pub fn status(args: &StatusArgs) -> Result<()> {
    for path in find_runs(&args.results)? {
        let status = RunStatus::new(&RunFolder::new(path))?;
        if args.json { say_json(&status)? } else { say(&status.text())? }
    }
    Ok(())
}

/// Where one run stands.
#[derive(Debug, Serialize)]
pub struct RunStatus {
    /// Its folder.
    pub folder: String,
    /// Cells that were asked for.
    pub cells: usize,
    /// Of them finished.
    pub finished: usize,
    /// By series.
    #[serde(rename = "masks")]
    pub series: Vec<SeriesStatus>,
}

/// Where one series of a run is.
#[derive(Debug, Serialize)]
pub struct SeriesStatus {
    #[serde(rename = "mask")]
    series: Series,
    finished: BTreeSet<usize>,
    begun: Vec<Unfinished>,
    /// Finished before the folder got more test items.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shorter: Vec<Unfinished>,
    missing: BTreeSet<usize>,
    /// Their score files cannot be read.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    damaged: BTreeSet<usize>,
}

/// A cell that is not finished, but begun.
#[derive(Debug, Serialize)]
struct Unfinished {
    from_layer: usize,
    generations: usize,
    /// That it will have.
    of: usize,
    /// Who computes it; nobody if it was broken off.
    owner: Option<Owner>,
}

/// The cells of a run that were asked for; of a run of an older version those that are there.
pub fn asked_for(folder: &RunFolder, manifest: &Manifest) -> Result<Vec<Condition>> {
    if manifest.asked.is_empty() {
        return Ok(folder.score_files()?.iter().filter_map(|path| folder.condition_at(path).ok()).collect());
    }
    Ok(manifest.asked.conditions().collect())
}

impl RunStatus {
    /// Look at a folder.
    ///
    /// # Errors
    /// Something in it cannot be read.
    pub fn new(folder: &RunFolder) -> Result<Self> {
        let shown = folder.path().display().to_string();
        let manifest = folder.manifest()?.ok_or_else(|| input(format!("{shown}: no manifest.json")))?;
        let samples = manifest.settings.sampling.map_or(1, |drawn| drawn.samples);
        let asked = asked_for(folder, &manifest)?;
        let n_layers = manifest.asked.n_layers().unwrap_or(0);
        let mut all: Vec<SeriesStatus> = Vec::new();
        for &condition in &asked {
            let (series, from_layer) = (condition.series(), condition.start(n_layers));
            if all.last().is_none_or(|last| last.series != series) {
                let (finished, begun, shorter, missing, damaged) = Default::default();
                all.push(SeriesStatus { series, finished, begun, shorter, missing, damaged });
            }
            let Some(status) = all.last_mut() else { continue };
            let (n, items) = (manifest.settings.n, folder.items_of(condition));
            let kept = folder.count_partial(condition)?;
            let owner = Claim::owner(&folder.claim_path(condition))?;
            let there = items.unwrap_or(0).saturating_mul(samples);
            let begun = Unfinished {
                from_layer,
                generations: there.saturating_add(kept),
                of: n.saturating_mul(samples),
                owner,
            };
            match items {
                Some(items) if items >= n => drop(status.finished.insert(from_layer)),
                _ if kept > 0 || begun.owner.is_some() => status.begun.push(begun),
                Some(_) => status.shorter.push(begun),
                // A score file that cannot be read; `verify` says why.
                None if folder.score_path(condition).exists() => drop(status.damaged.insert(from_layer)),
                None => drop(status.missing.insert(from_layer)),
            }
        }
        let finished = all.iter().map(|status| status.finished.len()).sum();
        Ok(Self { folder: shown, cells: asked.len(), finished, series: all })
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!("{}: {} of {} cells finished", self.folder, self.finished, self.cells);
        let width = self.series.iter().map(|status| status.series.to_string().len()).fold(8, usize::max);
        for status in &self.series {
            text += &format!("\n  {:<width$} {}", status.series.to_string(), status.text());
        }
        text
    }
}

impl SeriesStatus {
    fn text(&self) -> String {
        let mut parts = Vec::new();
        if !self.finished.is_empty() {
            parts.push(match self.series {
                Series::Baseline => "finished".into(),
                Series::Of(_) => format!("finished: {}", named_layers(&self.finished)),
            });
        }
        let mut owners: Vec<Option<&Owner>> = self.begun.iter().map(|begun| begun.owner.as_ref()).collect();
        owners.dedup();
        for owner in owners {
            let some: Vec<&Unfinished> =
                self.begun.iter().filter(|begun| begun.owner.as_ref() == owner).collect();
            let what = owner.map_or("broken off".into(), |owner| format!("computed by {owner}"));
            parts.push(so_far(&what, &some));
        }
        if !self.shorter.is_empty() {
            let some: Vec<&Unfinished> = self.shorter.iter().collect();
            parts.push(so_far("finished for fewer test items", &some));
        }
        if !self.damaged.is_empty() {
            parts.push(format!("damaged (see icl-mask verify): {}", named_layers(&self.damaged)));
        }
        if !self.missing.is_empty() {
            parts.push(match self.series {
                Series::Baseline => "not begun".into(),
                Series::Of(_) => format!("not begun: {}", named_layers(&self.missing)),
            });
        }
        parts.join("; ")
    }
}

/// Which layers these cells are of, and how many of their generations are there.
fn so_far(what: &str, some: &[&Unfinished]) -> String {
    let layers: BTreeSet<usize> = some.iter().map(|begun| begun.from_layer).collect();
    let sum = |count: fn(&Unfinished) -> usize| {
        some.iter().map(|begun| count(begun)).fold(0, usize::saturating_add)
    };
    format!(
        "{what}: {}, {} of {} generations",
        named_layers(&layers),
        sum(|begun| begun.generations),
        sum(|begun| begun.of)
    )
}
