//! One of the two Pythons, from the fork to the exec.

use std::ffi::{CString, c_char};
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, chdir, getpid, getppid, setsid};

use super::syscalls::Filters;
use super::{SandboxLayers, Spec, rules};
use crate::sandbox::Policy;
use crate::sandbox::python::{ENVIRONMENT, FLAGS};

/// What a program may write to a file, in bytes; its folder holds no more.
const FILE: u64 = 16 << 20;

/// The scripts, each with the common part before it.
pub const PROGRAM: &str =
    concat!(include_str!("../harness/wire.py"), "\n", include_str!("../harness/program.py"));
pub const JUDGE: &str =
    concat!(include_str!("../harness/wire.py"), "\n", include_str!("../harness/judge.py"));

/// Which of the two: its script, and what stands at descriptors 0, 1, 2, ... of it. Nothing else is open in it.
pub struct Cell<'a> {
    pub script: &'static str,
    /// Where it may write; the judge has no such place, and none that a program can reach.
    pub folder: Option<&'a Path>,
    pub files: Vec<BorrowedFd<'a>>,
}

/// All that is left is the exec.
pub struct Ready {
    path: CString,
    args: Vec<CString>,
    environment: Vec<CString>,
}

impl Ready {
    /// Become Python. Comes back only if that fails.
    pub fn exec(&self) -> Errno {
        let pointers = |strings: &[CString]| -> Vec<*const c_char> {
            strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
        };
        let (args, environment) = (pointers(&self.args), pointers(&self.environment));
        // SAFETY: both lists end with a null, and what they point to is alive. Not nix's `execve`: the filter knows the
        // path by this pointer.
        unsafe { libc::execve(self.path.as_ptr(), args.as_ptr(), environment.as_ptr()) };
        Errno::last()
    }
}

impl Cell<'_> {
    /// Give up everything that a Python is not to have.
    pub fn prepare(&self, spec: &Spec, warden: Pid, layers: &mut SandboxLayers) -> Result<Ready> {
        // If the warden ends, so does this; also if it has ended already.
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        ensure!(getppid() == warden, "the warden has gone");
        setsid()?;
        chdir(self.folder.unwrap_or(Path::new("/"))).context("its folder cannot be entered")?;
        self.place_files()?;
        // Where objects lie in memory is the same on every run; a system that forbids this runs it all the same.
        // SAFETY: takes and returns a number.
        unsafe { libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong) };
        limit(spec)?;
        prctl::set_no_new_privs()?;
        let path = CString::new(spec.python.executable.as_os_str().as_bytes())?;
        let text = |part: &str| CString::new(part);
        let mut args = vec![path.clone()];
        args.extend(
            FLAGS.iter().chain(&["-c", self.script]).map(|&arg| text(arg)).collect::<Result<Vec<_>, _>>()?,
        );
        let environment: Vec<CString> = ENVIRONMENT
            .iter()
            .map(|(key, value)| text(&format!("{key}={value}")))
            .collect::<Result<_, _>>()?;
        if spec.policy != Policy::Off {
            layers.add(spec.policy, "landlock", rules::restrict(spec, self.folder))?;
            let filters = Filters::new(getpid().as_raw(), path.as_ptr());
            layers.add(spec.policy, "seccomp", filters.and_then(|filters| filters.apply()))?;
        }
        Ok(Ready { path, args, environment })
    }

    fn place_files(&self) -> Result<()> {
        // First out of the way, so that none is closed before it is copied.
        let high = |file: &BorrowedFd| -> Result<RawFd> {
            Ok(nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_DUPFD_CLOEXEC(64))?)
        };
        let high: Vec<RawFd> = self.files.iter().map(high).collect::<Result<_>>()?;
        for (to, from) in high.iter().enumerate() {
            // SAFETY: plain numbers; what stood at `to` was copied above.
            if unsafe { libc::dup2(*from, to as RawFd) } < 0 {
                bail!("descriptor {to}: {}", Errno::last().desc());
            }
        }
        // SAFETY: plain numbers; what this process is not to have closes with the exec.
        let closed =
            unsafe { libc::syscall(libc::SYS_close_range, high.len(), u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        if closed != 0 {
            bail!("closing descriptors: {}", Errno::last().desc());
        }
        Ok(())
    }
}

fn limit(spec: &Spec) -> Result<()> {
    let cpu = spec.limits.cpu_seconds;
    for (what, soft, hard) in [
        (Resource::RLIMIT_CPU, cpu, cpu + 1),
        (Resource::RLIMIT_AS, spec.limits.memory, spec.limits.memory),
        (Resource::RLIMIT_FSIZE, FILE, FILE),
        (Resource::RLIMIT_NOFILE, 64, 64),
        (Resource::RLIMIT_NPROC, 1, 1),
        (Resource::RLIMIT_CORE, 0, 0),
        (Resource::RLIMIT_MEMLOCK, 0, 0),
        (Resource::RLIMIT_MSGQUEUE, 0, 0),
    ] {
        setrlimit(what, soft, hard).with_context(|| format!("{what:?}"))?;
    }
    Ok(())
}
