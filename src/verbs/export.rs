//! `export`: scores in another program's layout.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;

use crate::cli::ExportArgs;
use crate::error::input;
use crate::results::{RunFolder, ScoreRecord, read_json, sia2024, write_json};
use crate::stats::find_runs;

/// Write all scores under the study's names; what has no name there is counted.
pub fn export(args: ExportArgs) -> Result<()> {
    let mut cells: BTreeMap<PathBuf, (PathBuf, ScoreRecord)> = BTreeMap::new();
    let mut nameless = 0;
    for folder in find_runs(&args.results)? {
        for file in RunFolder::new(folder).score_files()? {
            let record: ScoreRecord =
                read_json(&file)?.ok_or_else(|| input(format!("{}: has gone away", file.display())))?;
            let Some(path) = sia2024::path(&record) else {
                nameless += 1;
                continue;
            };
            if let Some((other, _)) = cells.get(&path) {
                return Err(input(format!(
                    "{} and {} would both become {}, which knows neither profiles nor samples; name one of their folders",
                    other.display(),
                    file.display(),
                    path.display()
                )));
            }
            cells.insert(path, (file, record));
        }
    }
    for (path, (_, record)) in &cells {
        write_json(&args.out.join(path), &sia2024::scores(record))?;
    }
    eprintln!("{} score files in {}", cells.len(), args.out.join("results").display());
    if nameless > 0 {
        eprintln!(
            "{nameless} left out: the study's layout has no place for the mask `all` and for ablations"
        );
    }
    Ok(())
}
