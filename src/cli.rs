//! The command line, as typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::{Settings, Shard, TrainingFlags};

/// Find out where in a language model in-context learning happens.
///
/// icl-mask hides the instructions and examples of a prompt from a layer on, generates, and scores what the model still
/// gets right, layer by layer. `icl-mask run` computes such a curve, `icl-mask figure masks results` draws it. The method is that of "Where does
/// In-context Learning Happen in Large Language Models?" (Sia et al., 2024), which the help texts call the study.
#[derive(Debug, Parser)]
#[command(name = "icl-mask", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// The verb.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run an experiment: compute and score every mask at every start layer
    Run(RunArgs),
    /// Train one adapter (LoRA) per layer and test each
    Lora(Box<LoraArgs>),
    /// Score stored generations again, or score any text against a reference, line by line
    Score(ScoreArgs),
    /// Submit a call of run or lora to Slurm, as an array job
    Submit(SubmitArgs),
    /// List what is finished in results folders, what is being computed, and by which process
    Status(StatusArgs),
    /// Check that results folders are complete and consistent, and scored as their generations say
    Verify(VerifyArgs),
    /// Show the prompt of one item: its segments, its tokens, and what a mask hides
    Show(ShowArgs),
    /// Draw results: SVG, PDF, PNG, and the numbers behind them as CSV
    Figure(FigureArgs),
    /// Write one HTML file to explore results: curves, tables, prompts, outputs layer by layer
    Report(ReportArgs),
    /// Write results in the layout of the study's released code, for its notebooks
    Export(ExportArgs),
    /// List the models that have a name, or show what one model needs
    Models(ModelsArgs),
    /// List, prepare or verify corpora
    Data(DataArgs),
    /// Print shell completions
    Completions {
        /// Shell to print completions for: bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
}

/// `run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Experiment file: a name from configs/experiments, or a .yaml file; flags override it, and --mask and
    /// --limit default to those of configs/experiments/default.yaml [default: none]
    #[arg(long, value_name = "NAME|PATH")]
    pub config: Option<String>,
    /// The experiment.
    #[command(flatten)]
    pub settings: Settings,
    /// Compute one part of the cells, such as 2/8 for the second of eight [default: all cells]
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// Compute the run of this manifest.json again in another folder, and compare all results [default: none]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "shard", "json", "dry_run", "metric"])]
    pub from_manifest: Option<PathBuf>,
    /// Measure of the table that is printed, any of the score files: such as bleu, chrf++, pass@1, accuracy, logprob or exact_match
    /// [default: the task's usual one]
    #[arg(long, value_name = "MEASURE", help_heading = "Output")]
    pub metric: Option<String>,
    /// Print one line of JSON per finished cell on stdout
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// Print the plan (cells, prompts, tokens, memory, work) and load no weights
    #[arg(long)]
    pub dry_run: bool,
}

/// `lora`
#[derive(Debug, Args)]
pub struct LoraArgs {
    /// Experiment file: a name from configs/experiments, or a .yaml file with a section `lora:`; flags override it
    /// [default: none]
    #[arg(long, value_name = "NAME|PATH")]
    pub config: Option<String>,
    /// The test.
    #[command(flatten)]
    pub settings: Settings,
    /// The training.
    #[command(flatten)]
    pub training: TrainingFlags,
    /// Compute one part of the cells, such as 2/8 for the second of eight [default: all cells]
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// Measure of the table that is printed: bleu, bleu1 to bleu4, brevity_penalty, chrf, chrf++, ter or language [default: bleu]
    #[arg(long, value_name = "MEASURE", help_heading = "Output")]
    pub metric: Option<String>,
    /// Print one line of JSON per finished cell on stdout
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// Print the plan (cells, prompts, tokens, memory, work) and load no weights
    #[arg(long)]
    pub dry_run: bool,
}

/// `score`
#[derive(Debug, Args)]
pub struct ScoreArgs {
    /// Results folders to score again from their stored generations; required without --hyp
    #[arg(value_name = "RESULTS", conflicts_with_all = ["hyp", "reference"], required_unless_present = "hyp")]
    pub results: Vec<PathBuf>,
    /// Scores of another program for stored generations, as JSONL: lines of `export --hypotheses` with `scores` added, such as
    /// {"comet": 0.81} or {"judge": true} [default: none]
    #[arg(long, value_name = "FILE", requires = "results", conflicts_with = "hyp")]
    pub score_with: Option<PathBuf>,
    /// Text to score, one hypothesis per line, or - for standard input; with --task code, programs as JSONL with `id` and
    /// `text` [default: none]
    #[arg(long, value_name = "FILE", help_heading = "Text")]
    pub hyp: Option<PathBuf>,
    /// Reference text, one reference per line, or - for standard input; required with --hyp, but not for programs
    /// [default: none]
    #[arg(long = "ref", value_name = "FILE", requires = "hyp", help_heading = "Text")]
    pub reference: Option<PathBuf>,
    /// Tokenizer of BLEU: 13a, intl, char, zh or none
    #[arg(long, default_value = "13a", requires = "hyp", help_heading = "Text")]
    pub tokenize: String,
    /// Model of SentencePiece, such as FLORES' own: beside BLEU, BLEU of its pieces (spBLEU), of --hyp or of RESULTS
    /// [default: none]
    #[arg(long, value_name = "FILE", help_heading = "Text")]
    pub sentencepiece: Option<PathBuf>,
    /// Lower-case hypotheses and references before scoring
    #[arg(long, requires = "hyp", help_heading = "Text")]
    pub lowercase: bool,
    /// Content of --hyp: mt (text) or code (programs)
    #[arg(long, default_value = "mt", requires = "hyp", help_heading = "Text")]
    pub task: String,
    /// Problems that the programs answer: a name from `icl-mask data list`, or a JSONL file
    #[arg(
        long,
        value_name = "NAME|PATH",
        default_value = "humaneval",
        requires = "hyp",
        help_heading = "Programs"
    )]
    pub data: String,
    /// How a program is assembled: exact (after the problem's own code) or sia2024 (alone)
    #[arg(long, default_value = "exact", requires = "hyp", help_heading = "Programs")]
    pub profile: String,
    /// Sandbox for programs: required (refuse to run without all of it), best-effort (use what the system offers), off
    #[arg(long, value_name = "HOW", default_value = "required", help_heading = "Programs")]
    pub sandbox: String,
    /// Python that runs the programs
    #[arg(long, value_name = "NAME|PATH", default_value = "python3", help_heading = "Programs")]
    pub python: String,
    /// Processor seconds that a program may take [default: set by the slowest reference solution]
    #[arg(long, value_name = "SECONDS", help_heading = "Programs")]
    pub time_limit: Option<u64>,
    /// Write the verdict of each program to this file, as JSONL [default: none]
    #[arg(long, value_name = "FILE", requires = "hyp", help_heading = "Programs")]
    pub verdicts: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `submit`
#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// Number of array tasks that share the cells [default: one per run, that is per model, direction, format, seed]
    #[arg(long, value_name = "N")]
    pub parts: Option<usize>,
    /// Option for sbatch, such as --sbatch=--time=4:00:00; can be given several times [default: none]
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    pub sbatch: Vec<String>,
    /// Print the script and submit nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The call to submit: run or lora with their flags
    #[arg(last = true, required = true, value_name = "CALL")]
    pub call: Vec<String>,
}

/// `status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Results folders; every run at or below them is taken
    #[arg(value_name = "RESULTS", default_value = "results")]
    pub results: Vec<PathBuf>,
    /// Print one line of JSON per run
    #[arg(long)]
    pub json: bool,
}

/// `verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Results folders; every run at or below them is taken
    #[arg(value_name = "RESULTS", default_value = "results")]
    pub results: Vec<PathBuf>,
    /// Print one line of JSON per run
    #[arg(long)]
    pub json: bool,
}

/// `show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Experiment file: a name from configs/experiments, or a .yaml file; flags override it [default: none]
    #[arg(long, value_name = "NAME|PATH")]
    pub config: Option<String>,
    /// The experiment.
    #[command(flatten)]
    pub settings: Settings,
    /// Test item to show, counted from 0
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
    /// Draw scores against the start layer: one line per mask, one chart per model and direction
    Masks(CurvesArgs),
    /// Draw scores against the layer that has an adapter (runs of lora), beside the masks' curves of the same model
    Lora(CurvesArgs),
    /// Draw scores against the layer whose attention is removed (runs with --ablate-attention)
    Ablation(CurvesArgs),
    /// Draw what dropping the context at a layer saves (runs with --drop-context): by the study's formula, in operations, in
    /// time
    Savings(SelectionArgs),
    /// Compute the attention weights of one layer and head over one prompt, and draw them
    Attention(Box<AttentionArgs>),
}

/// `figure masks`, `figure lora`, `figure ablation`
#[derive(Debug, Args)]
pub struct CurvesArgs {
    /// Of what.
    #[command(flatten)]
    pub selection: SelectionArgs,
    /// Draw one chart per model with its tasks laid over each other: shares of the depth and of the baseline
    #[arg(long, conflicts_with = "count_from", help_heading = "Appearance")]
    pub relative: bool,
}

/// Which results, and where to.
#[derive(Debug, Args)]
pub struct SelectionArgs {
    /// Results folders; every run at or below them is taken
    #[arg(value_name = "RESULTS", required = true)]
    pub results: Vec<PathBuf>,
    /// Draw these masks only [default: all]
    #[arg(long, value_name = "MASK", value_delimiter = ',', help_heading = "Selection")]
    pub mask: Vec<String>,
    /// Draw these models only [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Selection")]
    pub model: Vec<String>,
    /// Draw these directions only [default: all]
    #[arg(long, value_name = "SOURCE-TARGET", value_delimiter = ',', help_heading = "Selection")]
    pub direction: Vec<String>,
    /// Measures to draw and to test, any of the score files, a chart for each: such as bleu, chrf++, pass@1, or accuracy,logprob
    /// [default: the task's usual one]
    #[arg(long, value_name = "MEASURE", help_heading = "Selection")]
    pub metric: Option<String>,
    /// Number of the first layer in the figure and in what is printed: 0, or 1 as in the study's figures
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=1),
          help_heading = "Appearance")]
    pub count_from: u8,
    /// How it looks.
    #[command(flatten)]
    pub style: StyleArgs,
    /// Folder to write the figure to
    #[arg(long, value_name = "FOLDER", default_value = "figures", help_heading = "Output")]
    pub out: PathBuf,
    /// Print all statistics as JSON
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

/// How a figure looks.
#[derive(Debug, Args)]
pub struct StyleArgs {
    /// Width of the figure in pixels (96 per inch) [default: by the number of charts]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u16).range(200..=8000),
          help_heading = "Appearance")]
    pub width: Option<u16>,
    /// Size of the letters in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = crate::figure::FONT, help_heading = "Appearance")]
    pub font_size: f64,
    /// Title above the figure [default: none]
    #[arg(long, value_name = "TEXT", help_heading = "Appearance")]
    pub title: Option<String>,
    /// Display name of a model, such as smollm2-135m="SmolLM2 135M"; can be given several times [default: none]
    #[arg(long, value_name = "MODEL=TEXT", help_heading = "Appearance")]
    pub name: Vec<String>,
    /// Keep the SVG's letters as text that can be edited, not as outlines
    #[arg(long, help_heading = "Appearance")]
    pub svg_text: bool,
}

/// `figure attention`
#[derive(Debug, Args)]
pub struct AttentionArgs {
    /// Experiment file: a name from configs/experiments, or a .yaml file; flags override it [default: none]
    #[arg(long, value_name = "NAME|PATH")]
    pub config: Option<String>,
    /// The experiment: its first cell is shown.
    #[command(flatten)]
    pub settings: Settings,
    /// Test item to show, counted from 0
    #[arg(long, default_value_t = 0)]
    pub item: usize,
    /// Layer to show, counted from 0 (required)
    #[arg(long)]
    pub layer: usize,
    /// Head to show, counted from 0, or mean over all heads
    #[arg(long, value_name = "HEAD", default_value = "mean")]
    pub head: String,
    /// How it looks.
    #[command(flatten)]
    pub style: StyleArgs,
    /// Folder to write the figure to
    #[arg(long, value_name = "FOLDER", default_value = "figures", help_heading = "Output")]
    pub out: PathBuf,
}

/// `report`
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Results folders; every run at or below them is taken
    #[arg(value_name = "RESULTS", required = true)]
    pub results: Vec<PathBuf>,
    /// Measure to report and to test, any of the score files: such as bleu, chrf++, pass@1, accuracy, logprob or exact_match
    /// [default: the task's usual one]
    #[arg(long, value_name = "MEASURE")]
    pub metric: Option<String>,
    /// Output file
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    pub out: PathBuf,
    /// Report title [default: the results folders]
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    /// Display name of a model, such as smollm2-135m="SmolLM2 135M"; can be given several times [default: none]
    #[arg(long, value_name = "MODEL=TEXT")]
    pub name: Vec<String>,
    /// Number of test items whose outputs are included
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub items: usize,
}

/// `export`
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Results folders; every run at or below them is taken
    #[arg(value_name = "RESULTS", required = true)]
    pub results: Vec<PathBuf>,
    /// Layout to write the scores in: sia2024, the study's [default: none]
    #[arg(long, value_parser = ["sia2024"], requires = "out", required_unless_present = "hypotheses")]
    pub layout: Option<String>,
    /// Folder to write results/ into, with --layout: a clone of the study's repository
    #[arg(long, value_name = "FOLDER", requires = "layout")]
    pub out: Option<PathBuf>,
    /// Write all generations to this file instead, as JSONL for another program to score [default: none]
    #[arg(long, value_name = "FILE", conflicts_with = "layout")]
    pub hypotheses: Option<PathBuf>,
}

/// `models`
#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// Model to show: a name from the list, a folder, a .gguf file, or owner/name on the hub [default: list all]
    pub model: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `data`
#[derive(Debug, Args)]
pub struct DataArgs {
    /// The action.
    #[command(subcommand)]
    pub action: DataAction,
}

/// `data ...`
#[derive(Debug, Subcommand)]
pub enum DataAction {
    /// List the corpora
    List,
    /// Run the script that prepares a corpus
    Prepare {
        /// Name of the corpus
        name: String,
    },
    /// Read a corpus in one direction and report what it holds
    Verify {
        /// Name of the corpus, or a .yaml file
        name: String,
        /// Source and target language, such as en-fr [default: the corpus' own direction]
        #[arg(long, value_name = "SOURCE-TARGET")]
        direction: Option<String>,
    },
}
