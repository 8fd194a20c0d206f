//! Short answers: whether an answer is one of the right ones, holds one, shares words with one, or is the same number.
//!
//! Exact match and F1 equal SQuAD's and lm-evaluation-harness', as the goldens show.

mod extract;
mod normalise;
mod number;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::python::{strip, words};
use crate::base::error::input;
pub use extract::{Extract, INVALID};
pub use normalise::Normalise;
pub use number::{is_near, number};

/// Which of several matches or numbers is the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pick {
    /// The first.
    #[default]
    First,
    /// The last.
    Last,
}

/// How an answer is compared with the right ones.
///
/// In YAML it is a mapping: `normalise: squad` (or `none`, or a list of steps), `extract: PATTERN`, `pick: last`,
/// `tolerance: 0.05`. Each may be missing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct AnswerRule {
    /// What answers may differ in.
    pub normalise: Normalise,
    /// What is taken out of an answer before it is compared; right answers are compared whole.
    pub extract: Option<Extract>,
    /// Where it is set, numbers are compared too: the largest difference from the right number, as a part of that.
    pub tolerance: Option<f64>,
    /// Which match of `extract` counts, and which number of a text.
    pub which: Pick,
}

/// How an answer compares with the right ones: for each measure, with the one that it agrees with best.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// It is a right answer, both normalised.
    pub exact: bool,
    /// It holds a right answer, both normalised. An empty right answer is held by an empty answer only.
    pub contains: bool,
    /// F1 of the words that it shares with a right answer, 0 to 1.
    pub f1: f64,
    /// Its number is near enough to that of a right answer; absent where no number is asked for, that is, without a tolerance
    /// or where no right answer holds a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<bool>,
}

impl AnswerRule {
    /// Compares an answer with the right ones. Without any, nothing is right.
    ///
    /// # Errors
    /// The search for `extract` in this answer was given up.
    pub fn judge(&self, answer: &str, right: &[String]) -> anyhow::Result<Answer> {
        let extracted = self.extract.as_ref().map(|extract| extract.apply(answer, self.which)).transpose()?;
        let answer = extracted.as_deref().unwrap_or(answer);
        let ours = self.normalise.apply(answer);
        let mut judged =
            Answer { exact: false, contains: false, f1: 0., number: self.judge_number(answer, right) };
        for right in right {
            let theirs = self.normalise.apply(right);
            judged.exact |= ours == theirs;
            judged.contains |= if theirs.is_empty() { ours.is_empty() } else { ours.contains(&theirs) };
            judged.f1 = judged.f1.max(token_f1(&ours, &theirs));
        }
        Ok(judged)
    }

    fn judge_number(&self, answer: &str, right: &[String]) -> Option<bool> {
        let tolerance = self.tolerance?;
        let right: Vec<f64> = right.iter().filter_map(|right| number(right, self.which)).collect();
        let found = number(answer, self.which);
        let near = |right: &f64| found.is_some_and(|found| is_near(found, *right, tolerance));
        (!right.is_empty()).then(|| right.iter().any(near))
    }
}

/// SQuAD's F1 of the words of two texts that are normalised already. Two texts without words agree.
pub fn token_f1(answer: &str, right: &str) -> f64 {
    let (ours, theirs): (Vec<&str>, Vec<&str>) = (words(answer).collect(), words(right).collect());
    if ours.is_empty() || theirs.is_empty() {
        return f64::from(u8::from(ours == theirs));
    }
    let mut left: HashMap<&str, usize> = HashMap::new();
    for word in &theirs {
        *left.entry(word).or_default() += 1;
    }
    let mut same = 0;
    for word in &ours {
        if let Some(count) = left.get_mut(word).filter(|count| **count > 0) {
            *count -= 1;
            same += 1;
        }
    }
    if same == 0 {
        return 0.;
    }
    let (precision, recall) = (f64::from(same) / ours.len() as f64, f64::from(same) / theirs.len() as f64);
    2. * precision * recall / (precision + recall)
}

/// The first line of a text that is not empty, without white space around it.
pub fn first_line(text: &str) -> &str {
    let text = strip(text);
    strip(text.split(['\n', '\r']).next().unwrap_or(text))
}

/// As files hold a rule.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    normalise: Normalise,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    extract: Option<String>,
    #[serde(default)]
    pick: Pick,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tolerance: Option<f64>,
}

impl TryFrom<Written> for AnswerRule {
    type Error = anyhow::Error;

    fn try_from(written: Written) -> anyhow::Result<Self> {
        let Written { normalise, extract, pick, tolerance } = written;
        if let Some(wrong) = tolerance.filter(|tolerance| !tolerance.is_finite() || *tolerance < 0.) {
            return Err(input(format!(
                "tolerance: {wrong} is no tolerance; give a finite number, 0 or more"
            )));
        }
        let extract = extract.as_deref().map(Extract::new).transpose()?;
        Ok(Self { normalise, extract, tolerance, which: pick })
    }
}

impl From<AnswerRule> for Written {
    fn from(rule: AnswerRule) -> Self {
        let AnswerRule { normalise, extract, tolerance, which } = rule;
        let extract = extract.map(|extract| extract.written().to_owned());
        Self { normalise, extract, pick: which, tolerance }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(yaml: &str) -> AnswerRule {
        serde_yaml::from_str(yaml).expect("is valid")
    }

    fn right(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| text.to_string()).collect()
    }

    #[test]
    fn the_best_of_several_right_answers_counts() {
        let squad = rule("normalise: squad");
        let judged = squad.judge("The red fox.", &right(&["a dog", "red fox", "fox"])).expect("is judged");
        assert_eq!(judged, Answer { exact: true, contains: true, f1: 1., number: None });
        let judged = squad.judge("a quick red fox", &right(&["red dog", "blue"])).expect("is judged");
        assert_eq!((judged.exact, judged.contains), (false, false));
        assert!((judged.f1 - 0.4).abs() < 1e-12);
        let judged = squad.judge("anything", &[]).expect("is judged");
        assert_eq!(judged, Answer { exact: false, contains: false, f1: 0., number: None });
        let judged = squad.judge("the", &right(&[""])).expect("is judged");
        assert!(judged.exact && judged.contains && judged.f1 == 1.);
        assert!(!squad.judge("x", &right(&["a"])).expect("is judged").contains);
    }

    #[test]
    fn a_number_is_asked_for_where_a_right_answer_holds_one() {
        let rule = rule("{tolerance: 0.05, pick: last}");
        let number =
            |answer: &str, texts: &[&str]| rule.judge(answer, &right(texts)).expect("is judged").number;
        assert_eq!(number("of 7, about 1,040", &["1000"]), Some(true));
        assert_eq!(number("about 1,060", &["1000", "$1,100"]), Some(true));
        assert_eq!(number("many", &["1000"]), Some(false));
        assert_eq!(number("3", &["three"]), None);
        assert_eq!(AnswerRule::default().judge("3", &right(&["3"])).expect("is judged").number, None);
    }

    #[test]
    fn what_is_extracted_is_compared() {
        let rule = rule(r#"{normalise: [case], extract: "answer is (\\S+)", pick: last}"#);
        let judged = rule.judge("The answer is A, no, the answer is b", &right(&["B"])).expect("is judged");
        assert!(judged.exact);
        assert!(rule.judge("b", &right(&[INVALID])).expect("is judged").exact);
    }

    #[test]
    fn a_rule_is_written_as_it_is_read() {
        let rule = rule(r#"{normalise: squad, extract: "(\\d+)", pick: last, tolerance: 0.05}"#);
        let json = serde_json::to_string(&rule).expect("serialises");
        assert_eq!(json, r#"{"normalise":"squad","extract":"(\\d+)","pick":"last","tolerance":0.05}"#);
        assert_eq!(serde_json::from_str::<AnswerRule>(&json).expect("reads back"), rule);
        for (yaml, said) in [
            ("tolerance: -1", "tolerance: -1 is no tolerance"),
            ("tolerance: .nan", "is no tolerance"),
            ("extract: '('", "is no regular expression"),
            ("pick: middle", "middle"),
            ("normalize: squad", "normalize"),
        ] {
            let error = serde_yaml::from_str::<AnswerRule>(yaml).expect_err("is invalid").to_string();
            assert!(error.contains(said), "{yaml}: {error}");
        }
    }

    #[test]
    fn the_first_line_is_the_first_with_something_in_it() {
        assert_eq!(first_line(" \n  Paris \r\nQ: next"), "Paris");
        assert_eq!(first_line(" \n "), "");
    }
}
