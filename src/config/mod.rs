//! YAML and flags -> [`Experiment`], validated: everything that can be known to be wrong before a model is loaded is
//! refused here, in one sentence with where it was written and how to mend it.

use std::path::PathBuf;

use anyhow::Result;

pub mod files;
mod layers;
mod model;
mod resolve;
mod settings;

pub use layers::Layers;
pub use model::{ModelChoice, ModelConfig};
pub use resolve::find_format;
pub use settings::{Layered, Origins, Settings, parse_yaml};

use crate::data::{DataConfig, Direction};
use crate::mask::Treatment;
use crate::model::Precision;
use crate::prompt::{Format, Profile};

/// What kind of text is asked for, and so how it is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Machine translation, scored by BLEU and chrF.
    Mt,
}

impl std::fmt::Display for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mt => f.pad("mt"),
        }
    }
}

/// One cell's coordinates within a run: what is hidden and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// What is hidden; `None` is the baseline.
    pub mask: Treatment,
    /// First layer that hides it; the number of layers for the baseline.
    pub from_layer: usize,
}

/// Where a chat template comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatChoice {
    /// The model's own.
    Model,
    /// A file of the user's.
    File(PathBuf),
}

/// One run: all cells that share a model, a corpus and a prompt format, a set of demonstrations, and a folder.
#[derive(Debug, Clone)]
pub struct Run {
    /// The model.
    pub model: ModelChoice,
    /// The corpus.
    pub data: DataConfig,
    /// The languages.
    pub direction: Direction,
    /// The prompt format.
    pub format: Format,
    /// Number of demonstrations.
    pub nprompts: usize,
    /// The seed that draws them.
    pub seed: u32,
    /// Whose reading of the experiment is followed.
    pub profile: Profile,
    /// The chat template that the prompt is put into, if any.
    pub chat: Option<ChatChoice>,
    /// Test items; `None` for all.
    pub limit: Option<usize>,
    /// Most tokens generated per item.
    pub max_new_tokens: usize,
    /// Decode all of these whatever is generated.
    pub no_stop: bool,
    /// The grid of masks and start layers, baseline first where it is asked for.
    pub cells: Vec<Cell>,
}

impl Run {
    /// Where its results go, below the results folder.
    pub fn folder(&self) -> PathBuf {
        let profile = match self.profile {
            Profile::Exact => "",
            Profile::Sia2024 => "-sia2024",
        };
        let chat = if self.chat.is_some() { "-chat" } else { "" };
        let Self { format, nprompts, seed, .. } = self;
        PathBuf::from(&self.model.name)
            .join(format!("{}.{}", self.data.name, self.direction))
            .join(format!("{}-k{nprompts}-seed{seed}{profile}{chat}", format.name))
    }
}

/// The whole grid of one call, and how to compute it.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// The task.
    pub task: Task,
    /// Every combination of model, data, direction, format, demonstrations, seed and profile.
    pub runs: Vec<Run>,
    /// Worker threads; `None` for all cores.
    pub threads: Option<usize>,
    /// Generations decoded together at most.
    pub batch: usize,
    /// Bytes of memory to use at most; `None` for most of what is available.
    pub memory: Option<u64>,
    /// How weights are held.
    pub dtype: Precision,
    /// The results folder.
    pub results: PathBuf,
}

/// Of the memory that is available, what a run takes unless `--memory` says how much.
const SHARE: f64 = 0.8;

impl Experiment {
    /// Bytes of memory that a run may take; `None` where the system does not say what it has.
    pub fn memory_budget(&self) -> Option<u64> {
        self.memory.or_else(|| crate::engine::available().map(|bytes| (bytes as f64 * SHARE) as u64))
    }
}

/// The settings that every experiment starts from: `configs/experiments/default.yaml`.
pub const DEFAULTS: &str = "default";

impl Experiment {
    /// Defaults, then the YAML file if one is given, then the flags.
    ///
    /// # Errors
    /// An [`InputError`](crate::error::InputError) for the first mistake found.
    pub fn resolve(config: Option<&str>, flags: Settings) -> Result<Self> {
        let mut layered = Layered::default();
        for (name, origin) in [(Some(DEFAULTS), "built in"), (config, "--config")] {
            if let Some(name) = name {
                let file = files::find("experiments", name, origin)?;
                layered.file(&file.path, &file.text)?;
            }
        }
        layered.flags(flags);
        resolve::experiment(layered)
    }
}
