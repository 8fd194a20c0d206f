//! Rotary positions (Su et al. 2021, "RoFormer").

use std::sync::OnceLock;

use anyhow::{Result, bail};

use super::arch::{Arch, Llama3Scaling, Pairs, Positions, Rope, RopeScaling, YarnScaling};

/// Angles of the rotated dimensions by position.
pub struct RopeTable {
    /// Of each pair of dimensions, `[dims / 2]`, radians per position.
    frequencies: Vec<f32>,
    /// What cosines and sines are multiplied by.
    factor: f32,
    /// Which dimensions a frequency turns.
    pairs: Pairs,
    /// For each run of positions, once asked for, `[run][cosines, sines]`, each `[dims / 2]`.
    runs: Vec<OnceLock<Vec<f32>>>,
}

/// Positions whose angles are computed together.
const RUN: usize = 64;

impl RopeTable {
    /// The tables of an architecture: of its layers without a window and of those with one; `None` where positions are not
    /// rotary.
    ///
    /// # Errors
    /// The frequencies depend on lengths that have not been said ([`Arch::for_lengths`]).
    pub fn of(arch: &Arch) -> Result<Option<[Self; 2]>> {
        let Positions::Rotary { all, windowed } = &arch.positions else { return Ok(None) };
        let windowed = windowed.as_ref().unwrap_or(all);
        Ok(Some([Self::new(all, arch.context)?, Self::new(windowed, arch.context)?]))
    }

    /// Frequencies `theta^(-2i/d)`, rescaled as the checkpoint says, for so many positions.
    ///
    /// # Errors
    /// They depend on lengths that have not been said.
    pub fn new(rope: &Rope, positions: usize) -> Result<Self> {
        let half = rope.dims / 2;
        // Exponent and power are rounded to f32 where transformers rounds them.
        let power = |i: usize| rope.theta.powf(f64::from((2 * i) as f32 / rope.dims as f32)) as f32;
        let base = (0..half).map(|i| 1. / power(i));
        let factor = match &rope.scaling {
            RopeScaling::Yarn(scaling) => scaling.attention_factor as f32,
            RopeScaling::Stretched { attention_factor, .. } => *attention_factor as f32,
            _ => 1.,
        };
        let frequencies = match &rope.scaling {
            RopeScaling::None => base.collect(),
            RopeScaling::Linear(factor) => base.map(|frequency| frequency / *factor as f32).collect(),
            RopeScaling::Llama3(scaling) => base.map(|frequency| llama3(frequency, scaling)).collect(),
            RopeScaling::Yarn(scaling) => yarn(rope, scaling, &(0..half).map(power).collect::<Vec<_>>()),
            RopeScaling::Factors(factors) => {
                base.zip(factors).map(|(frequency, factor)| frequency / factor).collect()
            }
            // Rounded as transformers rounds it.
            RopeScaling::Stretched { factors, .. } => {
                (0..half).zip(factors).map(|(i, factor)| 1. / (factor * power(i))).collect()
            }
            RopeScaling::Long(_) => bail!("rotary frequencies that depend on lengths, which nobody has said"),
        };
        Ok(Self {
            frequencies,
            factor,
            pairs: rope.pairs,
            runs: vec![OnceLock::new(); positions.div_ceil(RUN)],
        })
    }

    /// Rotate the first dimensions of one head at a position; the others stay.
    pub fn rotate(&self, position: usize, head: &mut [f32]) {
        self.turn(position, head, |a, b, cosine, sine| (a * cosine - b * sine, a * sine + b * cosine));
    }

    /// Rotate the other way: what [`rotate`](Self::rotate) does to a gradient.
    pub fn rotate_back(&self, position: usize, head: &mut [f32]) {
        self.turn(position, head, |a, b, cosine, sine| (a * cosine + b * sine, b * cosine - a * sine));
    }

    /// Each pair of dimensions, with its cosine and sine, becomes another.
    fn turn(&self, position: usize, head: &mut [f32], of: impl Fn(f32, f32, f32, f32) -> (f32, f32)) {
        let half = self.frequencies.len();
        let run = self.runs[position / RUN].get_or_init(|| self.run(position / RUN * RUN));
        let (cosines, sines) = run[position % RUN * 2 * half..][..2 * half].split_at(half);
        match self.pairs {
            Pairs::Halves => {
                let (first, second) = head[..2 * half].split_at_mut(half);
                for (((a, b), cosine), sine) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
                    (*a, *b) = of(*a, *b, *cosine, *sine);
                }
            }
            Pairs::Neighbours => {
                let pairs = head[..2 * half].chunks_exact_mut(2);
                for ((pair, cosine), sine) in pairs.zip(cosines).zip(sines) {
                    (pair[0], pair[1]) = of(pair[0], pair[1], *cosine, *sine);
                }
            }
        }
    }

    /// Which dimensions are rotated together.
    pub fn pairs(&self) -> Pairs {
        self.pairs
    }

    /// Pairs of dimensions that are rotated.
    pub fn half(&self) -> usize {
        self.frequencies.len()
    }

    /// Cosines and sines of the positions from 0 on, `[positions, dims / 2]` each.
    pub fn angles(&self, positions: usize) -> [Vec<f32>; 2] {
        let angles = || {
            let of =
                |position: usize| self.frequencies.iter().map(move |frequency| position as f32 * frequency);
            (0..positions).flat_map(of)
        };
        let scaled = |value: f32| value * self.factor;
        [angles().map(f32::cos).map(scaled).collect(), angles().map(f32::sin).map(scaled).collect()]
    }

    fn run(&self, first: usize) -> Vec<f32> {
        let angles =
            |position: usize| self.frequencies.iter().map(move |frequency| position as f32 * frequency);
        let run = (first..first + RUN)
            .flat_map(|position| angles(position).map(f32::cos).chain(angles(position).map(f32::sin)));
        run.map(|value| value * self.factor).collect()
    }
}

/// Llama 3.1's rescaling: long wavelengths are stretched by `factor`, short ones kept, those between interpolated.
fn llama3(frequency: f32, scaling: &Llama3Scaling) -> f32 {
    let wavelength = 2. * std::f32::consts::PI / frequency;
    let context = scaling.original_context as f32;
    if wavelength < context / scaling.high_frequency_factor {
        frequency
    } else if wavelength > context / scaling.low_frequency_factor {
        frequency / scaling.factor
    } else {
        let smooth = (context / wavelength - scaling.low_frequency_factor)
            / (scaling.high_frequency_factor - scaling.low_frequency_factor);
        (1. - smooth) * frequency / scaling.factor + smooth * frequency
    }
}

/// YaRN's rescaling of the powers `theta^(2i/d)`, rounded where transformers rounds. Dimensions that turn `beta_fast` times or more
/// within the original context keep their frequency, those that turn `beta_slow` times or less are stretched by the factor.
fn yarn(rope: &Rope, scaling: &YarnScaling, powers: &[f32]) -> Vec<f32> {
    let dims = rope.dims as f64;
    let context = scaling.original_context as f64;
    let dimension =
        |turns: f64| dims * (context / (turns * 2. * std::f64::consts::PI)).ln() / (2. * rope.theta.ln());
    let (mut low, mut high) = (dimension(scaling.beta_fast), dimension(scaling.beta_slow));
    if scaling.truncate {
        (low, high) = (low.floor(), high.ceil());
    }
    let (low, mut high) = (low.max(0.), high.min(dims - 1.));
    if low == high {
        high += 0.001;
    }
    let blend = |(i, &power): (usize, &f32)| {
        let ramp = ((i as f32 - low as f32) / (high - low) as f32).clamp(0., 1.);
        let kept = 1. - ramp;
        (1. / (scaling.factor as f32 * power)) * (1. - kept) + (1. / power) * kept
    };
    powers.iter().enumerate().map(blend).collect()
}
