//! `models`: the models by name, what they need, and whether they are here.

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;

use crate::base::console::{note, say, say_json, wrapped};
use crate::base::units::gib;
use crate::cli::ModelsArgs;
use crate::config::{ModelChoice, files};
use crate::engine::{kv_bytes_a_token, weights};
use crate::hub::ModelFiles;
use crate::model::{Arch, Checkpoint, Mixture, Precision, Routing};
use crate::run::{describe, locate};

/// List, or show one.
pub fn models(args: ModelsArgs) -> Result<()> {
    match &args.model {
        Some(name) => one(&ModelChoice::resolve(name, "models", describe)?, args.json),
        None => list(args.json),
    }
}

fn list(json: bool) -> Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["model", "layers", "parameters", "f32 GiB", "bf16 GiB", "KiB/token", "here"]);
    for name in files::names("model") {
        let choice = ModelChoice::resolve(&name, "models", describe)?;
        let Some(config) = &choice.config else { continue };
        let (arch, stored, here) = match choice.is_here().then(|| header(&choice)) {
            None => (config.arch()?, None, "no"),
            Some(Ok((arch, stored))) => (arch, stored, "yes"),
            Some(Err(error)) => {
                note(format!("{name}: {error:#}"));
                (config.arch()?, None, "unreadable")
            }
        };
        if json {
            say_json(&as_json(&choice, &arch, stored))?;
            continue;
        }
        table.add_row([
            name,
            arch.layers.to_string(),
            parameters(&arch),
            format!("{:.2}", gib(weights(&arch, Precision::F32, None))),
            format!("{:.2}", gib(weights(&arch, Precision::Bf16, None))),
            format!("{:.0}", kv_bytes_a_token(&arch) as f64 / 1024.),
            here.to_string(),
        ]);
    }
    for column in table.column_iter_mut().skip(1).take(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    if json { Ok(()) } else { say(&table.trim_fmt()) }
}

/// One model: from its own header where it is here, else as configured.
fn one(choice: &ModelChoice, json: bool) -> Result<()> {
    let here = choice.is_here();
    let (arch, stored) = match &choice.config {
        Some(config) if !here => (config.arch()?, None),
        _ => header(choice)?,
    };
    if json {
        return say_json(&as_json(choice, &arch, stored));
    }
    let whether_here = match (stored, &choice.config) {
        (Some(bytes), _) => {
            format!("the model is at {}, {:.2} GiB as stored", choice.path.display(), gib(bytes))
        }
        (None, Some(config)) if !here => {
            format!("the model is not at {}: {}", choice.path.display(), config.how_to_get(&choice.path))
        }
        (None, _) => format!("the weights are not at {} yet", choice.path.display()),
    };
    if let Some(config) = choice.config.as_ref().filter(|config| !config.description.is_empty()) {
        say(&format!("{}: {}", choice.name, config.description))?;
    } else {
        say(&choice.name)?;
    }
    say(&format!(
        "  {} family, {} parameters\n{}\n  {} layers, hidden size {}, {} heads of size {}, {} key/value heads\n  {}, \
         vocabulary {}, context {} tokens\n  weights as f32 {:.2} GiB, as f16 or bf16 {:.2} GiB; KV cache {:.1} KiB per token",
        json!(arch.family).as_str().unwrap_or_default(),
        parameters(&arch),
        wrapped(&format!("  {whether_here}"), "    "),
        arch.layers,
        arch.hidden,
        arch.heads,
        arch.head_dim,
        arch.kv_heads,
        mlps(&arch),
        arch.vocab,
        arch.context,
        gib(weights(&arch, Precision::F32, None)),
        gib(weights(&arch, Precision::Bf16, None)),
        kv_bytes_a_token(&arch) as f64 / 1024.,
    ))
}

/// The sizes of a model's MLPs, and of its experts where it has some.
fn mlps(arch: &Arch) -> String {
    let mlp = format!("MLP size {}", arch.intermediate);
    let Some(Mixture { routing: Routing { experts, chosen, .. }, width, dense }) = &arch.experts else {
        return mlp;
    };
    let of_layer = format!("{experts} experts of size {width}, of which a token takes {chosen}");
    if dense.is_empty() { of_layer } else { format!("{mlp}, {of_layer}") }
}

/// What a model's own files say of it, and how many bytes its weights take as stored, where they are here.
fn header(choice: &ModelChoice) -> Result<(Arch, Option<u64>)> {
    let path = locate(choice, ModelFiles::Description)?;
    let arch = choice.arch(&path)?;
    // Of a model of the hub only the description may be here.
    match Checkpoint::open(&path) {
        Ok(checkpoint) => Ok((checkpoint.arch().clone(), checkpoint.size().ok())),
        Err(_) => Ok((arch, None)),
    }
}

/// The number of parameters, written alike in the list and for one model.
fn parameters(arch: &Arch) -> String {
    let count = arch.parameters() as f64;
    if count < 1e9 { format!("{:.1} M", count / 1e6) } else { format!("{:.3} B", count / 1e9) }
}

fn as_json(choice: &ModelChoice, arch: &Arch, stored: Option<u64>) -> serde_json::Value {
    json!({
        "model": choice.name,
        "hub": choice.hub.as_ref().map(ToString::to_string),
        "path": choice.path,
        "here": choice.is_here(),
        "prepare": choice.config.as_ref().and_then(|config| config.prepare.clone()),
        "layers": arch.layers,
        "parameters": arch.parameters(),
        "bytes": {
            "f32": weights(arch, Precision::F32, None),
            "f16": weights(arch, Precision::F16, None),
            "bf16": weights(arch, Precision::Bf16, None),
            "stored": stored,
            "kv_cache_a_token": kv_bytes_a_token(arch),
        },
        "arch": arch,
    })
}
