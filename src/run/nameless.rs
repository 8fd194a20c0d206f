//! Languages without a name: the prompt then says their code, which the user is told.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::base::console::note;
use crate::base::error::nearest;
use crate::config::Run;
use crate::data::languages;

/// Codes that the user has been told of.
static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Name on stderr, once a call, the codes of a run's direction that its prompts write as they are.
pub fn tell(run: &Run) {
    if !run.format.names_languages() {
        return;
    }
    let Some(direction) = &run.direction else { return };
    for code in [&direction.source, &direction.target] {
        if languages::name(code).is_none()
            && TOLD.lock().unwrap_or_else(PoisonError::into_inner).insert(code.clone())
        {
            note(sentence(code));
        }
    }
}

fn sentence(code: &str) -> String {
    let near = nearest(code, languages::all().iter().flat_map(|language| language.codes()));
    let hint = near.map_or(String::new(), |near| {
        format!(" (did you mean `{near}`, {}?)", languages::name(near).unwrap_or_default())
    });
    format!("--direction: icl-mask has no name for the language `{code}`{hint}; the prompts say `{code}`")
}
