//! Results that version 0.1 wrote (`tests/goldens/results-0.1`, made by the script in it): this program checks, draws, reports,
//! exports and extends them.
#![cfg(target_os = "linux")]

mod tiny;
mod world;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Map, Value};
use world::{World, json_lines, ok};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/results-0.1")
}

/// The files below a folder, by their paths in it.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push((
                    path.strip_prefix(folder).expect("below it").to_path_buf(),
                    fs::read(&path).expect("readable"),
                )),
            }
        }
    }
    found.sort();
    found
}

/// The model of version 0.1's run.
fn write_model(folder: &Path) {
    tiny::write_model(folder);
    fs::write(folder.join("tokenizer_config.json"), r#"{"eos_token": "<|endoftext|>"}"#).expect("written");
}

/// Writes the model where `make.sh` looks for it.
#[test]
#[ignore = "for tests/goldens/results-0.1/make.sh"]
fn the_model_is_written() {
    write_model(Path::new(&std::env::var_os("ICL_MASK_MODEL_TO").expect("ICL_MASK_MODEL_TO names a folder")));
}

/// A folder with the inputs of version 0.1's run, and a copy of its results.
fn world() -> World {
    let world = World::new();
    write_model(&world.path("tiny"));
    for (part, to) in [("input", ""), ("results", "results/")] {
        for (path, bytes) in files(&golden().join(part)) {
            world.write(&format!("{to}{}", path.display()), bytes);
        }
    }
    world
}

/// Calls of version 0.1's runs, as `make.sh` makes them but for what each test changes. Version 0.1 gave programs a direction, which
/// now is to be said.
const TEXT: &str = "run --model tiny --direction en-fr --max-new-tokens 12 --threads 1 --test test.tsv --demonstrations \
                    demonstrations.tsv --format instr_machine_translation --nprompts 3";
const CODE: &str = "run --model tiny --task code --test problems.jsonl --direction en-py --nprompts 2 --max-new-tokens 6 --threads 1 \
                    --format code_functions";
const LORA: &str = "lora --model tiny --direction en-fr --max-new-tokens 12 --threads 1 --data pairs.yaml --train-size 6 \
                    --dev-size 2 --train-batch 2 --epochs 1 --rank 2 --learning-rate 0.01";

/// How many generations a call has computed.
fn computed(output: &Output) -> usize {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    said.lines().filter_map(|line| line.split_once(" generations: ")?.0.parse::<usize>().ok()).sum()
}

#[test]
fn they_are_verified_and_nothing_is_left_to_do() {
    let world = world();
    let said = ok(world.call("verify results"));
    assert!(!said.contains("wrong") && !said.contains("not finished"), "{said}");
    for run in json_lines(&ok(world.call("status results --json"))) {
        assert_eq!(run["finished"], run["cells"], "{run}");
    }
    for call in [
        format!("{TEXT} --mask none,TTF,all --from-layer 1,3 --seed 0,1 --limit 4"),
        format!("{TEXT} --ablate-attention 1,2 --seed 0 --limit 4"),
        format!("{CODE} --mask none,TTF --from-layer 2 --limit 3"),
        format!("{LORA} --layers 1 --limit 4"),
    ] {
        let output = world.call(&call);
        assert_eq!(computed(&output), 0, "{call}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("loading"), "{call}");
    }
    // No call of these has touched what was finished.
    for (path, bytes) in files(&golden().join("results")) {
        let now = fs::read(world.path("results").join(&path)).expect("it is still there");
        assert!(path.ends_with("manifest.json") || now == bytes, "{}", path.display());
    }
}

/// Byte for byte the numbers that version 0.1 drew.
#[test]
fn they_are_drawn_and_exported_as_version_0_1_did() {
    let world = world();
    for (kind, rows) in [("masks", 7), ("ablation", 3), ("lora", 7)] {
        ok(world.call(&format!("figure {kind} results")));
        let file = format!("{kind}.csv");
        let [then, now] = [golden().join("figures").join(&file), world.path("figures").join(&file)]
            .map(|path| fs::read_to_string(path).expect("a table"));
        assert!(then.lines().count() > rows, "{then}");
        assert_eq!(then, now, "figure {kind}");
    }
    ok(world.call("export results/tiny/test.en-fr --layout sia2024 --out study"));
    let (then, now) = (files(&golden().join("study")), files(&world.path("study")));
    assert!(then.len() > 5);
    assert_eq!(then, now);
    ok(world.call("report results --out report.html"));
    let page = fs::read_to_string(world.path("report.html")).expect("a page");
    for part in ["test.en-fr", "problems", "pairs"] {
        assert!(page.contains(part), "{part} is not in the report");
    }
}

/// What a score file says, but for what two runs of the same cells need not share: times, the program that wrote it, how it ran
/// programs, and the sha256 of the generations, which version 0.1 did not write.
fn scores(bytes: &[u8]) -> Map<String, Value> {
    let mut fields: Map<String, Value> = serde_json::from_slice(bytes).expect("an object");
    fields.retain(|key, _| !["seconds", "version", "runner", "generations_sha256"].contains(&key.as_str()));
    fields
}

/// All that an older file says, a newer one says too; later versions may say more.
fn assert_said_too(older: &[u8], newer: &[u8], path: &Path) {
    let newer = scores(newer);
    for (key, value) in scores(older) {
        assert_eq!(newer.get(&key), Some(&value), "{}: {key}", path.display());
    }
}

/// Lines of generations without the statistics that version 0.1 did not store.
fn as_then(lines: &[u8]) -> String {
    let line = |line: &str| {
        let mut value: Value = serde_json::from_str(line).expect("a line");
        if let Some(stats) = value["stats"].as_object_mut() {
            stats.retain(|key, _| ["bleu", "chrf"].contains(&key.as_str()));
        }
        value.to_string() + "\n"
    };
    String::from_utf8_lossy(lines).lines().map(line).collect()
}

/// Measures that version 0.1 did not store come with `score`; until then a sentence says so.
#[test]
fn later_measures_come_with_score() {
    let world = world();
    let folder = "results/tiny/test.en-fr/instr_machine_translation-k3-seed0";
    for measure in ["chrf++", "ter", "language"] {
        let call = format!("figure masks {folder} --metric {measure}");
        let said = ["was scored without", &format!("`icl-mask score {folder}` adds it")];
        world.refused(&world.call(&call), &said);
    }
    let files = |path: &str| fs::read(world.path(folder).join(path)).expect("a file");
    let then = files("none/baseline.json");
    ok(world.call(&format!("score {folder}")));
    assert_said_too(&then, &files("none/baseline.json"), Path::new("none/baseline.json"));
    assert_eq!(
        as_then(&files("none/baseline.jsonl")),
        as_then(&fs::read(golden().join(folder).join("none/baseline.jsonl")).expect("a file"))
    );
    for measure in ["chrf++", "ter", "language"] {
        ok(world.call(&format!("figure masks {folder} --metric {measure}")));
    }
    ok(world.call("verify results"));
}

fn is_score(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "json") && !path.ends_with("manifest.json")
}

/// What a call makes of version 0.1's folder, and of none: the same cells. Cells that were finished keep their bytes.
#[test]
fn cells_are_added_to_them() {
    let cases = [
        (TEXT, "--mask none,TTF,all --from-layer 1,2,3 --seed 0,1 --limit 4", 4 * 2 * 2),
        (TEXT, "--ablate-attention 0,1,2 --seed 0 --limit 4", 4),
        (CODE, "--mask none,TTF --from-layer 1,2 --limit 3 --time-limit 3", 3),
        (LORA, "--layers 1,2 --limit 4", 4),
    ];
    for (call, more, new) in cases {
        let world = world();
        assert_eq!(computed(&world.call(&format!("{call} {more}"))), new, "{more}");
        for (path, then) in files(&golden().join("results")) {
            let now = fs::read(world.path("results").join(&path)).expect("it is still there");
            assert!(path.ends_with("manifest.json") || now == then, "{more}: {} changed", path.display());
        }
        assert_as_from_nothing(&world, &format!("{call} {more}"));
        ok(world.call("verify results"));
    }
}

/// More items: of each cell the new ones alone are computed, and those of version 0.1 stay at its head.
#[test]
fn they_grow_by_items() {
    let cases = [
        (TEXT, "--mask none,TTF,all --from-layer 1,3 --ablate-attention 1,2 --seed 0 --limit 6", 2 * 7),
        (CODE, "--mask none,TTF --from-layer 2 --limit 5 --time-limit 3", 2 * 2),
        (LORA, "--layers 1 --limit 6", 2 * 2),
    ];
    for (call, more, new) in cases {
        let world = world();
        let output = world.call(&format!("{call} {more}"));
        assert_eq!(computed(&output), new, "{more}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("loss"), "an adapter was trained again");
        let mut kept = 0;
        for (path, then) in files(&golden().join("results")) {
            let now = fs::read(world.path("results").join(&path)).expect("it is still there");
            if path.extension().is_some_and(|end| end == "jsonl") {
                assert!(now.starts_with(&then), "{more}: {} lost lines", path.display());
                kept += 1;
            }
        }
        assert!(kept > 10);
        assert_as_from_nothing(&world, &format!("{call} {more}"));
        ok(world.call("verify results"));
    }
}

/// An adapter of version 0.1, and one that is trained now: the order of some sums in training is another, so that the last digits
/// differ. What the two generate is the same.
fn assert_near(new: &[u8], old: &[u8]) {
    let [new, old] = [new, old].map(|bytes| {
        candle_core::safetensors::load_buffer(bytes, &candle_core::Device::Cpu).expect("an adapter")
    });
    assert_eq!(new.len(), old.len());
    for (name, tensor) in new {
        let far =
            (tensor - &old[&name]).and_then(|apart| apart.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>());
        assert!(far.expect("of one shape") < 1e-5, "{name}");
    }
}

/// Every cell of a call in an empty folder is, with its generations, in the world's results too.
fn assert_as_from_nothing(world: &World, call: &str) {
    ok(world.call(&format!("{call} --results fresh")));
    let mut cells = 0;
    for (path, fresh) in files(&world.path("fresh")) {
        let found = fs::read(world.path("results").join(&path)).expect("it is there too");
        if path.extension().is_some_and(|end| end == "jsonl") {
            assert_eq!(as_then(&fresh), as_then(&found), "{}", path.display());
        } else if path.ends_with("adapter_model.safetensors") && golden().join("results").join(&path).exists()
        {
            assert_near(&fresh, &found);
        } else if path.iter().any(|part| part == "lora")
            && path.parent().is_some_and(|at| !at.ends_with("lora"))
        {
            // Another adapter's files; how long its training took is its own.
            assert!(path.ends_with("training.json") || fresh == found, "{}", path.display());
        } else if is_score(&path) {
            assert_said_too(&found, &fresh, &path);
            cells += 1;
        }
    }
    assert!(cells > 1);
}
