//! The decoder on a device of candle's (a GPU): the same parts as [`Transformer`](super::Transformer), products by candle and what
//! stands between them by kernels, or in plain words where the device is the CPU. Weights, states, keys and values stay on the device; what
//! crosses is a few numbers a row and layer, and the chosen tokens.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use candle_core::{DType, Device, Tensor};

mod attend;
#[cfg(feature = "cuda")]
mod attend_kernels;
mod choose;
mod gpu;
#[cfg(feature = "cuda")]
mod kernels;
mod kv;
mod parts;
mod place;

pub use gpu::{free_bytes, gpu};
pub use kv::DeviceKv;

use self::attend::Attention;
use self::parts::{Adapted, Linear, Norm, Rope, activated, add, brought};
use self::place::Placing;
use super::arch::{Positions, Wiring};
use super::cpu::rowwise::NormWeights;
use super::load::{BlockWeights, Source};
use super::names::Names;
use super::rope::RopeTable;
use super::transformer::alibi_slopes;
use super::{
    Adapter, Arch, Checkpoint, Decoder, Matrix, Precision, Projection, Reads, Rows, States, Weights,
};
use crate::base::error::input;

/// A decoder-only transformer of any [`Family`](super::Family), on a device.
pub struct DeviceTransformer {
    arch: Arch,
    device: Device,
    /// Of weights, keys and values, and of products.
    dtype: DType,
    /// `[vocab, hidden]`
    embedding: Tensor,
    /// `[context, hidden]`, where positions are learned
    positions: Option<Tensor>,
    embedding_norm: Option<Norm>,
    blocks: Vec<Block>,
    norm: Norm,
    head: Linear,
    /// Of layers without and with a window, where positions are rotary.
    rope: Option<[Rope; 2]>,
    /// `[heads]`, where positions are ALiBi
    slopes: Option<Vec<f32>>,
    adapted: BTreeMap<(usize, Projection), Adapted>,
    everywhere: bool,
}

struct Block {
    attention_norm: Norm,
    qkv: Linear,
    q_norm: Option<Norm>,
    k_norm: Option<Norm>,
    o: Linear,
    after_attention: Option<Norm>,
    mlp_norm: Norm,
    into: Linear,
    down: Linear,
    after_mlp: Option<Norm>,
}

/// Hidden states on a device, `[rows, hidden]` as f32.
pub struct DeviceStates(Tensor);

impl States for DeviceStates {
    fn rows(&self) -> usize {
        self.0.dims()[0]
    }

    fn gather(&self, rows: &[usize]) -> Result<Self> {
        // A kernel is not started for nothing.
        if rows.is_empty() {
            return Ok(Self(self.0.narrow(0, 0, 0)?));
        }
        let rows: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
        Ok(Self(self.0.index_select(&Tensor::new(rows, self.0.device())?, 0)?))
    }

    fn append(&mut self, rows: &[usize]) -> Result<()> {
        let more = self.gather(rows)?;
        self.0 = if self.rows() == 0 { more.0 } else { Tensor::cat(&[&self.0, &more.0], 0)? };
        Ok(())
    }
}

/// Rows whose logits are held at a time.
const CHOSEN: usize = 512;

/// Dimensions of a head, at most, that the kernels take.
const WIDEST: usize = 256;

/// Scores that are held at a time where many rows read the same columns.
const SCORES: usize = 64 << 20;

/// Bytes that cuBLAS takes, and that the driver's allocator keeps between pieces: an 8B model took 1.5 GiB more than all else, of
/// which the driver's own half is not free beforehand.
const KEPT: u64 = 1 << 30;

/// Bytes of what stands between the parts of a layer beside the states: scores, or logits; and what nobody can use.
pub fn scratch_bytes(arch: &Arch) -> u64 {
    (4 * SCORES.max(2 * CHOSEN * arch.vocab)) as u64 + KEPT
}

impl DeviceTransformer {
    /// Load all weights onto a device, where they are held and multiplied as `dtype`.
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) as [`Transformer::load`](super::Transformer::load) gives; no memory left.
    pub fn load(checkpoint: &Checkpoint, dtype: DType, device: &Device) -> Result<Self> {
        Self::new(checkpoint.arch().clone(), checkpoint.weights(), dtype, device)
    }

    /// Build from named tensors.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn new(arch: Arch, weights: &dyn Weights, dtype: DType, device: &Device) -> Result<Self> {
        let head_dim = arch.head_dim;
        if device.is_cuda() && (head_dim > WIDEST || !head_dim.is_multiple_of(2)) {
            return Err(input(format!(
                "heads of {head_dim} dimensions: the kernels for GPUs take even numbers up to {WIDEST}; --device cpu takes any"
            )));
        }
        let (names, asked) = (Names::of(&arch), RefCell::new(BTreeSet::new()));
        // As they stand in their files, until they are brought to the device.
        let precision = Precision::Stored;
        let source = Source { arch: &arch, names, weights, precision, device: &Device::Cpu, asked };
        let table = |name: &str, rows: usize| brought(&[&source.table(name, rows)?], dtype, device);
        let norm = |norm: &NormWeights| Norm::new(norm, device);
        let embedding = table(names.embedding, arch.vocab)?;
        let head = if arch.tied { embedding.clone() } else { table(names.head, arch.vocab)? };
        let learned = arch.positions == Positions::Learned;
        let positions = learned.then(|| table(names.positions, arch.context)).transpose()?;
        let normed = arch.embedding_norm;
        let embedding_norm =
            normed.then(|| norm(&source.norm(names.embedding_norm, arch.hidden)?)).transpose()?;
        let blocks = (0..arch.layers).map(|layer| Block::new(source.block(layer)?, dtype, device));
        let blocks = blocks.collect::<Result<_>>()?;
        let last_norm = norm(&source.norm(names.norm, arch.hidden)?)?;
        weights.refuse_surplus(&source.asked.borrow())?;
        let (rope, slopes) = match &arch.positions {
            Positions::Rotary { all, windowed } => {
                let tables = [all, windowed.as_ref().unwrap_or(all)];
                (Some(tables.map(|rope| Rope::new(RopeTable::new(rope, arch.context), device))), None)
            }
            Positions::Learned => (None, None),
            Positions::Alibi => (None, Some(alibi_slopes(arch.heads))),
        };
        Ok(Self {
            device: device.clone(),
            dtype,
            embedding,
            positions,
            embedding_norm,
            blocks,
            norm: last_norm,
            head: Linear::of(head),
            rope,
            slopes,
            adapted: BTreeMap::new(),
            everywhere: false,
            arch,
        })
    }

    /// Put an adapter to work, in place of any other: in every row, or in the rows that are marked alone.
    ///
    /// # Errors
    /// It belongs to another model.
    pub fn adapt(&mut self, adapter: &Adapter, everywhere: bool) -> Result<()> {
        adapter.check(&self.arch)?;
        let adapted =
            adapter.0.iter().map(|(place, low_rank)| Ok((*place, Adapted::new(low_rank, &self.device)?)));
        (self.adapted, self.everywhere) = (adapted.collect::<Result<_>>()?, everywhere);
        Ok(())
    }
}

impl Block {
    fn new(weights: BlockWeights, dtype: DType, device: &Device) -> Result<Self> {
        let norm = |norm: &NormWeights| Norm::new(norm, device);
        let maybe = |weights: &Option<NormWeights>| weights.as_ref().map(norm).transpose();
        Ok(Self {
            attention_norm: norm(&weights.attention_norm)?,
            qkv: Linear::new(&weights.qkv, dtype, device)?,
            q_norm: maybe(&weights.q_norm)?,
            k_norm: maybe(&weights.k_norm)?,
            o: Linear::new(&[weights.o], dtype, device)?,
            after_attention: maybe(&weights.after_attention)?,
            mlp_norm: norm(&weights.mlp_norm)?,
            into: Linear::new(&weights.into, dtype, device)?,
            down: Linear::new(&[weights.down], dtype, device)?,
            after_mlp: maybe(&weights.after_mlp)?,
        })
    }
}

impl Decoder for DeviceTransformer {
    type States = DeviceStates;
    type Kv = DeviceKv;

    fn arch(&self) -> &Arch {
        &self.arch
    }

    fn kv_element(&self) -> usize {
        self.dtype.size_in_bytes()
    }

    fn kv(&self, bytes: u64) -> Result<DeviceKv> {
        DeviceKv::new(&self.arch, self.dtype, &self.device, bytes)
    }

    fn embed(&self, tokens: &[u32], positions: &[usize]) -> Result<DeviceStates> {
        let rows = |table: &Tensor, indices: &[u32]| -> Result<Tensor> {
            Ok(table.index_select(&Tensor::new(indices, &self.device)?, 0)?.to_dtype(DType::F32)?)
        };
        let mut states = rows(&self.embedding, tokens)?;
        if self.arch.embedding_scaled {
            states = states.affine((self.arch.hidden as f64).sqrt(), 0.)?;
        }
        if let Some(learned) = &self.positions {
            let positions: Vec<u32> = positions.iter().map(|&position| position as u32).collect();
            states = (states + rows(learned, &positions)?)?;
        }
        if let Some(norm) = &self.embedding_norm {
            states = norm.forward(&states)?;
        }
        Ok(DeviceStates(states))
    }

    fn layer(
        &self,
        layer: usize,
        states: &mut DeviceStates,
        batch: &[Rows],
        kv: &mut DeviceKv,
    ) -> Result<()> {
        let block = &self.blocks[layer];
        let marked = self.marked(layer, batch)?;
        let out = self.attention(layer, &states.0, batch, kv, marked.as_ref())?;
        if self.arch.wiring == Wiring::Parallel {
            let mlp = self.mlp(layer, &states.0, marked.as_ref())?;
            add(&mut states.0, &out)?;
            return add(&mut states.0, &mlp);
        }
        let normed = |norm: &Option<Norm>, out: Tensor| match norm {
            Some(norm) => norm.forward(&out),
            None => Ok(out),
        };
        add(&mut states.0, &normed(&block.after_attention, out)?)?;
        let out = self.mlp(layer, &states.0, marked.as_ref())?;
        add(&mut states.0, &normed(&block.after_mlp, out)?)
    }

    fn logits(&self, states: &DeviceStates) -> Result<Matrix> {
        let logits = self.last(&states.0)?.to_dtype(DType::F32)?;
        Ok(Matrix::from_rows(self.arch.vocab, logits.flatten_all()?.to_vec1()?))
    }

    fn choose(&self, states: &DeviceStates) -> Result<Vec<u32>> {
        let firsts = (0..states.rows()).step_by(CHOSEN);
        let chosen = firsts.map(|first| {
            let some = states.0.narrow(0, first, CHOSEN.min(states.rows() - first))?;
            choose::greatest(&self.last(&some)?)
        });
        choose::tokens(&chosen.collect::<Result<Vec<_>>>()?, self.arch.vocab)
    }
}

impl DeviceTransformer {
    /// Logits of states, in the weights' type.
    fn last(&self, states: &Tensor) -> Result<Tensor> {
        self.head.forward(&self.norm.entering(states, self.dtype)?)
    }

    /// What attention adds, its output's norm aside.
    fn attention(
        &self,
        layer: usize,
        states: &Tensor,
        batch: &[Rows],
        kv: &mut DeviceKv,
        marked: Option<&Marked>,
    ) -> Result<Tensor> {
        use Projection::{K, O, Q, V};
        let Arch { heads, kv_heads, head_dim, score_scale, .. } = self.arch;
        let block = &self.blocks[layer];
        let normed = block.attention_norm.entering(states, self.dtype)?;
        let mut qkv = block.qkv.forward(&normed)?;
        for projection in [Q, K, V] {
            let change = self.change(layer, projection, &normed, marked)?;
            qkv = block.qkv.add(projection.part(true), change, qkv)?;
        }
        let qkv = self.normed_heads(block, qkv)?;
        let windowed = self.arch.window(layer).is_some();
        let rope = self.rope.as_ref().map(|rope| &rope[usize::from(windowed)]);
        let written =
            batch.iter().flat_map(|rows| rows.positions.iter().map(|&position| (rows.write, position)));
        let (slots, positions): (Vec<u32>, Vec<usize>) =
            written.map(|(block, position)| (kv.slot(block, layer, position) as u32, position)).unzip();
        let placing = Placing { heads, kv_heads, head_dim, rope, dtype: self.dtype };
        let q = placing.run(&qkv, &positions, &slots, kv)?;
        let attention = Attention {
            layer,
            heads,
            kv_heads,
            head_dim,
            scale: score_scale,
            slopes: self.slopes.as_deref(),
            window: self.arch.window(layer),
            kv,
        };
        let attended = attention.run(&q, batch)?;
        let out = block.o.forward(&attended)?;
        let out = block.o.add(0, self.change(layer, O, &attended, marked)?, out)?;
        self.silenced(out, batch)
    }

    /// Rows' queries and keys with their heads' norms, where there are such.
    fn normed_heads(&self, block: &Block, qkv: Tensor) -> Result<Tensor> {
        let (Some(q_norm), Some(k_norm)) = (&block.q_norm, &block.k_norm) else { return Ok(qkv) };
        let normed = |part: usize, norm: &Norm| -> Result<Tensor> {
            let x = block.qkv.part(part, &qkv)?;
            let (rows, width) = x.dims2()?;
            Ok(norm.forward(&x.reshape((rows, (), self.arch.head_dim))?)?.reshape((rows, width))?)
        };
        let v = block.qkv.part(2, &qkv)?.to_dtype(DType::F32)?;
        Ok(Tensor::cat(&[normed(0, q_norm)?, normed(1, k_norm)?, v], 1)?)
    }

    /// No attention at all, not even the bias of its output, for the rows that have none.
    fn silenced(&self, out: Tensor, batch: &[Rows]) -> Result<Tensor> {
        if batch.iter().all(|rows| !matches!(rows.reads, Reads::Nothing)) {
            return Ok(out);
        }
        let heard = |rows: &Rows| if matches!(rows.reads, Reads::Nothing) { 0f32 } else { 1. };
        Ok(out.to_dtype(DType::F32)?.broadcast_mul(&self.by_row(batch, heard)?)?)
    }

    /// What the MLP adds, its norm aside.
    fn mlp(&self, layer: usize, states: &Tensor, marked: Option<&Marked>) -> Result<Tensor> {
        use Projection::{Down, Gate, Up};
        let (block, gated) = (&self.blocks[layer], self.arch.gated);
        let normed = block.mlp_norm.entering(states, self.dtype)?;
        let mut inner = block.into.forward(&normed)?;
        for projection in [Gate, Up].into_iter().filter(|&projection| gated || projection == Up) {
            let change = self.change(layer, projection, &normed, marked)?;
            inner = block.into.add(projection.part(gated), change, inner)?;
        }
        let activated = activated(self.arch.activation, &block.into, gated, &inner, self.dtype)?;
        let out = block.down.forward(&activated)?;
        block.down.add(0, self.change(layer, Down, &activated, marked)?, out)
    }

    /// Which rows a layer's adapters change; `None` where there is none of this layer, or no such row.
    fn marked(&self, layer: usize, batch: &[Rows]) -> Result<Option<Marked>> {
        let here =
            self.adapted.range((layer, Projection::Q)..).next().is_some_and(|((of, _), _)| *of == layer);
        match here && (self.everywhere || batch.iter().any(|rows| rows.adapted)) {
            false => Ok(None),
            true if self.everywhere => Ok(Some(Marked(None))),
            true => Ok(Some(Marked(Some(self.by_row(batch, |rows| f32::from(u8::from(rows.adapted)))?)))),
        }
    }

    /// What an adapter adds to a projection's outputs.
    fn change(
        &self,
        layer: usize,
        projection: Projection,
        x: &Tensor,
        marked: Option<&Marked>,
    ) -> Result<Option<Tensor>> {
        match (marked, self.adapted.get(&(layer, projection))) {
            (Some(Marked(marked)), Some(adapted)) => adapted.forward(x, marked.as_ref()).map(Some),
            _ => Ok(None),
        }
    }

    /// A number for each row, `[rows, 1]`.
    fn by_row(&self, batch: &[Rows], of: impl Fn(&Rows) -> f32) -> Result<Tensor> {
        let all: Vec<f32> = batch.iter().flat_map(|rows| vec![of(rows); rows.positions.len()]).collect();
        let rows = all.len();
        Ok(Tensor::from_vec(all, (rows, 1), &self.device)?)
    }
}

/// Rows that adapters change, 1 or 0 each `[rows, 1]`; `None` for all.
struct Marked(Option<Tensor>);
