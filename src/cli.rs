//! The command line, as typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::Settings;

/// Find out where in a language model in-context learning happens.
///
/// Hides the instructions and examples of a prompt from a layer on, decodes, and scores what the model still gets
/// right, layer by layer.
#[derive(Debug, Parser)]
#[command(name = "icl-mask", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run an experiment: every mask at every start layer asked for, scores written per layer
    Run(RunArgs),
    /// Score stored generations again, or anyone's text against a reference, line by line
    Score(ScoreArgs),
    /// Show one item's prompt with its segments, its tokens, and what a mask hides
    Show(ShowArgs),
    /// List the models, or show one
    Models(ModelsArgs),
    /// List, prepare or verify corpora
    Data(DataArgs),
    /// Print shell completions
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
}

/// `run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Experiment file: a name of configs/experiments, or a .yaml file; flags win over it
    #[arg(long, value_name = "NAME|PATH")]
    pub config: Option<String>,
    /// The experiment.
    #[command(flatten)]
    pub settings: Settings,
    /// One line of JSON per finished cell on stdout
    #[arg(long)]
    pub json: bool,
    /// Print the plan and load no weights
    #[arg(long)]
    pub dry_run: bool,
}

/// `score`
#[derive(Debug, Args)]
pub struct ScoreArgs {
    /// Results folders to score again from their stored generations
    #[arg(value_name = "RESULTS", conflicts_with_all = ["hyp", "reference"], required_unless_present = "hyp")]
    pub results: Vec<PathBuf>,
    /// Text to score, one hypothesis a line; with --task code, programs as JSONL with id and text
    #[arg(long, value_name = "FILE")]
    pub hyp: Option<PathBuf>,
    /// References, one a line
    #[arg(long = "ref", value_name = "FILE", requires = "hyp")]
    pub reference: Option<PathBuf>,
    /// Tokenizer of BLEU: 13a, intl, char, zh or none
    #[arg(long, default_value = "13a", requires = "hyp")]
    pub tokenize: String,
    /// Lower-case both sides
    #[arg(long, requires = "hyp")]
    pub lowercase: bool,
    /// What --hyp holds: mt (text) or code (programs)
    #[arg(long, default_value = "mt", requires = "hyp")]
    pub task: String,
    /// Problems of the programs: a name of configs/data, or a JSONL file
    #[arg(long, value_name = "NAME|PATH", default_value = "humaneval", requires = "hyp")]
    pub data: String,
    /// How programs are put together: exact (after the problem's own code) or sia2024 (alone)
    #[arg(long, default_value = "exact", requires = "hyp")]
    pub profile: String,
    /// Programs run with every layer of the sandbox (required), with those that are there (best-effort), or with none (off)
    #[arg(long, value_name = "HOW", default_value = "required")]
    pub sandbox: String,
    /// The Python that runs the programs
    #[arg(long, value_name = "NAME|PATH", default_value = "python3")]
    pub python: String,
    /// Processor seconds of a program; without it, by what the reference solutions take
    #[arg(long, value_name = "SECONDS")]
    pub time_limit: Option<u64>,
    /// Write the verdict of each program to this file, as JSONL
    #[arg(long, value_name = "FILE", requires = "hyp")]
    pub verdicts: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Experiment file: a name of configs/experiments, or a .yaml file; flags win over it
    #[arg(long, value_name = "NAME|PATH")]
    pub config: Option<String>,
    /// The experiment.
    #[command(flatten)]
    pub settings: Settings,
    /// Which test item, counted from 0
    #[arg(long, default_value_t = 0)]
    pub item: usize,
    /// Print JSON: prompt, tokens, segments, hidden columns
    #[arg(long)]
    pub json: bool,
}

/// `models`
#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// Show this one: a name of configs/model, a folder, or a .gguf file
    pub model: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `data`
#[derive(Debug, Args)]
pub struct DataArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: DataAction,
}

/// `data ...`
#[derive(Debug, Subcommand)]
pub enum DataAction {
    /// List the corpora
    List,
    /// Run the script that makes a corpus
    Prepare {
        /// Its name
        name: String,
    },
    /// Read a corpus in one direction and report what it holds
    Verify {
        /// Its name, or a .yaml file
        name: String,
        /// Languages, such as en-fr
        #[arg(long, value_name = "SOURCE-TARGET")]
        direction: String,
    },
}
