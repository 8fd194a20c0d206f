//! Interventions as they are written: three letters of the paper, `all`, the name of a mask of rules, one layer's ablation, one
//! layer's adapter.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{AdapterId, Change, Columns, MaskName, Masks, NoPlan, Plan};
use crate::prompt::Prompt;

/// What is done to a run of a prompt at a layer, or from it on. The paper writes a mask as three letters, T (hidden) or F
/// (kept), for instructions, examples and query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Intervention {
    /// At least one segment is hidden.
    Segments { instructions: bool, examples: bool, query: bool },
    /// Every column but the row's own.
    All,
    /// A mask of this name; its rules are among the [`Masks`] of a run.
    Rules(MaskName),
    /// No segment is hidden, but one layer has no attention; its MLP stays.
    Ablation,
    /// No segment is hidden, but one layer has an adapter that was trained for it.
    Lora,
}

impl Intervention {
    /// What its layer means.
    pub fn kind(self) -> InterventionKind {
        match self {
            Self::Segments { .. } | Self::All => InterventionKind::Masks,
            Self::Rules(name) if name.window().is_some() => InterventionKind::Windows,
            Self::Rules(_) => InterventionKind::Masks,
            Self::Ablation => InterventionKind::Ablation,
            Self::Lora => InterventionKind::Lora,
        }
    }

    /// The edits that it makes to a run of this prompt: from a layer on, or an ablation and an adapter at that layer alone. A mask
    /// of rules makes what these say; `masks` has them.
    ///
    /// # Errors
    /// A rule names a span that the prompt does not have.
    pub fn plan(self, prompt: &Prompt, layer: usize, masks: &Masks) -> Result<Plan, NoPlan> {
        Ok(match self {
            Self::All => Plan::from_layer(layer, Change::OnlySelf),
            Self::Segments { instructions, examples, query } => {
                let columns = Columns::new(prompt.columns(instructions, examples, query));
                Plan::from_layer(layer, Change::Hide(columns))
            }
            Self::Ablation => Plan::at_layer(layer, Change::NoAttention),
            Self::Lora => Plan::at_layer(layer, Change::Adapt(AdapterId::TRAINED)),
            Self::Rules(name) => masks.get(name)?.plan(prompt, layer)?,
        })
    }
}

/// What the layer of an intervention means. Curves of one kind belong into one chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InterventionKind {
    /// The first layer that hides something: curves end at the baseline.
    Masks,
    /// The first of some layers that hide something.
    Windows,
    /// The layer without attention.
    Ablation,
    /// The layer with an adapter.
    Lora,
}

impl InterventionKind {
    /// All of them, in the order of charts.
    pub const ALL: [Self; 4] = [Self::Masks, Self::Windows, Self::Ablation, Self::Lora];
}

/// The name of an ablation in files, the same as of its flag.
pub const ABLATION: &str = "ablate-attention";

/// The name of a layer's adapter in files, the same as of the verb that trains it.
pub const LORA: &str = "lora";

/// The word names no intervention: see [`Intervention`].
#[derive(Debug, thiserror::Error)]
#[error(
    "unknown mask `{0}`: write none, all, three letters T (hidden) or F (kept) for instructions, examples and query, or the name \
     of a file of masks"
)]
pub struct UnknownMask(pub String);

impl FromStr for Intervention {
    type Err = UnknownMask;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.as_bytes() {
            b"FFF" => Err(UnknownMask(text.into())),
            b"all" => Ok(Self::All),
            name if name == ABLATION.as_bytes() => Ok(Self::Ablation),
            name if name == LORA.as_bytes() => Ok(Self::Lora),
            &[i, e, q] if [i, e, q].iter().all(|letter| b"TF".contains(letter)) => {
                Ok(Self::Segments { instructions: i == b'T', examples: e == b'T', query: q == b'T' })
            }
            b"none" => Err(UnknownMask(text.into())),
            _ => MaskName::new(text).map(Self::Rules).ok_or_else(|| UnknownMask(text.into())),
        }
    }
}

impl fmt::Display for Intervention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |hidden: bool| if hidden { 'T' } else { 'F' };
        match *self {
            Self::All => f.pad("all"),
            Self::Ablation => f.pad(ABLATION),
            Self::Lora => f.pad(LORA),
            Self::Rules(name) => name.fmt(f),
            Self::Segments { instructions, examples, query } => {
                f.pad(&[instructions, examples, query].map(letter).iter().collect::<String>())
            }
        }
    }
}

impl TryFrom<String> for Intervention {
    type Error = UnknownMask;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Intervention> for String {
    fn from(intervention: Intervention) -> Self {
        intervention.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interventions_are_written_as_in_the_paper() {
        for text in [
            "all",
            "TTF",
            "FTF",
            "FFT",
            "TTT",
            "TFF",
            "ablate-attention",
            "lora",
            "mine",
            "hide=query+window=2",
        ] {
            assert_eq!(text.parse::<Intervention>().unwrap().to_string(), text);
        }
        for text in ["", "none", "FFF", "Ünf", "a/b"] {
            assert!(text.parse::<Intervention>().is_err(), "{text}");
        }
    }
}
