//! What the rows of a branch read and write, layer by layer: the blocks of keys and values behind its columns.

use std::ops::Range;

use super::layout::forked_by;
use super::pass::{Stage, StageReads};
use crate::mask::{Columns, Fork, Hidden, MaskPlan};
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

/// What a branch's own rows read from its start layer on: anew whenever more rows have forked or something else is
/// hidden.
pub fn stages(blocks: &Blocks, forks: [&[Fork]; 2], plan: &MaskPlan, sizes: [usize; 3]) -> Vec<Stage> {
    let forked = forks.iter().flat_map(|forks| forks.iter()).map(|fork| fork.layer);
    let mut layers: Vec<usize> = forked.chain(plan.changes()).collect();
    layers.sort_unstable();
    layers.dedup();
    let stage = |layer: usize| Stage {
        from: layer,
        write: blocks.own,
        reads: match plan.at(layer) {
            Hidden::Columns(hidden) => StageReads::Columns(reads(blocks, forks, layer, hidden, sizes)),
            Hidden::AllButOwn => StageReads::Own,
            Hidden::Attention => StageReads::Nothing,
            Hidden::Adapted => StageReads::Columns(reads(blocks, forks, layer, &Columns::default(), sizes)),
        },
        adapted: *plan.at(layer) == Hidden::Adapted,
    };
    layers.into_iter().map(stage).collect()
}
