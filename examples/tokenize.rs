//! Prints the tokens of texts: `tokenize MODEL < texts`, where MODEL is a `.gguf` file, a `tokenizer.json` or
//! a folder with one, and each line of the input is a JSON string.
//!
//! For each line one JSON list of ids, without BOS. With `--spans`, lists of `[id, begin, end]` instead
//! (bytes of the text), or `{"error": ...}` where the tokens do not reproduce the text; `--normalize` brings
//! each text to the tokenizer's Unicode form first. `tests/peers/compare_tokenizers.py` compares this with
//! Hugging Face.
#![allow(clippy::disallowed_methods, reason = "it is no part of the program")]

use std::io::{BufRead, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use candle_core::quantized::gguf_file::Content;
use icl_mask::prompt::tokenizer::Tokenizer;
use serde_json::json;

fn main() -> Result<()> {
    let (flags, paths): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|arg| arg.starts_with("--"));
    let [path] = paths.as_slice() else {
        bail!("usage: tokenize MODEL [--spans] [--normalize] < lines of JSON strings")
    };
    let (spans, normalize) =
        (flags.iter().any(|flag| flag == "--spans"), flags.iter().any(|flag| flag == "--normalize"));
    let tokenizer = load(Path::new(path))?;
    let mut out = std::io::stdout().lock();
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let mut text: String = serde_json::from_str(&line?)
            .with_context(|| format!("line {} is not a JSON string", number + 1))?;
        if normalize {
            text = tokenizer.normalize(&text);
        }
        let ids = tokenizer.encode(&text)?;
        let answer = match tokenizer.spans(&text, &ids) {
            _ if !spans => json!(ids),
            Ok(spans) => ids.iter().zip(spans).map(|(id, span)| json!([id, span.start, span.end])).collect(),
            Err(error) => json!({ "error": error.to_string() }),
        };
        writeln!(out, "{answer}")?;
    }
    Ok(())
}

fn load(path: &Path) -> Result<Tokenizer> {
    if path.extension().is_none_or(|extension| extension != "gguf") {
        return Tokenizer::from_file(path);
    }
    let mut file = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let content = Content::read(&mut file).with_context(|| format!("cannot read {}", path.display()))?;
    Tokenizer::from_gguf(&content.metadata)
}
