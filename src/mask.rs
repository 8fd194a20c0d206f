//! Which columns of the attention matrix each layer hides. Pure: it knows prompts' segments and no model.
//!
//! From layer `l` on, a row may not read the columns of the hidden segments, its own column included. Hidden is not
//! removed: positions do not change. (Sia, Mueller, Duh, "Where does In-context Learning Happen in Large Language
//! Models?", NeurIPS 2024.)

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The parts of a prompt that a treatment hides, as the paper writes them: three letters T/F for instructions,
/// examples and query, or `none`, or `all` (every column but the row's own).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Treatment {
    /// The unmasked baseline.
    None,
    /// At least one segment is hidden.
    Segments { instructions: bool, examples: bool, query: bool },
    /// Every column but the row's own.
    All,
}

/// Not a treatment: see [`Treatment`].
#[derive(Debug, thiserror::Error)]
#[error(
    "unknown mask `{0}`: write `none`, `all`, or three letters T/F for instructions, examples, query, such as `TTF`"
)]
pub struct UnknownTreatment(String);

impl FromStr for Treatment {
    type Err = UnknownTreatment;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hides = |letter: u8| match letter {
            b'T' => Ok(true),
            b'F' => Ok(false),
            _ => Err(UnknownTreatment(text.into())),
        };
        match text.as_bytes() {
            b"none" | b"FFF" => Ok(Self::None),
            b"all" => Ok(Self::All),
            &[i, e, q] => {
                Ok(Self::Segments { instructions: hides(i)?, examples: hides(e)?, query: hides(q)? })
            }
            _ => Err(UnknownTreatment(text.into())),
        }
    }
}

impl fmt::Display for Treatment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |hidden: bool| if hidden { 'T' } else { 'F' };
        match *self {
            Self::None => f.pad("none"),
            Self::All => f.pad("all"),
            Self::Segments { instructions, examples, query } => {
                f.pad(&[instructions, examples, query].map(letter).iter().collect::<String>())
            }
        }
    }
}

impl TryFrom<String> for Treatment {
    type Error = UnknownTreatment;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Treatment> for String {
    fn from(treatment: Treatment) -> Self {
        treatment.to_string()
    }
}

/// A set of columns (token positions): sorted, disjoint, non-empty half-open ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
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

    /// The columns at or after `start`.
    pub fn from(&self, start: usize) -> Self {
        Self::new(self.0.iter().map(|range| range.start.max(start)..range.end.max(start)))
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

/// What one layer hides from every row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hidden {
    /// These columns (none of them: an ordinary causal layer).
    Columns(Columns),
    /// Every column but the row's own.
    AllButOwn,
}

impl Hidden {
    /// Nothing hidden.
    pub const NOTHING: Hidden = Hidden::Columns(Columns(Vec::new()));

    /// The columns that the row at position `row` reads under the causal order.
    pub fn visible_to(&self, row: usize) -> Columns {
        match self {
            Self::Columns(hidden) => hidden.complement(row + 1),
            Self::AllButOwn => Columns(vec![row..row + 1]),
        }
    }

    /// Does any *other* row read this column?
    fn is_read_by_others(&self, column: usize) -> bool {
        match self {
            Self::Columns(hidden) => !hidden.contains(column),
            Self::AllButOwn => false,
        }
    }
}

/// Nothing hidden, to be borrowed by anyone.
pub static NOTHING: Hidden = Hidden::NOTHING;

/// What each layer of one run hides: nothing below `from_layer`, the same columns from it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskPlan {
    from_layer: usize,
    hidden: Hidden,
}

impl MaskPlan {
    /// The unmasked run.
    pub const UNMASKED: MaskPlan = MaskPlan { from_layer: usize::MAX, hidden: Hidden::NOTHING };

    /// Hide `hidden` at layers `from_layer` and above.
    pub fn new(from_layer: usize, hidden: Hidden) -> Self {
        Self { from_layer, hidden }
    }

    /// What `layer` hides.
    pub fn at(&self, layer: usize) -> &Hidden {
        if layer >= self.from_layer { &self.hidden } else { &NOTHING }
    }

    /// The first layer that hides anything.
    pub fn from_layer(&self) -> usize {
        self.from_layer
    }

    /// The prompt rows that must still be computed at `layer`: those whose column some later row reads, and the last
    /// one, from which the next token is chosen. The others are read by nobody at this layer or above, because what
    /// is hidden stays hidden up to the top.
    pub fn live_rows(&self, layer: usize, rows: usize) -> Vec<usize> {
        let hidden = self.at(layer);
        (0..rows).filter(|&row| row + 1 == rows || hidden.is_read_by_others(row)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn treatments_are_written_as_in_the_paper() {
        for text in ["none", "all", "TTF", "FTF", "FFT", "TTT", "TFF"] {
            assert_eq!(text.parse::<Treatment>().unwrap().to_string(), text);
        }
        assert_eq!("FFF".parse::<Treatment>().unwrap(), Treatment::None);
        for text in ["", "TT", "TTX", "ttf", "TTFF", "Ünf"] {
            assert!(text.parse::<Treatment>().is_err(), "{text}");
        }
    }

    #[test]
    fn columns_are_joined_sorted_and_complemented() {
        let columns = Columns::new([5..7, 0..2, 2..3, 4..4, 6..9]);
        assert_eq!(columns.ranges(), [0..3, 5..9]);
        assert_eq!(columns.len(), 7);
        assert_eq!(columns.complement(12).ranges(), [3..5, 9..12]);
        assert_eq!(columns.from(2).ranges(), [2..3, 5..9]);
        assert_eq!(columns.from(4).ranges(), [5..9]);
        assert_eq!(columns.complement(6).ranges(), [3..5]);
        assert!(columns.complement(2).is_empty());
        assert_eq!(Columns::default().complement(2).ranges(), [0..2]);
    }

    #[test]
    fn a_row_reads_what_is_neither_hidden_nor_later() {
        let hidden = Hidden::Columns(Columns::new([1..4]));
        assert_eq!(hidden.visible_to(0).ranges(), [0..1]);
        assert_eq!(hidden.visible_to(2).ranges(), [0..1]);
        assert_eq!(hidden.visible_to(5).ranges(), [0..1, 4..6]);
        assert_eq!(Hidden::AllButOwn.visible_to(5).ranges(), [5..6]);
        assert!(Hidden::Columns(Columns::new([0..4])).visible_to(3).is_empty());
    }

    #[test]
    fn rows_that_nobody_reads_are_not_live() {
        let plan = MaskPlan::new(2, Hidden::Columns(Columns::new([1..4])));
        assert_eq!(plan.live_rows(1, 6), [0, 1, 2, 3, 4, 5]);
        assert_eq!(plan.live_rows(2, 6), [0, 4, 5]);
        assert_eq!(plan.live_rows(2, 3), [0, 2]);
        assert_eq!(MaskPlan::new(0, Hidden::AllButOwn).live_rows(0, 3), [2]);
        assert_eq!(MaskPlan::UNMASKED.live_rows(9, 2), [0, 1]);
    }
}
