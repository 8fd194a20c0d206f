//! A GGUF file: header, architecture, tokenizer, chat template, weights as stored and widened, and some tokens through them.
#![no_main]

mod common;
mod mutate;

use candle_core::quantized::gguf_file::Value;
use icl_mask::config::ModelChoice;
use icl_mask::hub::Wanted;
use icl_mask::model::{Checkpoint, Precision, Transformer};
use icl_mask::prompt::Tokenizer;
use icl_mask::prompt::chat::{ChatTemplate, Source};
use icl_mask::run::OpenModel;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

/// Pre-tokenizers with patterns that take ten milliseconds to compile, whatever the input.
const SLOW: [&str; 5] = ["qwen2", "llama-bpe", "llama3", "llama-v3", "bloom"];

fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    mutate::mutate(data, size, most, seed, 0, &[])
});

fuzz_target!(|bytes: &[u8]| {
    let path = common::file("model.gguf", bytes);
    let Some(checkpoint) = common::judge(Checkpoint::open(&path), bytes) else { return };
    // Its weights are of interest whatever its tokenizer is, and the other way round.
    let precision = if common::one_of(2, bytes) { Precision::Stored } else { Precision::F32 };
    if let Some(model) = common::judge(Transformer::load(&checkpoint, precision), bytes) {
        common::forward(&model);
    }
    let Checkpoint::Gguf(file) = &checkpoint else { return };
    if matches!(file.metadata().get("tokenizer.ggml.pre"), Some(Value::String(pre)) if SLOW.contains(&pre.as_str()))
        && !common::one_of(64, bytes)
    {
        return;
    }
    if let Some(tokenizer) = common::judge(Tokenizer::from_gguf(file.metadata()), bytes) {
        if let Some(ids) = common::judge(tokenizer.encode("Q: two birds\u{e9}\nA:"), bytes) {
            tokenizer.decode(&ids);
        }
        let roles = &tokenizer.special().roles;
        let template = Source::gguf(file.metadata()).and_then(|source| ChatTemplate::new(source, roles));
        common::judge(template, bytes);
    }
    // The way that the program takes, which reads the file three times.
    if common::one_of(16, bytes) {
        let choice = ModelChoice::resolve(&path.display().to_string(), "--model");
        common::judge(choice.and_then(|choice| OpenModel::open(&choice, Wanted::Weights)), bytes);
    }
});
