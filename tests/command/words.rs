//! Everything the program says, as reviewed snapshots in `tests/snapshots/words/`. `CONTRIBUTING.md` says how to accept a
//! change.

use crate::world;
use std::fs;

use crate::said::{assert_narrow, check, said};
use crate::world::{World, ok};

/// The help of these verbs, one after the other.
fn help(name: &str, verbs: &[&str]) {
    let world = World::new();
    let texts: Vec<String> = verbs
        .iter()
        .map(|verb| {
            let call = format!("{verb} --help");
            said(call.trim_start(), &world.call(&call), &world)
        })
        .collect();
    texts.iter().for_each(|text| assert_narrow(text));
    check(name, &texts.join("\n"));
}

#[test]
fn help_of_the_program() {
    help("help", &[""]);
}

#[test]
fn help_of_run() {
    help("help-run", &["run"]);
}

#[test]
fn help_of_lora() {
    help("help-lora", &["lora"]);
}

#[test]
fn help_of_show() {
    help("help-show", &["show"]);
}

#[test]
fn help_of_score() {
    help("help-score", &["score"]);
}

#[test]
fn help_of_figures() {
    let kinds = ["figure", "figure masks", "figure lora", "figure ablation", "figure savings"];
    help("help-figure", &kinds);
    help("help-figure-attention", &["figure attention"]);
}

#[test]
fn help_of_what_reads_results() {
    help("help-results", &["status", "verify", "report", "export"]);
}

#[test]
fn help_of_the_rest() {
    let rest = ["models", "data", "data list", "data prepare", "data verify", "submit", "completions"];
    help("help-rest", &rest);
}

/// Calls one after the other in one folder. A call that begins with `run` gets the tiny model and corpus.
fn session(name: &str, world: &World, calls: &[impl AsRef<str>]) {
    let texts: Vec<String> = calls
        .iter()
        .map(|call| {
            let call = call.as_ref();
            let output = match call.strip_prefix("run ") {
                Some(args) => world.run(args),
                None => world.call(call),
            };
            said(call, &output, world)
        })
        .collect();
    check(name, &texts.join("\n"));
}

/// What a problem of HumanEval looks like.
const PROBLEM: &str = r#"{"task_id": "P/0", "prompt": "def f(x):\n    \"\"\" Add 1. \"\"\"\n", "entry_point": "f", "canonical_solution": "    return x + 1\n", "test": "def check(candidate):\n    assert candidate(2) == 3\n"}
"#;

#[test]
fn plans() {
    let world = World::new();
    world.write("problems.jsonl", PROBLEM);
    let calls = [
        "run --dry-run",
        "run --dry-run --json --mask TTF --from-layer 1",
        "run --mask none,TTF,FTF,FFT,all --from-layer 1..2 --nprompts 0,3 --seed 0..1 --dry-run",
        "run --ablate-attention 0..1 --dry-run",
        "run --drop-context --mask TTF --dry-run",
        "run --mask none,FTF --nprompts 0 --dry-run --format instr_machine_translation",
    ];
    session("plans", &world, &calls);
    let code = "run --model tiny --task code --test problems.jsonl --nprompts 0 --max-new-tokens 8 --threads 1 --dry-run";
    let plan = said(code, &world.call(code), &world);
    check("plan-code", &plan);
    let masking = "run --config masking --threads 1 --dry-run";
    check("plan-masking", &said(masking, &world.call(masking), &world));
}

#[test]
fn plans_of_training() {
    let world = trainable();
    session(
        "plans-lora",
        &world,
        &[&format!("{TRAINING} --dry-run"), &format!("{TRAINING} --dry-run --json")],
    );
}

/// A world whose corpus has a training split.
fn trainable() -> World {
    let world = World::new();
    world.write("training.tsv", fs::read_to_string(world.path("demonstrations.tsv")).expect("rows"));
    world.write(
        "pairs.yaml",
        "kind: table\ndescription: tiny\ntest: test.tsv\ndemonstrations: demonstrations.tsv\ntraining: training.tsv\n\
         columns: {id: id, source: source, target: target}\n",
    );
    world.write("tiny/tokenizer_config.json", r#"{"eos_token": "<|endoftext|>"}"#);
    world
}

const TRAINING: &str = "lora --model tiny --data pairs.yaml --direction en-fr --max-new-tokens 8 --layers 1,2 --train-size 4 \
                        --dev-size 2 --train-batch 2 --epochs 2 --threads 1";

#[test]
fn lists() {
    let world = World::new();
    let calls = [
        "models",
        "models tiny",
        "models llama-3.1-8b",
        "models smollm2-135m",
        "data list",
        "data verify nations",
        "data prepare nothing",
    ];
    session("lists", &world, &calls);
}

#[test]
fn prompts() {
    let world = World::new();
    let common = "show --model tiny --test test.tsv --demonstrations demonstrations.tsv --direction en-fr --nprompts 2";
    let calls = [
        format!("{common} --item 1 --from-layer 2"),
        format!("{common} --mask none,FTF,FFT,all --format instr_machine_translation"),
        format!("{common} --mask TTF --from-layer 2 --json"),
        format!("{common} --ablate-attention 0..3"),
        "show --model tiny --task code --test problems.jsonl --nprompts 0 --mask TTF --from-layer 1".into(),
    ];
    world.write("problems.jsonl", PROBLEM);
    session("show", &world, &calls);
}

#[test]
fn a_run_and_what_reads_it() {
    let world = World::new();
    let calls = [
        "run --mask none,TTF,FTF --nprompts 3 --seed 1",
        "run --mask none,TTF,FTF --nprompts 3 --seed 1",
        "run --mask none,TTF --nprompts 3 --seed 1 --metric chrf",
        "run --ablate-attention all --nprompts 3 --seed 1",
        "status",
        "verify",
        "score results",
        "figure masks results",
        "figure masks results --count-from 1 --mask TTF --metric chrf",
        "figure masks results --relative",
        "figure ablation results",
        "figure attention --model tiny --test test.tsv --nprompts 0 --direction en-fr --layer 1 --from-layer 0 --threads 1",
        "report results",
        "export results --layout sia2024 --out clone",
    ];
    session("results", &world, &calls);
}

#[test]
fn a_training_and_its_table() {
    let world = trainable();
    session("lora", &world, &[TRAINING, "status", "verify", "figure lora results", "score results"]);
}

#[test]
fn what_dropping_saves() {
    let world = World::new();
    session(
        "savings",
        &world,
        &["run --drop-context --mask none,TTF --from-layer 1,2", "figure savings results"],
    );
}

#[test]
fn anyones_text() {
    let world = World::new();
    world.write("hyp", "The cat sat on the mat .\nHello there\n");
    world.write("ref", "the cat sat on a mat.\nhello there\n");
    session("score", &world, &["score --hyp hyp --ref ref", "score --hyp hyp --ref ref --lowercase --json"]);
}

#[test]
fn scripts_for_slurm() {
    let world = World::new();
    let call = "submit --dry-run --parts 2 --sbatch=--time=4:00:00 -- run --model tiny --test test.tsv \
                --demonstrations demonstrations.tsv --direction en-fr --threads 1";
    session("submit", &world, &[call]);
}

#[test]
fn results_that_are_not_whole() {
    let world = World::new();
    ok(world.run("--mask none,TTF --from-layer all --nprompts 3 --seed 1"));
    let run = world.path("results").join(world::RUN);
    fs::remove_file(run.join("TTF/layer-1.json")).expect("it was there");
    fs::write(run.join("TTF/layer-2.json"), "{").expect("written");
    let scores = fs::read_to_string(run.join("TTF/layer-3.json")).expect("scores");
    let changed = scores.replacen("\"bleu\": ", "\"bleu\": 1", 1);
    assert_ne!(scores, changed);
    fs::write(run.join("TTF/layer-3.json"), changed).expect("written");
    session("results-damaged", &world, &["status", "verify", "figure masks results", "score results"]);
}
