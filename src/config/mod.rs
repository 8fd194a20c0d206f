//! YAML and flags -> [`Experiment`], validated: everything that can be known to be wrong before a model is loaded is
//! refused here, in one sentence with where it was written and how to mend it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

mod compute;
pub mod files;
mod grid;
mod layers;
mod mask;
mod model;
mod named;
mod purpose;
mod resolve;
mod settings;
mod shard;
mod task;
mod training;
mod vary;
mod words;

pub use compute::Compute;
pub use layers::Layers;
pub use model::{Describe, ModelChoice, ModelConfig};
pub use named::{find_format, policy, profile};
pub use purpose::Purpose;
pub use settings::{Layered, Origins, Settings, TrainingFlags, parse_yaml};
pub use shard::Shard;
pub use task::{ChosenTask, find_task};
pub use training::{LossOn, Training};
pub use vary::variation;

use crate::data::{DataConfig, Direction};
use crate::intervene::{Condition, Masks};
use crate::model::Precision;
use crate::prompt::{Format, Profile, Variation};
use crate::sandbox::Policy;
use crate::tasks::{Asked, TASKS, TaskKind};

/// Where a chat template comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatChoice {
    /// The model's own.
    Model,
    /// A file of the user's.
    File(PathBuf),
}

/// How many generations of an item, and how their tokens are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Generations per item.
    pub samples: usize,
    /// 0 takes the likeliest token.
    pub temperature: f64,
    /// Probability of the tokens that are drawn from, the likeliest first.
    pub top_p: f64,
}

impl Sampling {
    /// Whether tokens are drawn at all.
    pub fn draws(self) -> bool {
        self.temperature > 0.
    }
}

/// How many of the test items are used, from the first on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// All of them.
    All,
    /// As many as the user asked for; a corpus with fewer is refused.
    First(usize),
    /// The default of `run`: this number, or all where the corpus has fewer.
    AtMost(usize),
}

/// How programs are run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Which layers of the sandbox there must be.
    pub sandbox: Policy,
    /// Name or path of the Python.
    pub python: String,
    /// Processor seconds of a program; `None` to go by the reference solutions.
    pub time_limit: Option<u64>,
}

/// A LoRA adapter as PEFT saves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterChoice {
    /// Its folder.
    pub path: PathBuf,
    /// The folder's name, for the results.
    pub name: String,
}

/// One run: all conditions that share a model, a corpus and a prompt format, a set of demonstrations, and a folder.
#[derive(Debug, Clone)]
pub struct Run {
    /// What is asked.
    pub task: &'static TaskKind,
    /// What a task of a file asks beside that.
    pub asked: Asked,
    /// The model.
    pub model: ModelChoice,
    /// The corpus.
    pub data: DataConfig,
    /// The languages, where the task has any.
    pub direction: Option<Direction>,
    /// The prompt format.
    pub format: Format,
    /// Number of demonstrations.
    pub nprompts: usize,
    /// The seed that draws them.
    pub seed: u32,
    /// What changes in the prompts themselves.
    pub vary: Variation,
    /// Whose reading of the experiment is followed.
    pub profile: Profile,
    /// The chat template that the prompt is put into, if any.
    pub chat: Option<ChatChoice>,
    /// Test items.
    pub limit: Limit,
    /// Most tokens generated per item.
    pub max_new_tokens: usize,
    /// Decode all of these whatever is generated.
    pub no_stop: bool,
    /// Compute and time each generation by itself.
    pub drop_context: bool,
    /// How many generations, and how their tokens are chosen.
    pub sampling: Sampling,
    /// An adapter that is at work in all of them.
    pub adapter: Option<AdapterChoice>,
    /// Adapters are to be trained, one for each layer of the grid.
    pub lora: Option<Training>,
    /// The grid of masks and start layers, baseline first where it is asked for.
    pub conditions: Vec<Condition>,
    /// The rest of the grid, which other parts compute.
    pub others: Vec<Condition>,
    /// What the masks of the grid hide that are written as rules.
    pub masks: Masks,
}

impl Run {
    /// Where its results go, below the results folder.
    pub fn folder(&self) -> PathBuf {
        let profile = match self.profile {
            Profile::Exact => "",
            Profile::Sia2024 => "-sia2024",
        };
        let varied = match self.vary.is_none() {
            true => String::new(),
            false => format!("-{}", self.vary.to_string().replace(['=', '+'], "-")),
        };
        let chat = if self.chat.is_some() { "-chat" } else { "" };
        let dropped = if self.drop_context { "-dropped" } else { "" };
        let adapter =
            self.adapter.as_ref().map_or(String::new(), |adapter| format!("-adapter-{}", adapter.name));
        let trained =
            self.lora.as_ref().map_or(String::new(), |training| format!("-lora{}", training.train_size));
        let Self { format, nprompts, seed, .. } = self;
        let Sampling { samples, temperature, top_p } = self.sampling;
        let sampled = match (self.sampling.draws(), top_p < 1.) {
            (false, _) => String::new(),
            (true, false) => format!("-n{samples}-t{temperature}"),
            (true, true) => format!("-n{samples}-t{temperature}-p{top_p}"),
        };
        let of = self.direction.as_ref().map_or(self.asked.name.clone(), Direction::to_string);
        PathBuf::from(&self.model.name).join(format!("{}.{of}", self.data.name)).join(format!(
            "{}-k{nprompts}-seed{seed}{varied}{profile}{chat}{sampled}{dropped}{adapter}{trained}",
            format.name
        ))
    }
}

/// The whole grid of one call, and how to compute it.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// Every combination of model, data, direction, format, demonstrations, seed and profile.
    pub runs: Vec<Run>,
    /// Worker threads; `None` for all cores.
    pub threads: Option<usize>,
    /// Generations decoded together at most.
    pub batch: usize,
    /// Bytes of memory to use at most; `None` for most of what is available.
    pub memory: Option<u64>,
    /// Where models compute.
    pub device: Compute,
    /// How weights are held.
    pub dtype: Precision,
    /// How programs are run.
    pub running: Running,
    /// The results folder.
    pub results: PathBuf,
    /// Whether cells are locked while they are computed.
    pub locks: bool,
    /// The settings it was made from, defaults included.
    pub typed: Settings,
}

/// Of the memory that is available, what a run takes unless `--memory` says how much.
const SHARE: f64 = 0.8;

impl Experiment {
    /// Bytes of memory that a run may take where so many are available; `None` where nobody says how many are.
    pub fn memory_budget(&self, available: Option<u64>) -> Option<u64> {
        self.memory.or_else(|| available.map(|bytes| (bytes as f64 * SHARE) as u64))
    }
}

/// The settings that every experiment starts from: `configs/experiments/default.yaml`.
pub const DEFAULTS: &str = "default";

/// Those that `run` starts from where no experiment file is given.
pub const RUN_DEFAULTS: &str = "default-run";

/// What `figure attention` starts from over them: one cell.
pub const ATTENTION_DEFAULTS: &str = "default-attention";

/// Those that training starts from, over the others.
pub const LORA_DEFAULTS: &str = "default-lora";

/// Whether a file of this name holds defaults.
fn holds_defaults(name: &str) -> bool {
    let of_task = TASKS.iter().any(|kind| kind.defaults == Some(name));
    of_task || [DEFAULTS, RUN_DEFAULTS, ATTENTION_DEFAULTS, LORA_DEFAULTS].contains(&name)
}

impl Experiment {
    /// What `run` computes: defaults, then the YAML file if one is given, then the flags. `describe` brings the descriptions of
    /// models of the hub here, since nothing else here knows a network.
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) for the first mistake found.
    pub fn resolve(config: Option<&str>, flags: Settings, describe: Describe) -> Result<Self> {
        Self::layered(Purpose::Run, config, flags, None, describe)
    }

    /// The same for another verb that trains nothing.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve); also a flag that has no effect on this verb.
    pub fn resolve_for(
        purpose: Purpose,
        config: Option<&str>,
        flags: Settings,
        describe: Describe,
    ) -> Result<Self> {
        Self::layered(purpose, config, flags, None, describe)
    }

    /// The same for adapters that are to be trained and tested: cells are their layers, and the model without any.
    ///
    /// # Errors
    /// As [`resolve_for`](Self::resolve_for).
    pub fn resolve_training(
        config: Option<&str>,
        flags: Settings,
        training: TrainingFlags,
        describe: Describe,
    ) -> Result<Self> {
        Self::layered(Purpose::Lora, config, flags, Some(training), describe)
    }

    /// An experiment as [`typed`](Self::typed) has kept it, with some settings put over it.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn again(typed: Settings, origin: &Path, over: Settings, describe: Describe) -> Result<Self> {
        let training = typed.lora.is_some();
        let mut layered = Layered::default();
        layered.stored(typed, origin);
        layered.flags(over, None);
        resolve::experiment(layered, training, describe)
    }

    fn layered(
        purpose: Purpose,
        config: Option<&str>,
        flags: Settings,
        training: Option<TrainingFlags>,
        describe: Describe,
    ) -> Result<Self> {
        purpose.check_flags(&flags)?;
        let given = config.map(|name| files::find("experiments", name, "--config")).transpose()?;
        let layer = |own: Option<&'static str>, task: Option<&ChosenTask>| -> Result<Layered> {
            let mut layered = Layered::default();
            for name in purpose.defaults(own, given.is_some()) {
                let file = files::find("experiments", name, "built in")?;
                layered.file(&file.path, &file.text)?;
            }
            if let Some((settings, file)) = task.and_then(|task| task.settings.as_ref()) {
                layered.described(settings.clone(), &file.path, &file.text);
            }
            if let Some(file) = &given {
                layered.file(&file.path, &file.text)?;
            }
            layered.flags(flags.clone(), training.clone());
            Ok(layered)
        };
        let mut layered = layer(None, None)?;
        // A task may have defaults of its own, such as a corpus and a format, and a file of one may name some. The resolver
        // refuses names that are not known.
        let asked = layered.settings.task.clone();
        let word = asked.as_ref().and_then(|words| words.first());
        if let Some(task) = word.and_then(|word| find_task(word, "task").ok()) {
            layered = layer(task.kind.defaults, Some(&task))?;
            // The defaults of its kind name the kind.
            layered.settings.task = asked;
        }
        resolve::experiment(layered, purpose == Purpose::Lora, describe)
    }
}
