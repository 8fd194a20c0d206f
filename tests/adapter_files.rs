//! Adapter files as people have them, through the built command: what PEFT computes with them
//! (`tests/goldens/make_adapter_files.py`), and what is said of those that are not read.

mod tiny;
mod world;

use std::collections::{BTreeMap, BTreeSet};
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

/// What comes of a call with a setting, next to the same call without it.
enum Outcome {
    /// What is printed or written differs.
    Differs,
    /// It is refused, and the sentence says this.
    Refused(&'static str),
}

use Outcome::{Differs, Refused};

/// What is said of a flag that would be ignored.
const UNUSED: Outcome = Refused("has no effect");

type Table<'a> = &'a [(&'a str, &'a str, Outcome)];

/// A verb's call with each of all settings, one at a time.
struct Verb<'a> {
    name: &'a str,
    call: &'a [(&'a str, &'a str)],
    table: Table<'a>,
}

impl Verb<'_> {
    fn call(&self, world: &World, setting: &str, value: &str) -> Output {
        let flag = |setting: &str| setting.replace('_', "-");
        let others = self.call.iter().filter(|(known, _)| *known != setting);
        let all = others.copied().chain((!setting.is_empty()).then_some((setting, value)));
        let flags: String = all.map(|(setting, value)| format!(" --{} {value}", flag(setting))).collect();
        world.call(&format!("{}{flags}", self.name))
    }

    fn check(&self, world: &World) {
        let settings: BTreeSet<&str> = self.table.iter().map(|(setting, ..)| *setting).collect();
        let known = icl_mask::config::Settings::KEYS.iter().filter(|key| **key != "lora");
        assert_eq!(settings, known.copied().collect(), "{}: every setting has a line", self.name);
        let effect = |setting: &str, value: &str| {
            let output = self.call(world, setting, value);
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            let mut files = Vec::new();
            for folder in ["out", "elsewhere"].map(|folder| world.path(folder)) {
                if folder.exists() {
                    files.extend(contents(&folder).into_iter().map(|(path, text)| (folder.join(path), text)));
                    fs::remove_dir_all(folder).unwrap();
                }
            }
            // Of a manifest the command line always differs.
            files.retain(|(path, _)| !path.ends_with("manifest.json") && !path.ends_with("training.json"));
            (output.status.code(), stderr, (output.stdout, files))
        };
        let (code, stderr, without) = effect("", "");
        assert_eq!(code, Some(0), "{}: {stderr}", self.name);
        let mut wrong = Vec::new();
        for (setting, value, outcome) in self.table {
            let (code, stderr, with) = effect(setting, value);
            let right = match outcome {
                Differs => code == Some(0) && with != without,
                Refused(says) => code == Some(2) && stderr.contains(says) && !stderr.contains("panicked"),
            };
            if !right {
                wrong.push(format!("{} --{setting} {value}: {code:?}: {stderr}", self.name));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

/// Test items and demonstrations other than those of the world, adapters that fit its model and that do not.
fn settings_world() -> World {
    let (goldens, world) = (Goldens::read(), World::new());
    let demonstrations = fs::read_to_string(world.path("demonstrations.tsv")).unwrap();
    let test = fs::read_to_string(world.path("test.tsv")).unwrap();
    world.write("other.tsv", &demonstrations);
    world.write("others.tsv", test);
    world.write("training.tsv", demonstrations);
    let pairs = "kind: table\ndescription: tiny\ntest: test.tsv\ndemonstrations: demonstrations.tsv\ntraining: training.tsv\n\
                 columns: {id: id, source: source, target: target}\n";
    world.write("pairs.yaml", pairs);
    world.write("more.yaml", pairs.replace("test: test.tsv", "test: demonstrations.tsv"));
    world.write("tiny/tokenizer_config.json", r#"{"eos_token": "<|endoftext|>"}"#);
    world.write("mine.jinja", world::CHAT);
    goldens.write(&world, "plain");
    let output = world.call(
        "lora --model tiny --data pairs.yaml --direction en-fr --layers 1 --train-size 4 --dev-size 0 --epochs 2 --learning-rate \
         0.5 --max-new-tokens 2 --threads 1 --limit 1 --results trained",
    );
    ok(output);
    let folder =
        fs::read_dir(world.path("trained/tiny/pairs.en-fr")).unwrap().next().unwrap().unwrap().path();
    fs::rename(folder.join("lora/layer-1"), world.path("adapters/tiny")).unwrap();
    world
}

#[test]
fn no_verb_ignores_a_setting_without_a_word() {
    let world = settings_world();
    let mt = [("model", "tiny"), ("test", "test.tsv"), ("demonstrations", "demonstrations.tsv")];
    let prompt = [("direction", "en-fr"), ("format", "instr_machine_translation"), ("nprompts", "3")];
    let masked = [("mask", "TTF"), ("from_layer", "2"), ("max_new_tokens", "4")];
    let common = [mt, prompt, masked].concat();
    let prompts: fn() -> Vec<(&'static str, &'static str, Outcome)> = || {
        vec![
            ("model", "nowhere", Refused("nowhere")),
            ("task", "code", Refused("jsonl")),
            ("data", "pairs.yaml", Refused("--test")),
            ("test", "other.tsv", Differs),
            ("demonstrations", "others.tsv", Differs),
            ("direction", "fr-en", Differs),
            ("format", "qa_lines", Differs),
            ("mask", "FTF", Differs),
            ("from_layer", "1", Differs),
        ]
    };
    let computed = [("threads", "1"), ("results", "out")];
    Verb {
        name: "run",
        call: &[common.clone(), computed.to_vec()].concat(),
        table: &[
            prompts(),
            vec![
                ("ablate_attention", "1", Differs),
                ("nprompts", "2", Differs),
                ("seed", "1", Differs),
                ("limit", "2", Differs),
                ("chat_template", "mine.jinja", Differs),
                ("max_new_tokens", "2", Differs),
                ("profile", "sia2024", Refused("5 demonstrations")),
                ("device", "cuda", Refused("--device")),
                ("dtype", "bf16", Differs),
                ("threads", "0", Refused("--threads")),
                ("batch", "0", Refused("--batch")),
                ("memory", "1MiB", Refused("allowed by --memory")),
                ("no_stop", "true", Differs),
                ("drop_context", "true", Differs),
                ("samples", "2", Refused("temperature")),
                ("temperature", "2", Differs),
                ("top_p", "0.5", Refused("temperature")),
                ("sandbox", "off", Refused("an effect on programs only")),
                ("python", "python3", Refused("an effect on programs only")),
                ("time_limit", "3", Refused("an effect on programs only")),
                ("adapter", "adapters/tiny", Differs),
                ("results", "elsewhere", Differs),
                ("locks", "maybe", Refused("--locks")),
            ],
        ]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>(),
    }
    .check(&world);
    Verb {
        name: "show",
        call: &common,
        table: &[
            prompts(),
            vec![
                ("ablate_attention", "1", Differs),
                ("nprompts", "2", Differs),
                ("seed", "1", Differs),
                ("limit", "1000", Refused("--limit")),
                ("chat_template", "mine.jinja", Differs),
                ("max_new_tokens", "4000", Refused("context")),
                ("profile", "sia2024", Refused("5 demonstrations")),
                ("device", "cpu", UNUSED),
                ("dtype", "bf16", UNUSED),
                ("threads", "1", UNUSED),
                ("batch", "2", UNUSED),
                ("memory", "1MiB", UNUSED),
                ("no_stop", "true", UNUSED),
                ("drop_context", "true", UNUSED),
                ("samples", "1", UNUSED),
                ("temperature", "2", UNUSED),
                ("top_p", "1", UNUSED),
                ("sandbox", "off", UNUSED),
                ("python", "python3", UNUSED),
                ("time_limit", "3", UNUSED),
                ("adapter", "adapters/plain", Refused("adapters/plain")),
                ("results", "elsewhere", UNUSED),
                ("locks", "false", UNUSED),
            ],
        ]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>(),
    }
    .check(&world);
    let attention = [("layer", "2"), ("head", "3"), ("threads", "1"), ("out", "out")];
    Verb {
        name: "figure attention",
        call: &[common, attention.to_vec()].concat(),
        table: &[
            prompts(),
            vec![
                ("ablate_attention", "1", Refused("name one of each")),
                ("nprompts", "2", Differs),
                ("seed", "1", Differs),
                ("limit", "1000", Refused("--limit")),
                ("chat_template", "mine.jinja", Differs),
                ("max_new_tokens", "4000", Refused("context")),
                ("profile", "sia2024", Refused("5 demonstrations")),
                ("device", "cuda", Refused("--device")),
                ("dtype", "bf16", Differs),
                ("threads", "0", Refused("--threads")),
                ("batch", "2", UNUSED),
                ("memory", "1MiB", Refused("allowed by --memory")),
                ("no_stop", "true", UNUSED),
                ("drop_context", "true", UNUSED),
                ("samples", "1", UNUSED),
                ("temperature", "2", UNUSED),
                ("top_p", "1", UNUSED),
                ("sandbox", "off", UNUSED),
                ("python", "python3", UNUSED),
                ("time_limit", "3", UNUSED),
                ("adapter", "adapters/tiny", Differs),
                ("results", "elsewhere", UNUSED),
                ("locks", "false", UNUSED),
            ],
        ]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>(),
    }
    .check(&world);
    Verb {
        name: "lora",
        call: &[
            ("model", "tiny"),
            ("data", "pairs.yaml"),
            ("direction", "en-fr"),
            ("layers", "2"),
            ("train_size", "3"),
            ("dev_size", "0"),
            ("epochs", "1"),
            ("max_new_tokens", "4"),
            ("threads", "1"),
            ("results", "out"),
            ("limit", "2"),
        ],
        table: &[
            ("model", "nowhere", Refused("nowhere")),
            ("task", "code", Refused("--task mt")),
            ("data", "more.yaml", Differs),
            ("test", "other.tsv", Refused("--data")),
            ("demonstrations", "others.tsv", Refused("has its own demonstrations")),
            ("direction", "fr-en", Differs),
            ("format", "qa_lines", Differs),
            ("mask", "TTF", Refused("run --adapter")),
            ("from_layer", "1", Refused("run --adapter")),
            ("ablate_attention", "1", Refused("run --adapter")),
            ("nprompts", "2", Differs),
            ("seed", "1", Differs),
            ("limit", "1", Differs),
            ("chat_template", "mine.jinja", Refused("--chat-template")),
            ("max_new_tokens", "2", Differs),
            ("profile", "sia2024", Refused("5 demonstrations")),
            ("device", "cuda", Refused("--device")),
            ("dtype", "bf16", Refused("--dtype f32")),
            ("threads", "0", Refused("--threads")),
            ("batch", "0", Refused("--batch")),
            ("memory", "1MiB", Refused("allowed by --memory")),
            ("no_stop", "true", Differs),
            ("drop_context", "true", Refused("--drop-context")),
            ("samples", "2", Refused("temperature")),
            ("temperature", "2", Differs),
            ("top_p", "0.5", Refused("temperature")),
            ("sandbox", "off", UNUSED),
            ("python", "python3", UNUSED),
            ("time_limit", "3", UNUSED),
            ("adapter", "adapters/tiny", Refused("--adapter")),
            ("results", "elsewhere", Differs),
            ("locks", "maybe", Refused("--locks")),
        ],
    }
    .check(&world);
}
