//! Numbers against those of others: each file of goldens beside this one was made by the Python script that its test names.

mod answers;
mod candle;
mod chat;
mod checkpoints;
mod experts;
mod inside;
mod lora;
mod pieces;
mod sampling;
mod score;
mod score_again;
mod segments;
mod spans;
mod stats;
mod tokenizers;

#[path = "../drawn/mod.rs"]
mod drawn;
#[path = "../families/mod.rs"]
mod families;
#[path = "../tiny/mod.rs"]
mod tiny;
