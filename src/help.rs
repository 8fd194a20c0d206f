//! The help texts: what `cli.rs` says of each flag, with the defaults that the files of `configs/experiments/` hold.

use clap::{Arg, ArgMatches, Command, CommandFactory, Error, FromArgMatches};

use crate::cli::Cli;
use crate::config::{Purpose, TrainingFlags};
use crate::tasks::{TASKS, TaskKind};

/// The command line of this process.
///
/// # Errors
/// It is wrong, or asks for help.
pub fn typed() -> Result<Cli, Error> {
    from_matches(&command().try_get_matches()?)
}

/// Other words, of which the first is the program's name.
///
/// # Errors
/// The words are not a command line of this program.
pub fn parsed<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Cli, Error> {
    from_matches(&command().try_get_matches_from(words)?)
}

fn from_matches(matches: &ArgMatches) -> Result<Cli, Error> {
    Cli::from_arg_matches(matches).map_err(|error| error.format(&mut command()))
}

/// The command with its help: each setting's default is read from the files of `configs/experiments/`, and settings that
/// have no effect on a verb are not shown with it.
pub fn command() -> Command {
    let settings = |purpose: Purpose| {
        move |command: Command| {
            let defaults = Defaults::of(purpose);
            command.mut_args(|arg| {
                let field = arg.get_id().as_str();
                // Where nothing is generated, the flag only says how much room a prompt has to leave.
                let hidden = purpose.ignores(field) || (!purpose.generates() && field == "max_new_tokens");
                defaults.explain(arg).hide(hidden)
            })
        }
    };
    Cli::command()
        .mut_subcommand("run", settings(Purpose::Run))
        .mut_subcommand("lora", settings(Purpose::Lora))
        .mut_subcommand("show", settings(Purpose::Show))
        .mut_subcommand("figure", |figure| figure.mut_subcommand("attention", settings(Purpose::Attention)))
}

/// The defaults of a verb's settings.
struct Defaults {
    usual: Vec<(String, String)>,
    /// By task, those that differ for it.
    own: Vec<(&'static str, Vec<(String, String)>)>,
}

impl Defaults {
    fn of(purpose: Purpose) -> Self {
        let read = |task: Option<&'static str>| -> Vec<(String, String)> {
            let settings = purpose.starts_from(task).unwrap_or_default();
            let training = settings.lora.as_ref().map(TrainingFlags::given).unwrap_or_default();
            let all = settings.given().into_iter().chain(training);
            all.map(|(field, words)| (field.to_string(), words.join(","))).collect()
        };
        let usual = read(None);
        let with_defaults = TASKS.into_iter().filter(|kind| kind.defaults.is_some());
        let differing = |kind: &TaskKind| {
            let own = read(kind.defaults).into_iter();
            (kind.name, own.filter(|entry| !usual.contains(entry)).collect())
        };
        let own = with_defaults.map(differing).collect();
        Self { usual, own }
    }

    /// The flag with its default at the end of its help.
    fn explain(&self, arg: Arg) -> Arg {
        let of = |list: &[(String, String)]| {
            list.iter().find(|(field, _)| field == arg.get_id().as_str()).map(|(_, value)| value.clone())
        };
        let (Some(usual), Some(help)) = (of(&self.usual), arg.get_help()) else { return arg };
        let own = self.own.iter().filter(|_| arg.get_id() != "task");
        let own = own.filter_map(|(task, list)| Some(format!("; {} with --task {task}", of(list)?)));
        let help = format!("{help} [default: {usual}{}]", own.collect::<String>());
        arg.help(help)
    }
}
