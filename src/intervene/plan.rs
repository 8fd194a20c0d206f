//! Edits of one run: what is changed, at which layers, for which rows.

use std::ops::Range;

use super::Columns;

/// Which of a decoder's resident adapters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdapterId(pub u32);

impl AdapterId {
    /// What `lora` has trained: one adapter for each layer, joined, as no two change the same layer.
    pub const TRAINED: Self = Self(0);
}

/// What an edit changes for its rows at its layers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Change {
    /// These columns are not read, a row's own included. A row with nothing to read gets zero from attention.
    Hide(Columns),
    /// A row reads its own column alone.
    OnlySelf,
    /// The layer's attention is taken out, with the bias of its output. Rows go past it to the MLP.
    NoAttention,
    /// This adapter is at work. Where several edits name one, the last edit counts.
    Adapt(AdapterId),
}

impl Change {
    /// Whether it changes nothing, whatever is computed.
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Hide(columns) if columns.is_empty())
    }
}

/// One change, with where it is made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Edit {
    /// The layers.
    pub layers: Range<usize>,
    /// The rows for which it is made, by position. Generated rows follow the prompt's.
    pub rows: Columns,
    /// What is changed.
    pub change: Change,
}

/// The edits of one run. None of them: the unmasked run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Plan(Vec<Edit>);

/// What a row reads at a layer, of the columns up to its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Sees {
    /// All but these.
    Except(Columns),
    /// Its own.
    Own,
    /// None: the layer has no attention.
    Nothing,
}

/// What all edits together come to, for a row at a layer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sight {
    /// What is read.
    pub reads: Sees,
    /// The adapter that is at work, if any is.
    pub adapter: Option<AdapterId>,
}

impl Sight {
    /// The columns that a row at this position reads.
    pub fn columns(&self, row: usize) -> Columns {
        match &self.reads {
            Sees::Except(hidden) => hidden.complement(row + 1),
            Sees::Own => Columns::new([row..row + 1]),
            Sees::Nothing => Columns::default(),
        }
    }
}

impl Plan {
    /// The unmasked run.
    pub const UNMASKED: Self = Self(Vec::new());

    /// These edits. What changes nothing is dropped.
    pub fn new(edits: impl IntoIterator<Item = Edit>) -> Self {
        let nothing =
            |edit: &Edit| edit.layers.is_empty() || edit.rows.is_empty() || edit.change.is_nothing();
        Self(edits.into_iter().filter(|edit| !nothing(edit)).collect())
    }

    /// One change, for all rows, from a layer on.
    pub fn from_layer(layer: usize, change: Change) -> Self {
        Self::new([Edit { layers: layer..usize::MAX, rows: Columns::all(), change }])
    }

    /// One change, for all rows, at one layer.
    pub fn at_layer(layer: usize, change: Change) -> Self {
        Self::new([Edit { layers: layer..layer + 1, rows: Columns::all(), change }])
    }

    /// The edits.
    pub fn edits(&self) -> &[Edit] {
        &self.0
    }

    /// The first layer at which anything is changed, if anything is.
    pub fn first_layer(&self) -> Option<usize> {
        self.0.iter().map(|edit| edit.layers.start).min()
    }

    /// The plan for a model with so many layers.
    pub fn clipped(&self, layers: usize) -> Self {
        let clip =
            |edit: &Edit| Edit { layers: edit.layers.start..edit.layers.end.min(layers), ..edit.clone() };
        Self::new(self.0.iter().map(clip))
    }

    /// The plan as far as it concerns the rows and columns of a range.
    pub fn within(&self, range: &Range<usize>) -> Self {
        let within = |edit: &Edit| Edit {
            layers: edit.layers.clone(),
            rows: edit.rows.within(range),
            change: match &edit.change {
                Change::Hide(columns) => Change::Hide(columns.within(range)),
                other => other.clone(),
            },
        };
        Self::new(self.0.iter().map(within))
    }

    /// What a row reads at a layer, and what else is done to it.
    pub fn sight(&self, layer: usize, row: usize) -> Sight {
        let (mut hidden, mut own, mut attention, mut adapter) = (Vec::new(), false, true, None);
        let applies = |edit: &&Edit| edit.layers.contains(&layer) && edit.rows.contains(row);
        for edit in self.0.iter().filter(applies) {
            match &edit.change {
                Change::Hide(columns) => hidden.extend(columns.ranges().iter().cloned()),
                Change::OnlySelf => own = true,
                Change::NoAttention => attention = false,
                Change::Adapt(id) => adapter = Some(*id),
            }
        }
        let hidden = Columns::new(hidden);
        let reads = match (attention, own) {
            (false, _) => Sees::Nothing,
            (true, true) if hidden.contains(row) => Sees::Except(Columns::all()),
            (true, true) => Sees::Own,
            (true, false) => Sees::Except(hidden),
        };
        Sight { reads, adapter }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hide(columns: Range<usize>) -> Change {
        Change::Hide(Columns::new([columns]))
    }

    #[test]
    fn a_row_reads_what_is_neither_hidden_nor_later() {
        let plan = Plan::from_layer(2, hide(1..4));
        let read = |plan: &Plan, row: usize| plan.sight(2, row).columns(row).ranges().to_vec();
        assert_eq!(read(&plan, 0), [0..1]);
        assert_eq!(read(&plan, 2), [0..1]);
        assert_eq!(read(&plan, 5), [0..1, 4..6]);
        assert_eq!(plan.sight(1, 5).columns(5).ranges(), [0..6]);
        assert_eq!(read(&Plan::from_layer(0, Change::OnlySelf), 5), [5..6]);
        assert!(read(&Plan::from_layer(0, hide(0..4)), 3).is_empty());
        assert!(read(&Plan::at_layer(2, Change::NoAttention), 3).is_empty());
    }

    #[test]
    fn edits_count_for_their_layers_and_rows_alone_and_together() {
        let edit = |layers, rows, change| Edit { layers, rows: Columns::new([rows]), change };
        let plan = Plan::new([
            edit(1..3, 4..5, hide(0..2)),
            edit(2..4, 0..9, hide(3..4)),
            edit(2..3, 4..5, Change::Adapt(AdapterId(3))),
            edit(2..3, 4..5, Change::Adapt(AdapterId(1))),
            edit(5..6, 4..5, Change::OnlySelf),
            edit(5..6, 0..9, hide(4..5)),
        ]);
        let sight = |layer, row| plan.sight(layer, row);
        assert_eq!(sight(1, 4).reads, Sees::Except(Columns::new([0..2])));
        assert_eq!(sight(1, 3).reads, Sees::Except(Columns::default()));
        let reads = Sees::Except(Columns::new([0..2, 3..4]));
        assert_eq!(sight(2, 4), Sight { reads, adapter: Some(AdapterId(1)) });
        // Its own column is hidden, so there is nothing to read.
        assert!(sight(5, 4).columns(4).is_empty());
    }

    #[test]
    fn what_changes_nothing_is_the_unmasked_run() {
        assert_eq!(Plan::from_layer(1, Change::Hide(Columns::default())), Plan::UNMASKED);
        assert_eq!(Plan::from_layer(7, Change::OnlySelf).clipped(7), Plan::UNMASKED);
        let plan = Plan::from_layer(1, hide(3..9));
        assert_eq!(plan.within(&(0..3)), Plan::UNMASKED);
        let within = plan.within(&(0..5));
        assert_eq!(within.edits()[0].change, hide(3..5));
        assert_eq!(within.edits()[0].rows.ranges(), [0..5]);
    }
}
