//! Score files and generations that were edited: verify finds it, and every reader refuses them.

use crate::{calls, tiny};
use std::fs;
use std::path::{Path, PathBuf};

use super::{FOLDER, MASKS, is_score, read, readers, refused_by_all, without_sha256};
use crate::world::{World, contents, ok};
use icl_mask::base::hash::Hash;
use serde_json::Value;

/// Replace the number after this key by another.
fn another_number(text: &str, key: &str) -> String {
    let at = text.find(key).expect("the key") + key.len();
    let digit = text[at..].find(|c: char| c.is_ascii_digit()).expect("a number") + at;
    let other = if &text[digit..=digit] == "1" { "2" } else { "1" };
    format!("{}{other}{}", &text[..digit], &text[digit + 1..])
}

fn sha256_of(path: &Path) -> String {
    let mut hash = Hash::default();
    hash.bytes(fs::read(path).unwrap());
    hash.hex()
}

#[test]
fn a_score_file_holds_the_sha256_of_its_generations() {
    let world = World::new();
    ok(world.run(MASKS));
    let scores: Vec<PathBuf> =
        calls::contents_of(&world.path("results")).into_iter().filter(|path| is_score(path)).collect();
    assert_eq!(scores.len(), 1 + tiny::LAYERS);
    for path in scores {
        let score: Value = serde_json::from_str(&read(&path)).unwrap();
        assert_eq!(
            score["generations_sha256"],
            sha256_of(&path.with_extension("jsonl")),
            "{}",
            path.display()
        );
    }
}

type Edit = (&'static str, &'static str, fn(&str) -> String, &'static str);

/// Each kind of edit of one file, once.
#[test]
fn what_verify_refuses_every_reader_refuses() {
    let world = World::new();
    ok(world.run(MASKS));
    let edits: [Edit; 19] = [
        ("BLEU", "TTF/layer-1.json", |t| another_number(t, "\"bleu\": "), "by its generations"),
        ("chrF", "TTF/layer-1.json", |t| another_number(t, "\"chrf\": "), "scores or counts"),
        ("interval", "TTF/layer-1.json", |t| another_number(t, "\"chrf_interval\": ["), "scores or counts"),
        ("brevity", "none/baseline.json", |t| another_number(t, "\"brevity_penalty\": "), "scores or counts"),
        ("counts", "TTF/layer-1.json", |t| another_number(t, "\"generated_tokens\": "), "scores or counts"),
        (
            "model",
            "TTF/layer-1.json",
            |t| t.replace("\"model\": \"tiny\"", "\"model\": \"huge\""),
            "scores or counts",
        ),
        ("n", "TTF/layer-1.json", |t| t.replace("\"n\": 6", "\"n\": 5"), "layer-1.json"),
        (
            "layer",
            "TTF/layer-1.json",
            |t| t.replace("\"from_layer\": 1", "\"from_layer\": 2"),
            "says that it is TTF from layer 2",
        ),
        (
            "layers",
            "TTF/layer-1.json",
            |t| t.replace("\"n_layers\": 4", "\"n_layers\": 40"),
            "says that the model has 40 layers",
        ),
        (
            "settings",
            "TTF/layer-1.json",
            |t| t.replace("\"settings_sha256\": \"", "\"settings_sha256\": \"0"),
            "other settings",
        ),
        (
            "text",
            "TTF/layer-1.jsonl",
            |t| t.replacen("\"text\":\"", "\"text\":\"x", 1),
            "not those that were scored",
        ),
        ("tokens", "TTF/layer-1.jsonl", |t| another_number(t, "\"tokens\":["), "not those that were scored"),
        ("cut", "TTF/layer-1.jsonl", |t| t[..t.len() / 2].into(), "layer-1.jsonl:"),
        ("empty", "TTF/layer-1.jsonl", |_| String::new(), "not those of items.jsonl"),
        (
            "a line less",
            "none/baseline.jsonl",
            |t| t.lines().take(5).map(|l| format!("{l}\n")).collect(),
            "not those of items.jsonl",
        ),
        (
            "stats",
            "TTF/layer-1.jsonl",
            |t| t.replacen("\"stats\"", "\"stat\"", 1),
            "neither `stats` nor `verdict`",
        ),
        (
            "both",
            "TTF/layer-1.jsonl",
            |t| t.replacen("\"stats\"", "\"verdict\":\"passed\",\"stats\"", 1),
            "beside `verdict`",
        ),
        (
            "manifest",
            "manifest.json",
            |t| t.replace("\"n\": 6,", "\"n\": 5,"),
            "its hash is not that of its settings",
        ),
        ("items", "items.jsonl", |t| t.lines().take(2).map(|l| format!("{l}\n")).collect(), "holds 2 items"),
    ];
    for (name, file, edit, says) in edits {
        let path = world.path(FOLDER).join(file);
        let text = read(&path);
        let edited = edit(&text);
        assert_ne!(text, edited, "{name}");
        fs::write(&path, edited).unwrap();
        refused_by_all(&world, says);
        fs::write(&path, text).unwrap();
    }
    ok(world.call("verify results"));
}

#[test]
fn generations_that_are_gone_are_missed_by_every_reader() {
    let world = World::new();
    ok(world.run(MASKS));
    fs::remove_file(world.path(FOLDER).join("TTF/layer-1.jsonl")).unwrap();
    refused_by_all(&world, "layer-1.jsonl: cannot be opened");
}

/// A file's path is the cell that it says, in one spelling.
#[test]
fn a_cell_lies_at_its_own_place_only() {
    let world = World::new();
    ok(world.run(MASKS));
    let at = |file: &str| world.path(FOLDER).join(file);
    for stray in [
        "TTF/layer-01.json",
        "TTF/layer-+1.json",
        "TTF/layer-1 (copy).json",
        "none/layer-1.json",
        "TTF/baseline.json",
    ] {
        fs::copy(at("TTF/layer-1.json"), at(stray)).unwrap();
        fs::copy(at("TTF/layer-1.jsonl"), at(stray).with_extension("jsonl")).unwrap();
        refused_by_all(&world, "is not the score file of a cell");
        fs::remove_file(at(stray)).unwrap();
    }
    fs::create_dir(at("FFF")).unwrap();
    fs::copy(at("none/baseline.json"), at("FFF/baseline.json")).unwrap();
    refused_by_all(&world, "is not the score file of a cell");
    fs::remove_dir_all(at("FFF")).unwrap();
    // Exchanged: scores and generations, or the generations alone.
    let exchange = |ending: &str| {
        let [one, three] = ["1", "3"].map(|layer| at(&format!("TTF/layer-{layer}.{ending}")));
        let (first, third) = (read(&one), read(&three));
        fs::write(one, third).unwrap();
        fs::write(three, first).unwrap();
    };
    exchange("jsonl");
    refused_by_all(&world, "not those that were scored");
    exchange("json");
    refused_by_all(&world, "says that it is TTF from layer 3");
    exchange("jsonl");
    exchange("json");
    ok(world.call("verify results"));
}

/// Results without the sha256 are as good as they were: they are computed again from their texts.
#[test]
fn results_of_earlier_versions_are_read_checked_and_sealed() {
    let world = World::new();
    ok(world.run(MASKS));
    let before = contents(&world.path("results"));
    without_sha256(&world);
    assert_ne!(before, contents(&world.path("results")));
    ok(world.call("verify results"));
    for (name, output) in readers(&world) {
        assert_eq!(output.status.code(), Some(0), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let path = world.path(FOLDER).join("TTF/layer-1.jsonl");
    let text = read(&path);
    let edited = text.replacen("\"text\":\"", "\"text\":\"x", 1);
    assert_ne!(text, edited);
    fs::write(&path, edited).unwrap();
    refused_by_all(&world, "is not what comes of its text");
    fs::write(&path, text).unwrap();
    // `score` adds what is missing, and changes nothing else.
    ok(world.call("score results"));
    assert_eq!(before, contents(&world.path("results")));
}

/// The committed sample was written before there was a sha256.
#[test]
fn the_sample_of_an_earlier_version_is_right() {
    let world = World::new();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("notebooks/sample/results");
    let output = world.call(&format!("verify {}", sample.display()));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!said.contains("wrong: "), "{said}");
    assert!(said.contains("generations are right"), "{said}");
}

/// `score` mends a score file, and does not sign generations that were edited.
#[test]
fn scoring_again_keeps_the_sha256_true() {
    let world = World::new();
    ok(world.run(MASKS));
    let before = contents(&world.path("results"));
    let (score, lines) =
        (world.path(FOLDER).join("TTF/layer-1.json"), world.path(FOLDER).join("TTF/layer-1.jsonl"));
    fs::write(&score, another_number(&read(&score), "\"bleu\": ")).unwrap();
    ok(world.call("score results"));
    assert_eq!(before, contents(&world.path("results")));
    ok(world.call("verify results"));
    fs::write(&lines, read(&lines).replacen("\"text\":\"", "\"text\":\"x", 1)).unwrap();
    world.refused(&world.call("score results"), &["layer-1.json", "not those that were scored"]);
}
