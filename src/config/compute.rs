//! Where a model computes.

use std::fmt;
use std::str::FromStr;

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
