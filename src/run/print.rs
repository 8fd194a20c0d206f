//! What a run prints of its results: a line of JSON a cell, and which measure its tables show.

use std::path::Path;

use anyhow::Result;

use crate::base::console::{say_json, until_the_end};
use crate::base::error::input;
use crate::config::Experiment;
use crate::results::ScoreRecord;
use crate::tasks::Measure;

/// One line of JSON for a finished cell.
///
/// # Errors
/// Nobody reads stdout any more.
pub fn print_record(record: &ScoreRecord, path: &Path) -> Result<()> {
    let mut value = serde_json::to_value(record)?;
    value["path"] = path.display().to_string().into();
    until_the_end(say_json(&value))
}

/// The measure that closing tables show, by its name: `None` for the task's usual one.
///
/// # Errors
/// There is no such measure, or a run's scores will not hold it.
pub fn table_metric(word: Option<&str>, experiment: &Experiment) -> Result<Option<Measure>> {
    let Some(word) = word else { return Ok(None) };
    let measure = Measure::find(word)?;
    for run in &experiment.runs {
        let held = run.task.measures(run.sampling.samples);
        measure.among(&held, &format!("a run of the task {}", run.task))?;
        if let Some(why) = run.task.set_up(run.profile, run.direction.as_ref(), &run.asked)?.lacks(&measure) {
            return Err(input(format!("--metric {}: a run has none, as {why}; use another", measure.key)));
        }
    }
    Ok(Some(measure))
}
