//! A GGUF file, whole or one of two parts: header, architecture, tokenizer, chat template, weights as stored and widened, and some
//! tokens through them. The first byte says whether the input is the whole file, the first part or the second.
#![no_main]

mod common;
mod mutate;

use std::path::PathBuf;
use std::sync::Once;

use candle_core::quantized::gguf_file::Value;
use icl_mask::config::ModelChoice;
use icl_mask::hub::ModelFiles;
use icl_mask::model::{Checkpoint, Precision, Transformer, not_applied_gguf, unread_gguf};
use icl_mask::prompt::Tokenizer;
use icl_mask::prompt::chat::{ChatTemplate, TemplateSource};
use icl_mask::prompt::tokenizer::keys;
use icl_mask::run::OpenModel;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

/// Pre-tokenizers with patterns that take ten milliseconds to compile, whatever the input.
const SLOW: [&str; 5] = ["qwen2", "llama-bpe", "llama3", "llama-v3", "bloom"];
const PARTS: [&str; 2] = ["model-00001-of-00002.gguf", "model-00002-of-00002.gguf"];

fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    mutate::mutate(data, size, most, seed, 1, &[])
});

fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else { return };
    let path = placed(usize::from(*which), rest);
    let Some(checkpoint) = common::judge(Checkpoint::open(&path), bytes) else { return };
    // Its weights are of interest whatever its tokenizer is, and the other way round.
    let precision = if common::one_of(2, bytes) { Precision::Stored } else { Precision::F32 };
    if let Some(model) = common::judge(Transformer::load(&checkpoint, precision), bytes) {
        common::forward(&model);
    }
    let Checkpoint::Gguf(file) = &checkpoint else { return };
    let metadata = file.metadata();
    unread_gguf("model.gguf", file.architecture(), metadata).join(keys::unread_gguf("model.gguf", metadata));
    not_applied_gguf(metadata);
    if matches!(metadata.get("tokenizer.ggml.pre"), Some(Value::String(pre)) if SLOW.contains(&pre.as_str()))
        && !common::one_of(64, bytes)
    {
        return;
    }
    if let Some(tokenizer) = common::judge(Tokenizer::from_gguf(metadata), bytes) {
        if let Some(ids) = common::judge(tokenizer.encode("Q: two birds\u{e9}\nA:"), bytes) {
            tokenizer.decode(&ids);
        }
        let roles = &tokenizer.special().roles;
        let template = TemplateSource::gguf(metadata).and_then(|source| ChatTemplate::new(source, roles));
        common::judge(template, bytes);
    }
    // The way that the program takes, which reads the file three times.
    if common::one_of(16, bytes) {
        let choice = ModelChoice::resolve(&path.display().to_string(), "--model", icl_mask::run::describe);
        common::judge(choice.and_then(|choice| OpenModel::open(&choice, ModelFiles::Weights)), bytes);
    }
});

/// The input at its place, the right other part beside it; what is to be opened.
fn placed(which: usize, bytes: &[u8]) -> PathBuf {
    static RIGHT: Once = Once::new();
    RIGHT.call_once(|| PARTS.iter().for_each(|part| common::restore("parts", part)));
    let Some(part) = (which % 3).checked_sub(1) else { return common::file("model.gguf", bytes) };
    common::restore("parts", PARTS[1 - part]);
    common::file(&format!("parts/{}", PARTS[part]), bytes);
    common::FOLDER.join("parts").join(PARTS[0])
}
