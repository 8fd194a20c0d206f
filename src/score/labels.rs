//! Measures of chosen labels: macro-averaged F1, and how well confidence agrees with what is right.

/// A label of one item, by its number: the right one and the one that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Labelled {
    /// The right one.
    pub right: usize,
    /// The chosen one.
    pub chosen: usize,
}

/// The mean over all labels that are right or chosen somewhere of each label's F1, 0 to 1; 0 without items. It equals
/// `sklearn.metrics.f1_score(right, chosen, average="macro", zero_division=0)`.
pub fn macro_f1(items: impl IntoIterator<Item = Labelled>) -> f64 {
    // By label: right, chosen, and both.
    let mut counts: Vec<[u64; 3]> = Vec::new();
    for Labelled { right, chosen } in items {
        let most = right.max(chosen) + 1;
        if counts.len() < most {
            counts.resize(most, [0; 3]);
        }
        counts[right][0] += 1;
        counts[chosen][1] += 1;
        counts[right][2] += u64::from(right == chosen);
    }
    let there = counts.iter().filter(|[right, chosen, _]| right + chosen > 0);
    let (sum, labels) = there.fold((0., 0u64), |(sum, labels), [right, chosen, both]| {
        (sum + 2. * *both as f64 / (right + chosen) as f64, labels + 1)
    });
    sum / labels.max(1) as f64
}

/// Bins of confidence.
const BINS: usize = 10;

/// How sure a choice was, 0 to 1, and whether it was right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Confidence {
    /// The probability of what was chosen among what could be.
    pub confidence: f64,
    /// It was right.
    pub right: bool,
}

/// Expected calibration error (Naeini et al., 2015; Guo et al., 2017): items in ten bins of confidence of equal width, each
/// with its upper end; the mean over items of the difference between a bin's accuracy and its mean confidence. 0 without
/// items.
pub fn calibration_error(items: impl IntoIterator<Item = Confidence>) -> f64 {
    // By bin: confidence and right ones summed, and items.
    let mut bins = [(0f64, 0f64, 0u64); BINS];
    for Confidence { confidence, right } in items {
        let bin = (confidence * BINS as f64).ceil() as usize;
        let bin = &mut bins[bin.clamp(1, BINS) - 1];
        *bin = (bin.0 + confidence, bin.1 + f64::from(u8::from(right)), bin.2 + 1);
    }
    let items: u64 = bins.iter().map(|bin| bin.2).sum();
    bins.iter().map(|(confidence, right, _)| (confidence - right).abs()).sum::<f64>() / items.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(pairs: &[(usize, usize)]) -> f64 {
        macro_f1(pairs.iter().map(|&(right, chosen)| Labelled { right, chosen }))
    }

    #[test]
    fn every_label_counts_alike() {
        assert_eq!(labelled(&[]), 0.);
        assert_eq!(labelled(&[(0, 0), (1, 1), (4, 4)]), 1.);
        // F1 of label 0 is 2 * 2 / 5, of label 1 it is 2 / 3.
        assert!((labelled(&[(0, 0), (0, 0), (1, 1), (1, 0)]) - (0.8 + 2. / 3.) / 2.).abs() < 1e-12);
        // A label that is chosen but never right counts with 0.
        assert!((labelled(&[(0, 0), (0, 2)]) - (2. / 3.) / 2.).abs() < 1e-12);
    }

    #[test]
    fn confidence_is_compared_bin_by_bin() {
        let error = |all: &[(f64, bool)]| {
            calibration_error(all.iter().map(|&(confidence, right)| Confidence { confidence, right }))
        };
        assert_eq!(error(&[]), 0.);
        assert_eq!(error(&[(1., true), (1., true)]), 0.);
        assert!((error(&[(0.75, true), (0.75, false)]) - 0.25).abs() < 1e-12);
        // Two bins: |0.55 - 1| of one item and |0.95 - 0.5| of two.
        assert!((error(&[(0.55, true), (0.95, true), (0.95, false)]) - (0.45 + 0.9) / 3.).abs() < 1e-12);
        // A bin holds its upper end.
        assert!((error(&[(0.6, true), (0.55, false)]) - 0.15 / 2.).abs() < 1e-12);
    }
}
