//! Results on disk: every reader refuses what `verify` refuses, folders grow, and nothing in a folder decides what is executed.
#![cfg(unix)]

mod calls;
mod tiny;
mod world;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use icl_mask::base::hash::Hash;
use serde_json::Value;
use world::{World, contents, json_lines, ok};

const FOLDER: &str = "results/tiny/test.en-fr/instr_machine_translation-k5-seed0";
const MASKS: &str = "--mask none,TTF --from-layer all";

/// What reads results, each as a call; the run itself among them.
fn readers(world: &World) -> Vec<(&'static str, Output)> {
    let calls = [
        "figure masks results --out figures",
        "report results --out report.html",
        "export results --layout sia2024 --out study",
    ];
    let again = format!("run --from-manifest {FOLDER}/manifest.json");
    let mut said: Vec<(&str, Output)> = calls.into_iter().map(|call| (call, world.call(call))).collect();
    said.push(("run", world.run(MASKS)));
    said.push(("run --from-manifest", world.call(&again)));
    said
}

/// `verify` finds it, and every reader refuses it with this sentence, without a table of it.
fn refused_by_all(world: &World, says: &str) {
    let output = world.call("verify results");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(says), "verify says not `{says}` but: {said}");
    for (name, output) in readers(world) {
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(says), "{name} says not `{says}` but: {stderr}");
        world.refused(&output, &[]);
        assert!(!stderr.contains('█'), "{name} printed a table: {stderr}");
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Replace the number after this key by another.
fn another_number(text: &str, key: &str) -> String {
    let at = text.find(key).expect("the key") + key.len();
    let digit = text[at..].find(|c: char| c.is_ascii_digit()).expect("a number") + at;
    let other = if &text[digit..=digit] == "1" { "2" } else { "1" };
    format!("{}{other}{}", &text[..digit], &text[digit + 1..])
}

/// Score files without the sha256, as earlier versions wrote them.
fn without_sha256(world: &World) {
    for path in calls::contents_of(&world.path("results")).iter().filter(|path| is_score(path)) {
        let kept: Vec<String> = read(path)
            .lines()
            .filter(|line| !line.contains("generations_sha256"))
            .map(String::from)
            .collect();
        fs::write(path, kept.join("\n") + "\n").unwrap();
    }
}

fn is_score(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    (name.starts_with("layer-") || name == "baseline.json") && name.ends_with(".json")
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

/// Everything but the command line, which says how it was made.
fn results_of(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = contents(folder);
    for (path, text) in found.iter_mut().filter(|(path, _)| path.ends_with("manifest.json")) {
        let mut manifest: Value = serde_json::from_str(&read(&folder.join(&path))).unwrap();
        (manifest["command"], manifest["git"]) = (Value::Null, Value::Null);
        *text = manifest.to_string();
    }
    found
}

/// The number of generations that a call has computed.
fn computed(output: &Output) -> usize {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    said.lines().filter_map(|line| line.split_once(" generations: ")?.0.parse::<usize>().ok()).sum()
}

/// More items: only these are computed, and what is there in the end is what a fresh run writes.
#[test]
fn a_folder_grows_by_the_new_items_alone() {
    let kinds: [(&str, usize); 6] = [
        ("--mask none,TTF,TFF --from-layer all", 9),
        ("--mask none,TTF --from-layer 1,2 --samples 3 --temperature 0.7 --top-p 0.9", 9),
        ("--mask none,TTF --from-layer 1 --drop-context", 2),
        ("--mask none,TTF --from-layer 1 --profile sia2024", 2),
        ("--mask none,all --from-layer 2 --no-stop --seed 0,1", 4),
        ("--ablate-attention 1,3", 3),
    ];
    for (args, a_item) in kinds {
        let world = World::new();
        let computed = |limit: usize, results: &str| {
            computed(&world.run(&format!("{args} --limit {limit} --results {results}")))
        };
        assert_eq!(computed(6, "fresh"), 6 * a_item, "{args}");
        assert_eq!(computed(1, "grown"), a_item, "{args}");
        assert_eq!(computed(2, "grown"), a_item, "{args}");
        // As an earlier version left them.
        if args.contains("TFF") {
            fs::rename(world.path("grown"), world.path("results")).unwrap();
            without_sha256(&world);
            fs::rename(world.path("results"), world.path("grown")).unwrap();
        }
        assert_eq!(computed(6, "grown"), 4 * a_item, "{args}");
        fs::rename(world.path("fresh"), world.path("kept")).unwrap();
        // The manifest names the results folder.
        fs::rename(world.path("grown"), world.path("grown-results")).unwrap();
        let same = |folder: &str| -> Vec<(PathBuf, String)> {
            let text = |text: String| text.replace("[\"fresh\"]", "[]").replace("[\"grown\"]", "[]");
            results_of(&world.path(folder)).into_iter().map(|(path, found)| (path, text(found))).collect()
        };
        calls::assert_same(&same("grown-results"), &same("kept"), args);
        ok(world.call("verify grown-results"));
        let again = ok_stderr(&world.run(&format!("{args} --limit 6 --results grown-results")));
        assert!(!again.contains("loading"), "{again}");
    }
}

fn ok_stderr(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    said
}

#[test]
fn a_folder_never_shrinks() {
    let world = World::new();
    ok(world.run(&format!("{MASKS} --limit 4")));
    let before = contents(&world.path("results"));
    for call in [format!("{MASKS} --limit 3"), "--mask FTF --from-layer 0 --limit 1".into()] {
        world.refused(&world.run(&call), &["holds results of 4 test items", "--limit 4"]);
    }
    assert_eq!(before, contents(&world.path("results")));
}

/// Some masks have more items than others: it is said everywhere, and nothing mixes them.
#[test]
fn a_folder_in_the_middle_of_growing_says_so() {
    let world = World::new();
    ok(world.run("--mask none,TTF,FTF --from-layer 0,1 --limit 3"));
    ok(world.run("--mask none,TTF --from-layer 0,1 --limit 6"));
    let said = ok(world.call("status results"));
    assert!(said.contains("3 of 5 cells finished"), "{said}");
    assert!(said.contains("finished for fewer test items: layers 0..1, 6 of 12 generations"), "{said}");
    let output = world.call("verify results");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("not finished: FTF, layers 0..1: finished for fewer test items"), "{said}");
    assert!(said.contains("3 cells and 18 generations are right") && !said.contains("wrong"), "{said}");
    let figure = world.call("figure masks results --json");
    let said = ok_stderr(&figure);
    assert!(
        said.contains("2 of 5 cells are not finished (2 of them were finished for fewer test items)"),
        "{said}"
    );
    let panels: Value = serde_json::from_slice(&figure.stdout).unwrap();
    assert_eq!(panels[0]["curves"].as_array().map(Vec::len), Some(1));
    let said = ok_stderr(&world.call("export results --layout sia2024 --out study"));
    assert!(said.contains("3 score files") && said.contains("2 cells are left out"), "{said}");
    let again = ok(world.call(&format!("run --from-manifest {FOLDER}/manifest.json")));
    assert!(again.contains("3 cells made again"), "{again}");
    let plan = ok(world.run("--mask none,TTF,FTF --from-layer 0,1 --dry-run"));
    assert!(plan.contains("5 cells") && plan.contains("3 of them finished"), "{plan}");
    // Scores of fewer items are scores all the same.
    ok(world.call("score results"));
    assert_eq!(computed(&world.run("--mask none,TTF,FTF --from-layer 0,1 --limit 6")), 6);
    ok(world.call("verify results"));
}

/// The corpus, not the limit, has changed: no growth.
#[test]
fn other_items_are_no_more_items() {
    let world = World::new();
    ok(world.run("--mask none --limit 3"));
    let items = world.path(FOLDER).join("items.jsonl");
    let text = read(&items);
    fs::write(&items, text.replacen("\"source\":\"", "\"source\":\"x", 1)).unwrap();
    world.refused(&world.run("--mask none --limit 6"), &["other test items than the corpus"]);
    fs::write(&items, text).unwrap();
    let tsv = read(&world.path("test.tsv"));
    world.write("test.tsv", tsv + "new\tein Satz\tune phrase\n");
    world.refused(&world.run("--mask none --limit 6"), &["data_sha256 was"]);
}

/// Tests of adapters grow; nothing is trained again.
#[test]
fn tests_of_adapters_grow() {
    let call = calls::Call::new(&format!("{} --limit 6", calls::TRAINING), 6);
    calls::finish(call.start());
    fs::rename(call.results(), call.world.path("fresh")).unwrap();
    let words: Vec<&str> =
        call.words.iter().map(String::as_str).filter(|word| *word != "--limit" && *word != "6").collect();
    let run = |limit: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_icl-mask"));
        // The number of training pairs is a 6 too.
        let mut words = words.clone();
        let at = words.iter().position(|word| *word == "--train-size").unwrap();
        words.insert(at + 1, "6");
        command.args(words).args(["--limit", limit]).current_dir(call.world.path("")).output().unwrap()
    };
    assert_eq!(computed(&run("2")), 2 * 5);
    let output = run("6");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(computed(&output), 4 * 5, "{said}");
    assert!(!said.contains("loss"), "trained again: {said}");
    let weights = |folder: &Path| -> Vec<(PathBuf, String)> {
        // Times of trainings are their own.
        results_of(folder).into_iter().filter(|(path, _)| !path.ends_with("training.json")).collect()
    };
    calls::assert_same(&weights(&call.results()), &weights(&call.world.path("fresh")), "");
    ok(call.world.call("verify results"));
}

#[test]
fn finished_cells_are_printed_too() {
    let world = World::new();
    let cells = |args: &str| -> Vec<(String, u64)> {
        let lines = json_lines(&ok(world.run(args)));
        let mut cells: Vec<(String, u64)> = lines
            .iter()
            .map(|line| (line["path"].as_str().unwrap().to_string(), line["n"].as_u64().unwrap()))
            .collect();
        cells.sort();
        cells
    };
    let first = cells("--mask none,TTF --from-layer 0,1 --json");
    assert_eq!(first.len(), 3);
    assert_eq!(cells("--mask none,TTF --from-layer 0,1 --json"), first);
    let more = cells("--mask none,TTF --from-layer all --json");
    assert_eq!(more.len(), 5);
    assert!(first.iter().all(|cell| more.contains(cell)));
}

#[test]
fn a_cell_in_two_folders_is_named_with_both() {
    let world = World::new();
    ok(world.run(MASKS));
    ok(world.run("--mask none,TTF --from-layer 2 --results others"));
    for call in ["figure masks results others", "report results others"] {
        let other = FOLDER.replacen("results", "others", 1);
        world.refused(&world.call(call), &[FOLDER, &other, "both hold the cell"]);
    }
}

/// In a file of an unfinished cell, a misspelt key is no program that waits to be run.
#[test]
fn a_misspelt_key_of_an_unfinished_cell_is_refused() {
    let world = World::new();
    ok(world.run("--mask none --limit 3"));
    let cell = world.path(FOLDER).join("none");
    let lines = read(&cell.join("baseline.jsonl"));
    let partial: String =
        lines.lines().map(|line| format!("{}\n", line.replacen('{', "{\"seconds\":0.5,", 1))).collect();
    for file in ["baseline.json", "baseline.jsonl"] {
        fs::remove_file(cell.join(file)).unwrap();
    }
    fs::write(cell.join("baseline.partial.jsonl"), partial.replacen("\"stats\"", "\"stat\"", 1)).unwrap();
    world.refused(
        &world.run("--mask none --limit 3"),
        &["none/baseline.json", "not scored as this task wants"],
    );
    fs::write(cell.join("baseline.partial.jsonl"), partial).unwrap();
    assert_eq!(computed(&world.run("--mask none --limit 3")), 0);
    ok(world.call("verify results"));
}

/// What has the name of such a file and is a folder is wrong input too.
#[test]
fn an_unfinished_cell_that_is_a_folder_is_refused() {
    let world = World::new();
    ok(world.run("--mask none --limit 3"));
    let cell = world.path(FOLDER).join("none");
    for file in ["baseline.json", "baseline.jsonl"] {
        fs::remove_file(cell.join(file)).unwrap();
    }
    fs::create_dir(cell.join("baseline.partial.jsonl")).unwrap();
    let says = ["baseline.partial.jsonl: cannot be read (it is a folder, not a file)"];
    world.refused(&world.call("status results"), &says);
    world.refused(&world.run("--mask none --limit 3"), &says);
}

/// Where no folder can be made, it is said before anything is computed.
#[test]
fn places_that_cannot_be_are_refused_beforehand() {
    let world = World::new();
    std::os::unix::fs::symlink("nowhere", world.path("dangling")).unwrap();
    world.write("file", "");
    let long = "x".repeat(300);
    fs::copy(world.path("test.tsv"), world.path(&format!("{}.tsv", "t".repeat(251)))).unwrap();
    let named = format!("--mask none --test {}.tsv", "t".repeat(251));
    for (args, says) in [
        (
            "--mask none --results dangling".to_string(),
            vec!["--results dangling", "symbolic link to nowhere"],
        ),
        ("--mask none --results dangling/below".into(), vec!["symbolic link to nowhere"]),
        ("--mask none --results file".into(), vec!["file is not a folder"]),
        (format!("--mask none --results {long}"), vec!["300 bytes", "255"]),
        (named, vec!["257 bytes", "255"]),
    ] {
        for more in ["", " --dry-run"] {
            world.refused(&world.run(&format!("{args}{more}")), &says);
        }
    }
    ok(world.run(MASKS));
    for call in [
        format!("figure masks results --out {long}"),
        format!("figure masks {long}"),
        format!("run --from-manifest {long}"),
        format!("run --from-manifest {FOLDER}/manifest.json --results {long}"),
        format!("report results --out {long}.html"),
        format!("export results --layout sia2024 --out {long}"),
        format!("status {long}"),
        format!("verify {long}"),
        format!("score {long}"),
    ] {
        world.refused(&world.call(&call), &[]);
    }
    world.refused(
        &world.call("figure masks results --out dangling"),
        &["--out dangling", "symbolic link to nowhere"],
    );
}

/// What a stranger's manifest says of Python and of the sandbox is not obeyed.
#[cfg(target_os = "linux")]
#[test]
fn a_manifest_does_not_decide_what_is_executed() {
    let world = programs();
    ok(world.call(&format!("{PROGRAMS} --mask none --limit 2")));
    let manifest = "results/tiny/problems.code/code_functions-k2-seed0/manifest.json";
    let script = world.path("theirs");
    world.write(
        "theirs",
        format!("#!/bin/sh\ntouch {}\nexec python3 \"$@\"\n", world.path("executed").display()),
    );
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&script, mode).unwrap();
    let mut stranger: Value = serde_json::from_str(&read(&world.path(manifest))).unwrap();
    stranger["typed"]["python"] = Value::from(vec![script.display().to_string()]);
    stranger["typed"]["sandbox"] = Value::from(vec!["off"]);
    stranger["typed"]["memory"] = Value::from(vec!["100TiB"]);
    stranger["typed"]["results"] = Value::from(vec![world.path("theirs-results").display().to_string()]);
    world.write(manifest, serde_json::to_string_pretty(&stranger).unwrap());
    let output = world.call(&format!("run --from-manifest {manifest}"));
    let said = ok_stderr(&output);
    assert!(said.contains("--sandbox off of the manifest is not used, but --sandbox required"), "{said}");
    assert!(said.contains("/theirs of the manifest is not used, but --python python3"), "{said}");
    assert!(!world.path("executed").exists() && !world.path("theirs-results").exists(), "{said}");
    // The command line decides.
    ok(world.call(&format!("run --from-manifest {manifest} --python python3 --sandbox best-effort")));
    let output = world.call(&format!("run --from-manifest {manifest} --python ./theirs --sandbox off"));
    assert!(world.path("executed").exists(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A folder of a stranger's may hold links: what is written goes to no file outside of it.
#[cfg(target_os = "linux")]
#[test]
fn links_in_a_folder_are_not_written_through() {
    let world = World::new();
    ok(world.run("--mask none --limit 3"));
    world.write("precious", "keep me\n");
    let link = |file: &str| {
        let path = world.path(FOLDER).join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(world.path("precious"), &path).unwrap();
        path
    };
    for file in ["TTF/layer-1.claim", "TTF/layer-1.partial.jsonl", "manifest.claim"] {
        let path = link(file);
        let output = world.run("--mask TTF --from-layer 1 --limit 3");
        assert_ne!(output.status.code(), Some(0), "{file}");
        assert_eq!(read(&world.path("precious")), "keep me\n", "{file}");
        fs::remove_file(path).unwrap();
    }
    link("TTF/layer-1.jsonl");
    ok(world.run("--mask TTF --from-layer 1 --limit 3"));
    assert_eq!(read(&world.path("precious")), "keep me\n");
}

/// No name in a manifest leads out of the results folder.
#[test]
fn names_in_a_manifest_lead_nowhere() {
    let world = World::new();
    ok(world.run("--mask none --limit 3"));
    let manifest = format!("{FOLDER}/manifest.json");
    let text = read(&world.path(&manifest));
    let edited = |key: &str, value: Value| {
        let mut stranger: Value = serde_json::from_str(&text).unwrap();
        match key {
            "folder" => stranger["folder"] = value,
            _ => stranger["typed"][key] = Value::from(vec![value]),
        }
        world.write(&manifest, stranger.to_string());
        world.call(&format!("run --from-manifest {manifest} --results again"))
    };
    for (key, value) in [
        ("folder", "../../escaped"),
        ("folder", "/tmp/escaped"),
        ("model", "tiny/../../escaped"),
        ("direction", "../x-fr"),
        ("format", "../../escaped"),
        ("format", "escaped.yaml"),
        ("test", "../escaped.tsv"),
    ] {
        world.refused(&edited(key, value.into()), &[]);
        assert!(!world.path("again").exists(), "{key} {value}");
    }
}

/// Programs of the old items are judged with those of the new ones, within the same limits.
#[cfg(target_os = "linux")]
#[test]
fn programs_grow() {
    let world = programs();
    let run = |limit: usize, results: &str| {
        let call = format!(
            "{PROGRAMS} --mask none,TTF --from-layer 1 --limit {limit} --results {results} --time-limit 3"
        );
        computed(&world.call(&call))
    };
    assert_eq!(run(5, "fresh"), 10);
    assert_eq!(run(2, "results"), 4);
    assert_eq!(run(5, "results"), 6);
    let same = |folder: &str| -> Vec<(PathBuf, String)> {
        let text = |text: String| text.replace("[\"fresh\"]", "[\"results\"]");
        results_of(&world.path(folder)).into_iter().map(|(path, found)| (path, text(found))).collect()
    };
    calls::assert_same(&same("results"), &same("fresh"), "");
    ok(world.call("verify results"));
}

const PROGRAMS: &str = "run --model tiny --task code --test problems.jsonl --nprompts 2 --max-new-tokens 6 --threads 1 --format \
                        code_functions";

/// A world with five problems, each of which can be a demonstration of another.
fn programs() -> World {
    let world = World::new();
    let problem = |i: usize| {
        serde_json::json!({
            "task_id": format!("P/{i}"),
            "prompt": format!("def number_{i}(x):\n    \"\"\" Add {i} to x. \"\"\"\n"),
            "entry_point": format!("number_{i}"),
            "canonical_solution": format!("    return x + {i}\n"),
            "test": format!("def check(candidate):\n    assert candidate(2) == {}\n", i + 2),
        })
    };
    world.write("problems.jsonl", (0..5).map(|i| format!("{}\n", problem(i))).collect::<String>());
    world
}
