//! Where there is no sandbox, no program is run.

use std::convert::Infallible;

use anyhow::Result;

use super::{Judged, Policy, ProgramLimits, Python, Trial};
use crate::base::error::input;

/// There is none of this on this system.
#[derive(Debug)]
pub struct Sandbox(Infallible);

impl Sandbox {
    /// # Errors
    /// Always.
    pub fn new(_: Policy, _: Python, _: ProgramLimits) -> Result<Self> {
        Err(input(
            "--task code: the sandbox that generated programs run in is made of parts of Linux; score the generations on \
             a Linux machine or in a virtual one",
        ))
    }

    /// Never called.
    ///
    /// # Errors
    /// None.
    pub fn judge(&self, _: &Trial) -> Result<Judged> {
        match self.0 {}
    }

    /// Never called.
    ///
    /// # Errors
    /// None.
    pub fn timed(&self, _: &Trial) -> Result<(Judged, f64)> {
        match self.0 {}
    }

    /// Never called.
    pub fn with_limits(self, _: ProgramLimits) -> Self {
        self
    }

    /// Never called.
    pub fn limits(&self) -> ProgramLimits {
        match self.0 {}
    }

    /// Never called.
    pub fn level(&self) -> &str {
        match self.0 {}
    }

    /// Never called.
    pub fn python(&self) -> &str {
        match self.0 {}
    }
}
