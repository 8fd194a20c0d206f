//! The command line, as typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::{Settings, Shard, TrainingFlags};

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
    /// Train one adapter (LoRA) per layer and test each: where does training help?
    Lora(Box<LoraArgs>),
    /// Score stored generations again, or anyone's text against a reference, line by line
    Score(ScoreArgs),
    /// Submit a call of run or lora to Slurm, as an array job
    Submit(SubmitArgs),
    /// Say what is finished in results folders, what is being computed, and by whom
    Status(StatusArgs),
    /// Check results folders: complete, of one piece, and scored as their generations say
    Verify(VerifyArgs),
    /// Show one item's prompt with its segments, its tokens, and what a mask hides
    Show(ShowArgs),
    /// Draw results: SVG, PDF, PNG, and the numbers behind them as CSV
    Figure(FigureArgs),
    /// Write one HTML file to explore results in: curves, tables, prompts, outputs layer by layer
    Report(ReportArgs),
    /// Write results as the study's released code lays them out, for its notebooks
    Export(ExportArgs),
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
    /// Compute one part of the cells, such as 2/8: the second of eight
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// Make the run of this manifest.json again, in a folder of its own, and compare
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "shard", "json", "dry_run", "metric"])]
    pub from_manifest: Option<PathBuf>,
    /// Measure of the table that is printed: bleu, bleu1 to bleu4, brevity_penalty, chrf, pass@K (default: bleu, or pass@1 for
    /// programs)
    #[arg(long, value_name = "MEASURE")]
    pub metric: Option<String>,
    /// One line of JSON per finished cell on stdout
    #[arg(long)]
    pub json: bool,
    /// Print the plan and load no weights
    #[arg(long)]
    pub dry_run: bool,
}

/// `lora`
#[derive(Debug, Args)]
pub struct LoraArgs {
    /// Experiment file: a name of configs/experiments, or a .yaml file, with a section `lora:`; flags win over it
    #[arg(long, value_name = "NAME|PATH")]
    pub config: Option<String>,
    /// The test.
    #[command(flatten)]
    pub settings: Settings,
    /// The training.
    #[command(flatten)]
    pub training: TrainingFlags,
    /// Compute one part of the cells, such as 2/8: the second of eight
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// Measure of the table that is printed: bleu, bleu1 to bleu4, brevity_penalty, chrf, pass@K (default: bleu, or pass@1 for
    /// programs)
    #[arg(long, value_name = "MEASURE")]
    pub metric: Option<String>,
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
    /// Text to score, one hypothesis a line, - for standard input; with --task code, programs as JSONL with id and text
    #[arg(long, value_name = "FILE")]
    pub hyp: Option<PathBuf>,
    /// References, one a line, - for standard input
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

/// `submit`
#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// Tasks that the cells are shared out to; without it one for each run: model, direction, format, seed
    #[arg(long, value_name = "N")]
    pub parts: Option<usize>,
    /// An option for sbatch, such as --sbatch=--time=4:00:00; can be given several times
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    pub sbatch: Vec<String>,
    /// Print the script and submit nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The call: run or lora, with all that they take
    #[arg(last = true, required = true, value_name = "CALL")]
    pub call: Vec<String>,
}

/// `status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Results folders; all runs at or below them
    #[arg(value_name = "RESULTS", default_value = "results")]
    pub results: Vec<PathBuf>,
    /// One line of JSON per run
    #[arg(long)]
    pub json: bool,
}

/// `verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Results folders; all runs at or below them
    #[arg(value_name = "RESULTS", default_value = "results")]
    pub results: Vec<PathBuf>,
    /// One line of JSON per run
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

/// `figure`
#[derive(Debug, Args)]
pub struct FigureArgs {
    /// What to draw.
    #[command(subcommand)]
    pub kind: FigureKind,
}

/// `figure ...`
#[derive(Debug, Subcommand)]
pub enum FigureKind {
    /// Score against the start layer: one line per mask, one chart per model and direction
    Masks(CurvesArgs),
    /// Score against the layer that has an adapter (runs of lora), next to the masks' curves of the same model
    Lora(CurvesArgs),
    /// Score against the layer whose attention is taken out (runs with --ablate-attention)
    Ablation(CurvesArgs),
    /// What dropping the context at a layer saves (runs with --drop-context): the study's formula, operations, time
    Savings(SelectionArgs),
    /// Attention weights of one layer and head over one prompt, computed anew
    Attention(Box<AttentionArgs>),
}

/// `figure masks`, `figure lora`, `figure ablation`
#[derive(Debug, Args)]
pub struct CurvesArgs {
    /// Of what.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Draw one chart per model with its tasks laid over each other: shares of the depth and of the baseline
    #[arg(long, conflicts_with = "count_from")]
    pub relative: bool,
}

/// Which results, and where to.
#[derive(Debug, Args)]
pub struct SelectionArgs {
    /// Results folders; all runs at or below them
    #[arg(value_name = "RESULTS", required = true)]
    pub results: Vec<PathBuf>,
    /// Draw these masks only
    #[arg(long, value_name = "MASK", value_delimiter = ',')]
    pub mask: Vec<String>,
    /// Draw these models only
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub model: Vec<String>,
    /// Draw these directions only
    #[arg(long, value_name = "SOURCE-TARGET", value_delimiter = ',')]
    pub direction: Vec<String>,
    /// Measure to draw and to test: bleu, bleu1 to bleu4, brevity_penalty, chrf, pass@K (default: bleu, or pass@1 for programs)
    #[arg(long, value_name = "MEASURE")]
    pub metric: Option<String>,
    /// Number of the first layer in the figure and in what is printed: 0, or 1 as in the study's figures
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=1))]
    pub count_from: u8,
    /// How it looks.
    #[command(flatten)]
    pub style: StyleArgs,
    /// Folder that the figure is written to
    #[arg(long, value_name = "FOLDER", default_value = "figures")]
    pub out: PathBuf,
    /// Print all statistics as JSON
    #[arg(long)]
    pub json: bool,
}

/// How a figure looks.
#[derive(Debug, Args)]
pub struct StyleArgs {
    /// Width of the figure in pixels (96 an inch) [default: by the number of charts]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u16).range(200..=8000))]
    pub width: Option<u16>,
    /// Size of the letters in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = crate::figure::FONT)]
    pub font_size: f64,
    /// Title above the figure
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    /// Display name of a model, such as smollm2-135m="SmolLM2 135M"; can be given several times
    #[arg(long, value_name = "MODEL=TEXT")]
    pub name: Vec<String>,
    /// Keep the SVG's letters as text that can be edited, not as outlines
    #[arg(long)]
    pub svg_text: bool,
}

/// `figure attention`
#[derive(Debug, Args)]
pub struct AttentionArgs {
    /// Experiment file: a name of configs/experiments, or a .yaml file; flags win over it
    #[arg(long, value_name = "NAME|PATH")]
    pub config: Option<String>,
    /// The experiment: its first cell is shown.
    #[command(flatten)]
    pub settings: Settings,
    /// Which test item, counted from 0
    #[arg(long, default_value_t = 0)]
    pub item: usize,
    /// Layer to show, counted from 0
    #[arg(long)]
    pub layer: usize,
    /// Head to show, counted from 0, or mean over all
    #[arg(long, value_name = "HEAD", default_value = "mean")]
    pub head: String,
    /// How it looks.
    #[command(flatten)]
    pub style: StyleArgs,
    /// Folder that the figure is written to
    #[arg(long, value_name = "FOLDER", default_value = "figures")]
    pub out: PathBuf,
}

/// `report`
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Results folders; all runs at or below them
    #[arg(value_name = "RESULTS", required = true)]
    pub results: Vec<PathBuf>,
    /// Measure to report and to test: bleu, bleu1 to bleu4, brevity_penalty, chrf, pass@K (default: bleu, or pass@1 for
    /// programs)
    #[arg(long, value_name = "MEASURE")]
    pub metric: Option<String>,
    /// Output file
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    pub out: PathBuf,
    /// Report title
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    /// Display name of a model, such as smollm2-135m="SmolLM2 135M"; can be given several times
    #[arg(long, value_name = "MODEL=TEXT")]
    pub name: Vec<String>,
    /// Test items whose outputs are in it
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub items: usize,
}

/// `export`
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Results folders; all runs at or below them
    #[arg(value_name = "RESULTS", required = true)]
    pub results: Vec<PathBuf>,
    /// Whose layout
    #[arg(long, value_parser = ["sia2024"])]
    pub layout: String,
    /// The folder that results/ is written to: the study's clone
    #[arg(long, value_name = "FOLDER")]
    pub out: PathBuf,
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
