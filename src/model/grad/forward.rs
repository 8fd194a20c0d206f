//! One layer forward, through the same block as everywhere, with the adapter in training, and a note of what the way back needs.

use anyhow::Result;

use super::Pass;
use super::tape::{Routed, Tape};
use crate::model::adapter::{Adapters, RowAdapters};
use crate::model::block::{self, Ops};
use crate::model::cpu::rowwise::NormWeights;
use crate::model::cpu::{Matrix, Scratch};
use crate::model::experts::{Choice, Experts};
use crate::model::host::{Attention, HostLayer};
use crate::model::mlp::Mlp;
use crate::model::parts::Linear;
use crate::model::{Decoder, Projection, Transformer};

/// One layer forward, `states` in place; with what the way back needs, if that is asked for.
///
/// # Errors
/// A product fails, or a score is not finite.
pub fn forward(
    model: &Transformer,
    layer: usize,
    states: &mut Matrix,
    pass: &Pass,
    scratch: &mut Scratch,
    saved: Option<&mut Tape>,
) -> Result<()> {
    let none = Adapters::default();
    pass.packed.at_layer(model.arch(), layer, |batch, kv| {
        let adapters = RowAdapters::new(&none, layer, batch)?;
        let at = model.placement(layer);
        let host = HostLayer { at, adapters, batch, kv, scratch };
        let mut ops = Recorded { host, pass, saved };
        block::block(&mut ops, &model.blocks()[layer], model.arch().wiring, states)
    })?
}

/// The steps of a block as the processor computes them, with the adapter in training; what the way back needs is kept.
struct Recorded<'a> {
    host: HostLayer<'a>,
    pass: &'a Pass<'a>,
    saved: Option<&'a mut Tape>,
}

impl Ops for Recorded<'_> {
    type States = Matrix;
    type Values = Matrix;
    type Norm = NormWeights;
    type Product = Linear;

    fn norm(&mut self, norm: &NormWeights, states: &Matrix) -> Result<Matrix> {
        if let Some(saved) = &mut self.saved {
            saved.entering.push(states.copied());
        }
        self.host.norm(norm, states)
    }

    fn enter(&mut self, states: &Matrix) -> Result<Matrix> {
        if let Some(saved) = &mut self.saved {
            saved.entering.push(Matrix::default());
        }
        self.host.enter(states)
    }

    fn product(&mut self, product: &Linear, of: &[Projection], x: Matrix) -> Result<Matrix> {
        let mut y = self.host.times(product, &x)?;
        let first = of.first().filter(|_| self.host.at.layer == self.pass.layer);
        let Some(&first) = first else {
            self.host.scratch.give(x);
            return Ok(y);
        };
        for (part, &projection) in of.iter().enumerate() {
            self.pass.add(projection, &x, &mut y, product.start(part));
        }
        match &mut self.saved {
            Some(saved) => *saved.inputs.of(first) = x,
            None => self.host.scratch.give(x),
        }
        Ok(y)
    }

    fn place(&mut self, attention: &Attention, qkv: Matrix) -> Result<Matrix> {
        // The copy is kept: it is not larger than it must be, as memory of the scratch may be.
        if let Some(saved) = &mut self.saved {
            saved.qkv = qkv.copied();
        }
        self.host.place(attention, qkv)
    }

    fn attend(&mut self, attention: &Attention, queries: Matrix) -> Result<Matrix> {
        self.host.attend(attention, queries)
    }

    fn silence(&mut self, out: Matrix) -> Result<Matrix> {
        self.host.silence(out)
    }

    fn activate(&mut self, mlp: &Mlp<Linear>, inner: Matrix) -> Result<Matrix> {
        if let Some(saved) = &mut self.saved {
            saved.inner.push(inner.copied());
        }
        self.host.activate(mlp, inner)
    }

    fn route(&mut self, experts: &Experts<Linear>, x: &Matrix) -> Result<Vec<Choice>> {
        let logits = self.host.times(&experts.router, x)?;
        let choices = experts.routing.choose((0..logits.rows()).map(|row| logits.row(row)));
        match &mut self.saved {
            Some(saved) => {
                saved.routed = Routed { logits, choices: choices.clone(), outputs: Vec::new() };
            }
            None => self.host.scratch.give(logits),
        }
        Ok(choices)
    }

    fn gather(&mut self, x: &Matrix, rows: &[usize]) -> Result<Matrix> {
        self.host.gather(x, rows)
    }

    fn release(&mut self, values: Matrix) {
        self.host.release(values);
    }

    fn zeros(&mut self) -> Result<Matrix> {
        self.host.zeros()
    }

    fn scatter(&mut self, sum: &mut Matrix, choice: &Choice, out: Matrix) -> Result<()> {
        if let Some(saved) = &mut self.saved {
            saved.routed.outputs.push(super::trimmed(&out, sum.width()));
        }
        self.host.scatter(sum, choice, out)
    }

    fn norm_output(&mut self, norm: &NormWeights, out: Matrix) -> Result<Matrix> {
        if let Some(saved) = &mut self.saved {
            saved.outputs.push(super::trimmed(&out, norm.weight.len()));
        }
        self.host.norm_output(norm, out)
    }

    fn add(&mut self, states: &mut Matrix, out: Matrix) -> Result<()> {
        self.host.add(states, out)
    }

    fn norm_states(&mut self, norm: &NormWeights, states: &mut Matrix) -> Result<()> {
        if let Some(saved) = &mut self.saved {
            saved.sums.push(states.copied());
        }
        self.host.norm_states(norm, states)
    }

    fn add_both(&mut self, states: &mut Matrix, attention: Matrix, mlp: Matrix) -> Result<()> {
        self.host.add_both(states, attention, mlp)
    }
}
