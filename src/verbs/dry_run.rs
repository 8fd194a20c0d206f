//! `run --dry-run`: cells, prompts, tokens, memory and work estimated, nothing loaded but headers and tokenizers.

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde::Serialize;

use crate::base::console::{note, say, say_json, wrapped};
use crate::base::error::is_absent;
use crate::base::units::gib;
use crate::config::{Experiment, Run};
use crate::engine::{Layout, Memory, Request, Work, by_context, kv_bytes_a_token, weights};
use crate::hub::ModelFiles;
use crate::intervene::Condition;
use crate::model::Arch;
use crate::results::RunFolder;
use crate::run::{Idle, OpenModel, Place, RunInputs, hidden_json, holding};

/// What one run would do.
#[derive(Serialize)]
struct DryRun {
    folder: String,
    model: String,
    n_layers: usize,
    cells: usize,
    /// Of them finished, with all test items.
    finished: usize,
    /// Masks with the number of start layers asked for.
    masks: Vec<(String, usize)>,
    parameters: u64,
    /// How weights are held.
    dtype: String,
    weights_gib: f64,
    /// Keys and values of one token of one sequence.
    kv_cache_kib_a_token: f64,
    #[serde(flatten)]
    prompts: Option<Prompts>,
    /// Why prompts could not be counted: files that are not here.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<String>,
}

/// What needs the corpus and the tokenizer.
#[derive(Serialize)]
struct Prompts {
    items: usize,
    /// The sentence about test items that the default limit leaves out.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<String>,
    prompt_tokens: usize,
    longest_prompt: usize,
    max_new_tokens: usize,
    /// Options of all items, where they are weighed.
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<usize>,
    kv_cache_gib: f64,
    /// All that a run will hold at its peak.
    memory_gib: f64,
    /// Generations decoded together.
    batch: usize,
    /// Tokens that all prompts (with the same demonstrations) begin with.
    context_tokens: usize,
    /// Multiply-adds of all cells at full length, if branches part with the first token.
    work_most: Work,
    /// The same if those of an item never part.
    work_least: Work,
    /// Passes through the model at full length: generated tokens of the batches that follow each other.
    passes: usize,
    /// Columns hidden of the first prompt, per mask.
    hidden: serde_json::Map<String, serde_json::Value>,
}

/// Print the plan of an experiment.
///
/// # Errors
/// Wrong input; files that are merely not here yet are named in the plan instead.
pub fn print(experiment: &Experiment, json: bool) -> Result<()> {
    let (mut opened, mut idle) = (None, Idle::default());
    let plans = experiment.runs.iter().map(|run| DryRun::new(run, experiment, &mut opened, &mut idle));
    let plans: Vec<DryRun> = plans.collect::<Result<_>>()?;
    // A call in which no mask hides anything is refused, and then has no plan.
    let sentences = idle.sentences()?;
    for plan in &plans {
        if json { say_json(plan)? } else { say(&plan.text())? }
    }
    sentences.iter().for_each(|sentence| note(wrapped(sentence, "  ")));
    Ok(())
}

/// The model that was opened last, by its path: the runs of one follow each other.
type LastOpened = Option<(PathBuf, OpenModel)>;

impl DryRun {
    fn new(run: &Run, experiment: &Experiment, opened: &mut LastOpened, idle: &mut Idle) -> Result<Self> {
        let folder = RunFolder::new(experiment.results.join(run.folder()));
        folder.check_place()?;
        let mut masks: Vec<(String, usize)> = Vec::new();
        for condition in &run.conditions {
            match masks.last_mut() {
                Some((mask, count)) if *mask == condition.series().to_string() => *count += 1,
                _ => masks.push((condition.series().to_string(), 1)),
            }
        }
        let (arch, prompts, missing) = described(run, experiment, opened, idle)?;
        let whole = |items: usize| prompts.as_ref().is_none_or(|prompts| items >= prompts.items);
        let finished =
            run.conditions.iter().filter(|condition| folder.items_of(**condition).is_some_and(whole)).count();
        Ok(Self {
            folder: folder.path().display().to_string(),
            model: run.model.name.clone(),
            n_layers: run.model.layers,
            cells: run.conditions.len(),
            finished,
            masks,
            parameters: arch.parameters(),
            dtype: experiment.dtype.to_string(),
            weights_gib: gib(weights(&arch, experiment.dtype, None)),
            kv_cache_kib_a_token: kv_bytes_a_token(&arch) as f64 / 1024.,
            prompts,
            missing,
        })
    }

    fn text(&self) -> String {
        let masks: Vec<String> = self.masks.iter().map(|(mask, count)| format!("{mask} x {count}")).collect();
        let mut lines = vec![
            format!(
                "  {}, {} layers, {:.1} M parameters",
                self.model,
                self.n_layers,
                self.parameters as f64 / 1e6
            ),
            format!(
                "  {} ({}), {} of them finished",
                counted(self.cells, "cell"),
                masks.join(", "),
                self.finished
            ),
            format!(
                "  weights as {} {:.2} GiB; KV cache {:.1} KiB per token",
                self.dtype, self.weights_gib, self.kv_cache_kib_a_token
            ),
        ];
        lines.extend(self.prompts.iter().flat_map(Prompts::lines));
        lines.extend(self.missing.iter().map(|missing| format!("  not counted: {missing}")));
        let lines: Vec<String> = lines.iter().map(|line| wrapped(line, "    ")).collect();
        format!("{}\n{}", self.folder, lines.join("\n"))
    }
}

/// The architecture, the prompts if they can be made, and else why not. Files that have not been fetched yet are no
/// mistake in a plan.
fn described(
    run: &Run,
    experiment: &Experiment,
    opened: &mut LastOpened,
    idle: &mut Idle,
) -> Result<(Arch, Option<Prompts>, Option<String>)> {
    if opened.as_ref().is_none_or(|(path, _)| *path != run.model.path) {
        match OpenModel::open(&run.model, ModelFiles::Description) {
            Ok(model) => *opened = Some((run.model.path.clone(), model)),
            Err(error) => match &run.model.config {
                Some(config) if !run.model.path.exists() => {
                    return Ok((config.arch()?, None, Some(format!("{error:#}"))));
                }
                _ => return Err(error),
            },
        }
    }
    let Some((_, model)) = opened else { bail!("no model was opened") };
    match Prompts::new(run, experiment, model, idle) {
        Ok(prompts) => Ok((model.arch.clone(), Some(prompts), None)),
        // A corpus that is not prepared yet.
        Err(error) if is_absent(&error) && run.data.prepare.is_some() => {
            Ok((model.arch.clone(), None, Some(format!("{error:#}"))))
        }
        Err(error) => Err(error),
    }
}

/// `1 cell`, `2 cells`
fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// What [`hidden_json`] writes, for people: tokens `[0,14)`, without the second number.
fn in_words(hidden: &serde_json::Value) -> String {
    let Some(ranges) = hidden.as_array() else {
        let what = match hidden.as_str() {
            Some("own") => "all but each token's own",
            Some("attention") => "nothing, but one layer loses its attention",
            _ => "nothing, but one layer has an adapter",
        };
        return what.into();
    };
    let end = |range: &serde_json::Value| match &range[1] {
        serde_json::Value::Null => "...".into(),
        end => end.to_string(),
    };
    let ranges: Vec<String> = ranges.iter().map(|range| format!("[{},{})", range[0], end(range))).collect();
    if ranges.is_empty() { "nothing".into() } else { ranges.join(", ") }
}

impl Prompts {
    fn new(run: &Run, experiment: &Experiment, model: &OpenModel, idle: &mut Idle) -> Result<Self> {
        let arch = &model.arch;
        let prepared = RunInputs::new(run.clone(), model)?;
        idle.add(&prepared);
        // What the call itself would refuse. The weights may not be here yet, and reading them takes long.
        let folder = RunFolder::new(experiment.results.join(run.folder()));
        let weights = folder.manifest()?.map(|known| known.settings.model_sha256).unwrap_or_default();
        folder.check(&prepared.settings(&weights, experiment), &run.masks)?;
        let lengths = prepared.prompts.iter().map(|prompt| prompt.tokens.len());
        let longest = lengths.clone().max().unwrap_or(0);
        let requests = prepared.requests(&run.conditions)?;
        let stored = model.checkpoint().and_then(|checkpoint| checkpoint.size()).ok();
        // A plan can be made where there is no such GPU.
        let budget = Place::of(experiment).map_or(experiment.memory, |place| place.budget);
        let fitted = Memory::fit(
            arch,
            holding(experiment, stored),
            &requests,
            &prepared.rule,
            experiment.batch,
            budget.unwrap_or(u64::MAX),
        );
        let (batch, memory) = match fitted {
            Ok((limits, memory)) => (limits.branches, memory),
            Err(memory) => (1, memory),
        };
        let mut work = [Work::default(); 2];
        let mut context_tokens = None;
        for group in by_context(&requests) {
            let some: Vec<Request> = group.iter().map(|&index| requests[index].clone()).collect();
            let layout = Layout::new(arch, &some, run.max_new_tokens, batch);
            work.iter_mut().zip(layout.work(arch)).for_each(|(all, more)| all.add(more));
            context_tokens.get_or_insert(layout.context.len());
        }
        let [work_most, work_least] = work;
        let hidden = |condition: &Condition| {
            (condition.series().to_string(), hidden_json(*condition, &prepared.prompts[0], &run.masks))
        };
        let hidden = run.conditions.iter().map(hidden);
        Ok(Self {
            items: prepared.prompts.len(),
            left_out: prepared.left_out(),
            prompt_tokens: lengths.sum(),
            longest_prompt: longest,
            max_new_tokens: run.max_new_tokens,
            options: run.task.weighs.then(|| prepared.items.iter().map(|item| item.options.len()).sum()),
            kv_cache_gib: gib(memory.kv_cache),
            memory_gib: gib(memory.total()),
            batch: batch.min(requests.len()),
            context_tokens: context_tokens.unwrap_or(0),
            work_most,
            work_least,
            passes: requests.len().div_ceil(batch) * run.max_new_tokens,
            hidden: hidden.collect(),
        })
    }

    fn lines(&self) -> Vec<String> {
        let hidden: Vec<String> =
            self.hidden.iter().map(|(mask, hidden)| format!("{mask}: {}", in_words(hidden))).collect();
        let mut lines: Vec<String> = self.left_out.iter().map(|sentence| format!("  {sentence}")).collect();
        lines.extend([
            format!(
                "  {} of {} tokens in total, the longest {}; all share the first {}",
                counted(self.items, "prompt"),
                self.prompt_tokens,
                self.longest_prompt,
                self.context_tokens
            ),
            match self.options {
                Some(options) => format!(
                    "  {} weighed, nothing is generated; {} at a time",
                    counted(options, "option"),
                    counted(self.batch, "run")
                ),
                None => format!(
                    "  at most {} new tokens each; {} at a time",
                    self.max_new_tokens,
                    counted(self.batch, "generation")
                ),
            },
            format!(
                "  memory {:.2} GiB, of which KV cache {:.2}; work {:.2} to {:.2} tera multiply-adds",
                self.memory_gib,
                self.kv_cache_gib,
                self.work_least.total() as f64 / 1e12,
                self.work_most.total() as f64 / 1e12
            ),
            format!("  hidden tokens of the first prompt: {}", hidden.join("; ")),
        ]);
        lines
    }
}
