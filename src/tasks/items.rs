//! What each test item adds to a measure: enough for the measure of any selection of items.

use super::{Measure, Statistic};
use crate::score::{BleuStats, ChrfStats, Confidence, Labelled, Ter, TerStats, calibration_error, macro_f1};

/// What each test item adds to a measure.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemStats {
    measure: Measure,
    parts: ItemParts,
    /// Words of each item's reference, as BLEU counts them; none where the measure counts no words.
    references: Vec<u64>,
}

/// By item.
#[derive(Debug, Clone, PartialEq)]
pub enum ItemParts {
    /// Counts of n-grams of words or of pieces, for corpus BLEU and what it is made of.
    Words(Vec<BleuStats>),
    /// Counts of n-grams of characters, for corpus chrF; for chrF++, those of words too.
    Characters(Vec<ChrfStats>),
    /// Edits, for corpus TER.
    Edits(Vec<TerStats>),
    /// One number each, of which the measure is the mean.
    Mean(Vec<f64>),
    /// The right label and the chosen one, for macro F1.
    Labels(Vec<Labelled>),
    /// How sure each choice was, for the calibration error.
    Confidence(Vec<Confidence>),
}

impl ItemStats {
    /// A measure's parts, and the words of the references where it counts words.
    pub(super) fn new(measure: Measure, parts: ItemParts, references: Vec<u64>) -> Self {
        Self { measure, parts, references }
    }

    /// What another program says of each item.
    pub fn imported(measure: &Measure, values: Vec<f64>) -> Self {
        Self::new(measure.clone(), ItemParts::Mean(values), Vec::new())
    }

    /// What each item adds to BLEU of the pieces of a SentencePiece model, and the pieces of its reference.
    pub fn of_pieces(measure: &Measure, stats: Vec<BleuStats>, references: Vec<u64>) -> Self {
        Self::new(measure.clone(), ItemParts::Words(stats), references)
    }

    /// A measure that is the mean of one number an item, for tests.
    #[cfg(test)]
    pub fn mean(values: Vec<f64>) -> Self {
        let measure = Measure::new("share", "share", 3, Statistic::Mean);
        Self { measure, parts: ItemParts::Mean(values), references: Vec::new() }
    }

    /// The measure.
    pub fn measure(&self) -> &Measure {
        &self.measure
    }

    /// How it is computed.
    pub fn statistic(&self) -> Statistic {
        self.measure.statistic
    }

    /// Words of each item's reference, as BLEU counts them; none where the measure counts no words.
    pub fn references(&self) -> &[u64] {
        &self.references
    }

    /// What these items add, in this order.
    pub fn of_items(&self, items: &[usize]) -> Self {
        fn some<T: Clone>(all: &[T], items: &[usize]) -> Vec<T> {
            items.iter().map(|&item| all[item].clone()).collect()
        }
        let parts = match &self.parts {
            ItemParts::Words(all) => ItemParts::Words(some(all, items)),
            ItemParts::Characters(all) => ItemParts::Characters(some(all, items)),
            ItemParts::Edits(all) => ItemParts::Edits(some(all, items)),
            ItemParts::Mean(all) => ItemParts::Mean(some(all, items)),
            ItemParts::Labels(all) => ItemParts::Labels(some(all, items)),
            ItemParts::Confidence(all) => ItemParts::Confidence(some(all, items)),
        };
        let counted = if self.references.is_empty() { &[][..] } else { items };
        Self { measure: self.measure.clone(), parts, references: some(&self.references, counted) }
    }

    /// What the items add.
    pub fn parts(&self) -> &ItemParts {
        &self.parts
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        match &self.parts {
            ItemParts::Words(stats) => stats.len(),
            ItemParts::Characters(stats) => stats.len(),
            ItemParts::Edits(stats) => stats.len(),
            ItemParts::Mean(values) => values.len(),
            ItemParts::Labels(labels) => labels.len(),
            ItemParts::Confidence(all) => all.len(),
        }
    }

    /// No items?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The measure of some items, each as often as it is named.
    pub fn score(&self, items: impl IntoIterator<Item = usize>) -> f64 {
        match &self.parts {
            ItemParts::Words(stats) => {
                let mut total = BleuStats::default();
                items.into_iter().for_each(|item| total += &stats[item]);
                self.measure.statistic.of_words(&total)
            }
            ItemParts::Characters(stats) => {
                let mut total = ChrfStats::default();
                items.into_iter().for_each(|item| total += &stats[item]);
                self.measure.statistic.of_characters(&total)
            }
            ItemParts::Edits(stats) => {
                let mut total = TerStats::default();
                items.into_iter().for_each(|item| total += &stats[item]);
                Ter::default().score(&total)
            }
            ItemParts::Mean(values) => {
                let (mut sum, mut count) = (0., 0usize);
                items.into_iter().for_each(|item| (sum, count) = (sum + values[item], count + 1));
                sum / count.max(1) as f64
            }
            ItemParts::Labels(labels) => macro_f1(items.into_iter().map(|item| labels[item])),
            ItemParts::Confidence(all) => calibration_error(items.into_iter().map(|item| all[item])),
        }
    }
}

/// An answer was judged by another task's rules.
pub(super) const UNSCORED: &str =
    "a generation is not scored as the cell is; `icl-mask score` scores it again";
