//! Model folders and GGUF files that say unusual things of themselves, through the built command, against the tokens of
//! transformers (`tests/goldens/make_model_files.py`); and files that are damaged or impossible.

mod gguf;

#[allow(dead_code, reason = "each test binary uses its own part")]
#[path = "../drawn/mod.rs"]
mod drawn;
#[path = "../tiny/mod.rs"]
mod tiny;
#[path = "../world/mod.rs"]
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use candle_core::{Device, Tensor};
use drawn::Drawn;
use serde::Deserialize;
use serde_json::{Value, json};
use world::{World, json_lines, ok};

#[derive(Deserialize)]
struct Expected {
    prompt: String,
    prompt_ids: Vec<u32>,
    folders: Vec<Folder>,
    ggufs: Vec<Gguf>,
}

/// A model folder, and what comes of it.
#[derive(Deserialize)]
struct Folder {
    name: String,
    config: Value,
    generation: Option<Value>,
    index: Option<Value>,
    rules: Value,
    files: BTreeMap<String, Weights>,
    tokens: Option<Vec<u32>>,
    refused: Option<Vec<String>>,
    /// Where the first score is not finite.
    nan: Option<String>,
}

/// A file of weights: its tensors by name, shape, the name from which each is drawn if that is another, and a factor.
#[derive(Deserialize)]
struct Weights {
    seed: String,
    tensors: Vec<(String, Vec<usize>, Option<String>, f32)>,
}

#[derive(Deserialize)]
struct Gguf {
    name: String,
    files: Vec<String>,
    tokens: Vec<u32>,
}

fn golden(file: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/goldens/model_files", file].iter().collect()
}

fn expected() -> Expected {
    serde_json::from_str(&fs::read_to_string(golden("expected.json")).expect("goldens")).expect("goldens")
}

fn folder<'a>(expected: &'a Expected, name: &str) -> &'a Folder {
    expected.folders.iter().find(|folder| folder.name == name).expect("a folder of the goldens")
}

impl Folder {
    /// Write it, with a tokenizer.
    fn write(&self, path: &Path) {
        fs::create_dir_all(path).expect("a folder");
        fs::copy(golden("tokenizer.json"), path.join("tokenizer.json")).expect("copied");
        let json =
            |file: &str, value: &Value| fs::write(path.join(file), value.to_string()).expect("written");
        json("config.json", &self.config);
        if let Some(generation) = &self.generation {
            json("generation_config.json", generation);
        }
        if let Some(index) = &self.index {
            json("model.safetensors.index.json", index);
        }
        for (file, weights) in &self.files {
            let drawn = json!({"seed": weights.seed, "rules": self.rules});
            let drawn: Drawn = serde_json::from_value(drawn).expect("how they are drawn");
            let tensors = weights.tensors.iter().map(|(name, shape, from, factor)| {
                let mut values = drawn.values(from.as_ref().unwrap_or(name), shape);
                values.iter_mut().for_each(|value| *value *= factor);
                let tensor = Tensor::from_vec(values, shape.as_slice(), &Device::Cpu).expect("a tensor");
                (name.clone(), tensor)
            });
            let tensors = tensors.collect();
            candle_core::safetensors::save(&tensors, path.join(file)).expect("written");
        }
    }
}

/// A world with the prompt of the goldens.
fn world() -> World {
    let world = World::new();
    world.write("demonstrations.tsv", "source\ttarget\none tree\tun arbre\n");
    world.write("test.tsv", "id\tsource\ttarget\n7\ttwo trees\tdeux arbres\n");
    let format = "header: \"{source} to {target}\"\nquestion: \"Q:\"\nanswer: \"A:\"\nafter_target: \" \"\n";
    world.write("f.yaml", format);
    world
}

/// The settings that make the prompt.
const ASKED: &str =
    "--test test.tsv --demonstrations demonstrations.tsv --direction en-fr --format f.yaml --nprompts 1";

fn run(world: &World, model: &str, more: &str) -> Output {
    world.call(&format!(
        "run --model {model} {ASKED} --mask none --max-new-tokens 8 --no-stop --threads 1 --results results/{model} {more}"
    ))
}

/// The run's folder of results.
fn results(world: &World, model: &str) -> PathBuf {
    let stem = Path::new(model).file_stem().expect("a name").to_string_lossy().into_owned();
    let folder = if world.path(model).is_dir() { model } else { &stem };
    world.path(&format!("results/{model}/{folder}/test.en-fr/f-k1-seed0"))
}

/// What a model generates.
fn tokens(world: &World, model: &str) -> Vec<u32> {
    ok(run(world, model, ""));
    let lines = fs::read_to_string(results(world, model).join("none/baseline.jsonl")).expect("generations");
    serde_json::from_value(json_lines(&lines)[0]["tokens"].clone()).expect("tokens")
}

fn manifest(world: &World, model: &str) -> Value {
    let text = fs::read_to_string(results(world, model).join("manifest.json")).expect("a manifest");
    serde_json::from_str(&text).expect("JSON")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_folder_gives_the_tokens_of_transformers_or_is_refused() {
    let (world, expected) = (world(), expected());
    for folder in &expected.folders {
        let name = folder.name.as_str();
        folder.write(&world.path(name));
        match (&folder.tokens, &folder.refused) {
            (Some(right), _) => assert_eq!(&tokens(&world, name), right, "{name}"),
            (None, Some(words)) => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let output = run(&world, name, "");
                let stderr = stderr(&output);
                assert_eq!(output.status.code(), Some(2), "{name}: {stderr}");
                assert!(words.iter().all(|word| stderr.contains(word)), "{name}: {stderr}");
            }
            (None, None) => {}
        }
    }
}

#[test]
fn the_prompt_is_that_of_the_goldens() {
    let (world, expected) = (world(), expected());
    folder(&expected, "llama").write(&world.path("llama"));
    let shown = ok(world.call(&format!("show --model llama {ASKED} --json")));
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["prompt"], expected.prompt.as_str());
    assert_eq!(shown["tokens"], json!(expected.prompt_ids), "{shown}");
}

#[test]
fn scores_that_are_not_finite_stop_the_run_with_layer_and_item() {
    let (world, expected) = (world(), expected());
    for folder in expected.folders.iter().filter(|folder| folder.nan.is_some()) {
        let (name, layer) = (folder.name.as_str(), folder.nan.as_deref().expect("a layer"));
        folder.write(&world.path(name));
        let output = run(&world, name, "");
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{name}: {message}");
        let place = message.contains("item 7") || message.contains("the part that all prompts share");
        assert!(place && message.contains(layer) && message.contains("NaN or infinite"), "{name}: {message}");
        let attention =
            world.call(&format!("figure attention --model {name} {ASKED} --mask none --layer 0 --out drawn"));
        assert_eq!(attention.status.code(), Some(2), "{name}: {}", stderr(&attention));
        assert!(stderr(&attention).contains("item 7"), "{name}: {}", stderr(&attention));
        assert!(
            !world.path("drawn").exists()
                || fs::read_dir(world.path("drawn")).expect("a folder").count() == 0
        );
        assert!(!results(&world, name).join("none/baseline.json").exists());
    }
}

#[test]
fn penalties_are_named_once_and_in_the_manifest() {
    let (world, expected) = (world(), expected());
    folder(&expected, "qwen2-penalty").write(&world.path("qwen2-penalty"));
    folder(&expected, "llama").write(&world.path("llama"));
    let said = stderr(&run(&world, "qwen2-penalty", ""));
    assert_eq!(said.matches("`repetition_penalty` = 1.3").count(), 1, "{said}");
    assert!(said.contains("generation_config.json") && said.contains("is not applied"), "{said}");
    let written = manifest(&world, "qwen2-penalty");
    assert_eq!(written["not_applied"], json!({"generation_config.json": {"repetition_penalty": 1.3}}));
    assert!(
        written["decoding"].as_str().expect("words").starts_with("greedy: the token of the greatest logit")
    );
    let said = stderr(&run(&world, "llama", ""));
    assert!(!said.contains("not applied") && !said.contains("does not know"), "{said}");
    let written = manifest(&world, "llama");
    assert!(written.get("not_applied").is_none() && written.get("unread_keys").is_none(), "{written}");
}

#[test]
fn unknown_keys_are_named_once_and_in_the_manifest() {
    let (world, expected) = (world(), expected());
    let llama = folder(&expected, "llama");
    llama.write(&world.path("odd"));
    let mut config = llama.config.clone();
    config["logit_cap"] = json!(30);
    config["rope_parameters"] = json!({"rope_type": "default", "rope_theta": 1e4, "ramp": 32});
    world.write("odd/config.json", config.to_string());
    world.write("odd/generation_config.json", json!({"eos_token_id": 0, "new_penalty": 2}).to_string());
    let said = stderr(&run(&world, "odd", ""));
    assert_eq!(said.matches("`logit_cap`, `rope_parameters.ramp`").count(), 1, "{said}");
    assert_eq!(said.matches("`new_penalty`").count(), 1, "{said}");
    let written = &manifest(&world, "odd")["unread_keys"];
    assert_eq!(written["config.json"], json!(["logit_cap", "rope_parameters.ramp"]));
    assert_eq!(written["generation_config.json"], json!(["new_penalty"]));
}

/// A folder of the goldens with some fields of its config.json changed.
fn changed(world: &World, folder: &Folder, name: &str, fields: Value) {
    folder.write(&world.path(name));
    let mut config = folder.config.clone();
    for (field, value) in fields.as_object().expect("fields") {
        config[field] = value.clone();
    }
    world.write(&format!("{name}/config.json"), config.to_string());
}

#[test]
fn impossible_hyperparameters_are_refused_when_read() {
    let (world, expected) = (world(), expected());
    let llama3 = |more: Value| {
        let mut all = json!({"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4,
            "original_max_position_embeddings": 64});
        all.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
        json!({"rope_scaling": all})
    };
    for (base, fields, says) in [
        ("llama", json!({"rope_theta": 0}), "rope_theta, rope.freq_base) is 0"),
        ("llama", json!({"rope_theta": -5.0}), "is -5"),
        ("llama", json!({"rope_parameters": {"rope_type": "default", "rope_theta": 0.0}}), "is 0"),
        (
            "llama",
            json!({"rope_scaling": {"type": "linear", "factor": 0}}),
            "factor of the rope scaling is 0",
        ),
        (
            "llama",
            json!({"rope_scaling": {"type": "linear", "factor": -2}}),
            "factor of the rope scaling is -2",
        ),
        ("llama", llama3(json!({"factor": 0})), "factor of the rope scaling is 0"),
        ("llama", llama3(json!({"low_freq_factor": 0})), "low_freq_factor of the rope scaling is 0"),
        ("llama", llama3(json!({"high_freq_factor": 1})), "high_freq_factor of the rope scaling is 1"),
        ("llama", llama3(json!({"original_max_position_embeddings": 0})), "is 0"),
        ("llama", json!({"rms_norm_eps": -1e-6}), "epsilon of the norms is -0.000001"),
        ("llama", json!({"rms_norm_eps": null}), "`rms_norm_eps` is missing or null"),
        (
            "llama",
            json!({"rope_scaling": {"rope_type": "linear", "factor": 2, "partial_rotary_factor": 0.5}}),
            "`partial_rotary_factor` is 0.5",
        ),
        (
            "llama",
            json!({"quantization_config": {"quant_method": "bitsandbytes"}}),
            "`quantization_config` is",
        ),
        ("llama", json!({"per_layer_config": {"0": {"intermediate_size": 3}}}), "`per_layer_config` is"),
        ("llama", json!({"rope_interleaved": true}), "`rope_interleaved` is true"),
        ("gpt2-tied", json!({"layer_norm_epsilon": -1}), "epsilon of the norms is -1"),
        ("gpt2-tied", json!({"add_cross_attention": true}), "`add_cross_attention` is true"),
        ("gpt2-tied", json!({"scale_attn_by_inverse_layer_idx": true}), "is true"),
        ("gpt_neox", json!({"rotary_pct": 0}), "a share of 0"),
        ("gemma3-tied", json!({"query_pre_attn_scalar": 0}), "scale of the attention scores"),
        ("gemma3-tied", json!({"query_pre_attn_scalar": -4}), "scale of the attention scores"),
        ("gemma3-tied", json!({"sliding_window_pattern": 0}), "`sliding_window_pattern` is 0"),
        ("gemma3-tied", json!({"sliding_window": null}), "no `sliding_window` is in force"),
        ("gemma3-tied", json!({"rope_local_base_freq": 0}), "rope.freq_base) is 0"),
        (
            "gemma3-tied",
            json!({"rope_parameters": {"rope_type": "default"}, "rope_scaling": {"factor": 2}}),
            "`rope_parameters.full_attention`",
        ),
    ] {
        changed(&world, folder(&expected, base), "changed", fields);
        world.refused(&run(&world, "changed", ""), &[says]);
        world.refused(&world.call("models ./changed"), &[says]);
    }
    // JSON knows no NaN, Python's files may hold one.
    let text = folder(&expected, "llama").config.to_string().replace("0.01", "NaN");
    world.write("changed/config.json", text);
    world.refused(&run(&world, "changed", ""), &["config.json"]);
}

/// The GGUF files of the goldens.
fn with_ggufs() -> (World, Expected) {
    let (world, expected) = (world(), expected());
    for file in expected.ggufs.iter().flat_map(|gguf| &gguf.files) {
        fs::copy(golden(file), world.path(file)).expect("copied");
    }
    (world, expected)
}

// --- The list of models --------------------------------------------------------------------------------------

#[test]
fn the_list_and_a_model_by_name_agree_in_parameters() {
    let (world, expected) = with_ggufs();
    let own = folder(&expected, "llama-tied-own-head");
    own.write(&world.path("own"));
    let yaml = |path: &str| {
        let config: String = (own.config.as_object().expect("fields").iter())
            .map(|(key, value)| format!("  {key}: {value}\n"))
            .collect();
        format!("path: {path}\nconfig:\n{config}")
    };
    world.write("configs/model/here.yaml", yaml("own"));
    world.write("configs/model/gguf.yaml", yaml("plain.gguf"));
    world.write("configs/model/gone.yaml", yaml("nowhere"));
    let list = json_lines(&ok(world.call("models --json")));
    for name in ["here", "gguf", "gone", "smollm2-135m"] {
        let listed = list.iter().find(|line| line["model"] == name).expect("a line");
        let shown: Value =
            serde_json::from_str(&ok(world.call(&format!("models {name} --json")))).expect("JSON");
        assert_eq!(listed["parameters"], shown["parameters"], "{name}");
        assert_eq!(listed["bytes"], shown["bytes"], "{name}");
    }
    // The stored head is counted.
    let of =
        |name: &str| list.iter().find(|line| line["model"] == name).expect("a line")["parameters"].clone();
    assert!(of("here").as_u64() > of("gone").as_u64());
}

/// Frequencies that depend on the length: one list must hold for a whole call.
#[test]
fn sequences_on_both_sides_of_longropes_context_are_refused() {
    let (world, expected) = (world(), expected());
    folder(&expected, "llama-longrope-short").write(&world.path("long"));
    // The prompt has 50 tokens, and the original context 100.
    for more in ["", "--dry-run"] {
        let output = world
            .call(&format!("run --model long {ASKED} --mask none --max-new-tokens 60 --threads 1 {more}"));
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        let said = stderr(&output);
        assert!(said.contains("beyond 100 tokens") && said.contains("from 50 to 110"), "{said}");
    }
    assert!(!world.path("results").exists(), "nothing is begun");
}
