//! Rows through all layers: strands that start at the bottom, or fork off another strand on the way up.

use std::ops::Range;

use anyhow::{Error, Result, ensure};

use crate::intervene::Columns;
use crate::model::{BlockId, Decoder, NotFinite, Read, Reads, Rows, States};

/// Rows that travel together.
pub struct Strand<'a> {
    /// The item whose rows they are; `None` for the context, which all items share.
    pub item: Option<&'a str>,
    /// Their positions, ascending.
    pub positions: Vec<usize>,
    /// Where they come from.
    pub origin: Origin<'a>,
    /// The layers they go through.
    pub layers: Range<usize>,
    /// Where their keys and values go and what they read, from which layer on.
    pub stages: &'a [Stage],
}

/// Where rows come from.
pub enum Origin<'a> {
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
    /// The adapters of its layers are at work.
    pub adapted: bool,
}

impl Stage {
    /// From the first layer on, as in the unmasked run.
    pub fn below(write: BlockId, reads: StageReads) -> Self {
        Self { from: 0, write, reads, adapted: false }
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
        if let Origin::Tokens(_) = strand.origin {
            places[index] = next..next + strand.positions.len();
            next = places[index].end;
            active.push(index);
        }
    }
    for layer in 0..layers {
        let mut forked = Vec::new();
        for (index, strand) in strands.iter().enumerate().filter(|(_, strand)| strand.layers.start == layer) {
            if let Origin::Fork { strand: parent, rows } = &strand.origin {
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
        Origin::Tokens(tokens) => Some((tokens, &strand.positions)),
        Origin::Fork { .. } => None,
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
            adapted: stage.adapted,
            reads: match &stage.reads {
                StageReads::Columns(reads) => Reads::Columns(reads),
                StageReads::Own => Reads::Own,
                StageReads::Nothing => Reads::Nothing,
            },
        }
    }
}
