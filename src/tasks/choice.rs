//! One item's options, weighed: how likely each is, which is chosen, and what follows from that.

use serde::{Deserialize, Serialize};

use crate::data::Example;
use crate::engine::{Options, Weighed};

/// An option with its weight. Logarithms are natural.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WeighedOption {
    /// The option as the task writes it.
    pub text: String,
    /// The tokens that it adds to the prompt.
    pub tokens: Vec<u32>,
    /// The logarithm of its probability after the prompt.
    pub logprob: f32,
    /// The mean over its tokens, without those that all options begin with.
    pub per_token: f32,
    /// The same of each token after those before it; left out where there is but one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_logprobs: Vec<f32>,
}

/// An item whose options were weighed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Its options, in the order of the item.
    pub options: Vec<WeighedOption>,
    /// The likeliest of them, by its number from 0; the first among equals.
    pub chosen: usize,
    /// The one with the greatest log-probability a token.
    pub chosen_per_token: usize,
    /// The right one.
    pub right: usize,
    /// How many are at least as likely as the right one, itself included: 1 where it alone is the likeliest.
    pub rank: usize,
    /// How many tokens all options begin with, while each has one left: they are no choice.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub shared: usize,
    /// The likeliest next token of all, where the options begin to be a choice.
    pub likeliest: u32,
    /// Kullback-Leibler divergence there, in nats, from the baseline's distribution to this condition's.
    pub kl: f32,
}

fn is_zero(shared: &usize) -> bool {
    *shared == 0
}

impl Choice {
    /// What was weighed of an item whose options are these.
    pub fn new(item: &Example, options: &Options, weighed: &Weighed, right: usize) -> Self {
        let (tokens, shared) = (options.tokens(), options.measured());
        let options = item.options.iter().zip(tokens).zip(&weighed.options).map(|((text, tokens), each)| {
            let logprob: f64 = each.iter().sum();
            let own = &each[shared.min(each.len())..];
            let several =
                if each.len() > 1 { each.iter().map(|&log| log as f32).collect() } else { Vec::new() };
            WeighedOption {
                text: text.trim().into(),
                tokens: tokens.clone(),
                logprob: logprob as f32,
                per_token: (own.iter().sum::<f64>() / own.len().max(1) as f64) as f32,
                token_logprobs: several,
            }
        });
        let (likeliest, kl) = (weighed.likeliest, weighed.divergence as f32);
        let unsettled = Self {
            options: options.collect(),
            chosen: 0,
            chosen_per_token: 0,
            right,
            rank: 0,
            shared,
            likeliest,
            kl,
        };
        unsettled.settled(right)
    }

    /// What follows from the weights, where this option is right.
    pub fn settled(mut self, right: usize) -> Self {
        let greatest = |of: fn(&WeighedOption) -> f32| {
            let all = self.options.iter().map(of).enumerate().rev();
            all.max_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(at, _)| at)
        };
        let (chosen, chosen_per_token) =
            (greatest(|option| option.logprob), greatest(|option| option.per_token));
        let weight = self.options.get(right).map_or(f32::NAN, |option| option.logprob);
        self.rank = self.options.iter().filter(|option| option.logprob >= weight).count();
        (self.chosen, self.chosen_per_token, self.right) = (chosen, chosen_per_token, right);
        self
    }

    /// Whether all numbers can be: options that exist, finite logarithms that are not above 0.
    pub fn is_possible(&self) -> bool {
        let log = |log: f32| log.is_finite() && log <= 1e-3;
        let option = |option: &WeighedOption| {
            let each = option.token_logprobs.len();
            log(option.logprob)
                && log(option.per_token)
                && option.token_logprobs.iter().all(|&each| log(each))
                && (each == option.tokens.len() || each == 0 && option.tokens.len() == 1)
                && option.tokens.len() > self.shared
        };
        let n = self.options.len();
        let settled = self.clone().settled(self.right);
        n > 0
            && self.right < n
            && settled == *self
            && self.options.iter().all(option)
            && self.kl >= 0.
            && self.kl.is_finite()
    }

    /// The text of the option that was chosen.
    pub fn chosen_text(&self) -> &str {
        self.options.get(self.chosen).map_or("", |option| &option.text)
    }

    /// The text of the right option.
    pub fn right_text(&self) -> &str {
        self.options.get(self.right).map_or("", |option| &option.text)
    }

    /// Log-probability of the right option.
    pub fn logprob(&self) -> f64 {
        f64::from(self.options[self.right].logprob)
    }

    /// How much likelier the right option is than the likeliest wrong one, as a difference of logarithms; 0 where there is none.
    pub fn margin(&self) -> f64 {
        let wrong = self.wrong().map(|option| f64::from(option.logprob));
        wrong.reduce(f64::max).map_or(0., |wrong| self.logprob() - wrong)
    }

    /// The logit of the right option's first token that is a choice, without the greatest one of a wrong option that begins otherwise;
    /// `None` where no wrong option does.
    pub fn logit_difference(&self) -> Option<f64> {
        let right = &self.options[self.right];
        let other = |option: &&WeighedOption| option.tokens[self.shared] != right.tokens[self.shared];
        let wrong = self.wrong().filter(other).map(|option| self.first(option));
        wrong.reduce(f64::max).map(|wrong| self.first(right) - wrong)
    }

    /// The probability that the next token begins one of the options.
    pub fn mass(&self) -> f64 {
        let mut seen = std::collections::HashSet::new();
        let new = self.options.iter().filter(|option| seen.insert(option.tokens[self.shared]));
        new.map(|option| self.first(option).exp()).sum()
    }

    /// Whether the likeliest next token begins one of the options.
    pub fn knows_options(&self) -> bool {
        self.options.iter().any(|option| option.tokens[self.shared] == self.likeliest)
    }

    /// The probability of the chosen option among the options.
    pub fn confidence(&self) -> f64 {
        let most = f64::from(self.options[self.chosen].logprob);
        1. / self.options.iter().map(|option| (f64::from(option.logprob) - most).exp()).sum::<f64>()
    }

    fn wrong(&self) -> impl Iterator<Item = &WeighedOption> {
        let options = self.options.iter().enumerate();
        options.filter(|(at, _)| *at != self.right).map(|(_, option)| option)
    }

    /// The log-probability of an option's first token that is a choice.
    fn first(&self, option: &WeighedOption) -> f64 {
        f64::from(option.token_logprobs.get(self.shared).copied().unwrap_or(option.logprob))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(weights: &[&[f64]], tokens: &[&[u32]], right: usize) -> Choice {
        let options = (0..weights.len()).map(|at| format!("o{at}")).collect();
        let item = Example { options, ..Example::default() };
        let tokens: Vec<Vec<u32>> = tokens.iter().map(|tokens| tokens.to_vec()).collect();
        let options = weights.iter().map(|each| each.to_vec()).collect();
        let weighed = Weighed { options, likeliest: 5, divergence: 0.25, seconds: 0. };
        Choice::new(&item, &Options::new(tokens, 0).expect("options"), &weighed, right)
    }

    #[test]
    fn sums_means_and_ranks() {
        let choice = choice(&[&[-1.], &[-0.5, -0.25], &[-0.25, -2.]], &[&[5], &[6, 7], &[6, 8]], 2);
        assert_eq!((choice.chosen, choice.chosen_per_token, choice.rank), (1, 1, 3));
        assert_eq!((choice.logprob(), choice.margin()), (-2.25, -1.5));
        // The other option with token 6 begins as the right one does.
        assert_eq!(choice.logit_difference(), Some(-0.25 + 1.));
        assert!((choice.mass() - ((-1f64).exp() + (-0.5f64).exp())).abs() < 1e-9);
        assert!(choice.knows_options() && choice.is_possible());
        let total: f64 = [-1f64, -0.75, -2.25].iter().map(|log| log.exp()).sum();
        assert!((choice.confidence() - (-0.75f64).exp() / total).abs() < 1e-9);
    }

    #[test]
    fn of_equals_the_first_is_chosen_and_the_right_one_ranks_last() {
        let choice = choice(&[&[-1.], &[-1.], &[-2.]], &[&[1], &[2], &[3]], 1);
        assert_eq!((choice.chosen, choice.rank, choice.margin()), (0, 2, 0.));
        assert!(!choice.knows_options());
    }

    #[test]
    fn numbers_that_cannot_be_are_seen() {
        let good = choice(&[&[-1.], &[-2.]], &[&[1], &[2]], 0);
        let bad = |change: fn(&mut Choice)| {
            let mut bad = good.clone();
            change(&mut bad);
            bad.is_possible()
        };
        assert!(good.is_possible());
        assert!(!bad(|choice| choice.chosen = 1));
        assert!(!bad(|choice| choice.rank = 2));
        assert!(!bad(|choice| choice.right = 2));
        assert!(!bad(|choice| choice.options[0].logprob = 1.));
        assert!(!bad(|choice| choice.options[0].tokens.clear()));
        assert!(!bad(|choice| choice.options.clear()));
        assert!(!bad(|choice| choice.kl = f32::NAN));
    }
}
