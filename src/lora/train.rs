//! One adapter trained.

use std::ops::Range;
use std::time::Instant;

use anyhow::{Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{AdamW, Frozen, clip, initial};
use crate::base::interrupt::check_interrupted;
use crate::config::{LossOn, Training};
use crate::model::grad::{Differentiable, Gradient, Loss, Noise, Pass, ROWS, TOGETHER};
use crate::model::{Adapter, Decoder, LowRank, NotFinite};
use crate::prompt::sampling::sample;

/// A trained adapter.
#[derive(Debug, Clone)]
pub struct Trained {
    /// As it was after its best epoch.
    pub adapter: Adapter,
    /// How it came about.
    pub log: Log,
}

/// How an adapter was trained, as `training.json` has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Log {
    /// The adapted layer.
    pub layer: usize,
    /// Seed of initialisation, order and dropout.
    pub seed: u32,
    /// Each step of the optimizer.
    pub steps: Vec<Step>,
    /// Loss of the dev pairs per token, before training and after each epoch.
    pub dev_losses: Vec<f64>,
    /// The epoch that is kept, counted from 1; 0 if training made it worse from the start.
    pub best_epoch: usize,
    /// Tokens that went through the layers: forward and back, and forward alone for the dev losses after epochs.
    pub tokens: [usize; 2],
    /// How long it took.
    pub seconds: f64,
}

/// One step of the optimizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Counted from 1.
    pub epoch: usize,
    /// The pairs, by their places in the training split, counted from 0.
    pub pairs: Vec<usize>,
    /// Loss per token before the step, with dropout.
    pub loss: f64,
    /// Norm of the gradient before it is clipped.
    pub gradient_norm: f64,
    /// The learning rate.
    pub learning_rate: f64,
}

/// A loss or gradient that is no number.
#[derive(Debug, thiserror::Error)]
#[error(
    "layer {layer}, seed {seed}: training diverged at step {step}: the loss is {loss}, the gradient's norm {norm}; lower \
     --learning-rate or --alpha"
)]
pub struct Diverged {
    layer: usize,
    seed: u32,
    step: usize,
    loss: f64,
    norm: f64,
}

/// Rows of a pass without gradients at most, unless one text is longer.
const DEV_ROWS: usize = 512;

/// Loss of some texts per token without an adapter, which is the same at whatever layer it is computed from; 0 of none.
///
/// # Errors
/// As [`train`].
pub fn loss_before(
    differentiable: &Differentiable,
    frozen: &Frozen,
    training: &Training,
    dev: Range<usize>,
) -> Result<f64> {
    Trainer::new(differentiable, frozen, training, 0).dev_loss(&dev.collect::<Vec<_>>())
}

/// Train one adapter at the layer that the frozen states enter: `pairs` of the texts to train on and `dev` to say when to
/// stop, whose loss without an adapter is `before`.
///
/// # Errors
/// [`Diverged`]; [`Interrupted`](crate::base::interrupt::Interrupted); a failed computation.
pub fn train(
    differentiable: &Differentiable,
    frozen: &Frozen,
    training: &Training,
    seed: u32,
    pairs: Range<usize>,
    dev: Range<usize>,
    before: f64,
) -> Result<Trained> {
    let begun = Instant::now();
    let mut run = Trainer::new(differentiable, frozen, training, seed);
    let steps_an_epoch = pairs.len().div_ceil(training.batch);
    let all_steps = steps_an_epoch * training.epochs;
    let dev: Vec<usize> = dev.collect();
    let mut best = (before, run.adapter.clone());
    run.log.dev_losses.push(before);
    for epoch in 1..=training.epochs {
        let order = sample(pairs.len(), pairs.len(), seed.wrapping_add(epoch as u32 - 1))?;
        for batch in order.chunks(training.batch) {
            let learning_rate =
                training.learning_rate * (all_steps - run.log.steps.len()) as f64 / all_steps as f64;
            run.step(epoch, batch, pairs.start, learning_rate)?;
        }
        let loss = run.dev_loss(&dev)?;
        run.log.dev_losses.push(loss);
        // Without dev pairs the last epoch is kept.
        if dev.is_empty() || loss < best.0 {
            best = (loss, run.adapter.clone());
            run.log.best_epoch = epoch;
        } else if epoch - run.log.best_epoch >= training.patience {
            break;
        }
    }
    run.log.seconds = crate::results::round(begun.elapsed().as_secs_f64());
    Ok(Trained { adapter: best.1, log: run.log })
}

/// An adapter in training.
pub struct Trainer<'a> {
    differentiable: &'a Differentiable<'a>,
    frozen: &'a Frozen<'a>,
    training: &'a Training,
    /// As it is by now.
    pub adapter: Adapter,
    optimizer: AdamW,
    /// What was done.
    pub log: Log,
}

impl<'a> Trainer<'a> {
    /// Before the first step, at the layer that the frozen states enter.
    pub fn new(
        differentiable: &'a Differentiable<'a>,
        frozen: &'a Frozen<'a>,
        training: &'a Training,
        seed: u32,
    ) -> Self {
        let (arch, layer) = (differentiable.model().arch(), frozen.layer());
        let Training { projections, rank, alpha, .. } = training;
        let adapter = initial(arch, layer, projections, *rank, *alpha, seed);
        let optimizer = AdamW::new(&adapter, training.weight_decay);
        let log = Log { layer, seed, ..Log::default() };
        Self { differentiable, frozen, training, adapter, optimizer, log }
    }

    /// One step of the optimizer on some pairs, by their places after the text `first`.
    ///
    /// # Errors
    /// [`Diverged`]; [`Interrupted`](crate::base::interrupt::Interrupted); a failed computation.
    pub fn step(&mut self, epoch: usize, pairs: &[usize], first: usize, learning_rate: f64) -> Result<()> {
        let texts: Vec<usize> = pairs.iter().map(|pair| first + pair).collect();
        let share = 1. / self.frozen.counted(&texts, self.answer_alone()) as f32;
        let mut gradient = Gradient::zeros(&self.adapter);
        let mut loss = Loss::default();
        for some in passes(self.frozen, &texts, ROWS).chunks(TOGETHER) {
            check_interrupted()?;
            let found = some.par_iter().map(|texts| self.gradient(epoch, texts, share));
            let found = found.collect::<Result<Vec<_>>>();
            for (of_pass, its_gradient, rows) in found.map_err(|error| self.diverged(error))? {
                loss.add(of_pass);
                gradient.add(&its_gradient);
                self.log.tokens[0] += rows;
            }
        }
        let norm = clip(&mut gradient, self.training.max_grad_norm);
        let (layer, seed, step) = (self.log.layer, self.log.seed, self.log.steps.len() + 1);
        if !(loss.mean().is_finite() && norm.is_finite()) {
            return Err(Diverged { layer, seed, step, loss: loss.mean(), norm }.into());
        }
        self.optimizer.step(&mut self.adapter, &gradient, learning_rate);
        if !self.adapter.0.values().all(LowRank::is_finite) {
            return Err(Diverged { layer, seed, step, loss: loss.mean(), norm }.into());
        }
        let (pairs, loss) = (pairs.to_vec(), loss.mean());
        self.log.steps.push(Step { epoch, pairs, loss, gradient_norm: norm, learning_rate });
        Ok(())
    }

    /// Scores that are not finite after a step are the training's doing; before the first they are the model's.
    fn diverged(&self, error: Error) -> Error {
        let Log { layer, seed, .. } = self.log;
        let step = self.log.steps.len();
        if step == 0 || !error.is::<NotFinite>() {
            return error;
        }
        Diverged { layer, seed, step: step + 1, loss: f64::NAN, norm: f64::NAN }.into()
    }

    fn answer_alone(&self) -> bool {
        self.training.loss_on == LossOn::Target
    }

    /// Loss of the texts of one pass, the gradient of `share` times it, and how many rows it has.
    fn gradient(&self, epoch: usize, texts: &[usize], share: f32) -> Result<(Loss, Gradient, usize)> {
        let (states, packed, next) = self.frozen.some(texts, self.answer_alone());
        let stream = |&text: &usize| {
            (u64::from(self.log.seed) << 32 | epoch as u64)
                ^ ((text as u64).wrapping_mul(0x2545_f491_4f6c_dd1d))
        };
        let noise = Noise { rate: self.training.dropout as f32, streams: texts.iter().map(stream).collect() };
        let (layer, adapter) = (self.log.layer, &self.adapter);
        let (states, packed, next) = (&states, &packed, next.as_slice());
        let pass = Pass { layer, adapter, states, packed, next, noise: Some(&noise) };
        let mut gradient = Gradient::zeros(adapter);
        let loss = self.differentiable.gradient(&pass, share, &mut gradient)?;
        Ok((loss, gradient, packed.rows()))
    }

    /// Loss of some texts per token, without dropout.
    fn dev_loss(&mut self, texts: &[usize]) -> Result<f64> {
        let mut loss = Loss::default();
        for some in passes(self.frozen, texts, DEV_ROWS).chunks(TOGETHER) {
            check_interrupted()?;
            let found = some.par_iter().map(|texts| {
                let (states, packed, next) = self.frozen.some(texts, self.answer_alone());
                let (layer, adapter) = (self.log.layer, &self.adapter);
                let (states, packed, next) = (&states, &packed, next.as_slice());
                let pass = Pass { layer, adapter, states, packed, next, noise: None };
                Ok((self.differentiable.loss(&pass)?, packed.rows()))
            });
            let found = found.collect::<Result<Vec<_>>>();
            for (of_pass, rows) in found.map_err(|error| self.diverged(error))? {
                loss.add(of_pass);
                self.log.tokens[1] += rows;
            }
        }
        match texts.is_empty() {
            true => Ok(0.),
            false if loss.sum.is_finite() => Ok(loss.mean()),
            false => {
                let Log { layer, seed, .. } = self.log;
                let step = self.log.steps.len();
                Err(Diverged { layer, seed, step, loss: loss.mean(), norm: f64::NAN }.into())
            }
        }
    }
}

/// Texts in passes of so many rows.
fn passes<'t>(frozen: &Frozen, mut texts: &'t [usize], rows: usize) -> Vec<&'t [usize]> {
    let mut passes = Vec::new();
    while !texts.is_empty() {
        let mut sum = 0;
        let fits = texts.iter().take_while(|&&text| {
            sum += frozen.tokens(text);
            sum <= rows
        });
        let (now, later) = texts.split_at(fits.count().max(1));
        passes.push(now);
        texts = later;
    }
    passes
}
