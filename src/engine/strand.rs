//! Rows that go through the layers together: where they come from, what they read, and how far they go.

use std::ops::Range;

use crate::intervene::Columns;
use crate::model::{AdapterId, BlockId, Read, Reads, Rows};

/// Rows that travel together.
pub struct Strand<'a> {
    /// The item whose rows they are; `None` for the context, which all items share.
    pub item: Option<&'a str>,
    /// Their positions, ascending.
    pub positions: Vec<usize>,
    /// Where they come from.
    pub origin: StrandOrigin<'a>,
    /// The layers they go through.
    pub layers: Range<usize>,
    /// Which of them are needed after the model's last layer.
    pub needed: Needed,
    /// Where their keys and values go and what they read, from which layer on.
    pub stages: &'a [Stage],
}

/// Where rows come from.
pub enum StrandOrigin<'a> {
    /// These tokens, embedded.
    Tokens(&'a [u32]),
    /// Some rows of an earlier strand of the list, as they enter the first layer of this one.
    Fork { strand: usize, rows: Columns },
}

/// Rows of a strand that are needed after the model's last layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    All,
    Last,
    None,
}

/// What rows write and read from a layer on.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Its first layer. It ends where the next stage begins.
    pub from: usize,
    /// Where keys and values go.
    pub write: BlockId,
    /// What is read.
    pub reads: StageReads,
    /// The adapter that is at work, if any is.
    pub adapter: Option<AdapterId>,
}

impl Stage {
    /// From the first layer on, as in the unmasked run.
    pub fn below(write: BlockId, reads: StageReads) -> Self {
        Self { from: 0, write, reads, adapter: None }
    }
}

/// What rows of a stage read: [`Reads`], owned.
#[derive(Debug, Clone)]
pub enum StageReads {
    Columns(Vec<Read>),
    Own,
    Nothing,
}

impl Strand<'_> {
    /// Rows of it at these positions, at a layer.
    pub fn at<'a>(&'a self, layer: usize, positions: &'a [usize]) -> Rows<'a> {
        let stage = self.stages.iter().rfind(|stage| stage.from <= layer).expect("a stage for every layer");
        Rows {
            positions,
            write: stage.write,
            adapter: stage.adapter,
            reads: match &stage.reads {
                StageReads::Columns(reads) => Reads::Columns(reads),
                StageReads::Own => Reads::Own,
                StageReads::Nothing => Reads::Nothing,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::arch;
    use super::*;
    use crate::model::{Extent, KvCache, KvStore};

    #[test]
    fn a_strand_is_read_at_each_layer_by_the_last_stage_up_to_it() {
        let mut kv = KvStore::default();
        let [one, other] =
            [0..4, 2..4].map(|layers| kv.add(&arch(), Extent { columns: 0..1, layers }).unwrap());
        let stages = [
            Stage::below(one, StageReads::Own),
            Stage { from: 2, write: other, reads: StageReads::Nothing, adapter: Some(AdapterId::TRAINED) },
        ];
        let origin = StrandOrigin::Tokens(&[7]);
        let needed = Needed::None;
        let strand = Strand { item: None, positions: vec![0], origin, layers: 0..4, needed, stages: &stages };
        let at = |layer| (strand.at(layer, &[0]).write, strand.at(layer, &[0]).adapter);
        let trained = Some(AdapterId::TRAINED);
        assert_eq!([0, 1, 2, 3].map(at), [(one, None), (one, None), (other, trained), (other, trained)]);
        assert!(
            matches!(strand.at(1, &[0]).reads, Reads::Own)
                && matches!(strand.at(3, &[0]).reads, Reads::Nothing)
        );
    }
}
