//! Masks that hide nothing of the prompts at hand, found before anything is computed.

use std::collections::BTreeSet;

use anyhow::Result;

use super::inputs::RunInputs;
use crate::base::error::input;
use crate::intervene::{Intervention, Plan};

/// The masks of a run that hide nothing of any of its prompts.
pub fn masks(prepared: &RunInputs) -> Vec<Intervention> {
    let conditions = prepared.run.conditions.iter();
    let masks: BTreeSet<Intervention> = conditions.filter_map(|condition| condition.intervention()).collect();
    let hide = |mask: &Intervention| matches!(mask, Intervention::Segments { .. } | Intervention::Rules(_));
    let nothing = |mask: &Intervention| {
        let plans = prepared.prompts.iter().map(|prompt| mask.plan(prompt, 0, &prepared.run.masks));
        plans.into_iter().all(|plan| plan.is_ok_and(|plan| plan == Plan::UNMASKED))
    };
    masks.into_iter().filter(hide).filter(nothing).collect()
}

/// What the masks of a call come to, run by run.
#[derive(Default)]
pub struct Idle {
    /// Some condition is masked.
    masked: bool,
    /// Some masked condition hides something.
    works: bool,
    sentences: Vec<String>,
}

impl Idle {
    /// Look at a run.
    pub fn add(&mut self, prepared: &RunInputs) {
        let run = &prepared.run;
        let idle = masks(prepared);
        for intervention in run.conditions.iter().filter_map(|condition| condition.intervention()) {
            self.masked = true;
            self.works |= !idle.contains(&intervention);
        }
        for mask in idle {
            let sentence = format!(
                "--mask {mask} hides nothing with --format {} --nprompts {}: the prompts have no {}",
                run.format.name,
                run.nprompts,
                missing(mask)
            );
            if !self.sentences.contains(&sentence) {
                self.sentences.push(sentence);
            }
        }
    }

    /// What to say of those masks, whose cells equal the baseline.
    ///
    /// # Errors
    /// No mask of the whole call hides anything.
    pub fn sentences(self) -> Result<Vec<String>> {
        if self.masked && !self.works {
            return Err(input(format!(
                "{}; write --mask none for the baseline alone, or choose another mask, format or number of demonstrations",
                self.sentences.join("; ")
            )));
        }
        let equal = |sentence| format!("{sentence}, so its cells equal the baseline");
        Ok(self.sentences.into_iter().map(equal).collect())
    }
}

/// The parts that a mask names.
fn missing(mask: Intervention) -> String {
    let Intervention::Segments { instructions, examples, query } = mask else {
        return "tokens to hide".into();
    };
    let parts = [(instructions, "instructions"), (examples, "examples"), (query, "query")];
    let parts: Vec<&str> = parts.iter().filter(|(hidden, _)| *hidden).map(|(_, part)| *part).collect();
    parts.join(" and no ")
}
