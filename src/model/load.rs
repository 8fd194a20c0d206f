//! Named tensors -> parts of a decoder, in the form in which they are to be held.

use std::cell::RefCell;
use std::collections::BTreeSet;

use anyhow::{Context, Result};
use candle_core::Device;

use super::arch::{Arch, NormKind, QkNorm, Wiring};
use super::block::{Attention, Block, Norms};
use super::checkpoint::{Held, Precision, Weights};
use super::cpu::rowwise::NormWeights;
use super::mlp::{Mlp, MlpShape};
use super::names::{Qkv, TensorNames};
use super::parts::Weight;
use super::projection::Projection;

/// Takes tensors out of a checkpoint and notes which.
pub struct WeightSource<'a> {
    pub arch: &'a Arch,
    pub names: &'static TensorNames,
    pub weights: &'a dyn Weights,
    pub precision: Precision,
    pub device: &'a Device,
    pub asked: RefCell<BTreeSet<String>>,
}

/// A block as it is found in a checkpoint: weights that are not yet stacked.
pub type FoundBlock = Block<NormWeights, Vec<Weight>>;

impl WeightSource<'_> {
    /// A block and all in it.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    pub fn block(&self, layer: usize) -> Result<FoundBlock> {
        let Arch { hidden, heads, head_dim, bias, wiring, .. } = *self.arch;
        let names = self.names;
        let name = |part: &str| format!("{}.{layer}.{part}", names.blocks);
        let norm = |part: &str| self.norm(&name(part), hidden).map(Some);
        let norms = |before: &str, after: &str| -> Result<Norms<NormWeights>> {
            let none = Norms { before: None, after: None, sum: None };
            Ok(match wiring {
                Wiring::Sequential | Wiring::Parallel => Norms { before: norm(before)?, ..none },
                // It is held and computed twice: once for attention, once for the MLP.
                Wiring::ParallelOneNorm => Norms { before: norm(names.attention_norm)?, ..none },
                Wiring::Sandwich => Norms { before: norm(before)?, after: norm(after)?, sum: None },
                Wiring::NormAfter => Norms { after: norm(after)?, ..none },
                Wiring::PostNorm => Norms { sum: norm(before)?, ..none },
            })
        };
        // First, because a layer that is not there is named by its queries.
        let qkv = self.qkv(&name)?;
        let [q_norm, k_norm] = self.qk_norms(&name)?;
        let sinks = || self.vector(self.ask(&name(names.sinks), &[heads])?);
        let output = self.weight(&name(names.output), heads * head_dim, hidden, bias.output)?;
        let sinks = self.arch.sinks.then(sinks).transpose()?;
        Ok(Block {
            attention_norms: norms(names.attention_norm, names.after_attention)?,
            attention: Attention { qkv, q_norm, k_norm, sinks, output: vec![output] },
            mlp_norms: norms(names.mlp_norm, names.after_mlp)?,
            mlp: self.feed_forward(layer, &name)?,
        })
    }

    /// The norms of queries and keys, where there are such.
    fn qk_norms(&self, name: &dyn Fn(&str) -> String) -> Result<[Option<NormWeights>; 2]> {
        let Arch { heads, kv_heads, head_dim, .. } = *self.arch;
        let Some(kind) = self.arch.qk_norm else { return Ok([None, None]) };
        let norm = |which: usize, heads: usize| -> Result<NormWeights> {
            let name = name(self.names.qk_norms[which]);
            let weight =
                |name: &str, shape: &[usize]| self.vector(self.ask(&format!("{name}.weight"), shape)?);
            let (weight, width) = match kind {
                QkNorm::Whole => (weight(&name, &[heads * head_dim])?, heads * head_dim),
                QkNorm::Head => (weight(&name, &[head_dim])?.repeat(heads), head_dim),
                // GGUF files have one tensor of them too.
                QkNorm::OwnHead
                    if self.names.qk_norms_apart && !self.weights.holds(&format!("{name}.weight")) =>
                {
                    let each = (0..heads).map(|head| weight(&format!("{name}.{head}"), &[head_dim]));
                    (each.collect::<Result<Vec<_>>>()?.concat(), head_dim)
                }
                QkNorm::OwnHead => (weight(&name, &[heads, head_dim])?, head_dim),
            };
            // Here no family has biases.
            let kind =
                if self.arch.norm == NormKind::Layer { NormKind::LayerWithoutBias } else { self.arch.norm };
            Ok(self.norm_of(kind, weight, None, width))
        };
        Ok([Some(norm(0, heads)?), Some(norm(1, kv_heads)?)])
    }

    /// The MLP of a layer.
    pub(super) fn mlp(&self, shape: MlpShape, name: &dyn Fn(&str) -> String) -> Result<Mlp<Vec<Weight>>> {
        let weight = |projection: Projection| {
            let [inputs, outputs] = shape.sizes(projection).context("a projection of the MLP")?;
            let part = match projection {
                Projection::Gate => self.names.gate,
                Projection::Down => self.names.down,
                _ => self.names.up,
            };
            self.weight(&name(part), inputs, outputs, shape.bias)
        };
        let into = match self.names.gate_up {
            Some(both) => {
                let (both, width) = (self.fused(&name(both), 2 * shape.width, shape.bias)?, shape.width);
                vec![self.rows_of(&both, 0..width)?, self.rows_of(&both, width..2 * width)?]
            }
            None => shape.entering().iter().map(|&projection| weight(projection)).collect::<Result<_>>()?,
        };
        Ok(Mlp { into, down: vec![weight(Projection::Down)?], shape })
    }

    fn qkv(&self, name: &dyn Fn(&str) -> String) -> Result<Vec<Weight>> {
        let Arch { hidden, heads, kv_heads, head_dim, bias, .. } = *self.arch;
        let (width, kv) = (heads * head_dim, kv_heads * head_dim);
        let group = heads / kv_heads;
        match self.names.qkv {
            Qkv::Apart([q, k, v]) => [(q, width), (k, kv), (v, kv)]
                .into_iter()
                .map(|(part, out)| self.weight(&name(part), hidden, out, bias.qkv))
                .collect(),
            Qkv::Stacked(all) => {
                let all = self.fused(&name(all), width + 2 * kv, bias.qkv)?;
                let part = |first: usize, rows: usize| self.rows_of(&all, first..first + rows);
                Ok(vec![part(0, width)?, part(width, kv)?, part(width + kv, kv)?])
            }
            Qkv::ByGroup(all) => {
                let all = self.fused(&name(all), width + 2 * kv, bias.qkv)?;
                // A group has its queries, then its key and its value.
                let of = |first: usize, each: usize| {
                    let row = move |row: usize| {
                        let (of_group, rest) = (row / (each * head_dim), row % (each * head_dim));
                        (of_group * (group + 2) + first) * head_dim + rest
                    };
                    self.rows_of(&all, (0..kv_heads * each * head_dim).map(row))
                };
                Ok(vec![of(0, group)?, of(group, 1)?, of(group + 1, 1)?])
            }
        }
    }

    /// The weight of several products that are stored as one, `[to, hidden]`, and its bias.
    fn fused(&self, name: &str, to: usize, bias: bool) -> Result<(Held, Option<Held>)> {
        let hidden = self.arch.hidden;
        let stored = if self.names.transposed { [hidden, to] } else { [to, hidden] };
        let weight = self.ask(&format!("{name}.weight"), &stored)?;
        let weight = if self.names.transposed { weight.transposed()? } else { weight };
        Ok((weight, bias.then(|| self.ask(&format!("{name}.bias"), &[to])).transpose()?))
    }

    /// One of them: some rows.
    fn rows_of(
        &self,
        (weight, bias): &(Held, Option<Held>),
        rows: impl Iterator<Item = usize> + Clone,
    ) -> Result<Weight> {
        let bias = bias.as_ref().map(|bias| self.vector(bias.rows(rows.clone()))).transpose()?;
        Ok(Weight { matrix: weight.rows(rows).prepared(self.precision, self.device)?, bias })
    }

    /// The weight of a product from `from` to `to` values.
    pub(super) fn weight(&self, name: &str, from: usize, to: usize, bias: bool) -> Result<Weight> {
        let stored = if self.names.transposed { [from, to] } else { [to, from] };
        let weight = self.ask(&format!("{name}.weight"), &stored)?;
        let weight = if self.names.transposed { weight.transposed()? } else { weight };
        let bias = match bias {
            true => Some(self.vector(self.ask(&format!("{name}.bias"), &[to])?)?),
            false => None,
        };
        Ok(Weight { matrix: weight.prepared(self.precision, self.device)?, bias })
    }

    /// A matrix of rows to be looked up, `[rows, width]`.
    pub fn table(&self, name: &str, rows: usize, width: usize) -> Result<Held> {
        let table = self.ask(&format!("{name}.weight"), &[rows, width])?;
        table.prepared(self.precision, self.device)
    }

    /// The matrix that leads from the embedding to the states, or back; `None` where both are as wide.
    pub fn projection(&self, name: &str, from: usize, to: usize) -> Result<Option<Weight>> {
        let projected = self.arch.embedding_width.is_some();
        projected.then(|| self.weight(name, from, to, false)).transpose()
    }

    /// What is added to the logits, where there is such.
    pub fn head_bias(&self) -> Result<Option<Vec<f32>>> {
        let bias = || self.vector(self.ask(&format!("{}.bias", self.names.head), &[self.arch.vocab])?);
        self.arch.bias.head.then(bias).transpose()
    }

    /// A norm of the model's kind.
    pub fn norm(&self, name: &str, width: usize) -> Result<NormWeights> {
        let vector = |part: &str| self.vector(self.ask(&format!("{name}.{part}"), &[width])?);
        let kind = self.arch.norm;
        let weight = if kind == NormKind::LayerAlone { vec![1.; width] } else { vector("weight")? };
        let bias = (kind == NormKind::Layer).then(|| vector("bias")).transpose()?;
        Ok(self.norm_of(kind, weight, bias, width))
    }

    fn norm_of(
        &self,
        kind: NormKind,
        mut weight: Vec<f32>,
        bias: Option<Vec<f32>>,
        width: usize,
    ) -> NormWeights {
        let bias = match kind {
            NormKind::Rms => None,
            NormKind::RmsPlusOne => {
                weight.iter_mut().for_each(|weight| *weight += 1.);
                None
            }
            // Biases of 0 tell it from a norm by root mean square.
            NormKind::Layer | NormKind::LayerWithoutBias | NormKind::LayerAlone => {
                bias.or_else(|| Some(vec![0.; weight.len()]))
            }
        };
        NormWeights { weight, bias, width, eps: self.arch.norm_eps as f32 }
    }

    pub(super) fn ask(&self, name: &str, shape: &[usize]) -> Result<Held> {
        self.asked.borrow_mut().insert(name.into());
        self.weights.tensor(name, shape)
    }

    /// Vectors are small: always held as f32.
    pub(super) fn vector(&self, held: Held) -> Result<Vec<f32>> {
        let vector = held.prepared(Precision::F32, self.device)?.widen(self.device)?;
        Ok(vector.flatten_all()?.to_vec1()?)
    }
}
