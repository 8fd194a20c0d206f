//! Which columns of the attention matrix each layer hides. Pure: it knows prompts' segments and no model.
//!
//! From layer `l` on, a row may not read the columns of the hidden segments, its own column included. Hidden is not
//! removed: positions do not change. (Sia, Mueller, Duh, "Where does In-context Learning Happen in Large Language
//! Models?", NeurIPS 2024.)
//!
//! Two other treatments of one layer go the same way through the engine, since from that layer on a run is not the unmasked
//! one: an ablation takes the whole attention out of it and keeps its MLP; an adapter changes one of its projections. Neither hides
//! anything.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What is done to the attention: the parts of a prompt that are hidden, as the paper writes them (three letters T/F for
/// instructions, examples and query, or `none`, or `all`: every column but the row's own), or one layer's attention
/// taken out (`ablate-attention`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Treatment {
    /// The unmasked baseline.
    #[default]
    None,
    /// At least one segment is hidden.
    Segments { instructions: bool, examples: bool, query: bool },
    /// Every column but the row's own.
    All,
    /// No segment is hidden, but one layer has no attention; its MLP stays.
    Ablation,
    /// No segment is hidden, but one layer has an adapter that was trained for it.
    Lora,
}

impl Treatment {
    /// What its layer says of it.
    pub fn kind(self) -> Kind {
        match self {
            Self::None | Self::Segments { .. } | Self::All => Kind::Masks,
            Self::Ablation => Kind::Ablation,
            Self::Lora => Kind::Lora,
        }
    }
}

/// Treatments whose curves belong into one chart, since their layers mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The first layer that hides something: curves end at the baseline.
    Masks,
    /// The layer without attention.
    Ablation,
    /// The layer with an adapter.
    Lora,
}

/// The name of an ablation in files, the same as of its flag.
pub const ABLATION: &str = "ablate-attention";

/// The name of a layer's adapter in files, the same as of the verb that trains it.
pub const LORA: &str = "lora";

/// Not a treatment: see [`Treatment`].
#[derive(Debug, thiserror::Error)]
#[error(
    "unknown mask `{0}`: write none, all, or three letters T (hidden) or F (kept) for instructions, examples and query"
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
            name if name == ABLATION.as_bytes() => Ok(Self::Ablation),
            name if name == LORA.as_bytes() => Ok(Self::Lora),
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
            Self::Ablation => f.pad(ABLATION),
            Self::Lora => f.pad(LORA),
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

/// What one layer hides from every row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Hidden {
    /// These columns (none of them: an ordinary causal layer).
    Columns(Columns),
    /// Every column but the row's own.
    AllButOwn,
    /// The layer's attention is taken out, with the bias of its output: rows go past it to the MLP.
    Attention,
    /// Nothing; but the layer's adapter is at work.
    Adapted,
}

impl Hidden {
    /// Nothing hidden.
    pub const NOTHING: Hidden = Hidden::Columns(Columns(Vec::new()));

    /// The columns that the row at position `row` reads under the causal order.
    pub fn visible_to(&self, row: usize) -> Columns {
        match self {
            Self::Columns(hidden) => hidden.complement(row + 1),
            Self::AllButOwn => Columns(vec![row..row + 1]),
            Self::Attention => Columns::default(),
            Self::Adapted => Columns(vec![0..row + 1]),
        }
    }

    /// Does any *other* row read this column?
    pub fn is_read_by_others(&self, column: usize) -> bool {
        match self {
            Self::Columns(hidden) => !hidden.contains(column),
            Self::AllButOwn | Self::Attention => false,
            Self::Adapted => true,
        }
    }

    /// Of one layer only: those above it are the unmasked model's.
    fn is_of_one_layer(&self) -> bool {
        matches!(self, Self::Attention | Self::Adapted)
    }

    /// Does this layer hide something between `first` and `row` that the row at position `row` would read, or change the
    /// row itself?
    fn takes_from(&self, first: usize, row: usize) -> bool {
        match self {
            Self::Columns(hidden) => hidden.0.iter().any(|range| range.start <= row && range.end > first),
            Self::AllButOwn => first < row,
            Self::Attention | Self::Adapted => true,
        }
    }
}

/// Nothing hidden, to be borrowed by anyone.
pub static NOTHING: Hidden = Hidden::NOTHING;

/// Prompt rows that a masked run must compute for itself from a layer on, because they no longer are those of the
/// unmasked run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fork {
    /// The first layer that may put out something else for them; what goes into it still is the unmasked run's.
    pub layer: usize,
    /// The rows.
    pub rows: Columns,
}

/// What each layer of one run hides: nothing below `from_layer`, the same columns from it on; or what is done to that
/// layer alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MaskPlan {
    from_layer: usize,
    hidden: Hidden,
}

impl MaskPlan {
    /// The unmasked run.
    pub const UNMASKED: MaskPlan = MaskPlan { from_layer: usize::MAX, hidden: Hidden::NOTHING };

    /// Hide `hidden` at layers `from_layer` and above ([`Hidden::Attention`] and [`Hidden::Adapted`] at that one only); what hides nothing is the
    /// unmasked run.
    pub fn new(from_layer: usize, hidden: Hidden) -> Self {
        if hidden == Hidden::NOTHING { Self::UNMASKED } else { Self { from_layer, hidden } }
    }

    /// What is hidden at layers above `from_layer`.
    pub fn above(&self) -> &Hidden {
        if self.hidden.is_of_one_layer() { &NOTHING } else { &self.hidden }
    }

    /// What `layer` hides.
    pub fn at(&self, layer: usize) -> &Hidden {
        match layer.cmp(&self.from_layer) {
            Ordering::Less => &NOTHING,
            Ordering::Equal => &self.hidden,
            Ordering::Greater => self.above(),
        }
    }

    /// The layers from which on something else is hidden than below.
    pub fn changes(&self) -> impl Iterator<Item = usize> {
        let above = self.hidden.is_of_one_layer().then_some(self.from_layer + 1);
        std::iter::once(self.from_layer).chain(above)
    }

    /// The plan as far as it concerns a range of columns, in a model with so many layers.
    pub fn within(&self, columns: &Range<usize>, layers: usize) -> Self {
        match &self.hidden {
            _ if self.from_layer >= layers => Self::UNMASKED,
            Hidden::Columns(hidden) => Self::new(self.from_layer, Hidden::Columns(hidden.within(columns))),
            Hidden::AllButOwn | Hidden::Attention | Hidden::Adapted => self.clone(),
        }
    }

    /// The first layer that hides anything.
    pub fn from_layer(&self) -> usize {
        self.from_layer
    }

    /// The rows of a prompt that differ from the unmasked run and are still needed, by the layer at which each may first
    /// do so: a row differs from the first layer on that hides from it something it would read, or at which it reads a
    /// row that differs. `window` says how many columns a layer's rows read, their own included.
    ///
    /// Rows that nobody reads are left out: what is hidden stays hidden up to the top. The last row is needed, since the
    /// next token is chosen from it.
    pub fn forks(&self, rows: usize, layers: usize, window: impl Fn(usize) -> Option<usize>) -> Vec<Fork> {
        let needed = |row: usize| row + 1 == rows || self.above().is_read_by_others(row);
        let mut same: Vec<usize> =
            (0..rows).filter(|&row| needed(row) && self.hidden.takes_from(0, row)).collect();
        // Columns that differ, and are read.
        let mut changed = Columns::default();
        let mut forks = Vec::new();
        for layer in self.from_layer..layers {
            let first = |row: usize| window(layer).map_or(0, |window| (row + 1).saturating_sub(window));
            let reads_change = |row: usize| {
                let from = first(row);
                self.at(layer).takes_from(from, row)
                    || changed.0.iter().any(|c| c.start <= row && c.end > from)
            };
            let (now, later): (Vec<usize>, Vec<usize>) = same.into_iter().partition(|&row| reads_change(row));
            same = later;
            if !now.is_empty() {
                let rows = Columns::new(now.iter().map(|&row| row..row + 1));
                let read = now.into_iter().filter(|&row| self.above().is_read_by_others(row));
                changed = Columns::new(changed.0.into_iter().chain(read.map(|row| row..row + 1)));
                forks.push(Fork { layer, rows });
            }
            if same.is_empty() {
                break;
            }
        }
        forks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn treatments_are_written_as_in_the_paper() {
        for text in ["none", "all", "TTF", "FTF", "FFT", "TTT", "TFF", "ablate-attention"] {
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
        assert_eq!(columns.within(&(2..7)).ranges(), [2..3, 5..7]);
        assert!(columns.within(&(3..5)).is_empty());
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

    fn forks(plan: &MaskPlan, rows: usize, windows: [Option<usize>; 4]) -> Vec<(usize, Vec<Range<usize>>)> {
        let forks = plan.forks(rows, 4, |layer| windows[layer]);
        forks.into_iter().map(|fork| (fork.layer, fork.rows.ranges().to_vec())).collect()
    }

    #[test]
    fn rows_after_the_first_hidden_column_fork_if_they_are_read() {
        let plan = MaskPlan::new(2, Hidden::Columns(Columns::new([1..4])));
        assert_eq!(forks(&plan, 6, [None; 4]), [(2, vec![4..6])]);
        assert_eq!(forks(&plan, 3, [None; 4]), [(2, vec![2..3])]);
        assert_eq!(forks(&MaskPlan::new(0, Hidden::AllButOwn), 3, [None; 4]), [(0, vec![2..3])]);
        assert_eq!(forks(&MaskPlan::new(0, Hidden::AllButOwn), 1, [None; 4]), []);
        assert_eq!(forks(&MaskPlan::UNMASKED, 3, [None; 4]), []);
        assert_eq!(MaskPlan::new(1, Hidden::Columns(Columns::default())), MaskPlan::UNMASKED);
    }

    #[test]
    fn without_attention_at_a_layer_every_row_forks_there_and_none_is_hidden_above() {
        let plan = MaskPlan::new(1, Hidden::Attention);
        let at: Vec<&Hidden> = (0..4).map(|layer| plan.at(layer)).collect();
        assert_eq!(at, [&NOTHING, &Hidden::Attention, &NOTHING, &NOTHING]);
        assert_eq!(forks(&plan, 5, [None; 4]), [(1, vec![0..5])]);
        assert_eq!(forks(&plan, 5, [Some(2); 4]), [(1, vec![0..5])]);
        assert_eq!(plan.changes().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(plan.within(&(0..2), 4), plan);
        assert_eq!(plan.within(&(0..2), 1), MaskPlan::UNMASKED);
    }

    #[test]
    fn behind_a_window_rows_fork_as_the_change_reaches_them() {
        let plan = MaskPlan::new(1, Hidden::Columns(Columns::new([0..2])));
        assert_eq!(forks(&plan, 8, [Some(3); 4]), [(1, vec![2..4]), (2, vec![4..6]), (3, vec![6..8])]);
        assert_eq!(forks(&plan, 8, [None, Some(3), None, None]), [(1, vec![2..4]), (2, vec![4..8])]);
        // Hidden columns that no window reaches any more.
        assert_eq!(
            forks(&MaskPlan::new(3, Hidden::Columns(Columns::new([0..2]))), 9, [Some(2); 4]),
            [(3, vec![2..3])]
        );
    }
}
