//! Names and texts of others: no terminal and no spreadsheet obeys them.

use crate::tiny;
use std::fs;
use std::process::Output;

use super::verb;
use crate::world::{World, json_lines, ok};
use icl_mask::base::error::is_obeyed;

/// A name that would colour, clear, retitle, reorder and hide.
const HOSTILE: &str =
    "e\u{1b}[31m\u{1b}]0;x\u{7}\u{9b}2J\u{202e}gpj\u{2066}\u{200f}\u{2028}\u{feff}\r\u{8}\u{e0041}";

fn assert_harmless(output: &Output, what: &str) {
    for bytes in [&output.stdout, &output.stderr] {
        let text = String::from_utf8_lossy(bytes);
        let found = text.chars().find(|&c| is_obeyed(c));
        assert_eq!(found, None, "{what}: {text:?}");
    }
}

/// Names of models, folders, corpora, items and adapters, texts, flags and error texts: none of them reaches a terminal as an
/// order, whatever prints it.
#[test]
fn nothing_that_others_wrote_is_obeyed() {
    let world = World::new();
    fs::rename(world.path("tiny"), world.path(HOSTILE)).unwrap();
    let test = format!("id\tsource\ttarget\n{HOSTILE}\t{HOSTILE} a\t{HOSTILE} b\n").replace('\r', "");
    world.write(&format!("{HOSTILE}.tsv"), test);
    let results = format!("{HOSTILE}-results");
    let settings = |test: &str, verb: &str| -> Vec<String> {
        let model = format!("./{HOSTILE}");
        [
            verb,
            "--model",
            &model,
            "--test",
            test,
            "--demonstrations",
            "demonstrations.tsv",
            "--direction",
            "en-fr",
        ]
        .iter()
        .chain(&["--format", "instr_machine_translation", "--max-new-tokens", "8"])
        .chain(["--results", results.as_str()].iter().filter(|_| verb == "run"))
        .map(ToString::to_string)
        .collect()
    };
    let hostile_test = format!("{HOSTILE}.tsv");
    let call = |words: &[String], more: &[&str], code: i32| {
        let words: Vec<&str> = words.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let output = verb(&world, &words).output().unwrap();
        assert_harmless(&output, &format!("{words:?}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
        output
    };
    let run = settings(&hostile_test, "run");
    let json = call(&run, &["--mask", "none,TTF", "--from-layer", "1", "--json"], 0);
    // Escaped, not replaced: the value is whole.
    let lines = json_lines(&String::from_utf8(json.stdout).unwrap());
    assert_eq!(lines[0]["model"], HOSTILE, "{}", lines[0]);
    assert!(world.path("").join(lines[0]["path"].as_str().unwrap()).exists());
    call(&run, &["--mask", "none", "--dry-run"], 0);
    call(&settings(&hostile_test, "show"), &[], 0);
    call(&settings(&hostile_test, "show"), &["--json"], 0);
    let words = |text: &[&str]| -> Vec<String> { text.iter().map(ToString::to_string).collect() };
    for plain in ["status", "verify", "score"] {
        call(&words(&[plain, &results]), &[], 0);
        call(&words(&[plain, &results]), &["--json"], 0);
    }
    let figures = format!("figures-{HOSTILE}");
    call(&words(&["figure", "masks", &results, "--out", &figures]), &[], 0);
    call(&words(&["figure", "masks", &results, "--out", &figures]), &["--json"], 0);
    call(&words(&["report", &results, "--out", &format!("{HOSTILE}.html"), "--title", HOSTILE]), &[], 0);
    call(&words(&["models", &format!("./{HOSTILE}")]), &[], 0);
    call(&words(&["models", &format!("./{HOSTILE}")]), &["--json"], 0);
    // Errors quote what was typed.
    for flag in [
        "--model",
        "--config",
        "--test",
        "--data",
        "--format",
        "--mask",
        "--direction",
        "--adapter",
        "--limit",
    ] {
        let words = words(&["run", flag, HOSTILE]);
        call(&words, &[], 2);
    }
    for wrong in [&["run", HOSTILE][..], &[HOSTILE], &["figure", HOSTILE], &["status", HOSTILE]] {
        call(&words(wrong), &[], 2);
    }
    call(&words(&["run", &format!("--{HOSTILE}")]), &[], 2);
    call(&words(&["data", "verify", HOSTILE, "--direction", "en-fr"]), &[], 2);
    world.write(
        "bad.yaml",
        format!("\"{}\": 1\n", HOSTILE.replace(['\u{8}', '\u{7}', '\u{1b}', '\u{9b}'], "")),
    );
    call(&words(&["run", "--config", "bad.yaml"]), &[], 2);
}

/// The model's name is a cell of the figure's table.
#[test]
fn no_cell_of_a_table_is_a_formula() {
    let world = World::new();
    fs::rename(world.path("tiny"), world.path("=1+1")).unwrap();
    ok(world.run("--model =1+1 --mask none,TTF --from-layer all"));
    ok(world.call("figure masks results --out figures"));
    let csv = fs::read_to_string(world.path("figures/masks.csv")).unwrap();
    let mut rows = csv.lines();
    let header: Vec<&str> = rows.next().unwrap().split(',').collect();
    let at = |name: &str| header.iter().position(|column| *column == name).unwrap();
    let json = json_lines(&ok(world.call("figure masks results --out figures --json")));
    let (mut negative, mut seen) = (0, 0);
    for row in rows {
        let cells: Vec<&str> = row.split(',').collect();
        assert_eq!(cells[at("model")], "'=1+1");
        for number in ["score", "difference", "difference_low", "p", "seconds"] {
            let cell = cells[at(number)];
            assert!(cell.is_empty() || cell.parse::<f64>().is_ok(), "{number}: {cell}");
            negative += usize::from(cell.starts_with('-'));
        }
        seen += 1;
    }
    assert_eq!(seen, 1 + tiny::LAYERS);
    assert!(negative > 0, "no negative number to keep: {csv}");
    // For programs the name stays as it is.
    assert_eq!(json[0][0]["settings"]["model"], "=1+1", "{}", json[0]);
}

/// Texts of tokens are cells too.
#[test]
fn no_token_of_a_table_is_a_formula() {
    let world = World::new();
    world.write("test.tsv", "source\ttarget\n=1+1 -2 @x +3\t=1\n");
    ok(world.call(
        "figure attention --model tiny --test test.tsv --nprompts 0 --direction en-fr --format instr_machine_translation \
         --mask none --layer 1 --out figures",
    ));
    let folder = fs::read_dir(world.path("figures")).unwrap();
    let csv =
        folder.map(|entry| entry.unwrap().path()).find(|path| path.extension().unwrap() == "csv").unwrap();
    let mut table = csv::Reader::from_path(csv).unwrap();
    let mut neutralised = 0;
    for row in table.records() {
        for cell in row.unwrap().iter() {
            let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err();
            assert!(!formula, "{cell:?}");
            neutralised += usize::from(cell.starts_with("'"));
        }
    }
    assert!(neutralised > 0);
}
