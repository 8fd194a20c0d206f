//! `lora`: one adapter per layer trained, then each tested.

use anyhow::Result;

use super::lora_dry_run;
use crate::cli::LoraArgs;
use crate::config::Experiment;
use crate::run::{describe, set_threads, table_metric, train};

/// Train and test.
pub fn lora(args: LoraArgs) -> Result<()> {
    let mut experiment =
        Experiment::resolve_training(args.config.as_deref(), args.settings, args.training, describe)?;
    if let Some(shard) = args.shard {
        experiment.keep(shard)?;
    }
    let metric = table_metric(args.metric.as_deref(), &experiment)?;
    set_threads(experiment.threads)?;
    if args.dry_run {
        return lora_dry_run::print(&experiment, args.json);
    }
    train::compute(&experiment, metric, args.json)
}
