//! Greedy tokens of any checkpoint and the logits each was chosen from, for a comparison by other programs
//! (`tests/peers/families.py`).
//!
//!     cargo run --release --example greedy -- MODEL --prompt ids.json --tokens 1000 --out generated
//!
//! Writes `OUT.json`, a list of token ids, and `OUT.f32`, `[tokens, vocabulary]` as little-endian f32.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use icl_mask::engine::Plain;
use icl_mask::intervene::Plan;
use icl_mask::model::{Checkpoint, Precision, Transformer};

const UNMASKED: &Plan = &Plan::UNMASKED;

#[derive(Parser)]
struct Args {
    /// A folder with safetensors or a GGUF file
    model: PathBuf,
    /// A JSON list of token ids
    #[arg(long)]
    prompt: PathBuf,
    /// How many to generate
    #[arg(long)]
    tokens: usize,
    /// Where they go, without extension
    #[arg(long)]
    out: PathBuf,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let prompt: Vec<u32> = serde_json::from_slice(&fs::read(&args.prompt)?)?;
    let checkpoint = Checkpoint::open(&args.model)?;
    let arch = checkpoint.arch().for_lengths(prompt.len()..=prompt.len() + args.tokens)?;
    let model = Transformer::new(arch, checkpoint.weights(), Precision::F32)?;
    let mut sequence = Plain::new(&model, UNMASKED, prompt.len() + args.tokens)?;
    let mut file = BufWriter::new(File::create(args.out.with_extension("f32"))?);
    let (mut next, mut generated) = (prompt, Vec::with_capacity(args.tokens));
    while generated.len() < args.tokens {
        let logits = sequence.logits(&next)?;
        for logit in &logits {
            file.write_all(&logit.to_le_bytes())?;
        }
        let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).context("no vocabulary")?.0;
        next = vec![best as u32];
        generated.push(best as u32);
    }
    file.flush()?;
    Ok(fs::write(args.out.with_extension("json"), serde_json::to_string(&generated)?)?)
}
