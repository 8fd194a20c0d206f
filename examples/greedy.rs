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
use candle_core::{DType, Device, IndexOp};
use clap::Parser;
use icl_mask::mask::NOTHING;
use icl_mask::model::{Checkpoint, Decoder, KvCache, Precision, Rows, Transformer};

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
    let model = Transformer::load(&Checkpoint::open(&args.model)?, Precision::F32, &Device::Cpu)?;
    let cache = KvCache::new(model.arch(), 1, prompt.len() + args.tokens, DType::F32, &Device::Cpu)?;
    let mut file = BufWriter::new(File::create(args.out.with_extension("f32"))?);
    let (mut next, mut at, mut generated) = (prompt, 0, Vec::with_capacity(args.tokens));
    while generated.len() < args.tokens {
        let positions: Vec<usize> = (at..at + next.len()).collect();
        let mut hidden = model.embed(&next, &positions)?;
        for layer in 0..model.arch().layers {
            let rows = Rows { slot: 0, positions: &positions, hidden: &NOTHING };
            hidden = model.layer(layer, &hidden, &[rows], &cache)?;
        }
        let logits: Vec<f32> = model.logits(&hidden.i(next.len() - 1..)?)?.flatten_all()?.to_vec1()?;
        for logit in &logits {
            file.write_all(&logit.to_le_bytes())?;
        }
        let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).context("no vocabulary")?.0;
        at += next.len();
        next = vec![best as u32];
        generated.push(best as u32);
    }
    file.flush()?;
    Ok(fs::write(args.out.with_extension("json"), serde_json::to_string(&generated)?)?)
}
