//! Positions by slopes (Press, Smith, Lewis 2022, "Train Short, Test Long", ALiBi).

use super::arch::{Arch, Positions};

/// By head, what a score gains with its column, `[heads]`; `None` where positions are not told so.
pub fn slopes(arch: &Arch) -> Option<Vec<f32>> {
    (arch.positions == Positions::Alibi).then(|| of_heads(arch.heads))
}

/// A geometric sequence from `2^(-8/n)`, and for a number of heads that is no power of two, every other slope of the next power
/// of two.
fn of_heads(heads: usize) -> Vec<f32> {
    let power = if heads.is_power_of_two() { heads } else { heads.next_power_of_two() / 2 };
    let slope = |heads: usize, i: usize| {
        let base = 2f64.powf(-(2f64.powf(-((heads as f64).log2() - 3.))));
        (base as f32).powi(i as i32)
    };
    let regular = (1..=power).map(|i| slope(power, i));
    regular.chain((0..heads - power).map(|i| slope(2 * power, 2 * i + 1))).collect()
}
