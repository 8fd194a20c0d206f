//! A plan compiled for one prompt and model: which rows a run must compute for itself, from which layer on, and what they
//! read. It is compiled once for a request; the engine only reads it.
//!
//! Going up, a row is *changed* after a layer if it was before, if an edit touches it, or if it reads a changed column. Going
//! down, the last row and the generated rows are *live*, and so is every column that a live row reads. Rows that are newly
//! changed and live *fork*. Windows narrow what is changed, not what is live.

use std::ops::Range;

use super::{Change, Columns, Plan, Sees, Sight};

/// The run that a plan is compiled for.
pub struct RunShape<'a> {
    /// Tokens of the prompt.
    pub rows: usize,
    /// Layers of the model.
    pub layers: usize,
    /// How many columns a layer's rows read at most, their own included.
    pub window: &'a dyn Fn(usize) -> Option<usize>,
}

/// Prompt rows that a run must compute for itself from a layer on, because they no longer are those of the unmasked run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fork {
    /// The first layer that may put out something else for them. What goes into it still is the unmasked run's.
    pub layer: usize,
    /// The rows.
    pub rows: Columns,
}

/// Rows for which every layer makes the same edits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Their positions.
    pub rows: Range<usize>,
    /// What they read, from which layer on.
    sights: Vec<(usize, Sight)>,
}

impl Class {
    /// What its rows read at a layer, from the first changed layer on.
    pub fn at(&self, layer: usize) -> &Sight {
        let (_, sight) = self.sights.iter().rfind(|(from, _)| *from <= layer).unwrap_or(&self.sights[0]);
        sight
    }

    /// The layers from which on something else is read than below.
    pub fn changes(&self) -> impl Iterator<Item = usize> + '_ {
        self.sights.iter().map(|(from, _)| *from)
    }
}

/// A plan compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// The first layer at which anything is changed; the number of layers for the unmasked run.
    pub from: usize,
    /// The rows that fork.
    pub forks: Vec<Fork>,
    /// All positions, class by class.
    pub classes: Vec<Class>,
    rows: usize,
    layers: usize,
    /// By layer, from the first changed one on: the prompt's columns that live rows read.
    read: Vec<Columns>,
}

impl Flow {
    /// Compile a plan.
    pub fn new(plan: &Plan, shape: &RunShape) -> Self {
        let RunShape { rows, layers, window } = *shape;
        let plan = plan.clipped(layers);
        let from = plan.first_layer().unwrap_or(layers);
        let classes = plan.classes(from, layers);
        let (read, live) = read_and_live(&classes, rows, from..layers);
        let forks = forks(&classes, rows, from, &live, window);
        Self { from, forks, classes, rows, layers, read }
    }

    /// Layers that the unmasked rows of a region must go through for this run: as long as some of them are read, or the next
    /// token is chosen from one, and at least to where the last of them forks.
    pub fn depth(&self, region: &Range<usize>) -> usize {
        let last_is_unmasked =
            region.contains(&(self.rows - 1)) && !self.forked(usize::MAX).contains(self.rows - 1);
        if self.from >= self.layers || last_is_unmasked {
            return self.layers;
        }
        let read = (self.from..self.layers).rev().find(|&layer| {
            let unmasked = self.read[layer - self.from].within(region).but(&self.forked(layer));
            !unmasked.is_empty()
        });
        let forked = self.forks.iter().filter(|fork| !fork.rows.within(region).is_empty());
        let forked = forked.map(|fork| fork.layer).max().unwrap_or(0);
        read.map_or(0, |layer| layer + 1).max(forked).max(self.from)
    }

    /// How many columns of the prompt a generated row reads at the layers that something is changed at, on average.
    pub fn visible(&self) -> usize {
        let Some(class) = self.classes.iter().find(|class| class.rows.contains(&self.rows)) else {
            return self.rows;
        };
        let count = |layer: usize| match &class.at(layer).reads {
            Sees::Except(hidden) => self.rows - hidden.within(&(0..self.rows)).len(),
            Sees::Own | Sees::Nothing => 0,
        };
        let layers = self.from..self.layers;
        let all: usize = layers.clone().map(count).sum();
        if layers.is_empty() { self.rows } else { all / layers.len() }
    }

    /// Rows that have forked at a layer.
    fn forked(&self, layer: usize) -> Columns {
        let forks = self.forks.iter().filter(|fork| fork.layer <= layer);
        Columns::new(forks.flat_map(|fork| fork.rows.ranges().iter().cloned()))
    }
}

impl Plan {
    /// All positions, in classes: the rows of one class have the same edits. Each class names what its rows read from layer `from`
    /// on; no edit may lie below that layer.
    pub fn classes(&self, from: usize, layers: usize) -> Vec<Class> {
        let own = self.edits().iter().any(|edit| edit.change == Change::OnlySelf);
        let hidden = self.edits().iter().filter_map(|edit| match &edit.change {
            // Where rows read themselves alone, it matters whether they are hidden.
            Change::Hide(columns) if own => Some(columns),
            _ => None,
        });
        let sets = self.edits().iter().map(|edit| &edit.rows).chain(hidden);
        let mut borders: Vec<usize> =
            sets.flat_map(|set| set.ranges().iter().flat_map(|range| [range.start, range.end])).collect();
        borders.extend([0, usize::MAX]);
        borders.sort_unstable();
        borders.dedup();
        let mut changes: Vec<usize> =
            self.edits().iter().flat_map(|edit| [edit.layers.start, edit.layers.end]).collect();
        changes.push(from);
        changes.retain(|&layer| layer == from || layer < layers);
        changes.sort_unstable();
        changes.dedup();
        let mut classes: Vec<Class> = Vec::new();
        for border in borders.windows(2) {
            let mut sights: Vec<(usize, Sight)> = Vec::new();
            for &layer in &changes {
                let sight = self.sight(layer, border[0]);
                if sights.last().is_none_or(|(_, last)| *last != sight) {
                    sights.push((layer, sight));
                }
            }
            match classes.last_mut() {
                Some(last) if last.sights == sights => last.rows.end = border[1],
                _ => classes.push(Class { rows: border[0]..border[1], sights }),
            }
        }
        classes
    }
}

/// Going down: by layer, the prompt's columns that live rows read, and the rows that are live as they enter the layer.
fn read_and_live(classes: &[Class], rows: usize, layers: Range<usize>) -> (Vec<Columns>, Vec<Columns>) {
    let mut live = Columns::new([rows.saturating_sub(1)..rows]);
    let (mut all_read, mut all_live) = (Vec::new(), Vec::new());
    for layer in layers.rev() {
        let mut read = Columns::default();
        for class in classes {
            let reads = &class.at(layer).reads;
            let readers = live.within(&class.rows);
            let generated = class.rows.end > rows;
            let end = if generated { rows } else { readers.ranges().last().map_or(0, |range| range.end) };
            read = match reads {
                Sees::Except(hidden) => read.or(&hidden.complement(end)),
                Sees::Own => read.or(&readers),
                Sees::Nothing => read,
            };
        }
        live = live.or(&read);
        all_read.push(read);
        all_live.push(live.clone());
    }
    all_read.reverse();
    all_live.reverse();
    (all_read, all_live)
}

/// Going up: the live rows that are newly changed, layer by layer.
fn forks(
    classes: &[Class],
    rows: usize,
    from: usize,
    live: &[Columns],
    window: &dyn Fn(usize) -> Option<usize>,
) -> Vec<Fork> {
    let (mut changed, mut forks) = (Columns::default(), Vec::new());
    for (layer, live) in (from..).zip(live) {
        // An adapter may change the keys and values of this very layer.
        let adapted = classes.iter().filter(|class| class.at(layer).adapter.is_some());
        let changed_here = changed.or(&Columns::new(adapted.map(|class| class.rows.clone())));
        let mut now = Columns::default();
        for class in classes {
            let Sight { reads, adapter } = class.at(layer);
            let touched = match reads {
                _ if adapter.is_some() => Columns::all(),
                Sees::Nothing => Columns::all(),
                // The first row has nothing else to read.
                Sees::Own if window(layer).is_none_or(|window| window > 1) => Columns::new([1..usize::MAX]),
                Sees::Own => Columns::default(),
                Sees::Except(hidden) => hidden.or(&changed_here).readers(window(layer)),
            };
            now = now.or(&touched.within(&class.rows));
        }
        now = now.within(&(0..rows)).but(&changed);
        let forked = Columns::new(now.ranges().iter().flat_map(|range| live.within(range).ranges().to_vec()));
        if !forked.is_empty() {
            forks.push(Fork { layer, rows: forked });
        }
        changed = changed.or(&now);
        if live.but(&changed).is_empty() {
            break;
        }
    }
    forks
}

#[cfg(test)]
mod tests {
    use super::super::{AdapterId, Edit};
    use super::*;

    fn hide(columns: Range<usize>) -> Change {
        Change::Hide(Columns::new([columns]))
    }

    fn flow(plan: &Plan, rows: usize, windows: [Option<usize>; 4]) -> Flow {
        Flow::new(plan, &RunShape { rows, layers: 4, window: &|layer| windows[layer] })
    }

    fn forks(plan: &Plan, rows: usize, windows: [Option<usize>; 4]) -> Vec<(usize, Vec<Range<usize>>)> {
        let forks = flow(plan, rows, windows).forks;
        forks.into_iter().map(|fork| (fork.layer, fork.rows.ranges().to_vec())).collect()
    }

    #[test]
    fn rows_after_the_first_hidden_column_fork_if_they_are_read() {
        let plan = Plan::from_layer(2, hide(1..4));
        assert_eq!(forks(&plan, 6, [None; 4]), [(2, vec![4..6])]);
        assert_eq!(forks(&plan, 3, [None; 4]), [(2, vec![2..3])]);
        assert_eq!(forks(&Plan::from_layer(0, Change::OnlySelf), 3, [None; 4]), [(0, vec![2..3])]);
        assert_eq!(forks(&Plan::from_layer(0, Change::OnlySelf), 1, [None; 4]), []);
        assert_eq!(forks(&Plan::UNMASKED, 3, [None; 4]), []);
        let flow = flow(&plan, 6, [None; 4]);
        assert_eq!((flow.from, flow.depth(&(0..1)), flow.depth(&(1..4)), flow.depth(&(4..6))), (2, 4, 2, 2));
        assert_eq!(flow.visible(), 3);
    }

    #[test]
    fn without_attention_at_a_layer_every_row_forks_there() {
        let plan = Plan::at_layer(1, Change::NoAttention);
        assert_eq!(forks(&plan, 5, [None; 4]), [(1, vec![0..5])]);
        assert_eq!(forks(&plan, 5, [Some(2); 4]), [(1, vec![0..5])]);
        let class = &flow(&plan, 5, [None; 4]).classes[0];
        assert_eq!(class.changes().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(class.at(3).reads, Sees::Except(Columns::default()));
    }

    #[test]
    fn behind_a_window_rows_fork_as_the_change_reaches_them() {
        let plan = Plan::from_layer(1, hide(0..2));
        assert_eq!(forks(&plan, 8, [Some(3); 4]), [(1, vec![2..4]), (2, vec![4..6]), (3, vec![6..8])]);
        assert_eq!(forks(&plan, 8, [None, Some(3), None, None]), [(1, vec![2..4]), (2, vec![4..8])]);
        // Hidden columns that no window reaches any more.
        assert_eq!(forks(&Plan::from_layer(3, hide(0..2)), 9, [Some(2); 4]), [(3, vec![2..3])]);
    }

    #[test]
    fn what_is_read_again_above_a_span_of_layers_forks_too() {
        let edit = |rows| Edit { layers: 1..2, rows, change: hide(1..3) };
        let plan = Plan::new([edit(Columns::all())]);
        // Columns 1 and 2 are read again at layers 2 and 3, and their rows have lost something at layer 1.
        assert_eq!(forks(&plan, 5, [None; 4]), [(1, vec![1..5])]);
        assert_eq!(flow(&plan, 5, [None; 4]).depth(&(1..3)), 1);
    }

    #[test]
    fn rows_that_read_an_adapted_row_fork_at_the_same_layer() {
        let edit = Edit { layers: 1..2, rows: Columns::new([2..3]), change: Change::Adapt(AdapterId(0)) };
        assert_eq!(forks(&Plan::new([edit.clone()]), 6, [None; 4]), [(1, vec![2..6])]);
        assert_eq!(
            forks(&Plan::new([edit]), 6, [Some(2); 4]),
            [(1, vec![2..4]), (2, vec![4..5]), (3, vec![5..6])]
        );
    }

    #[test]
    fn only_the_rows_of_an_edit_and_those_that_read_them_fork() {
        let edit = Edit { layers: 1..4, rows: Columns::new([4..5]), change: hide(0..2) };
        let plan = Plan::new([edit]);
        assert_eq!(forks(&plan, 7, [None; 4]), [(1, vec![4..5]), (2, vec![5..7])]);
        let flow = flow(&plan, 7, [None; 4]);
        let rows: Vec<Range<usize>> = flow.classes.iter().map(|class| class.rows.clone()).collect();
        assert_eq!(rows, [0..4, 4..5, 5..usize::MAX]);
        // The others still read the first columns to the top.
        assert_eq!((flow.depth(&(0..2)), flow.depth(&(4..7))), (4, 2));
    }
}
