//! Stored generations, cleaned and scored again from their raw text.

use std::path::Path;

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
use crate::score::{Bleu, Pieces};
use crate::stats::find_runs;
use crate::tasks::Measure;

/// Score all runs at or below the folders again.
pub fn score(args: &ScoreArgs) -> Result<()> {
    let pieces = args.sentencepiece.as_deref().map(super::pieces).transpose()?;
    let folders = find_runs(&args.results)?;
    if pieces.is_some() {
        folders.iter().try_for_each(|folder| compares_texts(folder))?;
    }
    let imported = args.score_with.as_ref().map(|file| Imported::read(file, &folders)).transpose()?;
    let added = Added { imported, pieces };
    folders.into_iter().try_for_each(|folder| score_run(RunFolder::new(folder), args, &added))
}

/// What is added to the measures of the task.
struct Added {
    imported: Option<Imported>,
    pieces: Option<Pieces>,
}

/// Nothing is written before all folders are known to hold texts.
fn compares_texts(folder: &Path) -> Result<()> {
    let stored = RunContents::open(RunFolder::new(folder.into()))?;
    match stored.task.compared("") {
        Some(_) => Ok(()),
        None => Err(input(format!(
            "--sentencepiece: {} holds results of the task {}, whose answers are not compared as texts; name folders of translations",
            folder.display(),
            stored.task.kind()
        ))),
    }
}

/// What judges programs.
struct Judges {
    checker: Checker,
    pool: Pool,
}

fn score_run(folder: RunFolder, args: &ScoreArgs, added: &Added) -> Result<()> {
    let stored = RunContents::open(folder)?;
    let mut judges = judges(&stored, args)?;
    let mut records = Vec::new();
    for path in stored.folder.score_files()? {
        let Some(found) = stored.check_files(&path)? else { continue };
        let (record, lines) = again(&stored, &found, judges.as_mut(), added)?;
        if args.json {
            print_record(&record, &path)?;
        }
        if record != found.record {
            replace(&stored, &found, &record, lines)?;
        }
        records.push(record);
    }
    records.sort_by_key(|record| record.condition());
    let measure =
        added.pieces.as_ref().map_or_else(|| stored.usual(), |pieces| Measure::of_pieces(&pieces.name()));
    let shown = format!("{}\n{}", stored.folder.path().display(), table(&records, &*stored.task, &measure));
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
    added: &Added,
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
    if let Some(imported) = &added.imported {
        imported.add(stored, found, &mut lines);
    }
    if let Some(pieces) = &added.pieces {
        count_pieces(pieces, stored, &mut lines)?;
    }
    let mut record = stored.record(found, &lines, runner.as_ref())?;
    record.generations_sha256 = Some(sha256_of_lines(&lines)?);
    Ok((record, lines))
}

/// Puts to the generations of a cell what they add to BLEU of pieces: with sacreBLEU's defaults, so case counts, as in the spBLEU
/// of others.
fn count_pieces(pieces: &Pieces, stored: &RunContents, lines: &mut [GenerationLine]) -> Result<()> {
    let (bleu, name) = (Bleu::default(), pieces.name());
    for (at, line) in lines.iter_mut().enumerate() {
        if let Some(text) = stored.task.compared(&line.clean) {
            let reference = &stored.items[at / stored.samples()].target;
            line.spbleu.insert(name.clone(), pieces.bleu_stats(&bleu, &text, reference)?);
        }
    }
    Ok(())
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
