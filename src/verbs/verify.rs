//! `verify`: is all there that was asked for, does it belong together, and are the scores those of the generations?

use std::collections::{BTreeMap, BTreeSet, HashSet};

use anyhow::{Result, bail, ensure};
use serde::Serialize;

use super::score::{Again, Stored};
use super::status::{asked_for, ranges};
use crate::cli::VerifyArgs;
use crate::config::Cell;
use crate::console::{heard, say, say_json};
use crate::engine::{Interrupted, check_interrupted};
use crate::lora::{Log, peft};
use crate::mask::Treatment;
use crate::results::{RunFolder, read_json};
use crate::stats::find_runs;

/// Check all runs at or below the folders.
///
/// # Errors
/// Something is missing or wrong, after all of it was said.
pub fn verify(args: &VerifyArgs) -> Result<()> {
    let (mut runs, mut wrong) = (0, 0);
    for path in find_runs(&args.results)? {
        let found = Found::new(&RunFolder::new(path))?;
        (runs, wrong) = (runs + 1, wrong + usize::from(!found.is_good()));
        // Whether it is right is said by the exit code too, whether there is a reader or not.
        heard(if args.json { say_json(&found) } else { say(&found.text()) })?;
    }
    match wrong {
        0 => Ok(()),
        _ => bail!("{wrong} of {runs} runs are not complete or not right"),
    }
}

/// What was found in one run's folder.
#[derive(Debug, Serialize)]
struct Found {
    folder: String,
    /// Cells that are finished, and right.
    cells: usize,
    /// Their generations.
    generations: usize,
    /// Layers by treatment that were asked for and are not finished.
    missing: BTreeMap<Treatment, BTreeSet<usize>>,
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

impl Found {
    fn new(folder: &RunFolder) -> Result<Self> {
        let shown = folder.path().display().to_string();
        let mut found =
            Self { folder: shown, cells: 0, generations: 0, missing: BTreeMap::new(), wrong: Vec::new() };
        match Stored::open(folder.clone()) {
            Ok(mut stored) => match found.run(&mut stored) {
                Err(error) if error.is::<Interrupted>() => return Err(error),
                Err(error) => found.wrong.push(format!("{error:#}")),
                Ok(()) => {}
            },
            Err(error) => found.wrong.push(format!("{error:#}")),
        }
        Ok(found)
    }

    fn is_good(&self) -> bool {
        self.missing.is_empty() && self.wrong.is_empty()
    }

    fn run(&mut self, stored: &mut Stored) -> Result<()> {
        let (manifest, folder) = (stored.manifest.clone(), stored.folder.clone());
        self.hold(manifest.settings.hash() == manifest.settings_sha256, || {
            "manifest.json: its hash is not that of its settings".into()
        });
        let ids: HashSet<&str> = stored.items.iter().map(|item| item.id.as_str()).collect();
        let (items, n) = (stored.items.len(), manifest.settings.n);
        let alone = ids.len() == items;
        self.hold(items == n && alone, || {
            let twice = if alone { "" } else { ", some of them twice" };
            format!("items.jsonl: holds {items} items{twice}; the settings say {n}")
        });
        let files = folder.score_files()?;
        for cell in asked_for(&folder, &manifest)? {
            if !files.contains(&folder.score_path(cell)) {
                self.missing.entry(cell.mask).or_default().insert(cell.from_layer);
            } else if cell.mask == Treatment::Lora
                && let Err(error) = adapter(&folder, cell.from_layer)
            {
                self.wrong.push(format!("lora/layer-{}: {error:#}", cell.from_layer));
            }
        }
        for path in files {
            check_interrupted()?;
            let name = path.strip_prefix(folder.path()).unwrap_or(&path).display().to_string();
            match RunFolder::cell_of(&path) {
                None => self.wrong.push(format!("{name}: of no treatment that there is")),
                Some(cell) => match stored.again(&path) {
                    Ok(again) => self.cell(&name, cell, stored, &again),
                    Err(error) => self.wrong.push(format!("{error:#}")),
                },
            }
        }
        Ok(())
    }

    fn cell(&mut self, name: &str, cell: Cell, stored: &Stored, again: &Again) {
        let (before, Again { old, record, lines }) = (self.wrong.len(), again);
        let manifest = &stored.manifest;
        self.hold(old.settings_sha256 == manifest.settings_sha256, || {
            format!("{name}: was made with other settings than manifest.json says")
        });
        let layer = if cell.mask == Treatment::None { old.n_layers } else { cell.from_layer };
        self.hold((old.mask, old.from_layer) == (cell.mask, layer) && layer <= old.n_layers, || {
            format!("{name}: says that it is {} from layer {}", old.mask, old.from_layer)
        });
        let of_first = lines.iter().find(|line| line.id == manifest.prompt.id);
        self.hold(of_first.is_none_or(|line| line.prompt_tokens == manifest.prompt.tokens.len()), || {
            format!("{name}: its first prompt has not as many tokens as the one of manifest.json")
        });
        let stored_lines = stored.folder.generations(&stored.folder.score_path(cell)).unwrap_or_default();
        for (line, was) in lines.iter().zip(&stored_lines) {
            self.hold(line == was, || {
                format!("{name}l: what is scored of {} is not what comes of its text", line.id)
            });
        }
        let same = |record: &crate::results::ScoreRecord| {
            let mut record = record.clone();
            // Another version may have written it.
            record.version.clear();
            record
        };
        self.hold(same(old) == same(record), || {
            let (was, is) = (old.scores.main(), record.scores.main());
            match (was - is).abs() < 1e-9 {
                true => format!("{name}: scores or counts are not those of its generations"),
                false => format!("{name}: {} {was:.4}, by its generations {is:.4}", old.scores.metric()),
            }
        });
        if self.wrong.len() == before {
            self.cells += 1;
            self.generations += lines.len();
        }
    }

    fn hold(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.wrong.push(otherwise());
        }
    }

    fn text(&self) -> String {
        let mut text =
            format!("{}: {} cells and {} generations are right", self.folder, self.cells, self.generations);
        for (mask, layers) in &self.missing {
            let layers =
                if *mask == Treatment::None { String::new() } else { format!(", {}", ranges(layers)) };
            text += &format!("\n  not finished: {mask}{layers}");
        }
        for wrong in &self.wrong {
            text += &format!("\n  wrong: {wrong}");
        }
        text
    }
}
