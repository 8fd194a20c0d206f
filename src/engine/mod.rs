//! Prompts and plans -> generations and weighed options: prefill, decoding, stopping. The only place that knows plans and models both.
//!
//! All interventions and layers of a call are computed in one go (`layout` says what is shared, `sweep` does it):
//! the unmasked run of a prompt is the *trunk* of every masked run up to its start layer, and from there on a *branch*
//! computes only the rows that its edits make different.

use anyhow::{Result, bail};
use serde::Serialize;

mod admit;
mod advance;
mod alone;
mod choose;
mod decode;
#[cfg(test)]
mod fake;
mod layout;
mod likelihood;
mod memory;
mod options;
mod pass;
mod plain;
mod prefill;
mod stage;
mod state;
mod stop;
mod strand;
mod sweep;
mod trie;
mod weigh;
mod weighed;
mod work;

pub use alone::generate_alone;
pub use choose::Sample;
pub use layout::{Layout, by_context};
pub use memory::{Holding, Limits, Memory, available, kv_bytes_a_token, weights};
pub use options::Options;
pub use plain::Plain;
pub use stop::{Stop, StopRule};
pub use sweep::{generate, weigh};
pub use weighed::Weighed;
pub use work::{Expected, Work};

use crate::intervene::Plan;
use crate::prompt::Prompt;

/// One generation to make.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The prompt.
    pub prompt: &'a Prompt,
    /// What is changed in its run.
    pub plan: Plan,
    /// What is asked of it.
    pub ask: Ask<'a>,
}

/// What is asked of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ask<'a> {
    /// Its likeliest tokens, one after the other.
    Likeliest,
    /// Tokens that are drawn.
    Drawn(Sample),
    /// How likely these options are.
    Weigh(&'a Options),
}

impl<'a> Ask<'a> {
    /// How tokens are drawn, where they are.
    pub fn sample(self) -> Option<Sample> {
        match self {
            Self::Drawn(sample) => Some(sample),
            Self::Likeliest | Self::Weigh(_) => None,
        }
    }

    /// The options, where some are weighed.
    pub fn options(self) -> Option<&'a Options> {
        match self {
            Self::Weigh(options) => Some(options),
            Self::Likeliest | Self::Drawn(_) => None,
        }
    }
}

impl<'a> Request<'a> {
    /// The likeliest tokens after a prompt, changed by a plan.
    pub fn new(prompt: &'a Prompt, plan: Plan) -> Self {
        Self { prompt, plan, ask: Ask::Likeliest }
    }

    /// How likely options are after a prompt, changed by a plan.
    pub fn weighing(prompt: &'a Prompt, plan: Plan, options: &'a Options) -> Self {
        Self { prompt, plan, ask: Ask::Weigh(options) }
    }
}

/// A finished generation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Generation {
    /// Generated tokens, the one that stopped it included.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub stop: Stop,
    /// This generation's share of the time, in seconds: each forward pass is divided among its generations.
    pub seconds: f64,
    /// What it took, where it was computed by itself.
    pub multiply_adds: Option<u64>,
}

/// What a batch reports while it works.
pub trait Observer {
    /// A pass through the model is done: tokens that went through it, prompt and generated, and its multiply-adds.
    fn passed(&mut self, _tokens: usize, _multiply_adds: u64) {}

    /// Request `index` is finished.
    fn finished(&mut self, index: usize, generation: Generation) -> Result<()>;

    /// The options of request `index` are weighed.
    ///
    /// # Errors
    /// Whoever asks for that must say what becomes of it.
    fn weighed(&mut self, index: usize, _weighed: Weighed) -> Result<()> {
        bail!("the options of request {index} were weighed, and nobody takes that")
    }
}
