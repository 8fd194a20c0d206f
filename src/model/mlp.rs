//! The MLP of a block: what it computes, how large it is, and its products in whatever form they are held. A block has one, or
//! several of which each row chooses some ([`experts`](super::experts)).

use anyhow::Result;
use serde::Serialize;

use super::projection::Projection;

/// An MLP's function.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// x times its sigmoid.
    Silu,
    /// x where it is more than 0, else 0.
    Relu,
    /// GELU by the error function.
    Gelu,
    /// GELU's approximation by tanh.
    GeluTanh,
    /// gpt-oss's: gate and up are clamped first, and 1 is added to up.
    ClampedSwiglu(ClampedSwiglu),
}

/// `(up + 1) * gate * sigmoid(alpha * gate)`, where no gate is more than `limit`, and no up further from 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ClampedSwiglu {
    /// Gates are at most this, and what they multiply lies between this and its negative.
    pub limit: f32,
    /// The gate is multiplied by this before its sigmoid.
    pub alpha: f32,
}

impl ClampedSwiglu {
    /// Gates clamped; ups clamped and 1 more.
    pub fn clamp(self, gates: &mut [f32], ups: &mut [f32]) {
        gates.iter_mut().for_each(|gate| *gate = gate.min(self.limit));
        ups.iter_mut().for_each(|up| *up = up.clamp(-self.limit, self.limit) + 1.);
    }
}

/// What an MLP computes and its sizes. All counts of parameters, work and memory come from here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MlpShape {
    /// Width of the rows that enter and leave it.
    pub hidden: usize,
    /// Width inside.
    pub width: usize,
    /// It multiplies by a gate, on which the function acts.
    pub gated: bool,
    /// Its products have biases.
    pub bias: bool,
    /// The function between its products.
    pub activation: Activation,
}

impl MlpShape {
    /// The projections that read the rows that enter, in the order in which their outputs stand side by side.
    pub fn entering(self) -> &'static [Projection] {
        if self.gated { &[Projection::Gate, Projection::Up] } else { &[Projection::Up] }
    }

    /// Inputs and outputs of a projection; `None` where the MLP has no such projection.
    pub fn sizes(self, projection: Projection) -> Option<[usize; 2]> {
        match projection {
            Projection::Down => Some([self.width, self.hidden]),
            other => self.entering().contains(&other).then_some([self.hidden, self.width]),
        }
    }

    /// Values of a row between the first products and the function.
    pub fn inner(self) -> usize {
        self.entering().len() * self.width
    }

    /// How many parameters it has.
    pub fn parameters(self) -> u64 {
        let bias = |outputs: usize| if self.bias { outputs } else { 0 };
        self.all().map(|[inputs, outputs]| (inputs * outputs + bias(outputs)) as u64).sum()
    }

    /// Multiply-add pairs that its products take for one row.
    pub fn multiply_adds(self) -> u64 {
        self.all().map(|[inputs, outputs]| (inputs * outputs) as u64).sum()
    }

    /// Inputs and outputs of all its projections.
    fn all(self) -> impl Iterator<Item = [usize; 2]> {
        Projection::ALL.into_iter().filter_map(move |projection| self.sizes(projection))
    }
}

/// An MLP whose products are `P`: as a loader finds them, or as a backend holds them.
pub struct Mlp<P> {
    /// The projections that read the rows that enter ([`MlpShape::entering`]), stacked.
    pub into: P,
    /// The projection that puts out the rows that leave.
    pub down: P,
    /// What it computes and its sizes.
    pub shape: MlpShape,
}

impl<P> Mlp<P> {
    /// The same MLP with its products in another form.
    ///
    /// # Errors
    /// A product that cannot be held so.
    pub fn map<Q>(self, product: impl Fn(P) -> Result<Q>) -> Result<Mlp<Q>> {
        let Self { into, down, shape } = self;
        Ok(Mlp { into: product(into)?, down: product(down)?, shape })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_its_matrices_and_biases() {
        let ungated =
            MlpShape { hidden: 3, width: 5, gated: false, bias: true, activation: Activation::Gelu };
        assert_eq!((ungated.parameters(), ungated.multiply_adds(), ungated.inner()), (30 + 8, 30, 5));
        let gated = MlpShape { gated: true, bias: false, ..ungated };
        assert_eq!((gated.parameters(), gated.multiply_adds(), gated.inner()), (45, 45, 10));
        assert_eq!(ungated.sizes(Projection::Gate), None);
        assert_eq!(gated.sizes(Projection::Down), Some([5, 3]));
        assert_eq!(gated.sizes(Projection::Q), None);
    }
}
