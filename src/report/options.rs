//! An item's options in one run: how likely each of them is in every cell.

use std::collections::HashMap;

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::base::error::input;
use crate::intervene::{Condition, Series};
use crate::tasks::Choice;

/// Options of an item that the page draws, at most.
const MOST_DRAWN: usize = 12;

/// Texts of an item that the page shows, each stored once.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// By their places.
    pub all: Vec<String>,
    known: HashMap<String, usize>,
}

impl Texts {
    /// The place of a text, which is added if it is not there yet.
    pub fn place(&mut self, text: &str) -> usize {
        if let Some(place) = self.known.get(text) {
            return *place;
        }
        self.known.insert(text.into(), self.all.len());
        self.all.push(text.into());
        self.all.len() - 1
    }
}

/// The options of an item in one run: those that the page draws, with their weights in every cell.
#[derive(Debug, Serialize)]
pub(super) struct OptionsData {
    run: usize,
    /// Those that are drawn, by the places of their texts: the right one, then the others.
    texts: Vec<usize>,
    /// How many are not drawn.
    left_out: usize,
    /// The others are the likeliest of the baseline. Without a baseline they are the item's first ones.
    by_baseline: bool,
    cells: Vec<WeightsData>,
    /// Those that are drawn, by their numbers in the item.
    #[serde(skip)]
    drawn: Vec<usize>,
    /// The texts of all of them.
    #[serde(skip)]
    all: Vec<String>,
}

/// What one cell says of the options that are drawn, each number with four significant digits.
#[derive(Debug, Serialize)]
struct WeightsData {
    #[serde(rename = "mask")]
    series: Series,
    layer: Option<usize>,
    /// The natural logarithm of each option's probability after the prompt.
    logprobs: Vec<f64>,
    /// The probability of each among all options of the item.
    probabilities: Vec<f64>,
    /// The probability of all options that are not drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    others: Option<f64>,
}

impl OptionsData {
    /// Add what a cell of a run says of an item's options. The cells of a run come one after the other.
    ///
    /// # Errors
    /// The cell has weighed other options than its run's first one.
    pub fn gather(
        all: &mut Vec<Self>,
        (run, condition): (usize, Condition),
        choice: &Choice,
        texts: &mut Texts,
    ) -> Result<()> {
        if let Some(last) = all.last_mut().filter(|last| last.run == run) {
            return last.add(condition, choice);
        }
        let mut new = Self::new(run, condition, choice, texts);
        new.add(condition, choice)?;
        all.push(new);
        Ok(())
    }

    /// Choose what is drawn by the first cell of a run, which is the baseline where there is one.
    fn new(run: usize, condition: Condition, choice: &Choice, texts: &mut Texts) -> Self {
        let by_baseline = condition == Condition::Baseline;
        let mut drawn: Vec<usize> = (0..choice.options.len()).collect();
        if by_baseline {
            let weight = |at: &usize| choice.options[*at].logprob;
            drawn.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
        }
        // The sort is stable: the right option comes first, the others keep their order.
        drawn.sort_by_key(|at| *at != choice.right);
        drawn.truncate(MOST_DRAWN);
        let all: Vec<String> = choice.options.iter().map(|option| option.text.clone()).collect();
        Self {
            run,
            texts: drawn.iter().map(|at| texts.place(&all[*at])).collect(),
            left_out: all.len() - drawn.len(),
            by_baseline,
            cells: Vec::new(),
            drawn,
            all,
        }
    }

    fn add(&mut self, condition: Condition, choice: &Choice) -> Result<()> {
        let same = choice.options.iter().map(|option| &option.text).eq(&self.all);
        ensure!(
            same && self.drawn.first() == Some(&choice.right),
            input("has other options, or another right one, than another cell of its run")
        );
        let logprobs: Vec<f64> = choice.options.iter().map(|option| f64::from(option.logprob)).collect();
        let shares = shares(&logprobs);
        let of_drawn = |all: &[f64]| self.drawn.iter().map(|at| rounded(all[*at])).collect();
        let mut others = shares.clone();
        self.drawn.iter().for_each(|at| others[*at] = 0.);
        self.cells.push(WeightsData {
            series: condition.series(),
            layer: condition.layer(),
            logprobs: of_drawn(&logprobs),
            probabilities: of_drawn(&shares),
            others: (self.left_out > 0).then(|| rounded(others.iter().sum())),
        });
        Ok(())
    }
}

/// Log-probabilities -> probabilities that add up to 1.
fn shares(logprobs: &[f64]) -> Vec<f64> {
    let most = logprobs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logprobs.iter().map(|log| (log - most).exp()).sum();
    logprobs.iter().map(|log| (log - most).exp() / sum).collect()
}

/// A number with four significant digits. More digits would make the page larger and would not be read.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::WeighedOption;

    /// A choice among options of one token each, with these log-probabilities.
    fn choice(logprobs: &[f32], right: usize) -> Choice {
        let option = |(at, log): (usize, &f32)| WeighedOption {
            text: format!("option {at}"),
            tokens: vec![at as u32],
            logprob: *log,
            per_token: *log,
            token_logprobs: Vec::new(),
        };
        let options = logprobs.iter().enumerate().map(option).collect();
        let (likeliest, kl) = (0, 0.);
        Choice { options, chosen: 0, chosen_per_token: 0, right, rank: 0, shared: 0, likeliest, kl }
            .settled(right)
    }

    #[test]
    fn weights_become_shares_of_four_digits() {
        // One in 2, one in 4 and one in 8: shares of 4, 2 and 1 sevenths.
        let found = shares(&[0.5f64, 0.25, 0.125].map(f64::ln));
        assert_eq!(found.into_iter().map(rounded).collect::<Vec<_>>(), [0.5714, 0.2857, 0.1429]);
        assert_eq!([123.456, -0.000_123_456, 0., 1.].map(rounded), [123.5, -0.000_123_5, 0., 1.]);
    }

    #[test]
    fn the_right_option_and_the_likeliest_others_are_drawn() {
        let logs: Vec<f32> = (0..15).map(|at| -((at * 7 % 15) as f32) - 1.).collect();
        let (baseline, mut texts) = (choice(&logs, 2), Texts::default());
        let mut options = OptionsData::new(0, Condition::Baseline, &baseline, &mut texts);
        // Option 2 is only the 15th in likelihood; 0, 13, 11 and so on are the likeliest.
        assert_eq!(options.drawn, [2, 0, 13, 11, 9, 7, 5, 3, 1, 14, 12, 10]);
        assert_eq!((options.left_out, options.texts.len(), options.by_baseline), (3, 12, true));
        assert_eq!(texts.all[options.texts[1]], "option 0");
        options.add(Condition::Baseline, &baseline).expect("its own options");
        let cell = &options.cells[0];
        let sum: f64 = cell.probabilities.iter().sum::<f64>() + cell.others.expect("some are left out");
        assert!((sum - 1.).abs() < 1e-3, "{sum}");
        assert_eq!(cell.logprobs[..2], [-15., -1.]);
        let error = options.add(Condition::Baseline, &choice(&logs[1..], 2)).expect_err("other options");
        assert!(error.to_string().contains("has other options"), "{error}");
    }

    #[test]
    fn without_a_baseline_the_first_options_are_drawn() {
        let masked = "TTF".parse::<Series>().expect("a mask").at(1);
        let options = OptionsData::new(0, masked, &choice(&[-3., -2., -1.], 1), &mut Texts::default());
        assert_eq!((options.drawn, options.left_out, options.by_baseline), (vec![1, 0, 2], 0, false));
    }
}
