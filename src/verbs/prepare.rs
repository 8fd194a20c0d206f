//! A run made ready: corpus read, demonstrations drawn, prompts tokenized, everything checked that can be without
//! weights.

use anyhow::Result;

use super::adapted::Adapted;
use super::model::OpenModel;
use super::pairs::pairs;
use crate::config::{self, Cell, Compute, Experiment, Limit, Run, Sampling, Task};
use crate::data::{Corpus, Direction, Example, docstring, languages};
use crate::engine::{Request, Sample, Stop, StopRule};
use crate::error::input;
use crate::hash::Hash;
use crate::lora::Text;
use crate::mask::{Hidden, MaskPlan};
use crate::model::Family;
use crate::prompt::{ChatTemplate, Format, Profile, Prompt, Prompter, Tokenizer, demonstrations};
use crate::results::{
    Cleaner, Drawn, Item, Manifest, ManifestPrompt, Scoring, Settings, SpecialTokens, TrainedOn, pair,
};

/// A run made ready.
pub struct Prepared {
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
    /// When a generation ends.
    pub rule: StopRule,
    /// How outputs are scored.
    pub scoring: Scoring,
    /// sha256 of the corpus.
    data_sha256: String,
    /// sha256 of the chat template, if there is one.
    chat_sha256: Option<String>,
    /// The adapter that is at work, if there is one.
    pub adapted: Option<Adapted>,
    /// What adapters are trained on, if they are: pairs to train on, then those of the dev loss.
    pub texts: Vec<Text>,
    /// sha256 over them.
    pairs_sha256: Option<String>,
}

impl Prepared {
    /// Read, draw, tokenize, check.
    pub fn new(run: Run, model: &OpenModel) -> Result<Self> {
        let scoring = Scoring::new(run.task, run.profile, run.direction.as_ref())?;
        super::nameless::tell(&run);
        let (source, target) = languages_of(&run);
        let format = run.format.filled(source, target);
        let mut corpus = Corpus::load_any(&run.data, run.direction.as_ref())?;
        if run.profile == Profile::Sia2024 {
            corpus.test.iter_mut().chain(&mut corpus.demonstrations).try_for_each(ask_by_docstring)?;
        }
        let corpus_items = corpus.test.len();
        let items = limited(&corpus, run.limit)?;
        // One more where a prompt may have to do without one of them.
        let spare = usize::from(corpus.leave_one_out && run.nprompts > 0);
        let mut demonstrations = demonstrations(&corpus.demonstrations, run.nprompts + spare, run.seed)?;
        let substitute = if spare > 0 { demonstrations.pop() } else { None };
        let chat = run.chat.as_ref().map(|choice| model.chat_template(choice)).transpose()?;
        let prompts = prompts(&run, model, chat.as_ref(), &items, &demonstrations, substitute.as_ref())?;
        for prompt in &prompts {
            model.check_embedded(|| format!("item {}: its prompt holds", prompt.item), &prompt.tokens)?;
        }
        if !run.no_stop {
            model.check_end_of_text()?;
        }
        let context = model.arch.context;
        prompts.iter().try_for_each(|prompt| prompt.check_fits(run.max_new_tokens, context))?;
        let (texts, pairs_sha256) = match &run.lora {
            Some(training) => pairs(&run, training, &corpus, &format, model)?,
            None => (Vec::new(), None),
        };
        let adapted = run.adapter.as_ref().map(|adapter| Adapted::open(adapter, &model.arch)).transpose()?;
        let rule = stop_rule(&run, &format, model);
        let chat_sha256 = chat.map(|chat| chat.sha256().to_string());
        let data_sha256 = corpus.hash;
        Ok(Self {
            demonstrations,
            substitute,
            items,
            corpus_items,
            prompts,
            rule,
            scoring,
            data_sha256,
            chat_sha256,
            adapted,
            texts,
            pairs_sha256,
            format,
            run,
        })
    }

    /// The sentence about test items that the default limit leaves out, if there are some.
    pub fn left_out(&self) -> Option<String> {
        let (used, all) = (self.items.len(), self.corpus_items);
        let default = matches!(self.run.limit, Limit::AtMost(_)) && used < all;
        default.then(|| {
            format!("{}: uses the first {used} of {all} test items; --limit all uses all", self.run.data.name)
        })
    }

    /// What a cell hides of a prompt.
    pub fn plan(&self, cell: Cell, prompt: &Prompt) -> MaskPlan {
        MaskPlan::new(cell.from_layer, prompt.hidden(cell.mask))
    }

    /// The request for one generation of an item: `sample` counts from 0.
    pub fn request(&self, cell: Cell, item: usize, sample: usize) -> Request<'_> {
        let prompt = &self.prompts[item];
        let Sampling { temperature, top_p, .. } = self.run.sampling;
        let stream = || {
            let mut hash = Hash::default();
            hash.bytes(format!("{} {sample} {}", self.run.seed, self.items[item].id));
            u64::from_str_radix(&hash.hex()[..16], 16).unwrap_or_default()
        };
        let draws = self.run.sampling.draws();
        let sample = draws.then(|| Sample { temperature, top_p, stream: stream() });
        Request { prompt, plan: self.plan(cell, prompt), sample }
    }

    /// All generations of some cells, item by item, so that those of a prompt stand together.
    pub fn requests(&self, cells: &[Cell]) -> Vec<Request<'_>> {
        let mut all = Vec::with_capacity(self.prompts.len() * cells.len() * self.run.sampling.samples);
        for item in 0..self.prompts.len() {
            for &cell in cells {
                all.extend((0..self.run.sampling.samples).map(|sample| self.request(cell, item, sample)));
            }
        }
        all
    }

    /// How raw output becomes what is scored.
    pub fn cleaner(&self) -> Cleaner<'_> {
        let stops = self.rule.strings.iter().map(|(string, _)| string.as_str()).collect();
        Cleaner { task: self.run.task, profile: self.run.profile, format: &self.format, stops }
    }

    /// What the results depend on.
    pub fn settings(&self, model_sha256: &str, experiment: &Experiment) -> Settings {
        let Run { model, data, direction, format, nprompts, seed, profile, max_new_tokens, no_stop, .. } =
            &self.run;
        let Sampling { samples, temperature, top_p } = self.run.sampling;
        Settings {
            model: model.name.clone(),
            model_sha256: model_sha256.into(),
            task: self.run.task.to_string(),
            data: data.name.clone(),
            data_sha256: self.data_sha256.clone(),
            direction: direction.as_ref().map_or(String::new(), Direction::to_string),
            format: format.name.clone(),
            format_strings: format.clone(),
            languages: self.languages(),
            nprompts: *nprompts,
            seed: *seed,
            profile: *profile,
            chat_template: self.chat_sha256.clone(),
            n: self.items.len(),
            max_new_tokens: *max_new_tokens,
            no_stop: *no_stop,
            drop_context: self.run.drop_context,
            adapter: self.adapted.as_ref().map(|adapted| adapted.sha256.clone()),
            lora: self.run.lora.clone().map(|training| TrainedOn {
                pairs_sha256: self.pairs_sha256.clone().unwrap_or_default(),
                training,
            }),
            sampling: self.run.sampling.draws().then_some(Drawn { samples, temperature, top_p }),
            dtype: experiment.dtype.to_string(),
            device: (experiment.device != Compute::Cpu).then(|| "cuda".into()),
        }
    }

    /// What [`Settings::languages`] notes.
    fn languages(&self) -> Option<[String; 2]> {
        let Run { direction, format, .. } = &self.run;
        let codes = direction.iter().flat_map(|direction| [&direction.source, &direction.target]);
        let renamed = |code: &String| name(code) != code.as_str() && !is_of_0_1_0(code);
        let other_names = format.names_languages() && codes.into_iter().any(renamed);
        let (source, target) = languages_of(&self.run);
        (other_names || format.is_read_anew()).then(|| [source.to_string(), target.to_string()])
    }

    /// What the run was, for the reader; of a `known` one that is there already treatments and cells are kept.
    pub fn manifest(
        &self,
        settings: Settings,
        model: &OpenModel,
        typed: &config::Settings,
        known: Option<Manifest>,
    ) -> Manifest {
        let first = &self.prompts[0];
        let mut unread_keys = model.unread.clone();
        self.adapted.iter().for_each(|adapted| unread_keys.join(adapted.unread.clone()));
        let (mut hidden, mut cells) = known.map(|known| (known.hidden, known.cells)).unwrap_or_default();
        for cell in self.run.cells.iter().chain(&self.run.others) {
            hidden.insert(cell.mask.to_string(), hidden_json(&first.hidden(cell.mask)));
            cells.entry(cell.mask).or_default().insert(cell.from_layer);
        }
        Manifest {
            settings_sha256: settings.hash(),
            device: settings.device.clone().unwrap_or_else(|| "cpu".into()),
            settings,
            demonstrations: as_items(&self.demonstrations),
            substitute: self.substitute.as_ref().map(as_item),
            prompt: ManifestPrompt {
                id: first.item.clone(),
                text: first.text.clone(),
                tokens: first.tokens.clone(),
                token_texts: first.tokens.iter().map(|token| model.tokenizer.token_text(*token)).collect(),
                segments: first.segments.clone(),
            },
            hidden,
            cells,
            special_tokens: self.special_tokens(first, &model.tokenizer),
            stop_strings: self.rule.strings.iter().map(|(string, _)| string.clone()).collect(),
            unread_keys,
            decoding: decoding(self.run.sampling),
            not_applied: model.not_applied.clone(),
            left_out: self.left_out(),
            version: env!("CARGO_PKG_VERSION").into(),
            git: option_env!("ICL_MASK_GIT").map(String::from),
            threads: rayon::current_num_threads(),
            command: super::command(),
            typed: typed.clone(),
            folder: self.run.folder(),
        }
    }
}

impl Prepared {
    /// BOS and end of text as a prompt and its generation have them, with what says so.
    pub fn special_tokens(&self, prompt: &Prompt, tokenizer: &Tokenizer) -> SpecialTokens {
        let special = tokenizer.special();
        let bos = prompt.tokens.get(prompt.segments.bos.clone()).and_then(|bos| bos.first().copied());
        let bos_from = match (&self.chat_sha256, bos) {
            (None, _) => special.bos_from.clone(),
            (Some(_), Some(_)) => "written by the chat template".into(),
            (Some(_), None) => "none: the chat template writes none".into(),
        };
        let text = |id: u32| tokenizer.token_text(id);
        SpecialTokens {
            bos,
            eos: self.rule.eos.clone(),
            bos_text: bos.map(text),
            bos_from,
            eos_texts: special.eos.keys().copied().map(text).collect(),
            eos_from: special.eos.values().map(|places| places.join(", ")).collect(),
        }
    }
}

/// How tokens are chosen, in words.
fn decoding(sampling: Sampling) -> String {
    let how = match sampling.draws() {
        false => "greedy: the token of the greatest logit, the lowest id among equals".to_string(),
        true => format!("drawn at temperature {} from the top-p {}", sampling.temperature, sampling.top_p),
    };
    format!("{how}; no repetition or other penalties, whatever the model's files ask for")
}

/// Ranges as pairs; `"own"` where every column but the row's own is hidden, `"attention"` where a layer has none,
/// `"adapter"` where it has one.
pub fn hidden_json(hidden: &Hidden) -> serde_json::Value {
    match hidden {
        Hidden::Columns(columns) => columns.ranges().iter().map(pair).map(Vec::from).collect(),
        Hidden::AllButOwn => "own".into(),
        Hidden::Attention => "attention".into(),
        Hidden::Adapted => "adapter".into(),
    }
}

/// Examples as the results hold them.
pub fn as_items(examples: &[Example]) -> Vec<Item> {
    examples.iter().map(as_item).collect()
}

fn as_item(example: &Example) -> Item {
    let Example { id, source, target, problem } = example.clone();
    Item { id, source, target, problem }
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
) -> Result<Vec<Prompt>> {
    let languages = languages_of(run);
    let llama = model.arch.family == Family::Llama;
    let prompter = |demonstrations: &[Example]| {
        Prompter::new(&run.format, languages, demonstrations, &model.tokenizer, run.profile, llama)
            .with_chat(chat)
    };
    let common = prompter(demonstrations);
    let prompt = |item: &Example| {
        let among = demonstrations.iter().any(|demonstration| demonstration.id == item.id);
        let (true, Some(substitute)) = (among, substitute) else { return common.prompt(item) };
        let others = demonstrations.iter().filter(|demonstration| demonstration.id != item.id);
        let others: Vec<Example> = others.chain([substitute]).cloned().collect();
        prompter(&others).prompt(item)
    };
    items.iter().map(prompt).collect()
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

/// A language's name, or the code itself where a corpus has one of its own.
/// The names of source and target, as the prompts say them; empty where the data has no languages.
fn languages_of(run: &Run) -> (&str, &str) {
    run.direction.as_ref().map_or(("", ""), |direction| (name(&direction.source), name(&direction.target)))
}

fn name(code: &str) -> &str {
    languages::name(code).unwrap_or(code)
}

/// Whether version 0.1.0 had this name for the code.
fn is_of_0_1_0(code: &str) -> bool {
    code == "py" || languages::is_of_flores(code)
}

fn stop_rule(run: &Run, format: &Format, model: &OpenModel) -> StopRule {
    let strings = match run.profile {
        // The study decodes 50 tokens whatever they are.
        Profile::Sia2024 => Vec::new(),
        Profile::Exact if format.stops.is_some() => {
            let stop = |string: &String| {
                let question = !format.question.trim().is_empty() && string.contains(format.question.trim());
                let separator = *string == format.separator;
                let stop = if question {
                    Stop::Question
                } else if separator {
                    Stop::Separator
                } else {
                    Stop::Text
                };
                (string.clone(), stop)
            };
            format.stops.iter().flatten().filter(|string| !string.is_empty()).map(stop).collect()
        }
        // An answer has lines of its own: only the next question ends it.
        Profile::Exact if run.task == Task::Code => {
            let next = format!("{}{}", format.separator, format.question.trim());
            if next.trim().is_empty() { Vec::new() } else { vec![(next, Stop::Question)] }
        }
        Profile::Exact => {
            let stops = [(&format.separator, Stop::Separator), (&format.question, Stop::Question)];
            let stops = stops.map(|(string, stop)| (stop_string(string), stop));
            stops.into_iter().filter(|(string, _)| !string.is_empty()).collect()
        }
    };
    StopRule {
        eos: model.tokenizer.eos(),
        strings,
        max_new_tokens: run.max_new_tokens,
        full_length: run.no_stop,
    }
}

/// A separator is white space and stands as it is; a question is recognised without the spaces around it.
fn stop_string(string: &str) -> String {
    let trimmed = string.trim();
    if trimmed.is_empty() { string.into() } else { trimmed.into() }
}
