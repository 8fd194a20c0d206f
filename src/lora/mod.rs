//! One adapter per layer: low-rank changes (LoRA) trained on pairs, everything else frozen. The study's second result is
//! that they help most before the layer at which the task is recognised.
//!
//! Below the adapted layer nothing ever changes: the states that enter it are computed once for all examples
//! ([`Frozen`]) and carried on layer by layer, so that a sweep computes each layer of the trunk once. From it on a step goes
//! forward and back ([`crate::model::grad`]).

mod frozen;
mod init;
mod memory;
mod optimizer;
pub mod peft;
mod text;
mod train;

pub use frozen::Frozen;
pub use init::initial;
pub use memory::KeptBuffers;
pub use optimizer::{AdamW, clip};
pub use text::TrainingText;
pub use train::{Diverged, Log, Step, Trained, Trainer, loss_before, train};
