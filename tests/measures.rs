//! Which measure figures, tables, tests and reports speak of, and how figures look, through the command.

mod tiny;
mod world;
