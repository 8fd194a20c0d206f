//! Interventions as they are written: three letters of the paper, `none`, `all`, one layer's ablation, one layer's adapter.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Change, Columns, Plan};
use crate::prompt::Prompt;

/// What is done to the attention: the parts of a prompt that are hidden, as the paper writes them (three letters T/F for
/// instructions, examples and query, or `none`, or `all`: every column but the row's own), or one layer's attention
/// taken out (`ablate-attention`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Treatment {
    /// The unmasked baseline.
    #[default]
    None,
    /// At least one segment is hidden.
    Segments { instructions: bool, examples: bool, query: bool },
    /// Every column but the row's own.
    All,
    /// No segment is hidden, but one layer has no attention; its MLP stays.
    Ablation,
    /// No segment is hidden, but one layer has an adapter that was trained for it.
    Lora,
}

impl Treatment {
    /// What its layer says of it.
    pub fn kind(self) -> Kind {
        match self {
            Self::None | Self::Segments { .. } | Self::All => Kind::Masks,
            Self::Ablation => Kind::Ablation,
            Self::Lora => Kind::Lora,
        }
    }

    /// What it changes in a run of this prompt.
    pub fn change(self, prompt: &Prompt) -> Change {
        match self {
            Self::None => Change::Hide(Columns::default()),
            Self::All => Change::OnlySelf,
            Self::Ablation => Change::NoAttention,
            Self::Lora => Change::Adapt,
            Self::Segments { instructions, examples, query } => {
                Change::Hide(Columns::new(prompt.columns(instructions, examples, query)))
            }
        }
    }

    /// The edits that it makes to a run of this prompt: from a layer on, or an ablation and an adapter at that layer alone.
    pub fn plan(self, prompt: &Prompt, layer: usize) -> Plan {
        match self.kind() {
            Kind::Masks => Plan::from_layer(layer, self.change(prompt)),
            Kind::Ablation | Kind::Lora => Plan::at_layer(layer, self.change(prompt)),
        }
    }
}

/// Treatments whose curves belong into one chart, since their layers mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The first layer that hides something: curves end at the baseline.
    Masks,
    /// The layer without attention.
    Ablation,
    /// The layer with an adapter.
    Lora,
}

/// The name of an ablation in files, the same as of its flag.
pub const ABLATION: &str = "ablate-attention";

/// The name of a layer's adapter in files, the same as of the verb that trains it.
pub const LORA: &str = "lora";

/// Not a treatment: see [`Treatment`].
#[derive(Debug, thiserror::Error)]
#[error(
    "unknown mask `{0}`: write none, all, or three letters T (hidden) or F (kept) for instructions, examples and query"
)]
pub struct UnknownTreatment(String);

impl FromStr for Treatment {
    type Err = UnknownTreatment;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hides = |letter: u8| match letter {
            b'T' => Ok(true),
            b'F' => Ok(false),
            _ => Err(UnknownTreatment(text.into())),
        };
        match text.as_bytes() {
            b"none" | b"FFF" => Ok(Self::None),
            b"all" => Ok(Self::All),
            name if name == ABLATION.as_bytes() => Ok(Self::Ablation),
            name if name == LORA.as_bytes() => Ok(Self::Lora),
            &[i, e, q] => {
                Ok(Self::Segments { instructions: hides(i)?, examples: hides(e)?, query: hides(q)? })
            }
            _ => Err(UnknownTreatment(text.into())),
        }
    }
}

impl fmt::Display for Treatment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |hidden: bool| if hidden { 'T' } else { 'F' };
        match *self {
            Self::None => f.pad("none"),
            Self::All => f.pad("all"),
            Self::Ablation => f.pad(ABLATION),
            Self::Lora => f.pad(LORA),
            Self::Segments { instructions, examples, query } => {
                f.pad(&[instructions, examples, query].map(letter).iter().collect::<String>())
            }
        }
    }
}

impl TryFrom<String> for Treatment {
    type Error = UnknownTreatment;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Treatment> for String {
    fn from(treatment: Treatment) -> Self {
        treatment.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn treatments_are_written_as_in_the_paper() {
        for text in ["none", "all", "TTF", "FTF", "FFT", "TTT", "TFF", "ablate-attention"] {
            assert_eq!(text.parse::<Treatment>().unwrap().to_string(), text);
        }
        assert_eq!("FFF".parse::<Treatment>().unwrap(), Treatment::None);
        for text in ["", "TT", "TTX", "ttf", "TTFF", "Ünf"] {
            assert!(text.parse::<Treatment>().is_err(), "{text}");
        }
    }
}
