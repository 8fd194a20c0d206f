//! Parse, dispatch, exit code.

use std::process::ExitCode;
use std::sync::atomic::Ordering;

use icl_mask::cli::{Cli, Verb};
use icl_mask::engine::{INTERRUPTED, Interrupted};
use icl_mask::error::InputError;
use icl_mask::verbs;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    if let Some(code) = icl_mask::sandbox::jail::entry() {
        return code;
    }
    // clap exits with 2 on a wrong command line, as the contract wants.
    let verb = Cli::typed().unwrap_or_else(|error| error.exit()).verb;
    if let Err(error) = ctrlc::set_handler(interrupt) {
        eprintln!("warning: Ctrl-C will end the program at once ({error})");
    }
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

/// First time: stop between two steps. Second time: at once; what is written is whole, whenever that is.
fn interrupt() {
    if INTERRUPTED.swap(true, Ordering::Relaxed) {
        std::process::exit(130);
    }
    eprintln!("\nstopping after this step; press Ctrl-C again to stop at once");
}

fn report(error: &anyhow::Error) -> ExitCode {
    // A reader of our stdout that has gone away, such as `head`, is no failure.
    let broken_pipe = |e: &std::io::Error| e.kind() == std::io::ErrorKind::BrokenPipe;
    if error.chain().any(|cause| cause.downcast_ref().is_some_and(broken_pipe)) {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {}", verbs::printable(&format!("{error:#}")));
    if error.chain().any(|cause| cause.is::<InputError>()) {
        ExitCode::from(2)
    } else if error.chain().any(|cause| cause.is::<Interrupted>()) {
        ExitCode::from(130)
    } else {
        ExitCode::FAILURE
    }
}
