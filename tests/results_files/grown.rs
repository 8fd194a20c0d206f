//! Folders that grow by more items.

use crate::calls;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{FOLDER, MASKS, PROGRAMS, computed, ok_stderr, programs, read, without_sha256};
use crate::world::{World, contents, ok};
use serde_json::Value;

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
