//! Experts, in each of the ways in which files hold them.

use anyhow::{Context, Result};

use super::checkpoint::Held;
use super::experts::{Experts, FeedForward, Routing};
use super::load::WeightSource;
use super::mlp::{Mlp, MlpShape};
use super::names::ExpertNames;
use super::parts::Weight;

/// A matrix of each expert, with biases.
struct OfAll {
    /// `[experts, from, to]`, or if packed `[experts, to, from]`
    matrices: Held,
    packed: bool,
    /// `[experts, to]`
    biases: Vec<f32>,
    from: usize,
    to: usize,
}

impl OfAll {
    /// Some outputs of an expert's.
    fn weight(
        &self,
        source: &WeightSource,
        expert: usize,
        outputs: impl Iterator<Item = usize> + Clone,
    ) -> Result<Weight> {
        let matrix = match self.packed {
            true => self.matrices.part(expert, [self.to, self.from])?,
            false => self.matrices.part(expert, [self.from, self.to])?.transposed()?,
        };
        let matrix = matrix.rows(outputs.clone()).prepared(source.precision, source.device)?;
        Ok(Weight {
            matrix,
            bias: Some(outputs.map(|output| self.biases[expert * self.to + output]).collect()),
        })
    }
}

/// What packed weights are called in place of a tensor.
fn blocks(name: &str) -> String {
    format!("{name}_blocks")
}

/// A part of a layer -> its whole name.
type Name<'a> = &'a dyn Fn(&str) -> String;

impl WeightSource<'_> {
    /// The MLP of a layer, or its experts.
    pub(super) fn feed_forward(&self, layer: usize, name: Name) -> Result<FeedForward<Vec<Weight>>> {
        let shape = self.arch.feed_forward(layer);
        Ok(match shape.routing {
            None => FeedForward::Dense(self.mlp(shape.mlp, name)?),
            Some(routing) => FeedForward::Experts(self.experts(shape.mlp, routing, name)?),
        })
    }

    fn experts(&self, shape: MlpShape, routing: Routing, name: Name) -> Result<Experts<Vec<Weight>>> {
        let is_there = |part: &&&str| self.weights.holds(&format!("{}.weight", name(part)));
        let router = self.names.router;
        let router = router.iter().find(is_there).or(router.first()).context("a router")?;
        let router = self.weight(&name(router), shape.hidden, routing.experts, shape.bias)?;
        let stored = self.names.experts;
        let is_there = |way: &&ExpertNames| match way {
            ExpertNames::Apart(experts, [gate, ..]) => {
                self.weights.holds(&format!("{}.0.{gate}.weight", name(experts)))
            }
            ExpertNames::Stacked([into, _]) => self.weights.holds(&name(into)),
            ExpertNames::InTurn([into, _]) => {
                self.weights.holds(&name(into)) || self.weights.holds(&blocks(&name(into)))
            }
        };
        let stored = *stored.iter().find(is_there).or(stored.first()).context("experts")?;
        let mlps = match stored {
            ExpertNames::Apart(experts, parts) => (0..routing.experts)
                .map(|expert| self.apart(shape, &format!("{}.{expert}", name(experts)), parts))
                .collect(),
            ExpertNames::Stacked(both) => self.stacked(shape, routing.experts, both.map(name)),
            ExpertNames::InTurn(both) => self.in_turn(shape, routing.experts, both.map(name)),
        };
        Ok(Experts { router: vec![router], mlps: mlps?, routing })
    }

    /// An expert in matrices of its own.
    fn apart(&self, shape: MlpShape, expert: &str, parts: [&str; 3]) -> Result<Mlp<Vec<Weight>>> {
        let MlpShape { hidden, width, bias, .. } = shape;
        let [gate, up, down] = parts.map(|part| format!("{expert}.{part}"));
        let into = vec![self.weight(&gate, hidden, width, bias)?, self.weight(&up, hidden, width, bias)?];
        Ok(Mlp { into, down: vec![self.weight(&down, width, hidden, bias)?], shape })
    }

    /// Experts that stand one behind the other in two tensors, gates and ups in turn.
    fn in_turn(&self, shape: MlpShape, experts: usize, names: [String; 2]) -> Result<Vec<Mlp<Vec<Weight>>>> {
        let MlpShape { hidden, width, .. } = shape;
        let [into, down] = [(&names[0], hidden, 2 * width), (&names[1], width, hidden)]
            .map(|(name, from, to)| self.of_all(name, [experts, from, to]));
        let (into, down) = (into?, down?);
        let expert = |at: usize| {
            let half = |half: usize| into.weight(self, at, (half..2 * width).step_by(2));
            Ok(Mlp { into: vec![half(0)?, half(1)?], down: vec![down.weight(self, at, 0..hidden)?], shape })
        };
        (0..experts).map(expert).collect()
    }

    /// The matrices of all experts, from `from` to `to` values, and their biases.
    fn of_all(&self, name: &str, [experts, from, to]: [usize; 3]) -> Result<OfAll> {
        let packed = self.weights.holds(&blocks(name));
        let matrices = match packed {
            true => self.ask(&blocks(name), &[experts, to, from])?,
            false => self.ask(name, &[experts, from, to])?,
        };
        let biases = self.vector(self.ask(&format!("{name}_bias"), &[experts, to])?)?;
        Ok(OfAll { matrices, packed, biases, from, to })
    }

    /// Experts that stand one behind the other in two tensors.
    fn stacked(&self, shape: MlpShape, experts: usize, names: [String; 2]) -> Result<Vec<Mlp<Vec<Weight>>>> {
        let MlpShape { hidden, width, .. } = shape;
        let into = self.ask(&names[0], &[experts, 2 * width, hidden])?;
        let down = self.ask(&names[1], &[experts, hidden, width])?;
        let part = |of: &Held, index: usize, sizes: [usize; 2]| -> Result<Weight> {
            let matrix = of.part(index, sizes)?.prepared(self.precision, self.device)?;
            Ok(Weight { matrix, bias: None })
        };
        let expert = |at: usize| {
            let [gate, up] = [2 * at, 2 * at + 1].map(|half| part(&into, half, [width, hidden]));
            Ok(Mlp { into: vec![gate?, up?], down: vec![part(&down, at, [hidden, width])?], shape })
        };
        (0..experts).map(expert).collect()
    }
}
