//! The models of `tests/goldens/families`: real head sizes, windows and rotary scalings, small widths, drawn weights.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use icl_mask::engine::{Generation, Observer};
use icl_mask::model::{Arch, DeviceTransformer, Precision, Transformer};
use icl_mask::prompt::{Profile, Prompt, Segments};

use crate::drawn::Drawn;
use crate::tiny;

pub const FAMILIES: [&str; 45] = [
    "llama-2",
    "llama-3.1",
    "llama-3.2",
    "qwen2",
    "qwen2-window",
    "gpt-neo",
    "bloom",
    "starcoder2",
    "starcoder2-short",
    "gpt2",
    "gpt-neox",
    "gpt-neox-serial",
    "gemma3",
    "gemma3-short",
    "qwen3",
    "qwen3-yarn",
    "mistral",
    "mistral-short",
    "mistral-v0.3",
    "ministral",
    "smollm3",
    "qwen3-moe",
    "mixtral",
    "gemma2",
    "gemma2-short",
    "olmo2",
    "olmo3",
    "granite",
    "phi3",
    "phi3-long",
    "phi4-mini",
    "gptj",
    "opt",
    "opt-350m",
    "falcon-rw",
    "falcon-7b",
    "falcon-40b",
    "falcon-11b",
    "cohere",
    "cohere-plus",
    "stablelm",
    "stablelm-2-12b",
    "olmoe",
    "granitemoe",
    "gpt-oss",
];

/// Largest difference, as a share of the largest absolute value expected in the same vector.
pub const TOLERANCE: f32 = 1e-4;

pub fn path(family: &str, file: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/goldens/families", family, file].iter().collect()
}

/// The arrays of a file.
pub fn arrays(family: &str, file: &str) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(path(family, file), &Device::Cpu).unwrap()
}

/// What its file describes, for sequences of the lengths that goldens have.
pub fn arch(family: &str) -> Arch {
    let arch = Arch::from_config_json(&path(family, "config.json")).unwrap();
    arch.for_lengths(7..=128).unwrap()
}

/// The model and its prompt, whose text plays no part.
pub fn build(family: &str, draw: &Drawn, prompt_length: usize, segments: &Segments) -> (Transformer, Prompt) {
    let arch = arch(family);
    let mut prompt = tiny::prompts(&tiny::tokenizer("smollm"), Profile::Exact, 1, 1).remove(0);
    prompt.tokens = draw.token_ids(prompt_length, arch.vocab);
    prompt.segments = segments.clone();
    (Transformer::new(arch, draw, Precision::F32).unwrap(), prompt)
}

/// The model on the device of [`tiny::device`].
pub fn on_device(family: &str, draw: &Drawn, dtype: DType) -> DeviceTransformer {
    DeviceTransformer::new(arch(family), draw, dtype, &tiny::device()).unwrap()
}

/// The tokens of generations, by request.
pub struct Collected(pub Vec<Vec<u32>>);

impl Observer for Collected {
    fn finished(&mut self, index: usize, generation: Generation) -> Result<()> {
        self.0[index] = generation.tokens;
        Ok(())
    }
}

/// The largest difference to what is expected, as a share of the largest value expected.
pub fn error(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().all(|value| value.is_finite()));
    let largest = |values: &mut dyn Iterator<Item = f32>| values.map(f32::abs).fold(0., f32::max);
    largest(&mut found.iter().zip(expected).map(|(a, b)| a - b)) / largest(&mut expected.iter().copied())
}
