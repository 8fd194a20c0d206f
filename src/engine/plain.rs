//! One sequence by itself: every row through every layer, nothing shared, nothing left out. The oracle that the sweep is
//! held against in tests; too slow for anything else.

use anyhow::Result;

use crate::mask::{Hidden, MaskPlan};
use crate::model::{BlockId, Decoder, Extent, KvStore, Matrix, Read, Reads, Rows};

/// A sequence, as far as it has been fed.
pub struct Plain<'a> {
    decoder: &'a dyn Decoder,
    plan: &'a MaskPlan,
    kv: KvStore,
    block: BlockId,
    length: usize,
    capacity: usize,
}

impl<'a> Plain<'a> {
    /// An empty sequence of at most `capacity` tokens, masked by a plan.
    pub fn new(decoder: &'a dyn Decoder, plan: &'a MaskPlan, capacity: usize) -> Self {
        let mut kv = KvStore::default();
        let block = kv.add(decoder.arch(), Extent { columns: 0..capacity, layers: 0..decoder.arch().layers });
        Self { decoder, plan, kv, block, length: 0, capacity }
    }

    /// The next tokens through all layers -> their states `[tokens, hidden]` after the last one; `after` sees those after
    /// each.
    pub fn feed(&mut self, tokens: &[u32], mut after: impl FnMut(usize, &Matrix)) -> Result<Matrix> {
        let positions: Vec<usize> = (self.length..self.length + tokens.len()).collect();
        self.length += tokens.len();
        let mut states = self.decoder.embed(tokens, &positions)?;
        for layer in 0..self.decoder.arch().layers {
            let block = self.block;
            let visible = self.plan.at(layer).visible_to(self.capacity - 1);
            let visible = visible.ranges().iter();
            let reads: Vec<Read> =
                visible.map(|range| Read { block, start: range.start, end: range.end }).collect();
            let reads = match self.plan.at(layer) {
                Hidden::Columns(_) | Hidden::Adapted => Reads::Columns(&reads),
                Hidden::AllButOwn => Reads::Own,
                Hidden::Attention => Reads::Nothing,
            };
            let adapted = *self.plan.at(layer) == Hidden::Adapted;
            let rows = Rows { positions: &positions, write: block, reads, adapted };
            self.decoder.layer(layer, &mut states, &[rows], &mut self.kv)?;
            after(layer, &states);
        }
        Ok(states)
    }

    /// The next tokens -> the logits of the last one, `[vocab]`.
    pub fn logits(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        let states = self.feed(tokens, |_, _| ())?;
        let last = states.select([tokens.len() - 1]);
        Ok(self.decoder.logits(&last)?.row(0).to_vec())
    }

    /// Put other keys and values, each `[kv_heads, head_dim]`, in the place of a column's.
    pub fn overwrite(&mut self, layer: usize, column: usize, keys: &[f32], values: &[f32]) {
        self.kv.write(layer, &[(self.block, column)], |_| [keys, values]);
    }

    /// Greedy tokens after a prompt.
    pub fn generate(&mut self, prompt: &[u32], new_tokens: usize) -> Result<Vec<u32>> {
        let (mut next, mut all) = (prompt.to_vec(), Vec::new());
        while all.len() < new_tokens {
            let states = self.feed(&next, |_, _| ())?;
            next = self.decoder.choose(&states.select([next.len() - 1]))?;
            all.extend_from_slice(&next);
        }
        Ok(all)
    }
}
