//! Sets of token positions: columns that are read, rows that read.

use std::ops::Range;

use serde::Serialize;

/// A set of columns (token positions): sorted, disjoint, non-empty half-open ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Columns(Vec<Range<usize>>);

impl Columns {
    /// The union of any ranges, empty ones dropped, touching ones joined.
    pub fn new(ranges: impl IntoIterator<Item = Range<usize>>) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        ranges.sort_by_key(|range| range.start);
        let mut joined: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match joined.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        Self(joined)
    }

    /// The ranges, ascending.
    pub fn ranges(&self) -> &[Range<usize>] {
        &self.0
    }

    /// Is this column in the set?
    pub fn contains(&self, column: usize) -> bool {
        self.0.iter().any(|range| range.contains(&column))
    }

    /// Number of columns.
    pub fn len(&self) -> usize {
        self.0.iter().map(Range::len).sum()
    }

    /// No column at all?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every position there may be.
    pub fn all() -> Self {
        Self(vec![0..usize::MAX])
    }

    /// What is in this set or in another.
    pub fn or(&self, other: &Self) -> Self {
        Self::new(self.0.iter().chain(&other.0).cloned())
    }

    /// What is in this set and not in another.
    pub fn but(&self, other: &Self) -> Self {
        let mut rest = Vec::new();
        for range in &self.0 {
            let mut from = range.start;
            for taken in other.0.iter().filter(|taken| taken.end > range.start && taken.start < range.end) {
                rest.push(from..taken.start.max(from));
                from = taken.end;
            }
            rest.push(from..range.end.max(from));
        }
        Self::new(rest)
    }

    /// The rows that would read one of these columns: those from it on, as far as a window of so many columns reaches back, the
    /// row's own included.
    pub fn readers(&self, window: Option<usize>) -> Self {
        let last =
            |end: usize| window.map_or(usize::MAX, |window| end.saturating_add(window).saturating_sub(1));
        Self::new(self.0.iter().map(|range| range.start..last(range.end)))
    }

    /// The columns within a range.
    pub fn within(&self, of: &Range<usize>) -> Self {
        Self::new(self.0.iter().map(|range| range.start.max(of.start)..range.end.min(of.end)))
    }

    /// The columns of `0..end` that are not in this set.
    pub fn complement(&self, end: usize) -> Self {
        let mut rest = Vec::with_capacity(self.0.len() + 1);
        let mut from = 0;
        for range in &self.0 {
            rest.push(from..range.start.min(end));
            from = range.end;
        }
        rest.push(from..end.max(from));
        Self::new(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_joined_sorted_and_complemented() {
        let columns = Columns::new([5..7, 0..2, 2..3, 4..4, 6..9]);
        assert_eq!(columns.ranges(), [0..3, 5..9]);
        assert_eq!(columns.len(), 7);
        assert_eq!(columns.complement(12).ranges(), [3..5, 9..12]);
        assert_eq!(columns.within(&(2..7)).ranges(), [2..3, 5..7]);
        assert!(columns.within(&(3..5)).is_empty());
        assert_eq!(columns.complement(6).ranges(), [3..5]);
        assert!(columns.complement(2).is_empty());
        assert_eq!(Columns::default().complement(2).ranges(), [0..2]);
    }

    #[test]
    fn sets_are_joined_and_taken_from_each_other() {
        let columns = Columns::new([0..3, 5..9]);
        assert_eq!(columns.or(&Columns::new([3..4, 8..12])).ranges(), [0..4, 5..12]);
        assert_eq!(columns.but(&Columns::new([1..2, 6..7, 8..20])).ranges(), [0..1, 2..3, 5..6, 7..8]);
        assert_eq!(Columns::all().but(&Columns::new([2..4])).ranges(), [0..2, 4..usize::MAX]);
        assert!(columns.but(&Columns::all()).is_empty());
    }

    #[test]
    fn a_column_is_read_from_its_own_row_on_as_far_as_the_window_reaches() {
        let columns = Columns::new([2..4]);
        assert_eq!(columns.readers(None).ranges(), [2..usize::MAX]);
        assert_eq!(columns.readers(Some(3)).ranges(), [2..6]);
        assert_eq!(columns.readers(Some(1)).ranges(), [2..4]);
    }
}
