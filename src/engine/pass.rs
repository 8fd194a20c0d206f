//! Rows through all layers: strands that start at the bottom, or fork off another strand on the way up.

use std::ops::Range;

use anyhow::{Error, Result, ensure};

use crate::intervene::Columns;
use crate::model::{AdapterId, BlockId, Decoder, NotFinite, Read, Reads, Rows, States};

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

/// What rows write and read from a layer on.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The first layer it stands for; it holds up to the next stage.
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

/// States after the last layer of the strands that got there.
pub struct Finished<S> {
    states: S,
    /// By strand, its rows.
    places: Vec<Range<usize>>,
    /// Rows computed, once for each layer.
    pub row_layers: u64,
    /// Columns that they read.
    pub reads: u64,
}

impl<S: States> Finished<S> {
    /// The last row of each of these strands.
    ///
    /// # Errors
    /// Memory runs out.
    pub fn last_rows(&self, strands: impl IntoIterator<Item = usize>) -> Result<S> {
        let rows: Vec<usize> = strands.into_iter().map(|strand| self.places[strand].end - 1).collect();
        self.states.gather(&rows)
    }

    /// Rows of a strand.
    pub fn rows_of(&self, strand: usize) -> usize {
        self.places[strand].len()
    }

    /// Where a row of a strand is among all.
    pub fn place(&self, strand: usize, row: usize) -> usize {
        self.places[strand].start + row
    }

    /// The rows at these places.
    ///
    /// # Errors
    /// Memory runs out.
    pub fn rows(&self, places: &[usize]) -> Result<S> {
        self.states.gather(places)
    }
}

/// Take all strands through their layers.
pub fn forward<D: Decoder>(decoder: &D, strands: &[Strand], kv: &mut D::Kv) -> Result<Finished<D::States>> {
    // From within the pool: its threads then stay awake from product to product.
    rayon::scope(|_| through_layers(decoder, strands, kv))
}

fn through_layers<D: Decoder>(
    decoder: &D,
    strands: &[Strand],
    kv: &mut D::Kv,
) -> Result<Finished<D::States>> {
    let layers = decoder.arch().layers;
    let (tokens, positions) = rooted(strands);
    let mut states = decoder.embed(&tokens, &positions)?;
    let mut places: Vec<Range<usize>> = vec![0..0; strands.len()];
    // Strands on their way, in the order of their rows.
    let mut active: Vec<usize> = Vec::new();
    let (mut row_layers, mut columns) = (0, 0);
    let mut next = 0;
    for (index, strand) in strands.iter().enumerate() {
        if let StrandOrigin::Tokens(_) = strand.origin {
            places[index] = next..next + strand.positions.len();
            next = places[index].end;
            active.push(index);
        }
    }
    for layer in 0..layers {
        let mut forked = Vec::new();
        for (index, strand) in strands.iter().enumerate().filter(|(_, strand)| strand.layers.start == layer) {
            if let StrandOrigin::Fork { strand: parent, rows } = &strand.origin {
                ensure!(
                    *parent < index && active.contains(parent),
                    "a strand forks off one that is not there"
                );
                let (from, start) = (places[*parent].start, states.rows() + forked.len());
                forked.extend(rows.ranges().iter().cloned().flatten().map(|row| from + row));
                places[index] = start..states.rows() + forked.len();
                active.push(index);
            }
        }
        if !forked.is_empty() {
            states.append(&forked)?;
        }
        if active.iter().any(|&index| strands[index].layers.end <= layer) {
            active.retain(|&index| strands[index].layers.end > layer);
            states = keep(&states, &active, &mut places)?;
        }
        let batch: Vec<Rows> = active.iter().map(|&index| strands[index].at(layer)).collect();
        if !batch.is_empty() {
            let computed = decoder.layer(layer, &mut states, &batch, kv);
            computed.map_err(|error| named(error, &active, strands))?;
            row_layers += states.rows() as u64;
            columns += batch.iter().map(|rows| rows.columns(decoder.arch().window(layer))).sum::<u64>();
        }
    }
    Ok(Finished { states, places, row_layers, reads: columns })
}

/// An error about a row of the batch, with the item whose row it is.
fn named(error: Error, active: &[usize], strands: &[Strand]) -> Error {
    let Some(&NotFinite { row, .. }) = error.downcast_ref() else { return error };
    let mut rows = active.iter().flat_map(|&strand| strands[strand].positions.iter().map(move |_| strand));
    match rows.nth(row).map(|strand| strands[strand].item) {
        Some(Some(item)) => error.context(format!("item {item}")),
        Some(None) => error.context("the part that all prompts share"),
        None => error,
    }
}

/// Tokens and positions of the strands that begin at the bottom.
fn rooted(strands: &[Strand]) -> (Vec<u32>, Vec<usize>) {
    let rooted = strands.iter().filter_map(|strand| match strand.origin {
        StrandOrigin::Tokens(tokens) => Some((tokens, &strand.positions)),
        StrandOrigin::Fork { .. } => None,
    });
    let (mut all, mut at) = (Vec::new(), Vec::new());
    for (tokens, positions) in rooted {
        all.extend_from_slice(tokens);
        at.extend_from_slice(positions);
    }
    (all, at)
}

/// The states of these strands alone.
fn keep<S: States>(states: &S, active: &[usize], places: &mut [Range<usize>]) -> Result<S> {
    let kept: Vec<usize> = active.iter().flat_map(|&index| places[index].clone()).collect();
    let kept = states.gather(&kept);
    let mut next = 0;
    for &index in active {
        let rows = places[index].len();
        places[index] = next..next + rows;
        next += rows;
    }
    kept
}

impl Strand<'_> {
    fn at(&self, layer: usize) -> Rows<'_> {
        let stage = self.stages.iter().rfind(|stage| stage.from <= layer).expect("a stage for every layer");
        Rows {
            positions: &self.positions,
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
    use super::super::fake::{Fake, arch};
    use super::super::stage::whole;
    use super::*;
    use crate::model::{Extent, KvCache, KvStore};

    /// Three rows through all layers; from layer 1 on the last two of them once more, and from layer 2 on one of those.
    #[test]
    fn strands_fork_where_they_say_and_end_where_they_say() {
        let (decoder, mut kv) = (Fake::new(false), KvStore::default());
        let [below, above] = [(0..3, 0..2), (1..3, 1..4)]
            .map(|(columns, layers)| kv.add(&arch(), Extent { columns, layers }).unwrap());
        let [trunk, whole_fork, half_fork] = [
            [Stage::below(below, whole(&[(below, 0..3)]))],
            [Stage {
                from: 1,
                write: above,
                reads: whole(&[(below, 0..1), (above, 1..3)]),
                adapter: Some(AdapterId::TRAINED),
            }],
            [Stage { from: 2, write: above, reads: StageReads::Nothing, adapter: None }],
        ];
        let strand = |positions: &[usize], origin, layers, stages| Strand {
            item: None,
            positions: positions.to_vec(),
            origin,
            layers,
            stages,
        };
        let fork = |strand, rows| StrandOrigin::Fork { strand, rows: Columns::new([rows]) };
        let strands = [
            strand(&[0, 1, 2], StrandOrigin::Tokens(&[7, 8, 9]), 0..2, &trunk),
            strand(&[1, 2], fork(0, 1..3), 1..4, &whole_fork),
            strand(&[2], fork(1, 1..2), 2..4, &half_fork),
        ];
        let finished = forward(&decoder, &strands, &mut kv).unwrap();
        let [pass] = decoder.passes().try_into().expect("one pass");
        assert_eq!(pass.tokens, [7, 8, 9]);
        let trunk = vec![0, 1, 2];
        assert_eq!(
            pass.positions(),
            [
                vec![trunk.clone()],
                vec![trunk, vec![1, 2]],
                vec![vec![1, 2], vec![2]],
                vec![vec![1, 2], vec![2]]
            ]
        );
        let forked = &pass.layers[1][1];
        assert_eq!((forked.write, forked.adapter), (above, Some(AdapterId::TRAINED)));
        assert_eq!(forked.reads, Some(vec![(below, 0..1), (above, 1..3)]));
        assert_eq!(pass.layers[3][1].reads, None);
        // 3, 5, 3 and 3 rows; of columns 6, 6 + 5, 5 and 5.
        assert_eq!((finished.row_layers, finished.reads), (14, 27));
        // The last row of a strand, by the token that it was to begin with.
        assert_eq!(finished.last_rows([2, 1]).unwrap().0, [(9, 2), (9, 2)]);
    }

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
        let strand = Strand { item: None, positions: vec![0], origin, layers: 0..4, stages: &stages };
        let at = |layer| (strand.at(layer).write, strand.at(layer).adapter);
        let trained = Some(AdapterId::TRAINED);
        assert_eq!([0, 1, 2, 3].map(at), [(one, None), (one, None), (other, trained), (other, trained)]);
        assert!(matches!(strand.at(1).reads, Reads::Own) && matches!(strand.at(3).reads, Reads::Nothing));
    }

    #[test]
    fn a_fork_off_a_strand_that_has_ended_is_an_error() {
        let (decoder, mut kv) = (Fake::new(false), KvStore::default());
        let block = kv.add(&arch(), Extent { columns: 0..1, layers: 0..4 }).unwrap();
        let stages = [Stage::below(block, StageReads::Own)];
        let strand =
            |origin, layers| Strand { item: None, positions: vec![0], origin, layers, stages: &stages };
        let fork = StrandOrigin::Fork { strand: 0, rows: Columns::new([0..1]) };
        let strands = [strand(StrandOrigin::Tokens(&[7]), 0..2), strand(fork, 3..4)];
        let error = forward(&decoder, &strands, &mut kv).err().expect("refused");
        assert!(error.to_string().contains("forks off one that is not there"), "{error}");
    }
}
