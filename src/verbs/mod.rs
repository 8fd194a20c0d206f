//! One module per verb of the command line.

mod attention;
mod data;
mod dry_run;
mod export;
mod figure;
mod hypotheses;
mod lora;
mod lora_dry_run;
mod models;
mod output;
mod repeat;
mod report;
mod run;
mod score;
mod show;
mod status;
mod submit;
mod verify;

pub use data::data;
pub use export::export;
pub use figure::figure;
pub use lora::lora;
pub use models::models;
pub use report::report;
pub use run::run;
pub use score::{programs, score};
pub use show::show;
pub use status::status;
pub use submit::submit;
pub use verify::verify;

use anyhow::Result;

use crate::base::console::say_exactly;

/// Print shell completions.
pub fn completions(shell: clap_complete::Shell) -> Result<()> {
    // Into memory first: written to a pipe that nothing reads, they would panic.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut crate::help::command(), "icl-mask", &mut script);
    say_exactly(&String::from_utf8(script)?)
}
