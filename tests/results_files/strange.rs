//! Folders of strangers, and places that cannot be.

use std::fs;

use super::{FOLDER, MASKS, PROGRAMS, computed, ok_stderr, programs, read};
use crate::world::{World, json_lines, ok};
use serde_json::Value;

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
