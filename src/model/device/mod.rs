//! The decoder on a device of candle's (a GPU): the same blocks as [`Transformer`](super::Transformer), products by candle and what
//! stands between them by [`Kernels`]: our own on a GPU, candle's tensors where the device is the CPU. Weights, states, keys and
//! values stay on the device; what crosses is a few numbers a row and layer, and the chosen tokens.

use std::cell::RefCell;
use std::collections::BTreeSet;

use anyhow::Result;
use candle_core::{DType, Device, Tensor};

mod attend;
mod choose;
#[cfg(feature = "cuda")]
mod cuda;
mod gpu;
mod kernels;
mod kv;
mod layer;
mod parts;
mod reference;
mod slots;

pub use gpu::{free_bytes, gpu};
pub use kv::DeviceKv;

use self::kernels::Kernels;
use self::layer::{Block, DeviceLayer, Marked};
use self::parts::{Adapted, Linear, Norm, Rope, brought};
use super::adapter::Adapters;
use super::arch::{Arch, Positions};
use super::block::{block, keys_and_values};
use super::checkpoint::{Checkpoint, Precision, Weights};
use super::cpu::rowwise::NormWeights;
use super::load::WeightSource;
use super::names::TensorNames;
use super::parts::Weight;
use super::rope::RopeTable;
use super::scores::Scores;
use super::{Decoder, Matrix, Rows, States};

/// A decoder-only transformer of any [`Family`](super::Family), on a device.
pub struct DeviceTransformer {
    arch: Arch,
    device: Device,
    /// Of weights, keys and values, and of products.
    dtype: DType,
    /// `[vocab, embedding width]`
    embedding: Tensor,
    /// From the embedding to the states, where they are not as wide.
    project_in: Option<Linear>,
    /// `[positions, hidden]`, where they are learned
    positions: Option<Tensor>,
    embedding_norm: Option<Norm>,
    blocks: Vec<Block>,
    norm: Option<Norm>,
    /// From the states back to the embedding's width.
    project_out: Option<Linear>,
    head: Linear,
    /// Of layers without and with a window, where positions are rotary.
    rope: Option<[Rope; 2]>,
    scores: Scores,
    adapters: Adapters<Adapted>,
    kernels: &'static dyn Kernels,
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
        let kernels = kernels(device);
        kernels.check(&arch)?;
        let (names, asked) = (TensorNames::of(&arch), RefCell::new(BTreeSet::new()));
        // As they stand in their files, until they are brought to the device.
        let precision = Precision::Stored;
        let source = WeightSource { arch: &arch, names, weights, precision, device: &Device::Cpu, asked };
        let (hidden, width) = (arch.hidden, arch.embedding_width());
        let table = |name: &str, rows: usize, width: usize| {
            brought(&[&source.table(name, rows, width)?], dtype, device)
        };
        let norm = |norm: &NormWeights| Norm::new(norm, device);
        let embedding = table(names.embedding, arch.vocab, width)?;
        let head = if arch.tied { embedding.clone() } else { table(names.head, arch.vocab, width)? };
        let head_bias = source.head_bias()?.map(|bias| Tensor::new(bias, device)).transpose()?;
        let positions = arch.position_rows().map(|rows| table(names.positions, rows, hidden)).transpose()?;
        let projection = |which: usize, from: usize, to: usize| {
            let weight = source.projection(names.projections[which], from, to)?;
            weight.map(|weight| Linear::new(&[weight], dtype, device)).transpose()
        };
        let (project_in, project_out) = (projection(0, width, hidden)?, projection(1, hidden, width)?);
        let normed = arch.embedding_norm;
        let embedding_norm =
            normed.then(|| norm(&source.norm(names.embedding_norm, arch.hidden)?)).transpose()?;
        let product = |weights: Vec<Weight>| Linear::new(&weights, dtype, device);
        let block = |layer| source.block(layer)?.map(|weights| norm(&weights), product);
        let blocks = (0..arch.layers).map(block).collect::<Result<_>>()?;
        let last_norm = arch.last_norm.then(|| norm(&source.norm(names.norm, hidden)?)).transpose()?;
        weights.refuse_surplus(&source.asked.borrow())?;
        Ok(Self {
            device: device.clone(),
            dtype,
            embedding,
            project_in,
            positions,
            embedding_norm,
            blocks,
            norm: last_norm,
            project_out,
            head: Linear::of(head, head_bias),
            rope: RopeTable::of(&arch)?.map(|tables| tables.map(|table| Rope::new(table, device))),
            scores: Scores::of(&arch),
            adapters: Adapters::default(),
            kernels,
            arch,
        })
    }

    /// Make these adapters resident, in place of all others.
    ///
    /// # Errors
    /// One belongs to another model; no memory left.
    pub fn adapt(&mut self, adapters: &Adapters) -> Result<()> {
        adapters.check(&self.arch)?;
        self.adapters = adapters.map(|low_rank| Adapted::new(low_rank, &self.device))?;
        Ok(())
    }
}

/// The kernels of a device.
fn kernels(device: &Device) -> &'static dyn Kernels {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(_) => &cuda::Cuda,
        _ => &reference::Reference,
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
        DeviceKv::new(&self.arch, self.dtype, &self.device, self.kernels, bytes)
    }

    fn embed(&self, tokens: &[u32], positions: &[usize]) -> Result<DeviceStates> {
        let rows = |table: &Tensor, indices: &[u32]| -> Result<Tensor> {
            Ok(table.index_select(&Tensor::new(indices, &self.device)?, 0)?.to_dtype(DType::F32)?)
        };
        let mut states = rows(&self.embedding, tokens)?;
        if self.arch.multipliers.embedding != 1. {
            states = states.affine(self.arch.multipliers.embedding, 0.)?;
        }
        if let Some(project) = &self.project_in {
            states = project.forward(&states)?.to_dtype(DType::F32)?;
        }
        if let (Some(learned), Positions::Learned { first }) = (&self.positions, &self.arch.positions) {
            let positions: Vec<u32> = positions.iter().map(|&position| (first + position) as u32).collect();
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
        block(&mut self.at_layer(layer, batch, kv)?, &self.blocks[layer], self.arch.wiring, &mut states.0)
    }

    fn write(&self, layer: usize, states: &DeviceStates, batch: &[Rows], kv: &mut DeviceKv) -> Result<()> {
        keys_and_values(&mut self.at_layer(layer, batch, kv)?, &self.blocks[layer], &states.0)
    }

    fn logits(&self, states: &DeviceStates) -> Result<Matrix> {
        let mut logits = self.last(&states.0)?.to_dtype(DType::F32)?;
        if self.arch.multipliers.logits != 1. {
            logits = logits.affine(self.arch.multipliers.logits, 0.)?;
        }
        if let Some(cap) = self.arch.logit_cap {
            logits = (logits.affine(1. / cap, 0.)?.tanh()? * cap)?;
        }
        Ok(Matrix::from_rows(self.arch.vocab, logits.flatten_all()?.to_vec1()?))
    }

    fn choose(&self, states: &DeviceStates) -> Result<Vec<u32>> {
        let firsts = (0..states.rows()).step_by(CHOSEN);
        let chosen = firsts.map(|first| {
            let some = states.0.narrow(0, first, CHOSEN.min(states.rows() - first))?;
            self.kernels.greatest(&self.last(&some)?)
        });
        choose::tokens(&chosen.collect::<Result<Vec<_>>>()?, self.arch.vocab)
    }
}

impl DeviceTransformer {
    /// The steps of a layer over a batch of rows.
    fn at_layer<'a>(
        &'a self,
        layer: usize,
        batch: &'a [Rows],
        kv: &'a mut DeviceKv,
    ) -> Result<DeviceLayer<'a>> {
        Ok(DeviceLayer {
            arch: &self.arch,
            layer,
            dtype: self.dtype,
            kernels: self.kernels,
            rope: self.rope.as_ref().zip(self.arch.rotation(layer)).map(|(rope, which)| &rope[which]),
            scores: &self.scores,
            adapters: Marked::of(&self.adapters, layer, batch, &self.device)?,
            batch,
            kv,
        })
    }

    /// Products of states with the vocabulary projection, in the weights' type: logits before scale and cap, which change no order.
    fn last(&self, states: &Tensor) -> Result<Tensor> {
        let normed = match &self.norm {
            Some(norm) => self.kernels.norm(norm, states, self.dtype)?,
            None => states.to_dtype(self.dtype)?,
        };
        match &self.project_out {
            Some(project) => self.head.forward(&project.forward(&normed)?),
            None => self.head.forward(&normed),
        }
    }
}
