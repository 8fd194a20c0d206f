//! Variations of a prompt: what changes in the prompt itself, before any mask. Demonstrations with wrong answers, fewer of them,
//! other instructions, another order of its parts.

use std::fmt;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::base::error::input;
use crate::base::hash::Hash;
use crate::base::random::SplitMix64;
use crate::data::Example;

/// What changes in the prompts of a run. Nothing, by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variation {
    /// The demonstrations' answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Targets>,
    /// So many of the demonstrations are kept, the first ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<usize>,
    /// The order of its parts, where it is another than the usual one.
    #[serde(default, skip_serializing_if = "Order::is_usual")]
    pub order: Order,
    /// Other instructions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<Instructions>,
}

/// In which order a prompt's parts follow each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Instructions, examples, query.
    #[default]
    QueryLast,
    /// Instructions, query, examples; then what the format writes before an answer.
    QueryFirst,
}

impl Order {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// What becomes of the demonstrations' answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Targets {
    /// They change places, so that as few as possible stay with their question.
    Shuffled,
    /// Each is drawn anew: from the options, or from the answers of all that demonstrations are drawn from.
    Random,
}

/// Instructions that take the place of the format's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Instructions {
    /// The file's name without its ending, for folders and figures.
    pub name: String,
    /// What they say.
    pub text: String,
}

/// Orders that a shuffle chooses among.
const SHUFFLES: usize = 100;

impl Variation {
    /// Whether nothing changes.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// What prompts of this variation have, and what the same prompts have without it, in words: `shuffled targets`,
    /// `the right ones`.
    pub fn words(&self) -> (String, &'static str) {
        let targets = self.targets.map(|targets| match targets {
            Targets::Shuffled => ("shuffled targets".to_string(), "the right ones"),
            Targets::Random => ("random targets".to_string(), "the right ones"),
        });
        let keep = self.keep.map(|keep| match keep {
            0 => ("no demonstrations".to_string(), "all of them"),
            1 => ("1 demonstration".to_string(), "all of them"),
            _ => (format!("{keep} demonstrations"), "all of them"),
        });
        let other = self.instructions.as_ref();
        let other = other.map(|other| (format!("instructions `{}`", other.name), "those of the format"));
        let order = (!self.order.is_usual()).then(|| ("the query first".to_string(), "the query last"));
        let mut all: Vec<(String, &str)> = [targets, keep, order, other].into_iter().flatten().collect();
        match all.len() {
            1 => all.remove(0),
            _ => {
                let all: Vec<String> = all.into_iter().map(|(words, _)| words).collect();
                (all.join(", "), "the prompt as it is")
            }
        }
    }

    /// Change drawn demonstrations; `pool` is what they were drawn from, by this seed.
    ///
    /// # Errors
    /// More are to be kept than there are; there are too few to shuffle.
    pub fn apply(&self, demonstrations: &mut Vec<Example>, pool: &[Example], seed: u32) -> Result<()> {
        if let Some(keep) = self.keep {
            ensure!(
                keep <= demonstrations.len(),
                input(format!(
                    "--vary keep={keep}: the prompt has {} demonstrations only; raise --nprompts or keep fewer",
                    demonstrations.len()
                ))
            );
            demonstrations.truncate(keep);
        }
        ensure!(
            self.order.is_usual() || !demonstrations.is_empty(),
            input(format!(
                "--vary {self}: the prompt has no demonstrations that could follow the query; raise --nprompts"
            ))
        );
        let Some(targets) = self.targets else { return Ok(()) };
        ensure!(
            !demonstrations.is_empty(),
            input(format!(
                "--vary {self}: the prompt has no demonstrations whose answers could change; raise --nprompts"
            ))
        );
        let mut random = generator(seed, demonstrations);
        let answers = match targets {
            Targets::Shuffled => shuffled(demonstrations, &mut random)?,
            Targets::Random => demonstrations.iter().map(|shown| drawn(shown, pool, &mut random)).collect(),
        };
        for (demonstration, answer) in demonstrations.iter_mut().zip(answers) {
            demonstration.target = answer;
            demonstration.also_right.clear();
        }
        Ok(())
    }
}

/// Random numbers that depend on the seed and on the demonstrations alone.
fn generator(seed: u32, demonstrations: &[Example]) -> SplitMix64 {
    let mut hash = Hash::default();
    hash.bytes(format!("vary {seed}"));
    demonstrations.iter().for_each(|shown| hash.bytes(format!("\n{}", shown.id)));
    SplitMix64::new(u64::from_str_radix(&hash.hex()[..16], 16).unwrap_or_default())
}

fn shuffled(demonstrations: &[Example], random: &mut SplitMix64) -> Result<Vec<String>> {
    let n = demonstrations.len();
    ensure!(
        n > 1,
        input(
            "--vary targets=shuffled: there are no two demonstrations whose answers could change places; raise --nprompts"
        )
    );
    let answer = |at: usize| demonstrations[at].target.as_str();
    let mut best: Option<(usize, Vec<usize>)> = None;
    for _ in 0..SHUFFLES {
        let mut order: Vec<usize> = (0..n).collect();
        for row in (1..n).rev() {
            order.swap(row, random.below(row as u64 + 1) as usize);
        }
        let stay = (0..n).filter(|&at| answer(at) == answer(order[at])).count();
        if best.as_ref().is_none_or(|(least, _)| stay < *least) {
            best = Some((stay, order));
        }
    }
    let order = best.map(|(_, order)| order).unwrap_or_default();
    Ok(order.into_iter().map(|at| answer(at).to_string()).collect())
}

fn drawn(shown: &Example, pool: &[Example], random: &mut SplitMix64) -> String {
    match shown.options.is_empty() {
        true => pool[random.below(pool.len() as u64) as usize].target.clone(),
        false => shown.options[random.below(shown.options.len() as u64) as usize].clone(),
    }
}

/// As the command line writes it: `targets=shuffled+keep=3`; `none` where nothing changes.
impl fmt::Display for Variation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let targets = self.targets.map(|targets| match targets {
            Targets::Shuffled => "targets=shuffled".to_string(),
            Targets::Random => "targets=random".to_string(),
        });
        let keep = self.keep.map(|keep| format!("keep={keep}"));
        let order = (!self.order.is_usual()).then(|| "order=query-first".to_string());
        let instructions = self.instructions.as_ref().map(|other| format!("instructions={}", other.name));
        let all: Vec<String> = [targets, keep, order, instructions].into_iter().flatten().collect();
        f.pad(if all.is_empty() { "none".into() } else { all.join("+") }.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(targets: &[&str]) -> Vec<Example> {
        let one = |(at, target): (usize, &&str)| Example {
            id: at.to_string(),
            target: target.to_string(),
            also_right: vec!["x".into()],
            ..Example::default()
        };
        targets.iter().enumerate().map(one).collect()
    }

    fn targets(variation: &Variation, mut some: Vec<Example>, seed: u32) -> Vec<String> {
        let pool = shown(&["p", "q", "r"]);
        variation.apply(&mut some, &pool, seed).expect("applied");
        some.into_iter().map(|shown| shown.target).collect()
    }

    #[test]
    fn a_variation_is_said_in_words() {
        let said = |targets, keep| Variation { targets, keep, ..Variation::default() }.words();
        assert_eq!(said(Some(Targets::Shuffled), None), ("shuffled targets".into(), "the right ones"));
        assert_eq!(said(None, Some(1)), ("1 demonstration".into(), "all of them"));
        let first = Variation { order: Order::QueryFirst, ..Variation::default() };
        assert_eq!(first.words(), ("the query first".into(), "the query last"));
        let both = ("random targets, 3 demonstrations".into(), "the prompt as it is");
        assert_eq!(said(Some(Targets::Random), Some(3)), both);
    }

    #[test]
    fn shuffled_answers_change_places() {
        let shuffle = Variation { targets: Some(Targets::Shuffled), ..Variation::default() };
        let all = ["a", "b", "c", "d", "e"];
        for seed in 0..20 {
            let found = targets(&shuffle, shown(&all), seed);
            assert!(found.iter().zip(all).all(|(found, was)| found != was), "{found:?}");
            let mut sorted = found.clone();
            sorted.sort();
            assert_eq!(sorted, all);
            assert_eq!(found, targets(&shuffle, shown(&all), seed));
        }
        // With two labels three of five cannot all change.
        let found = targets(&shuffle, shown(&["a", "a", "a", "b", "b"]), 1);
        assert_eq!(
            found.iter().zip(["a", "a", "a", "b", "b"]).filter(|(found, was)| found == was).count(),
            1
        );
        assert!(shuffle.apply(&mut shown(&["a"]), &[], 0).is_err());
        let random = Variation { targets: Some(Targets::Random), ..Variation::default() };
        assert!(random.apply(&mut Vec::new(), &shown(&["p"]), 0).is_err());
    }

    #[test]
    fn random_answers_come_from_options_or_from_the_pool() {
        let random = Variation { targets: Some(Targets::Random), ..Variation::default() };
        assert!(
            targets(&random, shown(&["a"; 30]), 3).iter().all(|target| ["p", "q", "r"].contains(&&**target))
        );
        let mut with_options = shown(&["a"; 30]);
        with_options.iter_mut().for_each(|shown| shown.options = vec!["a".into(), "b".into()]);
        let found = targets(&random, with_options, 3);
        assert!(found.contains(&"a".into()) && found.contains(&"b".into()));
    }

    #[test]
    fn the_first_ones_are_kept() {
        let keep = |keep| Variation { keep: Some(keep), ..Variation::default() };
        assert_eq!(targets(&keep(2), shown(&["a", "b", "c"]), 0), ["a", "b"]);
        assert_eq!(targets(&keep(0), shown(&["a", "b", "c"]), 0), [""; 0]);
        let said = keep(4).apply(&mut shown(&["a"]), &[], 0).expect_err("too many").to_string();
        assert!(said.contains("--vary keep=4: the prompt has 1 demonstrations only"), "{said}");
        assert_eq!((keep(2).to_string(), Variation::default().to_string()), ("keep=2".into(), "none".into()));
    }
}
