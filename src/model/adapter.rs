//! Low-rank changes of a model's projections: LoRA (Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models").
//!
//! An adapted projection puts out `W x + scale * B (A x)`; `W` stays as it is. Nothing is merged into the weights, so that
//! rows with and without the adapter can stand in one batch, and what is computed is what PEFT computes.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::cpu::Matrix;
use super::cpu::rowwise::each_row;
use super::{Arch, Rows};
use crate::base::error::input;

/// A projection of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Projection {
    /// Queries.
    Q,
    /// Keys.
    K,
    /// Values.
    V,
    /// The attention output.
    O,
    /// The MLP's gate.
    Gate,
    /// Into the MLP.
    Up,
    /// Out of the MLP.
    Down,
}

impl Projection {
    /// All of them, in the order of the data.
    pub const ALL: [Self; 7] = [Self::Q, Self::K, Self::V, Self::O, Self::Gate, Self::Up, Self::Down];

    /// Inputs and outputs in an architecture; `None` where it has no such projection.
    pub fn sizes(self, arch: &Arch) -> Option<[usize; 2]> {
        let (q, kv) = (arch.heads * arch.head_dim, arch.kv_heads * arch.head_dim);
        match self {
            Self::Q => Some([arch.hidden, q]),
            Self::K | Self::V => Some([arch.hidden, kv]),
            Self::O => Some([q, arch.hidden]),
            Self::Gate => arch.gated.then_some([arch.hidden, arch.intermediate]),
            Self::Up => Some([arch.hidden, arch.intermediate]),
            Self::Down => Some([arch.intermediate, arch.hidden]),
        }
    }

    /// Its place among the weights that are stacked with it.
    pub(super) fn part(self, gated: bool) -> usize {
        match self {
            Self::Q | Self::O | Self::Gate | Self::Down => 0,
            Self::K => 1,
            Self::V => 2,
            Self::Up => usize::from(gated),
        }
    }
}

impl fmt::Display for Projection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Q => "q",
            Self::K => "k",
            Self::V => "v",
            Self::O => "o",
            Self::Gate => "gate",
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

impl FromStr for Projection {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|projection| projection.to_string() == word)
            .ok_or_else(|| "q, k, v, o, gate, up, down".into())
    }
}

/// What is added to one projection.
#[derive(Debug, Clone, PartialEq)]
pub struct LowRank {
    /// `[in, rank]`: the transpose of PEFT's `lora_A`, so that a row's sums over its inputs run side by side.
    pub a: Matrix,
    /// `[rank, out]`: the transpose of PEFT's `lora_B`.
    pub b: Matrix,
    /// `alpha / rank`
    pub scale: f32,
}

impl LowRank {
    /// Rank of the change.
    pub fn rank(&self) -> usize {
        self.b.rows()
    }

    /// Whether `scale * B A` can be computed with: its largest numbers and their squares, which norms take, are not beyond
    /// f32.
    pub fn is_finite(&self) -> bool {
        // Unlike `max`, it keeps NaN.
        let greater = |most: f32, value: f32| if value.abs() <= most { most } else { value.abs() };
        let largest = |values: &mut dyn Iterator<Item = f32>| values.fold(0f32, greater);
        let product = |rank: usize| {
            let a = largest(&mut (0..self.a.rows()).map(|input| self.a.row(input)[rank]));
            let b = largest(&mut self.b.row(rank).iter().copied());
            f64::from(a) * f64::from(self.scale).abs() * f64::from(b)
        };
        let sum: f64 = (0..self.rank()).map(product).sum();
        ((sum * sum) as f32).is_finite()
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> u64 {
        ((self.a.data().len() + self.b.data().len()) * size_of::<f32>()) as u64
    }

    /// `A x`, `[rank]`.
    pub fn inside(&self, x: &[f32]) -> Vec<f32> {
        let mut sums = vec![0f32; self.rank()];
        for (x, a) in x.iter().zip(self.a.data().chunks_exact(self.rank())) {
            sums.iter_mut().zip(a).for_each(|(sum, a)| *sum += x * a);
        }
        sums
    }

    /// `y += scale * B inside`
    pub fn add_outside(&self, inside: &[f32], y: &mut [f32]) {
        for (inside, b) in inside.iter().zip(self.b.data().chunks_exact(self.b.width())) {
            let share = inside * self.scale;
            y.iter_mut().zip(b).for_each(|(y, b)| *y += share * b);
        }
    }
}

/// The low-rank changes of a model, by layer and projection.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Adapter(pub BTreeMap<(usize, Projection), LowRank>);

impl Adapter {
    /// Bytes that it holds.
    pub fn bytes(&self) -> u64 {
        self.0.values().map(LowRank::bytes).sum()
    }

    /// Those of both.
    ///
    /// # Errors
    /// Both change the same projection.
    pub fn join(&mut self, other: Self) -> Result<()> {
        for (place, low_rank) in other.0 {
            if self.0.insert(place, low_rank).is_some() {
                return Err(input(format!(
                    "two adapters change projection {} of layer {}",
                    place.1, place.0
                )));
            }
        }
        Ok(())
    }

    /// Refuse what does not belong to a model.
    ///
    /// # Errors
    /// A layer or projection that it lacks, or other sizes.
    pub fn check(&self, arch: &Arch) -> Result<()> {
        for (&(layer, projection), low_rank) in &self.0 {
            let place = format!("projection {projection} of layer {layer}");
            let sizes = projection.sizes(arch).filter(|_| layer < arch.layers);
            let Some([inputs, outputs]) = sizes else {
                return Err(input(format!("the adapter changes {place}, which the model does not have")));
            };
            let found = [low_rank.a.rows(), low_rank.b.width()];
            if found != [inputs, outputs] || low_rank.a.width() != low_rank.rank() {
                return Err(input(format!(
                    "the adapter's {place} takes {} values to {}, the model's takes {inputs} to {outputs}: it was made for \
                     another model",
                    found[0], found[1]
                )));
            }
        }
        Ok(())
    }
}

/// An adapter at work: in every row, or in those that are marked ([`Rows::adapted`]).
pub struct Fitted {
    pub adapter: Adapter,
    pub everywhere: bool,
}

impl Fitted {
    /// Add what one projection's adapter gives to the outputs that begin at `column` of `y`.
    pub fn add(&self, place: (usize, Projection), batch: &[Rows], x: &Matrix, y: &mut Matrix, column: usize) {
        let marked = batch.iter().flat_map(|rows| rows.positions.iter().map(|_| rows.adapted));
        let marked: Vec<bool> = marked.map(|marked| marked || self.everywhere).collect();
        self.add_where(&marked, place, x, y, column);
    }

    /// The same for the rows that are marked.
    pub fn add_where(
        &self,
        marked: &[bool],
        place: (usize, Projection),
        x: &Matrix,
        y: &mut Matrix,
        column: usize,
    ) {
        let Some(low_rank) = self.adapter.0.get(&place) else { return };
        let (inputs, outputs) = (low_rank.a.rows(), low_rank.b.width());
        each_row(y, |row, y| {
            if marked[row] {
                let inside = low_rank.inside(&x.row(row)[..inputs]);
                low_rank.add_outside(&inside, &mut y[column..][..outputs]);
            }
        });
    }
}
