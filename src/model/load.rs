//! Named tensors -> parts of a decoder, in the form in which they are to be held.

use std::cell::RefCell;
use std::collections::BTreeSet;

use anyhow::{Context, Result};
use candle_core::Device;

use super::arch::{Arch, NormKind, Wiring};
use super::block::{Attention, Block};
use super::checkpoint::{Held, Precision, Weights};
use super::cpu::rowwise::NormWeights;
use super::mlp::Mlp;
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
        let name = |part: &str| format!("{}.{layer}.{part}", self.names.blocks);
        let sandwich = |part: &str| match wiring {
            Wiring::Sandwich => self.norm(&name(part), hidden).map(Some),
            Wiring::Sequential | Wiring::Parallel => Ok(None),
        };
        let [q_norm, k_norm] = self.names.qk_norms.map(|part| match self.arch.qk_norm {
            true => self.norm(&name(part), head_dim).map(Some),
            false => Ok(None),
        });
        // First, because a layer that is not there is named by its queries.
        let qkv = self.qkv(&name)?;
        let output = || self.weight(&name(self.names.output), heads * head_dim, hidden, bias.output);
        Ok(Block {
            attention_norm: self.norm(&name(self.names.attention_norm), hidden)?,
            attention: Attention { qkv, q_norm: q_norm?, k_norm: k_norm?, output: vec![output()?] },
            after_attention: sandwich(self.names.after_attention)?,
            mlp_norm: self.norm(&name(self.names.mlp_norm), hidden)?,
            mlp: self.mlp(&name)?,
            after_mlp: sandwich(self.names.after_mlp)?,
        })
    }

    fn mlp(&self, name: &dyn Fn(&str) -> String) -> Result<Mlp<Vec<Weight>>> {
        let shape = self.arch.mlp();
        let weight = |projection: Projection| {
            let [inputs, outputs] = shape.sizes(projection).context("a projection of the MLP")?;
            let part = match projection {
                Projection::Gate => self.names.gate,
                Projection::Down => self.names.down,
                _ => self.names.up,
            };
            self.weight(&name(part), inputs, outputs, shape.bias)
        };
        let into = shape.entering().iter().map(|&projection| weight(projection)).collect::<Result<_>>()?;
        Ok(Mlp { into, down: vec![weight(Projection::Down)?], shape })
    }

    fn qkv(&self, name: &dyn Fn(&str) -> String) -> Result<Vec<Weight>> {
        let Arch { hidden, heads, kv_heads, head_dim, bias, .. } = *self.arch;
        let (width, kv) = (heads * head_dim, kv_heads * head_dim);
        let fused = |part: &str| -> Result<_> {
            let (name, from) =
                (name(part), if self.names.transposed { [hidden, 3 * width] } else { [3 * width, hidden] });
            let weight = self.ask(&format!("{name}.weight"), &from)?;
            let weight = if self.names.transposed { weight.transposed()? } else { weight };
            let bias = bias.qkv.then(|| self.ask(&format!("{name}.bias"), &[3 * width])).transpose()?;
            Ok((weight, bias))
        };
        let part = |(weight, bias): &(Held, Option<Held>), rows: &dyn Fn(usize) -> usize| -> Result<Weight> {
            let select = |held: &Held| held.rows((0..width).map(rows));
            let bias = bias.as_ref().map(|bias| self.vector(select(bias))).transpose()?;
            Ok(Weight { matrix: select(weight).prepared(self.precision, self.device)?, bias })
        };
        match self.names.qkv {
            Qkv::Apart([q, k, v]) => [(q, width), (k, kv), (v, kv)]
                .into_iter()
                .map(|(part, out)| self.weight(&name(part), hidden, out, bias.qkv))
                .collect(),
            Qkv::Stacked(all) => {
                let all = fused(all)?;
                Ok(vec![
                    part(&all, &|row| row)?,
                    part(&all, &|row| width + row)?,
                    part(&all, &|row| 2 * width + row)?,
                ])
            }
            Qkv::ByHead(all) => {
                let all = fused(all)?;
                let of =
                    |which: usize| move |row: usize| (row / head_dim * 3 + which) * head_dim + row % head_dim;
                Ok(vec![part(&all, &of(0))?, part(&all, &of(1))?, part(&all, &of(2))?])
            }
        }
    }

    /// The weight of a product from `from` to `to` values.
    fn weight(&self, name: &str, from: usize, to: usize, bias: bool) -> Result<Weight> {
        let stored = if self.names.transposed { [from, to] } else { [to, from] };
        let weight = self.ask(&format!("{name}.weight"), &stored)?;
        let weight = if self.names.transposed { weight.transposed()? } else { weight };
        let bias = match bias {
            true => Some(self.vector(self.ask(&format!("{name}.bias"), &[to])?)?),
            false => None,
        };
        Ok(Weight { matrix: weight.prepared(self.precision, self.device)?, bias })
    }

    /// A matrix of rows to be looked up, `[rows, hidden]`.
    pub fn table(&self, name: &str, rows: usize) -> Result<Held> {
        let table = self.ask(&format!("{name}.weight"), &[rows, self.arch.hidden])?;
        table.prepared(self.precision, self.device)
    }

    /// A norm of the model's kind.
    pub fn norm(&self, name: &str, width: usize) -> Result<NormWeights> {
        let mut weight = self.vector(self.ask(&format!("{name}.weight"), &[width])?)?;
        let bias = match self.arch.norm {
            NormKind::Rms => None,
            NormKind::RmsPlusOne => {
                weight.iter_mut().for_each(|weight| *weight += 1.);
                None
            }
            NormKind::Layer => Some(self.vector(self.ask(&format!("{name}.bias"), &[width])?)?),
        };
        Ok(NormWeights { weight, bias, eps: self.arch.norm_eps as f32 })
    }

    fn ask(&self, name: &str, shape: &[usize]) -> Result<Held> {
        self.asked.borrow_mut().insert(name.into());
        self.weights.tensor(name, shape)
    }

    /// Vectors are small: always held as f32.
    fn vector(&self, held: Held) -> Result<Vec<f32>> {
        let vector = held.prepared(Precision::F32, self.device)?.widen(self.device)?;
        Ok(vector.flatten_all()?.to_vec1()?)
    }
}
