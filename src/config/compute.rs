//! Where a model computes, and in which type.

use std::fmt;
use std::str::FromStr;

use anyhow::Result;

use super::resolve::Resolver;
use crate::base::error::input;
use crate::model::Precision;

/// Where a model computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compute {
    /// On the processor's cores.
    Cpu,
    /// On a GPU, by its number.
    Cuda(usize),
}

impl fmt::Display for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.pad("cpu"),
            Self::Cuda(index) => f.pad(&format!("cuda:{index}")),
        }
    }
}

impl FromStr for Compute {
    type Err = ();

    /// `cpu`, `cuda` (the first GPU), `cuda:1`
    fn from_str(word: &str) -> Result<Self, ()> {
        match word.split_once(':') {
            None if word == "cpu" => Ok(Self::Cpu),
            None if word == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", index)) => index.parse().map(Self::Cuda).map_err(drop),
            _ => Err(()),
        }
    }
}

impl Resolver {
    /// Where to compute: what this binary was built for.
    pub(super) fn device(&self) -> Result<Compute> {
        let word = self.one(self.settings.device())?;
        let refused = |why: &str| Err(input(format!("{}: `{word}` {why}", self.origins.of("device"))));
        match word.parse() {
            Ok(Compute::Cuda(_)) if cfg!(not(feature = "cuda")) => refused(
                "cannot be used: this binary is built without CUDA and computes on the CPU; write cpu, or build one with \
                 bin/build-cuda.sh",
            ),
            Ok(Compute::Cuda(_)) if self.training => {
                refused("cannot be used: adapters are trained on the CPU; write cpu")
            }
            Ok(device) => Ok(device),
            Err(()) => refused("is not a device: use cpu, cuda or cuda:1"),
        }
    }

    /// How weights are held there.
    pub(super) fn dtype(&self, device: Compute) -> Result<Precision> {
        let word = self.one(self.settings.dtype())?;
        let refused = |why: String| Err(input(format!("{}: {why}", self.origins.of("dtype"))));
        match (word.parse(), device) {
            (Err(known), _) => refused(format!("unknown dtype `{word}`; write one of {known}")),
            (Ok(Precision::Stored), Compute::Cuda(_)) => refused(
                "stored is not supported on a GPU, which multiplies weights as f32, f16 or bf16; write --dtype bf16"
                    .into(),
            ),
            (Ok(dtype), _) => Ok(dtype),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_as_in_torch() {
        for (word, expected) in
            [("cpu", Compute::Cpu), ("cuda", Compute::Cuda(0)), ("cuda:3", Compute::Cuda(3))]
        {
            assert_eq!(word.parse(), Ok(expected));
        }
        for word in ["", "CPU", "cpu:0", "cuda:", "cuda:-1", "gpu", "cuda:0:1"] {
            assert_eq!(word.parse::<Compute>(), Err(()), "{word}");
        }
        assert_eq!((Compute::Cpu.to_string(), Compute::Cuda(2).to_string()), ("cpu".into(), "cuda:2".into()));
    }
}
