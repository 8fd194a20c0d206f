//! What the rows of a branch read and write, layer by layer: the blocks of keys and values behind its columns.

use std::ops::Range;

use super::pass::{Stage, StageReads};
use crate::intervene::{Class, Columns, Fork, Sees};
use crate::model::{BlockId, Read};

/// The blocks that the columns of a sequence lie in.
#[derive(Debug, Clone, Copy)]
pub struct Blocks {
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
    blocks: &Blocks,
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
    pub fn new(blocks: &Blocks, forks: [&[Fork]; 2], classes: &[Class], sizes: [usize; 3]) -> Self {
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

fn of_class(blocks: &Blocks, forks: [&[Fork]; 2], class: &Class, sizes: [usize; 3]) -> Vec<Stage> {
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
        Stage { from: layer, write: blocks.own, reads, adapted: sight.adapted }
    };
    layers.into_iter().map(stage).collect()
}
