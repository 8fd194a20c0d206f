//! Ctrl-C: work goes on to the next safe place, and stops there.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;

/// The user asked to stop (Ctrl-C); what was finished is kept.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; what was finished is kept, run the same command again to go on")]
pub struct Interrupted;

/// Go on, unless the user has asked to stop.
///
/// # Errors
/// [`Interrupted`].
pub fn check_interrupted() -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) { Err(Interrupted.into()) } else { Ok(()) }
}

/// Set when the user asks to stop.
pub static INTERRUPTED: AtomicBool = AtomicBool::new(false);
