//! The folders and keys of the study's released code, so that its notebooks read our scores.
//!
//! `results/mask_context_from/instructions-True_prompts-True_query-False/layer-14/<cell>.json` and
//! `results/baselines/<cell>.json`, where a cell is
//! `format-<format>/<select>/gen-<generator>/<trainset>-<testset>/<model>-nprompts<k>-seed<s>.<direction>`. A translation's
//! file is a list of one object, scores rounded to three digits; a program's an object with `pass@1`.

use std::path::PathBuf;

use super::ScoreRecord;
use crate::intervene::{Condition, Intervention};
use crate::tasks::TaskKind;

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

/// Where the scores of a condition go; `None` for what the study has no place for.
pub fn path(record: &ScoreRecord, task: &TaskKind) -> Option<PathBuf> {
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
    let direction = task.study_direction.filter(|_| direction.is_empty()).unwrap_or(direction);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::Profile;
    use crate::results::sample_record;
    use crate::tasks::TASKS;

    #[test]
    fn cells_stand_where_the_study_puts_them() {
        let mut record = sample_record("TTF", 2, 40.94849);
        (record.model, record.data) = ("llama-3.1-8b".into(), "flores".into());
        record.format = "instr_machine_translation".into();
        let shown = |record: &ScoreRecord| path(record, TASKS[0]).map(|path| path.display().to_string());
        assert_eq!(
            shown(&record).as_deref(),
            Some(
                "results/mask_context_from/instructions-True_prompts-True_query-False/layer-2/\
                 format-instr_machine_translation/no_lengthfilter-random/gen-default/FLORES-FLORES/\
                 Llama-3.1-8B-nprompts5-seed0.en-fr.json"
            )
        );
        let task = TASKS[0].set_up(Profile::Exact, None, &Default::default()).expect("a task");
        assert_eq!(task.study_scores(&record.scores)[0]["bleu"], serde_json::json!(40.948));
        record.identity.condition = Condition::Baseline;
        assert!(shown(&record).expect("a place").starts_with("results/baselines/format-"));
        record.direction = "../../x".into();
        let escaping = path(&record, TASKS[0]).expect("a place");
        assert!(
            escaping.components().all(|part| matches!(part, std::path::Component::Normal(_))),
            "{escaping:?}"
        );
        record.identity.condition = Condition::At { intervention: Intervention::Ablation, layer: 2 };
        assert_eq!(shown(&record), None);
    }
}
