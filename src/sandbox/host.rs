//! The outside of a jail: starts one for each check and reads its report.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::jail::{Spec, VERB};
use super::report::WardenReport;
use super::{Judged, Policy, ProgramLimits, Python, Trial};
use crate::base::error::input;
use crate::base::interrupt::{Interrupted, check_interrupted};

/// How much longer than its own limit a jail may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs programs against their tests.
#[derive(Debug)]
pub struct Sandbox {
    spec: Spec,
    level: String,
}

impl Sandbox {
    /// A sandbox in which a first program has run.
    ///
    /// # Errors
    /// A layer is missing and the policy wants all of them, named with what to do; or nothing can be run at all.
    pub fn new(policy: Policy, python: Python, limits: ProgramLimits) -> Result<Self> {
        let parent = std::process::id() as i32;
        let spec = Spec { policy, limits, python, folder: std::env::temp_dir(), parent };
        let mut sandbox = Self { spec, level: String::new() };
        let first = Trial {
            program: "def answer():\n    return 42\n".into(),
            setup: "".into(),
            test: "def check(candidate):\n    assert candidate() == 42\n".into(),
            entry_point: Some("answer".into()),
            asked: "".into(),
        };
        let report = sandbox.report(&first)?;
        if let Some(error) = &report.error {
            return Err(input(format!(
                "--sandbox: programs cannot be run safely here: {error}; write --sandbox best-effort to go without what \
                 is missing, or --sandbox off to run them with limits of time and memory only"
            )));
        }
        let judged = report.judged(limits)?;
        if judged.verdict != super::Verdict::Passed {
            bail!(
                "the sandbox does not work: a right answer was judged {} ({})",
                judged.verdict,
                judged.reason
            );
        }
        sandbox.level = report.level();
        Ok(sandbox)
    }

    /// Run a program against its tests.
    ///
    /// # Errors
    /// The jail itself failed.
    pub fn judge(&self, trial: &Trial) -> Result<Judged> {
        self.timed(trial).map(|(judged, _)| judged)
    }

    /// The verdict, and the processor seconds that the program took.
    ///
    /// # Errors
    /// The jail itself failed.
    pub fn timed(&self, trial: &Trial) -> Result<(Judged, f64)> {
        let begun = Instant::now();
        let report = self.report(trial)?;
        let judged = report.judged(self.spec.limits)?;
        Ok((Judged { seconds: begun.elapsed().as_secs_f64(), ..judged }, report.program.cpu))
    }

    /// The same with other limits.
    pub fn with_limits(mut self, limits: ProgramLimits) -> Self {
        self.spec.limits = limits;
        self
    }

    /// What a program may use.
    pub fn limits(&self) -> ProgramLimits {
        self.spec.limits
    }

    /// The layers that are there, in a line.
    pub fn level(&self) -> &str {
        &self.level
    }

    /// Version of the Python that runs the programs.
    pub fn python(&self) -> &str {
        &self.spec.python.version
    }

    fn report(&self, trial: &Trial) -> Result<WardenReport> {
        // An out-of-memory killer, or a machine that slept, may end a jail that had nothing to do with it.
        match self.attempt(trial) {
            Err(error) if !error.is::<Interrupted>() => self.attempt(trial),
            Ok(WardenReport { error: Some(_), .. }) => self.attempt(trial),
            done => done,
        }
    }

    fn attempt(&self, trial: &Trial) -> Result<WardenReport> {
        let mut child = Command::new("/proc/self/exe")
            .arg(VERB)
            .arg(serde_json::to_string(&self.spec)?)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C is for this program, which ends its jails itself.
            .process_group(0)
            .spawn()
            .context("a jail cannot be started")?;
        let written = child.stdin.take().map(|mut stdin| stdin.write_all(&job(trial)));
        let text = patiently(&mut child, self.spec.limits.wall() + PATIENCE)?;
        written.transpose().context("a jail did not take its job")?;
        serde_json::from_slice(&text).context("a jail ended without a report")
    }
}

/// All that a child writes, or an error if it takes too long or the user asks to stop; it is ended in either case.
fn patiently(child: &mut Child, wait: Duration) -> Result<Vec<u8>> {
    let mut stdout = child.stdout.take().context("a jail has no stdout")?;
    let (sender, receiver) = mpsc::channel();
    // Ends when the child does: at the latest when it is killed below.
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let read = stdout.read_to_end(&mut text).map(|_| text);
        drop(sender.send(read));
    });
    let begun = Instant::now();
    let read = loop {
        match receiver.recv_timeout(Duration::from_millis(100)) {
            Ok(read) => break read.context("a jail cannot be read"),
            Err(_) if begun.elapsed() > wait => break Err(anyhow!("a jail went on for too long")),
            Err(_) => {
                if let Err(interrupted) = check_interrupted() {
                    break Err(interrupted);
                }
            }
        }
    };
    if read.is_err() {
        child.kill()?;
    }
    child.wait()?;
    read
}

/// The program, then what the judge reads: each with its length before it.
fn job(trial: &Trial) -> Vec<u8> {
    let mut all = Vec::new();
    let mut add = |part: &str| {
        all.extend((part.len() as u64).to_le_bytes());
        all.extend(part.as_bytes());
    };
    add(&trial.program);
    add(&trial.setup);
    add(&trial.test);
    add(trial.entry_point.as_deref().unwrap_or_default());
    add(&trial.asked);
    all
}
