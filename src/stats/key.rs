//! What a curve is of.

use serde::Serialize;

use crate::intervene::Intervention;
use crate::results::Settings;

/// What a curve is of, within its panel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct CurveKey {
    /// What is done.
    #[serde(rename = "mask")]
    pub intervention: Intervention,
    /// Name of the prompt format.
    pub format: String,
    /// The format writes instructions.
    pub instructed: bool,
    /// Number of demonstrations.
    pub nprompts: usize,
    /// Pairs that the adapters were trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_size: Option<usize>,
    /// What was changed in the prompts themselves, as the command line writes it; empty for nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub vary: String,
}

impl CurveKey {
    /// The curve of an intervention in a run of these settings.
    pub fn of(settings: &Settings, intervention: Intervention) -> Self {
        let vary = settings.vary.as_ref();
        Self {
            intervention,
            format: settings.format.clone(),
            instructed: !settings.format_strings.header.is_empty(),
            nprompts: vary.and_then(|vary| vary.keep).unwrap_or(settings.nprompts),
            train_size: settings.lora.as_ref().map(|lora| lora.training.train_size),
            vary: vary.map(ToString::to_string).unwrap_or_default(),
        }
    }

    /// What is hidden of a prompt, in words: `the instructions and examples`.
    pub fn hides(&self) -> String {
        let (instructions, examples, query) = match self.intervention {
            Intervention::Segments { instructions, examples, query } => (instructions, examples, query),
            Intervention::All => return "every other token".into(),
            Intervention::Rules(name) => return format!("what `{name}` hides"),
            Intervention::Ablation | Intervention::Lora => return "nothing".into(),
        };
        let parts = [
            (instructions && self.instructed, "instructions"),
            (examples && self.nprompts > 0, "examples"),
            (query, "query"),
        ];
        let named: Vec<&str> = parts.iter().filter(|(there, _)| *there).map(|(_, name)| *name).collect();
        match named.as_slice() {
            [] => "nothing".into(),
            [one] => format!("the {one}"),
            [one, other] => format!("the {one} and {other}"),
            [most @ .., last] => format!("the {} and {last}", most.join(", ")),
        }
    }
}
