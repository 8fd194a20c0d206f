//! A mixture of experts: a block's MLPs, of which a router chooses some for each row. Here are their counts, and how a router's
//! logits become choices; the products themselves are those of an [`Mlp`].

use anyhow::Result;
use serde::Serialize;

use super::cpu::softmax::softmax;
use super::mlp::{Mlp, MlpShape};

/// How a router chooses experts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Routing {
    /// How many experts a layer has.
    pub experts: usize,
    /// How many of them a row chooses: those of the greatest logits.
    pub chosen: usize,
    /// How logits become weights.
    pub scoring: Scoring,
    /// Every expert computes every row, with a weight of 0 where it was not chosen: the same sums, for measurements
    /// (`benches/experts.rs`).
    #[serde(skip)]
    pub all_rows: bool,
}

/// How a router's logits become the weights of the experts that a row chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scoring {
    /// Softmax over all experts.
    All,
    /// The same, divided by the sum of the weights of those chosen.
    Renormed,
    /// Softmax over those chosen.
    Chosen,
}

/// The rows that chose an expert.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choice {
    /// Ascending.
    pub rows: Vec<usize>,
    /// By row, what the expert's output is multiplied by.
    pub weights: Vec<f32>,
}

impl Routing {
    /// By expert the rows that chose it, from the router's logits of each row, which may be longer than there are experts. Among
    /// equals the first experts are chosen.
    pub fn choose<'a>(self, logits: impl Iterator<Item = &'a [f32]>) -> Vec<Choice> {
        let mut choices = vec![Choice::default(); self.experts];
        for (row, logits) in logits.enumerate() {
            let mut weights = vec![self.all_rows.then_some(0.); self.experts];
            self.of_row(&logits[..self.experts]).for_each(|(expert, weight)| weights[expert] = Some(weight));
            for (choice, weight) in choices.iter_mut().zip(weights) {
                choice.rows.extend(weight.map(|_| row));
                choice.weights.extend(weight);
            }
        }
        choices
    }

    /// The experts that a row chooses, with their weights.
    fn of_row(self, logits: &[f32]) -> impl Iterator<Item = (usize, f32)> {
        let mut scores = logits.to_vec();
        if self.scoring != Scoring::Chosen {
            softmax(&mut scores, None);
        }
        let mut chosen: Vec<usize> = (0..self.experts).collect();
        chosen.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        chosen.truncate(self.chosen);
        let mut weights: Vec<f32> = chosen.iter().map(|&expert| scores[expert]).collect();
        match self.scoring {
            Scoring::All => {}
            Scoring::Renormed => {
                let sum: f32 = weights.iter().sum();
                weights.iter_mut().for_each(|weight| *weight /= sum);
            }
            Scoring::Chosen => softmax(&mut weights, None),
        }
        chosen.into_iter().zip(weights)
    }
}

/// What the MLPs of a layer compute, and their sizes. All counts of parameters, work and memory come from here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FeedForwardShape {
    /// The MLP, or one expert.
    pub mlp: MlpShape,
    /// How rows choose experts, where there are several.
    pub routing: Option<Routing>,
}

impl FeedForwardShape {
    /// How many parameters it has, those of its router included.
    pub fn parameters(self) -> u64 {
        match self.routing {
            None => self.mlp.parameters(),
            Some(Routing { experts, .. }) => {
                let bias = if self.mlp.bias { experts } else { 0 };
                experts as u64 * self.mlp.parameters() + (experts * self.mlp.hidden + bias) as u64
            }
        }
    }

    /// Multiply-add pairs that its products take for one row: those of the experts that it chooses, and of the router.
    pub fn multiply_adds(self) -> u64 {
        match self.routing {
            None => self.mlp.multiply_adds(),
            Some(Routing { experts, chosen, .. }) => {
                chosen as u64 * self.mlp.multiply_adds() + (experts * self.mlp.hidden) as u64
            }
        }
    }

    /// Values of a row that stand between its products at a time, one expert after the other.
    pub fn between(self) -> usize {
        // The router's logits, the rows that an expert takes and puts out, and the sum.
        self.mlp.inner() + self.routing.map_or(0, |routing| routing.experts + 3 * self.mlp.hidden)
    }

    /// Values of a row that the way back needs.
    pub fn kept(self) -> usize {
        match self.routing {
            None => self.mlp.inner(),
            Some(Routing { experts, chosen, .. }) => experts + chosen * (self.mlp.inner() + self.mlp.hidden),
        }
    }
}

/// The MLPs of a block, whose products are `P`.
pub enum FeedForward<P> {
    /// One for all rows.
    Dense(Mlp<P>),
    /// Several, of which each row chooses some.
    Experts(Experts<P>),
}

/// Experts and their router.
pub struct Experts<P> {
    /// From a normed row to a logit for each expert.
    pub router: P,
    /// By expert.
    pub mlps: Vec<Mlp<P>>,
    /// How rows choose.
    pub routing: Routing,
}

impl<P> FeedForward<P> {
    /// The same with its products in another form.
    ///
    /// # Errors
    /// A product that cannot be held so.
    pub fn map<Q>(self, product: impl Fn(P) -> Result<Q>) -> Result<FeedForward<Q>> {
        Ok(match self {
            Self::Dense(mlp) => FeedForward::Dense(mlp.map(product)?),
            Self::Experts(Experts { router, mlps, routing }) => FeedForward::Experts(Experts {
                router: product(router)?,
                mlps: mlps.into_iter().map(|mlp| mlp.map(&product)).collect::<Result<_>>()?,
                routing,
            }),
        })
    }

    /// The same with its products seen.
    pub fn as_ref(&self) -> FeedForward<&P> {
        match self {
            Self::Dense(Mlp { into, down, shape }) => FeedForward::Dense(Mlp { into, down, shape: *shape }),
            Self::Experts(Experts { router, mlps, routing }) => {
                let mlps = mlps.iter().map(|Mlp { into, down, shape }| Mlp { into, down, shape: *shape });
                FeedForward::Experts(Experts { router, mlps: mlps.collect(), routing: *routing })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mlp::Activation;

    const LOGITS: [f32; 4] = [0., 3., 1., 2.];

    fn chosen(scoring: Scoring) -> Vec<(usize, f32)> {
        Routing { experts: 4, chosen: 2, scoring, all_rows: false }.of_row(&LOGITS).collect()
    }

    #[test]
    fn weights_are_of_all_experts_or_of_those_chosen() {
        let all: f32 = LOGITS.iter().map(|logit| logit.exp()).sum();
        let two = LOGITS[1].exp() + LOGITS[3].exp();
        for (scoring, sum) in [(Scoring::All, all), (Scoring::Renormed, two), (Scoring::Chosen, two)] {
            let found = chosen(scoring);
            assert_eq!([found[0].0, found[1].0], [1, 3], "{scoring:?}");
            for (expert, weight) in found {
                assert!((weight - LOGITS[expert].exp() / sum).abs() < 1e-6, "{scoring:?}: {weight}");
            }
        }
    }

    #[test]
    fn each_expert_has_its_rows() {
        let routing = Routing { experts: 3, chosen: 1, scoring: Scoring::All, all_rows: false };
        let rows = [[1f32, 1., 0., 9.], [0., 0., 5., 9.], [2., 0., 0., 9.]];
        let choices = routing.choose(rows.iter().map(<[f32; 4]>::as_slice));
        let of = |expert: usize| choices[expert].rows.as_slice();
        // Among equals the first is chosen, and what fills up a row is no expert.
        assert_eq!([of(0), of(1), of(2)], [&[0, 2][..], &[], &[1]]);
    }

    #[test]
    fn only_the_experts_that_are_chosen_are_work() {
        let mlp = MlpShape { hidden: 3, width: 5, gated: true, bias: false, activation: Activation::Silu };
        let routing = Some(Routing { experts: 8, chosen: 2, scoring: Scoring::All, all_rows: false });
        let shape = FeedForwardShape { mlp, routing };
        assert_eq!((shape.parameters(), shape.multiply_adds()), (8 * 45 + 24, 2 * 45 + 24));
        let dense = FeedForwardShape { mlp, routing: None };
        assert_eq!((dense.parameters(), dense.multiply_adds(), dense.between()), (45, 45, 10));
        let biased = FeedForwardShape { mlp: MlpShape { bias: true, ..mlp }, routing };
        assert_eq!(biased.parameters(), 8 * (45 + 13) + 24 + 8);
    }
}
