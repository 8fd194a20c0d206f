//! A tiny model with random weights, made on the spot, and prompts for it.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use icl_mask::config::files;
use icl_mask::data::Example;
use icl_mask::intervene::{Condition, Plan, Series};
use icl_mask::model::{
    Adapter, AdapterId, Adapters, Arch, Biases, DeviceTransformer, Family, Held, LowRank, Matrix, Mixture,
    Pairs, Positions, Precision, Projection, Rope, RopeScaling, Routing, Scoring, Sizes, Transformer,
    Weights,
};
use icl_mask::prompt::{Format, Profile, Prompt, Prompter, Tokenizer};

pub const LAYERS: usize = 4;
const THETA: f64 = 10_000.;

/// Interventions of the study; `lora` has an adapter of its own in each layer.
pub const MASKS: [&str; 9] = ["none", "all", "TTF", "FTF", "FFT", "TFF", "TTT", "ablate-attention", "lora"];

/// A tokenizer of the goldens: `smollm` adds no BOS, `llama-bpe` does.
pub fn tokenizer(name: &str) -> Tokenizer {
    Tokenizer::from_file(&tokenizer_path(name)).expect("a golden tokenizer")
}

fn tokenizer_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/goldens/tokenizers/{name}.tokenizer.json"))
}

/// Grouped-query attention, and for Qwen2 biases and untied embeddings, for Mixtral experts.
pub fn arch(family: Family, vocab: usize) -> Arch {
    let sizes = Sizes {
        layers: LAYERS,
        hidden: 48,
        heads: 6,
        kv_heads: 2,
        head_dim: 8,
        intermediate: 80,
        vocab,
        context: 512,
    };
    Arch {
        norm_eps: 1e-5,
        positions: Positions::Rotary {
            all: Rope { theta: THETA, dims: 8, pairs: Pairs::Halves, scaling: RopeScaling::None },
            windowed: None,
        },
        bias: Biases { qkv: family == Family::Qwen2, ..Biases::NONE },
        experts: (family == Family::Mixtral).then(mixture),
        tied: family == Family::Llama,
        ..Arch::llama(family, sizes)
    }
}

/// Five experts, of which a row chooses two.
fn mixture() -> Mixture {
    let routing = Routing { experts: 5, chosen: 2, scoring: Scoring::Renormed, all_rows: false };
    Mixture { routing, width: 40, dense: vec![] }
}

/// Random weights that depend on the tensor's name alone.
pub struct RandomWeights;

impl Weights for RandomWeights {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Held> {
        Ok(Held::from(random(name, shape)?))
    }

    fn refuse_surplus(&self, _: &BTreeSet<String>) -> Result<()> {
        Ok(())
    }
}

fn random(name: &str, shape: &[usize]) -> Result<Tensor> {
    let mut state =
        name.bytes().fold(7u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let mut uniform = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    let n: usize = shape.iter().product();
    let (scale, offset) = if name.contains("norm") { (0.5, 1.) } else { (0.7, 0.) };
    let values: Vec<f32> = (0..n).map(|_| uniform() * scale + offset).collect();
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

pub fn model(family: Family, tokenizer: &Tokenizer) -> Transformer {
    windowed_model(family, tokenizer, [None; LAYERS])
}

pub fn windowed_model(
    family: Family,
    tokenizer: &Tokenizer,
    windows: [Option<usize>; LAYERS],
) -> Transformer {
    let arch = Arch { windows: windows.to_vec(), ..arch(family, tokenizer.vocab_size()) };
    let mut model = Transformer::new(arch.clone(), &RandomWeights, Precision::F32).expect("a tiny model");
    model.adapt(trained(&arch)).expect("an adapter that fits");
    model
}

/// The same on a device.
pub fn on_device(
    family: Family,
    tokenizer: &Tokenizer,
    windows: [Option<usize>; LAYERS],
    device: &Device,
) -> DeviceTransformer {
    let arch = Arch { windows: windows.to_vec(), ..arch(family, tokenizer.vocab_size()) };
    let mut model =
        DeviceTransformer::new(arch.clone(), &RandomWeights, DType::F32, device).expect("a tiny model");
    model.adapt(&trained(&arch)).expect("an adapter that fits");
    model
}

/// The device that tests of [`DeviceTransformer`] compute on: the CPU, whose kernels are candle's then, or what
/// `ICL_MASK_TEST_DEVICE` says: `cuda`.
pub fn device() -> Device {
    match std::env::var("ICL_MASK_TEST_DEVICE").as_deref() {
        Ok("cuda") => icl_mask::model::gpu(0).expect("a GPU"),
        Ok(other) if other != "cpu" => panic!("ICL_MASK_TEST_DEVICE: cpu or cuda, not {other}"),
        _ => Device::Cpu,
    }
}

/// The adapter of the treatment `lora`, resident.
pub fn trained(arch: &Arch) -> Adapters {
    Adapters::default().with(AdapterId::TRAINED, adapter(arch, ""))
}

/// Every projection of every layer changed, by numbers that depend on the name.
pub fn adapter(arch: &Arch, name: &str) -> Adapter {
    let places = (0..arch.layers).flat_map(|layer| Projection::ALL.map(|projection| (layer, projection)));
    let low_rank = |(layer, projection): (usize, Projection)| {
        let [inputs, outputs] = projection.sizes(arch)?;
        let matrix = |side: &str, shape: [usize; 2]| {
            let values = random(&format!("{name}{side}{layer}{projection}"), &shape).expect("a tensor");
            Matrix::from_rows(shape[1], values.flatten_all().and_then(|all| all.to_vec1()).expect("floats"))
        };
        let (a, b) = (matrix("a", [inputs, 3]), matrix("b", [3, outputs]));
        Some(((layer, projection), LowRank { a, b, scale: 0.5 }))
    };
    Adapter(places.filter_map(low_rank).collect())
}

pub fn format(name: &str) -> Format {
    let file = files::find("format", name, "test").expect("a format");
    let mut format: Format = serde_yaml::from_str(&file.text).expect("readable");
    format.name = file.name;
    format
}

pub fn examples(n: usize) -> Vec<Example> {
    let words = ["the cat", "a small dog", "one river", "old trees", "the sun", "her book", "two birds"];
    let pair = |i: usize| Example {
        id: (i + 1).to_string(),
        source: format!("{} sees {}.", words[i % 7], words[(i * 3 + 1) % 7]),
        target: format!("{} voit {}.", words[(i + 2) % 7], words[(i * 5 + 3) % 7]),
        ..Example::default()
    };
    (0..n).map(pair).collect()
}

/// Prompts of different lengths for the first `n` items.
pub fn prompts(tokenizer: &Tokenizer, profile: Profile, k: usize, n: usize) -> Vec<Prompt> {
    let format = format("instr_machine_translation");
    let all = examples(k + n);
    let prompter = Prompter::new(&format, ("English", "French"), &all[..k], tokenizer, profile, true);
    all[k..].iter().map(|item| prompter.prompt(item).expect("a prompt")).collect()
}

pub fn plan(prompt: &Prompt, mask: &str, from_layer: usize) -> Plan {
    condition(mask, from_layer).plan(prompt, &icl_mask::intervene::Masks::default()).expect("a plan")
}

pub fn condition(mask: &str, from_layer: usize) -> Condition {
    mask.parse::<Series>().expect("a mask").at(from_layer)
}

/// Write the tiny Llama as a model folder.
pub fn write_model(folder: &Path) {
    write_llama(folder, &arch(Family::Llama, tokenizer("smollm").vocab_size()));
}

/// Write a Llama of these sizes as a model folder, with the tokenizer `smollm`.
pub fn write_llama(folder: &Path, arch: &Arch) {
    fs::create_dir_all(folder).expect("a folder");
    fs::copy(tokenizer_path("smollm"), folder.join("tokenizer.json")).expect("copied");
    let config = serde_json::json!({
        "model_type": "llama", "num_hidden_layers": arch.layers, "hidden_size": arch.hidden,
        "num_attention_heads": arch.heads, "num_key_value_heads": arch.kv_heads, "head_dim": arch.head_dim,
        "intermediate_size": arch.intermediate, "vocab_size": arch.vocab,
        "max_position_embeddings": arch.context, "rms_norm_eps": arch.norm_eps, "rope_theta": THETA,
        "tie_word_embeddings": true, "hidden_act": "silu",
    });
    fs::write(folder.join("config.json"), config.to_string()).expect("written");
    let tensors: HashMap<String, Tensor> = tensor_shapes(arch)
        .into_iter()
        .map(|(name, shape)| {
            let tensor = random(&name, &shape).expect("a tensor");
            (name, tensor)
        })
        .collect();
    candle_core::safetensors::save(&tensors, folder.join("model.safetensors")).expect("written");
}

fn tensor_shapes(arch: &Arch) -> Vec<(String, Vec<usize>)> {
    let (q, kv) = (arch.heads * arch.head_dim, arch.kv_heads * arch.head_dim);
    let mut shapes = vec![
        ("model.embed_tokens.weight".into(), vec![arch.vocab, arch.hidden]),
        ("model.norm.weight".into(), vec![arch.hidden]),
    ];
    for layer in 0..arch.layers {
        let parts = [
            ("input_layernorm", vec![arch.hidden]),
            ("post_attention_layernorm", vec![arch.hidden]),
            ("self_attn.q_proj", vec![q, arch.hidden]),
            ("self_attn.k_proj", vec![kv, arch.hidden]),
            ("self_attn.v_proj", vec![kv, arch.hidden]),
            ("self_attn.o_proj", vec![arch.hidden, q]),
            ("mlp.gate_proj", vec![arch.intermediate, arch.hidden]),
            ("mlp.up_proj", vec![arch.intermediate, arch.hidden]),
            ("mlp.down_proj", vec![arch.hidden, arch.intermediate]),
        ];
        shapes.extend(parts.map(|(part, shape)| (format!("model.layers.{layer}.{part}.weight"), shape)));
    }
    shapes
}
