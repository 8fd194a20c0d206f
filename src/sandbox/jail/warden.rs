//! The first process of a jail: starts the two Pythons, watches their time, reports how they ended.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::unistd::{ForkResult, Pid, fork, getpid, pipe2};
use serde::{Deserialize, Serialize};

use super::cell::{Cell, JUDGE, PROGRAM};
use super::namespaces::{Room, become_nobody};
use super::{SandboxLayers, Spec};
use crate::sandbox::report::{Cut, End, WardenReport};

/// How often time is looked at.
const TICK: Duration = Duration::from_millis(20);

/// How long a program may take to end once its judge is done.
const GRACE: Duration = Duration::from_millis(100);

/// Processor seconds that count as getting on.
const PROGRESS: f64 = 0.005;

/// Run the program and its judge, to the report.
pub fn watch(
    spec: &Spec,
    room: &Room,
    mut layers: SandboxLayers,
    nothing: &File,
    above: &OwnedFd,
    jobs: [&[u8]; 2],
) -> Result<WardenReport> {
    if room.drop_root {
        layers.there.push(give_up_root()?.into());
    }
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    ensure!(!gone(above)?, "what started the warden has gone");
    // An end of a child waits until it is looked for.
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGCHLD);
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&ends), None)?;
    let (asked, request) = pipe2(OFlag::O_CLOEXEC)?;
    let (answered, answer) = pipe2(OFlag::O_CLOEXEC)?;
    let [program, test] = [memory(jobs[0])?, memory(jobs[1])?];
    let mut verdict = memory(&[])?;
    let nothing = nothing.as_fd();
    let mut both = [
        Watched::start(
            spec,
            &Cell {
                script: PROGRAM,
                folder: Some(&room.folder),
                files: vec![program.as_fd(), nothing, nothing, asked.as_fd(), answer.as_fd()],
            },
        )?,
        Watched::start(
            spec,
            &Cell {
                script: JUDGE,
                folder: None,
                files: vec![
                    test.as_fd(),
                    nothing,
                    nothing,
                    answered.as_fd(),
                    request.as_fd(),
                    verdict.as_fd(),
                ],
            },
        )?,
    ];
    // Only the two hold the ends of their pipes, so that each notices when the other has gone.
    drop((asked, request, answered, answer));
    let cut = attend(spec, &mut both)?;
    let [program, judge] = both;
    let note = judge.note()?;
    layers.there.extend(note.there);
    layers.missing.extend(note.missing);
    let error = program.note()?.error.or(note.error);
    let mut said = Vec::new();
    verdict.rewind()?;
    verdict.read_to_end(&mut said)?;
    Ok(WardenReport {
        layers: layers.there,
        missing: layers.missing,
        error,
        verdict: String::from_utf8_lossy(&said).into_owned(),
        program: program.end.unwrap_or_default(),
        judge: judge.end.unwrap_or_default(),
        cut,
    })
}

/// Go on as nobody, in a user namespace where there can be one. Returns the layer of the sandbox that this is.
fn give_up_root() -> Result<&'static str> {
    become_nobody().context("root's rights cannot be given up")?;
    Ok(match unshare(CloneFlags::CLONE_NEWUSER).is_ok() {
        true => "a user without rights in a user namespace",
        false => "a user without rights",
    })
}

/// Whether the process that holds the other end of this pipe has ended. The kernel's word to the same effect
/// (`PR_SET_PDEATHSIG`) is not given for an end that came before it was asked for.
fn gone(above: &OwnedFd) -> Result<bool> {
    let mut polled = [PollFd::new(above.as_fd(), PollFlags::POLLIN)];
    poll(&mut polled, PollTimeout::ZERO)?;
    Ok(polled[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP)))
}

/// Wait for both to end, and end what goes on for too long.
fn attend(spec: &Spec, both: &mut [Watched; 2]) -> Result<Option<Cut>> {
    let begun = Instant::now();
    let (mut last, mut last_progress) = (0., begun);
    let mut over: Option<Instant> = None;
    let mut cut = None;
    loop {
        both.iter_mut().try_for_each(Watched::reap)?;
        let [program, judge] = &*both;
        if program.end.is_some() && judge.end.is_some() {
            return Ok(cut);
        }
        let now = Instant::now();
        if judge.end.is_some() && over.is_none() {
            over = Some(now);
        }
        let spent = program.cpu() + judge.cpu();
        if spent >= last + PROGRESS {
            (last, last_progress) = (spent, now);
        }
        let reason = match over {
            Some(since) => (now - since > GRACE).then_some(Cut::Over),
            None if now - begun > spec.limits.wall() => Some(Cut::Late),
            None => (now - last_progress > spec.limits.idle()).then_some(Cut::Asleep),
        };
        if reason.is_some() {
            cut = cut.or(reason);
            both.iter().for_each(Watched::kill);
        }
        wait_for_a_child();
    }
}

/// Until a child ends, or for a tick.
fn wait_for_a_child() {
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGCHLD);
    let tick = libc::timespec { tv_sec: 0, tv_nsec: TICK.as_nanos() as libc::c_long };
    // SAFETY: all three point to what lives here, or to nothing.
    unsafe { libc::sigtimedwait(ends.as_ref(), std::ptr::null_mut(), &raw const tick) };
}

/// What a Python has to say on its way to the exec.
#[derive(Default, Serialize, Deserialize)]
struct Note {
    there: Vec<String>,
    missing: Vec<String>,
    error: Option<String>,
}

impl Note {
    /// In place of what was written before; whether that worked.
    fn write(&self, file: &mut File) -> bool {
        let Ok(text) = serde_json::to_vec(self) else { return false };
        file.rewind().and_then(|()| file.set_len(0)).and_then(|()| file.write_all(&text)).is_ok()
    }
}

/// One of the two processes.
struct Watched {
    pid: Pid,
    end: Option<End>,
    note: File,
}

impl Watched {
    fn start(spec: &Spec, cell: &Cell) -> Result<Self> {
        let (mut note, warden) = (memory(&[])?, getpid());
        // SAFETY: this process has one thread.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(Self { pid: child, end: None, note }),
            ForkResult::Child => {
                let mut layers = SandboxLayers::default();
                let ready = cell.prepare(spec, warden, &mut layers);
                let SandboxLayers { there, missing } = layers;
                let error = ready.as_ref().err().map(|error| format!("{error:#}"));
                let mut told = Note { there, missing, error };
                if let (Ok(ready), true) = (ready, told.write(&mut note)) {
                    told.error = Some(format!("Python cannot be started: {}", ready.exec().desc()));
                    told.write(&mut note);
                }
                std::process::exit(127);
            }
        }
    }

    /// Take note of its end, if it has ended.
    fn reap(&mut self) -> Result<()> {
        if self.end.is_some() {
            return Ok(());
        }
        let mut status = 0;
        // SAFETY: a struct of numbers.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: both point to what lives here. Not nix's `waitpid`, which tells no usage.
        let ended = unsafe { libc::wait4(self.pid.as_raw(), &raw mut status, libc::WNOHANG, &raw mut usage) };
        match ended {
            0 => Ok(()),
            pid if pid == self.pid.as_raw() => {
                let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
                self.end = Some(End {
                    code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
                    signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
                    cpu: seconds(usage.ru_utime) + seconds(usage.ru_stime),
                    peak: usage.ru_maxrss as u64 * 1024,
                });
                Ok(())
            }
            _ => bail!("waiting for a Python: {}", Errno::last().desc()),
        }
    }

    /// Processor seconds so far.
    fn cpu(&self) -> f64 {
        if let Some(end) = &self.end {
            return end.cpu;
        }
        let (mut clock, mut time) = (0, libc::timespec { tv_sec: 0, tv_nsec: 0 });
        // SAFETY: both point to what lives here; the process is not reaped, so its number is still its own.
        let told = unsafe {
            libc::clock_getcpuclockid(self.pid.as_raw(), &raw mut clock) == 0
                && libc::clock_gettime(clock, &raw mut time) == 0
        };
        if told { time.tv_sec as f64 + time.tv_nsec as f64 / 1e9 } else { 0. }
    }

    fn kill(&self) {
        if self.end.is_none() {
            // It may have ended just now.
            let _ = kill(self.pid, Signal::SIGKILL);
        }
    }

    /// What it had to say.
    fn note(&self) -> Result<Note> {
        let (mut text, mut file) = (Vec::new(), &self.note);
        file.rewind()?;
        file.read_to_end(&mut text)?;
        // Killed before it came to that.
        if text.is_empty() { Ok(Note::default()) } else { Ok(serde_json::from_slice(&text)?) }
    }
}

/// A file of memory that holds this, to be read from its beginning.
fn memory(content: &[u8]) -> Result<File> {
    let mut file = File::from(memfd_create(c"job", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file)
}
