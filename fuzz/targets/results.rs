//! A run's folder of which one file is broken: read, checked, scored again, made again as far as its manifest says how, put into
//! curves and a report. The first byte says which file, and whether the run is of translations, of programs or of adapters.
#![no_main]

mod common;
mod mutate;

use std::path::Path;
use std::sync::Once;

use anyhow::Result;
use icl_mask::cli::{StatusArgs, VerifyArgs};
use icl_mask::config::{Experiment, Settings};
use icl_mask::figure::DisplayNames;
use icl_mask::lora::{Log, peft};
use icl_mask::report::{Report, html};
use icl_mask::results::{Manifest, RunContents, RunFolder, read_json, sia2024};
use icl_mask::stats::{StoredRun, Study};
use icl_mask::verbs;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

/// As in fuzz/seeds.py.
const MASKED: [&str; 7] = [
    "manifest.json",
    "items.jsonl",
    "TTF/layer-1.json",
    "TTF/layer-1.jsonl",
    "none/baseline.json",
    "none/baseline.jsonl",
    "TTF/layer-2.partial.jsonl",
];
const ADAPTED: [&str; 9] = [
    "manifest.json",
    "items.jsonl",
    "lora/layer-0.json",
    "lora/layer-0.jsonl",
    "none/baseline.json",
    "none/baseline.jsonl",
    "lora/layer-0/training.json",
    "lora/layer-0/adapter_config.json",
    "lora/layer-0/adapter_model.safetensors",
];
const RUNS: [(&str, &[&str]); 3] = [("mt", &MASKED), ("code", &MASKED), ("lora", &ADAPTED)];

fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    mutate::mutate(data, size, most, seed, 1, &[])
});

fuzz_target!(|bytes: &[u8]| {
    static RIGHT: Once = Once::new();
    RIGHT.call_once(|| files().for_each(|(run, name)| common::restore(run, name)));
    let Some((which, rest)) = bytes.split_first() else { return };
    let (run, name) = files().nth(usize::from(*which) % files().count()).expect("one of them");
    let path = common::file(&format!("{run}/{name}"), rest);
    if name == "manifest.json" && common::one_of(2, bytes) {
        seal(&path);
    }
    read(run, name, bytes);
    common::restore(run, name);
});

fn files() -> impl Iterator<Item = (&'static str, &'static str)> {
    RUNS.iter().flat_map(|(run, names)| names.iter().map(move |name| (*run, *name)))
}

/// Who edits settings may write their hash anew. What is read behind that check must be reached too.
fn seal(path: &Path) {
    if let Ok(Some(mut manifest)) = read_json::<Manifest>(path) {
        manifest.settings_sha256 = manifest.settings.hash();
        std::fs::write(path, serde_json::to_vec(&manifest).expect("written")).expect("written");
    }
}

fn read(run: &str, name: &str, bytes: &[u8]) {
    let folder = common::FOLDER.join(run);
    common::judge(verbs::status(&StatusArgs { results: vec![folder.clone()], json: false }), bytes);
    if name.ends_with(".partial.jsonl") {
        let run = RunFolder::new(folder);
        let cell = run.condition_at(&run.path().join("TTF/layer-2.json")).expect("a cell");
        common::judge(run.partial(cell), bytes);
        return;
    }
    if let Some((_, of_adapter)) = name.split_once("lora/layer-0/") {
        match of_adapter {
            "training.json" => drop(common::judge(read_json::<Log>(&folder.join(name)), bytes)),
            _ => drop(common::judge(peft::check(&folder.join("lora/layer-0"), 0), bytes)),
        }
    } else if name == "manifest.json" {
        common::judge(made_again(&folder.join(name)), bytes);
    }
    if common::one_of(4, bytes) {
        common::judge(scored_again(&RunFolder::new(folder.clone())), bytes);
    }
    let stored = common::judge(StoredRun::read(&folder, None), bytes);
    // These resample thousands of times.
    if common::one_of(32, bytes) {
        // That not all is right is no mistake in a call, and not said to be one.
        drop(verbs::verify(&VerifyArgs { results: vec![folder], json: false }));
    }
    if let Some(stored) = stored
        && common::one_of(256, bytes)
        && let Some(study) = common::judge(Study::new(vec![stored], |_| true), bytes)
        && let Some(report) = common::judge(
            Report::new(&study, String::new(), 3, (Vec::new(), &DisplayNames::default())),
            bytes,
        )
    {
        common::judge(html(&report), bytes);
    }
}

/// What `run --from-manifest` would compute.
fn made_again(path: &Path) -> Result<()> {
    let manifest = read_json::<Manifest>(path)?.expect("it is there");
    Experiment::again(manifest.typed, path, Settings::default(), icl_mask::run::describe).map(drop)
}

/// What `score` makes of the texts, and where `export` would write it. Programs are not run.
fn scored_again(folder: &RunFolder) -> Result<()> {
    let stored = RunContents::open(folder.clone())?;
    for path in stored.folder.score_files()? {
        let Some(found) = stored.check_files(&path)? else { continue };
        let lines = stored.cleaned_again(&found)?;
        stored.trials(&lines)?;
        let record = stored.record(&found, &lines, None)?;
        sia2024::path(&record, stored.task.kind()).map(|_| stored.task.study_scores(&record.scores));
    }
    Ok(())
}
