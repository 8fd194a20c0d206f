//! From results to curves with their statistics: how far a score may be off, whether a layer differs from the baseline,
//! and from which layer on the context is no longer needed.
//!
//! Two sources of spread are told apart: the test items, which are resampled, and the seeds that draw the demonstrations.
//! Everything is paired: a masked run and its baseline have the same items and the same demonstrations, and every resample
//! is drawn once for all of them.

mod cells;
mod curve;
mod effect;
mod key;
mod paired;
mod recognition;
mod resampled;
mod short;
mod study;
mod varied;

pub use cells::{StoredCell, StoredRun, find_runs};
pub use curve::{Baseline, Curve, Point, SeedScore};
pub use effect::{Varied, VaryEffect};
pub use key::CurveKey;
pub use paired::{holm, randomization};
pub use recognition::{Definition, Recognised, SHARE, first_reaching, largest_jump, suggested};
pub use resampled::{RESAMPLES, Resampled};
pub use short::TooShort;
pub use study::{Panel, Study};
