//! A run made ready: corpus read, demonstrations drawn, prompts tokenized, everything checked that can be without
//! weights.

use std::ops::RangeInclusive;
use std::sync::Arc;

use anyhow::Result;

use super::adapted::AdapterHeader;
use super::model::OpenModel;
use super::options::{self, Known};
use super::pairs::pairs;
use super::stop::stop_rule;
use crate::base::error::input;
use crate::base::hash::Hash;
use crate::config::{Limit, Run, Sampling};
use crate::data::{Corpus, Example, docstring, languages};
use crate::engine::{Ask, Options, Request, Sample, StopRule};
use crate::intervene::{Condition, Intervention, Plan};
use crate::lora::TrainingText;
use crate::model::Family;
use crate::prompt::{
    ChatTemplate, Format, Profile, Prompt, Prompter, balanced_demonstrations, demonstrations,
};
use crate::tasks::{Delimiters, Task};

/// A run made ready.
pub struct RunInputs {
    /// As resolved.
    pub run: Run,
    /// The format with the names of the languages in it.
    pub format: Format,
    /// Demonstrations, in the order of the prompt.
    pub demonstrations: Vec<Example>,
    /// Where they are test items: what is the last one in the prompt of an item that is among them.
    pub substitute: Option<Example>,
    /// Test items.
    pub items: Vec<Example>,
    /// Number of test items that the corpus has.
    pub corpus_items: usize,
    /// Their prompts, in the same order.
    pub prompts: Vec<Prompt>,
    /// Where options are weighed, those of each item.
    pub options: Vec<Arc<Options>>,
    /// When a generation ends.
    pub rule: StopRule,
    /// How answers are judged and scored.
    pub task: Box<dyn Task>,
    /// sha256 of the corpus.
    pub(super) data_sha256: String,
    /// sha256 of the chat template, if there is one.
    pub(super) chat_sha256: Option<String>,
    /// The adapter that is at work, if there is one.
    pub adapted: Option<AdapterHeader>,
    /// What adapters are trained on, if they are: pairs to train on, then those of the dev loss.
    pub texts: Vec<TrainingText>,
    /// sha256 over them.
    pub(super) pairs_sha256: Option<String>,
}

impl RunInputs {
    /// Read, draw, tokenize, check.
    pub fn new(run: Run, model: &OpenModel) -> Result<Self> {
        let task = run.task.set_up(run.profile, run.direction.as_ref(), &run.asked)?;
        super::nameless::tell(&run);
        let (source, target) = languages_of(&run);
        let format = run.format.filled(source, target);
        let data = run.data.clone();
        let data = if run.task.weighs { data.with_options() } else { data };
        let data = data.showing(run.format.columns());
        let mut corpus = Corpus::load_any(&data, run.direction.as_ref())?;
        if run.profile == Profile::Sia2024 {
            corpus.test.iter_mut().chain(&mut corpus.demonstrations).try_for_each(ask_by_docstring)?;
        }
        corpus.test.iter_mut().chain(&mut corpus.demonstrations).for_each(|example| task.ask(example));
        let corpus_items = corpus.test.len();
        let items = limited(&corpus, run.limit)?;
        items.iter().try_for_each(|item| task.check(item))?;
        // One more where a prompt may have to do without one of them.
        let spare = usize::from(corpus.leave_one_out && run.nprompts > 0);
        let draw = if run.asked.balanced { balanced_demonstrations } else { demonstrations };
        let mut demonstrations = draw(&corpus.demonstrations, run.nprompts + spare, run.seed)?;
        let substitute = if spare > 0 { demonstrations.pop() } else { None };
        run.vary.apply(&mut demonstrations, &corpus.demonstrations, run.seed)?;
        let chat = run.chat.as_ref().map(|choice| model.chat_template(choice)).transpose()?;
        let (prompts, options) =
            prompts(&run, model, chat.as_ref(), &items, &demonstrations, substitute.as_ref())?;
        for prompt in &prompts {
            model.check_embedded(|| format!("item {}: its prompt holds", prompt.item), &prompt.tokens)?;
        }
        check_room(&run, model, &prompts, &options)?;
        let (texts, pairs_sha256) = match &run.lora {
            Some(training) => pairs(&run, training, &corpus, &format, model)?,
            None => (Vec::new(), None),
        };
        let adapted =
            run.adapter.as_ref().map(|adapter| AdapterHeader::open(adapter, &model.arch)).transpose()?;
        let rule = stop_rule(&run, &*task, &format, model);
        let chat_sha256 = chat.map(|chat| chat.sha256().to_string());
        let data_sha256 = corpus.hash;
        let inputs = Self {
            demonstrations,
            substitute,
            items,
            corpus_items,
            prompts,
            options,
            rule,
            task,
            data_sha256,
            chat_sha256,
            adapted,
            texts,
            pairs_sha256,
            format,
            run,
        };
        model.arch.for_lengths(inputs.lengths())?;
        inputs.check_masks()?;
        Ok(inputs)
    }

    /// Every span that a mask names is in every prompt.
    fn check_masks(&self) -> Result<()> {
        for (name, _) in self.run.masks.iter() {
            let condition = Condition::At { intervention: Intervention::Rules(name), layer: 0 };
            (0..self.prompts.len()).try_for_each(|item| self.plan(condition, item).map(drop))?;
        }
        Ok(())
    }

    /// Lengths of its sequences in tokens, from the shortest prompt to the longest prompt with its answer.
    pub fn lengths(&self) -> RangeInclusive<usize> {
        let new = |item: usize| match self.options.get(item) {
            Some(options) => options.longest(),
            None => self.run.max_new_tokens,
        };
        let lengths = |(item, prompt): (usize, &Prompt)| {
            (prompt.tokens.len(), prompt.tokens.len().saturating_add(new(item)))
        };
        let prompts = self.prompts.iter().enumerate().map(lengths);
        let texts = self.texts.iter().map(|text| (text.tokens.len(), text.tokens.len()));
        let all: Vec<(usize, usize)> = prompts.chain(texts).collect();
        let shortest = all.iter().map(|(shortest, _)| *shortest).min().unwrap_or(0);
        shortest..=all.iter().map(|(_, longest)| *longest).max().unwrap_or(shortest)
    }

    /// The sentence about test items that the default limit leaves out, if there are some.
    pub fn left_out(&self) -> Option<String> {
        let (used, all) = (self.items.len(), self.corpus_items);
        let default = matches!(self.run.limit, Limit::AtMost(_)) && used < all;
        default.then(|| {
            format!("{}: uses the first {used} of {all} test items; --limit all uses all", self.run.data.name)
        })
    }

    /// What a condition changes in the run of an item.
    ///
    /// # Errors
    /// A mask names a span that the prompt does not have.
    pub fn plan(&self, condition: Condition, item: usize) -> Result<Plan> {
        let plan = condition.plan(&self.prompts[item], &self.run.masks);
        plan.map_err(|error| {
            let series = condition.series();
            input(format!("--mask {series}: item {}: {error}", self.items[item].id))
        })
    }

    /// The request for one generation of an item: `sample` counts from 0.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub fn request(&self, condition: Condition, item: usize, sample: usize) -> Result<Request<'_>> {
        let (prompt, plan) = (&self.prompts[item], self.plan(condition, item)?);
        if let Some(options) = self.options.get(item) {
            return Ok(Request::weighing(prompt, plan, options));
        }
        let Sampling { temperature, top_p, .. } = self.run.sampling;
        let stream = || {
            let mut hash = Hash::default();
            hash.bytes(format!("{} {sample} {}", self.run.seed, self.items[item].id));
            u64::from_str_radix(&hash.hex()[..16], 16).unwrap_or_default()
        };
        let draws = self.run.sampling.draws();
        let ask = match draws {
            true => Ask::Drawn(Sample { temperature, top_p, stream: stream() }),
            false => Ask::Likeliest,
        };
        Ok(Request { prompt, plan, ask })
    }

    /// All generations of some conditions, item by item, so that those of a prompt are together.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub fn requests(&self, conditions: &[Condition]) -> Result<Vec<Request<'_>>> {
        let samples = self.run.sampling.samples;
        let mut all = Vec::with_capacity(self.prompts.len() * conditions.len() * samples);
        for item in 0..self.prompts.len() {
            for &condition in conditions {
                for sample in 0..samples {
                    all.push(self.request(condition, item, sample)?);
                }
            }
        }
        Ok(all)
    }

    /// What parts an answer from what a model writes around it.
    pub fn delimiters(&self) -> Delimiters<'_> {
        let stops = self.rule.strings.iter().map(|(string, _)| string.as_str()).collect();
        Delimiters { format: &self.format, stops }
    }
}

/// Each prompt leaves room for its answer, or for its options, and an answer can end.
fn check_room(run: &Run, model: &OpenModel, prompts: &[Prompt], options: &[Arc<Options>]) -> Result<()> {
    if run.task.weighs {
        return options
            .iter()
            .zip(prompts)
            .try_for_each(|(some, prompt)| options::check(some, prompt, model));
    }
    if !run.no_stop {
        model.check_end_of_text()?;
    }
    prompts.iter().try_for_each(|prompt| prompt.check_fits(run.max_new_tokens, model.arch.context))
}

/// The study asks for a program by its docstring alone.
fn ask_by_docstring(example: &mut Example) -> Result<()> {
    let Some(problem) = example.problem.as_ref().filter(|problem| !problem.prompt.is_empty()) else {
        return Ok(());
    };
    let text = docstring(&problem.prompt).ok_or_else(|| {
        input(format!(
            "{}: its prompt has no docstring, by which the study's code asks; use --profile exact",
            example.id
        ))
    })?;
    example.source = text.into();
    Ok(())
}

/// The prompts of all items. With a substitute, the demonstrations are test items: no prompt holds the item it asks for.
fn prompts(
    run: &Run,
    model: &OpenModel,
    chat: Option<&ChatTemplate>,
    items: &[Example],
    demonstrations: &[Example],
    substitute: Option<&Example>,
) -> Result<(Vec<Prompt>, Vec<Arc<Options>>)> {
    let languages = languages_of(run);
    let llama = model.arch.family == Family::Llama;
    let prompter = |demonstrations: &[Example]| {
        Prompter::new(&run.format, languages, demonstrations, &model.tokenizer, run.profile, llama)
            .with_chat(chat)
            .in_order(run.vary.order)
    };
    let common = prompter(demonstrations);
    let mut known = Known::default();
    let (mut prompts, mut options) = (Vec::new(), Vec::new());
    let mut add = |prompter: &Prompter, item: &Example| -> Result<()> {
        if run.task.weighs {
            let (prompt, tokens) = prompter.weighing(item)?;
            options.push(known.options(tokens, item)?);
            prompts.push(prompt);
        } else {
            prompts.push(prompter.prompt(item)?);
        }
        Ok(())
    };
    for item in items {
        let among = demonstrations.iter().any(|demonstration| demonstration.id == item.id);
        let (true, Some(substitute)) = (among, substitute) else {
            add(&common, item)?;
            continue;
        };
        let others = demonstrations.iter().filter(|demonstration| demonstration.id != item.id);
        let others: Vec<Example> = others.chain([substitute]).cloned().collect();
        add(&prompter(&others), item)?;
    }
    Ok((prompts, options))
}

/// The first items of the test set.
fn limited(corpus: &Corpus, limit: Limit) -> Result<Vec<Example>> {
    let n = match limit {
        Limit::All => corpus.test.len(),
        Limit::First(n) => n,
        Limit::AtMost(n) => n.min(corpus.test.len()),
    };
    match corpus.test.get(..n) {
        Some(items) if n > 0 => Ok(items.to_vec()),
        Some(_) => Err(input(format!("the corpus `{}` has no test items", corpus.name))),
        None => Err(input(format!(
            "--limit {n}: the corpus `{}` has only {} test items; write --limit all",
            corpus.name,
            corpus.test.len()
        ))),
    }
}

/// The names of source and target, as the prompts say them; empty where the data has no languages.
pub(super) fn languages_of(run: &Run) -> (&str, &str) {
    run.direction.as_ref().map_or(("", ""), |direction| (name(&direction.source), name(&direction.target)))
}

/// A language's name, or the code itself where a corpus has one of its own.
pub(super) fn name(code: &str) -> &str {
    languages::name(code).unwrap_or(code)
}
