//! `adapter_config.json`: what of it changes what an adapter computes, key by key, as PEFT 0.21 reads it.

use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value};

use super::CONFIG;
use super::targets::{ByModule, Targets};
use crate::base::error::input;
use crate::base::keys::{Keys, Unread};
use crate::model::Family;

/// The keys of `adapter_config.json`.
const KEYS: Keys = Keys {
    read: &[
        "alora_invocation_tokens",
        "alpha_pattern",
        "arrow_config",
        "bias",
        "exclude_modules",
        "init_lora_weights",
        "kasa_config",
        "layer_replication",
        "layers_pattern",
        "layers_to_transform",
        "lora_alpha",
        "lora_bias",
        "megatron_config",
        "modules_to_save",
        "monteclora_config",
        "peft_type",
        "r",
        "rank_pattern",
        "target_modules",
        "target_parameters",
        "task_type",
        "trainable_token_indices",
        "use_bdlora",
        "use_dora",
        "use_qalora",
        "use_rslora",
    ],
    harmless: &[
        // Where it comes from, and how it was trained.
        "auto_mapping",
        "base_model_name_or_path",
        "inference_mode",
        "lora_dropout",
        "peft_version",
        "revision",
        "velora_config",
        // Of starts (`init_lora_weights`) that are refused by their own names, or that leave the model as it is.
        "corda_config",
        "eva_config",
        "loftq_config",
        "lora_ga_config",
        // PEFT sets it by the kind of the layer, whatever is written.
        "fan_in_fan_out",
        // Without effect where the key that they belong to is off.
        "ensure_weight_tying",
        "megatron_core",
        "qalora_group_size",
        // PEFT reads none of it.
        "runtime_config",
    ],
};

/// Parts that must be off, with what they would do. Python takes `false`, 0 and what is empty as off.
const MUST_BE_OFF: [(&str, &str); 7] = [
    ("alora_invocation_tokens", "activated LoRA, at work from certain tokens on, is not read"),
    ("use_dora", "DoRA is not read"),
    ("modules_to_save", "adapters with whole modules are not read"),
    ("layer_replication", "adapters that repeat layers of the model are not read"),
    ("target_parameters", "adapters of parameters that are not modules are not read"),
    ("lora_bias", "adapters with biases of their own are not read"),
    ("use_qalora", "QALoRA is not read"),
];

/// Parts that must be absent: an empty one is at work too.
const MUST_BE_ABSENT: [(&str, &str); 6] = [
    ("arrow_config", "Arrow, which mixes several adapters, is not read"),
    ("kasa_config", "KaSA changes the model's own weights and is not read"),
    ("megatron_config", "adapters of Megatron's layers are not read"),
    ("monteclora_config", "MonteCLoRA is not read"),
    ("trainable_token_indices", "adapters that train rows of the embedding are not read"),
    ("use_bdlora", "block-diagonal LoRA is not read"),
];

/// Starts that leave the model's weights as they are.
const STARTS: [&str; 4] = ["gaussian", "eva", "orthogonal", "mica"];
/// Starts that are subtracted from the model's weights, by how their names begin.
const SUBTRACTED: [&str; 5] = ["pissa", "olora", "loftq", "corda", "lora_ga"];
/// Tasks that PEFT knows. Which of them it is changes nothing of what an adapter adds.
const TASKS: [&str; 6] =
    ["CAUSAL_LM", "FEATURE_EXTRACTION", "QUESTION_ANS", "SEQ_2_SEQ_LM", "SEQ_CLS", "TOKEN_CLS"];
/// What PEFT takes as rank and alpha where none is said.
const DEFAULT: u32 = 8;

/// A configuration whose values are all computed here as PEFT computes them.
#[derive(Debug)]
pub struct Config {
    targets: Targets,
    rank: usize,
    alpha: f64,
    ranks: ByModule<usize>,
    alphas: ByModule<f64>,
    rank_stabilized: bool,
    /// Keys that are not known.
    pub unread: Unread,
}

impl Config {
    /// Read a configuration.
    ///
    /// # Errors
    /// Another kind of adapter than LoRA, or a value that would be computed otherwise than PEFT does.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        let refuse = |what: &str| Err(input(format!("{}: {what}", path.display())));
        let map: Map<String, Value> = match serde_json::from_slice(bytes) {
            Ok(map) => map,
            Err(error) => return refuse(&format!("is not a configuration of PEFT ({error})")),
        };
        let kind = map.get("peft_type").and_then(Value::as_str);
        match kind {
            Some("LORA") => {}
            Some(kind) => {
                return refuse(&format!("is an adapter of kind {}; only LORA is read", kind.escape_debug()));
            }
            None => return refuse("is not a configuration of PEFT: it has no peft_type"),
        }
        Self::lora(&map).or_else(|what| refuse(&what))
    }

    /// The configuration of a LoRA adapter; the error is a sentence without the file.
    fn lora(map: &Map<String, Value>) -> Result<Self, String> {
        let of = |key: &str| map.get(key).unwrap_or(&Value::Null);
        for (key, what) in MUST_BE_OFF {
            if !is_off(of(key)) {
                return Err(format!("{key}: {what}"));
            }
        }
        for (key, what) in MUST_BE_ABSENT {
            if !of(key).is_null() {
                return Err(format!("{key}: {what}"));
            }
        }
        match of("bias") {
            Value::Null => {}
            Value::String(word) if word == "none" => {}
            _ => return Err("bias: adapters that train biases are not read".into()),
        }
        match of("task_type") {
            Value::Null => {}
            Value::String(task) if TASKS.contains(&task.as_str()) => {}
            other => return Err(format!("task_type: {} is not a task that PEFT knows", shown(other))),
        }
        check_start(of("init_lora_weights"))?;
        let rank = |value: &Value| value.as_u64().filter(|&rank| rank > 0).map(|rank| rank as usize);
        let unread = |key: &str| format!("{key}: {} is not read", shown(of(key)));
        let mut unknown = Unread::default();
        unknown.note(CONFIG, &[KEYS], map.keys().map(String::as_str));
        Ok(Self {
            targets: Targets::new(map).map_err(unread)?,
            rank: match of("r") {
                Value::Null => DEFAULT as usize,
                value => rank(value).ok_or_else(|| {
                    format!("r: {} is not a rank, which is a whole number above 0", shown(value))
                })?,
            },
            alpha: match of("lora_alpha") {
                Value::Null => f64::from(DEFAULT),
                value => value.as_f64().ok_or_else(|| unread("lora_alpha"))?,
            },
            ranks: ByModule::new(map.get("rank_pattern"), rank).ok_or_else(|| unread("rank_pattern"))?,
            alphas: ByModule::new(map.get("alpha_pattern"), Value::as_f64)
                .ok_or_else(|| unread("alpha_pattern"))?,
            rank_stabilized: match of("use_rslora") {
                Value::Bool(yes) => *yes,
                Value::Null => false,
                _ => return Err(unread("use_rslora")),
            },
            unread: unknown,
        })
    }

    /// Whether PEFT would put an adapter to a module that goes by any of these names.
    pub fn names(&self, names: &[String], family: Family) -> bool {
        self.targets.name(names, family)
    }

    /// The rank of a module's change, and what it is scaled by, as a number of f32.
    ///
    /// # Errors
    /// A scale that f32 does not hold, as a sentence without the file.
    pub fn rank_and_scale(&self, names: &[String]) -> Result<(usize, f32), String> {
        let rank = self.ranks.of(names).unwrap_or(self.rank);
        let alpha = self.alphas.of(names).unwrap_or(self.alpha);
        let root = if self.rank_stabilized { (rank as f64).sqrt() } else { rank as f64 };
        let scale = (alpha / root) as f32;
        match scale.is_finite() {
            true => Ok((rank, scale)),
            false => Err(format!("lora_alpha: {alpha:e} over a rank of {rank} is beyond what f32 holds")),
        }
    }
}

/// Refuse an adapter that is a change of other weights than the model's.
fn check_start(value: &Value) -> Result<(), String> {
    let Value::String(word) = value else {
        return match value {
            Value::Null | Value::Bool(_) => Ok(()),
            _ => Err(format!("init_lora_weights: {} is not read", shown(value))),
        };
    };
    let lower = word.to_lowercase();
    match () {
        () if STARTS.contains(&lower.as_str()) => Ok(()),
        () if SUBTRACTED.iter().any(|start| lower.starts_with(start)) => Err(format!(
            "init_lora_weights: {}: this adapter belongs to weights that its start was subtracted from, which are not the \
             model's; save it with path_initial_model_for_weight_conversion, so that it belongs to the model itself",
            shown(value)
        )),
        () => Err(format!("init_lora_weights: {} is a start that is not known", shown(value))),
    }
}

/// What Python takes as false.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(yes) => !yes,
        Value::Number(number) => number.as_f64() == Some(0.),
        Value::String(word) => word.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// A value as a sentence quotes it.
fn shown(value: &Value) -> String {
    const MOST: usize = 60;
    let text = match value {
        Value::String(word) => word.escape_debug().to_string(),
        _ => value.to_string(),
    };
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("`{}...`", &text[..end]),
        None => format!("`{text}`"),
    }
}
