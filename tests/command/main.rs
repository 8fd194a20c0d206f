//! The built command as its users call it, on a tiny model and a tiny corpus.

mod choices;
mod cli;
mod code;
mod exits;
mod goldens_by_command;
mod instruction_sets;
mod lora;
mod masks;
mod measures;
mod named_models;
mod newcomer;
mod options;
mod refusals;
mod submit;
mod words;
mod words_refused;

#[path = "../drawn/mod.rs"]
mod drawn;
#[path = "../families/mod.rs"]
mod families;
#[allow(dead_code, reason = "each test binary uses its own part")]
#[path = "../mock_hub/mod.rs"]
mod mock_hub;
#[path = "../said/mod.rs"]
mod said;
#[path = "../tiny/mod.rs"]
mod tiny;
#[path = "../world/mod.rs"]
mod world;
