//! Each verb with each setting, one at a time: none is ignored without a word.

use std::collections::BTreeSet;
use std::fs;
use std::process::Output;

use super::Goldens;
use crate::world::{CHAT, World, contents, ok};

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
    world.write("mine.jinja", CHAT);
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
            ("hide", "examples", Refused("says what is hidden, too")),
            ("readers", "last", Differs),
            ("window", "1", Differs),
            ("steps", "1..", Differs),
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
                ("vary", "keep=1", Differs),
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
                ("vary", "keep=1", Differs),
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
                ("vary", "keep=1", Differs),
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
            ("hide", "examples", Refused("run --adapter")),
            ("readers", "last", Refused("run --adapter")),
            ("window", "1", Refused("run --adapter")),
            ("steps", "1..", Refused("run --adapter")),
            ("ablate_attention", "1", Refused("run --adapter")),
            ("nprompts", "2", Differs),
            ("seed", "1", Differs),
            ("vary", "keep=1", Refused("--vary")),
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
