//! When a generation of a run ends.

use super::model::OpenModel;
use crate::config::Run;
use crate::engine::{Stop, StopRule};
use crate::prompt::{Format, Profile};
use crate::tasks::Task;

/// The rule of a run: its ends of text and stop strings, by format, task and profile.
pub fn stop_rule(run: &Run, task: &dyn Task, format: &Format, model: &OpenModel) -> StopRule {
    let strings = match run.profile {
        // Nothing is generated.
        _ if run.task.weighs => Vec::new(),
        // The study decodes 50 tokens whatever they are.
        Profile::Sia2024 => Vec::new(),
        Profile::Exact if format.stops.is_some() => {
            let stop = |string: &String| {
                let question = !format.question.trim().is_empty() && string.contains(format.question.trim());
                let separator = *string == format.separator;
                let stop = if question {
                    Stop::Question
                } else if separator {
                    Stop::Separator
                } else {
                    Stop::Text
                };
                (string.clone(), stop)
            };
            format.stops.iter().flatten().filter(|string| !string.is_empty()).map(stop).collect()
        }
        Profile::Exact => task.stops(format),
    };
    StopRule {
        eos: model.tokenizer.eos(),
        strings,
        max_new_tokens: run.max_new_tokens,
        full_length: run.no_stop,
    }
}
