//! Untrusted programs -> verdicts. Programs that a language model has written are run here, and nothing happens to the
//! machine; nor can a program talk its way to a verdict.
//!
//! A check takes two Python processes. One runs the program and knows nothing of the tests. The other, the judge, holds
//! the tests and asks the first for values over a pipe; what comes back is plain data, decoded by hand
//! (`harness/wire.py`). So "passed" is said by a process in which no line of the program ever runs: printing, exiting,
//! patching `check` or `abs`, objects that equal everything, or writing to every descriptor only make wrong answers.
//!
//! ```text
//! icl-mask ── job ──> icl-mask __jail ── fork, namespaces ──> warden (pid 1) ──┬─> program   no tests
//!          <─ report ─                                                         └─> judge     no line of the program
//! ```
//!
//! Both are jailed alike (`jail/`): namespaces of their own with a root that holds Python alone, landlock, seccomp,
//! limits, no environment; the warden kills what outstays its time and reports how each ended.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod host;
#[cfg(target_os = "linux")]
pub mod jail;
mod pool;
mod python;
mod report;
mod verdict;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::Sandbox;
#[cfg(target_os = "linux")]
pub use host::Sandbox;
pub use pool::Pool;
pub use python::Python;
pub use verdict::{Judged, Verdict};

/// How much of the sandbox must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// All layers, or nothing is run.
    Required,
    /// The layers that the system offers.
    BestEffort,
    /// None but time and memory limits.
    Off,
}

/// What a program may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramLimits {
    /// Processor time, in whole seconds.
    pub cpu_seconds: u64,
    /// Address space, in bytes.
    pub memory: u64,
}

impl ProgramLimits {
    /// Without progress for so long, a program is asleep. Progress, not the clock: on a machine under load a program
    /// that waits for its turn still gets some.
    pub fn idle(self) -> Duration {
        Duration::from_secs(self.cpu_seconds + 1)
    }

    /// Longer than this nothing goes on, whatever it does.
    pub fn wall(self) -> Duration {
        Duration::from_secs(10 * self.cpu_seconds + 10)
    }
}

/// One program with its tests.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Trial {
    /// The whole program, as run.
    pub program: String,
    /// What the tests may use besides the program: definitions that come with the problem.
    pub setup: Arc<str>,
    /// The tests: code that raises where the program is wrong.
    pub test: Arc<str>,
    /// The function that is handed to the tests' `check`; without one, the tests call by name what they need.
    pub entry_point: Option<Arc<str>>,
    /// Names that the tests must get from the program even where Python has one like it, apart by spaces.
    pub asked: Arc<str>,
}
