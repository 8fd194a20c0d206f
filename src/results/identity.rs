//! How files write which condition a result is of, and of which version they are.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::intervene::{Condition, Series};

/// What the fields of a results file mean, as a number that grows when a meaning changes. Files of version 0.1 name none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Schema(u32);

impl Schema {
    /// What this version writes: since 2, score files hold a `condition`.
    pub const NOW: Self = Self(2);

    /// What version 0.1 wrote.
    pub fn first() -> Self {
        Self(1)
    }
}

impl TryFrom<u32> for Schema {
    type Error = String;

    fn try_from(number: u32) -> Result<Self, String> {
        match (1..=Self::NOW.0).contains(&number) {
            true => Ok(Self(number)),
            false => Err(format!(
                "schema {number} is not known: this version of icl-mask reads 1 to {}",
                Self::NOW.0
            )),
        }
    }
}

impl From<Schema> for u32 {
    fn from(schema: Schema) -> Self {
        schema.0
    }
}

/// The condition that a score file is of, in a model of so many layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenIdentity", into = "WrittenIdentity")]
pub struct Identity {
    /// The condition.
    pub condition: Condition,
    /// Layers of the model.
    pub n_layers: usize,
}

/// An identity as score files write it. `mask` and `from_layer` are what version 0.1 wrote, and what scripts read.
#[derive(Serialize, Deserialize)]
struct WrittenIdentity {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    condition: Option<WrittenCondition>,
    mask: Series,
    from_layer: usize,
    n_layers: usize,
}

/// `{"series": "TTF", "layer": 14}`; the baseline has no layer.
#[derive(PartialEq, Serialize, Deserialize)]
struct WrittenCondition {
    series: Series,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layer: Option<usize>,
}

impl From<Condition> for WrittenCondition {
    fn from(condition: Condition) -> Self {
        Self { series: condition.series(), layer: condition.layer() }
    }
}

impl From<Identity> for WrittenIdentity {
    fn from(Identity { condition, n_layers }: Identity) -> Self {
        Self {
            condition: Some(condition.into()),
            mask: condition.series(),
            from_layer: condition.start(n_layers),
            n_layers,
        }
    }
}

impl TryFrom<WrittenIdentity> for Identity {
    type Error = String;

    fn try_from(written: WrittenIdentity) -> Result<Self, String> {
        let WrittenIdentity { condition: said, mask, from_layer, n_layers } = written;
        let condition = mask.at(from_layer);
        let agrees = said.is_none_or(|said| said == WrittenCondition::from(condition));
        let inside = match condition {
            Condition::Baseline => from_layer == n_layers && n_layers > 0,
            Condition::At { layer, .. } => layer < n_layers,
        };
        match (agrees, inside) {
            (true, true) => Ok(Self { condition, n_layers }),
            (true, false) => Err(format!(
                "says that it is {mask} from layer {from_layer}, in a model of {n_layers} layers"
            )),
            (false, _) => {
                Err(format!("says that it is {mask} from layer {from_layer}, and another condition"))
            }
        }
    }
}

/// The conditions that were asked for in a run's folder, as the manifest writes them: the start layers of each series, for the
/// baseline the number of layers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConditionList(BTreeMap<Series, BTreeSet<usize>>);

impl ConditionList {
    /// One more, in a model of so many layers.
    pub fn add(&mut self, condition: Condition, n_layers: usize) {
        self.0.entry(condition.series()).or_default().insert(condition.start(n_layers));
    }

    /// None, as in manifests that were written before conditions were noted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, baseline first.
    pub fn conditions(&self) -> impl Iterator<Item = Condition> + '_ {
        self.0.iter().flat_map(|(series, layers)| layers.iter().map(|&layer| series.at(layer)))
    }

    /// Layers of the model, where the baseline is among them.
    pub fn n_layers(&self) -> Option<usize> {
        self.0.get(&Series::Baseline)?.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_as_both_versions_write_it() {
        let read = |text: &str| serde_json::from_str::<Identity>(text).map_err(|error| error.to_string());
        let old = read(r#"{"mask":"TTF","from_layer":1,"n_layers":4}"#).expect("of version 0.1");
        assert_eq!((old.condition.layer(), old.n_layers), (Some(1), 4));
        let new = r#"{"condition":{"series":"TTF","layer":1},"mask":"TTF","from_layer":1,"n_layers":4}"#;
        assert_eq!(serde_json::to_string(&old).expect("written"), new);
        assert_eq!(read(new), Ok(old));
        let baseline = r#"{"condition":{"series":"none"},"mask":"none","from_layer":4,"n_layers":4}"#;
        assert_eq!(serde_json::to_string(&read(baseline).expect("read")).expect("written"), baseline);
        for wrong in [
            r#"{"condition":{"series":"TTF","layer":2},"mask":"TTF","from_layer":1,"n_layers":4}"#,
            r#"{"condition":{"series":"FTF","layer":1},"mask":"TTF","from_layer":1,"n_layers":4}"#,
            r#"{"mask":"TTF","from_layer":4,"n_layers":4}"#,
            r#"{"mask":"none","from_layer":3,"n_layers":4}"#,
            r#"{"mask":"none","from_layer":0,"n_layers":0}"#,
        ] {
            let said = read(wrong).expect_err(wrong);
            assert!(said.contains("says that it is"), "{said}");
        }
    }

    #[test]
    fn a_later_schema_is_refused() {
        assert_eq!(serde_json::from_str::<Schema>("2").expect("known"), Schema::NOW);
        for number in ["0", "3", "-1"] {
            assert!(serde_json::from_str::<Schema>(number).is_err(), "{number}");
        }
    }

    #[test]
    fn what_was_asked_for_is_kept_by_series() {
        let mut asked = ConditionList::default();
        assert!(asked.is_empty() && asked.n_layers().is_none());
        let masked = "TTF".parse::<Series>().expect("a mask");
        for condition in [masked.at(2), Condition::Baseline, masked.at(0)] {
            asked.add(condition, 4);
        }
        assert_eq!(serde_json::to_string(&asked).expect("written"), r#"{"none":[4],"TTF":[0,2]}"#);
        let conditions: Vec<Condition> = asked.conditions().collect();
        assert_eq!(conditions, [Condition::Baseline, masked.at(0), masked.at(2)]);
        assert_eq!(asked.n_layers(), Some(4));
    }
}
