//! One part of an experiment, so that many processes can share it.

use std::fmt;
use std::str::FromStr;

use anyhow::Result;

use super::Experiment;
use crate::base::error::input;
use crate::intervene::Condition;

/// `2/8`: the second of eight parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Counted from 1.
    number: usize,
    count: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let parsed = word.split_once('/').and_then(|(number, count)| {
            let (number, count) = (number.trim().parse().ok()?, count.trim().parse().ok()?);
            (1..=count).contains(&number).then_some(Self { number, count })
        });
        parsed.ok_or_else(|| "write the part, counted from 1, and the number of parts, such as 2/8".into())
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.count)
    }
}

impl Experiment {
    /// Cells of all runs.
    pub fn cells(&self) -> usize {
        self.runs.iter().map(|run| run.conditions.len()).sum()
    }

    /// Keep one part of the cells. Parts are of one size, as far as that goes, and each is of cells that follow each other, so
    /// that runs stay whole where they can, and layers next to each other, which share most, stay together.
    ///
    /// # Errors
    /// There are more parts than cells.
    pub fn keep(&mut self, shard: Shard) -> Result<()> {
        let all = self.cells();
        if shard.count > all {
            return Err(input(format!("--shard {shard}: there are only {all} cells to share out")));
        }
        let share = all * (shard.number - 1) / shard.count..all * shard.number / shard.count;
        let mut at = 0;
        for run in &mut self.runs {
            let (ours, others): (Vec<Condition>, Vec<Condition>) =
                std::mem::take(&mut run.conditions).into_iter().partition(|_| {
                    at += 1;
                    share.contains(&(at - 1))
                });
            (run.conditions, run.others) = (ours, others);
        }
        self.runs.retain(|run| !run.conditions.is_empty());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn experiment() -> Experiment {
        let words = |text: &str| Some(text.split(',').map(String::from).collect());
        let settings = Settings {
            model: words("qwen2.5-coder-0.5b"),
            mask: words("none,TTF,FTF"),
            seed: words("0..2"),
            ..Settings::default()
        };
        Experiment::resolve(None, settings, |id| Err(input(id.to_string()))).unwrap()
    }

    fn cells(experiment: &Experiment) -> Vec<(u32, Condition)> {
        let of_run = |run: &crate::config::Run| {
            let seed = run.seed;
            run.conditions.iter().map(move |condition| (seed, *condition)).collect::<Vec<_>>()
        };
        experiment.runs.iter().flat_map(of_run).collect()
    }

    #[test]
    fn parts_are_all_cells_once_and_of_one_size() {
        let all = cells(&experiment());
        for count in [1, 2, 3, 7, 12, all.len()] {
            let mut together = Vec::new();
            for number in 1..=count {
                let mut part = experiment();
                part.keep(format!("{number}/{count}").parse().unwrap()).unwrap();
                let part = cells(&part);
                assert!((all.len() / count..=all.len().div_ceil(count)).contains(&part.len()));
                together.extend(part);
            }
            assert_eq!(together, all);
        }
        let more = format!("1/{}", all.len() + 1).parse().unwrap();
        assert!(experiment().keep(more).unwrap_err().to_string().contains("only"));
    }

    #[test]
    fn what_is_no_part_is_refused() {
        for word in ["0/4", "5/4", "1", "a/b", "1/0", "-1/4", ""] {
            assert!(word.parse::<Shard>().is_err(), "{word}");
        }
    }
}
