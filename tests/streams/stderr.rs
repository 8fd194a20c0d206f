//! Calls whose stderr is lost: results, exit codes and stdout stay the same.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{ALL, Lost, finished, kills, outcome, printing, terminal, verb};
use crate::calls::{Call, SWEEP, TRAINING, assert_same, begun};
use crate::world::contents;
use icl_mask::base::random::uniform;

#[test]
fn a_lost_stderr_changes_no_result() {
    for (words, items) in [(SWEEP, 12), (TRAINING, 6)] {
        let call = Call::new(words, items);
        let (expected, _) = call.undisturbed();
        for lost in ALL {
            let output = lost.start(&call.command(), 2).wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{lost:?}");
            assert_same(&contents(&call.results()), &expected, &format!("{lost:?}"));
            fs::remove_dir_all(call.results()).unwrap();
        }
    }
}

/// No file that is opened becomes one of the standard streams.
#[test]
fn streams_that_are_closed_at_the_start_take_nothing_up() {
    let call = Call::new(SWEEP, 12);
    let (expected, _) = call.undisturbed();
    for closed in ["0<&-", "1>&-", "2>&-", "0<&- 1>&-", "1>&- 2>&-", "0<&- 1>&- 2>&-"] {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec \"$0\" \"$@\" --json {closed}"), env!("CARGO_BIN_EXE_icl-mask")]);
        shell.args(&call.words).current_dir(call.world.path("")).env("HF_HUB_OFFLINE", "1");
        let output = shell.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{closed}");
        let all = contents(&call.results()).into_iter();
        // The manifest holds the command line, of which --json is a part.
        let found: Vec<_> = all.map(|(path, text)| (path, text.replace(",\n    \"--json\"", ""))).collect();
        assert_same(&found, &expected, closed);
        fs::remove_dir_all(call.results()).unwrap();
    }
}

/// Kill a call whose stderr is lost again and again, until it comes to an end.
fn killed_without_stderr(call: &Call, lost: Lost, kills: usize, stream: u64) {
    let (expected, took) = call.undisturbed();
    let (mut killed, mut ended) = (0, 0);
    for number in 0.. {
        let mut child = lost.start(&call.command(), 2);
        std::thread::sleep(took.mul_f64(0.8 * uniform(stream, number)));
        let status = child.try_wait().unwrap();
        if killed >= kills {
            assert!(child.wait().unwrap().success());
        } else if status.is_none() {
            child.kill().unwrap();
            killed += usize::from(child.wait().unwrap().signal() == Some(9));
            continue;
        }
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{lost:?}");
        assert_same(&contents(&call.results()), &expected, &format!("{lost:?}, after {killed} kills"));
        ended += 1;
        fs::remove_dir_all(call.results()).unwrap();
        if killed >= kills {
            break;
        }
    }
    eprintln!(
        "stderr {lost:?}: {killed} kills of runs of {took:.2?}; {ended} came to an end, each as undisturbed"
    );
}

#[test]
fn sweeps_without_stderr_that_are_killed_come_out_the_same() {
    for (lost, stream) in ALL.into_iter().zip(11..) {
        killed_without_stderr(&Call::new(SWEEP, 12), lost, kills().div_ceil(ALL.len()), stream);
    }
}

#[test]
fn trainings_without_stderr_that_are_killed_come_out_the_same() {
    for (lost, stream) in ALL.into_iter().zip(21..) {
        killed_without_stderr(&Call::new(TRAINING, 6), lost, kills().div_ceil(ALL.len()), stream);
    }
}

/// Whatever becomes of stderr, the exit code and stdout are the same.
#[test]
fn no_verb_minds_a_lost_stderr() {
    let world = finished();
    for (call, code) in printing() {
        let words: Vec<&str> = call.split_whitespace().collect();
        let expected = outcome(&verb(&world, &words).output().unwrap());
        assert_eq!(expected.0, Some(code), "{call}");
        for lost in ALL {
            let found = outcome(&lost.start(&verb(&world, &words), 2).wait_with_output().unwrap());
            assert_eq!(found, expected, "{call}, {lost:?}");
        }
    }
}

/// `nohup` starts a program that is to outlive its terminal.
#[test]
fn what_ignores_the_loss_of_its_terminal_goes_on() {
    let call = Call::new(SWEEP, 40);
    let (expected, _) = call.undisturbed();
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_icl-mask")]).args(&call.words);
    shell.current_dir(call.world.path("")).env("HF_HUB_OFFLINE", "1").stderr(Stdio::null());
    let mut child = shell.spawn().unwrap();
    begun(&call);
    for _ in 0..2 {
        assert!(Command::new("kill").args(["-HUP", &child.id().to_string()]).status().unwrap().success());
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_same(&contents(&call.results()), &expected, "");
}

/// A log that takes nothing more and is not lost either: what waits for it can still be ended.
#[test]
fn what_waits_for_its_stderr_can_be_interrupted() {
    let call = Call::new(SWEEP, 12);
    let (reader, mut writer) = std::io::pipe().unwrap();
    let descriptor = writer.as_raw_fd();
    // SAFETY: a flag of a pipe that was just made, and is open below.
    let set = |flags: libc::c_int| unsafe { libc::fcntl(descriptor, libc::F_SETFL, flags) };
    assert_eq!(set(libc::O_NONBLOCK), 0);
    while writer.write(&[b'.'; 4096]).is_ok() {}
    assert_eq!(set(0), 0);
    let mut command = call.command();
    let mut child = command.stderr(writer).spawn().unwrap();
    drop(command);
    // It waits when it says that it loads the model, or soon after.
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none());
    for _ in 0..2 {
        assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
        std::thread::sleep(Duration::from_millis(400));
    }
    assert_eq!(child.try_wait().unwrap().and_then(|status| status.code()), Some(130));
    drop(reader);
}

/// What is written while a terminal goes away in the middle of a bar.
#[test]
fn a_window_that_is_closed_while_a_bar_is_shown_ends_nothing() {
    let call = Call::new(SWEEP, 40);
    let (expected, _) = call.undisturbed();
    let [terminal, window] = terminal();
    let mut command = call.command();
    let mut child = command.stderr(terminal).spawn().unwrap();
    drop(command);
    let (mut window, mut shown) = (fs::File::from(window), Vec::new());
    while !String::from_utf8_lossy(&shown).contains("/520, ") {
        let mut some = [0; 256];
        let n = window.read(&mut some).unwrap();
        shown.extend(&some[..n]);
    }
    assert!(child.try_wait().unwrap().is_none());
    drop(window);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_same(&contents(&call.results()), &expected, "");
}
