//! A run made ready: corpus read, demonstrations drawn, prompts tokenized, everything checked that can be without
//! weights.

use std::collections::BTreeMap;

use anyhow::Result;

use super::cleaner::Cleaner;
use super::model::OpenModel;
use crate::config::{Cell, Run, Task};
use crate::data::{Corpus, Direction, Example, languages};
use crate::engine::{Request, Stop, StopRule};
use crate::error::input;
use crate::mask::{Hidden, MaskPlan};
use crate::model::{Family, Precision};
use crate::prompt::{Profile, Prompt, Prompter, Tokenizer, demonstrations};
use crate::results::{Item, Manifest, ManifestPrompt, Settings, SpecialTokens, pair};
use crate::score::{TextScorer, Tokenize};

/// A run made ready.
pub struct Prepared {
    /// As resolved.
    pub run: Run,
    /// Demonstrations, in the order of the prompt.
    pub demonstrations: Vec<Example>,
    /// Test items.
    pub items: Vec<Example>,
    /// Their prompts, in the same order.
    pub prompts: Vec<Prompt>,
    /// When a generation ends.
    pub rule: StopRule,
    /// How outputs are scored.
    pub scorer: TextScorer,
    /// sha256 of the corpus.
    data_sha256: String,
    /// sha256 of the chat template, if there is one.
    chat_sha256: Option<String>,
}

impl Prepared {
    /// Read, draw, tokenize, check.
    pub fn new(run: Run, model: &OpenModel) -> Result<Self> {
        let scorer = text_scorer(&run.direction)?;
        let corpus = Corpus::load(&run.data, &run.direction)?;
        let items = limited(&corpus, run.limit)?;
        let demonstrations = demonstrations(&corpus.demonstrations, run.nprompts, run.seed)?;
        let (source, target) = (name(&run.direction.source), name(&run.direction.target));
        let chat = run.chat.as_ref().map(|choice| model.chat_template(choice)).transpose()?;
        let llama = model.arch.family == Family::Llama;
        let prompter = Prompter::new(
            &run.format,
            (source, target),
            &demonstrations,
            &model.tokenizer,
            run.profile,
            llama,
        )
        .with_chat(chat.as_ref());
        let prompts = items.iter().map(|item| prompter.prompt(item)).collect::<Result<Vec<_>>>()?;
        let context = model.arch.context;
        prompts.iter().try_for_each(|prompt| prompt.check_fits(run.max_new_tokens, context))?;
        let rule = stop_rule(&run, model);
        let chat_sha256 = chat.map(|chat| chat.sha256().to_string());
        Ok(Self { demonstrations, items, prompts, rule, scorer, data_sha256: corpus.hash, chat_sha256, run })
    }

    /// What a cell hides of a prompt.
    pub fn plan(&self, cell: Cell, prompt: &Prompt) -> MaskPlan {
        MaskPlan::new(cell.from_layer, prompt.hidden(cell.mask))
    }

    /// All generations of some cells, item by item, so that those of a prompt stand together.
    pub fn requests(&self, cells: &[Cell]) -> Vec<Request<'_>> {
        let request = |(prompt, &cell)| Request { prompt, plan: self.plan(cell, prompt) };
        let each = self.prompts.iter().flat_map(|prompt| cells.iter().map(move |cell| (prompt, cell)));
        each.map(request).collect()
    }

    /// How raw output becomes what is scored.
    pub fn cleaner(&self) -> Cleaner<'_> {
        let stops = self.rule.strings.iter().map(|(string, _)| string.as_str()).collect();
        Cleaner { profile: self.run.profile, format: &self.run.format, stops }
    }

    /// What the results depend on.
    pub fn settings(&self, model_sha256: &str, dtype: Precision) -> Settings {
        let Run { model, data, direction, format, nprompts, seed, profile, max_new_tokens, no_stop, .. } =
            &self.run;
        Settings {
            model: model.name.clone(),
            model_sha256: model_sha256.into(),
            task: Task::Mt.to_string(),
            data: data.name.clone(),
            data_sha256: self.data_sha256.clone(),
            direction: direction.to_string(),
            format: format.name.clone(),
            format_strings: format.clone(),
            nprompts: *nprompts,
            seed: *seed,
            profile: *profile,
            chat_template: self.chat_sha256.clone(),
            n: self.items.len(),
            max_new_tokens: *max_new_tokens,
            no_stop: *no_stop,
            dtype: dtype.to_string(),
        }
    }

    /// What the run was, for the reader; `known` are hidden columns of treatments run before.
    pub fn manifest(
        &self,
        settings: Settings,
        model: &OpenModel,
        known: BTreeMap<String, serde_json::Value>,
    ) -> Manifest {
        let first = &self.prompts[0];
        let mut hidden = known;
        for cell in &self.run.cells {
            hidden.insert(cell.mask.to_string(), hidden_json(&first.hidden(cell.mask)));
        }
        Manifest {
            settings_sha256: settings.hash(),
            settings,
            demonstrations: as_items(&self.demonstrations),
            prompt: ManifestPrompt {
                id: first.item.clone(),
                text: first.text.clone(),
                tokens: first.tokens.clone(),
                segments: first.segments.clone(),
            },
            hidden,
            special_tokens: self.special_tokens(first, &model.tokenizer),
            stop_strings: self.rule.strings.iter().map(|(string, _)| string.clone()).collect(),
            version: env!("CARGO_PKG_VERSION").into(),
            git: option_env!("ICL_MASK_GIT").map(String::from),
            device: "cpu".into(),
            threads: rayon::current_num_threads(),
            command: std::env::args().collect(),
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
        let text =
            |id: u32| String::from_utf8_lossy(&tokenizer.token_bytes(id).unwrap_or_default()).into_owned();
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

/// Ranges as pairs; `"own"` where every column but the row's own is hidden.
pub fn hidden_json(hidden: &Hidden) -> serde_json::Value {
    match hidden {
        Hidden::Columns(columns) => columns.ranges().iter().map(pair).map(Vec::from).collect(),
        Hidden::AllButOwn => "own".into(),
    }
}

/// Examples as the results hold them.
pub fn as_items(examples: &[Example]) -> Vec<Item> {
    let item = |Example { id, source, target }: &Example| Item {
        id: id.clone(),
        source: source.clone(),
        target: target.clone(),
    };
    examples.iter().map(item).collect()
}

/// The first items of the test set.
fn limited(corpus: &Corpus, limit: Option<usize>) -> Result<Vec<Example>> {
    let n = limit.unwrap_or(corpus.test.len());
    match corpus.test.get(..n) {
        Some(items) if n > 0 => Ok(items.to_vec()),
        Some(_) => Err(input(format!("{}: has no test items", corpus.name))),
        None => Err(input(format!(
            "--limit {n}: {} has only {} test items; write --limit all",
            corpus.name,
            corpus.test.len()
        ))),
    }
}

/// A language's name, or the code itself where a corpus has one of its own.
fn name(code: &str) -> &str {
    languages::find(code).map_or(code, |language| language.name)
}

/// Lower-cased BLEU with sacreBLEU's tokenizer for the target language, as the study scores; and chrF2.
///
/// # Errors
/// A language whose tokenizer is not here.
pub fn text_scorer(direction: &Direction) -> Result<TextScorer> {
    let tokenize = match direction.target.as_str() {
        "zh" => Tokenize::Zh,
        "ja" => {
            return Err(input(format!(
                "--direction {direction}: Japanese is scored with sacreBLEU's ja-mecab, which this version lacks"
            )));
        }
        _ => Tokenize::V13a,
    };
    Ok(TextScorer::new(tokenize, true))
}

fn stop_rule(run: &Run, model: &OpenModel) -> StopRule {
    let strings = match run.profile {
        // The study decodes 50 tokens whatever they are.
        Profile::Sia2024 => Vec::new(),
        Profile::Exact => {
            let stops = [(&run.format.separator, Stop::Separator), (&run.format.question, Stop::Question)];
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
