//! What runs programs, made ready: the sandbox found whole, the reference solutions run in it, the time limit set.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::{Result, bail};
use rayon::prelude::*;

use crate::base::console::note;
use crate::base::error::input;
use crate::config::Running;
use crate::data::Example;
use crate::sandbox::{Pool, ProgramLimits, Python, Sandbox, Trial, Verdict};
use crate::score::Assembly;
use crate::tasks::Runner;

/// Address space of a program.
const MEMORY: u64 = 512 << 20;

/// Processor seconds that every program gets.
const LEAST_SECONDS: u64 = 3;

/// How many times the slowest reference solution's time a program gets, if that is more.
const GENEROSITY: f64 = 10.;

/// Processor seconds of a reference solution while the limit is not known.
const PROVISIONAL_SECONDS: u64 = 60;

/// The sandbox, with limits that fit the problems.
pub struct Checker {
    sandbox: Arc<Sandbox>,
}

impl Checker {
    /// Find Python and the sandbox's layers, then run the reference solutions of these items: all must pass, and the
    /// slowest sets the time limit unless one is given.
    ///
    /// # Errors
    /// A layer is missing, or a reference solution does not pass: its tests would judge no other program rightly.
    pub fn new<'a>(running: &Running, items: impl Iterator<Item = &'a Example>) -> Result<Self> {
        let python = Python::find(&running.python)?;
        let seconds = running.time_limit.unwrap_or(PROVISIONAL_SECONDS);
        let limits = |cpu_seconds| ProgramLimits { cpu_seconds, memory: MEMORY };
        let sandbox = Sandbox::new(running.sandbox, python, limits(seconds))?;
        note(format!("programs run with Python {}; sandbox: {}", sandbox.python(), sandbox.level()));
        let mut seen = HashSet::new();
        let trials: Vec<(&str, Trial)> = items
            .filter_map(|item| {
                let trial = Assembly::AfterPrompt.trial(item.problem.as_ref()?, &item.target);
                Some((item.id.as_str(), trial))
            })
            .filter(|(_, trial)| seen.insert(trial.clone()))
            .collect();
        let slowest = slowest(&sandbox, &trials)?;
        let seconds = running.time_limit.unwrap_or(LEAST_SECONDS.max((GENEROSITY * slowest).ceil() as u64));
        note(format!(
            "{} reference solutions pass, the slowest in {slowest:.2} s of processor time; a program gets {seconds} s",
            trials.len()
        ));
        Ok(Self { sandbox: Arc::new(sandbox.with_limits(limits(seconds))) })
    }

    /// What the results say of it.
    pub fn runner(&self) -> Runner {
        let ProgramLimits { cpu_seconds, memory } = self.sandbox.limits();
        Runner {
            python: self.sandbox.python().into(),
            time_limit: cpu_seconds,
            memory_limit: memory,
            sandbox: self.sandbox.level().into(),
        }
    }

    /// Threads that judge programs: each waits for a process most of the time.
    pub fn pool(&self) -> Pool {
        Pool::new(self.sandbox.clone(), rayon::current_num_threads())
    }
}

/// Processor seconds of the slowest; all must pass.
fn slowest(sandbox: &Sandbox, trials: &[(&str, Trial)]) -> Result<f64> {
    let timed: Vec<_> = trials.par_iter().map(|(_, trial)| sandbox.timed(trial)).collect();
    let (mut most, mut wrong) = (0f64, Vec::new());
    for ((id, _), timed) in trials.iter().zip(timed) {
        crate::base::interrupt::check_interrupted()?;
        let (judged, seconds) = timed?;
        most = most.max(seconds);
        if judged.verdict != Verdict::Passed {
            wrong.push(format!("{id} ({}: {})", judged.verdict, judged.reason));
        }
    }
    if wrong.is_empty() {
        return Ok(most);
    }
    if wrong.len() == trials.len() {
        bail!("no reference solution passes its own tests: {}", wrong[0]);
    }
    let shown: Vec<&str> = wrong.iter().take(5).map(String::as_str).collect();
    Err(input(format!(
        "{} of {} reference solutions do not pass their own tests: {}{}; correct the problems, or give another Python with \
         --python",
        wrong.len(),
        trials.len(),
        shown.join(", "),
        if wrong.len() > shown.len() { ", ..." } else { "" },
    )))
}
