//! What a task of `configs/task/` asks, beside what its kind says: its name, its options, the measure that its curves show.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::base::error::input;
use crate::data::Example;
use crate::score::AnswerRule;

/// What is asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The task's name, which folders of results bear.
    pub name: String,
    /// What every item's answer is chosen from; empty where the items have options of their own, or none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// What the corpus writes for each option, where that is not the option itself: `{"0": "negative", "1": "positive"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How a generated answer is compared with the right ones; nothing where it is compared as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<AnswerRule>,
    /// What of a generated text is the answer.
    #[serde(default, skip_serializing_if = "Take::is_line")]
    pub take: Take,
    /// Demonstrations hold each label equally often.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub balanced: bool,
    /// The measure that curves show where no other is asked for; empty for the kind's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub metric: String,
}

/// What of a generated text, up to where the answer ends, is compared with the right answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Take {
    /// Its first line with something in it.
    #[default]
    Line,
    /// All of it.
    Text,
}

impl Take {
    fn is_line(&self) -> bool {
        *self == Self::Line
    }
}

impl Asked {
    /// A task of this name that asks nothing more.
    pub fn plain(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// An example as the task asks it: with the options, and with the answers that the corpus writes as labels.
    pub fn applied(&self, example: &mut Example) {
        let answers = std::iter::once(&mut example.target).chain(&mut example.also_right);
        for answer in answers {
            if let Some(asked) = self.labels.get(answer.trim()) {
                *answer = asked.clone();
            }
        }
        if !self.options.is_empty() {
            example.options = self.options.clone();
        }
    }

    /// Refuse an item that cannot be answered by choosing one of its options.
    ///
    /// # Errors
    /// It has no options, equal ones, or not exactly one right one.
    pub fn check_choice(&self, item: &Example) -> Result<()> {
        let refuse = |what: String| Err(input(format!("item {}: {what}", item.id)));
        if item.options.is_empty() {
            return refuse(
                "has no options to choose from; give it a list `options` in the corpus, or name them for all items in a task \
                 file (`options:`)"
                    .into(),
            );
        }
        if let [only] = item.options.as_slice() {
            return refuse(format!(
                "has the one option `{}`, so there is nothing to choose; add others",
                only.trim()
            ));
        }
        let mut seen = std::collections::HashSet::new();
        if let Some(twice) = item.options.iter().find(|option| !seen.insert(option.trim())) {
            return refuse(format!("has the option `{}` twice; take one of them out", twice.trim()));
        }
        let right: Vec<usize> = right(item);
        match right.len() {
            1 => Ok(()),
            0 => refuse(format!(
                "its answer `{}` is none of its options ({}); add it to them, or mend `target`",
                item.target.trim(),
                listed(&item.options)
            )),
            count => {
                refuse(format!("{count} of its options are right, but one is to be chosen; keep one of them"))
            }
        }
    }
}

/// The options of an item that are right answers, by their numbers.
pub(super) fn right(item: &Example) -> Vec<usize> {
    let is_right = |option: &String| item.right().any(|right| right.trim() == option.trim());
    (0..item.options.len()).filter(|&at| is_right(&item.options[at])).collect()
}

/// The first few of many.
fn listed(options: &[String]) -> String {
    const LISTED: usize = 6;
    let first: Vec<&str> = options.iter().take(LISTED).map(|option| option.trim()).collect();
    let more = options.len().saturating_sub(LISTED);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", first.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(target: &str, options: &[&str]) -> Example {
        let options = options.iter().map(|option| option.to_string()).collect();
        Example { id: "7".into(), target: target.into(), options, ..Example::default() }
    }

    #[test]
    fn an_item_has_one_right_option() {
        let said =
            |item: Example| Asked::plain("choice").check_choice(&item).map_err(|error| error.to_string());
        assert_eq!(said(item("yes ", &["no", "yes"])), Ok(()));
        for (item, says) in [
            (item("yes", &[]), "item 7: has no options to choose from"),
            (item("yes", &["yes"]), "item 7: has the one option `yes`"),
            (item("yes", &["yes", " yes"]), "item 7: has the option `yes` twice"),
            (item("maybe", &["yes", "no"]), "its answer `maybe` is none of its options (yes, no)"),
            (
                Example { also_right: vec!["no".into()], ..item("yes", &["yes", "no"]) },
                "2 of its options are right",
            ),
        ] {
            let said = said(item).expect_err(says);
            assert!(said.contains(says), "{said}");
        }
    }

    #[test]
    fn labels_of_the_corpus_become_options() {
        let labels = [("0", "negative"), ("1", "positive")].map(|(a, b)| (a.to_string(), b.to_string()));
        let options = vec!["negative".to_string(), "positive".to_string()];
        let asked = Asked { options, labels: labels.into(), ..Asked::plain("reviews") };
        let mut example = item("1", &[]);
        asked.applied(&mut example);
        assert_eq!((example.target.as_str(), example.options.len()), ("positive", 2));
        assert!(asked.check_choice(&example).is_ok());
    }
}
