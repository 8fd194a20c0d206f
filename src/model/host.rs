//! The steps of a block on the processor.

use anyhow::Result;

use super::adapter::RowAdapters;
use super::arch::Arch;
use super::block::{self, Ops};
use super::cpu::attend;
use super::cpu::rowwise::{NormWeights, add, each_row};
use super::cpu::{Matrix, Scratch};
use super::kv::KvStore;
use super::mlp::Mlp;
use super::parts::{Linear, activate};
use super::projection::Projection;
use super::rope::RopeTable;
use super::rows::{NotFinite, Reads, Rows};

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
    /// `[heads]`: what a score gains with its column, where positions are ALiBi.
    pub slopes: Option<&'a [f32]>,
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

    fn attend(&mut self, queries: Matrix) -> Result<Matrix> {
        let Arch { heads, head_dim, .. } = *self.at.arch;
        let mut attended = self.scratch.take(queries.rows() * heads * head_dim);
        attended.reshape(queries.rows(), heads * head_dim);
        self.heads(&queries, &mut attended)?;
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

    fn norm_output(&mut self, norm: &NormWeights, mut out: Matrix) -> Result<Matrix> {
        each_row(&mut out, |_, row| norm.row_in_place(&mut row[..norm.weight.len()]));
        Ok(out)
    }

    fn add(&mut self, states: &mut Matrix, out: Matrix) -> Result<()> {
        add(states, &out);
        self.scratch.give(out);
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
    fn heads(&self, queries: &Matrix, attended: &mut Matrix) -> Result<(), NotFinite> {
        let Placement { arch, layer, slopes, .. } = self.at;
        let attention = attend::Attention {
            layer,
            heads: arch.heads,
            kv_heads: arch.kv_heads,
            head_dim: arch.head_dim,
            scale: arch.score_scale as f32,
            slopes,
            window: arch.window(layer),
            kv: &*self.kv,
        };
        let Some(row) = attention.run(queries, self.batch, attended) else { return Ok(()) };
        let mut positions = self.batch.iter().flat_map(|rows| rows.positions).copied();
        Err(NotFinite { layer, position: positions.nth(row).unwrap_or(0), row })
    }
}

impl Placement<'_> {
    /// Norm queries and keys head by head and rotate them to their rows' positions, where the family does so.
    pub fn turn(&self, attention: &Attention, qkv: &mut Matrix, positions: &[usize]) {
        let block::Attention { qkv: parts, q_norm, k_norm, .. } = attention;
        if self.rope.is_none() && q_norm.is_none() && k_norm.is_none() {
            return;
        }
        let Arch { heads, kv_heads, head_dim, .. } = *self.arch;
        let keys = parts.start(1);
        each_row(qkv, |row, values| {
            let (queries, others) = values.split_at_mut(keys);
            for (part, heads, norm) in [(queries, heads, q_norm), (others, kv_heads, k_norm)] {
                for head in part[..heads * head_dim].chunks_exact_mut(head_dim) {
                    if let Some(norm) = norm {
                        norm.row_in_place(head);
                    }
                    if let Some(rope) = self.rope {
                        rope.rotate(positions[row], head);
                    }
                }
            }
        });
    }
}

/// The norm of rows, `[rows, width]` -> `[rows, width]`.
pub fn norm(norm: &NormWeights, from: &Matrix, to: &mut Matrix) {
    to.reshape(from.rows(), from.width());
    each_row(to, |row, to| norm.row(from.row(row), to));
}
