//! Which verb makes what of each setting, so that none that is typed is ignored without a word.

use anyhow::Result;
use serde_json::Value;

use crate::config::{Run, Settings, Task};
use crate::console::note;
use crate::error::input;

/// A verb that takes settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `run`
    Run,
    /// `lora`
    Lora,
    /// `show`
    Show,
    /// `figure attention`
    Attention,
}

impl Verb {
    /// As typed, and why it leaves settings out.
    fn words(self) -> [&'static str; 2] {
        match self {
            Self::Run => ["run", "they are for programs (--task code)"],
            Self::Lora => ["lora", "they are for programs"],
            Self::Show => ["show", "it computes nothing"],
            Self::Attention => ["figure attention", "it generates nothing"],
        }
    }
}

/// What a verb makes of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It does what it says, or its value is refused where the verb cannot do it.
    Yes,
    /// The same where programs are run.
    Programs,
    /// Nothing, which is said.
    No,
}

use Use::{No, Programs, Yes};

/// By setting, what `run`, `lora`, `show` and `figure attention` make of it.
const USES: [(&str, [Use; 4]); 33] = [
    ("model", [Yes, Yes, Yes, Yes]),
    ("task", [Yes, Yes, Yes, Yes]),
    ("data", [Yes, Yes, Yes, Yes]),
    ("test", [Yes, Yes, Yes, Yes]),
    ("demonstrations", [Yes, Yes, Yes, Yes]),
    ("direction", [Yes, Yes, Yes, Yes]),
    ("format", [Yes, Yes, Yes, Yes]),
    ("mask", [Yes, Yes, Yes, Yes]),
    ("from_layer", [Yes, Yes, Yes, Yes]),
    ("ablate_attention", [Yes, Yes, Yes, Yes]),
    ("nprompts", [Yes, Yes, Yes, Yes]),
    ("seed", [Yes, Yes, Yes, Yes]),
    ("limit", [Yes, Yes, Yes, Yes]),
    ("chat_template", [Yes, Yes, Yes, Yes]),
    ("max_new_tokens", [Yes, Yes, Yes, Yes]),
    ("profile", [Yes, Yes, Yes, Yes]),
    ("device", [Yes, Yes, No, Yes]),
    ("dtype", [Yes, Yes, No, Yes]),
    ("threads", [Yes, Yes, No, Yes]),
    ("batch", [Yes, Yes, No, No]),
    ("memory", [Yes, Yes, No, Yes]),
    ("no_stop", [Yes, Yes, No, No]),
    ("drop_context", [Yes, Yes, No, No]),
    ("samples", [Yes, Yes, No, No]),
    ("temperature", [Yes, Yes, No, No]),
    ("top_p", [Yes, Yes, No, No]),
    ("sandbox", [Programs, No, No, No]),
    ("python", [Programs, No, No, No]),
    ("time_limit", [Programs, No, No, No]),
    ("adapter", [Yes, Yes, Yes, Yes]),
    ("results", [Yes, Yes, No, No]),
    ("locks", [Yes, Yes, No, No]),
    ("lora", [No, Yes, No, No]),
];

impl Use {
    fn of(setting: &str, verb: Verb) -> Self {
        USES.iter().find(|(name, _)| *name == setting).map_or(Yes, |(_, uses)| uses[verb as usize])
    }
}

/// Say on stderr which of the settings on the command line a verb does not use. Those of a file are not named: a file
/// describes a run, and is given to other verbs too.
///
/// # Errors
/// Two settings of which one would be ignored.
pub fn check_used(verb: Verb, flags: &Settings, run: &Run) -> Result<()> {
    let Value::Object(given) = serde_json::to_value(flags)? else { return Ok(()) };
    if given.contains_key("data") && given.contains_key("test") {
        return Err(input("--data and --test both say what the test items are: leave one of them out"));
    }
    let unused = given.keys().filter(|setting| match Use::of(setting, verb) {
        Yes => false,
        Programs => run.task != Task::Code,
        No => true,
    });
    let unused: Vec<String> = unused.map(|setting| format!("--{}", setting.replace('_', "-"))).collect();
    let [name, why] = verb.words();
    if !unused.is_empty() {
        note(format!("{name} does not use {}: {why}", unused.join(", ")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_use() {
        let known: Vec<&str> = USES.iter().map(|(setting, _)| *setting).collect();
        assert_eq!(known, Settings::KEYS, "a new setting: say what each verb makes of it");
    }
}
