//! The decoder itself, part by part as in the figure of a paper: embedding, blocks of norm, attention, norm, MLP,
//! and the vocabulary projection. Which parts there are is the architecture's to say ([`Arch`]).

use std::cell::RefCell;
use std::collections::BTreeSet;

use anyhow::Result;
use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::arch::{Positions, Wiring};
use super::attention::{Attend, alibi_slopes};
use super::load::Source;
use super::names::Names;
use super::parts::{Linear, Mlp, Norm};
use super::rope::RopeTable;
use super::{Arch, Checkpoint, Decoder, Held, KvCache, Precision, Rows, Weights};

/// A decoder-only transformer of any [`Family`](super::Family).
pub struct Transformer {
    arch: Arch,
    device: Device,
    /// `[vocab, hidden]`
    embedding: Held,
    /// `[context, hidden]`, where positions are learned
    positions: Option<Held>,
    embedding_norm: Option<Norm>,
    blocks: Vec<Block>,
    norm: Norm,
    head: Linear,
    /// Frequencies of layers without and with a window, where positions are rotary.
    rope: Option<[RopeTable; 2]>,
    /// `[kv_heads, group, 1, 1]`, where positions are ALiBi
    slopes: Option<Tensor>,
}

pub(super) struct Block {
    pub attention_norm: Norm,
    pub attention: Attention,
    pub after_attention: Option<Norm>,
    pub mlp_norm: Norm,
    pub mlp: Mlp,
    pub after_mlp: Option<Norm>,
}

pub(super) struct Attention {
    pub q: Linear,
    pub k: Linear,
    pub v: Linear,
    pub q_norm: Option<Norm>,
    pub k_norm: Option<Norm>,
    pub o: Linear,
}

impl Transformer {
    /// Load all weights to a device, held as asked.
    ///
    /// # Errors
    /// An [`InputError`](crate::error::InputError) that names tensor and file: missing, left over, of another shape,
    /// cut off, or with values that are not finite.
    pub fn load(checkpoint: &Checkpoint, precision: Precision, device: &Device) -> Result<Self> {
        Self::new(checkpoint.arch().clone(), checkpoint.weights(), precision, device)
    }

    /// Build from named tensors.
    pub fn new(arch: Arch, weights: &dyn Weights, precision: Precision, device: &Device) -> Result<Self> {
        let (names, asked) = (Names::of(&arch), RefCell::new(BTreeSet::new()));
        let source = Source { arch: &arch, names, weights, precision, device, asked };
        let embedding = source.table(names.embedding, arch.vocab)?;
        let learned = arch.positions == Positions::Learned;
        let positions = learned.then(|| source.table(names.positions, arch.context)).transpose()?;
        let normed = arch.embedding_norm;
        let embedding_norm = normed.then(|| source.norm(names.embedding_norm, arch.hidden)).transpose()?;
        let blocks = (0..arch.layers).map(|layer| source.block(layer)).collect::<Result<_>>()?;
        let norm = source.norm(names.norm, arch.hidden)?;
        let weight = if arch.tied { embedding.clone() } else { source.table(names.head, arch.vocab)? };
        weights.refuse_surplus(&source.asked.borrow())?;
        let head = Linear { weight, bias: None };
        let (rope, slopes) = match &arch.positions {
            Positions::Rotary { all, windowed } => {
                (Some([all, windowed.as_ref().unwrap_or(all)].map(RopeTable::new)), None)
            }
            Positions::Learned => (None, None),
            Positions::Alibi => {
                let shape = (arch.kv_heads, arch.heads / arch.kv_heads, 1, 1);
                (None, Some(Tensor::from_vec(alibi_slopes(arch.heads), shape, device)?))
            }
        };
        let device = device.clone();
        Ok(Self { embedding, positions, embedding_norm, blocks, norm, head, rope, slopes, device, arch })
    }
}

impl Decoder for Transformer {
    fn arch(&self) -> &Arch {
        &self.arch
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn embed(&self, tokens: &[u32], positions: &[usize]) -> Result<Tensor> {
        let mut hidden = self.embedding.gather(tokens, &self.device)?;
        if self.arch.embedding_scaled {
            hidden = (hidden * f64::from((self.arch.hidden as f64).sqrt() as f32))?;
        }
        if let Some(learned) = &self.positions {
            let positions: Vec<u32> = positions.iter().map(|&position| position as u32).collect();
            hidden = (hidden + learned.gather(&positions, &self.device)?)?;
        }
        match &self.embedding_norm {
            Some(norm) => norm.forward(&hidden),
            None => Ok(hidden),
        }
    }

    fn layer(&self, layer: usize, hidden: &Tensor, batch: &[Rows], cache: &KvCache) -> Result<Tensor> {
        let block = &self.blocks[layer];
        let attended = self.attention(layer, &block.attention_norm.forward(hidden)?, batch, cache)?;
        if self.arch.wiring == Wiring::Parallel {
            let mlp = block.mlp.forward(&block.mlp_norm.forward(hidden)?)?;
            return Ok(((mlp + attended)? + hidden)?);
        }
        let hidden = (hidden + normed(&block.after_attention, attended)?)?;
        let mlp = block.mlp.forward(&block.mlp_norm.forward(&hidden)?)?;
        Ok((hidden + normed(&block.after_mlp, mlp)?)?)
    }

    fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        self.head.forward(&self.norm.forward(hidden)?)
    }
}

fn normed(norm: &Option<Norm>, x: Tensor) -> Result<Tensor> {
    match norm {
        Some(norm) => norm.forward(&x),
        None => Ok(x),
    }
}

impl Transformer {
    /// `[rows, hidden]` -> `[rows, hidden]`: projections over all rows at once, attention sequence by sequence.
    fn attention(&self, layer: usize, hidden: &Tensor, batch: &[Rows], cache: &KvCache) -> Result<Tensor> {
        let Attention { q, k, v, q_norm, k_norm, o } = &self.blocks[layer].attention;
        let Arch { heads, kv_heads, head_dim, .. } = self.arch;
        let rows = hidden.dim(0)?;
        let by_head = |x: Tensor, heads| x.reshape((rows, heads, head_dim));
        let mut q = normed(q_norm, by_head(q.forward(hidden)?, heads)?)?; // [rows, heads, head_dim]
        let mut k = normed(k_norm, by_head(k.forward(hidden)?, kv_heads)?)?; // [rows, kv_heads, head_dim]
        let v = by_head(v.forward(hidden)?, kv_heads)?;
        if let Some(rope) = &self.rope {
            let rope = &rope[usize::from(self.arch.window(layer).is_some())];
            let positions = batch.iter().flat_map(|rows| rows.positions.iter().copied());
            let rotation = rope.at(positions, &self.device)?;
            (q, k) = (rotation.apply(&q)?, rotation.apply(&k)?);
        }
        let attend = Attend { arch: &self.arch, layer, slopes: self.slopes.as_ref(), cache };
        let starts: Vec<usize> = starts(batch);
        let outputs = batch
            .par_iter()
            .zip(&starts)
            .map(|(rows, &start)| {
                store(layer, rows, start, &k, &v, cache)?;
                attend.rows(&q.narrow(0, start, rows.positions.len())?, rows)
            })
            .collect::<Result<Vec<_>>>()?;
        o.forward(&Tensor::cat(&outputs, 0)?)
    }
}

/// Where each sequence's rows start in the packed batch.
fn starts(batch: &[Rows]) -> Vec<usize> {
    batch
        .iter()
        .scan(0, |next, rows| {
            let start = *next;
            *next += rows.positions.len();
            Some(start)
        })
        .collect()
}

/// Write one sequence's keys and values to the cache, a run of consecutive positions at a time.
fn store(layer: usize, rows: &Rows, start: usize, k: &Tensor, v: &Tensor, cache: &KvCache) -> Result<()> {
    let mut from = start;
    for run in rows.positions.chunk_by(|a, b| a + 1 == *b) {
        let part = |x: &Tensor| x.narrow(0, from, run.len())?.transpose(0, 1);
        cache.write(layer, rows.slot, run[0], &part(k)?, &part(v)?)?;
        from += run.len();
    }
    Ok(())
}
