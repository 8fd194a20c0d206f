//! The MLP's function, back.

use std::borrow::Cow;

use candle_core::cpu::erf::erf_f32;

use crate::model::cpu::Matrix;
use crate::model::cpu::rowwise::{Sigmoid, each_row};
use crate::model::mlp::{Activation, ClampedSwiglu, Mlp, MlpShape};
use crate::model::parts::Linear;

/// The gradient of what goes into the MLP's last product -> that of what the first ones put out, `inner`: gate and up, or up
/// alone.
pub fn backward(mlp: &Mlp<Linear>, inner: &Matrix, back: &Matrix) -> Matrix {
    let MlpShape { width, gated, activation, .. } = mlp.shape;
    let up = if gated { mlp.into.start(1) } else { 0 };
    let mut out = Matrix::zeros(inner.rows(), inner.width());
    each_row(&mut out, |row, out| {
        let (inner, back) = (inner.row(row), &back.row(row)[..width]);
        if !gated {
            out[..width].copy_from_slice(&inner[..width]);
            let mut values = vec![0.; width];
            with_slope(activation, &mut out[..width], &mut values);
            out[..width].iter_mut().zip(back).for_each(|(slope, back)| *slope *= back);
            return;
        }
        // Slopes where the gate's gradient goes, values where that of the up projection goes.
        let (gate, rest) = out.split_at_mut(up);
        let (gate, values) = (&mut gate[..width], &mut rest[..width]);
        gate.copy_from_slice(&inner[..width]);
        let mut ups = Cow::Borrowed(&inner[up..up + width]);
        if let Activation::ClampedSwiglu(clamped) = activation {
            clamped.clamp(gate, ups.to_mut());
        }
        with_slope(activation, gate, values);
        let factors = ups.iter().zip(back);
        for ((slope, value), (up, back)) in gate.iter_mut().zip(values).zip(factors) {
            *slope *= up * back;
            *value *= back;
        }
        if let Activation::ClampedSwiglu(ClampedSwiglu { limit, .. }) = activation {
            // Nothing moves what is clamped.
            let clamped = |x: &f32, least: f32| *x < least || *x > limit;
            let beyond = |out: &mut [f32], x: &[f32], least: f32| {
                out.iter_mut().zip(x).filter(|(_, x)| clamped(x, least)).for_each(|(out, _)| *out = 0.);
            };
            beyond(&mut out[..width], &inner[..width], f32::NEG_INFINITY);
            beyond(&mut out[up..up + width], &inner[up..up + width], -limit);
        }
    });
    out
}

/// The function's slopes, in place of its inputs, and its values.
fn with_slope(activation: Activation, x: &mut [f32], values: &mut [f32]) {
    match activation {
        Activation::Relu => {
            for (x, value) in x.iter_mut().zip(values) {
                (*value, *x) = if *x < 0. { (0., 0.) } else { (*x, if *x == 0. { 0. } else { 1. }) };
            }
        }
        Activation::Silu => Sigmoid::SILU.with_slope(x, values),
        Activation::ClampedSwiglu(ClampedSwiglu { alpha, .. }) => {
            Sigmoid { scale: alpha, cubic: 0. }.with_slope(x, values);
        }
        Activation::GeluTanh => Sigmoid::GELU_TANH.with_slope(x, values),
        Activation::Gelu => {
            for (x, value) in x.iter_mut().zip(values) {
                let below = (erf_f32(*x * std::f32::consts::FRAC_1_SQRT_2) + 1.) * 0.5;
                let density = (-0.5 * *x * *x).exp() / (2. * std::f32::consts::PI).sqrt();
                (*value, *x) = (below * *x, below + *x * density);
            }
        }
    }
}
