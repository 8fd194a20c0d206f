//! Figures: their numbers, how they look, and snapshots of every kind.

mod looks;
mod numbers;
mod snapshots;

#[path = "../tiny/mod.rs"]
mod tiny;
#[path = "../world/mod.rs"]
mod world;
