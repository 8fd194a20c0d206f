//! Takes generations as they finish, has programs judged beside the decoding, and writes each cell when its last
//! generation is scored.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use super::checker::Checker;
use super::inputs::RunInputs;
use super::print::print_record;
use super::progress::Progress;
use super::state::OpenCells;
use crate::base::interrupt::INTERRUPTED;
use crate::engine::{Generation, Observer, Stop, Weighed};
use crate::prompt::{Profile, Tokenizer};
use crate::results::{GenerationLine, Identity, PartialLine, RunFolder, ScoreRecord, round};
use crate::sandbox::{Judged, Pool};
use crate::tasks::{Outcome, Runner};

/// Takes generations of one run's cells.
pub struct Collector<'a> {
    work: &'a OpenCells,
    tokenizer: &'a Tokenizer,
    n_layers: usize,
    progress: Progress,
    /// Cell and slot of each request.
    wanted: Vec<(usize, usize)>,
    /// `[cell][slot]`: each item has as many slots as there are samples.
    generations: Vec<Vec<Option<PartialLine>>>,
    judges: Option<(Pool, Runner)>,
    /// Cells that were finished.
    pub records: Vec<ScoreRecord>,
    json: bool,
    /// Why the records could not be printed.
    pub unheard: Option<anyhow::Error>,
}

impl<'a> Collector<'a> {
    /// For the requests of these cells and slots; what is there already of a cell is in `generations`.
    pub fn new(
        work: &'a OpenCells,
        tokenizer: &'a Tokenizer,
        (n_layers, progress): (usize, Progress),
        wanted: Vec<(usize, usize)>,
        generations: Vec<Vec<Option<PartialLine>>>,
        checker: Option<&Checker>,
        json: bool,
    ) -> Self {
        let judges = checker.map(|checker| (checker.pool(), checker.runner()));
        let (records, unheard) = (Vec::new(), None);
        Self { work, tokenizer, n_layers, progress, wanted, generations, judges, records, json, unheard }
    }

    /// Have programs judged that a broken-off run has left, and close cells that only their scores lack.
    pub fn begin(&mut self) -> Result<()> {
        for cell in 0..self.generations.len() {
            for slot in 0..self.generations[cell].len() {
                self.judge(cell, slot)?;
            }
            self.close_if_whole(cell)?;
        }
        Ok(())
    }

    /// Wait for all verdicts that are outstanding.
    pub fn end(&mut self) -> Result<()> {
        loop {
            crate::base::interrupt::check_interrupted()?;
            let Some((pool, _)) = &mut self.judges else { return Ok(()) };
            let judged = pool.wait()?;
            if judged.is_empty() {
                return Ok(());
            }
            self.take(judged)?;
        }
    }

    /// Ask for the verdict of a program that has none.
    fn judge(&mut self, cell: usize, slot: usize) -> Result<()> {
        let RunInputs { items, task, run, .. } = &self.work.prepared;
        let asker = cell * self.work.slots() + slot;
        let Some((pool, _)) = &mut self.judges else { return Ok(()) };
        let Some(PartialLine { line, .. }) = &mut self.generations[cell][slot] else { return Ok(()) };
        if !line.outcome.is_pending() {
            return Ok(());
        }
        if let Some(trial) = task.trial(&items[slot / run.sampling.samples], &line.clean)?
            && let Some(judged) = pool.ask(asker, trial)
        {
            line.outcome = judged.into();
        }
        Ok(())
    }

    fn take(&mut self, judged: Vec<(usize, Judged)>) -> Result<()> {
        for (asker, judged) in judged {
            let (cell, slot) = (asker / self.work.slots(), asker % self.work.slots());
            if let Some(partial) = &mut self.generations[cell][slot] {
                partial.line.outcome = judged.into();
            }
            self.close_if_whole(cell)?;
        }
        Ok(())
    }

    /// Score and write a cell if its last generation is there and judged.
    fn close_if_whole(&mut self, index: usize) -> Result<()> {
        let whole = |generation: &Option<PartialLine>| {
            generation.as_ref().is_some_and(|partial| !partial.line.outcome.is_pending())
        };
        if self.generations[index].is_empty() || !self.generations[index].iter().all(whole) {
            return Ok(());
        }
        let condition = self.work.pending[index];
        let generations = std::mem::take(&mut self.generations[index]).into_iter().flatten();
        let generations: Vec<PartialLine> = generations.collect();
        let seconds = generations.iter().map(|partial| partial.seconds).sum();
        let multiply_adds = generations.iter().map(|partial| partial.multiply_adds).sum();
        let lines: Vec<GenerationLine> = generations.iter().map(|partial| partial.line.clone()).collect();
        let runner = self.judges.as_ref().map(|(_, runner)| runner);
        let RunInputs { task, run, .. } = &self.work.prepared;
        let outcomes: Vec<&Outcome> = lines.iter().map(|line| &line.outcome).collect();
        let scores = task.scores(run.sampling.samples, &outcomes, runner)?;
        let identity = Identity { condition, n_layers: self.n_layers };
        let record = ScoreRecord::new(&self.work.settings, &self.work.settings_sha256, identity, scores)
            .with_generations(&lines)
            .with_costs(round(seconds), multiply_adds);
        let finish = |folder: &RunFolder| folder.finish(condition, record, &generations);
        let record = self.work.write(condition, finish)?;
        let layer = condition.layer().map_or("baseline".into(), |layer| format!("layer {layer}"));
        let measure = task.usual(run.sampling.samples);
        let score = measure.shown(record.scores.value(&measure).unwrap_or(f64::NAN));
        self.progress.cell(&format!(
            "{:>4} {layer:>8}  {measure} {score:>6}  {:.1} s",
            condition.series(),
            record.seconds
        ));
        if self.json {
            self.print(&record, &self.work.folder.score_path(condition));
        }
        self.records.push(record);
        Ok(())
    }

    /// Print a record. If it cannot be printed the run stops as if it was interrupted: after this step, of which all
    /// generations are kept.
    fn print(&mut self, record: &ScoreRecord, path: &Path) {
        if self.unheard.is_none()
            && let Err(error) = print_record(record, path)
        {
            self.unheard = Some(error);
            INTERRUPTED.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }

    fn line(&self, slot: usize, generation: Generation) -> GenerationLine {
        let RunInputs { run, task, items, prompts, .. } = &self.work.prepared;
        let (item, sample) = (slot / run.sampling.samples, slot % run.sampling.samples);
        let answer = self.work.prepared.rule.answer(&generation.tokens);
        let text = match run.profile {
            Profile::Exact => self.tokenizer.decode(answer),
            // The study's code decodes special tokens too, and cleans some of them away.
            Profile::Sia2024 => self.tokenizer.decode_with_special(answer),
        };
        let clean = task.clean(&text, &self.work.prepared.delimiters());
        let outcome = task.judge(&items[item], &clean);
        GenerationLine {
            id: items[item].id.clone(),
            prompt_tokens: prompts[item].tokens.len(),
            text,
            clean,
            tokens: generation.tokens,
            stop: generation.stop,
            sample,
            imported: BTreeMap::new(),
            spbleu: BTreeMap::new(),
            outcome,
        }
    }
}

impl Collector<'_> {
    /// The line of an item whose options are weighed.
    fn weighed_line(&self, slot: usize, weighed: &Weighed) -> Result<GenerationLine> {
        let RunInputs { task, items, prompts, options, .. } = &self.work.prepared;
        let item = slot;
        let outcome = task.weighed(&items[item], &options[item], weighed)?;
        let (text, tokens) = match &outcome {
            Outcome::Choice(choice) => {
                (choice.chosen_text().to_string(), choice.options[choice.chosen].tokens.clone())
            }
            _ => (String::new(), Vec::new()),
        };
        Ok(GenerationLine {
            id: items[item].id.clone(),
            prompt_tokens: prompts[item].tokens.len(),
            clean: text.clone(),
            text,
            tokens,
            stop: Stop::Chosen,
            sample: 0,
            imported: BTreeMap::new(),
            spbleu: BTreeMap::new(),
            outcome,
        })
    }

    /// Keep a finished line, and close its cell if it was the last one.
    fn keep(&mut self, cell: usize, slot: usize, partial: PartialLine) -> Result<()> {
        self.generations[cell][slot] = Some(partial);
        self.judge(cell, slot)?;
        if let Some(line) = &self.generations[cell][slot] {
            let cell = self.work.pending[cell];
            self.work.write(cell, |folder| folder.keep(cell, line))?;
        }
        self.close_if_whole(cell)
    }
}

impl Observer for Collector<'_> {
    fn passed(&mut self, tokens: usize, multiply_adds: u64) {
        self.progress.passed(tokens, multiply_adds);
    }

    fn finished(&mut self, index: usize, generation: Generation) -> Result<()> {
        let (cell, slot) = self.wanted[index];
        let (seconds, multiply_adds) = (round(generation.seconds), generation.multiply_adds);
        self.progress.generation(generation.tokens.len());
        let line = self.line(slot, generation);
        self.keep(cell, slot, PartialLine { line, seconds, multiply_adds })?;
        let judged = self.judges.as_mut().map(|(pool, _)| pool.ready()).transpose()?;
        self.take(judged.unwrap_or_default())
    }

    fn weighed(&mut self, index: usize, weighed: Weighed) -> Result<()> {
        let (cell, slot) = self.wanted[index];
        self.progress.generation(1);
        let line = self.weighed_line(slot, &weighed)?;
        self.keep(cell, slot, PartialLine { line, seconds: round(weighed.seconds), multiply_adds: None })
    }
}
