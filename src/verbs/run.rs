//! `run`: the whole experiment. Everything is resolved, read and checked before weights are loaded.

use anyhow::Result;

use super::dry_run;
use super::repeat::repeat;
use crate::base::console::{note, wrapped};
use crate::cli::RunArgs;
use crate::config::Experiment;
use crate::run::{Place, compute_all, describe, notes, open, set_threads, table_metric};

/// Run an experiment.
pub fn run(args: RunArgs) -> Result<()> {
    if let Some(manifest) = &args.from_manifest {
        return repeat(manifest, args.settings);
    }
    let mut experiment = Experiment::resolve(args.config.as_deref(), args.settings, describe)?;
    if let Some(shard) = args.shard {
        experiment.keep(shard)?;
    }
    let metric = table_metric(args.metric.as_deref(), &experiment)?;
    set_threads(experiment.threads)?;
    if args.dry_run {
        return dry_run::print(&experiment, args.json);
    }
    let place = Place::of(&experiment)?;
    let models = open(&experiment, |_, _| Ok(()))?;
    notes(&experiment, &models)?.iter().for_each(|sentence| note(wrapped(sentence, "  ")));
    compute_all(&experiment, models, &place, metric, args.json)
}
