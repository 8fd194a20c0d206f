//! Values -> pixels, and where the ticks stand.

/// An axis: values from `low` to `high` onto pixels from `from` to `to`.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    pub low: f64,
    pub high: f64,
    pub from: f64,
    pub to: f64,
}

impl Scale {
    /// A value's pixel.
    pub fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// The same, no further than the axis reaches.
    pub fn within(&self, value: f64) -> f64 {
        self.at(value.clamp(self.low, self.high))
    }
}

/// A step of 1, 2 or 5 times a power of ten with which about `wanted` ticks cover a range.
pub fn step(range: f64, wanted: f64) -> f64 {
    let rough = (range / wanted).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(rough.log10().floor());
    let times = [1., 2., 5., 10.].into_iter().find(|times| times * power >= rough * 0.999).unwrap_or(10.);
    times * power
}

/// Multiples of a step from `low` to `high`, both ends included.
pub fn ticks(low: f64, high: f64, step: f64) -> Vec<f64> {
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (first..=last).map(|times| times as f64 * step).collect()
}

/// A tick's label: as many digits as its step needs.
pub fn label(value: f64, step: f64) -> String {
    let digits = (-step.log10()).ceil().max(0.) as usize;
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!([step(40., 5.), step(0.7, 5.), step(23., 5.), step(1., 5.)], [10., 0.2, 5., 0.2]);
        assert_eq!(ticks(0., 23., 5.), [0., 5., 10., 15., 20.]);
        let labels: Vec<String> = ticks(0., 0.6, 0.2).into_iter().map(|tick| label(tick, 0.2)).collect();
        assert_eq!(labels, ["0.0", "0.2", "0.4", "0.6"]);
        assert_eq!(label(15., 5.), "15");
    }

    #[test]
    fn a_scale_may_run_backwards() {
        let scale = Scale { low: 0., high: 10., from: 100., to: 0. };
        assert_eq!((scale.at(0.), scale.at(10.), scale.within(20.)), (100., 0., 0.));
    }
}
