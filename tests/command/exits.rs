//! Careless calls: what was typed, the exit code (1: it failed, 2: the input is wrong), and what the one sentence says.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Output};

use crate::world::World;

/// A folder with one of each thing that can be named by mistake.
fn careless() -> World {
    let world = World::new();
    world.write("empty", "");
    for name in ["empty.tsv", "empty.yaml", "empty.gguf", "empty.json", "empty.jinja"] {
        world.write(name, "");
    }
    for name in ["folder", "folder.tsv", "folder.yaml", "folder.gguf", "folder.json", "folder.html"] {
        fs::create_dir(world.path(name)).unwrap();
    }
    for name in ["gone", "gone.tsv", "gone.yaml", "gone.gguf", "gone.json", "gone.jinja"] {
        symlink("nowhere", world.path(name)).unwrap();
    }
    symlink("loop.yaml", world.path("loop.yaml")).unwrap();
    world.write("latin.tsv", b"source\ttarget\ncaf\xe9\tcoffee\n");
    world.write("latin.yaml", b"mask: caf\xe9\n");
    world.write("one.txt", "one\n");
    world.write("two.txt", "one\ntwo\n");
    world
}

fn call(world: &World, args: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_icl-mask"))
        .args(args)
        .current_dir(world.path(""))
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_HOME", world.path("hub"))
        .env_remove("HF_HUB_CACHE")
        .output()
        .unwrap()
}

/// What a run takes.
const RUN: [[&str; 2]; 7] = [
    ["--model", "tiny"],
    ["--test", "test.tsv"],
    ["--demonstrations", "demonstrations.tsv"],
    ["--direction", "en-fr"],
    ["--format", "instr_machine_translation"],
    ["--max-new-tokens", "8"],
    ["--threads", "1"],
];

/// The words of a call. `LONG` is a name of 300 characters, `RUN` what a run takes where the call does not say otherwise, `""`
/// an empty word.
fn words(call: &str) -> Vec<String> {
    let given: Vec<&str> = call.split_whitespace().collect();
    // A verb that computes nothing refuses to be told with how many threads.
    let of_verb = |flag: &str| flag != "--threads" || given.first() != Some(&"show");
    let run =
        RUN.iter().filter(|[flag, _]| !given.contains(flag) && of_verb(flag)).map(|words| words.join(" "));
    let run = run.collect::<Vec<_>>().join(" ");
    let call = call.replace("RUN", &run).replace("LONG", &"n".repeat(300));
    call.split_whitespace().map(|word| if word == "\"\"" { String::new() } else { word.into() }).collect()
}

/// Call, exit code, and a part of what is said.
type Careless = (&'static str, i32, &'static str);

fn check(world: &World, calls: &[Careless]) {
    let mut wrong = Vec::new();
    for (typed, code, says) in calls {
        let output = call(world, &words(typed));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // Notes may come before it; the error itself is one line, and the last.
        let errors = said.lines().filter(|line| line.starts_with("error: ")).count();
        let sentence = errors == 1 && said.lines().last().is_some_and(|line| line.starts_with("error: "));
        let right = output.status.code() == Some(*code)
            && said.contains(says)
            && sentence
            && !said.contains("panicked")
            && output.stdout.is_empty();
        if !right {
            let code = output.status.code();
            wrong.push(format!("{typed}\n  exit code {code:?}: {}", said.replace(&"n".repeat(300), "LONG")));
        }
    }
    assert!(wrong.is_empty(), "{} of {} calls:\n{}", wrong.len(), calls.len(), wrong.join("\n"));
    assert!(!world.path("results").exists(), "something was computed");
}

#[test]
fn models_named_carelessly() {
    check(
        &careless(),
        &[
            ("run RUN --model LONG", 2, "unknown model"),
            ("run RUN --model LONG/LONG", 2, "--model"),
            ("run RUN --model ./LONG", 2, "there is no folder or file"),
            ("run RUN --model LONG.gguf", 2, "there is no folder or file"),
            ("run RUN --model \"\"", 2, "--model"),
            ("run RUN --model folder", 2, "config.json"),
            ("run RUN --model empty", 2, "not a model"),
            ("run RUN --model empty.gguf", 2, "empty.gguf"),
            ("run RUN --model folder.gguf", 2, "config.json"),
            ("run RUN --model ./gone", 2, "does not exist"),
            ("run RUN --model gone.gguf", 2, "does not exist"),
            ("run RUN --model test.tsv", 2, "not a model"),
            ("models LONG", 2, "unknown model"),
            ("models folder", 2, "config.json"),
            ("models ./gone", 2, "does not exist"),
        ],
    );
}

/// Each file of a model, replaced by what is none.
#[test]
fn files_of_models_that_are_none() {
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        for how in ["gone", "empty", "a folder", "a broken link", "binary"] {
            let world = careless();
            let path = world.path("tiny").join(file);
            fs::remove_file(&path).unwrap();
            match how {
                "gone" => {}
                "empty" => fs::write(&path, "").unwrap(),
                "a folder" => fs::create_dir(&path).unwrap(),
                "a broken link" => symlink("nowhere", &path).unwrap(),
                _ => fs::write(&path, [0xff, 0xfe, 0x00, 0x9b]).unwrap(),
            }
            let output = call(&world, &words("run RUN --mask none"));
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{file}, {how}: {said}");
            assert!(said.starts_with("error: ") && said.contains("tiny"), "{file}, {how}: {said}");
            assert!(!said.contains("panicked") && !said.contains("loading"), "{file}, {how}: {said}");
        }
    }
}

#[test]
fn texts_named_carelessly() {
    check(
        &careless(),
        &[
            ("run RUN --test LONG", 2, "a name can have 255"),
            ("run RUN --test LONG.tsv", 2, "a name can have 255"),
            ("run RUN --test nowhere/test.tsv", 2, "nowhere/test.tsv"),
            ("run RUN --test test.tsv/test.tsv", 2, "test.tsv/test.tsv"),
            ("run RUN --test empty.tsv", 2, "empty.tsv"),
            ("run RUN --test folder.tsv", 2, "folder.tsv"),
            ("run RUN --test gone.tsv", 2, "gone.tsv"),
            ("run RUN --test latin.tsv", 2, "latin.tsv:2"),
            ("run RUN --demonstrations folder.tsv", 2, "folder.tsv"),
            ("run RUN --demonstrations gone.tsv", 2, "gone.tsv"),
            ("run --model tiny --direction en-fr --data LONG", 2, "unknown corpus"),
            ("run --model tiny --direction en-fr --data LONG.yaml", 2, ".yaml"),
            ("run --model tiny --direction en-fr --data folder.yaml", 2, "folder.yaml"),
            ("run --model tiny --direction en-fr --data empty.yaml", 2, "empty.yaml"),
            ("run --model tiny --direction en-fr --data gone.yaml", 2, "gone.yaml"),
            ("run --model tiny --direction en-fr --data latin.yaml", 2, "latin.yaml"),
            ("data verify LONG --direction en-fr", 2, "unknown corpus"),
            ("data verify folder.yaml --direction en-fr", 2, "folder.yaml"),
            ("data verify nations --direction enfr", 2, "--direction"),
            ("data prepare LONG", 2, "unknown corpus"),
            ("score --hyp folder --ref one.txt", 2, "folder"),
            ("score --hyp gone --ref one.txt", 2, "gone"),
            ("score --hyp LONG --ref one.txt", 2, "cannot be read"),
            ("score --hyp latin.tsv --ref one.txt", 2, "latin.tsv:2"),
            ("score --hyp one.txt --ref two.txt", 2, "2"),
            ("score --hyp empty --ref empty", 2, "empty"),
        ],
    );
}

#[test]
fn settings_named_carelessly() {
    check(
        &careless(),
        &[
            ("run RUN --config LONG", 2, "unknown experiment"),
            ("run RUN --config LONG.yaml", 2, "cannot be read"),
            ("run RUN --config folder", 2, "unknown experiment"),
            ("run RUN --config folder.yaml", 2, "folder.yaml"),
            ("run RUN --config gone.yaml", 2, "gone.yaml"),
            ("run RUN --config loop.yaml", 2, "loop.yaml"),
            ("run RUN --config latin.yaml", 2, "latin.yaml"),
            ("run RUN --format LONG", 2, "unknown format"),
            ("run RUN --format folder.yaml", 2, "folder.yaml"),
            ("run RUN --mask LONG", 2, "unknown mask"),
            ("run RUN --adapter LONG", 2, "--adapter"),
            ("run RUN --adapter folder", 2, "folder"),
            ("run RUN --adapter empty", 2, "empty"),
            ("run RUN --adapter gone", 2, "gone"),
            ("run RUN --chat-template gone.jinja", 2, "gone.jinja"),
            ("run RUN --chat-template folder.jinja", 2, "folder.jinja"),
            ("run RUN --chat-template LONG.jinja", 2, ".jinja"),
            ("run --from-manifest LONG", 2, "a name can have 255"),
            ("run --from-manifest gone.json", 2, "gone.json"),
            ("run --from-manifest folder.json", 2, "folder.json"),
            ("run --from-manifest empty.json", 2, "empty.json"),
            ("run --from-manifest one.txt/manifest.json", 2, "one.txt"),
            ("show RUN --item 99", 2, "--item 99"),
            ("figure attention RUN --mask none --layer 99", 2, "--layer 99"),
            ("figure attention RUN --mask none --layer 0 --head x", 2, "--head"),
            ("figure attention RUN --mask none --layer 0 --out one.txt", 2, "--out one.txt"),
            ("submit -- run RUN --model ./gone", 2, "does not exist"),
        ],
    );
}

#[test]
fn results_named_carelessly() {
    check(
        &careless(),
        &[
            ("status folder", 2, "no manifest.json"),
            ("status one.txt", 2, "one.txt"),
            ("status gone", 2, "gone"),
            ("status LONG", 2, "too long"),
            ("status one.txt/results", 2, "one.txt/results"),
            ("verify gone", 2, "gone"),
            ("score LONG", 2, "too long"),
            ("figure masks folder", 2, "no manifest.json"),
            ("figure masks gone", 2, "gone"),
            ("figure lora one.txt", 2, "one.txt"),
            ("report folder --out folder.html", 2, "folder.html"),
            ("report folder --out report.txt", 2, ".html"),
            ("export folder --layout sia2024 --out study", 2, "no manifest.json"),
        ],
    );
}

/// Where something is written to: a name that cannot be is wrong input, a place that refuses is a failure.
#[test]
fn places_that_cannot_be_written_to() {
    let world = careless();
    let run = words("run RUN --mask none,TTF --from-layer 1 --results there");
    assert_eq!(call(&world, &run).status.code(), Some(0));
    symlink("nowhere/else", world.path("dangling")).unwrap();
    check(
        &world,
        &[
            ("figure masks there --out one.txt", 2, "--out one.txt"),
            ("figure masks there --out LONG", 2, "a name can have 255"),
            ("figure masks there --out one.txt/figures", 2, "one.txt/figures"),
            ("figure masks there --out /proc/figures", 1, "cannot write"),
            ("report there --out LONG.html", 2, "a name can have 255"),
            ("report there --out one.txt/report.html", 2, "one.txt is not a folder"),
            ("report there --out /proc/report.html", 1, "cannot write"),
            ("export there --layout sia2024 --out one.txt", 2, "one.txt"),
            ("export there --layout sia2024 --out LONG", 2, "a name can have 255"),
            ("export there --layout sia2024 --out /proc/study", 1, "cannot write"),
            ("figure masks there --out dangling", 2, "dangling"),
        ],
    );
    // Nothing was left beside what was named.
    let names = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(world.path(folder)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert!(!names("").iter().any(|name| name.contains("partial") || name == "study"), "{:?}", names(""));
}
