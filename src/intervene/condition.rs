//! The identity of a result: the unmasked run, or an intervention at a layer.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::spec::UnknownMask;
use super::{Intervention, Masks, NoPlan, Plan};
use crate::prompt::Prompt;

/// What all results of one curve have in common: nothing is changed, or an intervention at one layer or another. It is
/// written as `none`, or as the intervention is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Series {
    /// Nothing is changed.
    #[default]
    Baseline,
    /// An intervention.
    Of(Intervention),
}

impl Series {
    /// How the baseline is written.
    const BASELINE: &str = "none";

    /// Its condition at a layer. The baseline is the same at every layer.
    pub fn at(self, layer: usize) -> Condition {
        match self {
            Self::Baseline => Condition::Baseline,
            Self::Of(intervention) => Condition::At { intervention, layer },
        }
    }
}

/// The run that a result is of. Baselines sort first, then interventions, each by its layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// Nothing is changed.
    Baseline,
    /// An intervention at a layer, or from it on.
    At {
        /// What is done.
        intervention: Intervention,
        /// The first layer, from 0, at which it is done.
        layer: usize,
    },
}

impl Condition {
    /// What it shares with the conditions of other layers.
    pub fn series(self) -> Series {
        self.intervention().map_or(Series::Baseline, Series::Of)
    }

    /// What is done; `None` for the baseline.
    pub fn intervention(self) -> Option<Intervention> {
        match self {
            Self::Baseline => None,
            Self::At { intervention, .. } => Some(intervention),
        }
    }

    /// The layer at which it is done; `None` for the baseline.
    pub fn layer(self) -> Option<usize> {
        match self {
            Self::Baseline => None,
            Self::At { layer, .. } => Some(layer),
        }
    }

    /// The layer as files and figures write it. For the baseline they write the number of layers.
    pub fn start(self, n_layers: usize) -> usize {
        self.layer().unwrap_or(n_layers)
    }

    /// Whether nothing is changed.
    pub fn is_baseline(self) -> bool {
        self == Self::Baseline
    }

    /// The edits that it makes to a run of this prompt; `masks` has the rules of masks that are called by a name.
    ///
    /// # Errors
    /// A rule names a span that the prompt does not have.
    pub fn plan(self, prompt: &Prompt, masks: &Masks) -> Result<Plan, NoPlan> {
        match self {
            Self::Baseline => Ok(Plan::UNMASKED),
            Self::At { intervention, layer } => intervention.plan(prompt, layer, masks),
        }
    }
}

impl FromStr for Series {
    type Err = UnknownMask;

    /// # Errors
    /// The word is neither `none` (or `FFF`, a mask that hides nothing) nor an intervention.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            Self::BASELINE | "FFF" => Ok(Self::Baseline),
            other => other.parse().map(Self::Of),
        }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Baseline => f.pad(Self::BASELINE),
            Self::Of(intervention) => intervention.fmt(f),
        }
    }
}

impl TryFrom<String> for Series {
    type Error = UnknownMask;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Series> for String {
    fn from(series: Series) -> Self {
        series.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_baseline_has_one_spelling() {
        for text in ["none", "FFF"] {
            let series: Series = text.parse().unwrap();
            assert_eq!((series, series.to_string().as_str()), (Series::Baseline, "none"));
            assert_eq!(series.at(3), Condition::Baseline);
        }
        let masked = "TTF".parse::<Series>().unwrap().at(3);
        assert_eq!((masked.series().to_string().as_str(), masked.layer()), ("TTF", Some(3)));
        assert_eq!((masked.start(8), Condition::Baseline.start(8)), (3, 8));
        assert!("a/b".parse::<Series>().is_err());
    }

    #[test]
    fn baselines_sort_first() {
        let at = |series: &str, layer| series.parse::<Series>().unwrap().at(layer);
        let mut conditions = vec![at("all", 0), at("TTF", 2), at("TTF", 1), Condition::Baseline];
        conditions.sort();
        assert_eq!(conditions, [Condition::Baseline, at("TTF", 1), at("TTF", 2), at("all", 0)]);
    }
}
