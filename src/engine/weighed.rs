//! What is known of the options of one run.

use super::likelihood::Distribution;
use super::options::{Options, Wanted};

/// How likely options are after a prompt.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Weighed {
    /// By option, the natural logarithm of the probability of each of its tokens, after the prompt and the tokens before it.
    pub options: Vec<Vec<f64>>,
    /// The likeliest token where the options begin to be a choice.
    pub likeliest: u32,
    /// Kullback-Leibler divergence there, in nats, from the unmasked run's distribution to this one's.
    pub divergence: f64,
    /// This run's share of the time, in seconds.
    pub seconds: f64,
}

impl Weighed {
    /// Room for these options.
    pub fn of(options: &Options) -> Self {
        let options = options.tokens().iter().map(|tokens| vec![0.; tokens.len()]);
        Self { options: options.collect(), ..Self::default() }
    }

    /// Take in what a row says of the tokens that it is asked for.
    pub fn take(&mut self, wanted: &[Wanted], distribution: &Distribution) {
        for Wanted { option, at, token } in wanted {
            self.options[*option][*at] = distribution.log_probability(*token);
        }
    }

    /// Take in what is measured at one token alone, beside the unmasked run's distribution there.
    pub fn measure(&mut self, distribution: &Distribution, unmasked: &Distribution) {
        self.likeliest = distribution.likeliest();
        self.divergence = unmasked.divergence(distribution);
    }
}
