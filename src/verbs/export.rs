//! `export`: scores in another program's layout.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::Value;

use super::hypotheses;
use crate::base::console::note;
use crate::base::error::input;
use crate::base::files::check_place;
use crate::base::interrupt::check_interrupted;
use crate::base::together::Together;
use crate::cli::ExportArgs;
use crate::results::{RunContents, RunFolder, read_json, sia2024};
use crate::stats::find_runs;

/// Write all scores under the study's names; what has no name there is counted.
pub fn export(args: ExportArgs) -> Result<()> {
    if let Some(file) = &args.hypotheses {
        return hypotheses::write(&args.results, file);
    }
    let Some(out) = args.out else { return Err(input("--out: name the folder to write results/ into")) };
    check_place(&out, "--out")?;
    let mut cells: BTreeMap<PathBuf, (PathBuf, Value)> = BTreeMap::new();
    let (mut nameless, mut shorter) = (0, 0);
    for folder in find_runs(&args.results)? {
        let run = RunFolder::new(folder);
        let (stored, found) = RunContents::read_run(&run, |stored, found| {
            Ok(stored.is_whole(&found.record).then_some((run.score_path(found.condition), found.record)))
        })?;
        let own = &stored.manifest.settings;
        // Made for their times, or for adapters, which the study lays out otherwise.
        let apart = own.drop_context || own.lora.is_some() || own.adapter.is_some();
        shorter += found.iter().filter(|found| found.is_none()).count();
        for (file, record) in found.into_iter().flatten() {
            let Some(path) = sia2024::path(&record, stored.task.kind()).filter(|_| !apart) else {
                nameless += 1;
                continue;
            };
            if let Some((other, _)) = cells.get(&path) {
                return Err(input(format!(
                    "{} and {} would both become {}: the study's names know no profile, chat template or samples; name one of their folders",
                    other.display(),
                    file.display(),
                    path.display()
                )));
            }
            cells.insert(path, (file, stored.task.study_scores(&record.scores)));
        }
    }
    if cells.is_empty() {
        return Err(input("none of these cells has a place in the study's layout"));
    }
    // The study's own results may stand there: none is replaced.
    for (path, (_, scores)) in &cells {
        let path = out.join(path);
        let there = read_json::<Value>(&path)?;
        if there.is_some_and(|there| there != *scores) {
            return Err(input(format!("{}: holds other scores; export to another folder", path.display())));
        }
    }
    let mut files = Together::within(&out)?;
    for (path, (_, scores)) in &cells {
        check_interrupted()?;
        files.write(path, |out| {
            serde_json::to_writer_pretty(&mut *out, scores)?;
            Ok(out.write_all(b"\n")?)
        })?;
    }
    files.publish()?;
    note(format!("{} score files in {}", cells.len(), out.join("results").display()));
    if shorter > 0 {
        note(format!(
            "{shorter} cells are left out: they were finished for fewer test items than their folders now have"
        ));
    }
    if nameless > 0 {
        note(format!(
            "{nameless} cells are left out: the study's layout has no place for the mask `all`, for ablations, for adapters and \
             for runs with --drop-context"
        ));
    }
    Ok(())
}
