//! How adapters are trained.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::resolve::Resolver;
use super::settings::Setting;
use super::{ModelChoice, Run};
use crate::base::error::input;
use crate::intervene::{Condition, Intervention};
use crate::model::Projection;

/// Which tokens' loss is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LossOn {
    /// All tokens of a pair but the first, as the study has it.
    Whole,
    /// Those of the answer.
    Target,
}

/// How adapters are trained. Results depend on all of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Pairs to train on, the first ones of the training split.
    pub train_size: usize,
    /// Pairs whose loss says when to stop, the first ones of what demonstrations are drawn from.
    pub dev_size: usize,
    /// Projections that are adapted.
    pub projections: Vec<Projection>,
    /// Rank of the update.
    pub rank: usize,
    /// The update is scaled by alpha / rank.
    pub alpha: f64,
    /// Dropout on the adapter's inputs, as a probability.
    pub dropout: f64,
    /// AdamW's initial learning rate, decayed linearly to 0.
    pub learning_rate: f64,
    /// AdamW's weight decay.
    pub weight_decay: f64,
    /// Gradients are scaled down to this norm; `None`: never.
    pub max_grad_norm: Option<f64>,
    /// Number of pairs per optimizer step.
    pub batch: usize,
    /// Maximum number of epochs.
    pub epochs: usize,
    /// Epochs without a smaller dev loss after which training ends.
    pub patience: usize,
    /// Which tokens' loss is counted.
    pub loss_on: LossOn,
}

/// Epochs, and steps of the optimizer for one adapter, at most: the log of more would fill the memory.
const MOST_EPOCHS: usize = 10_000;
const MOST_STEPS: usize = 10_000_000;

impl Training {
    /// Steps of the optimizer for one adapter, at most.
    pub fn steps(&self) -> usize {
        self.epochs.saturating_mul(self.train_size.div_ceil(self.batch))
    }
}

impl Resolver {
    /// One for each number of pairs.
    pub(super) fn trainings(&self) -> Result<Vec<Training>> {
        let typed = self.settings.lora.clone().unwrap_or_default();
        let projections = self.each(typed.projection(), |word, origin| {
            let unknown =
                |known| input(format!("{origin}: unknown projection `{word}`; write some of {known}"));
            word.parse::<Projection>().map_err(unknown)
        })?;
        let loss_on = match self.one(typed.loss())? {
            "whole" => LossOn::Whole,
            "target" => LossOn::Target,
            word => {
                return Err(input(format!(
                    "{}: unknown `{word}`; write whole or target",
                    self.origins.of("loss")
                )));
            }
        };
        let max_grad_norm = match self.one(typed.max_grad_norm())? {
            "none" => None,
            _ => Some(self.above(typed.max_grad_norm(), f64::MIN_POSITIVE, f64::MAX)?),
        };
        let one = Training {
            train_size: 0,
            dev_size: self.numbers(typed.dev_size())?.first().map_or(0, |size| *size as usize),
            projections,
            rank: self.count(typed.rank())?,
            alpha: self.above(typed.alpha(), f64::MIN_POSITIVE, f64::MAX)?,
            dropout: self.above(typed.dropout(), 0., 0.99)?,
            learning_rate: self.above(typed.learning_rate(), f64::MIN_POSITIVE, f32::MAX.into())?,
            weight_decay: self.above(typed.weight_decay(), 0., 1.)?,
            max_grad_norm,
            batch: self.count(typed.train_batch())?,
            epochs: self.count(typed.epochs())?,
            patience: self.count(typed.patience())?,
            loss_on,
        };
        let sizes = self.numbers(typed.train_size())?;
        let all: Vec<Training> =
            sizes.into_iter().map(|size| Training { train_size: size as usize, ..one.clone() }).collect();
        all.iter().try_for_each(|training| self.check_numbers(training))?;
        Ok(all)
    }

    /// Refuse numbers that cannot be computed with, or that would take memory without end.
    fn check_numbers(&self, training: &Training) -> Result<()> {
        let refuse = |field: &str, what: String| Err(input(format!("{}: {what}", self.origins.of(field))));
        let Training { alpha, rank, epochs, train_size, .. } = *training;
        match () {
            () if train_size == 0 => refuse("train_size", "must be at least 1".into()),
            () if !((alpha / rank as f64) as f32).is_normal() => refuse(
                "alpha",
                format!(
                    "{alpha:e} over a rank of {rank} is not a number that f32 holds; write --alpha {rank}"
                ),
            ),
            () if epochs > MOST_EPOCHS => refuse("epochs", format!("{epochs} is more than {MOST_EPOCHS}")),
            () if training.steps() > MOST_STEPS => refuse(
                "epochs",
                format!(
                    "{epochs} epochs of {train_size} pairs are more than {MOST_STEPS} steps; write fewer epochs, or a \
                     larger --train-batch"
                ),
            ),
            () => Ok(()),
        }
    }

    fn above(&self, asked: Setting, least: f64, most: f64) -> Result<f64> {
        let field = asked.name;
        let number = self.number(asked)?;
        match (least..=most).contains(&number) {
            true => Ok(number),
            false if least > 0. && number < least => {
                Err(input(format!("{}: {number} is not above 0", self.origins.of(field))))
            }
            false if least > 0. => {
                Err(input(format!("{}: {number:e} is more than {most:e}", self.origins.of(field))))
            }
            false => {
                Err(input(format!("{}: {number} is not from {least} to {most}", self.origins.of(field))))
            }
        }
    }

    /// The model as it is, and with an adapter at each layer asked for.
    pub(super) fn adapted(&self, model: &ModelChoice) -> Result<Vec<Condition>> {
        let typed = self.settings.lora.clone().unwrap_or_default();
        let layers = self.layers(typed.layers(), model)?;
        if let Some(layer) = layers.iter().find(|layer| **layer >= model.layers) {
            return Err(input(format!(
                "{}: {} has layers 0 to {}, so none is number {layer}",
                self.origins.of("layers"),
                model.name,
                model.layers - 1
            )));
        }
        let adapted =
            layers.into_iter().map(|layer| Condition::At { intervention: Intervention::Lora, layer });
        let mut conditions: Vec<Condition> = std::iter::once(Condition::Baseline).chain(adapted).collect();
        let mut seen = std::collections::HashSet::new();
        conditions.retain(|condition| seen.insert(*condition));
        Ok(conditions)
    }

    /// What makes no sense where adapters are trained.
    pub(super) fn check_training(&self, run: &Run) -> Result<()> {
        let refuse = |field: &str, what: &str| Err(input(format!("{}: {what}", self.origins.of(field))));
        let masks = ["mask", "hide", "readers", "window", "steps", "from_layer", "ablate_attention"];
        match () {
            () if !run.task.trains_adapters => {
                refuse("task", "adapters are trained on translations; write --task mt")
            }
            () if run.chat.is_some() => {
                refuse("chat_template", "adapters are trained on plain text; write false")
            }
            () if run.adapter.is_some() => refuse(
                "adapter",
                "has no effect on lora, which trains its own adapters on the bare model; leave it out",
            ),
            () if !run.vary.is_none() => {
                refuse("vary", "adapters are trained on prompts as they are; leave it out")
            }
            () if !run.format.columns().is_empty() => refuse(
                "format",
                "shows columns of the items, and adapters are trained on source and target alone; use another format",
            ),
            () if run.drop_context => refuse("drop_context", "has no effect on lora; leave it out"),
            () if masks.iter().any(|field| self.origins.is_asked_for(field)) => {
                let field = masks.iter().find(|field| self.origins.is_asked_for(field)).unwrap_or(&"mask");
                refuse(
                    field,
                    "lora masks nothing; train first, then use icl-mask run --adapter FOLDER --mask ...",
                )
            }
            () => Ok(()),
        }
    }
}
