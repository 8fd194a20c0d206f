//! `icl-mask lora` as users call it: a tiny model and a tiny corpus.

use crate::tiny;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::world::{World, json_lines, ok};
use serde_json::Value;

const RUN: &str = "results/tiny/pairs.en-fr/instr_none_QA-k0-seed0-lora6";

/// With pairs to train on, and a token that ends a text.
fn world() -> World {
    let world = World::new();
    let demonstrations = fs::read_to_string(world.path("demonstrations.tsv")).unwrap();
    world.write("training.tsv", demonstrations);
    world.write(
        "pairs.yaml",
        "kind: table\ndescription: tiny\ntest: test.tsv\ndemonstrations: demonstrations.tsv\ntraining: training.tsv\n\
         columns: {id: id, source: source, target: target}\n",
    );
    let tokenizer = icl_mask::prompt::Tokenizer::from_file(&world.path("tiny")).unwrap();
    assert!(tokenizer.id_of("<|endoftext|>").is_some());
    world.write("tiny/tokenizer_config.json", r#"{"eos_token": "<|endoftext|>"}"#);
    world
}

fn lora(world: &World, args: &str) -> Output {
    let defaults = [
        ("--model", "tiny"),
        ("--data", "pairs.yaml"),
        ("--direction", "en-fr"),
        ("--max-new-tokens", "8"),
        ("--threads", "1"),
        ("--train-size", "6"),
        ("--dev-size", "3"),
        ("--train-batch", "2"),
        ("--epochs", "2"),
        ("--learning-rate", "0.01"),
    ];
    let given: Vec<&str> = args.split_whitespace().collect();
    let defaults = defaults.iter().filter(|(flag, _)| !given.contains(flag));
    let defaults: String = defaults.map(|(flag, value)| format!("{flag} {value} ")).collect();
    world.call(&format!("lora {defaults} {args}"))
}

fn json(path: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).unwrap()
}

fn adapter(world: &World, layer: usize) -> Vec<u8> {
    fs::read(world.path(RUN).join(format!("lora/layer-{layer}/adapter_model.safetensors"))).unwrap()
}

/// Tokens of a cell's generations.
fn tokens(path: &Path) -> Vec<Value> {
    let lines = json_lines(&fs::read_to_string(path).unwrap());
    lines.into_iter().map(|line| line["tokens"].clone()).collect()
}

#[test]
fn every_layer_is_trained_tested_and_drawn() {
    let world = world();
    let lines = json_lines(&ok(lora(&world, "--layers all --json")));
    assert_eq!(lines.len(), tiny::LAYERS + 1);
    let run = world.path(RUN);
    let manifest = json(run.join("manifest.json"));
    assert_eq!(manifest["settings"]["lora"]["train_size"], 6);
    for layer in 0..tiny::LAYERS {
        let score = json(run.join(format!("lora/layer-{layer}.json")));
        assert_eq!((&score["mask"], &score["from_layer"]), (&"lora".into(), &layer.into()));
        let training = json(run.join(format!("lora/layer-{layer}/training.json")));
        assert_eq!(training["steps"].as_array().unwrap().len(), 6);
        assert_eq!(training["dev_losses"].as_array().unwrap().len(), 3);
        assert!(training["steps"][5]["learning_rate"].as_f64().unwrap() < 0.002);
        let config = json(run.join(format!("lora/layer-{layer}/adapter_config.json")));
        assert_eq!(config["layers_to_transform"], serde_json::json!([layer]));
    }
    assert!(run.join("none/baseline.json").exists());

    // The same adapter in all rows of a run of its own.
    ok(world.call(
        "run --model tiny --data pairs.yaml --direction en-fr --format instr_none_QA --nprompts 0 --mask none \
         --max-new-tokens 8 --threads 1 --results again \
         --adapter results/tiny/pairs.en-fr/instr_none_QA-k0-seed0-lora6/lora/layer-2",
    ));
    let again =
        world.path("again/tiny/pairs.en-fr/instr_none_QA-k0-seed0-adapter-layer-2/none/baseline.jsonl");
    assert_eq!(tokens(&again), tokens(&run.join("lora/layer-2.jsonl")));
    assert_ne!(tokens(&again), tokens(&run.join("none/baseline.jsonl")), "it changes something");
    // And with a mask.
    ok(world.call(
        "run --model tiny --data pairs.yaml --direction en-fr --format qa_lines --nprompts 2 --mask TTF --from-layer 1 \
         --max-new-tokens 4 --threads 1 --results again \
         --adapter results/tiny/pairs.en-fr/instr_none_QA-k0-seed0-lora6/lora/layer-2",
    ));

    ok(world.call("figure lora results --out figures"));
    let csv = fs::read_to_string(world.path("figures/lora.csv")).unwrap();
    assert_eq!(csv.lines().filter(|line| line.contains(",lora,6,")).count(), tiny::LAYERS);
    assert!(
        fs::read_to_string(world.path("figures/lora.svg"))
            .unwrap()
            .contains("the layer that an adapter is trained on")
    );
    ok(world.call("report results --out report.html"));
}

#[test]
fn what_is_trained_is_not_trained_again() {
    let world = world();
    ok(lora(&world, "--layers all"));
    let before: Vec<Vec<u8>> = (0..tiny::LAYERS).map(|layer| adapter(&world, layer)).collect();
    // Broken off between an adapter and its test, and in the middle of another's training.
    let run = world.path(RUN).join("lora");
    for file in ["layer-1.json", "layer-1.jsonl", "layer-3.json", "layer-3.jsonl"] {
        fs::remove_file(run.join(file)).unwrap();
    }
    fs::rename(run.join("layer-3"), run.join(".layer-3.12345.partial")).unwrap();
    let output = lora(&world, "--layers all");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    ok(output);
    assert_eq!(stderr.lines().filter(|line| line.starts_with("layer ")).count(), 1, "{stderr}");
    let after: Vec<Vec<u8>> = (0..tiny::LAYERS).map(|layer| adapter(&world, layer)).collect();
    assert_eq!(before, after);
    // Nothing is left to do.
    let output = lora(&world, "--layers all");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("loading"));
    ok(output);

    // Several sizes and seeds in one call, on the same states, are what each is by itself.
    ok(lora(&world, "--layers 1,3 --train-size 4,6 --seed 0,1 --results together"));
    let together =
        |run: &str| world.path("together").join(run.strip_prefix("results/").unwrap()).join("lora");
    let found = fs::read(together(RUN).join("layer-3/adapter_model.safetensors")).unwrap();
    assert_eq!(found, before[3]);
    ok(lora(&world, "--layers 3 --train-size 4 --seed 1 --results alone"));
    let alone = world
        .path("alone/tiny/pairs.en-fr/instr_none_QA-k0-seed1-lora4/lora/layer-3/adapter_model.safetensors");
    let other = RUN.replace("seed0-lora6", "seed1-lora4");
    let found = fs::read(together(&other).join("layer-3/adapter_model.safetensors")).unwrap();
    assert_eq!(found, fs::read(alone).unwrap());

    // Another training does not mix with this one.
    world.refused(&lora(&world, "--layers 0 --rank 4"), &["other settings", "lora"]);
}

#[test]
fn a_training_that_diverges_says_so_and_loses_nothing() {
    let world = world();
    ok(lora(&world, "--layers 1"));
    let output = lora(&world, "--layers 1,2 --learning-rate 1e38 --dev-size 0 --results wild");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for part in
        ["layer 1, seed 0: training diverged at step", "lower --learning-rate", "2 adapters were not trained"]
    {
        assert!(stderr.contains(part), "{stderr}");
    }
    // What could be computed was.
    assert!(world.path(&RUN.replace("results", "wild")).join("none/baseline.json").exists());
    assert!(!world.path(&RUN.replace("results", "wild")).join("lora/layer-1").exists());
    // A file where the folder of results should be.
    world.write("occupied", "");
    let output = lora(&world, "--layers 1 --results occupied");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_ne!(output.status.code(), Some(0));
    assert!(stderr.contains("occupied") && !stderr.contains("panicked"), "{stderr}");
}

#[test]
fn wrong_input_is_refused_before_anything_is_computed() {
    let world = world();
    for (args, says) in [
        ("--layers 4", &["--layers", "layers 0 to 3"][..]),
        ("--layers 0 --train-size 60", &["--train-size 60", "only 8 training pairs"]),
        ("--layers 0 --train-size 0", &["--train-size", "at least 1"]),
        ("--layers 0 --dev-size 60", &["--dev-size 60", "only 8 pairs"]),
        ("--layers 0 --dropout 1", &["--dropout", "0 to 0.99"]),
        ("--layers 0 --learning-rate 0", &["--learning-rate", "above 0"]),
        ("--layers 0 --learning-rate x", &["--learning-rate", "not a number"]),
        ("--layers 0 --projection x", &["--projection", "q, k, v, o, gate, up, down"]),
        ("--layers 0 --loss x", &["--loss", "whole or target"]),
        ("--layers 0 --rank 0", &["--rank", "at least 1"]),
        ("--layers 0 --rank 49", &["--rank 49", "48 values to 48", "a rank of 48 at most"]),
        ("--layers 0 --rank 500000", &["--rank 500000", "at most"]),
        ("--layers 0 --rank 500000 --dry-run", &["--rank 500000", "at most"]),
        ("--layers 0 --rank 1000000001", &["--rank", "more than 1000000000"]),
        ("--layers 0 --alpha 1e300", &["--alpha: 1e300 over a rank of", "f32"]),
        ("--layers 0 --alpha 1e-300", &["--alpha: 1e-300 over a rank of", "f32"]),
        ("--layers 0 --alpha nan", &["--alpha", "not a number"]),
        ("--layers 0 --learning-rate 1e300", &["--learning-rate: 1e300 is more than"]),
        ("--layers 0 --epochs 1000000", &["--epochs: 1000000 is more than 10000"]),
        ("--layers 0 --train-batch 5000000000", &["--train-batch", "more than 1000000000"]),
        ("--layers 0 --mask TTF", &["--mask", "run --adapter"]),
        ("--layers 0 --dtype f16", &["--dtype", "f32"]),
        ("--layers 0 --chat-template true", &["--chat-template"]),
        ("--layers 0 --drop-context", &["--drop-context"]),
        ("--layers 0 --memory 1MiB", &["needs", "allowed by --memory"]),
        ("--layers 0 --data test.tsv", &["has no training split"]),
        ("--layers 0 --profile sia2024", &["5 demonstrations"]),
    ] {
        world.refused(&lora(&world, args), says);
    }
    world.write("mine.yaml", "lora:\n  rank: 4\n  rang: 5\n");
    world.refused(&lora(&world, "--layers 0 --config mine.yaml"), &["mine.yaml:3", "rang", "rank"]);
    world.write("mine.yaml", "lora:\n  rank: four\n");
    world.refused(&lora(&world, "--layers 0 --config mine.yaml"), &["mine.yaml:2: rank"]);
    world.refused(&world.run("--mask lora --nprompts 3"), &["a verb, not a mask"]);
}

#[test]
fn adapters_that_do_not_fit_are_refused() {
    let world = world();
    ok(lora(&world, "--layers 2"));
    let folder = world.path(RUN).join("lora/layer-2");
    let run = |name: &str| world.run(&format!("--nprompts 3 --mask none --adapter {name}"));
    world.refused(&run("nowhere"), &["--adapter", "nowhere", "is not a folder"]);
    world.write("empty/x", "");
    world.refused(&run("empty"), &["adapter_config.json"]);
    let copy = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut config = json(folder.join("adapter_config.json"));
        change(&mut config);
        world.write(&format!("{name}/adapter_config.json"), config.to_string());
        world.write(
            &format!("{name}/adapter_model.safetensors"),
            fs::read(folder.join("adapter_model.safetensors")).unwrap(),
        );
    };
    for (name, key, value, says) in [
        ("ia3", "peft_type", Value::from("IA3"), "only LORA"),
        ("dora", "use_dora", true.into(), "DoRA"),
        ("bias", "bias", "all".into(), "biases"),
        ("whole", "modules_to_save", serde_json::json!(["lm_head"]), "whole modules"),
        ("ranks", "rank_pattern", serde_json::json!({"o_proj": 2}), "rank_pattern"),
    ] {
        copy(name, &|config| config[key] = value.clone());
        world.refused(&run(name), &[says]);
    }
    copy("cut", &|_| ());
    let bytes = fs::read(world.path("cut/adapter_model.safetensors")).unwrap();
    for length in [0, 5, 40, bytes.len() - 1] {
        world.write("cut/adapter_model.safetensors", &bytes[..length]);
        world.refused(&run("cut"), &["adapter_model.safetensors", "damaged"]);
    }
    // Of a layer that the model does not have.
    let renamed = String::from_utf8_lossy(&bytes[8..]).find("layers.2.").unwrap() + 8;
    let mut other = bytes.clone();
    for at in 0..other.len() - 9 {
        if &other[at..at + 9] == b"layers.2." {
            other[at + 7] = b'9';
        }
    }
    assert!(renamed > 0);
    world.write("cut/adapter_model.safetensors", other);
    world.refused(&run("cut"), &["layer 9"]);
}
