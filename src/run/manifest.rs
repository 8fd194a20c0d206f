//! What a run writes of itself: its settings, and the manifest.

use std::ops::Range;

use serde_json::{Value, json};

use super::inputs::{RunInputs, languages_of, name};
use super::model::OpenModel;
use crate::config::{self, Compute, Experiment, Run, Sampling};
use crate::data::{Direction, languages};
use crate::intervene::{Change, Columns, Condition, Masks};
use crate::prompt::{Prompt, Tokenizer};
use crate::results::{Manifest, ManifestPrompt, Schema, Settings, SpecialTokens, TrainedOn};
use crate::tasks::Asked;

impl RunInputs {
    /// What the results depend on.
    pub fn settings(&self, model_sha256: &str, experiment: &Experiment) -> Settings {
        let Run { model, data, direction, format, nprompts, seed, profile, max_new_tokens, no_stop, .. } =
            &self.run;
        Settings {
            model: model.name.clone(),
            model_sha256: model_sha256.into(),
            task: self.run.task.to_string(),
            asked: (self.run.asked != Asked::plain(self.run.task.name)).then(|| self.run.asked.clone()),
            data: data.name.clone(),
            data_sha256: self.data_sha256.clone(),
            direction: direction.as_ref().map_or(String::new(), Direction::to_string),
            format: format.name.clone(),
            format_strings: format.clone(),
            languages: self.languages(),
            nprompts: *nprompts,
            seed: *seed,
            vary: Some(self.run.vary.clone()).filter(|vary| !vary.is_none()),
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
            sampling: Some(self.run.sampling).filter(|sampling| sampling.draws()),
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

    /// What the run was, for the reader; what a `known` one that is there already says of conditions is kept.
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
        let (mut hidden, mut asked, mut masks) =
            known.map(|known| (known.hidden, known.asked, known.masks)).unwrap_or_default();
        for (name, rules) in self.run.masks.iter() {
            masks.add(name, rules.clone());
        }
        for &condition in self.run.conditions.iter().chain(&self.run.others) {
            hidden.insert(condition.series().to_string(), hidden_json(condition, first, &masks));
            asked.add(condition, self.run.model.layers);
        }
        Manifest {
            schema: Schema::NOW,
            settings_sha256: settings.hash(),
            device: settings.device.clone().unwrap_or_else(|| "cpu".into()),
            settings,
            demonstrations: self.demonstrations.clone(),
            substitute: self.substitute.clone(),
            prompt: ManifestPrompt {
                id: first.item.clone(),
                text: first.text.clone(),
                tokens: first.tokens.clone(),
                token_texts: first.tokens.iter().map(|token| model.tokenizer.token_text(*token)).collect(),
                segments: first.segments.clone(),
            },
            hidden,
            masks,
            asked,
            special_tokens: self.special_tokens(first, &model.tokenizer),
            stop_strings: self.rule.strings.iter().map(|(string, _)| string.clone()).collect(),
            unread_keys,
            decoding: match self.run.task.weighs {
                true => "options weighed by their log-probability; nothing is generated".into(),
                false => decoding(self.run.sampling),
            },
            not_applied: model.not_applied.clone(),
            left_out: self.left_out(),
            version: env!("CARGO_PKG_VERSION").into(),
            git: option_env!("ICL_MASK_GIT").map(String::from),
            threads: rayon::current_num_threads(),
            command: command(),
            typed: typed.clone(),
            folder: self.run.folder(),
        }
    }
}

impl RunInputs {
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

/// The columns of a prompt that a condition hides, ranges as pairs; `"own"` where every column but the row's own is hidden,
/// `"attention"` where a layer has none, `"adapter"` where it has one.
/// Of a mask of rules it is all that one of them hides from some row.
pub fn hidden_json(condition: Condition, prompt: &Prompt, masks: &Masks) -> Value {
    let Ok(plan) = condition.plan(prompt, masks) else { return Value::Null };
    let mut hidden = Columns::default();
    for edit in plan.edits() {
        match &edit.change {
            Change::Hide(columns) => hidden = hidden.or(columns),
            Change::OnlySelf => return "own".into(),
            Change::NoAttention => return "attention".into(),
            Change::Adapt(_) => return "adapter".into(),
        }
    }
    ranges_json(&hidden)
}

/// Ranges as pairs; one without an end has `null` there.
pub fn ranges_json(columns: &Columns) -> Value {
    let pair = |range: &Range<usize>| json!([range.start, Some(range.end).filter(|end| *end < usize::MAX)]);
    columns.ranges().iter().map(pair).collect()
}

/// What each rule of a condition comes to for a prompt: layers, rows, and columns that are hidden from these.
pub fn rules_json(condition: Condition, prompt: &Prompt, masks: &Masks) -> Value {
    let Ok(plan) = condition.plan(prompt, masks) else { return Value::Null };
    let rules = plan.edits().iter().filter_map(|edit| match &edit.change {
        Change::Hide(columns) => Some(json!({
            "layers": ranges_json(&Columns::new([edit.layers.clone()]))[0],
            "rows": ranges_json(&edit.rows),
            "hidden": ranges_json(columns),
        })),
        _ => None,
    });
    rules.collect()
}

/// The command line, wherever the program lies.
pub fn command() -> Vec<String> {
    std::iter::once("icl-mask".into()).chain(std::env::args().skip(1)).collect()
}

/// Whether version 0.1.0 had this name for the code.
fn is_of_0_1_0(code: &str) -> bool {
    code == "py" || languages::is_of_flores(code)
}
