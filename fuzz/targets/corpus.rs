//! Corpora: tables as TSV, CSV, JSONL and JSON, problems as JSONL, plain and compressed, and a pair of files aligned by line. The first
//! byte says which.
#![no_main]

mod common;
mod mutate;

use std::path::Path;

use icl_mask::data::{Corpus, DataConfig};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    mutate::mutate(data, size, most, seed, 1, &[])
});

fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else { return };
    let (config, direction) = match which % 7 {
        0 => (DataConfig::one_off(&common::file("test.tsv", rest), None), "en-fr"),
        1 => (DataConfig::one_off(&common::file("test.jsonl", rest), None), "en-fr"),
        2 => (DataConfig::one_off_code(&common::file("problems.jsonl", rest), None), "en-py"),
        3 => (DataConfig::one_off_code(&common::file("problems.jsonl.gz", rest), None), "en-py"),
        4 => (aligned(rest), "en-fr"),
        5 => (DataConfig::one_off(&common::file("test.csv", rest), None), "en-fr"),
        _ => (DataConfig::one_off(&common::file("test.json", rest), None), "en-fr"),
    };
    common::judge(Corpus::load(&config, &direction.parse().expect("a direction")), bytes);
});

/// Two files of a folder as FLORES has them; what comes before the first NUL is the source.
fn aligned(bytes: &[u8]) -> DataConfig {
    let (source, target) = bytes.split_at(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
    common::file("flores/dev/eng.dev", source);
    common::file("flores/dev/fra.dev", target.get(1..).unwrap_or_default());
    let folder = common::FOLDER.join("flores");
    let split = "{split: dev, lines: 1..2}";
    let text =
        format!("kind: flores\nfolder: {}\ntest: {split}\ndemonstrations: {split}\n", folder.display());
    DataConfig::parse(&text, Path::new("flores.yaml")).expect("as written above")
}
