//! Adapter files as people have them, through the built command: what PEFT computes with them
//! (`tests/goldens/make_adapter_files.py`), and what is said of those that are not read.

mod attention;
mod settings;

#[path = "../tiny/mod.rs"]
mod tiny;
#[path = "../world/mod.rs"]
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Output;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use world::{World, contents, json_lines, ok};

/// `cases.json`
#[derive(Deserialize)]
struct Goldens {
    prompt_tokens: Vec<u32>,
    without: BTreeMap<String, Vec<u32>>,
    configs: BTreeMap<String, Map<String, Value>>,
    attention: Attention,
    cases: BTreeMap<String, Case>,
}

/// One head's weights over the prompt.
#[derive(Deserialize)]
struct Attention {
    layer: usize,
    head: usize,
    adapter: String,
    weights: Vec<Vec<f64>>,
    without: Vec<Vec<f64>>,
}

/// An adapter, and what PEFT makes of it.
#[derive(Deserialize)]
struct Case {
    model: String,
    weights: String,
    config: Map<String, Value>,
    without: Vec<String>,
    refused: Option<String>,
    tokens: Option<Vec<u32>>,
}

fn golden(file: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/goldens/adapter_files", file].iter().collect()
}

impl Goldens {
    fn read() -> Self {
        serde_json::from_slice(&fs::read(golden("cases.json")).unwrap()).unwrap()
    }

    /// Write an adapter's folder into the world, by its name.
    fn write(&self, world: &World, name: &str) -> &Case {
        let case = &self.cases[name];
        let mut config = self.configs[&case.model].clone();
        config.extend(case.config.clone());
        case.without.iter().for_each(|key| drop(config.shift_remove(key)));
        world.write(&format!("adapters/{name}/adapter_config.json"), Value::Object(config).to_string());
        let weights = fs::read(golden(&format!("{}.safetensors", case.weights))).unwrap();
        world.write(&format!("adapters/{name}/adapter_model.safetensors"), weights);
        case
    }
}

/// A world with the only item of the goldens.
fn bench() -> World {
    let world = World::new();
    world.write("item.tsv", "id\tsource\ttarget\n0\tthe red house\tla maison rouge\n");
    world.write("plain.yaml", "question: \"<\"\nanswer: \">\"\n");
    world
}

const ITEM: &str =
    "--test item.tsv --direction en-fr --format plain.yaml --nprompts 0 --mask none --threads 1";

fn run(world: &World, model: &str, args: &str) -> Output {
    let model = golden(model);
    world.call(&format!("run --model {} {ITEM} --no-stop --max-new-tokens 8 {args}", model.display()))
}

/// The only generation below a folder of results, and its manifest.
fn generated(world: &World, results: &str) -> (Vec<u32>, Value) {
    let files = contents(&world.path(results));
    let text = |end: &str| {
        let found = files.iter().find(|(path, _)| path.ends_with(end));
        &found.unwrap_or_else(|| panic!("no {end} in {results}")).1
    };
    let tokens = json_lines(text("none/baseline.jsonl"))[0]["tokens"].clone();
    (serde_json::from_value(tokens).unwrap(), serde_json::from_str(text("manifest.json")).unwrap())
}

#[test]
fn adapters_are_computed_as_peft_computes_them() {
    let (goldens, world) = (Goldens::read(), bench());
    for (model, expected) in &goldens.without {
        ok(run(&world, model, &format!("--results without/{model}")));
        let (tokens, manifest) = generated(&world, &format!("without/{model}"));
        assert_eq!(&tokens, expected, "{model} without an adapter");
        assert_eq!(manifest["prompt"]["tokens"], json!(goldens.prompt_tokens), "{model}");
    }
    let computed = goldens.cases.iter().filter(|(_, case)| case.refused.is_none());
    let mut count = 0;
    for (name, case) in computed {
        goldens.write(&world, name);
        ok(run(&world, &case.model, &format!("--adapter adapters/{name} --results results/{name}")));
        let (tokens, _) = generated(&world, &format!("results/{name}"));
        assert_eq!(Some(&tokens), case.tokens.as_ref(), "{name}");
        count += 1;
    }
    assert!(count > 40, "{count}");
}

#[test]
fn adapters_that_are_not_computed_are_refused_by_name() {
    let (goldens, world) = (Goldens::read(), bench());
    let mut wrong = Vec::new();
    for (name, case) in &goldens.cases {
        let Some(says) = &case.refused else { continue };
        goldens.write(&world, name);
        let output = run(&world, &case.model, &format!("--adapter adapters/{name}"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        let early = !stderr.contains("loading");
        let named = stderr.contains(says.as_str()) && stderr.contains(&format!("adapters/{name}"));
        if output.status.code() != Some(2) || !named || !early || stderr.contains("panicked") {
            wrong.push(format!("{name}: {:?}: {stderr}", output.status.code()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_an_adapters_files_hold_beyond_that_is_said_once() {
    let (goldens, world) = (Goldens::read(), bench());
    goldens.write(&world, "unknown-keys");
    let output = run(&world, "llama", "--adapter adapters/unknown-keys --seed 0,1,2");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    ok(output);
    let sentence = "adapters/unknown-keys: adapter_config.json has keys that icl-mask does not know and ignores: \
                    `lora_colour`, `unsloth_fixed`";
    assert_eq!(stderr.matches(sentence).count(), 1, "{stderr}");
    let (_, manifest) = generated(&world, "results");
    let expected = json!(["lora_colour", "unsloth_fixed"]);
    assert_eq!(manifest["unread_keys"]["adapter_config.json"], expected);

    goldens.write(&world, "missing-layer");
    let output = run(&world, "llama", "--adapter adapters/missing-layer --results missing");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    ok(output);
    assert!(stderr.contains("has no weights for 2 of the modules"), "{stderr}");
    assert!(stderr.contains("`model.layers.0.self_attn.q_proj`"), "{stderr}");

    goldens.write(&world, "plain");
    let output = run(&world, "llama", "--adapter adapters/plain --results plain");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("keys that") && !stderr.contains("no weights"), "{stderr}");
}

/// As verbs that compute nothing see an adapter: held against the model all the same.
#[test]
fn verbs_that_compute_nothing_look_at_the_adapter_too() {
    let (goldens, world) = (Goldens::read(), bench());
    let model = golden("llama");
    for name in ["plain", "dora", "gpt2"] {
        goldens.write(&world, name);
    }
    for (verb, item) in [("run --dry-run", ITEM.to_string()), ("show", ITEM.replace(" --threads 1", ""))] {
        let call = format!("{verb} --model {} {item} --max-new-tokens 8 --adapter adapters", model.display());
        ok(world.call(&format!("{call}/plain")));
        world.refused(&world.call(&format!("{call}/dora")), &["adapters/dora/adapter_config.json: use_dora"]);
        world.refused(
            &world.call(&format!("{call}/gpt2")),
            &["adapters/gpt2", "no projection of a llama model"],
        );
    }
}

#[test]
fn an_adapter_in_the_place_of_a_model_is_called_one() {
    let (goldens, world) = (Goldens::read(), bench());
    goldens.write(&world, "plain");
    let call = |model: &str| world.call(&format!("run --model {model} {ITEM}"));
    world.refused(&call("adapters/plain"), &["adapters/plain: is an adapter", "--adapter", "which is toy"]);
    world.refused(&world.call("models adapters/plain"), &["adapters/plain: is an adapter", "--adapter"]);
    // A model's description alone, as some trainers leave it, makes no model of it.
    fs::copy(golden("llama/config.json"), world.path("adapters/plain/config.json")).unwrap();
    world.refused(&call("adapters/plain"), &["adapters/plain: is an adapter", "--adapter"]);
    for file in ["model.safetensors", "tokenizer.json"] {
        let from = golden("llama").join(file);
        fs::copy(from, world.path("adapters/plain").join(file)).unwrap();
    }
    world.refused(&call("adapters/plain"), &["holds an adapter", "beside a model", "--adapter"]);
}

#[test]
fn weights_as_a_pickle_are_not_read() {
    let (goldens, world) = (Goldens::read(), bench());
    goldens.write(&world, "plain");
    let weights = world.path("adapters/plain/adapter_model.safetensors");
    // Both are there: the safetensors are read, as PEFT does.
    world.write("adapters/plain/adapter_model.bin", "a pickle");
    ok(run(&world, "llama", "--adapter adapters/plain"));
    fs::remove_file(&weights).unwrap();
    let output = run(&world, "llama", "--adapter adapters/plain --results other");
    world.refused(&output, &["adapters/plain/adapter_model.bin: a pickle file is not read", "safetensors"]);
    fs::remove_file(world.path("adapters/plain/adapter_model.bin")).unwrap();
    let output = run(&world, "llama", "--adapter adapters/plain --results other");
    world.refused(&output, &["adapter_model.safetensors", "as PEFT saves it"]);
}

#[test]
fn what_is_no_configuration_is_refused() {
    let (goldens, world) = (Goldens::read(), bench());
    goldens.write(&world, "plain");
    let config = fs::read_to_string(world.path("adapters/plain/adapter_config.json")).unwrap();
    // Python's JSON has words for NaN and infinity.
    for (text, says) in [
        (config.replace("\"lora_alpha\":8", "\"lora_alpha\":NaN"), "is not a configuration of PEFT"),
        (config.replace("\"lora_alpha\":8", "\"lora_alpha\":Infinity"), "is not a configuration of PEFT"),
        (config.replace("\"lora_alpha\":8", "\"lora_alpha\":1e400"), "is not a configuration of PEFT"),
        ("[]".into(), "is not a configuration of PEFT"),
        ("".into(), "is not a configuration of PEFT"),
    ] {
        assert_ne!(text, config);
        world.write("adapters/plain/adapter_config.json", text);
        world.refused(&run(&world, "llama", "--adapter adapters/plain"), &["adapter_config.json", says]);
    }
}

/// What Python reads as one tensor's name twice is not read by chance.
#[test]
fn a_tensor_under_two_names_is_refused() {
    let (goldens, world) = (Goldens::read(), bench());
    goldens.write(&world, "plain");
    let mut all = BTreeMap::new();
    for file in ["plain.safetensors", "named.safetensors"] {
        all.extend(candle_core::safetensors::load(golden(file), &candle_core::Device::Cpu).unwrap());
    }
    let all: std::collections::HashMap<_, _> = all.into_iter().collect();
    candle_core::safetensors::save(&all, world.path("adapters/plain/adapter_model.safetensors")).unwrap();
    world.refused(&run(&world, "llama", "--adapter adapters/plain"), &["is there under two names"]);
}
