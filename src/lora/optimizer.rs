//! AdamW as PyTorch computes it (Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization").

use crate::model::grad::Gradient;
use crate::model::{Adapter, LowRank};

const BETAS: [f64; 2] = [0.9, 0.999];
const EPSILON: f64 = 1e-8;

/// The optimizer of one adapter.
pub struct AdamW {
    weight_decay: f64,
    steps: i32,
    /// First and second moments, in the order of the adapter's values.
    moments: [Gradient; 2],
}

impl AdamW {
    /// Before the first step.
    pub fn new(adapter: &Adapter, weight_decay: f64) -> Self {
        let moments = [Gradient::zeros(adapter), Gradient::zeros(adapter)];
        Self { weight_decay, steps: 0, moments }
    }

    /// One step against the gradient.
    pub fn step(&mut self, adapter: &mut Adapter, gradient: &Gradient, learning_rate: f64) {
        self.steps += 1;
        let [corrected, corrected_root] =
            [1. - BETAS[0].powi(self.steps), (1. - BETAS[1].powi(self.steps)).sqrt()];
        let size = (learning_rate / corrected) as f32;
        let kept = (1. - learning_rate * self.weight_decay) as f32;
        let [first, second] = &mut self.moments;
        let places = adapter.0.values_mut().zip(gradient.0.values());
        for ((place, gradient), (first, second)) in
            places.zip(first.0.values_mut().zip(second.0.values_mut()))
        {
            for (((value, &gradient), first), second) in
                values(place).zip(shared(gradient)).zip(values(first)).zip(values(second))
            {
                *value *= kept;
                *first += (gradient - *first) * (1. - BETAS[0]) as f32;
                *second = *second * BETAS[1] as f32 + (gradient * gradient) * (1. - BETAS[1]) as f32;
                *value -= size * (*first / (second.sqrt() / corrected_root as f32 + EPSILON as f32));
            }
        }
    }
}

fn values(low_rank: &mut LowRank) -> impl Iterator<Item = &mut f32> {
    low_rank.a.data_mut().iter_mut().chain(low_rank.b.data_mut())
}

fn shared(low_rank: &LowRank) -> impl Iterator<Item = &f32> {
    low_rank.a.data().iter().chain(low_rank.b.data())
}

/// Scale a gradient down to a norm, as `torch.nn.utils.clip_grad_norm_` does; returns its norm before.
pub fn clip(gradient: &mut Gradient, most: Option<f64>) -> f64 {
    let norm = gradient.values().map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    if let Some(factor) = most.map(|most| most / (norm + 1e-6)).filter(|factor| *factor < 1.) {
        gradient.0.values_mut().flat_map(values).for_each(|value| *value *= factor as f32);
    }
    norm
}
