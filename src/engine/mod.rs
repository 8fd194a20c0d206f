//! Prompts and plans -> generations: prefill, decoding, stopping. The only place that knows plans and models both.
//!
//! All interventions and layers of a call are computed in one go (`layout` says what is shared, `sweep` does it):
//! the unmasked run of a prompt is the *trunk* of every masked run up to its start layer, and from there on a *branch*
//! computes only the rows that its edits make different.

use anyhow::Result;
use serde::Serialize;

mod admit;
mod advance;
mod alone;
mod choose;
mod decode;
#[cfg(test)]
mod fake;
mod layout;
mod memory;
mod pass;
mod plain;
mod prefill;
mod stage;
mod state;
mod stop;
mod sweep;
mod trie;
mod work;

pub use alone::generate_alone;
pub use choose::Sample;
pub use layout::{Layout, by_context};
pub use memory::{Holding, Limits, Memory, available, kv_bytes_a_token, weights};
pub use plain::Plain;
pub use stop::{Stop, StopRule};
pub use sweep::generate;
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
    /// How tokens are drawn; `None` for the likeliest.
    pub sample: Option<Sample>,
}

impl<'a> Request<'a> {
    /// The likeliest tokens after a prompt, changed by a plan.
    pub fn new(prompt: &'a Prompt, plan: Plan) -> Self {
        Self { prompt, plan, sample: None }
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
}
