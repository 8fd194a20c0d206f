//! `export --hypotheses`: every generation with its item, for scorers of other people.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use crate::base::console::note;
use crate::base::interrupt::check_interrupted;
use crate::base::together::write_alone;
use crate::results::{RunContents, RunFolder};
use crate::stats::find_runs;

/// Write one line for each generation of all finished cells: what names it, what was asked, the right answers and the answer.
/// `score --score-with` takes the lines back with `scores` added.
///
/// # Errors
/// Results that cannot be read, a file that cannot be written.
pub fn write(results: &[std::path::PathBuf], out: &Path) -> Result<()> {
    let mut count = 0;
    write_alone(out, |file| {
        for folder in find_runs(results)? {
            let shown = folder.display().to_string();
            RunContents::read_run(&RunFolder::new(folder), |stored, found| {
                check_interrupted()?;
                for (at, line) in found.lines.iter().enumerate() {
                    let item = &stored.items[at / stored.samples()];
                    let written = json!({
                        "folder": shown,
                        "mask": found.condition.series(),
                        "layer": found.condition.layer(),
                        "id": line.id,
                        "sample": line.sample,
                        "source": item.source,
                        "references": item.right().collect::<Vec<_>>(),
                        "hypothesis": line.clean,
                    });
                    writeln!(file, "{written}")?;
                    count += 1;
                }
                Ok(())
            })?;
        }
        Ok(())
    })?;
    note(format!("{count} generations in {}", out.display()));
    Ok(())
}
