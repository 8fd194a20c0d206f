//! Byte order marks, packed files, other encodings, pipes and devices.

use std::fs;
use std::fs::File;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{goldens, joined, packed, prompt, said};
use crate::world::{RUN, World, ok};
use serde_json::Value;

#[test]
fn a_byte_order_mark_is_no_part_of_any_file() {
    let world = World::new();
    let marked = |file: &str, text: &str| world.write(file, format!("\u{feff}{text}"));
    marked("e.yaml", "limit: 2\nmask: none\n");
    marked("f.yaml", "header: 'To {target}'\nquestion: 'Q: '\nanswer: A\n");
    marked("d.yaml", "kind: table\ntest: t.jsonl\n");
    marked("t.jsonl", "{\"source\": \"one\", \"target\": \"un\"}\n");
    marked("c.csv", "source,target\none,un\n");
    marked("t.jinja", "<{% for m in messages %}{{ m.content }}{% endfor %}>");
    let plan = said(&world.run("--config e.yaml --format f.yaml --dry-run"));
    assert!(plan.is_empty() || !plan.contains("error"), "{plan}");
    ok(world.run("--config e.yaml --format f.yaml --dry-run"));
    for data in ["--data d.yaml", "--data t.jsonl", "--test c.csv"] {
        let (text, _) = prompt(&world, &format!("{data} --direction en-fr --format f.yaml"));
        assert_eq!(text, "To French\nQ: oneA", "{data}");
    }
    let (text, _) =
        prompt(&world, "--data t.jsonl --direction en-fr --format f.yaml --chat-template t.jinja");
    assert_eq!(text, "<To French\nQ: oneA>");
    world.write("hyp.txt", "a b c d\n");
    marked("ref.txt", "a b c d\n");
    for files in ["--hyp hyp.txt --ref ref.txt", "--hyp ref.txt --ref hyp.txt"] {
        let scores: Value = serde_json::from_str(&ok(world.call(&format!("score {files} --json")))).unwrap();
        assert_eq!(scores["bleu"].as_f64().map(f64::round), Some(100.), "{files}");
    }
}

#[test]
fn packed_texts_are_scored_as_sacrebleu_scores_them() {
    let (world, golden) = (World::new(), &goldens()["texts"]);
    world.write("hyp.txt.gz", packed(&joined(&golden["hypotheses"])));
    world.write("ref.txt.gz", packed(&joined(&golden["references"])));
    world.write("hyp.txt", joined(&golden["hypotheses"]));
    let close = |scores: &Value, name: &str| {
        let difference = scores[name].as_f64().unwrap() - golden[name].as_f64().unwrap();
        assert!(difference.abs() < 1e-5, "{name} {scores}");
    };
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let scores = read(&ok(world.call("score --hyp hyp.txt.gz --ref ref.txt.gz --json")));
    close(&scores, "bleu");
    close(&scores, "chrf");
    // Standard input, as sacreBLEU reads it where no file is named.
    let from_stdin = |hyp: &str, reference: &str, file: &str| {
        Command::new(env!("CARGO_BIN_EXE_icl-mask"))
            .args(["score", "--hyp", hyp, "--ref", reference, "--json"])
            .current_dir(world.path(""))
            .stdin(File::open(world.path(file)).unwrap())
            .output()
            .unwrap()
    };
    close(&read(&ok(from_stdin("-", "ref.txt.gz", "hyp.txt"))), "bleu");
    close(&read(&ok(from_stdin("hyp.txt", "-", "ref.txt.gz"))), "bleu");
    world.refused(&from_stdin("-", "-", "hyp.txt"), &["--ref: standard input can be read once"]);
    let piped = format!(
        "cat hyp.txt | {} score --hyp /dev/stdin --ref ref.txt.gz --json",
        env!("CARGO_BIN_EXE_icl-mask")
    );
    let output = Command::new("sh").args(["-c", &piped]).current_dir(world.path("")).output().unwrap();
    close(&read(&ok(output)), "bleu");
}

/// Every input that a call may name, as a pipe without a writer: the call would wait for ever.
#[cfg(unix)]
#[test]
fn pipes_and_devices_are_refused_at_once() {
    let world = World::new();
    ok(world.run("--mask none --nprompts 3 --seed 1"));
    world.write("hyp.txt", "a\n");
    world.write("p.jsonl", format!("{}\n", goldens()["problems"][0]));
    let pipe = |name: &str| {
        let path = world.path(name);
        drop(fs::remove_file(&path));
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    };
    for name in [
        "pipe.tsv",
        "pipe.csv",
        "pipe.json",
        "pipe.jsonl",
        "pipe.yaml",
        "pipe.jinja",
        "pipe.gguf",
        "pipe.txt",
    ] {
        pipe(name);
    }
    std::os::unix::fs::symlink("/dev/zero", world.path("zero.tsv")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", world.path("zero.yaml")).unwrap();
    let run = "run --model tiny --test test.tsv --direction en-fr --nprompts 0 --mask none";
    let mut calls: Vec<String> = ["tsv", "csv", "json", "jsonl"]
        .iter()
        .map(|end| format!("run --model tiny --test pipe.{end} --direction en-fr --nprompts 0 --mask none"))
        .collect();
    calls.extend([
        "run --model tiny --test zero.tsv --direction en-fr --nprompts 0 --mask none".into(),
        "run --model tiny --test test.tsv --demonstrations pipe.tsv --direction en-fr --nprompts 1".into(),
        "run --model pipe.gguf --test test.tsv --direction en-fr --nprompts 0 --mask none".into(),
        format!("{run} --config pipe.yaml"),
        format!("{run} --config zero.yaml"),
        format!("{run} --format pipe.yaml"),
        format!("{run} --chat-template pipe.jinja"),
        "data verify pipe.yaml --direction en-fr".into(),
        "score --hyp pipe.txt --ref hyp.txt".into(),
        "score --hyp hyp.txt --ref pipe.txt".into(),
        "score --task code --hyp pipe.jsonl --data p.jsonl".into(),
        "score --task code --hyp p.jsonl --data pipe.jsonl".into(),
        "run --from-manifest pipe.json".into(),
    ]);
    for call in &calls {
        refused_in_time(&world, call, "");
    }
    // Files of a model, of an adapter, and of results.
    for file in
        ["tiny/config.json", "tiny/tokenizer.json", "tiny/tokenizer_config.json", "tiny/model.safetensors"]
    {
        let kept = fs::read(world.path(file)).ok();
        pipe(file);
        refused_in_time(&world, run, file);
        fs::remove_file(world.path(file)).unwrap();
        kept.into_iter().for_each(|bytes| world.write(file, bytes));
    }
    fs::create_dir(world.path("adapter")).unwrap();
    pipe("adapter/adapter_config.json");
    refused_in_time(&world, &format!("{run} --adapter adapter"), "adapter_config.json");
    for file in ["items.jsonl", "none/baseline.json", "none/baseline.jsonl"] {
        let file = format!("results/{RUN}/{file}");
        let kept = fs::read(world.path(&file)).unwrap();
        pipe(&file);
        refused_in_time(&world, "score results", &file);
        fs::remove_file(world.path(&file)).unwrap();
        world.write(&file, kept);
    }
    ok(world.call("score results"));
}

/// The call ends within a minute, and says what it was given.
fn refused_in_time(world: &World, call: &str, file: &str) {
    let errors = File::create(world.path("errors")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_icl-mask"))
        .args(call.split_whitespace())
        .current_dir(world.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors)
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if begun.elapsed() > Duration::from_secs(60) => {
                child.kill().unwrap();
                panic!("{call} waits ({file})");
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let said = fs::read_to_string(world.path("errors")).unwrap();
    assert!(
        said.contains("it is a pipe, not a regular file") || said.contains("it is a device"),
        "{call}: {said}"
    );
    assert!(said.contains(file), "{call}: {said}");
    assert_eq!(status.code(), Some(2), "{call}: {said}");
}

#[test]
fn other_encodings_and_packings_are_named() {
    let world = World::new();
    let wide = |text: &str| -> Vec<u8> {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect()
    };
    world.write("wide.tsv", wide("source\ttarget\na\tb\n"));
    world.write("wide.csv", wide("source,target\na,b\n"));
    world.write("wide.yaml", wide("mask: none\n"));
    world.write("wide.txt", wide("a\n"));
    world.write("latin.yaml", b"mask: none\n# \xe9\n");
    world.write("latin.csv", b"source,target\na,\xe9\n");
    world.write("ref.txt", "a\n");
    world.write("sheet.csv", b"PK\x03\x04 more");
    world.write("cut.tsv.gz", &packed("source\ttarget\na\tb\n")[..20]);
    let wide_says = "it is UTF-16, not UTF-8; convert it, for example with `iconv -f UTF-16 -t UTF-8`";
    for (args, says) in [
        ("run --model tiny --direction en-fr --nprompts 0 --test wide.tsv", wide_says),
        ("run --model tiny --direction en-fr --nprompts 0 --test wide.csv", wide_says),
        ("run --config wide.yaml", wide_says),
        ("score --hyp wide.txt --ref ref.txt", wide_says),
        ("score --hyp ref.txt --ref wide.txt", wide_says),
        ("run --config latin.yaml", "latin.yaml:2: not valid UTF-8 (byte 3 of the line)"),
        ("run --model tiny --direction en-fr --nprompts 0 --test latin.csv", "latin.csv:2: not valid UTF-8"),
        (
            "run --model tiny --direction en-fr --nprompts 0 --test sheet.csv",
            "a ZIP archive or a spreadsheet",
        ),
        ("run --model tiny --direction en-fr --nprompts 0 --test cut.tsv.gz", "cannot be unpacked"),
    ] {
        world.refused(&world.call(args), &[says]);
    }
}
