//! Low-rank changes of a model's projections: LoRA (Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models").
//!
//! An adapted projection puts out `W x + scale * B (A x)`; `W` stays as it is. Nothing is merged into the weights, so that
//! rows with and without the adapter can stand in one batch, and what is computed is what PEFT computes.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::arch::Arch;
use super::cpu::Matrix;
use super::cpu::rowwise::each_row;
use super::projection::Projection;
use super::rows::Rows;
use crate::base::error::input;
use crate::intervene::AdapterId;

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

    /// `y += scale * B (A x)`; both rows may be longer.
    fn add(&self, x: &[f32], y: &mut [f32]) {
        self.add_outside(&self.inside(&x[..self.a.rows()]), &mut y[..self.b.width()]);
    }

    /// `y += scale * B inside`
    pub fn add_outside(&self, inside: &[f32], y: &mut [f32]) {
        for (inside, b) in inside.iter().zip(self.b.data().chunks_exact(self.b.width())) {
            let share = inside * self.scale;
            y.iter_mut().zip(b).for_each(|(y, b)| *y += share * b);
        }
    }
}

/// The low-rank changes of a model, by layer and projection, in the form `C` in which they are held.
#[derive(Debug, Clone, PartialEq)]
pub struct Adapter<C = LowRank>(pub BTreeMap<(usize, Projection), C>);

impl<C> Default for Adapter<C> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<C> Adapter<C> {
    /// Whether it changes anything in a layer.
    pub fn is_at(&self, layer: usize) -> bool {
        self.0.range((layer, Projection::Q)..).next().is_some_and(|((first, _), _)| *first == layer)
    }

    /// The same adapter in another form.
    fn map<D>(&self, change: impl Fn(&C) -> Result<D>) -> Result<Adapter<D>> {
        let changed = self.0.iter().map(|(place, low_rank)| Ok((*place, change(low_rank)?)));
        Ok(Adapter(changed.collect::<Result<_>>()?))
    }
}

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

/// The adapters that are resident in a decoder: one that changes every row, and those that change the rows of a batch that name
/// them ([`Rows::adapter`]). A row that both change gets the sum.
#[derive(Debug, Clone)]
pub struct Adapters<C = LowRank> {
    everywhere: Option<Adapter<C>>,
    by_id: BTreeMap<AdapterId, Adapter<C>>,
}

impl<C> Default for Adapters<C> {
    fn default() -> Self {
        Self { everywhere: None, by_id: BTreeMap::new() }
    }
}

impl<C> Adapters<C> {
    /// One adapter, for every row.
    pub fn everywhere(adapter: Adapter<C>) -> Self {
        Self { everywhere: Some(adapter), by_id: BTreeMap::new() }
    }

    /// The same and one more, for the rows that name it.
    #[must_use]
    pub fn with(mut self, id: AdapterId, adapter: Adapter<C>) -> Self {
        self.by_id.insert(id, adapter);
        self
    }

    /// The adapter that changes every row, if there is one.
    pub(super) fn of_all_rows(&self) -> Option<&Adapter<C>> {
        self.everywhere.as_ref()
    }

    /// The adapters that some rows of a batch name and that change this layer.
    ///
    /// # Errors
    /// A row names an adapter that is not resident.
    pub(super) fn named(&self, layer: usize, batch: &[Rows]) -> Result<BTreeMap<AdapterId, &Adapter<C>>> {
        let mut named = BTreeMap::new();
        for id in batch.iter().filter_map(|rows| rows.adapter) {
            let adapter = self.by_id.get(&id);
            ensure!(adapter.is_some(), "rows name adapter {}, which is not resident", id.0);
            named.extend(adapter.filter(|adapter| adapter.is_at(layer)).map(|adapter| (id, adapter)));
        }
        Ok(named)
    }

    /// The same adapters in another form.
    ///
    /// # Errors
    /// A change that cannot be held so.
    pub(super) fn map<D>(&self, change: impl Fn(&C) -> Result<D>) -> Result<Adapters<D>> {
        let by_id = self.by_id.iter().map(|(id, adapter)| Ok((*id, adapter.map(&change)?)));
        Ok(Adapters {
            everywhere: self.everywhere.as_ref().map(|adapter| adapter.map(&change)).transpose()?,
            by_id: by_id.collect::<Result<_>>()?,
        })
    }
}

impl Adapters {
    /// Refuse what does not belong to a model.
    ///
    /// # Errors
    /// As of [`Adapter::check`].
    pub(super) fn check(&self, arch: &Arch) -> Result<()> {
        self.everywhere.iter().chain(self.by_id.values()).try_for_each(|adapter| adapter.check(arch))
    }
}

/// The adapters of one batch at one layer, by row.
pub struct RowAdapters<'a> {
    layer: usize,
    everywhere: Option<&'a Adapter>,
    /// By row, the adapter that it names; empty where none of the rows names one that changes this layer.
    by_row: Vec<Option<&'a Adapter>>,
}

impl<'a> RowAdapters<'a> {
    /// Those of a batch.
    ///
    /// # Errors
    /// A row names an adapter that is not resident.
    pub fn new(adapters: &'a Adapters, layer: usize, batch: &[Rows]) -> Result<Self> {
        let named = adapters.named(layer, batch)?;
        let of = |rows: &Rows| rows.adapter.and_then(|id| named.get(&id).copied());
        let by_row = match named.is_empty() {
            true => Vec::new(),
            false => batch.iter().flat_map(|rows| vec![of(rows); rows.positions.len()]).collect(),
        };
        Ok(Self { layer, everywhere: adapters.of_all_rows(), by_row })
    }

    /// Add what the rows' adapters give for one projection, `x [rows, in]`, to its outputs, which begin at `column` of
    /// `y [rows, ..]`.
    pub fn add(&self, projection: Projection, x: &Matrix, y: &mut Matrix, column: usize) {
        let place = (self.layer, projection);
        if let Some(low_rank) = self.everywhere.and_then(|adapter| adapter.0.get(&place)) {
            each_row(y, |row, y| low_rank.add(x.row(row), &mut y[column..]));
        }
        if self.by_row.iter().flatten().any(|adapter| adapter.0.contains_key(&place)) {
            each_row(y, |row, y| {
                if let Some(low_rank) = self.by_row[row].and_then(|adapter| adapter.0.get(&place)) {
                    low_rank.add(x.row(row), &mut y[column..]);
                }
            });
        }
    }
}
