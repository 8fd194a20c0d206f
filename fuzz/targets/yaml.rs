//! YAML of users: experiments resolved, corpora, prompt formats, models. The first byte says which.
#![no_main]

mod common;

use std::path::Path;

use icl_mask::config::{Experiment, ModelChoice, Settings, find_format};
use icl_mask::data::DataConfig;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else { return };
    let path = |name| common::file(name, rest).display().to_string();
    match which % 5 {
        0 => drop(common::judge(
            Experiment::resolve(Some(&path("experiment.yaml")), Settings::default()),
            bytes,
        )),
        1 => {
            let (settings, training) = (Settings::default(), Default::default());
            common::judge(
                Experiment::resolve_training(Some(&path("experiment.yaml")), settings, training),
                bytes,
            );
        }
        2 => {
            let Ok(text) = std::str::from_utf8(rest) else { return };
            common::judge(DataConfig::parse(text, Path::new("corpus.yaml")), bytes);
        }
        3 => drop(common::judge(find_format(&path("format.yaml"), "--format"), bytes)),
        _ => drop(common::judge(ModelChoice::resolve(&path("model.yaml"), "--model"), bytes)),
    }
});
