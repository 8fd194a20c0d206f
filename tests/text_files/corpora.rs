//! CSV and JSON as others write them.

use std::fs;
use std::process::Output;

use super::{goldens, packed, said};
use crate::world::{World, json_lines, ok};
use serde_json::{Value, json};

/// The items of a run on this file, as its results hold them.
fn items(world: &World, file: &str, more: &str) -> Result<Vec<Value>, Output> {
    drop(fs::remove_dir_all(world.path("results")));
    let output = world.run(&format!("--mask none --nprompts 0 --max-new-tokens 1 {more} --test {file}"));
    if output.status.code() != Some(0) {
        return Err(output);
    }
    let model = world.path("results/tiny");
    let run = fs::read_dir(&model).unwrap().next().unwrap().unwrap().path();
    let run = fs::read_dir(run).unwrap().next().unwrap().unwrap().path();
    Ok(json_lines(&fs::read_to_string(run.join("items.jsonl")).unwrap()))
}

#[test]
fn csv_files_are_read_as_python_reads_them() {
    let (world, golden) = (World::new(), goldens());
    let tables = golden["tables"].as_array().unwrap();
    assert!(tables.len() > 5 && tables.iter().filter(|table| table["rows"].is_null()).count() == 2);
    for table in tables {
        let text = table["text"].as_str().unwrap();
        world.write("x.csv", text);
        world.write("x.csv.gz", packed(text));
        let Some(rows) = table["rows"].as_array() else {
            world.refused(&items(&world, "x.csv", "").unwrap_err(), &["x.csv:", "quote"]);
            continue;
        };
        for file in ["x.csv", "x.csv.gz"] {
            let read = items(&world, file, "").unwrap();
            let expected: Vec<Value> = (1..)
                .zip(rows)
                .map(|(n, row)| {
                    let id = row["id"].as_str().map_or(n.to_string(), String::from);
                    json!({"id": id, "source": row["source"], "target": row["target"]})
                })
                .collect();
            assert_eq!(read, expected, "{text}");
        }
    }
}

#[test]
fn json_lists_nested_keys_and_numbers_as_ids() {
    let world = World::new();
    world.write(
        "list.json",
        r#"[{"input": "one", "output": "un", "id": 3}, {"input": "two", "output": "deux", "id": 4}]"#,
    );
    let expected = [
        json!({"id": "3", "source": "one", "target": "un"}),
        json!({"id": "4", "source": "two", "target": "deux"}),
    ];
    assert_eq!(items(&world, "list.json", "").unwrap(), expected);
    // As `to_json` of datasets saves a translation: objects, one a line, in a file that is called .json.
    let lines = "{\"id\":3,\"translation\":{\"en\":\"one\",\"fr\":\"un\"}}\n{\"id\":4,\"translation\":{\"en\":\"two\",\"fr\":\"deux\"}}\n";
    world.write("saved.json", lines);
    world.write("saved.jsonl.gz", packed(lines));
    for file in ["saved.json", "saved.jsonl.gz"] {
        let columns = "columns: {source: 'translation.{source}', target: 'translation.{target}'}";
        world.write("d.yaml", format!("kind: table\ntest: {file}\n{columns}\n"));
        for (direction, first) in [("en-fr", "  one\n  un\n"), ("fra-eng", "  un\n  one\n")] {
            let shown = ok(world.call(&format!("data verify d.yaml --direction {direction}")));
            assert!(
                shown.contains("2 test items") && shown.contains(&format!("item 3:\n{first}")),
                "{shown}"
            );
        }
    }
    world.write(
        "d.yaml",
        "kind: table\ntest: saved.json\ncolumns: {source: translation.en, target: translation.de}\n",
    );
    world.refused(
        &world.call("data verify d.yaml --direction en-fr"),
        &["saved.json:1 has no column `translation.de` (it has id, translation.en, translation.fr)"],
    );
}

#[test]
fn one_bad_corpus_hides_no_other() {
    let world = World::new();
    world.write("configs/data/bad.yaml", "kind: tabel\n");
    world.write("configs/data/mine.yaml", "kind: table\ntest: test.tsv\ndescription: my own\n");
    let output = world.call("data list");
    let errors = said(&output);
    let shown = ok(output);
    assert!(shown.contains("my own") && shown.contains("flores") && !shown.contains("bad"), "{shown}");
    assert!(errors.contains("left out: configs/data/bad.yaml: unknown kind `tabel`"), "{errors}");
}
