//! What the rows of a branch read and write, layer by layer: the blocks of keys and values behind its columns.

use std::ops::Range;

use super::strand::{Stage, StageReads};
use crate::intervene::{Class, Columns, Fork, Sees};
use crate::model::{BlockId, Read};

/// The blocks that the columns of a sequence lie in.
#[derive(Debug, Clone, Copy)]
pub struct BranchBlocks {
    /// The context's trunk.
    pub context: BlockId,
    /// The context's rows that differ.
    pub context_branch: Option<BlockId>,
    /// The item's trunk.
    pub trunk: BlockId,
    /// Generated columns below the start layer.
    pub shared: BlockId,
    /// The item's rows that differ, and generated columns above.
    pub own: BlockId,
}

/// The columns `0..end` that `hidden` leaves at a layer, by the block that holds each: of the prompt (`prompt` columns,
/// `context` of them in the context) those that have forked by then are the branch's own.
pub fn reads(
    blocks: &BranchBlocks,
    forks: [&[Fork]; 2],
    layer: usize,
    hidden: &Columns,
    [context, prompt, end]: [usize; 3],
) -> Vec<Read> {
    let [of_context, of_item] = forks.map(|forks| forked_by(forks, layer));
    let place = |column: usize| match blocks.context_branch {
        Some(block) if column < context && of_context.contains(column) => block,
        _ if column < context => blocks.context,
        _ if column >= prompt || of_item.contains(column) => blocks.own,
        _ => blocks.trunk,
    };
    let mut reads: Vec<Read> = Vec::new();
    for column in hidden.complement(end).ranges().iter().cloned().flatten() {
        let block = place(column);
        match reads.last_mut() {
            Some(read) if read.block == block && read.end == column => read.end += 1,
            _ => reads.push(Read { block, start: column, end: column + 1 }),
        }
    }
    reads
}

/// Whole ranges of blocks.
pub fn whole(ranges: &[(BlockId, Range<usize>)]) -> StageReads {
    let ranges = ranges.iter().filter(|(_, range)| !range.is_empty());
    let read =
        |(block, range): &(BlockId, Range<usize>)| Read { block: *block, start: range.start, end: range.end };
    StageReads::Columns(ranges.map(read).collect())
}

/// The stages of generated rows, for rows of forced tokens: what they would write in the branch's own block is written in the last
/// of these blocks, and columns after the prompt are read from the one that holds them.
pub fn forced(
    stages: &[Stage],
    own: BlockId,
    prompt: usize,
    after: &[(Range<usize>, BlockId)],
) -> Vec<Stage> {
    let moved = |read: &Read| -> Vec<Read> {
        if read.block != own || read.end <= prompt {
            return vec![read.clone()];
        }
        let before = (read.start < prompt).then(|| Read { end: prompt, ..read.clone() });
        let within = after.iter().map(|(columns, block)| Read {
            block: *block,
            start: columns.start.max(read.start),
            end: columns.end.min(read.end),
        });
        before.into_iter().chain(within.filter(|read| read.start < read.end)).collect()
    };
    let stage = |stage: &Stage| Stage {
        write: after.last().map_or(stage.write, |(_, block)| *block),
        reads: match &stage.reads {
            StageReads::Columns(reads) => StageReads::Columns(reads.iter().flat_map(moved).collect()),
            other => other.clone(),
        },
        ..stage.clone()
    };
    stages.iter().map(stage).collect()
}

/// Rows that have forked at a layer.
fn forked_by(forks: &[Fork], layer: usize) -> Columns {
    let forks = forks.iter().filter(|fork| fork.layer <= layer);
    Columns::new(forks.flat_map(|fork| fork.rows.ranges().iter().cloned()))
}

/// What the rows of a branch read and write, by their positions.
#[derive(Debug, Clone)]
pub struct Stages(Vec<(Range<usize>, Vec<Stage>)>);

impl Stages {
    /// The stages of these classes of rows, from the first changed layer on. A new stage begins wherever more rows have forked
    /// or the rows read something else.
    /// `sizes` are the tokens of the context, of the prompt, and of all.
    pub fn new(blocks: &BranchBlocks, forks: [&[Fork]; 2], classes: &[Class], sizes: [usize; 3]) -> Self {
        let of = |class: &Class| (class.rows.clone(), of_class(blocks, forks, class, sizes));
        Self(classes.iter().map(of).collect())
    }

    /// All rows alike, at all layers.
    pub fn alike(stage: Stage) -> Self {
        Self(vec![(0..usize::MAX, vec![stage])])
    }

    /// The same with another stage below the first.
    pub fn above(mut self, below: &Stage) -> Self {
        self.0.iter_mut().for_each(|(_, stages)| stages.insert(0, below.clone()));
        self
    }

    /// Those of the row at this position.
    pub fn of(&self, position: usize) -> &[Stage] {
        let found = self.0.iter().find(|(rows, _)| rows.contains(&position));
        found.map_or(&[], |(_, stages)| stages)
    }

    /// Rows of one class after the other, with their stages.
    pub fn parts<'a>(&'a self, rows: &'a Columns) -> impl Iterator<Item = (Columns, &'a [Stage])> {
        let parts = self.0.iter().map(|(class, stages)| (rows.within(class), stages.as_slice()));
        parts.filter(|(rows, _)| !rows.is_empty())
    }
}

fn of_class(blocks: &BranchBlocks, forks: [&[Fork]; 2], class: &Class, sizes: [usize; 3]) -> Vec<Stage> {
    let forked = forks.iter().flat_map(|forks| forks.iter()).map(|fork| fork.layer);
    let mut layers: Vec<usize> = forked.chain(class.changes()).collect();
    layers.sort_unstable();
    layers.dedup();
    let stage = |layer: usize| {
        let sight = class.at(layer);
        let reads = match &sight.reads {
            Sees::Except(hidden) => StageReads::Columns(reads(blocks, forks, layer, hidden, sizes)),
            Sees::Own => StageReads::Own,
            Sees::Nothing => StageReads::Nothing,
        };
        Stage { from: layer, write: blocks.own, reads, adapter: sight.adapter }
    };
    layers.into_iter().map(stage).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fake::{arch, hide};
    use super::*;
    use crate::intervene::{Change, Plan};
    use crate::model::{Extent, KvCache, KvStore};

    /// Columns, each range in its block.
    type Found = Vec<(BlockId, Range<usize>)>;

    /// Five blocks, and their ids in the order of the fields.
    fn blocks() -> (BranchBlocks, [BlockId; 5]) {
        let mut kv = KvStore::default();
        let ids = [0; 5].map(|_| kv.add(&arch(), Extent { columns: 0..1, layers: 0..1 }).unwrap());
        let [context, context_branch, trunk, shared, own] = ids;
        (BranchBlocks { context, context_branch: Some(context_branch), trunk, shared, own }, ids)
    }

    fn fork(layer: usize, rows: Range<usize>) -> Fork {
        Fork { layer, rows: Columns::new([rows]) }
    }

    /// Tokens of the context, of the prompt, and of all.
    const SIZES: [usize; 3] = [4, 7, 9];

    #[test]
    fn each_column_is_read_from_the_block_that_holds_it_at_the_layer() {
        let (blocks, [context, context_branch, trunk, _, own]) = blocks();
        // Of the context the last row has forked at layer 1, of the item the last two at layer 2.
        let forks: [&[Fork]; 2] = [&[fork(1, 3..4)], &[fork(2, 5..7)]];
        let at = |layer: usize, hidden: Range<usize>| -> Found {
            let reads = reads(&blocks, forks, layer, &Columns::new([hidden]), SIZES);
            reads.into_iter().map(|read| (read.block, read.start..read.end)).collect()
        };
        assert_eq!(at(0, 0..0), [(context, 0..4), (trunk, 4..7), (own, 7..9)]);
        assert_eq!(at(1, 0..0), [(context, 0..3), (context_branch, 3..4), (trunk, 4..7), (own, 7..9)]);
        assert_eq!(at(2, 0..0), [(context, 0..3), (context_branch, 3..4), (trunk, 4..5), (own, 5..9)]);
        assert_eq!(at(2, 1..5), [(context, 0..1), (own, 5..9)]);
        assert_eq!(at(2, 0..9), []);
    }

    #[test]
    fn a_context_without_rows_of_its_own_is_read_where_it_stands() {
        let (blocks, [context, _, trunk, _, own]) = blocks();
        let blocks = BranchBlocks { context_branch: None, ..blocks };
        let found = reads(&blocks, [&[], &[fork(0, 6..7)]], 3, &Columns::default(), SIZES);
        let found: Vec<_> = found.iter().map(|read| (read.block, read.start..read.end)).collect();
        assert_eq!(found, [(context, 0..4), (trunk, 4..6), (own, 6..9)]);
    }

    /// Hidden from layer 1 on: the item's rows fork at 1 and, behind a window, one more at 2. A stage begins at each.
    #[test]
    fn a_stage_begins_wherever_more_rows_have_forked() {
        let (blocks, [_, _, trunk, shared, own]) = blocks();
        let plan = hide(0..4, 1);
        let classes = plan.classes(1, 4);
        let forks: [&[Fork]; 2] = [&[], &[fork(1, 4..6), fork(2, 6..7)]];
        let below = Stage::below(shared, StageReads::Own);
        let stages = Stages::new(&blocks, forks, &classes, SIZES).above(&below);
        let of = |position: usize| -> Vec<(usize, BlockId, Found)> {
            let reads = |reads: &StageReads| match reads {
                StageReads::Columns(reads) => {
                    reads.iter().map(|read| (read.block, read.start..read.end)).collect()
                }
                StageReads::Own | StageReads::Nothing => vec![],
            };
            stages.of(position).iter().map(|stage| (stage.from, stage.write, reads(&stage.reads))).collect()
        };
        let expected = vec![
            (0, shared, vec![]),
            (1, own, vec![(own, 4..6), (trunk, 6..7), (own, 7..9)]),
            (2, own, vec![(own, 4..9)]),
        ];
        assert_eq!((of(4), of(8)), (expected.clone(), expected));
    }

    /// One row has an edit that the others have not: its rows are parted from theirs.
    #[test]
    fn rows_are_parted_by_what_they_read() {
        let (blocks, _) = blocks();
        let edit = |rows: Range<usize>, change| crate::intervene::Edit {
            layers: 1..usize::MAX,
            rows: Columns::new([rows]),
            change,
        };
        let plan = Plan::new([edit(5..6, Change::OnlySelf), edit(6..7, Change::NoAttention)]);
        let classes = plan.classes(1, 4);
        let stages = Stages::new(&blocks, [&[], &[fork(1, 4..7)]], &classes, SIZES);
        let rows = Columns::new([4..7]);
        let parts: Vec<(Vec<Range<usize>>, &StageReads)> =
            stages.parts(&rows).map(|(rows, stages)| (rows.ranges().to_vec(), &stages[0].reads)).collect();
        let [(first, columns), (second, own), (third, nothing)] = parts.as_slice() else {
            panic!("{parts:?}");
        };
        assert_eq!(
            (first.as_slice(), second.as_slice(), third.as_slice()),
            (&[4..5][..], &[5..6][..], &[6..7][..])
        );
        assert!(matches!(columns, StageReads::Columns(_)));
        assert!(matches!(own, StageReads::Own) && matches!(nothing, StageReads::Nothing));
    }
}
