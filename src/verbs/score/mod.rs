//! `score`: stored generations again, anyone's text against a reference, or anyone's programs against their tests.

mod folders;
mod programs;
mod texts;

use anyhow::Result;

use crate::cli::ScoreArgs;
use crate::config::{Task, task};
use crate::error::input;

/// Score.
pub fn score(args: ScoreArgs) -> Result<()> {
    let task = task(&args.task, "--task")?;
    match (&args.hyp, &args.reference, task) {
        (None, _, _) => folders::score(&args),
        (Some(hyp), Some(reference), Task::Mt) => texts::score_files(hyp, reference, &args),
        (Some(hyp), None, Task::Code) => programs::score(hyp, &args),
        (Some(_), None, Task::Mt) => Err(input(
            "--hyp: references are missing; write --ref FILE, or --task code to run programs against their tests",
        )),
        (Some(_), Some(_), Task::Code) => {
            Err(input("--ref: programs have tests, not references; name their problems with --data"))
        }
    }
}
