//! The decoder against candle-transformers' own models, an implementation that shares no code with this one, where it
//! has them: Llama, Qwen2, StarCoder2, Gemma 3. Prompts are shorter than any window, as candle's windows are a column
//! wider than transformers'.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Mutex;

use crate::drawn::Drawn;
use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::{gemma3, llama, qwen2, starcoder2};
use icl_mask::engine::Plain;
use icl_mask::intervene::Plan;
use icl_mask::model::{Arch, Fields, Held, Precision, Transformer, Weights};
use serde_json::{Value, json};

const TOLERANCE: f32 = 1e-4;

/// Notes what is drawn, for candle.
struct Noted {
    drawn: Drawn,
    tensors: Mutex<HashMap<String, Tensor>>,
}

impl Weights for Noted {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Held> {
        let tensor = Tensor::from_vec(self.drawn.values(name, shape), shape, &Device::Cpu)?;
        self.tensors.lock().unwrap().insert(name.into(), tensor.clone());
        Ok(Held::from(tensor))
    }

    fn refuse_surplus(&self, _: &BTreeSet<String>) -> Result<()> {
        Ok(())
    }
}

fn read(family: &str, file: &str) -> Value {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/goldens/families", family, file].iter().collect();
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// `config.json` with the rotary settings where candle looks for them.
fn config(family: &str) -> Value {
    let mut config = read(family, "config.json");
    let rope = config["rope_parameters"].clone();
    let full = rope.get("full_attention").unwrap_or(&rope).clone();
    config["rope_theta"] = full["rope_theta"].clone();
    if full["rope_type"] == "llama3" {
        config["rope_scaling"] = full;
    }
    if config["model_type"] == "llama" {
        // candle's has no head size of its own.
        let [heads, dim] = ["num_attention_heads", "head_dim"].map(|name| config[name].as_u64().unwrap());
        config["hidden_size"] = json!(heads * dim);
    }
    if let Some(windowed) = rope.get("sliding_attention") {
        config["rope_local_base_freq"] = windowed["rope_theta"].clone();
        config["sliding_window_pattern"] = json!(6);
    }
    config
}

/// Logits of the last row: ours, and what candle's model makes of the same weights, configuration and tokens.
fn both(family: &str, candle: impl Fn(Value, VarBuilder, &Tensor) -> candle_core::Result<Tensor>) {
    let Value::Object(fields) = config(family) else { panic!("an object") };
    let arch = Arch::from_fields(&Fields(fields)).unwrap();
    let drawn: Drawn = serde_json::from_value(read(family, "expected.json")["draw"].clone()).unwrap();
    let tokens = drawn.token_ids(40, arch.vocab);
    let noted = Noted { drawn, tensors: Mutex::default() };
    let model = Transformer::new(arch, &noted, Precision::F32).unwrap();
    let ours = Plain::new(&model, &Plan::UNMASKED, tokens.len()).unwrap().logits(&tokens).unwrap();

    let vars = VarBuilder::from_tensors(noted.tensors.into_inner().unwrap(), DType::F32, &Device::Cpu);
    let tokens = Tensor::new(tokens, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
    let theirs = candle(config(family), vars, &tokens).unwrap();
    let theirs: Vec<f32> = theirs.flatten_all().unwrap().to_vec1().unwrap();
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs.iter().fold(0f32, |largest, value| largest.max(value.abs()));
    let error = ours.iter().zip(&theirs).fold(0f32, |most, (a, b)| most.max((a - b).abs())) / largest;
    println!("{family}: {error:.1e}");
    assert!(error <= TOLERANCE, "{family}: {error:e}");
}

#[test]
fn llama_agrees() {
    for family in ["llama-2", "llama-3.1", "llama-3.2"] {
        both(family, |config, vars, tokens| {
            let config: llama::LlamaConfig = serde_json::from_value(config).expect("candle's configuration");
            let config = config.into_config(false);
            let mut cache = llama::Cache::new(false, DType::F32, &config, &Device::Cpu)?;
            llama::Llama::load(vars, &config)?.forward(tokens, 0, &mut cache)
        });
    }
}

#[test]
fn qwen2_agrees() {
    both("qwen2", |mut config, vars, tokens| {
        config["sliding_window"] = json!(4096);
        let config: qwen2::Config = serde_json::from_value(config).expect("candle's configuration");
        qwen2::ModelForCausalLM::new(&config, vars)?.forward(tokens, 0)
    });
}

#[test]
fn starcoder2_agrees() {
    both("starcoder2", |config, vars, tokens| {
        let config: starcoder2::Config = serde_json::from_value(config).expect("candle's configuration");
        starcoder2::Model::new(&config, vars)?.forward(tokens, 0)
    });
}

#[test]
fn gemma3_agrees() {
    both("gemma3", |config, vars, tokens| {
        let config: gemma3::Config = serde_json::from_value(config).expect("candle's configuration");
        gemma3::Model::new(false, &config, vars)?.forward(tokens, 0)
    });
}
