//! Results on disk: every reader refuses what `verify` refuses, folders grow, and nothing in a folder decides what is executed.
#![cfg(unix)]

mod edited;
mod grown;
mod strange;

#[path = "../calls/mod.rs"]
mod calls;
#[path = "../tiny/mod.rs"]
mod tiny;
#[path = "../world/mod.rs"]
mod world;

use std::fs;
use std::path::Path;
use std::process::Output;

use world::World;

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

/// The number of generations that a call has computed.
fn computed(output: &Output) -> usize {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    said.lines().filter_map(|line| line.split_once(" generations: ")?.0.parse::<usize>().ok()).sum()
}

fn ok_stderr(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    said
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
