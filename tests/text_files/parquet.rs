//! Parquet files through the command (goldens by `tests/goldens/make_parquet.py`).

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{packed, prompt};
use crate::world::{World, ok};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/parquet").join(name)
}

fn rows() -> Value {
    serde_json::from_str(&fs::read_to_string(golden("rows.json")).unwrap()).unwrap()
}

/// A world with a copy of a golden.
fn with(name: &str) -> World {
    let world = World::new();
    world.write(&format!("{name}.parquet"), fs::read(golden(&format!("{name}.parquet"))).unwrap());
    world
}

#[test]
fn a_parquet_file_is_the_same_corpus_as_its_rows_in_jsonl() {
    let world = with("translation");
    let lines: String =
        rows()["read"]["translation"].as_array().unwrap().iter().map(|row| format!("{row}\n")).collect();
    world.write("translation.jsonl", lines);
    let verify = |file: &str, direction: &str| {
        let columns = "columns: {source: 'translation.{source}', target: 'translation.{target}'}";
        world.write(
            "d.yaml",
            format!("kind: table\ntest: {file}\ndemonstrations: {{file: {file}, lines: 2..4}}\n{columns}\n"),
        );
        ok(world.call(&format!("data verify d.yaml --direction {direction}")))
    };
    for (direction, first) in [("en-fr", "  one\n  un\n"), ("fra-eng", "  un\n  one\n")] {
        let shown = verify("translation.parquet", direction);
        assert!(shown.contains("5 test items") && shown.contains(&format!("item 3:\n{first}")), "{shown}");
        assert_eq!(shown, verify("translation.jsonl", direction));
    }
    // By a flag: the columns name the languages, and texts are what they are in JSON.
    let shown = ["parquet", "jsonl"].map(|end| {
        let file = format!("translation.{end}");
        prompt(&world, &format!("--test {file} --demonstrations {file} --nprompts 2 --seed 1")).0
    });
    assert_eq!(shown[0], shown[1]);
    assert!(shown[0].contains("one"), "{}", shown[0]);
}

#[test]
fn labels_and_options_are_read_for_tasks() {
    let world = with("labels");
    world.write(
        "d.yaml",
        "kind: table\ntest: labels.parquet\ncolumns: {id: idx, source: text, target: label, options: choices}\n",
    );
    let output = world.call("show --json --task choice --data d.yaml --model tiny --mask none --nprompts 0");
    let shown: Value = serde_json::from_str(&ok(output)).unwrap();
    assert!(shown["prompt"].as_str().unwrap().contains("good 0"), "{shown}");
    let texts: Vec<&Value> =
        shown["options"].as_array().unwrap().iter().map(|option| &option["text"]).collect();
    assert_eq!(texts, [&json!("0"), &json!("1"), &json!("2")], "{shown}");
}

#[test]
fn what_is_not_read_is_said_in_one_sentence() {
    let refused = rows()["refused"].clone();
    for (name, says) in refused.as_object().unwrap() {
        let world = with(name);
        let output =
            world.call(&format!("show --model tiny --direction en-fr --nprompts 0 --test {name}.parquet"));
        world.refused(&output, &[says.as_str().unwrap()]);
    }
    let world = with("plain");
    let whole = fs::read(world.path("plain.parquet")).unwrap();
    world.write("cut.parquet", &whole[..whole.len() - 9]);
    world.write("text.parquet", "source\ttarget\ns\ta\n");
    world.write("packed.parquet.gz", [packed("x"), whole.clone()].concat());
    world.write("table.tsv", &whole);
    for (file, says) in [
        (
            "cut.parquet",
            "cut.parquet: cannot be read (it is a Parquet file without its end; fetch the file again)",
        ),
        ("text.parquet", "text.parquet: cannot be read (it is no Parquet file"),
        ("packed.parquet.gz", "packed.parquet.gz is packed once more than Parquet files are"),
        ("table.tsv", "a Parquet file; let its name end in .parquet"),
        ("missing.parquet", "missing.parquet does not exist"),
    ] {
        let output = world.call(&format!("show --model tiny --direction en-fr --nprompts 0 --test {file}"));
        world.refused(&output, &[says]);
    }
}
