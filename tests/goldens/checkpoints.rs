//! Checkpoints of every family in every format, as transformers and llama.cpp's converter write them, against the
//! logits of transformers (`tests/goldens/make_checkpoints.py`); and damaged ones.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use icl_mask::base::error::InputError;
use icl_mask::engine::Plain;
use icl_mask::intervene::Plan;
use icl_mask::model::{Checkpoint, Decoder, Precision, Transformer};

/// Largest difference as a share of the largest logit: only the order of sums may differ.
const SAME_WEIGHTS: f32 = 1e-5;

/// Folder or file, whose logits it must give, and under which name they are stored.
const CHECKPOINTS: [(&str, &str, &str); 82] = [
    ("llama", "llama", "logits"),
    ("llama/model.gguf", "llama", "logits"),
    ("llama-sharded", "llama", "logits"),
    ("llama-q8_0/model.gguf", "llama-q8_0", "logits"),
    ("qwen2", "qwen2", "logits"),
    ("qwen2/model.gguf", "qwen2", "logits"),
    ("starcoder2", "starcoder2", "logits"),
    ("starcoder2/model.gguf", "starcoder2", "logits"),
    ("gpt2", "gpt2", "logits"),
    ("gpt2/model.gguf", "gpt2", "gguf_logits"),
    ("gpt2-published", "gpt2", "logits"),
    ("bloom", "bloom", "logits"),
    ("bloom/model.gguf", "bloom", "logits"),
    ("bloom-published", "bloom", "logits"),
    ("gpt-neo", "gpt-neo", "logits"),
    ("gpt-neo-published", "gpt-neo", "logits"),
    ("gpt-neox", "gpt-neox", "logits"),
    ("gpt-neox/model.gguf", "gpt-neox", "logits"),
    ("gpt-neox-published", "gpt-neox", "logits"),
    ("gemma3", "gemma3", "logits"),
    ("gemma3/model.gguf", "gemma3", "logits"),
    ("gemma3-multimodal", "gemma3", "logits"),
    ("gemma3-multimodal-v5", "gemma3", "logits"),
    ("qwen3", "qwen3", "logits"),
    ("qwen3/model.gguf", "qwen3", "logits"),
    ("qwen3-published", "qwen3", "logits"),
    ("mistral", "mistral", "logits"),
    ("mistral/model.gguf", "mistral", "logits"),
    ("smollm3", "smollm3", "logits"),
    ("smollm3/model.gguf", "smollm3", "logits"),
    ("smollm3-published", "smollm3", "logits"),
    ("qwen3-moe", "qwen3-moe", "logits"),
    ("qwen3-moe/model.gguf", "qwen3-moe", "logits"),
    ("mixtral", "mixtral", "logits"),
    ("mixtral/model.gguf", "mixtral", "logits"),
    ("mixtral-published", "mixtral", "logits"),
    ("gemma2", "gemma2", "logits"),
    ("gemma2/model.gguf", "gemma2", "logits"),
    ("gemma2-published", "gemma2", "logits"),
    ("olmo2", "olmo2", "logits"),
    ("olmo2/model.gguf", "olmo2", "logits"),
    ("olmo3", "olmo3", "logits"),
    ("olmo3/model.gguf", "olmo3", "logits"),
    ("olmo3-published", "olmo3", "logits"),
    ("phi3", "phi3", "logits"),
    ("phi3/model.gguf", "phi3", "logits"),
    ("phi3-published", "phi3", "logits"),
    ("phi4-mini", "phi4-mini", "logits"),
    ("phi4-mini/model.gguf", "phi4-mini", "logits"),
    ("phi4-mini-published", "phi4-mini", "logits"),
    ("granite", "granite", "logits"),
    ("granite/model.gguf", "granite", "logits"),
    ("gptj", "gptj", "logits"),
    ("gptj-published", "gptj", "logits"),
    ("opt", "opt", "logits"),
    ("opt-350m", "opt-350m", "logits"),
    ("opt-350m-published", "opt-350m", "logits"),
    ("falcon-rw", "falcon-rw", "logits"),
    ("falcon-7b", "falcon-7b", "logits"),
    ("falcon-7b/model.gguf", "falcon-7b", "logits"),
    ("falcon-7b-published", "falcon-7b", "logits"),
    ("falcon-40b", "falcon-40b", "logits"),
    ("falcon-40b/model.gguf", "falcon-40b", "logits"),
    ("cohere", "cohere", "logits"),
    ("cohere/model.gguf", "cohere", "logits"),
    ("cohere-plus", "cohere-plus", "logits"),
    ("cohere-plus/model.gguf", "cohere-plus", "logits"),
    ("stablelm", "stablelm", "logits"),
    ("stablelm/model.gguf", "stablelm", "logits"),
    ("stablelm-12b", "stablelm-12b", "logits"),
    ("stablelm-12b/model.gguf", "stablelm-12b", "logits"),
    ("olmoe", "olmoe", "logits"),
    ("olmoe/model.gguf", "olmoe", "logits"),
    ("olmoe-published", "olmoe", "logits"),
    ("granitemoe", "granitemoe", "logits"),
    ("granitemoe/model.gguf", "granitemoe", "logits"),
    ("granitemoe-published", "granitemoe", "logits"),
    ("gpt-oss", "gpt-oss", "logits"),
    ("gpt-oss/model.gguf", "gpt-oss", "logits"),
    ("gpt-oss-published", "gpt-oss", "logits"),
    ("gpt-oss-mxfp4", "gpt-oss-mxfp4", "logits"),
    ("gpt-oss-mxfp4/model.gguf", "gpt-oss-mxfp4", "logits"),
];

pub fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/goldens/models", name].iter().collect()
}

/// Prompt and logits `[rows * vocab]`.
pub fn expected(name: &str, logits: &str) -> (Vec<u32>, Vec<f32>) {
    let arrays =
        candle_core::safetensors::load(path(name).join("expected.safetensors"), &Device::Cpu).unwrap();
    let prompt = arrays["prompt"].to_vec1::<i64>().unwrap().into_iter().map(|id| id as u32).collect();
    (prompt, arrays[logits].flatten_all().unwrap().to_vec1().unwrap())
}

pub fn logits(path: &Path, precision: Precision, prompt: &[u32]) -> anyhow::Result<Vec<f32>> {
    let checkpoint = Checkpoint::open(path)?;
    let arch = checkpoint.arch().for_lengths(prompt.len()..=prompt.len())?;
    let model = Transformer::new(arch, checkpoint.weights(), precision)?;
    let states = Plain::new(&model, &Plan::UNMASKED, prompt.len())?.feed(prompt, |_, _| ())?;
    Ok(model.logits(&states)?.data().to_vec())
}

fn error(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = |values: &mut dyn Iterator<Item = f32>| values.map(f32::abs).fold(0., f32::max);
    largest(&mut found.iter().zip(expected).map(|(a, b)| a - b)) / largest(&mut expected.iter().copied())
}

#[test]
fn every_checkpoint_gives_the_logits_of_transformers() {
    for (file, name, array) in CHECKPOINTS {
        let (prompt, expected) = expected(name, array);
        let found = logits(&path(file), Precision::F32, &prompt).unwrap();
        let error = error(&found, &expected);
        println!("{file}: {error:.1e}");
        assert!(error <= SAME_WEIGHTS, "{file}: {error:e}");
    }
}

/// Weights left in the file and widened when used are the same numbers, and so is every sum.
#[test]
fn weights_as_stored_give_the_same_bits() {
    for (file, name, array) in CHECKPOINTS {
        let (prompt, _) = expected(name, array);
        let widened = logits(&path(file), Precision::F32, &prompt).unwrap();
        assert!(widened == logits(&path(file), Precision::Stored, &prompt).unwrap(), "{file}");
    }
}

#[test]
fn weights_rounded_when_loaded_are_near() {
    for (file, precision, same) in [
        ("llama", Precision::F16, true),
        ("qwen2", Precision::Bf16, true),
        ("starcoder2", Precision::F16, false),
        ("starcoder2", Precision::Bf16, false),
    ] {
        let (prompt, _) = expected(file, "logits");
        let exact = logits(&path(file), Precision::F32, &prompt).unwrap();
        let error = error(&logits(&path(file), precision, &prompt).unwrap(), &exact);
        println!("{file} held as {precision:?}: {error:.1e}");
        assert!(
            if same { error == 0. } else { error > 0. && error < 0.05 },
            "{file} {precision:?}: {error:e}"
        );
    }
}

// --- Damage --------------------------------------------------------------------------------------------------

/// A copy of a golden folder, to be spoilt.
pub fn copied(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in fs::read_dir(path(name)).unwrap() {
        let file = file.unwrap().path();
        fs::copy(&file, folder.path().join(file.file_name().unwrap())).unwrap();
    }
    folder
}

pub fn change(folder: &Path, change: impl FnOnce(&mut HashMap<String, Tensor>)) {
    let file = folder.join("model.safetensors");
    let mut tensors = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
    change(&mut tensors);
    candle_core::safetensors::save(&tensors, &file).unwrap();
}

/// The refusal must be the input's fault and hold all of this.
fn refused(path: &Path, parts: &[&str]) {
    for precision in [Precision::F32, Precision::Stored] {
        let error = logits(path, precision, &[1, 2]).unwrap_err();
        let message = format!("{error:#}");
        assert!(error.chain().any(|cause| cause.is::<InputError>()), "{message}");
        for part in parts {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
    }
}

const NORM: &str = "model.layers.1.input_layernorm.weight";

#[test]
fn tensors_that_cannot_be_right_are_named() {
    let folder = copied("llama");
    change(folder.path(), |tensors| drop(tensors.remove(NORM)));
    refused(folder.path(), &[NORM, "is missing"]);
    change(folder.path(), |tensors| {
        drop(tensors.insert(NORM.into(), Tensor::zeros(7, DType::F32, &Device::Cpu).unwrap()))
    });
    refused(folder.path(), &["model.safetensors", NORM, "[7], expected [16]"]);
    let nan = Tensor::full(f32::NAN, 16, &Device::Cpu).unwrap();
    change(folder.path(), |tensors| drop(tensors.insert(NORM.into(), nan)));
    refused(folder.path(), &["model.safetensors", NORM, "holds NaN"]);

    let folder = copied("llama");
    let name = "model.layers.0.mlp.up_proj.weight";
    change(folder.path(), |tensors| {
        let mut values =
            tensors[name].to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values[100] = f32::INFINITY;
        let damaged = Tensor::from_vec(values, (20, 16), &Device::Cpu).unwrap();
        tensors.insert(name.into(), damaged.to_dtype(DType::F16).unwrap());
    });
    refused(folder.path(), &["model.safetensors", name, "holds inf"]);

    let folder = copied("llama");
    change(folder.path(), |tensors| {
        let more = Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap();
        tensors.insert("model.layers.0.self_attn.q_proj.bias".into(), more);
    });
    refused(folder.path(), &["model.safetensors", "q_proj.bias", "has no place in this architecture"]);
    let folder = copied("llama");
    change(folder.path(), |tensors| {
        let other = tensors["lm_head.weight"].to_dtype(DType::U8).unwrap();
        tensors.insert("lm_head.weight".into(), other);
    });
    refused(folder.path(), &["lm_head.weight", "stored as U8"]);
}

#[test]
fn files_that_cannot_be_right_are_named() {
    let folder = copied("llama-sharded");
    let shard = folder.path().join("model-00002-of-00003.safetensors");
    let whole = fs::read(&shard).unwrap();
    for length in [0, 5, 200, whole.len() - 1] {
        fs::write(&shard, &whole[..length]).unwrap();
        refused(folder.path(), &["model-00002-of-00003.safetensors", "fetch it again"]);
    }
    fs::remove_file(&shard).unwrap();
    refused(folder.path(), &["model-00002-of-00003.safetensors", "not there"]);

    let folder = copied("llama");
    fs::rename(folder.path().join("model.safetensors"), folder.path().join("pytorch_model.bin")).unwrap();
    refused(folder.path(), &["pytorch_model.bin", "pickle", "save_pretrained"]);
    refused(&folder.path().join("pytorch_model.bin"), &["pickle", "save_pretrained"]);

    let file = folder.path().join("model.gguf");
    let whole = fs::read(&file).unwrap();
    for length in [0, 3, 100, whole.len() / 2, whole.len() - 40] {
        fs::write(&file, &whole[..length]).unwrap();
        refused(&file, &["model.gguf"]);
    }
}

#[test]
fn another_architecture_is_refused_with_those_known() {
    let folder = copied("qwen2");
    let file = folder.path().join("model.gguf");
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(5).position(|five| five == b"qwen2").expect("general.architecture");
    bytes[at..at + 5].copy_from_slice(b"mamba");
    fs::write(&file, bytes).unwrap();
    refused(&file, &["model.gguf", "general.architecture `mamba`", "starcoder2, gpt2, gptneox, gemma3"]);

    let folder = copied("qwen2");
    let config = folder.path().join("config.json");
    let text = fs::read_to_string(&config).unwrap();
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        fs::write(&config, text.replace(from, to)).unwrap();
    };
    with("\"model_type\": \"qwen2\"", "\"model_type\": \"mamba\"");
    refused(folder.path(), &["config.json", "`mamba`", "gpt_neo, bloom, starcoder2"]);
    with("\"hidden_act\": \"silu\"", "\"hidden_act\": \"relu6\"");
    refused(folder.path(), &["config.json", "`hidden_act` is `relu6`"]);
    with("\"rope_type\": \"default\"", "\"rope_type\": \"mrope\"");
    refused(folder.path(), &["config.json", "`mrope` is not supported"]);
    with("\"hidden_size\": 16", "\"hidden_size\": 18");
    refused(folder.path(), &["config.json"]);
    with("\"hidden_size\": 16", "\"hidden_size\": \"wide\"");
    refused(folder.path(), &["config.json", "field `hidden_size` cannot be \"wide\""]);
}
