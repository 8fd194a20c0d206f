//! The decoder itself, part by part as in the figure of a paper: embedding, blocks of norm, attention, norm, MLP,
//! and the vocabulary projection. Which parts there are is the architecture's to say ([`Arch`]).

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use candle_core::Device;

use super::adapter::Fitted;
use super::arch::{Positions, Wiring};
use super::cpu::attend;
use super::cpu::product::{Best, Panels};
use super::cpu::rowwise::{NormWeights, add, each_row};
use super::load::{BlockWeights, Source};
use super::names::Names;
use super::parts::{Linear, Mlp, Weight};
use super::rope::RopeTable;
use super::{
    Adapter, Arch, Checkpoint, Decoder, Held, KvStore, Matrix, NotFinite, Precision, Projection, Reads, Rows,
    Weights,
};
use crate::base::error::input;

/// A decoder-only transformer of any [`Family`](super::Family).
pub struct Transformer {
    arch: Arch,
    /// `[vocab, hidden]`
    embedding: Table,
    /// `[context, hidden]`, where positions are learned
    positions: Option<Table>,
    embedding_norm: Option<NormWeights>,
    blocks: Vec<Block>,
    norm: NormWeights,
    head: Linear,
    /// Angles of layers without and with a window, where positions are rotary.
    rope: Option<[RopeTable; 2]>,
    /// `[heads]`, where positions are ALiBi
    slopes: Option<Vec<f32>>,
    fitted: Option<Fitted>,
    buffers: Mutex<Buffers>,
}

pub(super) struct Block {
    pub attention_norm: NormWeights,
    pub attention: Attention,
    pub after_attention: Option<NormWeights>,
    pub mlp_norm: NormWeights,
    pub mlp: Mlp,
    pub after_mlp: Option<NormWeights>,
}

pub(super) struct Attention {
    /// Queries, keys and values, stacked.
    pub qkv: Linear,
    pub q_norm: Option<NormWeights>,
    pub k_norm: Option<NormWeights>,
    pub o: Linear,
}

impl Block {
    fn new(weights: BlockWeights, arch: &Arch) -> Result<Self> {
        let one = |weight| Linear::new(vec![weight]);
        Ok(Self {
            attention_norm: weights.attention_norm,
            attention: Attention {
                qkv: Linear::new(weights.qkv)?,
                q_norm: weights.q_norm,
                k_norm: weights.k_norm,
                o: one(weights.o)?,
            },
            after_attention: weights.after_attention,
            mlp_norm: weights.mlp_norm,
            mlp: Mlp {
                into: Linear::new(weights.into)?,
                down: one(weights.down)?,
                width: arch.intermediate,
                activation: arch.activation,
            },
            after_mlp: weights.after_mlp,
        })
    }
}

/// Rows to be looked up.
enum Table {
    Held(Held),
    /// The vocabulary projection serves as the embedding too.
    Packed(Arc<Panels>),
}

/// Memory between the parts of a layer, used again by the next one.
#[derive(Default)]
struct Buffers {
    normed: Matrix,
    qkv: Matrix,
    attended: Matrix,
    inner: Matrix,
    out: Matrix,
    mlp_out: Matrix,
}

impl Transformer {
    /// Load all weights, held as asked.
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) that names tensor and file: missing, left over, of another shape,
    /// cut off, or with values that are not finite.
    pub fn load(checkpoint: &Checkpoint, precision: Precision) -> Result<Self> {
        Self::new(checkpoint.arch().clone(), checkpoint.weights(), precision)
    }

    /// Build from named tensors.
    pub fn new(arch: Arch, weights: &dyn Weights, precision: Precision) -> Result<Self> {
        let (names, asked) = (Names::of(&arch), RefCell::new(BTreeSet::new()));
        let source = Source { arch: &arch, names, weights, precision, device: &Device::Cpu, asked };
        let mut embedding = Table::Held(source.table(names.embedding, arch.vocab)?);
        // Now, while little else is held: to be packed, the largest matrix must stand there twice for a moment.
        let matrix = match &embedding {
            Table::Held(matrix) if arch.tied => matrix.clone(),
            _ => source.table(names.head, arch.vocab)?,
        };
        let head = Linear::new(vec![Weight { matrix, bias: None }])?;
        if let (true, Some(panels)) = (arch.tied, head.packed()) {
            embedding = Table::Packed(panels.clone());
        }
        let learned = arch.positions == Positions::Learned;
        let positions = learned.then(|| source.table(names.positions, arch.context)).transpose()?;
        let normed = arch.embedding_norm;
        let embedding_norm = normed.then(|| source.norm(names.embedding_norm, arch.hidden)).transpose()?;
        let blocks =
            (0..arch.layers).map(|layer| Block::new(source.block(layer)?, &arch)).collect::<Result<_>>()?;
        let norm = source.norm(names.norm, arch.hidden)?;
        weights.refuse_surplus(&source.asked.borrow())?;
        let (rope, slopes) = match &arch.positions {
            Positions::Rotary { all, windowed } => {
                let tables = [all, windowed.as_ref().unwrap_or(all)];
                (Some(tables.map(|rope| RopeTable::new(rope, arch.context))), None)
            }
            Positions::Learned => (None, None),
            Positions::Alibi => (None, Some(alibi_slopes(arch.heads))),
        };
        let positions = positions.map(Table::Held);
        let buffers = Mutex::default();
        Ok(Self {
            embedding,
            positions,
            embedding_norm,
            blocks,
            norm,
            head,
            rope,
            slopes,
            fitted: None,
            buffers,
            arch,
        })
    }
}

impl Decoder for Transformer {
    type States = Matrix;
    type Kv = KvStore;

    fn arch(&self) -> &Arch {
        &self.arch
    }

    fn kv_element(&self) -> usize {
        size_of::<f32>()
    }

    fn kv(&self, _: u64) -> Result<KvStore> {
        Ok(KvStore::default())
    }

    fn embed(&self, tokens: &[u32], positions: &[usize]) -> Result<Matrix> {
        let mut states = self.embedding.gather(tokens, self.arch.hidden)?;
        if self.arch.embedding_scaled {
            let scale = (self.arch.hidden as f64).sqrt() as f32;
            states.data_mut().iter_mut().for_each(|value| *value *= scale);
        }
        if let Some(learned) = &self.positions {
            let positions: Vec<u32> = positions.iter().map(|&position| position as u32).collect();
            add(&mut states, &learned.gather(&positions, self.arch.hidden)?);
        }
        if let Some(norm) = &self.embedding_norm {
            each_row(&mut states, |_, row| norm.row_in_place(row));
        }
        Ok(states)
    }

    fn layer(&self, layer: usize, states: &mut Matrix, batch: &[Rows], kv: &mut KvStore) -> Result<()> {
        let block = &self.blocks[layer];
        let mut buffers = self.buffers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Buffers { normed, qkv, attended, inner, out, mlp_out } = &mut *buffers;
        norm(&block.attention_norm, states, normed);
        block.attention.qkv.forward(normed, qkv)?;
        use Projection::{Down, Gate, K, O, Q, Up, V};
        self.adapt_rows(layer, &[Q, K, V], batch, normed, (&block.attention.qkv, qkv));
        let positions: Vec<usize> = batch.iter().flat_map(|rows| rows.positions).copied().collect();
        self.positioned(layer, qkv, &positions);
        self.store(layer, qkv, batch, kv);
        self.attend(layer, qkv, batch, kv, attended)?;
        block.attention.o.forward(attended, out)?;
        self.adapt_rows(layer, &[O], batch, attended, (&block.attention.o, out));
        silence(out, batch);
        let mlp = |normed: &Matrix, inner: &mut Matrix, out: &mut Matrix| -> Result<()> {
            block.mlp.into.forward(normed, inner)?;
            self.adapt_rows(layer, &[Gate, Up], batch, normed, (&block.mlp.into, inner));
            block.mlp.activate(inner);
            block.mlp.down.forward(inner, out)?;
            self.adapt_rows(layer, &[Down], batch, inner, (&block.mlp.down, out));
            Ok(())
        };
        if self.arch.wiring == Wiring::Parallel {
            norm(&block.mlp_norm, states, normed);
            mlp(normed, inner, mlp_out)?;
            add(mlp_out, out);
            add(states, mlp_out);
            return Ok(());
        }
        add_normed(&block.after_attention, states, out);
        norm(&block.mlp_norm, states, normed);
        mlp(normed, inner, mlp_out)?;
        add_normed(&block.after_mlp, states, mlp_out);
        Ok(())
    }

    fn logits(&self, states: &Matrix) -> Result<Matrix> {
        let mut all = Matrix::default();
        self.head.forward(&self.last_normed(states), &mut all)?;
        let data = (0..all.rows()).flat_map(|row| &all.row(row)[..self.arch.vocab]).copied().collect();
        Ok(Matrix::from_rows(self.arch.vocab, data))
    }

    fn choose(&self, states: &Matrix) -> Result<Vec<u32>> {
        let best = self.head.greatest(&self.last_normed(states), self.arch.vocab)?;
        let token = |best: Best| match best {
            Some((token, _)) => Ok(token as u32),
            None => Err(input(
                "the model computed NaN or an infinity instead of a logit: its weights are damaged or its type overflows",
            )),
        };
        best.into_iter().map(token).collect()
    }
}

impl Table {
    /// The rows of these indices, `[indices, hidden]`.
    fn gather(&self, indices: &[u32], hidden: usize) -> Result<Matrix> {
        let data = match self {
            Self::Held(held) => held.gather(indices, &Device::Cpu)?.flatten_all()?.to_vec1()?,
            Self::Packed(panels) => indices.iter().flat_map(|&index| panels.row(index as usize)).collect(),
        };
        Ok(Matrix::from_rows(hidden, data))
    }
}

pub(super) fn norm(norm: &NormWeights, from: &Matrix, to: &mut Matrix) {
    to.reshape(from.rows(), from.width());
    each_row(to, |row, to| norm.row(from.row(row), to));
}

/// No attention at all, not even the bias of its output, for the rows that have none.
fn silence(out: &mut Matrix, batch: &[Rows]) {
    let mut next = 0;
    for rows in batch {
        let own = next..next + rows.positions.len();
        next = own.end;
        if matches!(rows.reads, Reads::Nothing) {
            own.for_each(|row| out.row_mut(row).fill(0.));
        }
    }
}

/// Add what a part of a block puts out to the states, normed first where the family does so.
pub(super) fn add_normed(norm: &Option<NormWeights>, states: &mut Matrix, out: &mut Matrix) {
    if let Some(norm) = norm {
        let width = states.width();
        each_row(out, |_, row| norm.row_in_place(&mut row[..width]));
    }
    add(states, out);
}

impl Transformer {
    /// Put an adapter to work, in place of any other: in every row, or in the rows that are marked alone.
    ///
    /// # Errors
    /// It belongs to another model.
    pub fn adapt(&mut self, adapter: Adapter, everywhere: bool) -> Result<()> {
        adapter.check(&self.arch)?;
        self.fitted = Some(Fitted { adapter, everywhere });
        Ok(())
    }

    pub(super) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    pub(super) fn head(&self) -> &Linear {
        &self.head
    }

    pub(super) fn last_norm(&self) -> &NormWeights {
        &self.norm
    }

    /// The rotation of a layer's queries and keys, where positions are rotary.
    pub(super) fn rope_of(&self, layer: usize) -> Option<&RopeTable> {
        self.rope.as_ref().map(|rope| &rope[usize::from(self.arch.window(layer).is_some())])
    }

    /// Add what the adapters of projections that are stacked in one product give.
    fn adapt_rows(
        &self,
        layer: usize,
        projections: &[Projection],
        batch: &[Rows],
        x: &Matrix,
        (linear, y): (&Linear, &mut Matrix),
    ) {
        let Some(fitted) = &self.fitted else { return };
        for &projection in projections {
            let column = linear.start(projection.part(self.arch.gated));
            fitted.add((layer, projection), batch, x, y, column);
        }
    }

    pub(super) fn last_normed(&self, states: &Matrix) -> Matrix {
        let mut normed = Matrix::default();
        norm(&self.norm, states, &mut normed);
        normed
    }

    /// Queries, keys and values of rows at the positions from 0 on, as attention takes them, from the states that enter the
    /// layer; and where the keys begin.
    pub(super) fn queries_and_keys(&self, layer: usize, states: &Matrix) -> Result<(Matrix, usize)> {
        let block = &self.blocks[layer];
        let (mut normed, mut qkv) = (Matrix::default(), Matrix::default());
        norm(&block.attention_norm, states, &mut normed);
        block.attention.qkv.forward(&normed, &mut qkv)?;
        if let Some(fitted) = self.fitted.as_ref().filter(|fitted| fitted.everywhere) {
            let marked = vec![true; states.rows()];
            for projection in [Projection::Q, Projection::K] {
                let column = block.attention.qkv.start(projection.part(self.arch.gated));
                fitted.add_where(&marked, (layer, projection), &normed, &mut qkv, column);
            }
        }
        self.positioned(layer, &mut qkv, &(0..states.rows()).collect::<Vec<_>>());
        Ok((qkv, block.attention.qkv.start(1)))
    }

    /// By head, what a score gains with its column, where positions are ALiBi.
    pub(super) fn slopes(&self) -> Option<&[f32]> {
        self.slopes.as_deref()
    }

    /// Norm queries and keys head by head and rotate them to their positions, where the family does so.
    pub(super) fn positioned(&self, layer: usize, qkv: &mut Matrix, positions: &[usize]) {
        let Attention { qkv: parts, q_norm, k_norm, .. } = &self.blocks[layer].attention;
        let rope = self.rope_of(layer);
        if rope.is_none() && q_norm.is_none() && k_norm.is_none() {
            return;
        }
        let Arch { heads, kv_heads, head_dim, .. } = self.arch;
        let keys = parts.start(1);
        each_row(qkv, |row, values| {
            let (queries, others) = values.split_at_mut(keys);
            for (part, heads, norm) in [(queries, heads, q_norm), (others, kv_heads, k_norm)] {
                for head in part[..heads * head_dim].chunks_exact_mut(head_dim) {
                    if let Some(norm) = norm {
                        norm.row_in_place(head);
                    }
                    if let Some(rope) = rope {
                        rope.rotate(positions[row], head);
                    }
                }
            }
        });
    }

    /// Write the keys and values of all rows.
    pub(super) fn store(&self, layer: usize, qkv: &Matrix, batch: &[Rows], kv: &mut KvStore) {
        let parts = &self.blocks[layer].attention.qkv;
        let width = self.arch.kv_heads * self.arch.head_dim;
        let (keys, values) = (parts.start(1), parts.start(2));
        let columns =
            batch.iter().flat_map(|rows| rows.positions.iter().map(|&position| (rows.write, position)));
        let columns: Vec<_> = columns.collect();
        kv.write(layer, &columns, |row| {
            let all = qkv.row(row);
            [&all[keys..][..width], &all[values..][..width]]
        });
    }

    pub(super) fn attend(
        &self,
        layer: usize,
        qkv: &Matrix,
        batch: &[Rows],
        kv: &KvStore,
        attended: &mut Matrix,
    ) -> Result<(), NotFinite> {
        let Arch { heads, kv_heads, head_dim, score_scale, .. } = self.arch;
        attended.reshape(qkv.rows(), heads * head_dim);
        let attention = attend::Attention {
            layer,
            heads,
            kv_heads,
            head_dim,
            scale: score_scale as f32,
            slopes: self.slopes.as_deref(),
            window: self.arch.window(layer),
            kv,
        };
        let Some(row) = attention.run(qkv, batch, attended) else { return Ok(()) };
        let mut positions = batch.iter().flat_map(|rows| rows.positions).copied();
        Err(NotFinite { layer, position: positions.nth(row).unwrap_or(0), row })
    }
}

/// ALiBi's slopes: a geometric sequence from `2^(-8/n)`, and for a number of heads that is no power of two, every
/// other slope of the next power of two.
pub(super) fn alibi_slopes(heads: usize) -> Vec<f32> {
    let power = if heads.is_power_of_two() { heads } else { heads.next_power_of_two() / 2 };
    let slope = |heads: usize, i: usize| {
        let base = 2f64.powf(-(2f64.powf(-((heads as f64).log2() - 3.))));
        (base as f32).powi(i as i32)
    };
    let regular = (1..=power).map(|i| slope(power, i));
    regular.chain((0..heads - power).map(|i| slope(2 * power, 2 * i + 1))).collect()
}
