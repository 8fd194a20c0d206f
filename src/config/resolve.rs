//! Settings as typed -> the experiment as meant.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::named::{bytes, chat, find_format, find_mask, policy, profile, task};
use super::settings::{Layered, Origins, Settings};
use super::{
    AdapterChoice, Cell, ChatChoice, Experiment, Layers, ModelChoice, Run, Running, Sampling, Task, files,
};
use crate::data::{DataConfig, Direction, Kind, is_named_like_one};
use crate::error::input;
use crate::mask::Treatment;
use crate::prompt::Profile;

/// Settings as typed -> settings as meant.
pub(super) struct Resolver {
    pub(super) settings: Settings,
    pub(super) origins: Origins,
    /// Adapters are to be trained.
    pub(super) training: bool,
}

/// Runs of a grid, and cells of all of them, at most: more are a slip of the pen, and would fill the memory before anything is
/// computed.
const MOST: [usize; 2] = [50_000, 2_000_000];

/// Threads, generations of an item: more would not begin to run.
const MOST_THREADS: usize = 4096;
const MOST_SAMPLES: usize = 100_000;

/// Temperatures and probabilities that differ from 0 in a folder's name.
const LEAST: f64 = 1e-6;

/// Parse every word, build the grid, refuse what cannot be.
pub fn experiment(layered: Layered, training: bool) -> Result<Experiment> {
    Resolver { settings: layered.settings, origins: layered.origins, training }.experiment()
}

impl Resolver {
    fn experiment(self) -> Result<Experiment> {
        let task = self.task()?;
        let device = self.device()?;
        let dtype = self.dtype(device)?;
        let batch = self.count("batch", &self.settings.batch)?;
        let threads = self.count_or_all("threads", &self.settings.threads)?;
        if let Some(threads) = threads.filter(|threads| *threads > MOST_THREADS) {
            return Err(input(format!(
                "{}: {threads} is more than {MOST_THREADS}; write all for as many as there are cores",
                self.origins.of("threads")
            )));
        }
        let results = PathBuf::from(self.one("results", &self.settings.results)?);
        let memory = self.memory()?;
        let running = self.running()?;
        let locks = self.yes_or_no("locks", &self.settings.locks)?;
        let runs = self.runs(task)?;
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

    fn task(&self) -> Result<Task> {
        task(self.one("task", &self.settings.task)?, &self.origins.of("task"))
    }

    /// The product of all lists.
    fn runs(&self, task: Task) -> Result<Vec<Run>> {
        let models = self.each("model", &self.settings.model, ModelChoice::resolve)?;
        let directions = self.each("direction", &self.settings.direction, |word, origin| {
            word.parse::<Direction>().map_err(|e| input(format!("{origin}: {e}")))
        })?;
        let formats = self.each("format", &self.settings.format, find_format)?;
        let profiles = self.each("profile", &self.settings.profile, profile)?;
        let seeds = self.numbers("seed", &self.settings.seed)?;
        let nprompts = self.numbers("nprompts", &self.settings.nprompts)?;
        let limit = self.count_or_all("limit", &self.settings.limit)?;
        let new_tokens = match &self.settings.max_new_tokens {
            None => None,
            words => Some(self.count("max_new_tokens", words)?),
        };
        let drop_context = self.yes_or_no("drop_context", &self.settings.drop_context)?;
        // Times are those of the same number of tokens.
        let no_stop = self.yes_or_no("no_stop", &self.settings.no_stop)? || drop_context;
        let data = self.data(task)?;
        let sampling = self.sampling()?;
        let adapter = self.adapter()?;
        let trainings = if self.training { self.trainings()? } else { Vec::new() };
        let lists = [
            ("data", data.len()),
            ("direction", directions.len()),
            ("format", formats.len()),
            ("profile", profiles.len()),
            ("nprompts", nprompts.len()),
            ("seed", seeds.len()),
            ("chat_template", self.chats()?.len()),
            ("train_size", trainings.len().max(1)),
        ];
        let of_model = lists.iter().fold(1, |product: usize, (_, length)| product.saturating_mul(*length));
        let (mut runs, mut count) = (Vec::new(), [0usize; 2]);
        for model in &models {
            let cells = if self.training { self.adapted_cells(model)? } else { self.cells(model)? };
            let cells_of_model = of_model.saturating_mul(cells.len());
            count = [count[0].saturating_add(of_model), count[1].saturating_add(cells_of_model)];
            if count[0] > MOST[0] || count[1] > MOST[1] {
                let longest =
                    lists.iter().max_by_key(|(_, length)| length).map_or("seed", |(field, _)| field);
                return Err(input(format!(
                    "{}: with all lists, that makes more than {} runs or {} cells; write shorter lists, in several calls",
                    self.origins.of(longest),
                    MOST[0],
                    MOST[1]
                )));
            }
            for data in &data {
                for direction in &directions {
                    for format in &formats {
                        for &profile in &profiles {
                            for &k in &nprompts {
                                for &seed in &seeds {
                                    runs.push(Run {
                                        task,
                                        model: model.clone(),
                                        data: data.clone(),
                                        direction: direction.clone(),
                                        format: format.clone(),
                                        nprompts: k as usize,
                                        seed: seed as u32,
                                        profile,
                                        chat: None,
                                        limit,
                                        max_new_tokens: new_tokens.or(format.max_new_tokens).unwrap_or(50),
                                        no_stop,
                                        drop_context,
                                        sampling,
                                        adapter: adapter.clone(),
                                        lora: None,
                                        cells: cells.clone(),
                                        others: Vec::new(),
                                    });
                                }
                            }
                        }
                    }
                }
            }
        }
        let mut runs = self.with_chats(runs)?;
        if self.training {
            let with = |run: Run| {
                trainings.iter().map(move |training| Run { lora: Some(training.clone()), ..run.clone() })
            };
            runs = runs.into_iter().flat_map(with).collect();
        }
        runs.iter().try_for_each(|run| self.check(run))?;
        let mut folders = std::collections::HashSet::new();
        match runs.iter().find(|run| !folders.insert(run.folder())) {
            None => Ok(runs),
            Some(run) => Err(input(format!(
                "two runs would go to the folder {}, as what they are of has one name; call once for each, with a --results \
                 folder of its own",
                run.folder().display()
            ))),
        }
    }

    /// Each run with each of the chat templates asked for.
    fn with_chats(&self, runs: Vec<Run>) -> Result<Vec<Run>> {
        let chats = self.chats()?;
        let each = |run: Run| chats.iter().map(move |chat| Run { chat: chat.clone(), ..run.clone() });
        Ok(runs.into_iter().flat_map(each).collect())
    }

    /// With a chat template, without, or both; two templates would write into one folder.
    fn chats(&self) -> Result<Vec<Option<ChatChoice>>> {
        let words = &self.settings.chat_template;
        if words.is_none() {
            return Ok(vec![None]);
        }
        let chats = self.each("chat_template", words, chat)?;
        let mut chosen = chats.iter().flatten();
        let first = chosen.next();
        if chosen.any(|chat| Some(chat) != first) {
            return Err(input(format!(
                "{}: takes one template a call, as results of two would go to one folder; call once for each, with a \
                 --results folder of its own",
                self.origins.of("chat_template")
            )));
        }
        Ok(chats)
    }

    /// Impossible combinations.
    fn check(&self, run: &Run) -> Result<()> {
        if run.profile == Profile::Sia2024 && run.nprompts != 5 {
            return Err(input(format!(
                "{}: the study's code always uses 5 demonstrations; write --nprompts 5, or --profile exact",
                self.origins.of("nprompts")
            )));
        }
        if run.profile == Profile::Sia2024 && run.chat.is_some() {
            return Err(input(format!(
                "{}: the study's code knows no chat template; write --chat-template false, or --profile exact",
                self.origins.of("chat_template")
            )));
        }
        if self.training {
            self.check_training(run)?;
        }
        let programs = matches!(run.data.kind, Kind::Code(_));
        if programs != (run.task == Task::Code) {
            return Err(input(format!(
                "{}: {} holds {}, but the task is {}; write --task {} or name another corpus with --data",
                self.origins.of("task"),
                run.data.name,
                if programs { "programming problems" } else { "sentences" },
                run.task,
                if programs { "code" } else { "mt" },
            )));
        }
        let none = match &run.data.kind {
            Kind::Table(table) => table.demonstrations.is_none(),
            Kind::Code(code) => code.demonstrations.is_none(),
            Kind::Flores(_) => false,
        };
        if run.nprompts > 0 && none {
            return Err(input(format!(
                "{}: {} demonstrations are asked for, but {} has none; write --nprompts 0 or give --demonstrations FILE",
                self.origins.of("nprompts"),
                run.nprompts,
                run.data.name
            )));
        }
        Ok(())
    }

    /// Masks times layers; every cell that hides nothing is the one baseline.
    fn cells(&self, model: &ModelChoice) -> Result<Vec<Cell>> {
        let ablated = match &self.settings.ablate_attention {
            None => Vec::new(),
            words => self.layers("ablate_attention", words, model)?,
        };
        let masks = match !ablated.is_empty() && !self.origins.is_asked_for("mask") {
            true => vec![Treatment::None],
            false => self.each("mask", &self.settings.mask, find_mask)?,
        };
        let layers = self.layers("from_layer", &self.settings.from_layer, model)?;
        let baseline = Cell { mask: Treatment::None, from_layer: model.layers };
        let masked = masks.iter().flat_map(|&mask| layers.iter().map(move |&layer| (mask, layer)));
        let ablated = ablated.into_iter().map(|layer| (Treatment::Ablation, layer));
        let mut cells = Vec::new();
        for (mask, from_layer) in masked.chain(ablated) {
            let hides = mask != Treatment::None && from_layer < model.layers;
            cells.push(if hides { Cell { mask, from_layer } } else { baseline });
        }
        let mut seen = std::collections::HashSet::new();
        cells.retain(|cell| seen.insert(*cell));
        cells.sort_by_key(|cell| cell.mask != Treatment::None);
        Ok(cells)
    }

    /// The adapter that is at work everywhere, if there is one.
    fn adapter(&self) -> Result<Option<AdapterChoice>> {
        let Some(_) = &self.settings.adapter else { return Ok(None) };
        let path = PathBuf::from(self.one("adapter", &self.settings.adapter)?);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        match name.filter(|_| path.is_dir()) {
            Some(name) => Ok(Some(AdapterChoice { path, name })),
            None => Err(input(format!(
                "{}: {} is no folder; an adapter is a folder with adapter_config.json and adapter_model.safetensors",
                self.origins.of("adapter"),
                path.display()
            ))),
        }
    }

    /// Layers of a model, the one past the last among them.
    pub(super) fn layers(
        &self,
        field: &str,
        words: &Option<Vec<String>>,
        model: &ModelChoice,
    ) -> Result<Vec<usize>> {
        let origin = self.origins.of(field);
        Layers::parse(self.list(field, words)?, &origin)?.resolve(model.layers, &model.name, &origin)
    }

    fn data(&self, task: Task) -> Result<Vec<DataConfig>> {
        let one_off = match task {
            Task::Mt => DataConfig::one_off,
            Task::Code => DataConfig::one_off_code,
        };
        let file = |field, words: &'_ Option<Vec<String>>| match words {
            None => Ok(None),
            words => self.one(field, words).map(|file| Some(PathBuf::from(file))),
        };
        let test = file("test", &self.settings.test)?;
        let demonstrations = file("demonstrations", &self.settings.demonstrations)?;
        if let Some(test) = test {
            return Ok(vec![one_off(&test, demonstrations.as_deref())]);
        }
        let data = self.each("data", &self.settings.data, |word, origin| {
            if is_named_like_one(word) {
                return Ok(one_off(Path::new(word), demonstrations.as_deref()));
            }
            let file = files::find("data", word, origin)?;
            DataConfig::parse(&file.text, &file.path)
        })?;
        match (&demonstrations, data.iter().find(|data| data.origin.is_some())) {
            (Some(_), Some(named)) => Err(input(format!(
                "{}: the corpus {} has demonstrations of its own; give the test items as a file too, with --test",
                self.origins.of("demonstrations"),
                named.name
            ))),
            _ => Ok(data),
        }
    }

    /// How many generations of an item, and how they are drawn.
    fn sampling(&self) -> Result<Sampling> {
        let samples = self.count("samples", &self.settings.samples)?;
        let temperature = self.number("temperature", &self.settings.temperature)?;
        let top_p = self.number("top_p", &self.settings.top_p)?;
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
                "means nothing at temperature 0, which takes the likeliest token; write --top-p 1",
            ),
            () => Ok(Sampling { samples, temperature, top_p }),
        }
    }

    /// How programs are run.
    fn running(&self) -> Result<Running> {
        let sandbox = policy(self.one("sandbox", &self.settings.sandbox)?, &self.origins.of("sandbox"))?;
        let time_limit = match self.one("time_limit", &self.settings.time_limit)? {
            "auto" => None,
            _ => Some(self.count("time_limit", &self.settings.time_limit)? as u64),
        };
        Ok(Running { sandbox, python: self.one("python", &self.settings.python)?.into(), time_limit })
    }

    /// Bytes, or `None` for what the machine has.
    fn memory(&self) -> Result<Option<u64>> {
        let word = self.one("memory", &self.settings.memory)?;
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
