//! The experiment as typed: the same fields as flags and as keys of a YAML file, none of them parsed yet.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::base::error::{input, suggest};
use crate::data::refuse_nesting;

/// A value or a list of values, as written.
pub type Words = Vec<String>;

/// A setting as typed, with its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting<'a> {
    /// Its key in a YAML file.
    pub name: &'static str,
    /// What was written; `None` where nothing was.
    pub words: &'a Option<Words>,
}

/// Declares settings once: each field is a flag below a heading, a YAML key, and mergeable.
macro_rules! settings {
    ($(#[$top:meta])* $name:ident {
        $($heading:literal { $($(#[$meta:meta])* $field:ident: $value:literal),* $(,)? })*
    } $($section:ident: $of:ty)?) => {
        $(#[$top])*
        #[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $($(
                #[arg(long, help_heading = $heading, value_name = $value, value_delimiter = ',', num_args = 1,
                      allow_negative_numbers = true)]
                $(#[$meta])*
                #[serde(deserialize_with = "words", skip_serializing_if = "Option::is_none")]
                pub $field: Option<Vec<String>>,
            )*)*
            $(
                /// Settings of another verb, in a section of the file.
                #[arg(skip)]
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $section: Option<$of>,
            )?
        }

        impl $name {
            /// The keys a YAML file may hold.
            pub const KEYS: &'static [&'static str] = &[$($(stringify!($field),)*)* $(stringify!($section))?];

            /// The fields that have a value, with it; those of a section are not among them.
            pub fn given(&self) -> Vec<(&'static str, &[String])> {
                let fields = [$($((stringify!($field), self.$field.as_deref()),)*)*];
                fields.into_iter().filter_map(|(field, words)| Some((field, words?))).collect()
            }

            $($(
                /// The setting of this name, as typed.
                #[allow(clippy::wrong_self_convention, reason = "a setting is called from_layer")]
                pub(super) fn $field(&self) -> Setting<'_> {
                    Setting { name: stringify!($field), words: &self.$field }
                }
            )*)*

            fn take(&mut self, mut over: Self, origin: &Origin, origins: &mut Origins) {
                $($(
                    if let Some(value) = over.$field.take() {
                        self.$field = Some(value);
                        origins.0.insert(stringify!($field), origin.clone());
                    }
                )*)*
                $(
                    if let Some(section) = over.$section.take() {
                        self.$section.get_or_insert_default().take(section, origin, origins);
                    }
                )?
            }
        }
    };
}

settings! {
/// Every setting of an experiment, as typed. A comma list or a range makes a grid.
Settings {
    "Model" {
        /// Model: a name from `icl-mask models`, a folder, a .gguf file, or owner/name on the Hugging Face hub; @REVISION may follow
        model: "NAME|PATH",
        /// LoRA adapter in PEFT's format, applied to every token in every cell [default: none]
        adapter: "FOLDER",
    }
    "Data and prompt" {
        /// Task: mt (translation), code (programs, scored by running them), choice (one of the options of each item, weighed), answer
        /// (short answers), or a name or file of configs/task
        task: "TASK",
        /// Corpus: a name from `icl-mask data list`, a .yaml file, or a file of test items
        data: "NAME|PATH",
        /// File of test items, used instead of --data: TSV, CSV, JSONL or JSON; with --task code JSONL of problems
        /// [default: none]
        test: "FILE",
        /// File that demonstrations are drawn from, beside --test [default: none; with --task code, the other problems]
        demonstrations: "FILE",
        /// Source and target language, such as en-it [default: the languages that the header of --test names, or the
        /// corpus' own direction]
        direction: "SOURCE-TARGET",
        /// Prompt format: a name from configs/format, or a .yaml file
        format: "NAME|PATH",
        /// Number of demonstrations in the prompt
        nprompts: "K",
        /// Seeds that draw the demonstrations: 0, or 0..3 (both ends)
        seed: "SEEDS",
        /// Change the prompt itself: targets=shuffled or targets=random (the demonstrations' answers), keep=J (only the first J of
        /// them), instructions=FILE; joined by + for one variation, none for the prompt as it is [default: none]
        vary: "VARIATION",
        /// Number of test items, taken from the start of the file, or all
        limit: "N",
        /// Send the prompt as one user message: true (the model's own chat template), false, or a .jinja file [default:
        /// false]
        #[arg(num_args = 0..=1, default_missing_value = "true")]
        chat_template: "FILE",
        /// Rules for prompts and scores: exact (as the study's paper describes them) or sia2024 (as its released code does)
        profile: "PROFILE",
    }
    "Interventions" {
        /// Parts of the prompt to hide: none, all, three letters T (hidden) or F (kept) for instructions, examples, query, or a
        /// name or file of configs/mask
        mask: "MASK",
        /// Spans to hide, instead of --mask: examples.outputs, query.input, a span that the format names; -SPAN takes one out of the
        /// others; `show --json` lists all names [default: none]
        hide: "SPANS",
        /// Hide them from these rows alone: spans, last (the row that chooses the first token), generated, or choosing (both)
        /// [default: all rows]
        readers: "SPANS",
        /// Number of layers that hide them, from the start layer on: 1, or 1,4,8 for a series of each [default: all of them]
        window: "LAYERS",
        /// Hide them from the row on that chooses this generated token: 0.. for the first [default: from all rows]
        steps: "STEP..",
        /// First layer that hides them: 14, or 0,7,14, or 0..29 (both ends), or all (each in turn)
        from_layer: "LAYERS",
        /// Remove the attention of one layer, each of these in turn: 14, or 0..29, or all; without --mask, only the
        /// baseline is computed beside it [default: none]
        ablate_attention: "LAYERS",
        /// Drop hidden tokens from the KV cache at the start layer instead of masking them; each generation is computed and
        /// timed alone, at full length: true or false
        #[arg(num_args = 0..=1, default_missing_value = "true")]
        drop_context: "BOOL",
    }
    "Generation" {
        /// Maximum number of tokens to generate per item [default: max_new_tokens of the format, or 50; 20 with --task answer]
        max_new_tokens: "N",
        /// Generate all --max-new-tokens tokens, even after the end of the answer: true or false
        #[arg(num_args = 0..=1, default_missing_value = "true")]
        no_stop: "BOOL",
        /// Number of generations per item, for pass@k
        samples: "N",
        /// Sampling temperature; 0 always takes the likeliest token
        temperature: "T",
        /// Sample from the likeliest tokens whose probabilities add up to this (nucleus sampling)
        top_p: "P",
    }
    "Scoring" {
        /// Sandbox for programs: required (refuse to run without all of it), best-effort (use what the system offers), off
        sandbox: "HOW",
        /// Python that runs the programs
        python: "NAME|PATH",
        /// Processor seconds that a program may take; auto: set by the slowest reference solution
        time_limit: "SECONDS",
    }
    "Resources" {
        /// Where to compute: cpu, or cuda or cuda:1 in a binary that is built with CUDA
        device: "DEVICE",
        /// Number format of the weights: f32, f16, bf16, or stored (as in the file; CPU only); the CPU multiplies in f32
        dtype: "DTYPE",
        /// Number of threads, or all (one per core)
        threads: "N",
        /// Maximum number of generations decoded together
        batch: "N",
        /// Maximum memory to use, such as 4GiB or 1500MiB; auto takes most of what is available
        memory: "SIZE",
    }
    "Output" {
        /// Folder to write results to
        results: "FOLDER",
        /// Lock cells while they are computed, so that several processes can share a folder: true, or false for a file
        /// system without locks
        #[arg(num_args = 0..=1, default_missing_value = "true")]
        locks: "BOOL",
    }
} lora: TrainingFlags
}

settings! {
/// How adapters are trained, as typed.
TrainingFlags {
    "Training" {
        /// Layers to train an adapter on, one adapter each: 14, or 0..29 (both ends), or all
        layers: "LAYERS",
        /// Number of training pairs, taken from the start of the training split
        train_size: "N",
        /// Number of pairs for the dev loss, which ends training early; 0 never does
        dev_size: "N",
        /// Projections to adapt: some of q, k, v, o (attention output), gate, up, down
        projection: "NAME",
        /// Rank of the update
        rank: "R",
        /// LoRA alpha: the update is scaled by alpha / rank
        alpha: "A",
        /// Dropout on the adapter's inputs, as a probability
        dropout: "P",
        /// AdamW's initial learning rate, decayed linearly to 0
        learning_rate: "RATE",
        /// AdamW's weight decay
        weight_decay: "W",
        /// Maximum norm of the gradients, which are scaled down to it, or none
        max_grad_norm: "NORM",
        /// Number of pairs per optimizer step
        train_batch: "N",
        /// Maximum number of epochs
        epochs: "N",
        /// Number of epochs without a smaller dev loss before training ends
        patience: "N",
        /// Tokens that the loss counts: whole (all, as in the study) or target (the answer's)
        loss: "WHAT",
    }
}
}

/// Where a setting was written.
#[derive(Debug, Clone)]
pub enum Origin {
    /// On the command line.
    Flag,
    /// In a YAML file with this text.
    File(PathBuf, String),
    /// In the manifest of a run, whether it was asked for there or not.
    Stored(PathBuf),
}

/// Where each setting came from, to name it in an error.
#[derive(Debug, Default)]
pub struct Origins(BTreeMap<&'static str, Origin>);

impl Origins {
    /// `--from-layer`, or `configs/experiments/x.yaml:7: from_layer`.
    pub fn of(&self, field: &str) -> String {
        let flag = || format!("--{}", field.replace('_', "-"));
        match self.0.get(field) {
            // A default that is built in: there is no such file to look at.
            Some(Origin::File(path, _)) if !self.is_asked_for(field) && !path.exists() => flag(),
            Some(Origin::File(path, text)) => {
                let line =
                    text.lines().position(|line| key_of(line) == Some(field)).map_or(1, |line| line + 1);
                format!("{}:{line}: {field}", path.display())
            }
            Some(Origin::Stored(path)) => format!("{}: {field}", path.display()),
            Some(Origin::Flag) | None => flag(),
        }
    }
}

impl Origins {
    /// The user typed it as a flag.
    pub fn is_flag(&self, field: &str) -> bool {
        matches!(self.0.get(field), Some(Origin::Flag))
    }

    /// Nobody has said it but the defaults.
    pub fn is_default(&self, field: &str) -> bool {
        !self.is_asked_for(field) && !matches!(self.0.get(field), Some(Origin::Stored(_)))
    }

    /// The user asked for it, on the command line or in an experiment file.
    pub fn is_asked_for(&self, field: &str) -> bool {
        match self.0.get(field) {
            Some(Origin::Flag) => true,
            Some(Origin::File(path, _)) => {
                let name = path.file_stem().unwrap_or_default();
                !super::holds_defaults(&name.to_string_lossy())
            }
            Some(Origin::Stored(_)) | None => false,
        }
    }
}

/// The key of a `key: value` line, in its canonical spelling.
pub(super) fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.split_once(':')?;
    Some(key.trim())
}

/// Layers of settings, later ones over earlier ones.
#[derive(Debug, Default)]
pub struct Layered {
    /// The merged settings.
    pub settings: Settings,
    /// Where each came from.
    pub origins: Origins,
}

impl Layered {
    /// Put a YAML file on top.
    ///
    /// # Errors
    /// An unknown key or a wrong type, with file, line and the nearest known key.
    pub fn file(&mut self, path: &Path, text: &str) -> Result<()> {
        let keys = [Settings::KEYS, TrainingFlags::KEYS].concat();
        let settings = parse_yaml::<Option<Settings>>(path, text, &keys)?.unwrap_or_default();
        self.settings.take(settings, &Origin::File(path.into(), text.into()), &mut self.origins);
        Ok(())
    }

    /// Put on top what a file of another kind says of settings.
    pub fn described(&mut self, settings: Settings, path: &Path, text: &str) {
        self.settings.take(settings, &Origin::File(path.into(), text.into()), &mut self.origins);
    }

    /// Put on top what a file has kept of settings that were resolved before.
    pub fn stored(&mut self, settings: Settings, path: &Path) {
        self.settings.take(settings, &Origin::Stored(path.into()), &mut self.origins);
    }

    /// Put flags on top.
    pub fn flags(&mut self, flags: Settings, training: Option<TrainingFlags>) {
        let flags = Settings { lora: training, ..flags };
        self.settings.take(flags, &Origin::Flag, &mut self.origins);
    }
}

/// Parse a YAML file; every error names file and line and, for an unknown key, the nearest of `keys`.
pub fn parse_yaml<T: de::DeserializeOwned>(path: &Path, text: &str, keys: &[&str]) -> Result<T> {
    refuse_nesting(text, path)?;
    serde_yaml::from_str(text).map_err(|error| {
        let message = error.to_string();
        let line = error.location().map_or(1, |location| location.line());
        let reason = match message.split('`').nth(1) {
            Some(key) if message.contains("unknown field") && !keys.is_empty() => {
                format!("unknown key `{key}`: {}", suggest(key, keys))
            }
            _ => message.split(" at line ").next().unwrap_or_default().to_string(),
        };
        input(format!("{}:{line}: {reason}", path.display()))
    })
}

/// A scalar or a list of scalars, each kept as written; a comma list in one string is split.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Words>, D::Error> {
    struct WordsVisitor;
    impl<'de> Visitor<'de> for WordsVisitor {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a word, a number, or a list of them")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(text.split(',').map(|word| word.trim().to_string()).collect())
        }
        fn visit_bool<E: de::Error>(self, yes: bool) -> Result<Self::Value, E> {
            Ok(vec![yes.to_string()])
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
            Ok(vec![number.to_string()])
        }
        fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
            Ok(vec![number.to_string()])
        }
        fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
            Ok(vec![number.to_string()])
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some(Word(words)) = list.next_element()? {
                all.extend(words);
            }
            Ok(all)
        }
    }
    struct Word(Words);
    impl<'de> Deserialize<'de> for Word {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(WordsVisitor).map(Word)
        }
    }
    deserializer.deserialize_any(WordsVisitor).map(Some)
}
