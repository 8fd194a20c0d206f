//! `lora --dry-run`: what training would take, after the plan of the tests.

use anyhow::Result;
use serde::Serialize;

use super::dry_run;
use crate::base::console::{say, say_json, wrapped};
use crate::config::{Experiment, Training};
use crate::lora::TrainingText;
use crate::model::Arch;
use crate::run::train;

/// Print both.
pub fn print(experiment: &Experiment, json: bool) -> Result<()> {
    dry_run::print(experiment, json)?;
    for (_, model, planned) in &train::opened(experiment)? {
        for one in planned {
            let Some(training) = one.training() else { continue };
            let plan = TrainingPlan::new(&model.arch, training, one.texts(), &one.layers());
            if json { say_json(&plan)? } else { say(&plan.text())? }
        }
    }
    Ok(())
}

/// What training would take.
#[derive(Serialize)]
struct TrainingPlan {
    adapters: usize,
    train_size: usize,
    /// Tokens of all pairs, seen once an epoch.
    pair_tokens: usize,
    /// Tokens of the dev loss.
    dev_tokens: usize,
    /// Steps of the optimizer for each adapter, at most.
    steps: usize,
    /// Of all adapters, at most.
    multiply_adds: u64,
}

impl TrainingPlan {
    fn new(arch: &Arch, training: &Training, texts: &[TrainingText], layers: &[usize]) -> Self {
        let tokens = |texts: &[TrainingText]| texts.iter().map(|text| text.tokens.len()).sum::<usize>();
        let (pairs, dev) = texts.split_at(training.train_size.min(texts.len()));
        let (pair_tokens, dev_tokens) = (tokens(pairs), tokens(dev));
        let a_layer = arch.multiply_adds_per_row() / arch.layers as u64;
        // Forward and back through the layers from the adapted one on, and the dev pairs forward.
        let row = |layer: usize| (arch.layers - layer) as u64 * a_layer + (arch.vocab * arch.hidden) as u64;
        let seen = training.epochs.saturating_mul(2 * pair_tokens + dev_tokens) as u64;
        let all = layers.iter().map(|&layer| row(layer).saturating_mul(seen));
        Self {
            adapters: layers.len(),
            train_size: training.train_size,
            pair_tokens,
            dev_tokens,
            steps: training.steps(),
            multiply_adds: all.fold(0, u64::saturating_add),
        }
    }

    fn text(&self) -> String {
        let text = format!(
            "  training: {} adapters, each on {} pairs ({} tokens) in at most {} steps; the dev loss takes {} tokens; all \
             together at most {:.3} tera multiply-adds",
            self.adapters,
            self.train_size,
            self.pair_tokens,
            self.steps,
            self.dev_tokens,
            self.multiply_adds as f64 / 1e12
        );
        wrapped(&text, "    ")
    }
}
