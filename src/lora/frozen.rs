//! Hidden states of texts on their way up through frozen layers.

use anyhow::Result;

use super::TrainingText;
use crate::base::interrupt::check_interrupted;
use crate::model::grad::Packed;
use crate::model::{Decoder, Matrix, Transformer};

/// The states of all texts, `[rows, hidden]`, as they enter one layer.
pub struct Frozen<'a> {
    model: &'a Transformer,
    texts: &'a [TrainingText],
    packed: Packed,
    states: Matrix,
    layer: usize,
}

/// Rows that are taken through a layer at a time.
const ROWS: usize = 1024;

impl<'a> Frozen<'a> {
    /// The texts embedded.
    ///
    /// # Errors
    /// The embedding fails.
    pub fn new(model: &'a Transformer, texts: &'a [TrainingText]) -> Result<Self> {
        let packed = Packed::new(texts.iter().map(|text| text.tokens.len()));
        let tokens: Vec<u32> = texts.iter().flat_map(|text| &text.tokens).copied().collect();
        let states = model.embed(&tokens, &packed.positions)?;
        Ok(Self { model, texts, packed, states, layer: 0 })
    }

    /// Bytes that it holds.
    pub fn bytes(rows: usize, hidden: usize) -> u64 {
        (rows * hidden * 4) as u64
    }

    /// The layer that the states enter.
    pub fn layer(&self) -> usize {
        self.layer
    }

    /// Take all states up to the layer that they are to enter.
    ///
    /// # Errors
    /// A product fails, or the user asks to stop.
    pub fn advance_to(&mut self, layer: usize) -> Result<()> {
        assert!(layer >= self.layer, "states do not go down again");
        let mut sequences = self.packed.sequences.as_slice();
        while !sequences.is_empty() {
            check_interrupted()?;
            let mut rows = 0;
            let some = sequences.iter().take_while(|sequence| {
                rows += sequence.len();
                rows <= ROWS
            });
            let (now, later) = sequences.split_at(some.count().max(1));
            sequences = later;
            let range = now[0].start..now[now.len() - 1].end;
            let mut states = self.states.select(range.clone());
            let packed = Packed::new(now.iter().map(ExactSizeIterator::len));
            // From within the pool: its threads then stay awake from product to product.
            rayon::scope(|_| {
                (self.layer..layer).try_for_each(|layer| {
                    packed.at_layer(self.model.arch(), layer, |batch, kv| {
                        self.model.layer(layer, &mut states, batch, kv)
                    })?
                })
            })?;
            let width = states.width();
            self.states.data_mut()[range.start * width..range.end * width].copy_from_slice(states.data());
        }
        self.layer = layer;
        Ok(())
    }

    /// The states of some texts, packed, with the token that follows each row.
    pub fn some(&self, texts: &[usize], answer_alone: bool) -> (Matrix, Packed, Vec<Option<u32>>) {
        let states = self.states.select(texts.iter().flat_map(|&text| self.packed.sequences[text].clone()));
        let packed = Packed::new(texts.iter().map(|&text| self.texts[text].tokens.len()));
        let next = texts.iter().flat_map(|&text| self.texts[text].next(answer_alone)).collect();
        (states, packed, next)
    }

    /// Tokens of some texts whose loss is counted.
    pub fn counted(&self, texts: &[usize], answer_alone: bool) -> usize {
        texts.iter().flat_map(|&text| self.texts[text].next(answer_alone)).flatten().count()
    }

    /// Tokens of a text.
    pub fn tokens(&self, text: usize) -> usize {
        self.texts[text].tokens.len()
    }
}
