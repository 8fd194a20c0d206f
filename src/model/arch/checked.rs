//! Sizes and hyperparameters that cannot be: refused when a file is read, before anything is computed with them.

use anyhow::Result;

use super::{Arch, LongScaling, Mixture, Positions, Rope, RopeScaling};
use crate::base::error::input;
use crate::model::experts::Routing;

impl Arch {
    /// Refuse what cannot be.
    pub(super) fn checked(self) -> Result<Self> {
        self.check_sizes()?;
        let eps = self.norm_eps;
        if !(eps.is_finite() && eps >= 0.) {
            return Err(impossible("epsilon of the norms", eps, "0 or more"));
        }
        positive("scale of the attention scores", self.score_scale)?;
        let numbers = [
            ("cap of the attention scores", self.score_cap),
            ("cap of the logits", self.logit_cap),
            ("bound of queries, keys and values", self.clip_qkv),
            ("multiplier of the embedding", Some(self.multipliers.embedding)),
            ("multiplier of what is added to the states", Some(self.multipliers.residual)),
            ("scale of the logits", Some(self.multipliers.logits)),
        ];
        numbers
            .iter()
            .try_for_each(|(what, number)| number.map_or(Ok(()), |number| positive(what, number)))?;
        if let Positions::Rotary { all, windowed } = &self.positions {
            all.check()?;
            windowed.as_ref().map_or(Ok(()), Rope::check)?;
        }
        Ok(self)
    }

    fn check_sizes(&self) -> Result<()> {
        let sizes = [
            ("layers", self.layers),
            ("hidden size", self.hidden),
            ("attention heads", self.heads),
            ("key/value heads", self.kv_heads),
            ("head size", self.head_dim),
            ("intermediate size", self.intermediate),
            ("vocabulary", self.vocab),
            ("context", self.context),
            ("embedding width", self.embedding_width()),
        ];
        // A table of angles has an entry for some positions each.
        let most = |what: &str| if what == "context" { 1 << 26 } else { 1 << 28 };
        if let Some((what, _)) = sizes.iter().find(|(what, size)| *size == 0 || *size > most(what)) {
            return Err(input(format!("its number of {what} is 0 or absurd: the file is damaged")));
        }
        let rotated = match &self.positions {
            Positions::Rotary { all, .. } => all.dims,
            Positions::Learned { .. } | Positions::Alibi(_) => 0,
        };
        if !self.heads.is_multiple_of(self.kv_heads) || !rotated.is_multiple_of(2) || rotated > self.head_dim
        {
            return Err(input(format!(
                "{} heads over {} key/value heads of size {}, {rotated} of it rotated, cannot be: the file is damaged",
                self.heads, self.kv_heads, self.head_dim
            )));
        }
        if self.windows.iter().flatten().any(|&window| window == 0) {
            return Err(input("an attention window of 0 cannot be: the file is damaged"));
        }
        self.experts.as_ref().map_or(Ok(()), Mixture::check)
    }
}

impl Mixture {
    fn check(&self) -> Result<()> {
        let Routing { experts, chosen, .. } = self.routing;
        if experts > MOST_EXPERTS
            || chosen == 0
            || chosen > experts
            || self.width == 0
            || self.width > 1 << 28
        {
            return Err(input(format!(
                "a choice of {chosen} of {experts} experts of size {} cannot be: the file is damaged",
                self.width
            )));
        }
        Ok(())
    }
}

/// No layer has more.
const MOST_EXPERTS: usize = 1 << 16;

impl Rope {
    /// Frequencies must be numbers.
    pub(in crate::model) fn check(&self) -> Result<()> {
        positive("base of the rotary frequencies (rope_theta, rope.freq_base)", self.theta)?;
        if let RopeScaling::Long(LongScaling { short, long, .. }) = &self.scaling
            && let Some(list) = [short, long].into_iter().find(|list| list.len() != self.dims / 2)
        {
            return Err(input(format!(
                "the rope scaling has {} factors for {} rotated dimensions, two of which share one: the file is damaged",
                list.len(),
                self.dims
            )));
        }
        self.scaling.check()
    }
}

impl RopeScaling {
    /// Factors divide frequencies.
    pub(in crate::model) fn check(&self) -> Result<()> {
        match self {
            Self::None => Ok(()),
            Self::Linear(factor) => positive("factor of the rope scaling", *factor),
            Self::Llama3(scaling) => {
                positive("factor of the rope scaling", scaling.factor.into())?;
                positive("low_freq_factor of the rope scaling", scaling.low_frequency_factor.into())?;
                positive("high_freq_factor of the rope scaling", scaling.high_frequency_factor.into())?;
                positive(
                    "original_max_position_embeddings of the rope scaling",
                    scaling.original_context as f64,
                )?;
                let [low, high] = [scaling.low_frequency_factor, scaling.high_frequency_factor];
                if low >= high {
                    return Err(impossible(
                        "high_freq_factor of the rope scaling",
                        high.into(),
                        &format!("more than low_freq_factor, {low}"),
                    ));
                }
                Ok(())
            }
            Self::Yarn(scaling) => {
                positive("factor of the rope scaling", scaling.factor)?;
                positive("beta_fast of the rope scaling", scaling.beta_fast)?;
                positive("beta_slow of the rope scaling", scaling.beta_slow)?;
                positive("attention_factor of the rope scaling", scaling.attention_factor)?;
                positive(
                    "original_max_position_embeddings of the rope scaling",
                    scaling.original_context as f64,
                )
            }
            Self::Long(scaling) => {
                let size = |size: usize| {
                    positive("original_max_position_embeddings of the rope scaling", size as f64)
                };
                size(scaling.original_context)?;
                positive("attention_factor of the rope scaling", scaling.attention_factor)?;
                let of = |&factor: &f32| positive("factor of a rotary frequency", factor.into());
                scaling.short.iter().chain(&scaling.long).try_for_each(of)
            }
            Self::Factors(factors) | Self::Stretched { factors, .. } => {
                let of = |&factor: &f32| positive("factor of a rotary frequency", factor.into());
                factors.iter().try_for_each(of)
            }
        }
    }
}

fn positive(what: &str, value: f64) -> Result<()> {
    if value.is_finite() && value > 0. { Ok(()) } else { Err(impossible(what, value, "more than 0")) }
}

fn impossible(what: &str, value: f64, allowed: &str) -> anyhow::Error {
    input(format!("the {what} is {value}, but must be {allowed} and finite: the file is damaged"))
}
