//! An adapter before training, as PEFT makes it.

use crate::base::random::MersenneTwister;
use crate::model::{Adapter, Arch, LowRank, Matrix, Projection};

/// The adapter that PEFT makes of these projections of a layer right after `torch.manual_seed(seed)`, number for number:
/// `A` uniform within one over the root of its inputs (`kaiming_uniform_` with `a = sqrt(5)`), `B` zero. Projections that the
/// architecture lacks are left out.
///
/// PyTorch's generator is MT19937; a float takes the lower 24 bits of a word. PEFT fills `A` and `B` as any linear layer is
/// filled, then `A` once more, module by module in the model's order.
pub fn initial(
    arch: &Arch,
    layer: usize,
    projections: &[Projection],
    rank: usize,
    alpha: f64,
    seed: u32,
) -> Adapter {
    let mut random = MersenneTwister::new(seed);
    let mut adapter = Adapter::default();
    for projection in Projection::ALL.into_iter().filter(|projection| projections.contains(projection)) {
        let Some([inputs, outputs]) = projection.sizes(arch) else { continue };
        for _ in 0..rank * (inputs + outputs) {
            random.word();
        }
        let mut a = Matrix::zeros(inputs, rank);
        for r in 0..rank {
            for input in 0..inputs {
                a.row_mut(input)[r] = uniform(random.word(), inputs);
            }
        }
        let b = Matrix::zeros(rank, outputs);
        adapter.0.insert((layer, projection), LowRank { a, b, scale: (alpha / rank as f64) as f32 });
    }
    adapter
}

/// PyTorch's uniform number within plus and minus one over the root of `inputs`: scaled and moved with one rounding, as on
/// any processor with fused multiply-adds.
fn uniform(word: u32, inputs: usize) -> f32 {
    let bound = f64::from((1. / (inputs as f64).sqrt()) as f32);
    let fraction = f64::from(word & 0x00ff_ffff) / f64::from(1 << 24);
    // Product and sum are exact in double precision.
    (fraction * (2. * bound) - bound) as f32
}
