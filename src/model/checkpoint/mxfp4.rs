//! Weights of four bits in blocks of 32 that share a scale (Open Compute Project 2023, "Microscaling Formats"), in the two layouts
//! in which they are published.

/// Weights of a block.
pub const BLOCK: usize = 32;
/// Bytes of a block's weights.
pub const HALVES: usize = BLOCK / 2;
/// Bytes of a block with its scale, as llama.cpp has it.
pub const WITH_SCALE: usize = HALVES + 1;

/// What four bits stand for, in units that the scale says.
const VALUES: [f32; 16] = [0., 0.5, 1., 1.5, 2., 3., 4., 6., -0., -0.5, -1., -1.5, -2., -3., -4., -6.];

/// The unit of a scale: a power of two. The last one is no number.
fn unit(scale: u8) -> f32 {
    match scale {
        u8::MAX => f32::NAN,
        _ => 2f64.powi(i32::from(scale) - 127) as f32,
    }
}

/// Blocks of which each byte holds two neighbours, the first in its lower half; scales stand elsewhere.
pub fn widen_neighbours(blocks: &[u8], scales: &[u8], out: &mut [f32]) {
    for ((out, block), scale) in out.chunks_exact_mut(BLOCK).zip(blocks.chunks_exact(HALVES)).zip(scales) {
        let unit = unit(*scale);
        for (pair, byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(block) {
            *pair = [byte & 15, byte >> 4].map(|code| VALUES[usize::from(code)] * unit);
        }
    }
}

/// Blocks that begin with their scale; the first half of the weights is in the lower halves of bytes.
pub fn widen_halves(blocks: &[u8], out: &mut [f32]) {
    for (out, block) in out.chunks_exact_mut(BLOCK).zip(blocks.chunks_exact(WITH_SCALE)) {
        let unit = unit(block[0]);
        let (first, second) = out.split_at_mut(HALVES);
        for ((first, second), byte) in first.iter_mut().zip(second).zip(&block[1..]) {
            [*first, *second] = [byte & 15, byte >> 4].map(|code| VALUES[usize::from(code)] * unit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layouts_hold_the_same_weights() {
        let codes: Vec<u8> = (0..BLOCK as u8).map(|at| at % 16).collect();
        let neighbours: Vec<u8> = codes.chunks_exact(2).map(|pair| pair[0] | pair[1] << 4).collect();
        let halves: Vec<u8> =
            [128].into_iter().chain((0..HALVES).map(|at| codes[at] | codes[at + HALVES] << 4)).collect();
        let mut both = [[0f32; BLOCK]; 2];
        widen_neighbours(&neighbours, &[128], &mut both[0]);
        widen_halves(&halves, &mut both[1]);
        assert_eq!(both[0], both[1]);
        assert_eq!([both[0][7], both[0][9], both[0][31]], [12., -1., -12.]);
        widen_neighbours(&neighbours, &[255], &mut both[0]);
        assert!(both[0].iter().all(|value| value.is_nan()));
    }
}
