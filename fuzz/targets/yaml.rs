//! YAML of users: experiments resolved for each verb, corpora, prompt formats, masks, models. The first byte says which.
#![no_main]

mod common;

use std::path::Path;

use icl_mask::config::{Experiment, ModelChoice, Purpose, Settings, find_format};
use icl_mask::data::DataConfig;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else { return };
    let path = |name| common::file(name, rest).display().to_string();
    match which % 7 {
        0 => drop(common::judge(
            Experiment::resolve(Some(&path("experiment.yaml")), Settings::default(), icl_mask::run::describe),
            bytes,
        )),
        1 => {
            let (settings, training) = (Settings::default(), Default::default());
            common::judge(
                Experiment::resolve_training(
                    Some(&path("experiment.yaml")),
                    settings,
                    training,
                    icl_mask::run::describe,
                ),
                bytes,
            );
        }
        2 => {
            let Ok(text) = std::str::from_utf8(rest) else { return };
            if let Some(config) = common::judge(DataConfig::parse(text, Path::new("corpus.yaml")), bytes) {
                common::judge(config.own_direction(), bytes);
            }
        }
        3 => {
            if let Some(format) = common::judge(find_format(&path("format.yaml"), "--format"), bytes) {
                format.filled("English", "French");
            }
        }
        4 => drop(common::judge(
            ModelChoice::resolve(&path("model.yaml"), "--model", icl_mask::run::describe),
            bytes,
        )),
        5 => {
            let mask = Some(vec![path("mask.yaml")]);
            common::judge(
                Experiment::resolve(None, Settings { mask, ..one_model() }, icl_mask::run::describe),
                bytes,
            );
        }
        _ => {
            let purpose = if common::one_of(2, bytes) { Purpose::Show } else { Purpose::Attention };
            let config = path("experiment.yaml");
            common::judge(
                Experiment::resolve_for(purpose, Some(&config), Settings::default(), icl_mask::run::describe),
                bytes,
            );
        }
    }
});

/// Settings that name a model, so that a mask is asked for.
fn one_model() -> Settings {
    Settings { model: Some(vec!["smollm2-135m".into()]), ..Settings::default() }
}
