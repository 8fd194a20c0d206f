//! What is done to a run of a model. An intervention is written ([`Intervention`]), becomes edits of one prompt's run
//! ([`Plan`]), and is compiled once into what the engine computes ([`Flow`]). An intervention at a layer is a [`Condition`]: the
//! identity of a result. Knows prompts and no model.
//!
//! Hidden is not removed: positions do not change. (Sia, Mueller, Duh, "Where does In-context Learning Happen in Large
//! Language Models?", NeurIPS 2024.)

mod columns;
mod condition;
mod flow;
mod name;
mod plan;
mod rules;
mod spec;

pub use columns::Columns;
pub use condition::{Condition, Series};
pub use flow::{Class, Flow, Fork, RunShape};
pub use name::MaskName;
pub use plan::{AdapterId, Change, Edit, Plan, Sees, Sight};
pub use rules::{Masks, NoPlan, Reach, Rule, Rules, SpanList, Steps};
pub use spec::{ABLATION, Intervention, InterventionKind, LORA, UnknownMask};
