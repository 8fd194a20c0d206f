//! Weights that need no file: a function of a tensor's name in transformers' state_dict, computed bit for bit alike here
//! and in `tests/goldens/drawn.py`, which says how.

use std::collections::BTreeSet;

use anyhow::Result;
use candle_core::{Device, Tensor};
use icl_mask::model::{Held, Weights};
use serde::Deserialize;

/// How one model's weights are drawn.
#[derive(Deserialize)]
pub struct Drawn {
    seed: String,
    /// Part of a name, scale, offset: the first that fits.
    rules: Vec<(String, f32, f32)>,
}

/// The upper 24 bits of splitmix64, started by the name.
fn draws(seed: &str, name: &str) -> impl Iterator<Item = u64> {
    let mut state = format!("{seed}/{name}")
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) >> 40
    })
}

/// About 3.5 over the root of the mean width, as a power of two.
fn matrix_scale(elements: usize) -> f32 {
    2f32.powi(2 - (usize::BITS - elements.leading_zeros()) as i32 / 4)
}

impl Drawn {
    pub fn token_ids(&self, n: usize, vocab: usize) -> Vec<u32> {
        draws(&self.seed, "prompt").take(n).map(|bits| ((bits * vocab as u64) >> 24) as u32).collect()
    }

    pub fn values(&self, name: &str, shape: &[usize]) -> Vec<f32> {
        // Checkpoints of GPT-NeoX have another name for what transformers calls `lm_head` since version 5.
        let name = if name == "embed_out.weight" { "lm_head.weight" } else { name };
        let n: usize = shape.iter().product();
        let rule = self.rules.iter().find(|(part, ..)| name.contains(part.as_str()));
        let (scale, offset) = match rule {
            Some(&(_, scale, offset)) => (scale, offset),
            None if shape.len() == 1 => (1., 0.),
            None => (matrix_scale(n), 0.),
        };
        draws(&self.seed, name)
            .take(n)
            .map(|bits| (bits as f32 / (1u32 << 24) as f32 - 0.5) * scale + offset)
            .collect()
    }
}

impl Weights for Drawn {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Held> {
        Ok(Held::from(Tensor::from_vec(self.values(name, shape), shape, &Device::Cpu)?))
    }

    fn refuse_surplus(&self, _: &BTreeSet<String>) -> Result<()> {
        Ok(())
    }
}
