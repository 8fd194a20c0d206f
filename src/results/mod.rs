//! What is written: a score file and its generations per cell, a manifest per run. Written whole or not at all, so
//! that whatever is there is finished.

mod claim;
mod record;
mod scores;
pub mod sia2024;
mod store;
mod table;

pub use claim::{Claim, Owner, allow_many_files};
pub use record::{
    Drawn, GenerationLine, Item, Manifest, ManifestPrompt, NotApplied, Outcome, PartialLine, ScoreRecord,
    Settings, SpecialTokens, TrainedOn, pair, round,
};
pub use scores::{CodeScores, Runner, Scores, TextScores};
pub use store::{RunFolder, read_json, sync_folder, unfinished_path, write_atomically, write_json};
#[cfg(test)]
pub use table::sample_record;
pub use table::table;
