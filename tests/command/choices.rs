//! Options weighed through the command: what is written, what is refused, and that nothing depends on how it is called.

use std::fs;
use std::path::{Path, PathBuf};

use icl_mask::engine::Plain;
use icl_mask::intervene::Plan;
use icl_mask::model::{Checkpoint, Precision, Transformer};
use serde_json::{Value, json};

use crate::world::{World, contents, ok};

pub const RUN: &str = "results/tiny/items.mood/mood-k2-seed0";

const TASK: &str = "ask: choose\noptions: {0: bad, 1: very good, 2: very nice indeed}\nprompt:\n  header: \"Which one is it?\"\n  \
                    question: \"Q: \"\n  answer: \"\\nA:\"\n  before_target: \" \"\n";

/// Five items whose labels are numbers, and three demonstrations.
pub fn world() -> World {
    let world = World::new();
    world.write("mood.yaml", TASK);
    let item = |at: usize| {
        json!({"id": at, "source": format!("the cat sees dog {at}"), "target": at % 3}).to_string()
    };
    let lines = |range: std::ops::Range<usize>| range.map(item).collect::<Vec<_>>().join("\n");
    world.write("items.jsonl", lines(0..5));
    world.write("shown.jsonl", lines(5..8));
    world
}

pub fn call(world: &World, more: &str) -> std::process::Output {
    world.call(&format!(
        "run --model tiny --task mood.yaml --test items.jsonl --demonstrations shown.jsonl --nprompts 2 --threads 1 {more}"
    ))
}

fn read(path: PathBuf) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("written")).expect("JSON")
}

pub fn lines(path: PathBuf) -> Vec<Value> {
    fs::read_to_string(path)
        .expect("written")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn numbers(value: &Value) -> Vec<u32> {
    value.as_array().expect("a list").iter().map(|number| number.as_u64().expect("a number") as u32).collect()
}

/// The natural logarithm of a token's probability after these, by the oracle.
fn log_probability(model: &Transformer, tokens: &[u32], token: u32) -> f64 {
    let plan = Plan::UNMASKED;
    let logits = Plain::new(model, &plan, tokens.len()).unwrap().logits(tokens).unwrap();
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - most).exp()).sum();
    f64::from(logits[token as usize] - most) - sum.ln()
}

/// The baseline's lines against the oracle's logits, from the prompt that `show` prints; what follows from them by hand.
#[test]
fn lines_hold_what_the_model_says_of_each_option() {
    let world = world();
    ok(call(&world, "--mask none,TTF --from-layer 0,1 --limit all"));
    let model = Checkpoint::open(&world.path("tiny")).unwrap();
    let model = Transformer::load(&model, Precision::F32).unwrap();
    let found = lines(world.path(RUN).join("none/baseline.jsonl"));
    assert_eq!(found.len(), 5);
    for (at, line) in found.iter().enumerate() {
        let shown = ok(world.call(&format!(
            "show --model tiny --task mood.yaml --test items.jsonl --demonstrations shown.jsonl --nprompts 2 --limit all \
             --item {at} --json"
        )));
        let shown: Value = serde_json::from_str(&shown).expect("JSON");
        let prompt = numbers(&shown["tokens"]);
        assert_eq!(line["prompt_tokens"], prompt.len());
        assert!(shown["prompt"].as_str().expect("a text").ends_with("\nA:"), "{shown}");
        let mut weights = Vec::new();
        for (option, text) in
            line["options"].as_array().expect("options").iter().zip(["bad", "very good", "very nice indeed"])
        {
            assert_eq!(option["text"], text);
            let mut tokens = prompt.clone();
            let mut weight = 0.;
            for token in numbers(&option["tokens"]) {
                weight += log_probability(&model, &tokens, token);
                tokens.push(token);
            }
            assert!((option["logprob"].as_f64().expect("a number") - weight).abs() < 1e-4, "{option}");
            weights.push(weight);
        }
        let best = (0..3).max_by(|&a, &b| weights[a].total_cmp(&weights[b])).expect("some");
        assert_eq!(
            (line["chosen"].as_u64(), line["right"].as_u64()),
            (Some(best as u64), Some(at as u64 % 3))
        );
        assert_eq!((&line["text"], &line["stop"]), (&line["options"][best]["text"], &json!("chosen")));
        assert_eq!(line["kl"], 0.);
    }
    let score = read(world.path(RUN).join("none/baseline.json"));
    let right = found.iter().filter(|line| line["chosen"] == line["right"]).count();
    assert_eq!(score["accuracy"], right as f64 / 5.);
    assert_eq!(score["labels"]["bad"]["right"], 2);
    assert_eq!(score["stops"], json!({"chosen": 5}));
    let masked = read(world.path(RUN).join("TTF/layer-0.json"));
    assert!(masked["kl"].as_f64().expect("a number") > 0., "{masked}");
    ok(world.call("verify results"));
    ok(world.call("status results"));
}

/// One cell, the whole grid in small batches, and a folder that grows: the same files.
#[test]
fn nothing_depends_on_the_call() {
    let grid = "--mask none,TTF,FFT --from-layer all --limit all";
    let whole = world();
    ok(call(&whole, grid));
    let expected = contents(&whole.path(RUN).join("TTF"));
    for calls in [
        vec![format!("{grid} --batch 2")],
        vec!["--mask TTF --from-layer 1 --limit 3".into(), grid.into()],
        vec!["--mask TTF --from-layer all --limit all".into()],
    ] {
        let world = world();
        calls.iter().for_each(|args| drop(ok(call(&world, args))));
        assert_eq!(contents(&world.path(RUN).join("TTF")), expected, "{calls:?}");
    }
    let again = whole.call(&format!("run --from-manifest {RUN}/manifest.json --results again"));
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(0), "{said}");
}

/// Every measure can be drawn, compared and reported.
#[test]
fn every_measure_has_a_curve() {
    let world = world();
    ok(call(&world, "--mask none,TTF --from-layer all --limit all --metric macro_f1"));
    let score = read(world.path(RUN).join("TTF/layer-1.json"));
    for measure in [
        "accuracy",
        "accuracy_per_token",
        "logprob",
        "margin",
        "logit_difference",
        "option_mass",
        "option_rate",
        "macro_f1",
        "ece",
        "kl",
    ] {
        let panels: Value =
            serde_json::from_str(&ok(world.call(&format!("figure masks results --json --metric {measure}"))))
                .expect("JSON");
        let points = panels[0]["curves"][0]["points"].as_array().expect("points");
        let point = points.iter().find(|point| point["layer"] == 1).expect("layer 1");
        let [found, wanted] =
            [&point["score"], &score[measure]].map(|number| number.as_f64().expect("a number"));
        assert!((found - wanted).abs() < 1e-9, "{measure}: {found} {wanted}");
    }
    ok(world.call("report results --out report.html"));
    let page = fs::read_to_string(world.path("report.html")).expect("written");
    assert!(page.contains("options weighed by their log-probability"));
}

/// Options of each item, in TSV too; one that is the beginning of another; in a chat template.
#[test]
fn items_may_bring_their_own_options() {
    let world = World::new();
    world.write(
        "own.tsv",
        "source\ttarget\toptions\na cat\tgood\tgood | good enough | bad\na dog\tno\tyes|no\n",
    );
    let run = |more: &str| {
        ok(world
            .call(&format!("run --model tiny --task choice --test own.tsv --nprompts 0 --mask none {more}")))
    };
    run("");
    let found = lines(world.path("results/tiny/own.choice/qa_lines_none-k0-seed0/none/baseline.jsonl"));
    let texts = |line: &Value| -> Vec<String> {
        line["options"]
            .as_array()
            .expect("options")
            .iter()
            .map(|option| option["text"].as_str().expect("a text").into())
            .collect()
    };
    assert_eq!(texts(&found[0]), ["good", "good enough", "bad"]);
    assert_eq!(texts(&found[1]), ["yes", "no"]);
    let logprob = |at: usize| found[0]["options"][at]["logprob"].as_f64().expect("a number");
    assert!(logprob(1) < logprob(0), "the longer one is less likely than its beginning");
    world.write("chat.jinja", crate::world::CHAT);
    run("--chat-template chat.jinja");
    let chat = lines(world.path("results/tiny/own.choice/qa_lines_none-k0-seed0-chat/none/baseline.jsonl"));
    // The template ends with a line break, which is the first token of all options and no choice.
    assert_eq!(chat[0]["shared"], 1);
    let first = |line: &Value, option: usize| numbers(&line["options"][option]["tokens"])[0];
    assert_eq!(first(&chat[0], 0), first(&chat[0], 2));
}

#[test]
fn what_cannot_be_chosen_is_refused() {
    let world = world();
    let run = |file: &str, text: &str, args: &str| {
        world.write(file, text);
        world.call(&format!("run --model tiny --task choice --test {file} --nprompts 0 --mask none {args}"))
    };
    let item = |target: &str, options: Value| {
        json!({"source": "a", "target": target, "options": options}).to_string()
    };
    let long = "word ".repeat(3000);
    for (text, says) in [
        (item("yes", json!(["yes", " "])), "empty option"),
        (item("yes", json!(["yes", "no", "yes"])), "has the option `yes` twice"),
        (item("maybe", json!(["yes", "no"])), "`maybe` is none of its options (yes, no)"),
        (item("yes", json!([])), "has no options to choose from"),
        (item("yes", json!({"a": 1})), "not a list of texts"),
        (json!({"source": "a", "target": "yes"}).to_string(), "has no options to choose from"),
        (
            json!({"source": "a", "target": ["yes", "no"], "options": ["yes", "no"]}).to_string(),
            "2 of its options are right",
        ),
        (item(&long, json!([long, "no"])), "exceed the model's context"),
    ] {
        world.refused(&run("bad.jsonl", &text, ""), &[says]);
    }
    let good = item("yes", json!(["yes", "no"]));
    for (args, says) in [
        ("--max-new-tokens 5", "--max-new-tokens: has an effect on what is generated"),
        ("--temperature 1", "--temperature: has an effect on what is generated"),
        ("--drop-context", "--drop-context: has an effect on what is generated"),
        ("--profile sia2024 --nprompts 5", "--profile"),
        ("--sandbox off", "has an effect on programs only"),
    ] {
        world.refused(&run("good.jsonl", &good, args), &[says]);
    }
    world.refused(&world.call("run --model tiny --task choice"), &["is asked of your own items"]);
    world.refused(
        &world.call("run --model tiny --task choise --test good.jsonl"),
        &["unknown task `choise`", "choice"],
    );
    world.refused(&world.call("score --task choice --hyp good.jsonl"), &["there is no text to score"]);
    assert!(!Path::new(&world.path("results")).exists());
}

/// Ten thousand options of one item.
#[test]
fn an_item_may_have_very_many_options() {
    let world = World::new();
    let options: Vec<String> = (0..10_000).map(|at| format!("number {at}")).collect();
    world.write("many.jsonl", json!({"source": "a", "target": "number 77", "options": options}).to_string());
    ok(world.call(
        "run --model tiny --task choice --test many.jsonl --nprompts 0 --mask none,TTT --from-layer 1",
    ));
    let found = lines(world.path("results/tiny/many.choice/qa_lines_none-k0-seed0/TTT/layer-1.jsonl"));
    assert_eq!(
        (found[0]["options"].as_array().expect("options").len(), &found[0]["right"]),
        (10_000, &json!(77))
    );
    ok(world.call("verify results"));
}

/// An edited weight, and an edited choice, are seen.
#[test]
fn edited_lines_are_seen() {
    let world = world();
    ok(call(&world, "--mask none --limit all"));
    let path = world.path(RUN).join("none/baseline.jsonl");
    let whole = fs::read_to_string(&path).expect("written");
    let first: Value = serde_json::from_str(whole.lines().next().expect("a line")).expect("JSON");
    for (key, value) in [
        ("chosen", json!((first["chosen"].as_u64().expect("a number") + 1) % 3)),
        ("rank", json!(9)),
        ("kl", json!(-1)),
    ] {
        let mut edited = first.clone();
        edited[key] = value;
        let rest: Vec<&str> = whole.lines().skip(1).collect();
        fs::write(&path, format!("{edited}\n{}\n", rest.join("\n"))).expect("written");
        let output = world.call("verify results");
        assert_eq!(output.status.code(), Some(1), "{key}");
    }
}

/// Short answers: what is compared, how, and what is refused.
#[test]
fn short_answers_are_compared_with_all_right_ones() {
    let world = World::new();
    world.write("ask.yaml", "ask: generate\nmax_new_tokens: 6\nanswer: {normalise: squad}\nmetric: f1\n");
    world.write("q.jsonl", "{\"source\": \"a\", \"target\": [\"Paris\", \"the city of Paris\"]}\n{\"source\": \"b\", \"target\": 7}\n");
    let call = |more: &str| {
        world.call(&format!(
            "run --model tiny --test q.jsonl --nprompts 0 --mask none,TTT --from-layer 1 {more}"
        ))
    };
    ok(call("--task ask.yaml"));
    let folder = world.path("results/tiny/q.ask/qa_short-k0-seed0/none");
    let line = &lines(folder.join("baseline.jsonl"))[0];
    assert!(line["judged"]["exact"].is_boolean() && line["judged"]["f1"].is_number(), "{line}");
    let score = read(folder.join("baseline.json"));
    assert!(score["exact_match"].is_number() && score["number"].is_null(), "{score}");
    ok(world.call("verify results"));
    ok(world.call("figure masks results --metric contains --json"));
    let shown = ok(world.call("show --model tiny --task ask.yaml --test q.jsonl --nprompts 0"));
    assert!(shown.contains("right answers: Paris, the city of Paris"), "{shown}");
    world.write("number.yaml", "ask: generate\nanswer: {tolerance: 0.1}\nmetric: number\n");
    world.refused(&call("--task number.yaml"), &["item 1: its answer `Paris` holds no number"]);
    world.write("wrong.yaml", "ask: generate\nanswer: {extract: '('}\n");
    world.refused(&call("--task wrong.yaml"), &["wrong.yaml"]);
    world.write("metric.yaml", "ask: generate\nmetric: bleu\n");
    world.refused(&call("--task metric.yaml"), &["`bleu` is not a measure of short answers"]);
    world.refused(&call("--task mt --direction en-fr"), &["has several right answers"]);
}

/// Prompts that are varied have folders and curves of their own, and a zero-shot baseline says what is recovered.
#[test]
fn prompts_can_be_varied() {
    let world = world();
    world.write("other.txt", "Never mind {anything}:\n");
    let grid = "--mask none,TTF --from-layer 1 --limit all";
    ok(call(
        &world,
        &format!("{grid} --vary none,targets=shuffled,keep=0+instructions=other.txt,keep=1,keep=0"),
    ));
    let folder = |vary: &str| world.path(&format!("results/tiny/items.mood/mood-k2-seed0{vary}"));
    let manifest = |vary: &str| read(folder(vary).join("manifest.json"));
    let shown = |manifest: &Value| -> Vec<String> {
        let all = manifest["demonstrations"].as_array().expect("a list");
        all.iter().map(|shown| shown["target"].as_str().expect("a text").into()).collect()
    };
    let (plain, shuffled) = (shown(&manifest("")), shown(&manifest("-targets-shuffled")));
    assert_eq!([&plain[1], &plain[0]], [&shuffled[0], &shuffled[1]]);
    assert_eq!(shown(&manifest("-keep-1")), plain[..1]);
    let other = manifest("-keep-0-instructions-other");
    assert!(
        other["prompt"]["text"].as_str().expect("a text").starts_with("Never mind {anything}:\nQ: "),
        "{other}"
    );
    assert_eq!(read(folder("-keep-1").join("none/baseline.json"))["vary"], json!({"keep": 1}));
    ok(world.call("verify results"));
    let panels: Value =
        serde_json::from_str(&ok(world.call("figure masks results --json --metric logprob"))).expect("JSON");
    let panels = panels.as_array().expect("panels");
    assert_eq!(panels.len(), 1, "one panel holds all variations");
    let score = |vary: &str, cell: &str| read(folder(vary).join(cell))["logprob"].as_f64().expect("a number");
    for curve in panels[0]["curves"].as_array().expect("curves") {
        let vary = curve["key"]["vary"].as_str().or(curve["vary"].as_str()).unwrap_or_default();
        let (zero, at) =
            (score("-keep-0", "none/baseline.json"), curve["points"][0]["score"].as_f64().expect("a number"));
        if vary == "targets=shuffled" {
            let base = score("-targets-shuffled", "none/baseline.json");
            let found = curve["points"][0]["recovery"].as_f64().expect("a number");
            assert!((found - (at - zero) / (base - zero)).abs() < 1e-9, "{curve}");
        }
    }
    for (vary, says) in [
        ("keep=3", "--vary keep=3: the prompt has 2 demonstrations only"),
        ("keep=1+targets=shuffled", "no two demonstrations whose answers could change places"),
        ("order=random", "order=random: known: query-first"),
        ("orders=query-first", "unknown variation `orders`"),
        ("instructions=none.txt", "none.txt"),
    ] {
        world.refused(&call(&world, &format!("--mask none --vary {vary}")), &[says]);
    }
}

/// Each label is shown equally often where the task asks for that.
#[test]
fn demonstrations_can_be_balanced() {
    let world = world();
    world.write("mood.yaml", format!("{TASK}balanced: true\n"));
    let item =
        |at: usize| json!({"source": format!("s {at}"), "target": if at < 9 { 0 } else { 1 }}).to_string();
    world.write("shown.jsonl", (0..12).map(item).collect::<Vec<_>>().join("\n"));
    let shown = |k: usize| {
        let args = format!("--mask none --limit 1 --nprompts {k}");
        ok(world.call(&format!(
            "run --model tiny --task mood.yaml --test items.jsonl --demonstrations shown.jsonl --threads 1 {args}"
        )));
        let manifest = read(world.path(&format!("results/tiny/items.mood/mood-k{k}-seed0/manifest.json")));
        let all = manifest["demonstrations"].as_array().expect("a list").clone();
        all.iter().filter(|shown| shown["target"] == "very good").count()
    };
    assert_eq!((shown(4), shown(6)), (2, 3));
    let call = "run --model tiny --task mood.yaml --test items.jsonl --demonstrations shown.jsonl --nprompts 8 --mask none";
    world.refused(&world.call(call), &["too few with the answer `very good`"]);
}

/// What another program says of generations: written out, scored elsewhere, taken back, drawn, and kept by what follows.
#[test]
fn scores_of_another_program_are_taken_back() {
    let world = world();
    ok(call(&world, "--mask none,TTF --from-layer 1 --limit all"));
    ok(world.call("export results --hypotheses all.jsonl"));
    let all = lines(world.path("all.jsonl"));
    assert_eq!(all.len(), 10);
    let first =
        all.iter().find(|line| line["mask"] == "none" && line["id"] == "0").expect("the baseline's first");
    assert_eq!((&first["references"], &first["layer"]), (&json!(["bad"]), &Value::Null));
    let scored = |some: &[Value]| -> String {
        let score = |line: &Value| {
            let id: f64 = line["id"].as_str().expect("a text").parse().expect("a number");
            let mut line = line.clone();
            line["scores"] = json!({"comet": id / 4., "judge": id % 2. == 0.});
            format!("{line}\n")
        };
        some.iter().map(score).collect()
    };
    world.write("some.jsonl", scored(&all[..3]));
    world.refused(
        &world.call("score results --score-with some.jsonl"),
        &["but not for item 3", "score all of a cell"],
    );
    let mut odd = all.clone();
    odd.push(all[0].clone());
    odd[10]["id"] = json!("9");
    world.write("odd.jsonl", scored(&odd));
    world.refused(&world.call("score results --score-with odd.jsonl"), &["not among the results", "item 9"]);
    world.write("bad.jsonl", "{\"mask\":\"none\",\"layer\":null,\"id\":\"0\",\"scores\":{}}\n");
    world.refused(&world.call("score results --score-with bad.jsonl"), &["bad.jsonl:1: has no `scores`"]);
    world.refused(&world.call("score --score-with all.jsonl"), &["required"]);
    world.write("scored.jsonl", scored(&all));
    ok(world.call("score results --score-with scored.jsonl"));
    let record = read(world.path(RUN).join("none/baseline.json"));
    assert_eq!((&record["imported:comet"], &record["imported:judge"]), (&json!(0.5), &json!(0.6)));
    ok(world.call("verify results"));
    ok(world.call("figure masks results --metric imported:comet,accuracy --json"));
    // Scored again, the imported scores stay.
    ok(world.call("score results"));
    assert_eq!(read(world.path(RUN).join("none/baseline.json"))["imported:comet"], 0.5);
    let unknown = world.call("figure masks results --metric imported:bleurt");
    world.refused(&unknown, &["imported:bleurt", "imported:comet"]);
}
