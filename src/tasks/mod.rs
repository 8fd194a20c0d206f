//! A task: what is asked of a model, how an answer is judged, and which measures judged answers have. A new task is a file
//! here, an entry in [`TASKS`] and, where its answers are judged in a new way, a variant of [`Outcome`].

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};
use serde::{Serialize, Serializer};
use serde_json::Value;

mod answers;
mod asked;
mod choice;
mod choices;
mod items;
mod measure;
mod outcome;
mod programs;
mod scores;
mod translation;

pub use answers::Answers;
pub use asked::{Asked, Take};
pub use choice::{Choice, WeighedOption};
pub use choices::Choices;
pub use items::{ItemParts, ItemStats};
pub use measure::{Measure, Statistic};
pub use outcome::{Mark, Outcome, WrittenOutcome};
pub use programs::Programs;
pub use scores::{Runner, Scores};
pub use translation::Translation;

use crate::base::error::{input, suggest};
use crate::data::{CorpusKind, DataConfig, Direction, Example};
use crate::engine::{Options, Stop, Weighed};
use crate::prompt::{Format, Profile};
use crate::sandbox::Trial;

/// All tasks. The first is the usual one.
pub static TASKS: [&TaskKind; 4] = [&translation::KIND, &programs::KIND, &choices::KIND, &answers::KIND];

/// How a task of a profile, a direction and what is asked is set up.
type SetUp = fn(Profile, Option<&Direction>, &Asked) -> Result<Box<dyn Task>>;

/// What is known of a task before a run is set up.
pub struct TaskKind {
    /// Its name in files, in flags and in the names of folders.
    pub name: &'static str,
    /// What a corpus for it holds, in words.
    pub asks_for: &'static str,
    /// The file of `configs/experiments/` with its defaults, if it has some of its own.
    pub defaults: Option<&'static str>,
    /// Its answers are programs, which a sandbox runs.
    pub runs_programs: bool,
    /// Options are weighed, and nothing is generated.
    pub weighs: bool,
    /// A corpus of it is of two languages where its columns name some.
    pub names_languages: bool,
    /// Tokens that are generated per item where neither flag nor format says how many.
    pub new_tokens: usize,
    /// It is asked of a corpus that comes with the program, where the user names none.
    pub has_corpus: bool,
    /// Adapters can be trained on its pairs.
    pub trains_adapters: bool,
    /// The direction that the study's files, and results of version 0.1, write where the task has no languages.
    pub study_direction: Option<&'static str>,
    /// Whether a corpus of this kind can be asked for it.
    fits: fn(&CorpusKind) -> bool,
    /// The corpus that one file of test items makes, with a file of demonstrations if there is one.
    one_off: fn(&Path, Option<&Path>) -> DataConfig,
    /// The measures that score files hold, of so many answers to each item; the first is the usual one.
    measures: fn(usize) -> Vec<Measure>,
    /// The measure that a word names, if it is one of this task's.
    measure: fn(&str) -> Option<Measure>,
    /// How the command line names its measures.
    measure_names: &'static str,
    /// The task as a run has it.
    set_up: SetUp,
}

impl TaskKind {
    /// The task of this name.
    ///
    /// # Errors
    /// There is none; `origin` says where the name was written.
    pub fn find(name: &str, origin: &str) -> Result<&'static Self> {
        let names = TASKS.map(|kind| kind.name);
        let unknown = || input(format!("{origin}: unknown task `{name}`: {}", suggest(name, &names)));
        TASKS.into_iter().find(|kind| kind.name == name).ok_or_else(unknown)
    }

    /// A task that a corpus of this kind can be asked for.
    pub fn of_corpus(kind: &CorpusKind) -> &'static Self {
        TASKS.into_iter().find(|task| task.fits(kind)).unwrap_or(TASKS[0])
    }

    /// Whether a corpus of this kind can be asked for it.
    pub fn fits(&self, kind: &CorpusKind) -> bool {
        (self.fits)(kind)
    }

    /// The corpus that one file of test items makes, with a file of demonstrations if there is one.
    pub fn one_off(&self, test: &Path, demonstrations: Option<&Path>) -> DataConfig {
        (self.one_off)(test, demonstrations)
    }

    /// The measures that score files hold, of so many answers to each item; the first is the usual one.
    pub fn measures(&self, samples: usize) -> Vec<Measure> {
        (self.measures)(samples)
    }

    /// The measure that curves show where no other is asked for.
    pub fn usual(&self, samples: usize) -> Measure {
        self.measures(samples).swap_remove(0)
    }

    /// The task as a run of this profile and direction has it, with what it asks beside that.
    ///
    /// # Errors
    /// A language whose answers cannot be scored, a profile or a measure that the task does not know.
    pub fn set_up(
        &self,
        profile: Profile,
        direction: Option<&Direction>,
        asked: &Asked,
    ) -> Result<Box<dyn Task>> {
        (self.set_up)(profile, direction, asked)
    }
}

impl PartialEq for TaskKind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for TaskKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Display for TaskKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

impl Serialize for TaskKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

/// What parts an answer from what a model writes around it.
pub struct Delimiters<'a> {
    /// The format of the prompts, with its strings before a question and before an answer.
    pub format: &'a Format,
    /// Strings that end an answer.
    pub stops: Vec<&'a str>,
}

/// What ends an answer of one line: the format's separator, or the next question.
fn line_stops(format: &Format) -> Vec<(String, Stop)> {
    // A separator is white space and is taken as it is; a question is recognised without the spaces around it.
    let string = |string: &String| match string.trim() {
        "" => string.clone(),
        trimmed => trimmed.to_string(),
    };
    let stops = [(&format.separator, Stop::Separator), (&format.question, Stop::Question)];
    let stops = stops.map(|(text, stop)| (string(text), stop));
    stops.into_iter().filter(|(string, _)| !string.is_empty()).collect()
}

/// 1 for a yes, 0 for a no: what an item adds to a share.
fn share(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

/// A task as a run has it: it knows the profile and the languages.
pub trait Task: Send + Sync + fmt::Debug {
    /// Which task it is.
    fn kind(&self) -> &'static TaskKind;

    /// The measure that curves show where no other is asked for.
    fn usual(&self, samples: usize) -> Measure {
        self.kind().usual(samples)
    }

    /// Make an example of the corpus one of this task: with the options and labels that the task names.
    fn ask(&self, _example: &mut Example) {}

    /// Refuse an item that cannot be asked.
    ///
    /// # Errors
    /// It has no options, or no right one.
    fn check(&self, _item: &Example) -> Result<()> {
        Ok(())
    }

    /// What the weighed options of an item add to the scores.
    ///
    /// # Errors
    /// This task weighs none.
    fn weighed(&self, _item: &Example, _options: &Options, _weighed: &Weighed) -> Result<Outcome> {
        bail!("the task {} weighs no options", self.kind())
    }

    /// The text of an answer that is compared with the item's reference; `None` where answers are not compared as texts.
    fn compared(&self, _clean: &str) -> Option<String> {
        None
    }

    /// What follows once more from an outcome that is stored, where that can be told without the text.
    fn judged_again(&self, _item: &Example, _outcome: &Outcome) -> Option<Outcome> {
        None
    }

    /// The strings that end an answer in the prompts of a format that names none itself, in profile `exact`.
    fn stops(&self, format: &Format) -> Vec<(String, Stop)>;

    /// The answer in the text that a model wrote.
    fn clean(&self, text: &str, delimiters: &Delimiters) -> String;

    /// What a clean answer to an item adds to the scores. It is [`Outcome::Pending`] where a [`trial`](Self::trial) must tell.
    fn judge(&self, item: &Example, clean: &str) -> Outcome;

    /// What is to be run to judge a clean answer; `None` where nothing is.
    ///
    /// # Errors
    /// The item has no tests.
    fn trial(&self, _item: &Example, _clean: &str) -> Result<Option<Trial>> {
        Ok(None)
    }

    /// The program that a clean answer makes, with its tests, as one text to read; `None` where answers are no programs.
    fn program(&self, _item: &Example, _clean: &str) -> Option<String> {
        None
    }

    /// Whether an outcome is of the kind that this task judges answers by.
    fn takes(&self, outcome: &Outcome) -> bool;

    /// The scores of a condition, from the outcomes of all items; the `samples` answers to an item follow each other. `runner` is
    /// what has run the programs, if there were any.
    ///
    /// # Errors
    /// An outcome is not of this task, or no answer could have it.
    fn scores(&self, samples: usize, outcomes: &[&Outcome], runner: Option<&Runner>) -> Result<Scores>;

    /// What each item adds to a measure; outcomes are as for [`scores`](Self::scores).
    ///
    /// # Errors
    /// An outcome is not of this task, or the measure cannot be had from so many answers.
    fn items(&self, measure: &Measure, samples: usize, outcomes: &[&Outcome]) -> Result<ItemStats>;

    /// Why answers of this run never have a measure of this task; `None` where they have it.
    fn lacks(&self, _: &Measure) -> Option<String> {
        None
    }

    /// What tables show beside a measure, with its name.
    fn beside(&self, scores: &Scores, measure: &Measure) -> (&'static str, String);

    /// Words of an item's reference, as the measures count them; `None` where they count no words.
    fn reference_words(&self, _item: &Example) -> Option<u64> {
        None
    }

    /// The scores as the study's files hold them.
    fn study_scores(&self, scores: &Scores) -> Value;
}
