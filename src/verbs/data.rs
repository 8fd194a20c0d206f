//! `data`: the corpora by name, the scripts that prepare them, and what they hold.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use comfy_table::{ContentArrangement, Table, presets};

use crate::base::console::{COLUMNS, note, say};
use crate::base::error::input;
use crate::cli::{DataAction, DataArgs};
use crate::config::files;
use crate::data::{Corpus, DataConfig, Direction};

/// List, prepare, verify.
pub fn data(args: DataArgs) -> Result<()> {
    match args.action {
        DataAction::List => list(),
        DataAction::Prepare { name } => prepare(&config(&name)?),
        DataAction::Verify { name, direction } => verify(&config(&name)?, direction.as_deref()),
    }
}

fn config(name: &str) -> Result<DataConfig> {
    let file = files::find("data", name, "data")?;
    DataConfig::parse(&file.text, &file.path)
}

/// All corpora. One whose file is malformed is named, and does not keep the others from being listed.
fn list() -> Result<()> {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(COLUMNS);
    table.set_header(["corpus", "prepared by", "description"]);
    for name in files::names("data") {
        match config(&name) {
            Ok(config) => table.add_row([
                config.name,
                config.prepare.unwrap_or_else(|| "your own files".into()),
                config.description.unwrap_or_default(),
            ]),
            Err(error) => {
                note(format!("left out: {error:#}"));
                continue;
            }
        };
    }
    say(&table.trim_fmt())
}

fn prepare(config: &DataConfig) -> Result<()> {
    let Some(command) = &config.prepare else {
        return Err(input(format!(
            "{}: has no script that prepares it; put its files in place",
            config.name
        )));
    };
    // A script that prepares several corpora is told which one: `bin/prepare-tasks.sh reviews`.
    let mut words = command.split_whitespace();
    let script = words.next().unwrap_or_default();
    if !Path::new(script).exists() {
        return Err(input(format!("{script} is not here: run this in a checkout of icl-mask")));
    }
    let status = Command::new("bash")
        .arg(script)
        .args(words)
        .status()
        .with_context(|| format!("cannot run {script}"))?;
    if !status.success() {
        bail!("{command} failed ({status})");
    }
    Ok(())
}

fn verify(config: &DataConfig, direction: Option<&str>) -> Result<()> {
    let asked = direction.map(str::parse::<Direction>).transpose().context("--direction")?;
    let direction = match asked {
        Some(direction) => Some(direction),
        None => config.own_direction()?,
    };
    let corpus = Corpus::load_any(config, direction.as_ref())?;
    let direction = direction.map_or(String::new(), |direction| format!(" {direction}"));
    say(&format!(
        "{}{direction}: {} demonstrations, {} test items\nsha256 {}",
        corpus.name,
        corpus.demonstrations.len(),
        corpus.test.len(),
        corpus.hash
    ))?;
    match corpus.test.first() {
        Some(first) => say(&format!("first test item {}:\n  {}\n  {}", first.id, first.source, first.target)),
        None => Ok(()),
    }
}
