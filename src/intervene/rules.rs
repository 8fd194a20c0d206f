//! Masks that are written as rules: which spans are hidden, from which rows, at which layers, from which generated token on.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Change, Columns, Edit, MaskName, Plan};
use crate::prompt::{BadSpan, Prompt, SpanName};

/// Spans that are meant, and spans that are left out of these.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpanList {
    spans: Vec<SpanName>,
    without: Vec<SpanName>,
}

/// At which layers a rule hides, by the layer of its condition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reach {
    /// From that layer on.
    #[default]
    From,
    /// At this number of layers. The layer of the condition is the first of them.
    Window(usize),
}

/// One rule of a mask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What is hidden.
    pub hide: SpanList,
    /// From which rows; from all, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readers: Option<SpanList>,
    /// At which layers.
    #[serde(default, skip_serializing_if = "is_from")]
    pub layers: Reach,
    /// From the row on that chooses this generated token, counted from 0; from all rows, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Steps>,
}

/// From which generated token on: `2..`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steps(pub usize);

/// A mask: what its rules hide together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rules(pub Vec<Rule>);

/// Masks by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Masks(BTreeMap<MaskName, Rules>);

/// Why a mask has no plan for a prompt.
#[derive(Debug, thiserror::Error)]
pub enum NoPlan {
    /// The prompt has no such span.
    #[error("the prompt has no `{name}`; it has {}", known.join(", "))]
    NoSpan {
        /// What was named.
        name: SpanName,
        /// What could have been.
        known: Vec<String>,
    },
    /// No rules of the mask are known.
    #[error("no rules of the mask `{0}` are known")]
    Unknown(MaskName),
}

impl Rules {
    /// The edits that they make to a run of this prompt.
    ///
    /// # Errors
    /// The prompt has no span of a name that is written.
    pub fn plan(&self, prompt: &Prompt, layer: usize) -> Result<Plan, NoPlan> {
        let edits = self.0.iter().map(|rule| rule.edit(prompt, layer));
        Ok(Plan::new(edits.collect::<Result<Vec<_>, _>>()?))
    }

    /// The window that all rules have, if they have one.
    pub fn window(&self) -> Option<usize> {
        let mut windows = self.0.iter().map(|rule| match rule.layers {
            Reach::Window(layers) => Some(layers),
            Reach::From => None,
        });
        let first = windows.next().flatten()?;
        windows.all(|window| window == Some(first)).then_some(first)
    }
}

impl Rule {
    fn edit(&self, prompt: &Prompt, layer: usize) -> Result<Edit, NoPlan> {
        let first = match self.steps {
            Some(Steps(step)) => (prompt.tokens.len() - 1).saturating_add(step),
            None => 0,
        };
        let rows = match &self.readers {
            Some(readers) => readers.positions(prompt)?,
            None => Columns::all(),
        };
        Ok(Edit {
            layers: match self.layers {
                Reach::From => layer..usize::MAX,
                Reach::Window(layers) => layer..layer.saturating_add(layers),
            },
            rows: rows.within(&(first..usize::MAX)),
            change: Change::Hide(self.hide.positions(prompt)?),
        })
    }
}

impl Masks {
    /// One more.
    pub fn add(&mut self, name: MaskName, rules: Rules) {
        self.0.insert(name, rules);
    }

    /// What a mask does.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn get(&self, name: MaskName) -> Result<&Rules, NoPlan> {
        self.0.get(&name).ok_or(NoPlan::Unknown(name))
    }

    /// None at all?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (MaskName, &Rules)> {
        self.0.iter().map(|(name, rules)| (*name, rules))
    }
}

impl SpanList {
    /// The positions that it means in a prompt.
    fn positions(&self, prompt: &Prompt) -> Result<Columns, NoPlan> {
        let all = |names: &[SpanName]| -> Result<Columns, NoPlan> {
            let ranges = names.iter().map(|name| {
                prompt.positions(name).ok_or_else(|| NoPlan::NoSpan {
                    name: name.clone(),
                    known: prompt.names().into_iter().map(|(name, _)| name.to_string()).collect(),
                })
            });
            Ok(Columns::new(ranges.collect::<Result<Vec<_>, _>>()?.into_iter().flatten()))
        };
        Ok(all(&self.spans)?.but(&all(&self.without)?))
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(Rule::to_string).collect::<Vec<_>>().join("; "))
    }
}

/// `examples,-examples[0]`
impl FromStr for SpanList {
    type Err = BadSpan;

    fn from_str(text: &str) -> Result<Self, BadSpan> {
        let mut list = Self::default();
        for word in text.split(',').map(str::trim) {
            match word.strip_prefix('-') {
                Some(word) => list.without.push(word.parse()?),
                None => list.spans.push(word.parse()?),
            }
        }
        if list.spans.is_empty() { Err(BadSpan(text.into())) } else { Ok(list) }
    }
}

impl fmt::Display for SpanList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let without = self.without.iter().map(|name| format!("-{name}"));
        let words: Vec<String> = self.spans.iter().map(SpanName::to_string).chain(without).collect();
        f.write_str(&words.join(","))
    }
}

/// As the command line writes it: `hide=examples+readers=last+window=5+steps=0..`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hide={}", self.hide)?;
        if let Some(readers) = &self.readers {
            write!(f, "+readers={readers}")?;
        }
        if let Reach::Window(layers) = self.layers {
            write!(f, "+window={layers}")?;
        }
        self.steps.map_or(Ok(()), |steps| write!(f, "+steps={steps}"))
    }
}

impl FromStr for Steps {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let number = word.strip_suffix("..").and_then(|number| number.parse().ok());
        number.map(Self).ok_or_else(|| format!("`{word}` is not a step to begin with; write 0.., or 3.."))
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..", self.0)
    }
}

impl FromStr for Reach {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let window = word.strip_prefix("window ").and_then(|layers| layers.trim().parse().ok());
        match (word, window) {
            ("from", _) => Ok(Self::From),
            (_, Some(layers)) if layers > 0 => Ok(Self::Window(layers)),
            _ => Err(format!("`{word}` is not a reach of layers; write from, or window 5 for five layers")),
        }
    }
}

fn is_from(reach: &Reach) -> bool {
    *reach == Reach::From
}

impl Serialize for Reach {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::From => out.serialize_str("from"),
            Self::Window(layers) => out.serialize_str(&format!("window {layers}")),
        }
    }
}

impl Serialize for Steps {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl Serialize for SpanList {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reach {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Steps {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(de::Error::custom)
    }
}

/// A word, or a list of them.
#[derive(Deserialize)]
#[serde(untagged, expecting = "spans are a list of names")]
enum Words {
    One(String),
    Several(Vec<String>),
}

impl<'de> Deserialize<'de> for SpanList {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = match Words::deserialize(input)? {
            Words::One(text) => text,
            Words::Several(words) => words.join(","),
        };
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Result<Rule, String> {
        serde_yaml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn rules_are_written_as_they_are_read() {
        for (text, written) in [
            ("hide: examples", "hide=examples"),
            ("hide: [examples.outputs, query]\nreaders: last", "hide=examples.outputs,query+readers=last"),
            ("hide: 'examples, -examples[1]'\nlayers: window 5", "hide=examples,-examples[1]+window=5"),
            ("hide: document\nsteps: 2..\nlayers: from", "hide=document+steps=2.."),
        ] {
            let read = rule(text).expect(text);
            assert_eq!(read.to_string(), written);
            let again: Rule =
                serde_json::from_value(serde_json::to_value(&read).expect("written")).expect("read");
            assert_eq!(again, read);
        }
        for (text, says) in [
            ("readers: last", "missing field `hide`"),
            ("hide: examples[", "`examples[` is not the name of a span"),
            ("hide: '-examples'", "is not the name of a span"),
            ("hide: examples\nlayers: window 0", "is not a reach of layers"),
            ("hide: examples\nlayers: 5", "is not a reach of layers"),
            ("hide: examples\nsteps: 2", "is not a step to begin with"),
            ("hide: examples\nheads: 1.2", "unknown field `heads`"),
            ("hide: {a: b}", "spans are a list of names"),
        ] {
            let said = rule(text).expect_err(text);
            assert!(said.contains(says), "{text}: {said}");
        }
    }

    #[test]
    fn a_window_is_one_that_all_rules_have() {
        let rules = |texts: &[&str]| Rules(texts.iter().map(|text| rule(text).expect(text)).collect());
        assert_eq!(
            rules(&["hide: query\nlayers: window 2", "hide: bos\nlayers: window 2"]).window(),
            Some(2)
        );
        assert_eq!(rules(&["hide: query\nlayers: window 2", "hide: bos"]).window(), None);
        assert_eq!(rules(&[]).window(), None);
    }
}
