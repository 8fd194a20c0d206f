//! A run's folder of which one file is broken: read, checked, scored again, put into curves and a report. The first byte says
//! which file, and whether the run is of translations or of programs.
#![no_main]

mod common;
mod mutate;

use std::sync::Once;

use icl_mask::cli::{StatusArgs, VerifyArgs};
use icl_mask::report::{Report, html};
use icl_mask::results::RunFolder;
use icl_mask::stats::{StoredRun, Study};
use icl_mask::verbs;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

const RUNS: [&str; 2] = ["mt", "code"];
const FILES: [&str; 7] = [
    "manifest.json",
    "items.jsonl",
    "TTF/layer-1.json",
    "TTF/layer-1.jsonl",
    "none/baseline.json",
    "none/baseline.jsonl",
    "TTF/layer-2.partial.jsonl",
];

fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    mutate::mutate(data, size, most, seed, 1, &[])
});

fuzz_target!(|bytes: &[u8]| {
    static RIGHT: Once = Once::new();
    RIGHT.call_once(|| {
        let all = RUNS.iter().flat_map(|run| FILES.iter().map(move |name| (run, name)));
        all.for_each(|(run, name)| common::restore(run, name));
    });
    let Some((which, rest)) = bytes.split_first() else { return };
    let which = usize::from(*which);
    let (run, name) = (RUNS[which / FILES.len() % RUNS.len()], FILES[which % FILES.len()]);
    common::file(&format!("{run}/{name}"), rest);
    read(run, name, bytes);
    common::restore(run, name);
});

fn read(run: &str, name: &str, bytes: &[u8]) {
    let folder = common::FOLDER.join(run);
    common::judge(verbs::status(&StatusArgs { results: vec![folder.clone()], json: false }), bytes);
    if name.ends_with(".partial.jsonl") {
        let run = RunFolder::new(folder);
        let cell = run.cell_at(&run.path().join("TTF/layer-2.json")).expect("a cell");
        common::judge(run.partial(cell), bytes);
        return;
    }
    let stored = common::judge(StoredRun::read(&folder, None), bytes);
    // These two resample thousands of times.
    if common::one_of(32, bytes) {
        // That not all is right is no mistake in a call, and not said to be one.
        drop(verbs::verify(&VerifyArgs { results: vec![folder], json: false }));
    }
    if let Some(stored) = stored
        && common::one_of(256, bytes)
        && let Some(study) = common::judge(Study::new(vec![stored], |_| true), bytes)
        && let Some(report) = common::judge(Report::new(&study, String::new(), 3, Vec::new()), bytes)
    {
        common::judge(html(&report), bytes);
    }
}
