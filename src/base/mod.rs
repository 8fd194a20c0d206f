//! What all the other modules use, and which uses none of them.

pub mod allowance;
pub mod caught;
pub mod console;
pub mod error;
pub mod files;
pub mod hash;
pub mod inputs;
pub mod interrupt;
pub mod keys;
pub mod random;
pub mod together;
pub mod units;
