//! When a generation of a run ends.

use super::model::OpenModel;
use crate::config::{Run, Task};
use crate::engine::{Stop, StopRule};
use crate::prompt::{Format, Profile};

/// The rule of a run: its ends of text and stop strings, by format, task and profile.
pub fn stop_rule(run: &Run, format: &Format, model: &OpenModel) -> StopRule {
    let strings = match run.profile {
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
        // An answer has lines of its own: only the next question ends it.
        Profile::Exact if run.task == Task::Code => {
            let next = format!("{}{}", format.separator, format.question.trim());
            if next.trim().is_empty() { Vec::new() } else { vec![(next, Stop::Question)] }
        }
        Profile::Exact => {
            let stops = [(&format.separator, Stop::Separator), (&format.question, Stop::Question)];
            let stops = stops.map(|(string, stop)| (stop_string(string), stop));
            stops.into_iter().filter(|(string, _)| !string.is_empty()).collect()
        }
    };
    StopRule {
        eos: model.tokenizer.eos(),
        strings,
        max_new_tokens: run.max_new_tokens,
        full_length: run.no_stop,
    }
}

/// A separator is white space and stands as it is; a question is recognised without the spaces around it.
fn stop_string(string: &str) -> String {
    let trimmed = string.trim();
    if trimmed.is_empty() { string.into() } else { trimmed.into() }
}
