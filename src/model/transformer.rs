//! The decoder on the processor: embedding, blocks, and the vocabulary projection. Which parts there are is the architecture's
//! to say ([`Arch`]); a block is [`block`].

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use candle_core::Device;

use super::adapter::{Adapters, RowAdapters};
use super::arch::{Arch, Positions};
use super::block::{block, keys_and_values};
use super::checkpoint::{Checkpoint, Held, Precision, Weights};
use super::cpu::product::{Best, Panels};
use super::cpu::rowwise::{NormWeights, add, each_row, scale};
use super::cpu::{Matrix, Scratch};
use super::host::{Block, HostLayer, Placement, norm};
use super::kv::KvStore;
use super::load::WeightSource;
use super::names::TensorNames;
use super::parts::{Linear, Weight};
use super::projection::Projection;
use super::rope::RopeTable;
use super::scores::Scores;
use super::{Decoder, Rows};
use crate::base::error::input;

/// A decoder-only transformer of any [`Family`](super::Family).
pub struct Transformer {
    arch: Arch,
    /// `[vocab, embedding width]`
    embedding: RowTable,
    /// From the embedding to the states, where they are not as wide.
    project_in: Option<Linear>,
    /// `[positions, hidden]`, where they are learned
    positions: Option<RowTable>,
    embedding_norm: Option<NormWeights>,
    blocks: Vec<Block>,
    norm: Option<NormWeights>,
    /// From the states back to the embedding's width.
    project_out: Option<Linear>,
    head: Linear,
    /// Angles of layers without and with a window, where positions are rotary.
    rope: Option<[RopeTable; 2]>,
    scores: Scores,
    adapters: Adapters,
    /// Taken for a layer and given back after it; a layer that is computed at the same time begins with none.
    scratch: Mutex<Scratch>,
}

/// Rows to be looked up.
enum RowTable {
    Held(Held),
    /// The vocabulary projection serves as the embedding too.
    Packed(Arc<Panels>),
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
        let (names, asked) = (TensorNames::of(&arch), RefCell::new(BTreeSet::new()));
        let source = WeightSource { arch: &arch, names, weights, precision, device: &Device::Cpu, asked };
        let (hidden, width) = (arch.hidden, arch.embedding_width());
        let mut embedding = RowTable::Held(source.table(names.embedding, arch.vocab, width)?);
        // Now, while little else is held: to be packed, the largest matrix must stand there twice for a moment.
        let matrix = match &embedding {
            RowTable::Held(matrix) if arch.tied => matrix.clone(),
            _ => source.table(names.head, arch.vocab, width)?,
        };
        let head = Linear::new(vec![Weight { matrix, bias: source.head_bias()? }])?;
        if let (true, Some(panels)) = (arch.tied, head.packed()) {
            embedding = RowTable::Packed(panels.clone());
        }
        let positions = arch.position_rows().map(|rows| source.table(names.positions, rows, hidden));
        let positions = positions.transpose()?;
        let projection = |which: usize, from: usize, to: usize| {
            let weight = source.projection(names.projections[which], from, to)?;
            weight.map(|weight| Linear::new(vec![weight])).transpose()
        };
        let (project_in, project_out) = (projection(0, width, hidden)?, projection(1, hidden, width)?);
        let normed = arch.embedding_norm;
        let embedding_norm = normed.then(|| source.norm(names.embedding_norm, arch.hidden)).transpose()?;
        let block = |layer| source.block(layer)?.map(Ok, Linear::new);
        let blocks = (0..arch.layers).map(block).collect::<Result<_>>()?;
        let norm = arch.last_norm.then(|| source.norm(names.norm, hidden)).transpose()?;
        weights.refuse_surplus(&source.asked.borrow())?;
        Ok(Self {
            embedding,
            project_in,
            positions: positions.map(RowTable::Held),
            embedding_norm,
            blocks,
            norm,
            project_out,
            head,
            rope: RopeTable::of(&arch)?,
            scores: Scores::of(&arch),
            adapters: Adapters::default(),
            scratch: Mutex::default(),
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
        let mut states = self.embedding.gather(tokens, self.arch.embedding_width())?;
        scale(&mut states, self.arch.multipliers.embedding as f32);
        if let Some(project) = &self.project_in {
            states = projected(project, &states, self.arch.hidden)?;
        }
        if let (Some(learned), Positions::Learned { first }) = (&self.positions, &self.arch.positions) {
            let positions: Vec<u32> = positions.iter().map(|&position| (first + position) as u32).collect();
            add(&mut states, &learned.gather(&positions, self.arch.hidden)?);
        }
        if let Some(norm) = &self.embedding_norm {
            each_row(&mut states, |_, row| norm.row_in_place(row));
        }
        Ok(states)
    }

    fn layer(&self, layer: usize, states: &mut Matrix, batch: &[Rows], kv: &mut KvStore) -> Result<()> {
        let compute = |mut ops: HostLayer| block(&mut ops, &self.blocks[layer], self.arch.wiring, states);
        self.at_layer(layer, batch, kv, compute)
    }

    fn write(&self, layer: usize, states: &Matrix, batch: &[Rows], kv: &mut KvStore) -> Result<()> {
        self.at_layer(layer, batch, kv, |mut ops| keys_and_values(&mut ops, &self.blocks[layer], states))
    }

    fn logits(&self, states: &Matrix) -> Result<Matrix> {
        let mut all = Matrix::default();
        self.head.forward(&self.leaving(states)?, &mut all)?;
        self.finish_logits(&mut all);
        let data = (0..all.rows()).flat_map(|row| &all.row(row)[..self.arch.vocab]).copied().collect();
        Ok(Matrix::from_rows(self.arch.vocab, data))
    }

    fn choose(&self, states: &Matrix) -> Result<Vec<u32>> {
        // Scale and cap change no order.
        let best = self.head.greatest(&self.leaving(states)?, self.arch.vocab)?;
        let token = |best: Best| match best {
            Some((token, _)) => Ok(token as u32),
            None => Err(input(
                "the model computed NaN or an infinity instead of a logit: its weights are damaged or its type overflows",
            )),
        };
        best.into_iter().map(token).collect()
    }
}

/// Rows through a matrix, `[rows, width]` without what fills them up.
fn projected(project: &Linear, rows: &Matrix, width: usize) -> Result<Matrix> {
    let mut all = Matrix::default();
    project.forward(rows, &mut all)?;
    let data = (0..all.rows()).flat_map(|row| &all.row(row)[..width]).copied().collect();
    Ok(Matrix::from_rows(width, data))
}

impl RowTable {
    /// The rows of these indices, `[indices, hidden]`.
    fn gather(&self, indices: &[u32], hidden: usize) -> Result<Matrix> {
        let data = match self {
            Self::Held(held) => held.gather(indices, &Device::Cpu)?.flatten_all()?.to_vec1()?,
            Self::Packed(panels) => indices.iter().flat_map(|&index| panels.row(index as usize)).collect(),
        };
        Ok(Matrix::from_rows(hidden, data))
    }
}

impl Transformer {
    /// The steps of a layer over a batch of rows.
    fn at_layer(
        &self,
        layer: usize,
        batch: &[Rows],
        kv: &mut KvStore,
        compute: impl FnOnce(HostLayer) -> Result<()>,
    ) -> Result<()> {
        let mut scratch = std::mem::take(&mut *self.scratch());
        let computed = compute(HostLayer {
            at: self.placement(layer),
            adapters: RowAdapters::new(&self.adapters, layer, batch)?,
            batch,
            kv,
            scratch: &mut scratch,
        });
        *self.scratch() = scratch;
        computed
    }

    /// Make these adapters resident, in place of all others.
    ///
    /// # Errors
    /// One belongs to another model.
    pub fn adapt(&mut self, adapters: Adapters) -> Result<()> {
        adapters.check(&self.arch)?;
        self.adapters = adapters;
        Ok(())
    }

    fn scratch(&self) -> MutexGuard<'_, Scratch> {
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    pub(super) fn head(&self) -> &Linear {
        &self.head
    }

    pub(super) fn last_norm(&self) -> Option<&NormWeights> {
        self.norm.as_ref()
    }

    pub(super) fn project_out(&self) -> Option<&Linear> {
        self.project_out.as_ref()
    }

    /// How the rows of a layer are told their positions.
    pub(super) fn placement(&self, layer: usize) -> Placement<'_> {
        Placement {
            arch: &self.arch,
            layer,
            rope: self.rope.as_ref().zip(self.arch.rotation(layer)).map(|(rope, which)| &rope[which]),
            scores: &self.scores,
        }
    }

    /// States `[rows, hidden]` -> what enters the vocabulary projection, `[rows, embedding width]`.
    pub(super) fn leaving(&self, states: &Matrix) -> Result<Matrix> {
        let mut normed = Matrix::default();
        match &self.norm {
            Some(last) => norm(last, states, &mut normed),
            None => normed = states.copied(),
        }
        match &self.project_out {
            Some(project) => projected(project, &normed, self.arch.embedding_width()),
            None => Ok(normed),
        }
    }

    /// Products with the vocabulary projection, `[rows, vocab or more]` -> logits, in place.
    pub(super) fn finish_logits(&self, logits: &mut Matrix) {
        scale(logits, self.arch.multipliers.logits as f32);
        if let Some(cap) = self.arch.logit_cap {
            let cap = cap as f32;
            each_row(logits, |_, row| row.iter_mut().for_each(|logit| *logit = cap * (*logit / cap).tanh()));
        }
    }

    /// Queries, keys and values of rows at the positions from 0 on, as attention takes them, from the states that enter the
    /// layer; and where the keys begin. Adapters that rows name are left out.
    pub(super) fn queries_and_keys(&self, layer: usize, states: &Matrix) -> Result<(Matrix, usize)> {
        let Block { attention_norms, attention, .. } = &self.blocks[layer];
        let (mut normed, mut qkv) = (Matrix::default(), Matrix::default());
        match &attention_norms.before {
            Some(before) => norm(before, states, &mut normed),
            None => normed = states.copied(),
        }
        attention.qkv.forward(&normed, &mut qkv)?;
        let adapters = RowAdapters::new(&self.adapters, layer, &[])?;
        for (part, projection) in [Projection::Q, Projection::K].into_iter().enumerate() {
            adapters.add(projection, &normed, &mut qkv, attention.qkv.start(part));
        }
        self.placement(layer).turn(attention, &mut qkv, &(0..states.rows()).collect::<Vec<_>>());
        Ok((qkv, attention.qkv.start(1)))
    }

    /// How scores are made.
    pub(super) fn scores(&self) -> &Scores {
        &self.scores
    }
}
