//! `models`: the models by name, what they need, and whether they are here.

use anyhow::Result;
use comfy_table::{Table, presets};
use serde_json::json;

use super::say;
use crate::cli::ModelsArgs;
use crate::config::{ModelChoice, ModelConfig, files};
use crate::model::{Arch, Checkpoint, Family};

/// List, or show one.
pub fn models(args: ModelsArgs) -> Result<()> {
    match &args.model {
        Some(name) => one(&ModelChoice::resolve(name, "models")?, args.json),
        None => list(args.json),
    }
}

fn list(json: bool) -> Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["model", "layers", "parameters", "f32 weights", "here", "family", "what it is"]);
    for name in files::names("model") {
        let choice = ModelChoice::resolve(&name, "models")?;
        let Some(config) = &choice.config else { continue };
        let here = choice.path.exists();
        if json {
            say(&as_json(&choice, config).to_string())?;
            continue;
        }
        let supported = Family::of_model_type(&config.family).is_ok();
        let family =
            if supported { config.family.clone() } else { format!("{} (not yet computed)", config.family) };
        table.add_row([
            name,
            config.layers.to_string(),
            format!("{:.3} B", config.billions),
            format!("{:.1} GiB", gib((config.billions * 4e9) as u64)),
            if here { "yes" } else { "no" }.to_string(),
            family,
            config.description.clone(),
        ]);
    }
    if json { Ok(()) } else { say(&table.trim_fmt()) }
}

fn as_json(choice: &ModelChoice, config: &ModelConfig) -> serde_json::Value {
    json!({
        "model": choice.name,
        "layers": config.layers,
        "billions": config.billions,
        "family": config.family,
        "supported": Family::of_model_type(&config.family).is_ok(),
        "hub": config.hub,
        "path": choice.path,
        "here": choice.path.exists(),
        "prepare": config.prepare,
    })
}

/// One model: from its own header where it is here.
fn one(choice: &ModelChoice, json: bool) -> Result<()> {
    if let (false, Some(config)) = (choice.path.exists(), &choice.config) {
        if json {
            return say(&as_json(choice, config).to_string());
        }
        return say(&format!(
            "{}: {} layers, {:.3} B parameters, family {}; not at {}: {}",
            choice.name,
            config.layers,
            config.billions,
            config.family,
            choice.path.display(),
            config.how_to_get(&choice.path)
        ));
    }
    let checkpoint: Checkpoint = choice.open()?;
    let arch: &Arch = checkpoint.arch();
    if json {
        let mut value = serde_json::to_value(arch)?;
        value["model"] = choice.name.clone().into();
        value["path"] = choice.path.display().to_string().into();
        value["parameters"] = arch.parameters().into();
        return say(&value.to_string());
    }
    say(&format!(
        "{} ({})\n  {} layers, hidden {}, {} heads of {} over {} key/value heads, MLP {}, vocabulary {}, context {}\n  \
         {:.1} M parameters; weights as f32: {:.2} GiB; KV cache: {:.1} KiB a token",
        choice.name,
        choice.path.display(),
        arch.layers,
        arch.hidden,
        arch.heads,
        arch.head_dim,
        arch.kv_heads,
        arch.intermediate,
        arch.vocab,
        arch.context,
        arch.parameters() as f64 / 1e6,
        gib(4 * arch.parameters()),
        crate::model::KvCache::bytes(arch, 1, 1) as f64 / 1024.,
    ))
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}
