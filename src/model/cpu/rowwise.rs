//! What is done to each row by itself: norms, activations, sums, the greatest logit.

use rayon::prelude::*;

use super::lanes::{LANES, Lanes, dispatched, exp};
use super::matrix::Matrix;

/// Values that a task takes at least: less would cost more to hand over than to compute.
const TASK: usize = 1 << 14;

/// Some rows at a time, in parallel where there are many.
fn rows_per_task(width: usize) -> usize {
    (TASK / width.max(1)).max(1)
}

/// Do something to each row.
pub fn each_row(matrix: &mut Matrix, of: impl Fn(usize, &mut [f32]) + Sync) {
    let (width, some) = (matrix.width().max(1), rows_per_task(matrix.width()));
    matrix.data_mut().par_chunks_mut(some * width).enumerate().for_each(|(task, rows)| {
        rows.chunks_exact_mut(width).enumerate().for_each(|(row, values)| of(task * some + row, values));
    });
}

/// `x += y`, `[rows, width]`; rows of `y` may be longer.
pub fn add(x: &mut Matrix, y: &Matrix) {
    assert!(x.rows() == y.rows() && x.width() <= y.width());
    each_row(x, |row, x| x.iter_mut().zip(y.row(row)).for_each(|(x, y)| *x += y));
}

/// `x *= factor`.
pub fn scale(x: &mut Matrix, factor: f32) {
    if factor != 1. {
        each_row(x, |_, x| x.iter_mut().for_each(|x| *x *= factor));
    }
}

/// `x += bias` for each row.
pub fn add_bias(x: &mut Matrix, bias: &[f32]) {
    each_row(x, |_, x| x.iter_mut().zip(bias).for_each(|(x, bias)| *x += bias));
}

/// A norm of one row, or of its parts one by one: by root mean square, or with a bias by mean and variance.
#[derive(Debug, Clone)]
pub struct NormWeights {
    /// `[parts * width]`
    pub weight: Vec<f32>,
    /// `[parts * width]`
    pub bias: Option<Vec<f32>>,
    /// Values that are normed together.
    pub width: usize,
    /// Added to the mean square.
    pub eps: f32,
}

impl NormWeights {
    /// `from [parts * width]` -> `to [parts * width]`
    pub fn row(&self, from: &[f32], to: &mut [f32]) {
        assert!(from.len() == self.weight.len() && to.len() == from.len());
        assert!(self.bias.as_ref().is_none_or(|bias| bias.len() == from.len()));
        assert!(from.len().is_multiple_of(self.width));
        for at in (0..from.len()).step_by(self.width) {
            let part = at..at + self.width;
            // SAFETY: lengths were compared, and the width divides them.
            unsafe { norm(self, at, &from[part.clone()], &mut to[part]) }
        }
    }

    /// Weights and biases of the part that begins at `at`.
    pub fn part(&self, at: usize) -> (&[f32], Option<&[f32]>) {
        let part = at..at + self.width;
        (&self.weight[part.clone()], self.bias.as_ref().map(|bias| &bias[part]))
    }

    /// In place.
    pub fn row_in_place(&self, values: &mut [f32]) {
        let copy = values.to_vec();
        self.row(&copy, values);
    }
}

dispatched! {
    unsafe fn norm(norm: &NormWeights, at: usize, from: &[f32], to: &mut [f32]) = norm_with;
}

/// Sixteen values from `at` on; zeros (or `fill`) after the end.
#[inline(always)]
unsafe fn load<L: Lanes>(values: &[f32], at: usize, fill: f32) -> L {
    if at + LANES <= values.len() {
        return unsafe { L::load(values.as_ptr().add(at)) };
    }
    let mut padded = [fill; LANES];
    padded[..values.len() - at].copy_from_slice(&values[at..]);
    unsafe { L::load(padded.as_ptr()) }
}

/// Those of sixteen values that there is room for.
#[inline(always)]
unsafe fn store<L: Lanes>(lanes: L, values: &mut [f32], at: usize) {
    if at + LANES <= values.len() {
        return unsafe { lanes.store(values.as_mut_ptr().add(at)) };
    }
    let mut all = [0f32; LANES];
    unsafe { lanes.store(all.as_mut_ptr()) };
    let left = values.len() - at;
    values[at..].copy_from_slice(&all[..left]);
}

#[inline(always)]
unsafe fn norm_with<L: Lanes>(norm: &NormWeights, part: usize, from: &[f32], to: &mut [f32]) {
    let n = from.len();
    let (weights, biases) = norm.part(part);
    unsafe {
        let mut mean = 0.;
        if biases.is_some() {
            let mut sum = L::splat(0.);
            for at in (0..n).step_by(LANES) {
                sum = sum.add(load::<L>(from, at, 0.));
            }
            mean = sum.sum() / n as f32;
        }
        let mut squares = L::splat(0.);
        for at in (0..n).step_by(LANES) {
            let x = load::<L>(from, at, mean).sub(L::splat(mean));
            squares = squares.fma(x, x);
        }
        let scale = 1. / (squares.sum() / n as f32 + norm.eps).sqrt();
        for at in (0..n).step_by(LANES) {
            let x = load::<L>(from, at, 0.).sub(L::splat(mean)).mul(L::splat(scale));
            let weight = load::<L>(weights, at, 0.);
            let y = match biases {
                None => x.mul(weight),
                Some(bias) => load::<L>(bias, at, 0.).fma(x, weight),
            };
            store(y, to, at);
        }
    }
}

/// A function of an MLP that is `x * sigmoid(scale * (x + cubic * x^3))`.
#[derive(Debug, Clone, Copy)]
pub struct Sigmoid {
    pub scale: f32,
    pub cubic: f32,
}

impl Sigmoid {
    /// x times its sigmoid.
    pub const SILU: Self = Self { scale: 1., cubic: 0. };
    /// GELU's approximation by tanh: `(1 + tanh y) / 2` is the sigmoid of `2 y`, here `y = sqrt(2 / pi) (x + 0.044715 x^3)`.
    pub const GELU_TANH: Self = Self { scale: 1.595_769, cubic: 0.044_715 };

    /// In place.
    pub fn apply(self, values: &mut [f32]) {
        // SAFETY: loads and stores stay within the slice.
        unsafe { sigmoid(self, values) }
    }

    /// Its slopes, in place of its inputs, and its values, as many.
    pub fn with_slope(self, x: &mut [f32], values: &mut [f32]) {
        assert!(x.len() == values.len());
        // SAFETY: loads and stores stay within the slices.
        unsafe { sigmoid_slope(self, x, values) }
    }
}

dispatched! {
    unsafe fn sigmoid_slope(function: Sigmoid, x: &mut [f32], values: &mut [f32]) = sigmoid_slope_with;
}

#[inline(always)]
unsafe fn sigmoid_slope_with<L: Lanes>(function: Sigmoid, xs: &mut [f32], values: &mut [f32]) {
    let Sigmoid { scale, cubic } = function;
    for at in (0..xs.len()).step_by(LANES) {
        unsafe {
            let (x, one) = (load::<L>(xs, at, 0.), L::splat(1.));
            let square = x.mul(x);
            let inner = x.fma(square.mul(x), L::splat(cubic)).mul(L::splat(-scale));
            let sigmoid = one.div(one.add(exp(inner)));
            let slope_inside = one.fma(square, L::splat(3. * cubic)).mul(L::splat(scale));
            let value = x.mul(sigmoid);
            store(sigmoid.fma(value.mul(one.sub(sigmoid)), slope_inside), xs, at);
            store(value, values, at);
        }
    }
}

dispatched! {
    unsafe fn sigmoid(function: Sigmoid, values: &mut [f32]) = sigmoid_with;
}

#[inline(always)]
unsafe fn sigmoid_with<L: Lanes>(function: Sigmoid, values: &mut [f32]) {
    for at in (0..values.len()).step_by(LANES) {
        unsafe {
            let x = load::<L>(values, at, 0.);
            let inner = x.fma(x.mul(x).mul(x), L::splat(function.cubic)).mul(L::splat(-function.scale));
            let y = x.div(L::splat(1.).add(exp(inner)));
            store(y, values, at);
        }
    }
}

/// The greatest value of a row and where it first stands; `None` where a value is not a number.
pub fn greatest(values: &[f32]) -> Option<(usize, f32)> {
    // SAFETY: loads stay within the slice.
    let largest = unsafe { largest(values) };
    // A NaN is lost in a maximum, but not in a sum of zeros times values; nor is an infinity, which is as wrong.
    if !largest.1.is_finite() {
        return None;
    }
    values.iter().position(|&value| value == largest.0).map(|at| (at, largest.0))
}

/// Each value becomes e to the power of itself less `most`, which none is greater than; and their sum.
pub fn exponentials(values: &mut [f32], most: f32) -> f64 {
    // SAFETY: all places are checked.
    unsafe { exponentials_of(values, most) }
}

dispatched! {
    unsafe fn exponentials_of(values: &mut [f32], most: f32) -> f64 = exponentials_with;
}

#[inline(always)]
unsafe fn exponentials_with<L: Lanes>(values: &mut [f32], most: f32) -> f64 {
    let mut sum = 0.;
    // Few in f32, as tens of thousands would lose digits.
    for some in values.chunks_mut(4 * LANES) {
        unsafe {
            let mut part = L::splat(0.);
            for at in (0..some.len()).step_by(LANES) {
                let power = exp(load::<L>(some, at, f32::NEG_INFINITY).sub(L::splat(most)));
                store(power, some, at);
                part = part.add(power);
            }
            sum += f64::from(part.sum());
        }
    }
    sum
}

dispatched! {
    unsafe fn largest(values: &[f32]) -> (f32, f32) = largest_with;
}

#[inline(always)]
unsafe fn largest_with<L: Lanes>(values: &[f32]) -> (f32, f32) {
    unsafe {
        let (mut best, mut zero) = (L::splat(f32::NEG_INFINITY), L::splat(0.));
        for at in (0..values.len()).step_by(LANES) {
            let x = load::<L>(values, at, values[at]);
            best = best.max(x);
            zero = zero.fma(x, L::splat(0.));
        }
        (best.greatest(), zero.sum())
    }
}
