//! Rows through all layers: strands that start at the bottom, or fork off another strand on the way up. After a strand's last
//! layer few of its rows are needed; the others only write their keys and values there.

use std::ops::Range;

use anyhow::{Context, Error, Result};

use super::strand::{Needed, Strand, StrandOrigin};
use crate::model::{Decoder, NotFinite, Rows, States};

/// States after the last layer of the strands that got there.
pub struct Finished<S> {
    states: S,
    /// By strand.
    places: Vec<Place>,
    /// What the pass took.
    pub counts: Counts,
}

/// What a pass takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows computed, once for each layer.
    pub row_layers: u64,
    /// Rows of which a layer computed keys and values alone, once for each layer.
    pub written: u64,
    /// Columns that rows read.
    pub reads: u64,
}

/// Where the rows of a strand are among those of all strands.
#[derive(Debug, Clone, Default)]
struct Place {
    first: usize,
    /// Which of the strand's rows are there, ascending.
    rows: Vec<usize>,
    /// Their positions.
    positions: Vec<usize>,
}

impl Place {
    /// All rows of a strand.
    fn whole(first: usize, strand: &Strand) -> Self {
        Self { first, rows: (0..strand.positions.len()).collect(), positions: strand.positions.clone() }
    }

    fn range(&self) -> Range<usize> {
        self.first..self.first + self.rows.len()
    }

    /// The place of one of the strand's rows; `None` where it is not computed any more.
    fn of(&self, row: usize) -> Option<usize> {
        self.rows.binary_search(&row).ok().map(|at| self.first + at)
    }

    /// The rows, their positions, and where they are, of those that are in `rows` or of those that are not.
    fn part(&self, rows: &[usize], within: bool) -> (Self, Vec<usize>) {
        let (mut part, mut places) = (Self::default(), Vec::new());
        for (place, (row, position)) in self.range().zip(self.rows.iter().zip(&self.positions)) {
            if rows.contains(row) == within {
                part.rows.push(*row);
                part.positions.push(*position);
                places.push(place);
            }
        }
        (part, places)
    }
}

impl<S: States> Finished<S> {
    /// The last row of each of these strands.
    ///
    /// # Errors
    /// Memory runs out.
    pub fn last_rows(&self, strands: impl IntoIterator<Item = usize>) -> Result<S> {
        let rows: Vec<usize> =
            strands.into_iter().map(|strand| self.places[strand].range().end - 1).collect();
        self.states.gather(&rows)
    }

    /// The place of a row of a strand among all.
    ///
    /// # Errors
    /// The strand did not keep the row.
    pub fn place(&self, strand: usize, row: usize) -> Result<usize> {
        self.places[strand].of(row).with_context(|| format!("row {row} of a strand was not kept"))
    }

    /// The last row of a strand that is there, by its number in the strand; `None` where the strand has ended.
    pub fn last_row(&self, strand: usize) -> Option<usize> {
        self.places[strand].rows.last().copied()
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
    rayon::scope(|_| {
        let mut pass = Pass::new(decoder, strands)?;
        for layer in 0..decoder.arch().layers {
            pass.fork(layer)?;
            pass.drop_ended(layer)?;
            pass.write_last(layer, kv)?;
            pass.compute(layer, kv)?;
        }
        Ok(Finished { states: pass.states, places: pass.places, counts: pass.counts })
    })
}

/// Strands on their way.
struct Pass<'a, D: Decoder> {
    decoder: &'a D,
    strands: &'a [Strand<'a>],
    states: D::States,
    /// By strand.
    places: Vec<Place>,
    /// Those that have rows, in the order of these.
    active: Vec<usize>,
    counts: Counts,
}

impl<'a, D: Decoder> Pass<'a, D> {
    /// The strands that begin at the bottom.
    fn new(decoder: &'a D, strands: &'a [Strand<'a>]) -> Result<Self> {
        let (tokens, positions) = rooted(strands);
        let mut places = vec![Place::default(); strands.len()];
        let (mut first, mut active) = (0, Vec::new());
        for (index, strand) in strands.iter().enumerate() {
            if let StrandOrigin::Tokens(_) = strand.origin {
                places[index] = Place::whole(first, strand);
                first = places[index].range().end;
                active.push(index);
            }
        }
        let states = decoder.embed(&tokens, &positions)?;
        Ok(Self { decoder, strands, states, places, active, counts: Counts::default() })
    }

    /// Add the rows of strands that fork off others at this layer.
    fn fork(&mut self, layer: usize) -> Result<()> {
        let mut forked = Vec::new();
        for (index, strand) in self.strands.iter().enumerate().filter(|(_, one)| one.layers.start == layer) {
            if let StrandOrigin::Fork { strand: parent, rows } = &strand.origin {
                let first = self.states.rows() + forked.len();
                let off = |row| self.places[*parent].of(row).filter(|_| *parent < index);
                for row in rows.ranges().iter().cloned().flatten() {
                    forked.push(off(row).context("a strand forks off rows that are not there")?);
                }
                self.places[index] = Place::whole(first, strand);
                self.active.push(index);
            }
        }
        if forked.is_empty() { Ok(()) } else { self.states.append(&forked) }
    }

    /// Leave out the strands that end below this layer.
    fn drop_ended(&mut self, layer: usize) -> Result<()> {
        let ended = |index: &&usize| self.strands[**index].layers.end <= layer;
        let ended: Vec<(usize, Vec<usize>)> =
            self.active.iter().filter(ended).map(|&index| (index, Vec::new())).collect();
        self.keep(&ended)
    }

    /// Strands that end with this layer keep the rows that are needed after it. The others write their keys and values.
    fn write_last(&mut self, layer: usize, kv: &mut D::Kv) -> Result<()> {
        let (mut kept, mut rest, mut from) = (Vec::new(), Vec::new(), Vec::new());
        for &index in self.active.iter().filter(|&&index| self.strands[index].layers.end == layer + 1) {
            let needed = self.needed(index);
            let (part, places) = self.places[index].part(&needed, false);
            if !places.is_empty() {
                kept.push((index, needed));
                rest.push((index, part));
                from.extend(places);
            }
        }
        if from.is_empty() {
            return Ok(());
        }
        let batch: Vec<Rows> =
            rest.iter().map(|(index, part)| self.strands[*index].at(layer, &part.positions)).collect();
        self.decoder.write(layer, &self.states.gather(&from)?, &batch, kv)?;
        self.counts.written += from.len() as u64;
        self.keep(&kept)
    }

    /// The rows of a strand that are needed after its last layer: those that other strands fork off, and those that `Strand::needed`
    /// names.
    fn needed(&self, index: usize) -> Vec<usize> {
        let (strand, rows) = (&self.strands[index], self.strands[index].positions.len());
        let mut needed: Vec<usize> = Vec::new();
        for other in self.strands.iter().filter(|other| other.layers.start == strand.layers.end) {
            match &other.origin {
                StrandOrigin::Fork { strand: parent, rows } if *parent == index => {
                    needed.extend(rows.ranges().iter().cloned().flatten());
                }
                _ => {}
            }
        }
        let last = strand.layers.end == self.decoder.arch().layers;
        match if last { strand.needed } else { Needed::None } {
            Needed::All => needed = (0..rows).collect(),
            Needed::Last => needed.push(rows - 1),
            Needed::None => {}
        }
        needed
    }

    /// One layer over all rows that are there.
    fn compute(&mut self, layer: usize, kv: &mut D::Kv) -> Result<()> {
        let at = |&index: &usize| self.strands[index].at(layer, &self.places[index].positions);
        let batch: Vec<Rows> = self.active.iter().map(at).collect();
        if batch.is_empty() {
            return Ok(());
        }
        let computed = self.decoder.layer(layer, &mut self.states, &batch, kv);
        self.counts.row_layers += self.states.rows() as u64;
        let window = self.decoder.arch().window(layer);
        self.counts.reads += batch.iter().map(|rows| rows.columns(window)).sum::<u64>();
        computed.map_err(|error| self.named(error))
    }

    /// Of these strands keep these rows alone, and of the others all.
    fn keep(&mut self, kept: &[(usize, Vec<usize>)]) -> Result<()> {
        if kept.is_empty() {
            return Ok(());
        }
        let mut from = Vec::with_capacity(self.states.rows());
        for &index in &self.active {
            let first = from.len();
            match kept.iter().find(|(of, _)| *of == index) {
                Some((_, rows)) => {
                    let (part, places) = self.places[index].part(rows, true);
                    self.places[index] = part;
                    from.extend(places);
                }
                None => from.extend(self.places[index].range()),
            }
            self.places[index].first = first;
        }
        self.active.retain(|&index| !self.places[index].rows.is_empty());
        self.states = self.states.gather(&from)?;
        Ok(())
    }

    /// An error about a row of the batch, with the item whose row it is.
    fn named(&self, error: Error) -> Error {
        let Some(&NotFinite { row, .. }) = error.downcast_ref() else { return error };
        match self.active.iter().find(|&&index| self.places[index].range().contains(&row)) {
            Some(&index) => match self.strands[index].item {
                Some(item) => error.context(format!("item {item}")),
                None => error.context("the part that all prompts share"),
            },
            None => error,
        }
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

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, arch};
    use super::super::stage::whole;
    use super::super::strand::{Stage, StageReads};
    use super::*;
    use crate::intervene::Columns;
    use crate::model::AdapterId;
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
            needed: Needed::Last,
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
            [vec![trunk.clone()], vec![vec![1, 2]], vec![vec![1, 2], vec![2]], vec![vec![2], vec![2]]]
        );
        let forked = &pass.layers[1][0];
        assert_eq!((forked.write, forked.adapter), (above, Some(AdapterId::TRAINED)));
        assert_eq!(forked.reads, Some(vec![(below, 0..1), (above, 1..3)]));
        assert_eq!(pass.layers[3][1].reads, None);
        // The trunk ends with layer 1 and only writes keys and values there. The last layer does the same for all but the last row.
        assert_eq!(pass.written, [vec![], vec![vec![0, 1, 2]], vec![], vec![vec![1]]]);
        // 3, 2, 3 and 2 rows; of columns 6, 5, 5 and 3.
        assert_eq!(finished.counts, Counts { row_layers: 10, written: 4, reads: 19 });
        // The last row of a strand, by the token that it was to begin with.
        assert_eq!(finished.last_rows([2, 1]).unwrap().0, [(9, 2), (9, 2)]);
    }

    #[test]
    fn a_fork_off_a_strand_that_has_ended_is_an_error() {
        let (decoder, mut kv) = (Fake::new(false), KvStore::default());
        let block = kv.add(&arch(), Extent { columns: 0..1, layers: 0..4 }).unwrap();
        let stages = [Stage::below(block, StageReads::Own)];
        let strand = |origin, layers| Strand {
            item: None,
            positions: vec![0],
            origin,
            layers,
            needed: Needed::Last,
            stages: &stages,
        };
        let fork = StrandOrigin::Fork { strand: 0, rows: Columns::new([0..1]) };
        let strands = [strand(StrandOrigin::Tokens(&[7]), 0..2), strand(fork, 3..4)];
        let error = forward(&decoder, &strands, &mut kv).err().expect("refused");
        assert!(error.to_string().contains("forks off rows that are not there"), "{error}");
    }
}
