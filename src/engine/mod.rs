//! Prompts and mask plans -> generations: prefill, greedy decoding, stopping. The only place that knows prompts and
//! models both.
//!
//! Requests of one prompt that follow each other share its unmasked trunk up to their start layers; nothing else is
//! shared.

use std::sync::atomic::AtomicBool;

use anyhow::Result;
use serde::Serialize;

mod batch;
mod greedy;
mod memory;
mod prefill;
mod stop;

pub use batch::{Batch, generate};
pub use memory::{Memory, available, weights};
pub use prefill::{Group, prefill};
pub use stop::{Stop, StopRule};

use crate::mask::MaskPlan;
use crate::prompt::Prompt;

/// One generation to make.
pub struct Request<'a> {
    /// The prompt.
    pub prompt: &'a Prompt,
    /// What each layer hides of it.
    pub plan: MaskPlan,
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
}

/// What a batch reports while it works.
pub trait Observer {
    /// Tokens that went through the model since the last report, prompt and generated.
    fn tokens(&mut self, _count: usize) {}

    /// Request `index` is finished.
    fn finished(&mut self, index: usize, generation: Generation) -> Result<()>;
}

/// The user asked to stop (Ctrl-C); what was finished is kept.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; what was finished is kept, run the same command again to go on")]
pub struct Interrupted;

/// Set when the user asks to stop.
pub static INTERRUPTED: AtomicBool = AtomicBool::new(false);
