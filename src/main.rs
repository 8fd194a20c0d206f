//! Parse, dispatch, exit code.
#![deny(clippy::print_stdout, clippy::print_stderr, clippy::dbg_macro)]

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use icl_mask::base::allowance::Counting;
use icl_mask::base::console::{Abandoned, Unheard, note, unheard};
use icl_mask::base::error::is_wrong_input;
use icl_mask::base::interrupt::{INTERRUPTED, Interrupted};
use icl_mask::cli::Verb;
use icl_mask::help::typed;
use icl_mask::model::NotFinite;
use icl_mask::verbs;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    if let Some(code) = icl_mask::sandbox::jail::entry() {
        return code;
    }
    let verb = match typed() {
        Ok(cli) => cli.verb,
        Err(said) => return told_by_clap(&said),
    };
    listen_to_signals();
    let done = match verb {
        Verb::Run(args) => verbs::run(args),
        Verb::Lora(args) => verbs::lora(*args),
        Verb::Score(args) => verbs::score(args),
        Verb::Submit(args) => verbs::submit(&args),
        Verb::Status(args) => verbs::status(&args),
        Verb::Verify(args) => verbs::verify(&args),
        Verb::Show(args) => verbs::show(args),
        Verb::Figure(args) => verbs::figure(args),
        Verb::Report(args) => verbs::report(args),
        Verb::Export(args) => verbs::export(args),
        Verb::Models(args) => verbs::models(args),
        Verb::Data(args) => verbs::data(args),
        Verb::Completions { shell } => verbs::completions(shell),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error),
    }
}

/// A help text, or what is wrong with the command line.
fn told_by_clap(said: &clap::Error) -> ExitCode {
    if said.use_stderr() {
        // Words of the command line are quoted: without colours, for escapes in them are shown and not obeyed.
        note(said.render().to_string().trim_end());
        return ExitCode::from(2);
    }
    match said.print() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&unheard(error).into()),
    }
}

fn listen_to_signals() {
    #[cfg(target_os = "linux")]
    let ignored = hangup::is_ignored();
    if let Err(error) = ctrlc::set_handler(interrupt) {
        note(format!("warning: Ctrl-C will end the program at once ({error})"));
    }
    #[cfg(target_os = "linux")]
    if ignored {
        hangup::ignore();
    }
}

/// `nohup` starts a program with `SIGHUP` ignored, so that it outlives its terminal; the handler of `ctrlc` would undo it.
#[cfg(target_os = "linux")]
mod hangup {
    use nix::sys::signal::{SigHandler, Signal, signal};

    pub fn is_ignored() -> bool {
        let (mut action, nothing) = (std::mem::MaybeUninit::<libc::sigaction>::zeroed(), std::ptr::null());
        // SAFETY: a null new action only asks; the old one is written where we say.
        let asked = unsafe { libc::sigaction(libc::SIGHUP, nothing, action.as_mut_ptr()) };
        // SAFETY: it was zeroed, and all zeros are a valid action; or it was written.
        asked == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
    }

    pub fn ignore() {
        // SAFETY: nothing of ours runs when it is ignored.
        let _ = unsafe { signal(Signal::SIGHUP, SigHandler::SigIgn) };
    }
}

/// First time: stop between two steps. Second time: at once; what is written is whole, whenever that is.
fn interrupt() {
    if INTERRUPTED.load(Ordering::Relaxed) {
        std::process::exit(130);
    }
    // Stderr may be a pipe that is full and not read: the second time must be heard all the same.
    let (said, heard) = mpsc::channel();
    drop(std::thread::Builder::new().spawn(move || {
        note("\nstopping after this step; press Ctrl-C again to stop at once");
        said.send(())
    }));
    let _ = heard.recv_timeout(Duration::from_millis(200));
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// As a shell reports a program that a broken pipe has ended.
const ABANDONED: u8 = 141;

fn report(error: &anyhow::Error) -> ExitCode {
    let is = |of: fn(&(dyn std::error::Error + 'static)) -> bool| error.chain().any(of);
    // A reader of what is merely printed that has gone away, such as `head`, is no failure.
    if is(|cause| matches!(cause.downcast_ref(), Some(Unheard::Reader))) {
        return ExitCode::SUCCESS;
    }
    note(format!("error: {error:#}"));
    // Weights with which nothing can be computed are wrong input.
    if is_wrong_input(error) || is(|cause| cause.is::<NotFinite>()) {
        ExitCode::from(2)
    } else if is(|cause| cause.is::<Interrupted>()) {
        ExitCode::from(130)
    } else if is(|cause| cause.is::<Abandoned>()) {
        ExitCode::from(ABANDONED)
    } else {
        ExitCode::FAILURE
    }
}
