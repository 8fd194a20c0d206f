//! Norms, back.

use rayon::prelude::*;

use crate::model::cpu::Matrix;
use crate::model::cpu::rowwise::{NormWeights, each_row};

/// The gradient of a norm's output, `[rows, width or more]`, to that of its input, `x [rows, width]`.
pub fn backward(norm: &NormWeights, x: &Matrix, back: &Matrix) -> Matrix {
    let mut out = Matrix::zeros(x.rows(), norm.weight.len());
    each_row(&mut out, |row, out| norm_row(norm, x.row(row), back.row(row), out));
    out
}

/// In place, of the values that begin at `column` of each row.
pub fn part_backward(norm: &NormWeights, x: &Matrix, back: &mut Matrix, column: usize) {
    let part = column..column + norm.weight.len();
    let stride = back.width();
    back.data_mut().par_chunks_mut(stride).enumerate().for_each(|(row, back)| {
        let mut out = vec![0.; part.len()];
        norm_row(norm, &x.row(row)[part.clone()], &back[part.clone()], &mut out);
        back[part.clone()].copy_from_slice(&out);
    });
}

/// With `s` the reciprocal root of the mean square (of what is left without the mean, where there is a bias), `h = s x` and
/// `g = weight * back`: the gradient is `s (g - mean(g) - h mean(g h))`, `mean(g)` being left out without a bias.
fn norm_row(norm: &NormWeights, x: &[f32], back: &[f32], out: &mut [f32]) {
    let (n, centred) = (norm.width as f32, norm.bias.is_some());
    for (part, out) in out.chunks_exact_mut(norm.width).enumerate() {
        let at = part * norm.width;
        let (weights, (x, back)) = (norm.part(at).0, (&x[at..][..norm.width], &back[at..][..norm.width]));
        let mean = if centred { sum(x.iter().copied()) / n } else { 0. };
        let squares = sum(x.iter().map(|x| (x - mean) * (x - mean)));
        let scale = 1. / (squares / n + norm.eps).sqrt();
        let g = || weights.iter().zip(back).map(|(weight, back)| weight * back);
        let mean_g = if centred { sum(g()) / n } else { 0. };
        let mean_gh = sum(g().zip(x).map(|(g, x)| g * (x - mean) * scale)) / n;
        for ((out, g), x) in out.iter_mut().zip(g()).zip(x) {
            *out = scale * (g - mean_g - (x - mean) * scale * mean_gh);
        }
    }
}

/// Sixteen sums side by side, so that the compiler makes vectors of them.
fn sum(values: impl Iterator<Item = f32>) -> f32 {
    let mut sums = [0f32; 16];
    values.enumerate().for_each(|(at, value)| sums[at % 16] += value);
    sums.iter().sum()
}
