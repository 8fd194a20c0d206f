//! Stdout and stderr that are closed, full, or lost: no computation ends for a log, and no reader is told that all is well when
//! it is not. What other people wrote reaches no terminal as an order and no spreadsheet as a formula. A call that is killed
//! leaves whole files.
#![cfg(unix)]

mod files;
mod hostile;
mod stderr;
mod stdout;

#[path = "../calls/mod.rs"]
mod calls;
#[path = "../tiny/mod.rs"]
mod tiny;
#[path = "../world/mod.rs"]
mod world;

use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use world::{World, ok};

/// What can become of a stream.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Lost {
    /// `2>&-`
    Closed,
    /// `2>/dev/full`
    Full,
    /// `2>&1 | true`
    DeadPipe,
    /// A terminal whose window was closed.
    Terminal,
}

const ALL: [Lost; 4] = [Lost::Closed, Lost::Full, Lost::DeadPipe, Lost::Terminal];

impl Lost {
    /// The other end, which is to be dropped when the program runs, and this one.
    fn stream(self) -> (Option<OwnedFd>, Stdio) {
        match self {
            // `command` closes it.
            Self::Closed => (None, Stdio::null()),
            Self::Full => (None, fs::File::options().write(true).open("/dev/full").unwrap().into()),
            Self::DeadPipe => {
                let (reader, writer) = std::io::pipe().unwrap();
                drop(reader);
                (None, writer.into())
            }
            Self::Terminal => {
                let [terminal, window] = terminal();
                (Some(window), terminal.into())
            }
        }
    }

    /// This command with its stream (1 or 2) lost.
    fn command(self, command: &Command, stream: usize) -> (Option<OwnedFd>, Command) {
        let mut lost = match self {
            Self::Closed => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("exec \"$0\" \"$@\" {stream}>&-")]).arg(command.get_program());
                shell
            }
            _ => Command::new(command.get_program()),
        };
        lost.args(command.get_args()).current_dir(command.get_current_dir().unwrap());
        lost.env("HF_HUB_OFFLINE", "1").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (window, end) = self.stream();
        match stream {
            1 => lost.stdout(end),
            _ => lost.stderr(end),
        };
        (window, lost)
    }

    fn start(self, command: &Command, stream: usize) -> Child {
        let (window, mut command) = self.command(command, stream);
        let child = command.spawn().unwrap();
        // Some while after it began, as windows are.
        if window.is_some() {
            std::thread::sleep(Duration::from_millis(20));
        }
        child
    }
}

/// A terminal and its window, which no other child gets to hold.
fn terminal() -> [OwnedFd; 2] {
    // SAFETY: no memory of ours is given away; what is returned is checked.
    let window = unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) };
    assert!(window >= 0);
    // SAFETY: it was just opened, and belongs to nobody else.
    let window = unsafe { OwnedFd::from_raw_fd(window) };
    let mut name = [0; 64];
    // SAFETY: the descriptor is open, and the name has the length that is said.
    let made = unsafe {
        let window = window.as_raw_fd();
        libc::grantpt(window)
            | libc::unlockpt(window)
            | libc::ptsname_r(window, name.as_mut_ptr(), name.len())
    };
    assert_eq!(made, 0);
    let name: Vec<u8> = name.iter().map(|&c| c.cast_unsigned()).take_while(|&c| c != 0).collect();
    let name = String::from_utf8(name).unwrap();
    let terminal =
        fs::File::options().read(true).write(true).custom_flags(libc::O_NOCTTY).open(name).unwrap();
    [terminal.into(), window]
}

fn verb(world: &World, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_icl-mask"));
    command.args(args).current_dir(world.path("")).env("HF_HUB_OFFLINE", "1");
    command
}

/// Exit code and stdout, as bytes.
fn outcome(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A world with results, and texts to score.
fn finished() -> World {
    let world = World::new();
    ok(world.run("--mask none,TTF --from-layer all --nprompts 3 --seed 1"));
    world.write("hyp.txt", "one\ntwo\n");
    world.write("ref.txt", "one\nthree\n");
    world
}

const RUN: &str = "run --model tiny --test test.tsv --demonstrations demonstrations.tsv --direction en-fr --format \
                   instr_machine_translation --max-new-tokens 8 --threads 1 --mask none,TTF --from-layer all --nprompts 3 --seed 1";

/// Calls that only print, or write files beside it, with their exit codes.
fn printing() -> Vec<(String, i32)> {
    let show = RUN.replace("run ", "show ").replace(" --threads 1", "");
    let mut calls: Vec<(String, i32)> = [
        "models",
        "models --json",
        "models tiny",
        "data list",
        "status results",
        "status results --json",
        "verify results",
        "verify results --json",
        "score results",
        "score --hyp hyp.txt --ref ref.txt",
        "score --hyp hyp.txt --ref ref.txt --json",
        "figure masks results --out figures",
        "figure masks results --out figures --json",
        "report results --out report.html",
        "export results --layout sia2024 --out study",
        "--help",
        "--version",
        "run --help",
        "figure masks -h",
        "completions bash",
        "completions zsh",
        "completions fish",
        "completions elvish",
        "completions powershell",
        RUN,
    ]
    .map(|call| (call.to_string(), 0))
    .to_vec();
    calls.extend([(show.clone(), 0), (format!("{show} --json"), 0), (format!("{RUN} --dry-run"), 0)]);
    calls.extend(["run --mask TXF", "no-such-verb", "", "status nowhere"].map(|call| (call.to_string(), 2)));
    calls
}

/// Of sweeps as of trainings, over all ways to lose stderr.
fn kills() -> usize {
    std::env::var("KILLS").map_or(12, |number| number.parse().expect("KILLS: a number"))
}
