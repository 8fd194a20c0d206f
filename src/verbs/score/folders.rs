//! Stored generations, cleaned and scored again from their raw text.

use anyhow::Result;

use super::imported::Imported;
use super::programs::running;
use crate::base::console::{note, say};
use crate::base::error::input;
use crate::cli::ScoreArgs;
use crate::results::{
    FinishedCell, GenerationLine, RunContents, RunFolder, ScoreRecord, sha256_of_lines, table,
};
use crate::run::{Checker, print_record};
use crate::sandbox::Pool;
use crate::stats::find_runs;

/// Score all runs at or below the folders again.
pub fn score(args: &ScoreArgs) -> Result<()> {
    let folders = find_runs(&args.results)?;
    let imported = args.score_with.as_ref().map(|file| Imported::read(file, &folders)).transpose()?;
    folders.into_iter().try_for_each(|folder| score_run(RunFolder::new(folder), args, imported.as_ref()))
}

/// What judges programs.
struct Judges {
    checker: Checker,
    pool: Pool,
}

fn score_run(folder: RunFolder, args: &ScoreArgs, imported: Option<&Imported>) -> Result<()> {
    let stored = RunContents::open(folder)?;
    let mut judges = judges(&stored, args)?;
    let mut records = Vec::new();
    for path in stored.folder.score_files()? {
        let Some(found) = stored.check_files(&path)? else { continue };
        let (record, lines) = again(&stored, &found, judges.as_mut(), imported)?;
        if args.json {
            print_record(&record, &path)?;
        }
        if record != found.record {
            replace(&stored, &found, &record, lines)?;
        }
        records.push(record);
    }
    records.sort_by_key(|record| record.condition());
    let shown =
        format!("{}\n{}", stored.folder.path().display(), table(&records, &*stored.task, &stored.usual()));
    // With --json, stdout is for JSON alone.
    if args.json {
        note(shown);
        return Ok(());
    }
    say(&shown)
}

fn judges(stored: &RunContents, args: &ScoreArgs) -> Result<Option<Judges>> {
    if !stored.task.kind().runs_programs {
        return Ok(None);
    }
    let checker = Checker::new(&running(args)?, stored.items.iter())?;
    let pool = checker.pool();
    Ok(Some(Judges { checker, pool }))
}

/// The record of a cell by the raw text of its generations, and these with what is scored of them.
fn again(
    stored: &RunContents,
    found: &FinishedCell,
    judges: Option<&mut Judges>,
    imported: Option<&Imported>,
) -> Result<(ScoreRecord, Vec<GenerationLine>)> {
    let mut lines = stored.cleaned_again(found)?;
    let mut runner = None;
    if let Some(Judges { checker, pool }) = judges {
        let judged = pool.all(stored.trials(&lines)?)?;
        for (line, judged) in lines.iter_mut().zip(judged) {
            line.outcome = judged.into();
        }
        runner = Some(checker.runner());
    }
    if let Some(imported) = imported {
        imported.add(stored, found, &mut lines);
    }
    let mut record = stored.record(found, &lines, runner.as_ref())?;
    record.generations_sha256 = Some(sha256_of_lines(&lines)?);
    Ok((record, lines))
}

/// Write what has changed of a cell.
///
/// # Errors
/// Another process is computing more items of it.
fn replace(
    stored: &RunContents,
    found: &FinishedCell,
    record: &ScoreRecord,
    lines: Vec<GenerationLine>,
) -> Result<()> {
    let path = stored.folder.score_path(found.condition);
    let measure = stored.usual();
    if let [Some(was), Some(is)] = [&found.record, record].map(|record| record.scores.value(&measure))
        && was != is
    {
        note(format!("{}: {measure} was {was:.4}, is {is:.4}", path.display()));
    }
    let Some(_claim) = stored.folder.claim(found.condition, found.record.n)? else {
        return Err(input(format!("{}: another process is computing it; try again later", path.display())));
    };
    let partial = FinishedCell { lines, ..found.clone() }.as_partial();
    stored.folder.finish(found.condition, record.clone(), &partial).map(drop)
}
