//! The scores of a condition, as score files hold them: each measure under its name, with its interval, then what else its task
//! notes.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ItemStats, Measure};
use crate::base::error::input;
use crate::score::{Bleu, Bootstrap, Interval};

/// The scores of a condition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scores(Map<String, Value>);

/// What ran the programs. Verdicts of different ones are not strictly comparable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runner {
    /// Version of Python.
    pub python: String,
    /// Processor seconds of a program.
    pub time_limit: u64,
    /// Bytes of address space of a program.
    pub memory_limit: u64,
    /// Layers of the sandbox.
    pub sandbox: String,
}

/// The field that says what ran the programs.
const RUNNER: &str = "runner";

impl Scores {
    /// The fields that a value is written as, in their order.
    pub(super) fn written(fields: &impl Serialize) -> Result<Self> {
        Ok(Self(serde_json::from_value(serde_json::to_value(fields)?)?))
    }

    /// The value of a measure; `None` where it is not here.
    pub fn value(&self, measure: &Measure) -> Option<f64> {
        self.at(measure, "")?.as_f64()
    }

    /// The 95 % interval of a measure; `None` where none is here.
    pub fn interval(&self, measure: &Measure) -> Option<[f64; 2]> {
        serde_json::from_value(self.at(measure, "_interval")?.clone()).ok()
    }

    fn at(&self, measure: &Measure, suffix: &str) -> Option<&Value> {
        match &measure.nested {
            None => self.0.get(&format!("{}{suffix}", measure.key)),
            Some([outer, inner]) => self.0.get(&format!("{outer}{suffix}"))?.get(inner),
        }
    }

    /// Add a measure that is none of the task's, with its interval, and with the signature of sacreBLEU where it has one.
    pub fn add(&mut self, items: &ItemStats) {
        let interval = Bootstrap::default().interval(items.len(), |drawn| items.score(drawn.iter().copied()));
        let key = items.measure().key.clone();
        self.0.insert(key.clone(), items.score(0..items.len()).into());
        self.0.insert(format!("{key}_interval"), ends(interval).map(|ends| ends.to_vec()).into());
        if let Some(pieces) = items.measure().pieces_name() {
            self.0.insert(format!("{key}_signature"), Bleu::default().signature_with(pieces).into());
        }
    }

    /// A field of these scores that is no measure.
    pub(super) fn field(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// What ran the programs, if some were run.
    ///
    /// # Errors
    /// It is not readable.
    pub fn runner(&self) -> Result<Option<Runner>> {
        let runner = |value: &Value| serde_json::from_value(value.clone());
        let read = self.0.get(RUNNER).map(runner).transpose();
        read.map_err(|error| input(format!("`{RUNNER}` cannot be read ({error})")))
    }

    /// These scores as if the same had run the programs as those of others: its limits follow the machine.
    pub fn run_as(&self, other: &Self) -> Self {
        let mut same = self.clone();
        if let (Some(ours), Some(theirs)) = (same.0.get_mut(RUNNER), other.0.get(RUNNER)) {
            *ours = theirs.clone();
        }
        same
    }

    /// Whether stored scores say what these do. What else is stored beside them does not matter.
    pub fn are_in(&self, stored: &Self) -> bool {
        self.0.iter().all(|(name, value)| stored.0.get(name) == Some(value))
    }
}

/// An interval as score files write it.
pub(super) fn ends(interval: Option<Interval>) -> Option<[f64; 2]> {
    interval.map(|interval| [interval.low, interval.high])
}

/// An answer has no outcome of the kind that is scored, or one that cannot be.
pub(super) const IMPOSSIBLE: &str = "a stored generation has the wrong kind of score, or one that no text can have; was it written by another version?";
