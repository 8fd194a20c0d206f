//! The adapter's own part in a pass: dropout on its input, what it adds, and its gradient.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Packed, Pass};
use crate::base::random::uniform;
use crate::model::cpu::Matrix;
use crate::model::cpu::rowwise::each_row;
use crate::model::{Adapter, LowRank, Projection};

/// Dropout of one pass: which inputs of an adapter are left out depends on its sequence, row and column, and on nothing
/// that shares the batch.
#[derive(Debug, Clone)]
pub struct Noise {
    /// Probability that an input is left out, below 1.
    pub rate: f32,
    /// Names the random numbers of each sequence.
    pub streams: Vec<u64>,
}

impl Noise {
    /// A row of inputs with some left out and the others scaled up.
    fn thin(&self, sequence: usize, row: usize, projection: Projection, x: &[f32]) -> Vec<f32> {
        let stream = self.streams[sequence].wrapping_add((projection as u64) << 48);
        let kept = 1. / (1. - self.rate);
        let thinned = x.iter().enumerate().map(|(column, x)| {
            let left_out = uniform(stream, ((row as u64) << 24) | column as u64);
            if left_out < f64::from(self.rate) { 0. } else { x * kept }
        });
        thinned.collect()
    }
}

/// What enters the projections of the adapted layer, `[rows, ..]` each.
#[derive(Default)]
pub struct Inputs {
    pub normed: Matrix,
    pub attended: Matrix,
    pub mlp_normed: Matrix,
    pub activated: Matrix,
}

impl Inputs {
    /// What enters a projection.
    pub fn of(&mut self, projection: Projection) -> &mut Matrix {
        match projection {
            Projection::Q | Projection::K | Projection::V => &mut self.normed,
            Projection::O => &mut self.attended,
            Projection::Gate | Projection::Up => &mut self.mlp_normed,
            Projection::Down => &mut self.activated,
        }
    }
}

/// The gradient of an adapter, in its own shapes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gradient(pub BTreeMap<(usize, Projection), LowRank>);

impl Gradient {
    /// Zeros, for an adapter.
    pub fn zeros(adapter: &Adapter) -> Self {
        let zeros = |matrix: &Matrix| Matrix::zeros(matrix.rows(), matrix.width());
        let of = |low_rank: &LowRank| LowRank {
            a: zeros(&low_rank.a),
            b: zeros(&low_rank.b),
            scale: low_rank.scale,
        };
        Self(adapter.0.iter().map(|(place, low_rank)| (*place, of(low_rank))).collect())
    }

    /// Add another one of the same adapter.
    pub fn add(&mut self, other: &Self) {
        for (place, sum) in &mut self.0 {
            let other = &other.0[place];
            for (sum, other) in [(&mut sum.a, &other.a), (&mut sum.b, &other.b)] {
                sum.data_mut().iter_mut().zip(other.data()).for_each(|(sum, other)| *sum += other);
            }
        }
    }

    /// All values.
    pub fn values(&self) -> impl Iterator<Item = f32> + '_ {
        self.0.values().flat_map(|low_rank| low_rank.a.data().iter().chain(low_rank.b.data())).copied()
    }
}

impl Pass<'_> {
    /// Add what a projection's adapter gives.
    pub fn add(&self, projection: Projection, x: &Matrix, y: &mut Matrix, column: usize) {
        let Some(low_rank) = self.adapter.0.get(&(self.layer, projection)) else { return };
        let (inputs, outputs) = (low_rank.a.rows(), low_rank.b.width());
        let sequence_of = sequences(self.packed);
        each_row(y, |row, y| {
            let x = self.input(projection, &sequence_of, row, &x.row(row)[..inputs]);
            low_rank.add_outside(&low_rank.inside(&x), &mut y[column..][..outputs]);
        });
    }

    /// A row's input, thinned by dropout where there is some.
    fn input<'x>(
        &self,
        projection: Projection,
        sequence_of: &[usize],
        row: usize,
        x: &'x [f32],
    ) -> Cow<'x, [f32]> {
        match self.noise {
            Some(noise) if noise.rate > 0. => {
                noise.thin(sequence_of[row], self.packed.positions[row], projection, x).into()
            }
            _ => x.into(),
        }
    }
}

fn sequences(packed: &Packed) -> Vec<usize> {
    let all = packed.sequences.iter().enumerate();
    all.flat_map(|(sequence, rows)| rows.clone().map(move |_| sequence)).collect()
}

/// How far down a layer backward has to go: at the adapted layer no further than its lowest adapted projection.
pub struct Ends<'a> {
    pass: &'a Pass<'a>,
    adapted: Option<(&'a Inputs, &'a mut Gradient)>,
}

impl<'a> Ends<'a> {
    pub fn new(pass: &'a Pass<'a>, adapted: Option<(&'a Inputs, &'a mut Gradient)>) -> Self {
        Self { pass, adapted }
    }

    /// This is the adapted layer.
    pub fn at_all(&self) -> bool {
        self.adapted.is_some()
    }

    /// Some of these are adapted.
    pub fn within(&self, projections: &[Projection]) -> bool {
        let is_adapted = |&projection| self.pass.adapter.0.contains_key(&(self.pass.layer, projection));
        self.at_all() && projections.iter().any(is_adapted)
    }

    /// This is the adapted layer, and none of these, which are all that is left, is adapted.
    pub fn end_before(&self, projections: &[Projection]) -> bool {
        self.at_all() && !self.within(projections)
    }

    /// Add the gradient of one projection's adapter, whose outputs begin at `column` of `back`; and where its input's
    /// gradient is asked for, what the adapter adds to that.
    pub fn take(
        &mut self,
        projection: Projection,
        input: fn(&Inputs) -> &Matrix,
        back: &Matrix,
        column: usize,
        of_input: Option<&mut Matrix>,
    ) {
        let (pass, Some((inputs, gradient))) = (self.pass, &mut self.adapted) else { return };
        let place = (pass.layer, projection);
        let (Some(low_rank), Some(gradient)) = (pass.adapter.0.get(&place), gradient.0.get_mut(&place))
        else {
            return;
        };
        let (size, outputs) = (low_rank.a.rows(), low_rank.b.width());
        let sequence_of = sequences(pass.packed);
        let x = input(inputs);
        let mut of_inside = Matrix::zeros(back.rows(), low_rank.rank());
        for row in 0..back.rows() {
            let x = pass.input(projection, &sequence_of, row, &x.row(row)[..size]);
            let back = &back.row(row)[column..][..outputs];
            let inside = low_rank.inside(&x);
            let of_inside = of_inside.row_mut(row);
            for (rank, of_inside) in of_inside.iter_mut().enumerate() {
                let b = low_rank.b.row(rank);
                *of_inside = low_rank.scale * b.iter().zip(back).map(|(b, back)| b * back).sum::<f32>();
                let share = low_rank.scale * inside[rank];
                gradient.b.row_mut(rank).iter_mut().zip(back).for_each(|(sum, back)| *sum += share * back);
            }
            let sums = gradient.a.data_mut().chunks_exact_mut(low_rank.rank());
            for (sums, x) in sums.zip(x.iter()).filter(|(_, x)| **x != 0.) {
                sums.iter_mut().zip(of_inside.iter()).for_each(|(sum, back)| *sum += x * back);
            }
        }
        let Some(of_input) = of_input else { return };
        each_row(of_input, |row, of_input| {
            // An input that dropout leaves out has no gradient; the others are scaled as they were.
            let ones = vec![1.; size];
            let kept = pass.input(projection, &sequence_of, row, &ones);
            for ((of_input, a), kept) in
                of_input.iter_mut().zip(low_rank.a.data().chunks_exact(low_rank.rank())).zip(kept.iter())
            {
                let sum: f32 = a.iter().zip(of_inside.row(row)).map(|(a, back)| a * back).sum();
                *of_input += kept * sum;
            }
        });
    }
}
