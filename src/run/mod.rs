//! An experiment carried out: opened and checked, placed, loaded, computed or trained, collected, written.

mod adapted;
mod checker;
mod close;
mod collect;
mod compute;
mod estimate;
mod fetch;
mod idle;
mod inputs;
mod load;
mod manifest;
mod model;
mod nameless;
mod open;
mod options;
mod pairs;
mod place;
mod print;
mod progress;
mod state;
mod stop;
pub mod train;

pub use checker::Checker;
pub use compute::{compute, compute_all, fitting};
pub use fetch::{describe, locate};
pub use idle::Idle;
pub use inputs::RunInputs;
pub use load::on_host;
pub use manifest::{command, hidden_json, ranges_json, rules_json};
pub use model::OpenModel;
pub use open::{ModelRuns, notes, open, set_threads};
pub use place::{Place, holding};
pub use print::{print_record, table_metric};
