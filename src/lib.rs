//! Where in a language model does in-context learning happen? `icl-mask` hides the instructions and examples of a
//! prompt from a layer on and scores what the model still gets right. This library is what the command is made of;
//! its modules, in the order of the data's flow:

// A closed terminal or a full disk makes these macros panic; `console` is for what is to be said.
#![deny(clippy::print_stdout, clippy::print_stderr, clippy::dbg_macro)]

// What all modules use: errors, files, hashes, random numbers, what is said.
pub mod base;

// The command line, as typed.
pub mod cli;

// The help texts, with defaults.
pub mod help;

// Models of the Hugging Face hub -> files here.
pub mod hub;

// YAML and flags -> an experiment, validated.
pub mod config;

// Corpora -> examples.
pub mod data;

// Text -> tokens with segments.
pub mod prompt;

// What is done to a run: as written, as edits, compiled.
pub mod intervene;

// Config and weights -> one decoder.
pub mod model;

// Prompts and mask plans -> generations.
pub mod engine;

// Untrusted programs -> verdicts.
pub mod sandbox;

// Generated text -> numbers.
pub mod score;

// What is asked, how an answer is judged, which measures judged answers have.
pub mod tasks;

// What is written.
pub mod results;

// Adapters, trained layer by layer.
pub mod lora;

// What is written -> curves, intervals, tests.
pub mod stats;

// Statistics -> figures.
pub mod figure;

// Results -> one HTML file.
pub mod report;

// An experiment carried out.
pub mod run;

// One module per verb of the command line: parse, call, print.
pub mod verbs;
