//! A model folder and an adapter for it, one file of which is the input: the first byte says which, and of which family the
//! others are.
#![no_main]

mod common;
mod mutate;

use std::sync::LazyLock;

use icl_mask::config::ModelChoice;
use icl_mask::hub::ModelFiles;
use icl_mask::lora::peft;
use icl_mask::model::{Adapters, Arch, Checkpoint, Precision, Transformer, not_applied, unread};
use icl_mask::prompt::Tokenizer;
use icl_mask::prompt::chat::{ChatTemplate, TemplateSource};
use icl_mask::run::OpenModel;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

/// As in fuzz/seeds.py.
const FAMILIES: [&str; 8] =
    ["llama", "qwen2", "gpt-neo", "bloom", "starcoder2", "gpt2", "gpt-neox", "gemma3"];
const FILES: [&str; 11] = [
    "model.safetensors",
    "config.json",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
    "chat_template.jinja",
    "adapter/adapter_config.json",
    "adapter/adapter_model.safetensors",
];

fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    mutate::mutate(data, size, most, seed, 1, &[])
});

fuzz_target!(|bytes: &[u8]| {
    LazyLock::force(&RIGHT);
    let Some((which, rest)) = bytes.split_first() else { return };
    let which = usize::from(*which);
    let (family, file) = (which / FILES.len() % FAMILIES.len(), which % FILES.len());
    common::file(&format!("{}/{}", FAMILIES[family], FILES[file]), rest);
    match file {
        0..=2 => weights(family, bytes),
        3..=8 => tokenizer(family, bytes),
        _ => adapter(family, bytes),
    }
    // The way that the program takes, which reads some files several times.
    if common::one_of(16, bytes) {
        let folder = common::FOLDER.join(FAMILIES[family]);
        let choice = ModelChoice::resolve(&folder.display().to_string(), "--model", icl_mask::run::describe);
        common::judge(choice.and_then(|choice| OpenModel::open(&choice, ModelFiles::Weights)), bytes);
    }
    common::restore(FAMILIES[family], FILES[file]);
});

/// All folders are right, and these are their architectures.
static RIGHT: LazyLock<Vec<Arch>> = LazyLock::new(|| {
    let arch = |family: &&str| {
        FILES.iter().for_each(|file| common::restore(family, file));
        Arch::from_config_json(&common::right(family).join("config.json")).expect("it is right")
    };
    FAMILIES.iter().map(arch).collect()
});

fn weights(family: usize, bytes: &[u8]) {
    let folder = common::FOLDER.join(FAMILIES[family]);
    common::judge(unread(&folder), bytes);
    let checkpoint = Checkpoint::open(&folder);
    let Some(checkpoint) = common::judge(checkpoint, bytes) else { return };
    if let Some(model) = common::judge(Transformer::load(&checkpoint, Precision::F32), bytes) {
        common::forward(&model);
    }
}

fn tokenizer(family: usize, bytes: &[u8]) {
    let folder = common::FOLDER.join(FAMILIES[family]);
    common::judge(not_applied(&folder), bytes);
    let file = folder.join("tokenizer.json");
    let Some(tokenizer) = common::judge(Tokenizer::from_file(&file), bytes) else { return };
    let roles = &tokenizer.special().roles;
    let template = TemplateSource::beside(&file).and_then(|source| ChatTemplate::new(source, roles));
    if let Some(template) = common::judge(template, bytes) {
        common::judge(template.kept(" Q: {{ x }}\n<s>A:"), bytes);
    }
}

fn adapter(family: usize, bytes: &[u8]) {
    let folder = common::FOLDER.join(FAMILIES[family]);
    let place = folder.join("adapter");
    common::judge(peft::check(&place, 0), bytes);
    let Some(opened) = common::judge(peft::open(&place, &RIGHT[family]), bytes) else { return };
    // A folder with an adapter is not a model, so naming it as one must be refused.
    let choice = ModelChoice::resolve(&place.display().to_string(), "--model", icl_mask::run::describe);
    assert!(common::judge(choice, bytes).is_none(), "a folder with an adapter was accepted as a model");
    let checkpoint = Checkpoint::open(&folder).expect("it is right");
    let mut model = Transformer::load(&checkpoint, Precision::F32).expect("it is right");
    if common::judge(model.adapt(Adapters::everywhere(opened.adapter)), bytes).is_some() {
        common::forward(&model);
    }
}
