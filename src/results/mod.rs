//! What is written: a score file and its generations per cell, a manifest per run. Written whole or not at all, so
//! that whatever is there is finished.

mod claim;
mod identity;
mod lines;
mod record;
pub mod sia2024;
mod store;
mod stored;
mod table;

pub use claim::{Claim, Owner, allow_many_files};
pub use identity::{ConditionList, Identity, Schema};
pub use lines::{GenerationLine, PartialLine};
pub use record::{
    Manifest, ManifestPrompt, NotApplied, ScoreRecord, Settings, SpecialTokens, TrainedOn, round,
};
pub use store::{RunFolder, read_json, sha256_of_lines};
pub use stored::{FinishedCell, RunContents};
#[cfg(test)]
pub use table::sample_record;
pub use table::table;
