//! The folders and keys of the study's released code, so that its notebooks read our scores.
//!
//! `results/mask_context_from/instructions-True_prompts-True_query-False/layer-14/<cell>.json` and
//! `results/baselines/<cell>.json`, where a cell is
//! `format-<format>/<select>/gen-<generator>/<trainset>-<testset>/<model>-nprompts<k>-seed<s>.<direction>`. A translation's
//! file is a list of one object, scores rounded to three digits; a program's an object with `pass@1`.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{ScoreRecord, Scores};
use crate::intervene::{Condition, Intervention};

/// How the study names what it draws demonstrations by, and what generates.
const SELECT: &str = "no_lengthfilter-random";
const GENERATOR: &str = "gen-default";

/// Our names of models and the study's.
const MODELS: [(&str, &str); 7] = [
    ("gpt-neo-125m", "gptn125M"),
    ("gpt-neo-2.7b", "gptn2.7B"),
    ("bloom-3b", "bloom3b"),
    ("llama-3.1-8b", "Llama-3.1-8B"),
    ("llama-3.1-8b-instruct", "Llama-3.1-8B-Instruct"),
    ("starcoder2-3b", "starcoder2-3B"),
    ("starcoder2-7b", "starcoder2-7B"),
];

/// Where a cell's scores stand; `None` for what the study has no place for.
pub fn path(record: &ScoreRecord) -> Option<PathBuf> {
    let truth = |hidden: bool| if hidden { "True" } else { "False" };
    let folder = match record.condition() {
        Condition::Baseline => PathBuf::from("results/baselines"),
        Condition::At { intervention: Intervention::Segments { instructions, examples, query }, layer } => {
            let [i, e, q] = [instructions, examples, query].map(truth);
            PathBuf::from("results/mask_context_from")
                .join(format!("instructions-{i}_prompts-{e}_query-{q}"))
                .join(format!("layer-{layer}"))
        }
        Condition::At { .. } => return None,
    };
    let ScoreRecord { format, nprompts, seed, direction, .. } = record;
    // The study writes one for programs, too.
    let direction = match (&record.scores, direction.as_str()) {
        (Scores::Code(_), "") => "en-py",
        (_, direction) => direction,
    };
    let known = MODELS.iter().find(|(ours, _)| *ours == record.model);
    let model = known
        .map_or(record.model.replace(['/', '\\', '\0'], "--").replace("..", "--"), |(_, theirs)| {
            (*theirs).into()
        });
    // No name may lead out of the folder.
    let [format, direction, sets] = [format.as_str(), direction, &sets(&record.data)]
        .map(|name| name.replace(['/', '\\', '\0'], "--").replace("..", "--"));
    Some(
        folder
            .join(format!("format-{format}"))
            .join(SELECT)
            .join(GENERATOR)
            .join(sets)
            .join(format!("{model}-nprompts{nprompts}-seed{seed}.{direction}.json")),
    )
}

/// `<trainset>-<testset>`
fn sets(data: &str) -> String {
    match data {
        "mbpp-humaneval" => "MBPP-HEVAL".into(),
        "humaneval" => "HEVAL-HEVAL".into(),
        data => format!("{0}-{0}", data.to_uppercase()),
    }
}

/// The scores under the study's keys.
pub fn scores(record: &ScoreRecord) -> Value {
    let round = |value: f64| (value * 1000.).round_ties_even() / 1000.;
    match &record.scores {
        Scores::Text(text) => json!([{
            "bleu": round(text.bleu),
            "bleu1": round(text.bleu1),
            "bleu2": round(text.bleu2),
            "bleu3": round(text.bleu3),
            "bleu4": round(text.bleu4),
            "brevity_penalty": round(text.brevity_penalty),
            "tokenizer": if text.signature.contains("tok:zh") { "Zh" } else { "13a" },
        }]),
        Scores::Code(code) => json!({ "pass@1": code.pass_at_1 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::sample_record;

    #[test]
    fn cells_stand_where_the_study_puts_them() {
        let mut record = sample_record("TTF", 2, 40.94849);
        (record.model, record.data) = ("llama-3.1-8b".into(), "flores".into());
        record.format = "instr_machine_translation".into();
        let shown = |record: &ScoreRecord| path(record).map(|path| path.display().to_string());
        assert_eq!(
            shown(&record).as_deref(),
            Some(
                "results/mask_context_from/instructions-True_prompts-True_query-False/layer-2/\
                 format-instr_machine_translation/no_lengthfilter-random/gen-default/FLORES-FLORES/\
                 Llama-3.1-8B-nprompts5-seed0.en-fr.json"
            )
        );
        assert_eq!(scores(&record)[0]["bleu"], json!(40.948));
        record.identity.condition = Condition::Baseline;
        assert!(shown(&record).expect("a place").starts_with("results/baselines/format-"));
        record.direction = "../../x".into();
        let escaping = path(&record).expect("a place");
        assert!(
            escaping.components().all(|part| matches!(part, std::path::Component::Normal(_))),
            "{escaping:?}"
        );
        record.identity.condition = Condition::At { intervention: Intervention::Ablation, layer: 2 };
        assert_eq!(shown(&record), None);
    }
}
