//! What this program computes, for a comparison by other programs (`tests/peers/parity.py`): for each item, mask and
//! start layer the prompt's tokens and segments, the hidden columns, the greedy tokens, and, in a raw file of
//! little-endian f32, the logits of the last prompt row.
//!
//!     cargo run --release --example reference_dump -- --limit 3 --mask none,TTF --from-layer 0,14 \
//!         --dump dump.jsonl --logits logits.f32

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use icl_mask::config::{Experiment, Run, Settings};
use icl_mask::engine::{Generation, Limits, Observer, Plain, Request, generate};
use icl_mask::hub::ModelFiles;
use icl_mask::intervene::{Condition, Intervention, Masks};
use icl_mask::model::{Decoder, Precision, Transformer};
use icl_mask::prompt::Prompt;
use icl_mask::run::{OpenModel, RunInputs, hidden_json};
use serde_json::json;

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    settings: Settings,
    /// Where the lines go
    #[arg(long)]
    dump: PathBuf,
    /// Where the logits go
    #[arg(long)]
    logits: PathBuf,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let experiment = Experiment::resolve(None, args.settings, icl_mask::run::describe)?;
    let mut logits = BufWriter::new(File::create(&args.logits)?);
    let mut dump = BufWriter::new(File::create(&args.dump)?);
    let mut index = 0;
    for run in &experiment.runs {
        let model = OpenModel::open(&run.model, ModelFiles::Weights)?;
        let decoder = Transformer::load(model.checkpoint()?, Precision::F32)?;
        let prepared = RunInputs::new(run.clone(), &model)?;
        let wanted: Vec<(&Prompt, Condition)> = prepared
            .prompts
            .iter()
            .flat_map(|prompt| run.conditions.iter().map(move |&condition| (prompt, condition)))
            .collect();
        let requests: Vec<Request> = wanted
            .iter()
            .map(|&(prompt, condition)| {
                Request::new(prompt, condition.plan(prompt, &Masks::default()).expect("a mask of letters"))
            })
            .collect();
        let mut kept = Kept(vec![None; requests.len()]);
        let limits = Limits::branches(experiment.batch);
        generate(&decoder, &model.tokenizer, &requests, &prepared.rule, limits, &mut kept)?;
        for ((request, (prompt, condition)), generation) in requests.iter().zip(&wanted).zip(kept.0) {
            for logit in last_row(&decoder, request)? {
                logits.write_all(&logit.to_le_bytes())?;
            }
            let mut line = describe(run, prompt);
            let own = condition.intervention() == Some(Intervention::All);
            line["mask"] = condition.series().to_string().into();
            line["from_layer"] = condition.start(decoder.arch().layers).into();
            line["n_layers"] = decoder.arch().layers.into();
            line["own_column_only"] = own.into();
            line["hidden"] = if own { json!([]) } else { hidden_json(*condition, prompt, &Masks::default()) };
            line["generated"] = generation.context("a generation is missing")?.tokens.into();
            line["logits_index"] = index.into();
            writeln!(dump, "{line}")?;
            index += 1;
        }
    }
    dump.flush()?;
    Ok(logits.flush()?)
}

/// The item's prompt and its parts.
fn describe(run: &Run, prompt: &Prompt) -> serde_json::Value {
    let [examples, query] = prompt.borders;
    json!({
        "item": prompt.item,
        "model": run.model.name,
        "profile": run.profile,
        "prompt": prompt.text,
        "tokens": prompt.tokens,
        "segments": prompt.segments,
        "segment_texts": {
            "instructions": prompt.text[..examples],
            "examples": prompt.text[examples..query],
            "query": prompt.text[query..],
        },
    })
}

/// Logits of the prompt's last row, computed alone.
fn last_row(decoder: &Transformer, request: &Request) -> Result<Vec<f32>> {
    Plain::new(decoder, &request.plan, request.prompt.tokens.len())?.logits(&request.prompt.tokens)
}

struct Kept(Vec<Option<Generation>>);

impl Observer for Kept {
    fn finished(&mut self, index: usize, generation: Generation) -> Result<()> {
        self.0[index] = Some(generation);
        Ok(())
    }
}
