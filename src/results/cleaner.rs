//! From raw output to what is stored clean and what is scored, by task and profile. Pure, so that `score` can do it again.

use crate::config::Task;
use crate::prompt::{Format, Profile};
use crate::score;

/// The rules of one run.
pub struct Cleaner<'a> {
    /// What the text is.
    pub task: Task,
    /// Whose rules.
    pub profile: Profile,
    /// Its delimiters.
    pub format: &'a Format,
    /// Strings that end an answer (profile `exact`).
    pub stops: Vec<&'a str>,
}

impl Cleaner<'_> {
    /// The answer in a raw output.
    pub fn clean(&self, text: &str) -> String {
        match (self.profile, self.task) {
            (Profile::Exact, Task::Mt) => score::exact(text, &self.stops).to_string(),
            (Profile::Exact, Task::Code) => score::exact_code(text, &self.stops).to_string(),
            (Profile::Sia2024, _) => score::sia2024(text, &self.format.question, &self.format.answer),
        }
    }

    /// What of an answer is scored, if it is a text.
    pub fn hypothesis(&self, clean: &str) -> String {
        match self.profile {
            Profile::Exact => clean.to_string(),
            Profile::Sia2024 => score::sia2024_hypothesis(clean),
        }
    }
}
