//! The inside of a jail: a hidden verb of this program, run as a process of its own for each check.
//!
//! The process takes namespaces for those to come, becomes the parent of a *warden*, and waits. The warden starts the two
//! Pythons, watches their time, and writes a report to stdout.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use nix::fcntl::OFlag;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork, getppid, pipe2};
use serde::{Deserialize, Serialize};

use super::report::WardenReport;
use super::{Policy, ProgramLimits, Python};

mod cell;
mod namespaces;
mod rules;
mod syscalls;
mod warden;

/// The hidden verb.
pub const VERB: &str = "__jail";

/// What a jail is to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spec {
    /// Which layers must be there.
    pub policy: Policy,
    /// What each process may use.
    pub limits: ProgramLimits,
    /// What runs the programs.
    pub python: Python,
    /// Where a program gets its folder if there is no root of its own.
    pub folder: PathBuf,
    /// The process that starts the jail, and without which it is to end.
    pub parent: i32,
}

/// The layers found, and those that a system does not give.
#[derive(Debug, Default)]
pub struct SandboxLayers {
    /// Those that are there.
    pub there: Vec<String>,
    /// Those that are not, with the reason.
    pub missing: Vec<String>,
}

impl SandboxLayers {
    /// A layer that may be there or not, as the policy allows.
    ///
    /// # Errors
    /// It is not there, and must be.
    pub fn add(&mut self, policy: Policy, name: &str, made: Result<()>) -> Result<()> {
        match (made, policy) {
            (Ok(()), _) => self.there.push(name.into()),
            (Err(error), Policy::Required) => {
                return Err(error.context(format!("what it takes for {name} is missing")));
            }
            (Err(error), _) => self.missing.push(format!("{name} ({error:#})")),
        }
        Ok(())
    }
}

/// Run as a jail if the command line says so. Must come before any thread is started: a namespace is taken for the
/// process as a whole.
pub fn entry() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next().as_deref() != Some(OsStr::new(VERB)) {
        return None;
    }
    let spec = args.next().unwrap_or_default();
    let report = jail(&spec.to_string_lossy()).unwrap_or_else(|error| {
        Some(WardenReport { error: Some(format!("{error:#}")), ..WardenReport::default() })
    });
    match report.map(|report| write_report(&report)) {
        Some(Err(_)) => Some(ExitCode::FAILURE),
        _ => Some(ExitCode::SUCCESS),
    }
}

/// The report is of the warden, or of this process if it comes to none.
fn jail(spec: &str) -> Result<Option<WardenReport>> {
    // If whoever started this ends, so does this, and with it all that it has started.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    let spec: Spec = serde_json::from_str(spec).context("what the jail is to be cannot be read")?;
    ensure!(getppid().as_raw() == spec.parent, "whoever started the jail has gone");
    // Short of memory, the kernel takes these first. It may be out of reach, and is no layer of the sandbox.
    drop(std::fs::write("/proc/self/oom_score_adj", "1000"));
    let mut jobs = Vec::new();
    std::io::stdin().read_to_end(&mut jobs)?;
    let jobs = parted(&jobs)?;
    // Before there is a root without devices.
    let nothing = File::options().read(true).write(true).open("/dev/null").context("/dev/null")?;
    let mut layers = SandboxLayers::default();
    let room = namespaces::enter(&spec, &mut layers)?;
    let (below, above) = pipe2(OFlag::O_CLOEXEC)?;
    // SAFETY: this process has one thread.
    match unsafe { fork() }? {
        ForkResult::Child => {
            drop(above);
            let report = warden::watch(&spec, &room, layers, &nothing, &below, jobs);
            let report = report.unwrap_or_else(|error| WardenReport {
                error: Some(format!("{error:#}")),
                ..WardenReport::default()
            });
            let written = write_report(&report);
            std::process::exit(i32::from(written.is_err()));
        }
        ForkResult::Parent { child } => {
            waitpid(child, None)?;
            room.clear();
            Ok(None)
        }
    }
}

/// The program, and what the judge reads: a length before each part, in eight bytes from the lowest.
fn parted(jobs: &[u8]) -> Result<[&[u8]; 2]> {
    let whole = jobs.split_first_chunk::<8>().and_then(|(length, rest)| {
        let (program, judge) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        Some([program, judge])
    });
    whole.context("the job of the jail is cut off")
}

#[allow(clippy::disallowed_methods, reason = "here stdout is a pipe to the process that judges")]
fn write_report(report: &WardenReport) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, report)?;
    Ok(out.flush()?)
}
