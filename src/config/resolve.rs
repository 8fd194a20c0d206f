//! Settings as typed -> the experiment as meant.

use std::path::PathBuf;

use anyhow::Result;

use super::named::{bytes, policy};
use super::purpose::PROGRAMS;
use super::settings::{Layered, Origins, Setting, Settings};
use super::{
    AdapterChoice, ChosenTask, Describe, Experiment, Layers, ModelChoice, Run, Running, Sampling, find_task,
};
use crate::base::error::input;
use crate::data::CorpusKind;
use crate::intervene::{Condition, Intervention, Masks, Series};
use crate::prompt::Profile;
use crate::tasks::TaskKind;

/// Settings as typed -> settings as meant.
pub(super) struct Resolver {
    pub(super) settings: Settings,
    pub(super) origins: Origins,
    /// Adapters are to be trained.
    pub(super) training: bool,
    /// Brings descriptions of models of the hub here.
    pub(super) describe: Describe,
}

/// Threads, generations of an item: more would not begin to run.
const MOST_THREADS: usize = 4096;
const MOST_SAMPLES: usize = 100_000;

/// Settings of what is generated.
const GENERATED: [&str; 6] = ["max_new_tokens", "no_stop", "samples", "temperature", "top_p", "drop_context"];

/// Temperatures and probabilities that differ from 0 in a folder's name.
const LEAST: f64 = 1e-6;

/// Parse every word, build the grid, refuse what cannot be.
pub fn experiment(layered: Layered, training: bool, describe: Describe) -> Result<Experiment> {
    Resolver { settings: layered.settings, origins: layered.origins, training, describe }.experiment()
}

impl Resolver {
    fn experiment(self) -> Result<Experiment> {
        let task = self.task()?;
        let device = self.device()?;
        let dtype = self.dtype(device)?;
        let batch = self.count(self.settings.batch())?;
        let threads = self.count_or_all(self.settings.threads())?;
        if let Some(threads) = threads.filter(|threads| *threads > MOST_THREADS) {
            return Err(input(format!(
                "{}: {threads} is more than {MOST_THREADS}; write all for as many as there are cores",
                self.origins.of("threads")
            )));
        }
        let results = PathBuf::from(self.one(self.settings.results())?);
        let memory = self.memory()?;
        let running = self.running()?;
        let locks = self.yes_or_no(self.settings.locks())?;
        let runs = self.runs(&task)?;
        Ok(Experiment {
            runs,
            threads,
            batch,
            memory,
            device,
            dtype,
            running,
            results,
            locks,
            typed: self.settings,
        })
    }

    fn task(&self) -> Result<ChosenTask> {
        find_task(self.one(self.settings.task())?, &self.origins.of("task"))
    }

    /// Impossible combinations.
    pub(super) fn check(&self, run: &Run) -> Result<()> {
        if run.profile == Profile::Sia2024 && run.nprompts != 5 {
            return Err(input(format!(
                "{}: profile sia2024 always uses 5 demonstrations, as the study's code does; write --nprompts 5, or --profile \
                 exact",
                self.origins.of("nprompts")
            )));
        }
        if run.profile == Profile::Sia2024 && run.chat.is_some() {
            return Err(input(format!(
                "{}: profile sia2024 has no chat template, as the study's code has none; write --chat-template false, or \
                 --profile exact",
                self.origins.of("chat_template")
            )));
        }
        if run.profile == Profile::Sia2024 && !run.vary.is_none() {
            return Err(input(format!(
                "{}: profile sia2024 varies no prompt, as the study's code does not; write --profile exact",
                self.origins.of("vary")
            )));
        }
        if let Some((name, _)) = run.masks.iter().next() {
            let refuse = |field: &str, what: &str| Err(input(format!("{}: {what}", self.origins.of(field))));
            if run.profile == Profile::Sia2024 {
                return refuse(
                    "profile",
                    &format!(
                        "profile sia2024 has the study's masks alone, and `{name}` is none of them; write --profile exact"
                    ),
                );
            }
            if run.drop_context {
                return refuse(
                    "drop_context",
                    &format!(
                        "a mask of rules hides some columns from some rows, so `{name}` cannot drop them; leave it out"
                    ),
                );
            }
        }
        if self.training {
            self.check_training(run)?;
        }
        if !run.task.fits(&run.data.kind) {
            let fitting = TaskKind::of_corpus(&run.data.kind);
            return Err(input(format!(
                "{}: {} holds {}, but the task is {}; write --task {} or name another corpus with --data",
                self.origins.of("task"),
                run.data.name,
                fitting.asks_for,
                run.task,
                fitting,
            )));
        }
        if run.nprompts > 0 && !run.data.has_demonstrations() {
            return Err(input(format!(
                "{}: the prompt takes {} demonstrations, but the corpus `{}` has none; write --nprompts 0, or give \
                 --demonstrations FILE",
                self.origins.of("nprompts"),
                run.nprompts,
                run.data.name
            )));
        }
        if let (Some(column), false) =
            (run.format.columns().first(), matches!(run.data.kind, CorpusKind::Table(_)))
        {
            return Err(input(format!(
                "{}: the format {} shows the column `{column}` of each item, but `{}` has source and target alone; use a table, or \
                 write the text under `spans` in the format",
                self.origins.of("format"),
                run.format.name,
                run.data.name
            )));
        }
        self.check_direction(run)?;
        self.check_task(run)
    }

    /// Languages must be known where something goes by them.
    fn check_direction(&self, run: &Run) -> Result<()> {
        match &run.direction {
            Some(_) => Ok(()),
            None if run.data.needs_direction() => Err(input(run.data.wants_direction())),
            None if run.format.names_languages() => Err(input(format!(
                "--direction is missing: the format {} writes the names of the languages, and the columns of `{}` do \
                 not name them; write --direction en-it, or name the columns by their languages (en and it)",
                run.format.name, run.data.name
            ))),
            None => Ok(()),
        }
    }

    /// Flags that have no effect on this task are refused. An experiment file may hold settings for several.
    fn check_task(&self, run: &Run) -> Result<()> {
        let unused = PROGRAMS.iter().find(|field| !run.task.runs_programs && self.origins.is_flag(field));
        if let Some(field) = unused {
            return Err(input(format!(
                "{}: has an effect on programs only; leave it out, or write --task code",
                self.origins.of(field)
            )));
        }
        let unused = GENERATED.iter().find(|field| run.task.weighs && self.origins.is_asked_for(field));
        if let Some(field) = unused {
            return Err(input(format!(
                "{}: has an effect on what is generated, but the task {} weighs options; leave it out",
                self.origins.of(field),
                run.asked.name
            )));
        }
        if !run.task.has_corpus && self.settings.test.is_none() && self.origins.is_default("data") {
            return Err(input(format!(
                "{}: {} is asked of your own items; name them with --test FILE or --data NAME",
                self.origins.of("task"),
                run.asked.name
            )));
        }
        Ok(())
    }

    /// Masks times layers; every condition that hides nothing is the one baseline, which comes first. Beside them, what the masks
    /// hide that are written as rules.
    pub(super) fn conditions(&self, model: &ModelChoice) -> Result<(Vec<Condition>, Masks)> {
        let ablated = match &self.settings.ablate_attention {
            None => Vec::new(),
            _ => self.layers(self.settings.ablate_attention(), model)?,
        };
        let mut rules = Masks::default();
        let masks = self.masks(!ablated.is_empty())?;
        for (name, of_mask) in masks.iter().filter_map(|(_, rules)| rules.as_ref()) {
            rules.add(*name, of_mask.clone());
        }
        let layers = self.layers(self.settings.from_layer(), model)?;
        let masked = masks.iter().flat_map(|(series, _)| layers.iter().map(move |&layer| (*series, layer)));
        let ablated = ablated.into_iter().map(|layer| (Series::Of(Intervention::Ablation), layer));
        // Nothing is above the last layer, so nothing is done there.
        let condition = |(series, layer): (Series, usize)| match layer < model.layers {
            true => series.at(layer),
            false => Condition::Baseline,
        };
        let mut conditions: Vec<Condition> = masked.chain(ablated).map(condition).collect();
        let mut seen = std::collections::HashSet::new();
        conditions.retain(|condition| seen.insert(*condition));
        conditions.sort_by_key(|condition| !condition.is_baseline());
        Ok((conditions, rules))
    }

    /// The adapter that is at work everywhere, if there is one.
    pub(super) fn adapter(&self) -> Result<Option<AdapterChoice>> {
        let Some(_) = &self.settings.adapter else { return Ok(None) };
        let path = PathBuf::from(self.one(self.settings.adapter())?);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        match name.filter(|_| path.is_dir()) {
            Some(name) => Ok(Some(AdapterChoice { path, name })),
            None => Err(input(format!(
                "{}: {} is not a folder; an adapter is a folder with adapter_config.json and adapter_model.safetensors",
                self.origins.of("adapter"),
                path.display()
            ))),
        }
    }

    /// Layers of a model, the one past the last among them.
    pub(super) fn layers(&self, asked: Setting, model: &ModelChoice) -> Result<Vec<usize>> {
        let origin = self.origins.of(asked.name);
        Layers::parse(self.list(asked)?, &origin)?.resolve(model.layers, &model.name, &origin)
    }

    /// How many generations of an item, and how they are drawn.
    pub(super) fn sampling(&self) -> Result<Sampling> {
        let samples = self.count(self.settings.samples())?;
        let temperature = self.number(self.settings.temperature())?;
        let top_p = self.number(self.settings.top_p())?;
        let refuse = |field: &str, what: &str| Err(input(format!("{}: {what}", self.origins.of(field))));
        match () {
            () if !(0. ..=100.).contains(&temperature) => refuse("temperature", "must be from 0 to 100"),
            () if temperature > 0. && temperature < LEAST => {
                refuse("temperature", &format!("must be 0, or at least {LEAST}"))
            }
            () if !(top_p > 0. && top_p <= 1.) => refuse("top_p", "must be above 0 and at most 1"),
            () if top_p < LEAST => refuse("top_p", &format!("must be at least {LEAST}")),
            () if samples > MOST_SAMPLES => {
                refuse("samples", &format!("{samples} is more than {MOST_SAMPLES}"))
            }
            () if samples > 1 && temperature == 0. => refuse(
                "samples",
                "at temperature 0 all samples of an item are the same; write --temperature 0.8, or --samples 1",
            ),
            () if top_p < 1. && temperature == 0. => refuse(
                "top_p",
                "has no effect at temperature 0, which takes the likeliest token; write --top-p 1",
            ),
            () => Ok(Sampling { samples, temperature, top_p }),
        }
    }

    /// How programs are run.
    fn running(&self) -> Result<Running> {
        let sandbox = policy(self.one(self.settings.sandbox())?, &self.origins.of("sandbox"))?;
        let time_limit = match self.one(self.settings.time_limit())? {
            "auto" => None,
            _ => Some(self.count(self.settings.time_limit())? as u64),
        };
        Ok(Running { sandbox, python: self.one(self.settings.python())?.into(), time_limit })
    }

    /// Bytes, or `None` for what the machine has.
    fn memory(&self) -> Result<Option<u64>> {
        let word = self.one(self.settings.memory())?;
        if word == "auto" {
            return Ok(None);
        }
        let bytes = bytes(word).filter(|&bytes| bytes > 0);
        bytes.map(Some).ok_or_else(|| {
            let origin = self.origins.of("memory");
            input(format!(
                "{origin}: `{word}` is not a size; write it as 4GiB, 1500MiB or 4GB, or write auto"
            ))
        })
    }
}
