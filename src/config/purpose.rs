//! What an experiment's settings are read for: the defaults that they start from, and the settings that have no effect.

use anyhow::Result;

use super::settings::{Layered, Settings};
use super::{ATTENTION_DEFAULTS, DEFAULTS, LORA_DEFAULTS, RUN_DEFAULTS, files};
use crate::base::error::input;

/// The verb that reads the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// `run`: all cells are computed.
    Run,
    /// `lora`: adapters are trained and tested.
    Lora,
    /// `show`: one prompt is printed, nothing is computed.
    Show,
    /// `figure attention`: one prompt is computed once.
    Attention,
}

/// Settings that change how generations are made, scored and kept.
const GENERATING: [&str; 10] = [
    "drop_context",
    "no_stop",
    "samples",
    "temperature",
    "top_p",
    "sandbox",
    "python",
    "time_limit",
    "batch",
    "results",
];

/// Settings of how a model computes.
const COMPUTING: [&str; 4] = ["device", "dtype", "threads", "memory"];

/// Settings that training refuses with a sentence of its own each, from experiment files too: adapters are trained on pairs
/// of sentences from a corpus with a training split.
const NOT_TRAINED: [&str; 14] = [
    "vary",
    "mask",
    "hide",
    "readers",
    "window",
    "steps",
    "from_layer",
    "ablate_attention",
    "drop_context",
    "adapter",
    "chat_template",
    "task",
    "test",
    "demonstrations",
];

/// Settings of how programs are run.
pub(super) const PROGRAMS: [&str; 3] = ["sandbox", "python", "time_limit"];

impl Purpose {
    /// The verb's name.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Lora => "lora",
            Self::Show => "show",
            Self::Attention => "figure attention",
        }
    }

    /// Whether the verb generates anything.
    pub fn generates(self) -> bool {
        matches!(self, Self::Run | Self::Lora)
    }

    /// The files of `configs/experiments/` that the settings start from, later ones over earlier ones. A user's experiment
    /// file that leaves mask and limit out means what it always has, so it does not start from those of `run`.
    pub(super) fn defaults(self, task: Option<&'static str>, with_file: bool) -> Vec<&'static str> {
        let own = match self {
            Self::Run if !with_file => Some(RUN_DEFAULTS),
            Self::Attention if !with_file => Some(ATTENTION_DEFAULTS),
            Self::Lora => Some(LORA_DEFAULTS),
            Self::Run | Self::Show | Self::Attention => None,
        };
        let task = task.filter(|_| self != Self::Lora);
        [Some(DEFAULTS), own, task].into_iter().flatten().collect()
    }

    /// The settings that it starts from, for help texts.
    ///
    /// # Errors
    /// One of the user's files of defaults is malformed.
    pub fn starts_from(self, task: Option<&'static str>) -> Result<Settings> {
        let mut layered = Layered::default();
        for name in self.defaults(task, false) {
            let file = files::find("experiments", name, "built in")?;
            layered.file(&file.path, &file.text)?;
        }
        Ok(layered.settings)
    }

    /// Whether a setting has no effect on this verb.
    pub fn ignores(self, field: &str) -> bool {
        let any = |lists: &[&[&str]]| lists.iter().any(|list| list.contains(&field)) || field == "locks";
        match self {
            Self::Run => false,
            Self::Lora => NOT_TRAINED.contains(&field) || PROGRAMS.contains(&field),
            Self::Show => any(&[&GENERATING, &COMPUTING]),
            Self::Attention => any(&[&GENERATING]),
        }
    }

    /// Refuse flags that would have no effect. An experiment file may hold settings for several verbs.
    pub(super) fn check_flags(self, flags: &Settings) -> Result<()> {
        let given: Vec<&str> = flags.given().into_iter().map(|(field, _)| field).collect();
        if given.contains(&"data") && given.contains(&"test") {
            return Err(input("--data and --test both say what the test items are; leave one of them out"));
        }
        let mut unused = given.into_iter().filter(|field| self.ignores(field));
        match unused.find(|field| self != Self::Lora || !NOT_TRAINED.contains(field)) {
            None => Ok(()),
            Some(field) => Err(input(format!(
                "--{}: has no effect on `icl-mask {}`; leave it out",
                field.replace('_', "-"),
                self.verb()
            ))),
        }
    }
}
