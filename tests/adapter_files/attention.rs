//! A figure of attention is of the model with its adapter.

use std::collections::BTreeMap;
use std::fs;

use super::{Attention, Goldens, ITEM, bench, golden};
use crate::world::{World, ok};

/// Weights of a figure, `[row][column]`.
fn figure(world: &World, file: &str, rows: usize) -> Vec<Vec<f64>> {
    let mut weights = vec![vec![0.; rows]; rows];
    let text = fs::read_to_string(world.path(file)).unwrap();
    for row in csv::Reader::from_reader(text.as_bytes()).deserialize::<BTreeMap<String, String>>() {
        let row = row.unwrap();
        let number = |key: &str| row[key].parse::<f64>().unwrap();
        weights[number("row") as usize][number("column") as usize] = number("weight");
    }
    weights
}

#[test]
fn a_figure_of_attention_is_of_the_model_with_its_adapter() {
    let (goldens, world) = (Goldens::read(), bench());
    let Attention { layer, head, adapter, weights, without } = &goldens.attention;
    goldens.write(&world, adapter);
    let call = format!(
        "figure attention --model {} {ITEM} --layer {layer} --head {head} --max-new-tokens 8",
        golden("llama").display()
    );
    ok(world.call(&call));
    ok(world.call(&format!("{call} --adapter adapters/{adapter}")));
    let name = format!("item0-none-layer{layer}-head{head}.csv");
    for (file, expected) in [
        (format!("figures/attention-llama-{name}"), without),
        (format!("figures/attention-llama-adapter-{adapter}-{name}"), weights),
    ] {
        let found = figure(&world, &file, expected.len());
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            assert!((found - expected).abs() < 1e-5, "{file}: {found}, expected {expected}");
        }
    }
    world.refused(&world.call(&format!("{call} --memory 1MiB")), &["needs", "allowed by --memory"]);
    world.refused(&world.call(&format!("{call} --device cuda")), &["--device", "cpu"]);
    for (name, says) in
        [("dora", "use_dora"), ("gpt2", "no projection"), ("product", "beyond what f32 holds")]
    {
        goldens.write(&world, name);
        world.refused(&world.call(&format!("{call} --adapter adapters/{name}")), &[name, says]);
    }
    // Queries and keys whose products are too much.
    for file in ["config.json", "tokenizer.json"] {
        world.write(&format!("large/{file}"), fs::read(golden("llama").join(file)).unwrap());
    }
    let device = candle_core::Device::Cpu;
    let mut weights = candle_core::safetensors::load(golden("llama/model.safetensors"), &device).unwrap();
    for (name, weight) in &mut weights {
        if name.ends_with("q_proj.weight") || name.ends_with("k_proj.weight") {
            *weight = (weight.clone() * 1e25).unwrap();
        }
    }
    candle_core::safetensors::save(&weights, world.path("large/model.safetensors")).unwrap();
    let output = world.call(&format!("figure attention --model large {ITEM} --layer 0 --max-new-tokens 8"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("layer 0") && stderr.contains("NaN or infinite"), "{stderr}");
}
