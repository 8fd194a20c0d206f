//! The steps of a block on the processor.

use anyhow::Result;

use super::adapter::RowAdapters;
use super::arch::Arch;
use super::block::{self, Ops};
use super::cpu::attend;
use super::cpu::rowwise::{NormWeights, add, each_row, scale};
use super::cpu::{Matrix, Scratch};
use super::experts::{Choice, Experts};
use super::kv::KvStore;
use super::mlp::Mlp;
use super::parts::{Linear, activate};
use super::projection::Projection;
use super::rope::RopeTable;
use super::rows::{NotFinite, Reads, Rows};
use super::scores::Scores;

/// A block as the processor holds it.
pub type Block = block::Block<NormWeights, Linear>;

/// Attention as the processor holds it.
pub type Attention = block::Attention<NormWeights, Linear>;

/// One layer of a batch on the processor. Values between steps are matrices of its scratch, whose rows may be longer than what
/// they hold.
pub struct HostLayer<'a> {
    /// Which layer it is.
    pub at: Placement<'a>,
    /// What adapters change in its rows.
    pub adapters: RowAdapters<'a>,
    /// The rows.
    pub batch: &'a [Rows<'a>],
    /// Where their keys and values go, and what they read.
    pub kv: &'a mut KvStore,
    /// Memory for values: who takes values gives their memory back to it.
    pub scratch: &'a mut Scratch,
}

/// A layer and how its rows are told their positions.
#[derive(Clone, Copy)]
pub struct Placement<'a> {
    /// The model's sizes.
    pub arch: &'a Arch,
    /// Which layer.
    pub layer: usize,
    /// The rotation of queries and keys, where positions are rotary.
    pub rope: Option<&'a RopeTable>,
    /// How scores are made.
    pub scores: &'a Scores,
}

impl Ops for HostLayer<'_> {
    type States = Matrix;
    type Values = Matrix;
    type Norm = NormWeights;
    type Product = Linear;

    fn norm(&mut self, weights: &NormWeights, states: &Matrix) -> Result<Matrix> {
        let mut normed = self.scratch.take(states.data().len());
        norm(weights, states, &mut normed);
        Ok(normed)
    }

    fn enter(&mut self, states: &Matrix) -> Result<Matrix> {
        let mut entering = self.scratch.take(states.data().len());
        entering.reshape(states.rows(), states.width());
        entering.data_mut().copy_from_slice(states.data());
        Ok(entering)
    }

    fn product(&mut self, product: &Linear, of: &[Projection], x: Matrix) -> Result<Matrix> {
        let mut y = self.times(product, &x)?;
        for (part, &projection) in of.iter().enumerate() {
            self.adapters.add(projection, &x, &mut y, product.start(part));
        }
        self.scratch.give(x);
        Ok(y)
    }

    fn place(&mut self, attention: &Attention, mut qkv: Matrix) -> Result<Matrix> {
        let positions: Vec<usize> = self.batch.iter().flat_map(|rows| rows.positions).copied().collect();
        self.at.turn(attention, &mut qkv, &positions);
        self.store(&attention.qkv, &qkv);
        Ok(qkv)
    }

    fn attend(&mut self, attention: &Attention, queries: Matrix) -> Result<Matrix> {
        let Arch { heads, head_dim, .. } = *self.at.arch;
        let mut attended = self.scratch.take(queries.rows() * heads * head_dim);
        attended.reshape(queries.rows(), heads * head_dim);
        self.heads(attention.sinks.as_deref(), &queries, &mut attended)?;
        self.scratch.give(queries);
        Ok(attended)
    }

    fn silence(&mut self, mut out: Matrix) -> Result<Matrix> {
        let mut next = 0;
        for rows in self.batch {
            let own = next..next + rows.positions.len();
            next = own.end;
            if matches!(rows.reads, Reads::Nothing) {
                own.for_each(|row| out.row_mut(row).fill(0.));
            }
        }
        Ok(out)
    }

    fn activate(&mut self, mlp: &Mlp<Linear>, mut inner: Matrix) -> Result<Matrix> {
        activate(mlp, &mut inner);
        Ok(inner)
    }

    fn route(&mut self, experts: &Experts<Linear>, x: &Matrix) -> Result<Vec<Choice>> {
        let logits = self.times(&experts.router, x)?;
        let choices = experts.routing.choose((0..logits.rows()).map(|row| logits.row(row)));
        self.scratch.give(logits);
        Ok(choices)
    }

    fn gather(&mut self, x: &Matrix, rows: &[usize]) -> Result<Matrix> {
        let mut some = self.scratch.take(rows.len() * x.width());
        some.reshape(rows.len(), x.width());
        each_row(&mut some, |at, some| some.copy_from_slice(x.row(rows[at])));
        Ok(some)
    }

    fn release(&mut self, values: Matrix) {
        self.scratch.give(values);
    }

    fn zeros(&mut self) -> Result<Matrix> {
        let rows: usize = self.batch.iter().map(|rows| rows.positions.len()).sum();
        let mut zeros = self.scratch.take(rows * self.at.arch.hidden);
        zeros.reshape(rows, self.at.arch.hidden);
        zeros.data_mut().fill(0.);
        Ok(zeros)
    }

    fn scatter(&mut self, sum: &mut Matrix, choice: &Choice, out: Matrix) -> Result<()> {
        each_row(sum, |row, sum| {
            let Ok(at) = choice.rows.binary_search(&row) else { return };
            let weight = choice.weights[at];
            sum.iter_mut().zip(out.row(at)).for_each(|(sum, out)| *sum += weight * out);
        });
        self.scratch.give(out);
        Ok(())
    }

    fn norm_output(&mut self, norm: &NormWeights, mut out: Matrix) -> Result<Matrix> {
        each_row(&mut out, |_, row| norm.row_in_place(&mut row[..norm.weight.len()]));
        Ok(out)
    }

    fn add(&mut self, states: &mut Matrix, mut out: Matrix) -> Result<()> {
        scale(&mut out, self.at.arch.multipliers.residual as f32);
        add(states, &out);
        self.scratch.give(out);
        Ok(())
    }

    fn norm_states(&mut self, norm: &NormWeights, states: &mut Matrix) -> Result<()> {
        each_row(states, |_, row| norm.row_in_place(row));
        Ok(())
    }

    fn add_both(&mut self, states: &mut Matrix, attention: Matrix, mut mlp: Matrix) -> Result<()> {
        // transformers adds them in this order.
        add(&mut mlp, &attention);
        self.scratch.give(attention);
        self.add(states, mlp)
    }
}

impl HostLayer<'_> {
    /// Rows times the transposes of stacked weights, with biases and without what adapters add.
    pub fn times(&mut self, product: &Linear, x: &Matrix) -> Result<Matrix> {
        let mut y = self.scratch.take(x.rows() * product.stride());
        product.forward(x, &mut y)?;
        Ok(y)
    }

    /// Write the keys and values of all rows.
    fn store(&mut self, parts: &Linear, qkv: &Matrix) {
        let width = self.at.arch.kv_heads * self.at.arch.head_dim;
        let (keys, values) = (parts.start(1), parts.start(2));
        let rows = self.batch.iter();
        let columns = rows.flat_map(|rows| rows.positions.iter().map(|&position| (rows.write, position)));
        let columns: Vec<_> = columns.collect();
        self.kv.write(self.at.layer, &columns, |row| {
            let all = qkv.row(row);
            [&all[keys..][..width], &all[values..][..width]]
        });
    }

    /// What each row reads, `[rows, heads * head_dim]`.
    fn heads(&self, sinks: Option<&[f32]>, queries: &Matrix, attended: &mut Matrix) -> Result<(), NotFinite> {
        let Placement { arch, layer, scores, .. } = self.at;
        let attention = attend::Attention {
            layer,
            heads: arch.heads,
            kv_heads: arch.kv_heads,
            head_dim: arch.head_dim,
            scores,
            sinks,
            window: arch.window(layer),
            kv: &*self.kv,
        };
        let Some(row) = attention.run(queries, self.batch, attended) else { return Ok(()) };
        let mut positions = self.batch.iter().flat_map(|rows| rows.positions).copied();
        Err(NotFinite { layer, position: positions.nth(row).unwrap_or(0), row })
    }
}

impl Placement<'_> {
    /// Norm queries and keys, where the family does so.
    pub fn norm_heads(&self, attention: &Attention, qkv: &mut Matrix) {
        let block::Attention { qkv: parts, q_norm, k_norm, .. } = attention;
        for (start, norm) in [(0, q_norm), (parts.start(1), k_norm)] {
            if let Some(norm) = norm {
                each_row(qkv, |_, all| norm.row_in_place(&mut all[start..][..norm.weight.len()]));
            }
        }
    }

    /// Norm queries and keys, clamp them and values, and rotate queries and keys to their rows' positions, where the family does so.
    pub fn turn(&self, attention: &Attention, qkv: &mut Matrix, positions: &[usize]) {
        let Arch { heads, kv_heads, head_dim, clip_qkv, .. } = *self.arch;
        let (keys, values) = (attention.qkv.start(1), attention.qkv.start(2));
        self.norm_heads(attention, qkv);
        if let Some(most) = clip_qkv {
            each_row(qkv, |_, all| {
                for (start, heads) in [(0, heads), (keys, kv_heads), (values, kv_heads)] {
                    clamp(&mut all[start..][..heads * head_dim], most as f32);
                }
            });
        }
        let Some(rope) = self.rope else { return };
        each_row(qkv, |row, all| {
            for (start, heads) in [(0, heads), (keys, kv_heads)] {
                let part = &mut all[start..][..heads * head_dim];
                part.chunks_exact_mut(head_dim).for_each(|head| rope.rotate(positions[row], head));
            }
        });
    }
}

/// Values between a number and its negative.
fn clamp(values: &mut [f32], most: f32) {
    values.iter_mut().for_each(|value| *value = value.clamp(-most, most));
}

/// The norm of rows, `[rows, width]` -> `[rows, width]`.
pub fn norm(norm: &NormWeights, from: &Matrix, to: &mut Matrix) {
    to.reshape(from.rows(), from.width());
    each_row(to, |row, to| norm.row(from.row(row), to));
}
