//! Corpora: tables as TSV, CSV, JSONL, JSON and Parquet, problems as JSONL, plain and packed, a pair of files aligned by line, and the header
//! that says the languages. Some are described by a YAML file, with keys within keys. The first byte says which.
#![no_main]

mod common;
mod mutate;

use std::path::Path;

use anyhow::Result;
use icl_mask::data::{Corpus, DataConfig, Direction, load_training};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

/// Names of files of rows.
const ROWS: [&str; 7] =
    ["test.tsv", "test.jsonl", "test.csv", "test.json", "test.tsv.gz", "test.csv.gz", "test.json.gz"];
/// Names of files of problems.
const PROBLEMS: [&str; 2] = ["problems.jsonl", "problems.jsonl.gz"];
/// Descriptions of corpora, whose file of rows is the input.
const DESCRIBED: [&str; 4] = [
    "kind: table\ntest: FILE.jsonl\ntraining: {file: FILE.jsonl, lines: 1..2}\n\
     columns: {id: \"meta.id\", source: \"translation.{source}\", target: \"translation.{target}\"}\n",
    "kind: table\ntest: FILE.json\ncolumns: {source: question.text, target: answer}\n",
    "kind: table\ntest: {file: FILE.csv, lines: 2..2}\ncolumns: {source: \"{source}\", target: \"{target}\"}\n",
    "kind: code\ntest: FILE.jsonl\nfields: {id: meta.id, prompt: ask, solution: do, test: check, entry_point: meta.name}\n\
     demonstrations: {file: FILE.jsonl, lines: 1..1}\ndemonstration_columns: {id: meta.id, source: ask, target: do}\n",
];

fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    mutate::mutate(data, size, most, seed, 1, &[])
});

fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else { return };
    let which = usize::from(*which) % (ROWS.len() + PROBLEMS.len() + DESCRIBED.len() + 2);
    let direction: Direction = "en-fr".parse().expect("a direction");
    let config = if let Some(name) = ROWS.get(which) {
        let config = DataConfig::one_off(&common::file(name, rest), None);
        // The header may name languages; where no direction is given, they are asked for.
        if let Some(Some(own)) = common::judge(config.own_direction(), bytes) {
            common::judge(Corpus::load(&config, &own), bytes);
        }
        Ok(config)
    } else if let Some(name) = PROBLEMS.get(which - ROWS.len()) {
        Ok(DataConfig::one_off_code(&common::file(name, rest), None))
    } else if let Some(text) = DESCRIBED.get(which - ROWS.len() - PROBLEMS.len()) {
        described(text, rest)
    } else if which == ROWS.len() + PROBLEMS.len() + DESCRIBED.len() {
        aligned(rest)
    } else {
        Ok(DataConfig::one_off(&common::file("test.parquet", rest), None))
    };
    let config = config.expect("as written above");
    common::judge(Corpus::load_any(&config, Some(&direction)), bytes);
    if which == ROWS.len() + PROBLEMS.len() {
        common::judge(load_training(&config, Some(&direction)), bytes);
    }
});

/// A corpus of this description.
fn described(text: &str, bytes: &[u8]) -> Result<DataConfig> {
    for end in ["jsonl", "json", "csv"].into_iter().filter(|end| text.contains(&format!("FILE.{end}"))) {
        common::file(&format!("described.{end}"), bytes);
    }
    let place = common::FOLDER.join("described").display().to_string();
    DataConfig::parse(&text.replace("FILE", &place), Path::new("described.yaml"))
}

/// Two files of a folder as FLORES has them; what comes before the first NUL is the source.
fn aligned(bytes: &[u8]) -> Result<DataConfig> {
    let (source, target) = bytes.split_at(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
    common::file("flores/dev/eng.dev", source);
    common::file("flores/dev/fra.dev", target.get(1..).unwrap_or_default());
    let folder = common::FOLDER.join("flores");
    let split = "{split: dev, lines: 1..2}";
    let text =
        format!("kind: flores\nfolder: {}\ntest: {split}\ndemonstrations: {split}\n", folder.display());
    DataConfig::parse(&text, Path::new("flores.yaml"))
}
