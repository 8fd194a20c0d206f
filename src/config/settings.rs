//! The experiment as typed: the same fields as flags and as keys of a YAML file, none of them parsed yet.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::data::refuse_nesting;
use crate::error::{input, suggest};

/// A value or a list of values, as written.
pub type Words = Vec<String>;

/// Declares settings once: each field is a flag, a YAML key, and mergeable.
macro_rules! settings {
    ($(#[$top:meta])* $name:ident {
        $($(#[$meta:meta])* $field:ident: $value:literal),* $(,)?
    } $($section:ident: $of:ty)?) => {
        $(#[$top])*
        #[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $(
                #[arg(long, value_name = $value, value_delimiter = ',', num_args = 1, allow_negative_numbers = true)]
                $(#[$meta])*
                #[serde(deserialize_with = "words", skip_serializing_if = "Option::is_none")]
                pub $field: Option<Vec<String>>,
            )*
            $(
                /// Those of a verb of its own, in a section of the file.
                #[arg(skip)]
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $section: Option<$of>,
            )?
        }

        impl $name {
            /// The keys a YAML file may hold.
            pub const KEYS: &'static [&'static str] = &[$(stringify!($field),)* $(stringify!($section))?];

            fn take(&mut self, mut over: Self, origin: &Origin, origins: &mut Origins) {
                $(
                    if let Some(value) = over.$field.take() {
                        self.$field = Some(value);
                        origins.0.insert(stringify!($field), origin.clone());
                    }
                )*
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
    /// Model: a name of configs/model, a folder, a .gguf file, or owner/name of the hub, @REVISION may follow
    model: "NAME|PATH",
    /// Task: mt (translation), or code (programs, checked by running them)
    task: "TASK",
    /// Corpus: a name of configs/data, a .yaml file, or a TSV, CSV, JSONL or JSON file of test items
    data: "NAME|PATH",
    /// One-off test items instead of --data: TSV, CSV, JSONL or JSON with source and target, or JSONL of problems
    test: "FILE",
    /// One-off demonstrations instead of --data: TSV, CSV, JSONL or JSON with source and target
    demonstrations: "FILE",
    /// Languages, such as en-fr
    direction: "SOURCE-TARGET",
    /// Prompt format: a name of configs/format, or a .yaml file
    format: "NAME|PATH",
    /// What is hidden: none, all, or three letters T/F for instructions, examples, query
    mask: "MASK",
    /// First layer that hides it: 14, 0,7,14, 0..29 (both ends), all
    from_layer: "LAYERS",
    /// Take the attention out of one layer, each of these in turn: 14, 0..29, all. Without --mask, beside the baseline alone
    ablate_attention: "LAYERS",
    /// Number of demonstrations
    nprompts: "K",
    /// Seeds that draw the demonstrations: 0, or 0..3 (both ends)
    seed: "SEEDS",
    /// Number of test items, or all
    limit: "N",
    /// The prompt as one user message: true (the model's own chat template), false, or a .jinja file
    #[arg(num_args = 0..=1, default_missing_value = "true")]
    chat_template: "FILE",
    /// Most tokens generated per item
    max_new_tokens: "N",
    /// exact (as the paper says) or sia2024 (as the study's code does)
    profile: "PROFILE",
    /// cpu; of a binary built with CUDA also cuda, the first GPU, or cuda:1
    device: "DEVICE",
    /// How weights are held: f32, f16, bf16, or stored (as in the file); products are computed in f32 on the CPU, on a GPU in
    /// the same type, which cannot be stored
    dtype: "DTYPE",
    /// Threads, or all
    threads: "N",
    /// Generations decoded together at most
    batch: "N",
    /// Memory to use at most, such as 4GiB or 1500MiB; auto: most of what is available
    memory: "SIZE",
    /// Decode all --max-new-tokens, whatever is generated: true or false
    #[arg(num_args = 0..=1, default_missing_value = "true")]
    no_stop: "BOOL",
    /// Compute each generation by itself and at full length, as one would serve it, with hidden columns dropped from the
    /// start layer on, and time it: true or false
    #[arg(num_args = 0..=1, default_missing_value = "true")]
    drop_context: "BOOL",
    /// Generations per item, for pass@k
    samples: "N",
    /// Draw tokens at this temperature; 0 takes the likeliest
    temperature: "T",
    /// Draw from the likeliest tokens that reach this probability
    top_p: "P",
    /// Programs run with every layer of the sandbox (required), with those that are there (best-effort), or with none (off)
    sandbox: "HOW",
    /// The Python that runs the programs
    python: "NAME|PATH",
    /// Processor seconds of a program; auto: by what the reference solutions take
    time_limit: "SECONDS",
    /// A LoRA adapter as PEFT saves it, at work in every row of every cell
    adapter: "FOLDER",
    /// Folder that results are written to
    results: "FOLDER",
    /// Lock what is computed, so that no other process does it too; false for a filesystem that has no locks
    #[arg(num_args = 0..=1, default_missing_value = "true")]
    locks: "BOOL",
} lora: TrainingFlags
}

settings! {
/// How adapters are trained, as typed.
TrainingFlags {
    /// Layers, each with an adapter of its own: 14, 0..29 (both ends), all
    layers: "LAYERS",
    /// Pairs to train on, the first ones of the training split
    train_size: "N",
    /// Pairs whose loss says when to stop; 0 for none
    dev_size: "N",
    /// What of the layer is adapted, of q, k, v, o, gate, up, down: o is the attention output
    projection: "NAME",
    /// Rank of the change
    rank: "R",
    /// It is scaled by this over the rank
    alpha: "A",
    /// Share of the adapter's inputs that are left out at random
    dropout: "P",
    /// Of AdamW at the first step; it falls linearly to 0
    learning_rate: "RATE",
    /// Of AdamW
    weight_decay: "W",
    /// Norm that gradients are scaled down to; none: never
    max_grad_norm: "NORM",
    /// Pairs of a step
    train_batch: "N",
    /// Times that all pairs are seen at most
    epochs: "N",
    /// Epochs without a smaller dev loss after which training ends
    patience: "N",
    /// Tokens whose loss is counted: whole (all, as in the study) or target (the answer's)
    loss: "WHAT",
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
        match self.0.get(field) {
            Some(Origin::File(path, text)) => {
                let line =
                    text.lines().position(|line| key_of(line) == Some(field)).map_or(1, |line| line + 1);
                format!("{}:{line}: {field}", path.display())
            }
            Some(Origin::Stored(path)) => format!("{}: {field}", path.display()),
            Some(Origin::Flag) | None => format!("--{}", field.replace('_', "-")),
        }
    }
}

impl Origins {
    /// Somebody asked for it: it stands on the command line or in the user's experiment file.
    pub fn is_asked_for(&self, field: &str) -> bool {
        match self.0.get(field) {
            Some(Origin::Flag) => true,
            Some(Origin::File(path, _)) => {
                let name = path.file_stem().unwrap_or_default();
                ![super::DEFAULTS, super::CODE_DEFAULTS, super::LORA_DEFAULTS]
                    .contains(&&*name.to_string_lossy())
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
