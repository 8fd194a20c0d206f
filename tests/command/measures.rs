//! Which measure figures, tables, tests and reports speak of, through the command.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::world::{World, ok};
use serde_json::Value;

const RUN: &str = "results/tiny/test.en-fr/instr_machine_translation-k5-seed0";

fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(path).expect("a CSV file");
    reader.deserialize().map(|row| row.expect("a row")).collect()
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("written")).expect("JSON")
}

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Scores, intervals and paired tests of every measure against sacreBLEU's, on the same draws.
#[test]
fn intervals_and_tests_are_sacrebleus() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let golden = read(&root.join("tests/goldens/paired.json"));
    let (world, run) = (World::new(), root.join(golden["run"].as_str().expect("a path")));
    for (measure, layers) in golden["measures"].as_object().expect("measures") {
        let call = format!("figure masks {} --mask TTF --json --metric {measure}", run.display());
        let panels: Value = serde_json::from_str(&ok(world.call(&call))).expect("JSON");
        let points = panels[0]["curves"][0]["points"].as_array().expect("points");
        for (layer, wanted) in layers.as_object().expect("layers") {
            let layer: u64 = layer.parse().expect("a number");
            let point = points.iter().find(|point| point["layer"] == layer).expect("a point");
            for (key, wanted) in wanted.as_object().expect("numbers") {
                let numbers = |value: &Value| -> Vec<f64> {
                    let all = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
                    all.iter().map(|number| number.as_f64().expect("a number")).collect()
                };
                for (found, wanted) in numbers(&point[key]).into_iter().zip(numbers(wanted)) {
                    assert!(
                        (found - wanted).abs() < 1e-9,
                        "{measure}, layer {layer}, {key}: {found}, {wanted}"
                    );
                }
            }
        }
    }
}

/// A measure of the score files is what the figure, its statistics and the report show.
#[test]
fn any_measure_of_the_score_files_can_be_drawn() {
    let world = World::new();
    ok(world.run("--mask none,TTF --from-layer all"));
    for (measure, name) in [
        ("bleu", "BLEU"),
        ("bleu1", "1-gram precision"),
        ("bleu4", "4-gram precision"),
        ("brevity_penalty", "brevity penalty"),
        ("chrf", "chrF"),
        ("chrf++", "chrF++"),
        ("ter", "TER"),
        ("language", "in language"),
    ] {
        ok(world.call(&format!("figure masks results --metric {measure}")));
        for row in rows(&world.path("figures/masks.csv")) {
            let file = match row["mask"].as_str() {
                "none" => "none/baseline.json".into(),
                mask => format!("{mask}/layer-{}.json", row["layer"]),
            };
            let record = read(&world.path(RUN).join(file));
            let score: f64 = row["score"].parse().expect("a number");
            assert!((score - record[measure].as_f64().expect("a score")).abs() < 1e-9, "{measure}: {row:?}");
            assert_eq!(row["metric"], name);
            if let Some(ends) = record.get(format!("{measure}_interval")) {
                let low: f64 = row["items_low"].parse().expect("a number");
                assert!((low - ends[0].as_f64().expect("an end")).abs() < 1e-9, "{measure}");
            }
        }
    }
    ok(world.call("report results --metric chrf --out report.html --name tiny=Kleines"));
    let page = fs::read_to_string(world.path("report.html")).unwrap();
    assert!(page.contains(r#""metric":"chrF","#) && page.contains(r#""name":"Kleines""#));
}

#[test]
fn a_measure_that_is_not_there_is_refused() {
    let world = World::new();
    ok(world.run("--mask none,TTF --from-layer 0"));
    let held = "bleu, bleu1, bleu2, bleu3, bleu4, brevity_penalty, chrf, chrf++, ter, language";
    world.refused(&world.call("figure masks results --metric pass@1"), &["--metric pass@1", held]);
    world.refused(&world.call("figure ablation results --metric pass@2"), &["--metric pass@2", held]);
    world.refused(&world.call("report results --metric pass@1"), &["--metric pass@1", held]);
    world.refused(&world.call("figure masks results --metric wer"), &["`wer` is not a measure", held]);
    world.refused(&world.run("--mask none --metric pass@1"), &["--metric pass@1", "task mt", held]);
    world.refused(&world.run("--mask none --metric bleu5"), &["`bleu5` is not a measure"]);
    let stranger = world.call("figure attention --model tiny --layer 0 --metric chrf");
    world.refused(&stranger, &["--metric"]);
}

/// The table that a run prints, and what it suggests, speak of the measure that is asked for.
#[test]
fn the_table_of_a_run_shows_the_measure() {
    let world = World::new();
    let said = stderr(&world.run("--mask none,TTF --from-layer all --metric chrf"));
    let header =
        said.lines().find(|line| line.contains("seconds") && line.contains("mask")).expect("a table");
    assert!(header.contains("chrF") && header.contains("95 %"), "{said}");
    let record = read(&world.path(RUN).join("none/baseline.json"));
    let row = said.lines().find(|line| line.trim_start().starts_with("none")).expect("a row");
    assert!(row.contains(&format!("{:.2}", record["chrf"].as_f64().expect("a score"))), "{row}");
    assert!(said.contains("TTF: ") && said.contains("95 % of the baseline"), "{said}");
    // It changes no result, so another may be asked for of the same folder.
    let said = stderr(&world.run("--mask none,TTF --from-layer all --metric bleu2"));
    assert!(said.contains("2-gram precision"), "{said}");
}

/// A corpus of words instead of sentences.
fn labels() -> World {
    let world = World::new();
    let text = fs::read_to_string(world.path("test.tsv")).unwrap();
    let mut lines = text.lines();
    let header = lines.next().expect("a header").to_string();
    let short = lines.enumerate().map(|(at, line)| {
        let mut cells: Vec<&str> = line.split('\t').collect();
        cells[2] = if at % 2 == 0 { "oui" } else { "peut-être pas" };
        cells.join("\t")
    });
    let short: Vec<String> = std::iter::once(header).chain(short).collect();
    world.write("test.tsv", short.join("\n") + "\n");
    world
}

/// BLEU counts 4-grams: of answers with fewer words nothing is concluded from it.
#[test]
fn no_conclusion_is_drawn_from_bleu_of_single_words() {
    let world = labels();
    let says = "No conclusion is drawn from BLEU: 6 of 6 references have fewer than 4 words";
    let said = stderr(&world.run("--mask none,TTF --from-layer all"));
    assert!(said.contains(says) && said.contains("use --metric chrf or --metric bleu1"), "{said}");
    assert!(!said.contains("95 % of the baseline"), "{said}");

    let said = ok(world.call("figure masks results --svg-text"));
    assert!(said.contains(says) && !said.contains("From layer"), "{said}");
    let svg = fs::read_to_string(world.path("figures/masks.svg")).unwrap();
    assert!(svg.contains("No conclusion is drawn"));
    let panels: Value = serde_json::from_str(&ok(world.call("figure masks results --json"))).expect("JSON");
    assert!(panels[0]["too_short"].as_str().expect("a sentence").starts_with(says));
    let curve = &panels[0]["curves"][0];
    assert_eq!(curve["recognised"].as_array().map(Vec::len), Some(0));
    for point in curve["points"].as_array().expect("points") {
        assert!(
            ["p", "p_corrected", "difference_interval", "ratio_interval"]
                .iter()
                .all(|key| point[key].is_null())
        );
        assert!(point["score"].is_number() && point["difference"].is_number());
    }
    ok(world.call("report results --out report.html"));
    assert!(fs::read_to_string(world.path("report.html")).unwrap().contains(says));

    for measure in ["chrf", "bleu1"] {
        let said = ok(world.call(&format!("figure masks results --metric {measure}")));
        assert!(!said.contains("No conclusion") && said.contains("95 % of the baseline"), "{said}");
        let said = stderr(&world.run(&format!("--mask none,TTF --from-layer all --metric {measure}")));
        assert!(!said.contains("No conclusion") && said.contains("95 % of the baseline"), "{said}");
    }
    let said = ok(world.call("figure masks results --metric bleu2"));
    assert!(!said.contains("No conclusion"), "half of the references have two words: {said}");
}

/// Half of the references may be short, not more.
#[test]
fn a_corpus_that_is_half_sentences_is_judged_by_bleu() {
    let world = World::new();
    let text = fs::read_to_string(world.path("test.tsv")).unwrap();
    let half = text.lines().enumerate().map(|(at, line)| {
        let mut cells: Vec<&str> = line.split('\t').collect();
        if at > 0 {
            cells[2] = if at % 2 == 0 { "oui" } else { "un deux trois quatre" };
        }
        cells.join("\t")
    });
    world.write("test.tsv", half.collect::<Vec<_>>().join("\n") + "\n");
    let said = stderr(&world.run("--mask none,TTF --from-layer all"));
    assert!(!said.contains("No conclusion") && said.contains("95 % of the baseline"), "{said}");
}

/// pass@k of several samples, where there are as many.
#[cfg(target_os = "linux")]
#[test]
fn pass_at_k_can_be_drawn() {
    let world = World::new();
    let problem = |i: usize| {
        serde_json::json!({
            "task_id": format!("P/{i}"), "entry_point": "f", "canonical_solution": "    return x\n",
            "prompt": "def f(x):\n    \"\"\" The same. \"\"\"\n",
            "test": "def check(candidate):\n    assert candidate(2) == 2\n",
        })
    };
    let lines: String = (0..4).map(|i| format!("{}\n", problem(i))).collect();
    world.write("problems.jsonl", lines);
    let run = "run --model tiny --task code --test problems.jsonl --nprompts 1 --max-new-tokens 4 --threads 1 --format \
               code_functions --mask none,TTF --from-layer 0 --samples 2 --temperature 0.5 --sandbox best-effort";
    let said = stderr(&world.call(&format!("{run} --metric pass@2")));
    assert!(said.contains("pass@2"), "{said}");
    world
        .refused(&world.call(&format!("{run} --metric pass@5")), &["--metric pass@5", "pass@1, pass@2 only"]);
    ok(world.call("figure masks results --metric pass@2"));
    assert!(rows(&world.path("figures/masks.csv")).iter().all(|row| row["metric"] == "pass@2"));
    world.refused(
        &world.call("figure masks results --metric pass@5"),
        &["--metric pass@5", "pass@1, pass@2 only"],
    );
}

/// The bytes that base64 spells.
fn bytes(base64: &str) -> Vec<u8> {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut all, mut held, mut bits) = (Vec::new(), 0u32, 0);
    for digit in base64.bytes().filter_map(|byte| digits.iter().position(|known| *known == byte)) {
        (held, bits) = (held << 6 | digit as u32, bits + 6);
        if bits >= 8 {
            bits -= 8;
            all.push((held >> bits) as u8);
        }
    }
    all
}

/// BLEU of pieces of stored generations is that of the same texts in files, and a measure like others.
#[test]
fn pieces_of_stored_translations_are_scored() {
    let world = World::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let golden = read(&root.join("tests/goldens/pieces.json"));
    world.write("tiny.model", bytes(golden["models"][0]["model"].as_str().expect("a model")));
    ok(world.run("--mask none,TTF --from-layer all"));
    let score = |more: &str| ok(world.call(&format!("score results {more}")));
    let table = score("--sentencepiece tiny.model");
    assert!(table.contains("spBLEU") && table.contains("chrF"), "{table}");
    let run = world.path(RUN);
    let items = crate::world::json_lines(&fs::read_to_string(run.join("items.jsonl")).expect("written"));
    let texts = |all: &[Value], key: &str| -> String {
        all.iter().map(|one| format!("{}\n", one[key].as_str().expect("a text"))).collect()
    };
    world.write("ref.txt", texts(&items, "target"));
    let mut name = String::new();
    for cell in ["none/baseline", "TTF/layer-1"] {
        let record = read(&run.join(format!("{cell}.json")));
        let lines = fs::read_to_string(run.join(format!("{cell}.jsonl"))).expect("written");
        world.write("hyp.txt", texts(&crate::world::json_lines(&lines), "clean"));
        let files = ok(world.call("score --hyp hyp.txt --ref ref.txt --sentencepiece tiny.model --json"));
        let files: Value = serde_json::from_str(&files).expect("JSON");
        let fields = record.as_object().expect("an object");
        let key = fields.keys().find(|key| key.starts_with("spbleu:")).expect("a measure");
        for (ours, theirs) in
            [("", "spbleu"), ("_interval", "spbleu_interval"), ("_signature", "spbleu_signature")]
        {
            assert_eq!(record[format!("{key}{ours}")], files[theirs], "{cell}: {ours}");
        }
        assert!(files["spbleu_signature"].as_str().is_some_and(|all| all.contains(&key["spbleu:".len()..])));
        name.clone_from(key);
    }
    ok(world.call("verify results"));
    let before = crate::world::contents(&run);
    score("");
    assert_eq!(crate::world::contents(&run), before, "spBLEU stays when results are scored again");
    let drawn = ok(world.call(&format!("figure masks results --metric {name} --json")));
    assert!(drawn.contains("spBLEU"), "{drawn}");
}

#[test]
fn pieces_are_counted_of_translations_alone() {
    let world = World::new();
    world.write("bad.model", "x");
    world.refused(
        &world.call("score results --sentencepiece bad.model"),
        &["bad.model", "no SentencePiece model"],
    );
    world.refused(&world.call("score --sentencepiece bad.model"), &["required"]);
    let programs = world.call("score --task code --hyp bad.model --sentencepiece bad.model");
    world.refused(&programs, &["--sentencepiece: programs are run"]);
}
