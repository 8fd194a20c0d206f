//! `score`: stored generations again, anyone's text against a reference, or anyone's programs against their tests.

mod folders;
mod imported;
mod programs;
mod samples;
mod texts;

pub use programs::programs;

use std::path::Path;

use anyhow::Result;

use crate::base::error::input;
use crate::base::inputs::{self, MOST_TEXT};
use crate::cli::ScoreArgs;
use crate::score::Pieces;
use crate::tasks::TaskKind;

/// Score.
pub fn score(args: ScoreArgs) -> Result<()> {
    let task = TaskKind::find(&args.task, "--task")?;
    if task.weighs && args.hyp.is_some() {
        return Err(input(format!(
            "--task {task}: options are weighed by a model, so there is no text to score; leave --hyp out to score results again"
        )));
    }
    match (&args.hyp, &args.reference, task.runs_programs) {
        (None, _, _) => folders::score(&args),
        (Some(hyp), Some(reference), _) if is_standard_input(hyp) && is_standard_input(reference) => {
            Err(input("--ref: standard input can be read once; give one of --hyp and --ref as a file"))
        }
        (Some(hyp), Some(reference), false) => texts::score_files(hyp, reference, &args),
        (Some(_), None, true) if args.sentencepiece.is_some() => {
            Err(input("--sentencepiece: programs are run and not compared as texts; leave it out"))
        }
        (Some(hyp), None, true) => programs::score(hyp, &args),
        (Some(_), None, false) => Err(input(
            "--hyp: references are missing; write --ref FILE, or --task code to run programs against their tests",
        )),
        (Some(_), Some(_), true) => {
            Err(input("--ref: programs have tests, not references; name their problems with --data"))
        }
    }
}

/// The SentencePiece model of a file.
fn pieces(path: &Path) -> Result<Pieces> {
    let bytes = inputs::bytes(path).map_err(|trouble| trouble.about(path))?;
    Pieces::new(&bytes).map_err(|error| input(format!("--sentencepiece {}: {error}", path.display())))
}

/// `-` is standard input, also by its other name, as which it may be a pipe.
fn is_standard_input(path: &Path) -> bool {
    [Path::new("-"), Path::new("/dev/stdin")].contains(&path)
}

/// The text of a file that was named on the command line, or of standard input.
fn given(path: &Path) -> Result<String> {
    match is_standard_input(path) {
        true => {
            inputs::standard_input(MOST_TEXT).map_err(|trouble| trouble.about(Path::new("standard input")))
        }
        false => inputs::text(path, MOST_TEXT).map_err(|trouble| trouble.about(path)),
    }
}
