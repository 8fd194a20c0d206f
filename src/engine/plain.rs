//! One sequence by itself: every row through every layer, nothing shared, nothing left out. The oracle that the sweep is
//! held against in tests; too slow for anything else.

use anyhow::Result;

use crate::mask::{Hidden, MaskPlan};
use crate::model::{BlockId, Decoder, Extent, KvCache, KvStore, Read, Reads, Rows, States};

/// A sequence, as far as it has been fed.
pub struct Plain<'a, D: Decoder> {
    decoder: &'a D,
    plan: &'a MaskPlan,
    kv: D::Kv,
    block: BlockId,
    length: usize,
    capacity: usize,
}

impl<'a, D: Decoder> Plain<'a, D> {
    /// An empty sequence of at most `capacity` tokens, masked by a plan.
    ///
    /// # Errors
    /// Memory runs out.
    pub fn new(decoder: &'a D, plan: &'a MaskPlan, capacity: usize) -> Result<Self> {
        let extent = Extent { columns: 0..capacity, layers: 0..decoder.arch().layers };
        let mut kv = decoder.kv(0)?;
        let block = kv.add(decoder.arch(), extent)?;
        Ok(Self { decoder, plan, kv, block, length: 0, capacity })
    }

    /// The next tokens through all layers -> their states `[tokens, hidden]` after the last one; `after` sees those after
    /// each.
    pub fn feed(&mut self, tokens: &[u32], mut after: impl FnMut(usize, &D::States)) -> Result<D::States> {
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
        let last = states.gather(&[tokens.len() - 1])?;
        Ok(self.decoder.logits(&last)?.row(0).to_vec())
    }

    /// Greedy tokens after a prompt.
    pub fn generate(&mut self, prompt: &[u32], new_tokens: usize) -> Result<Vec<u32>> {
        let (mut next, mut all) = (prompt.to_vec(), Vec::new());
        while all.len() < new_tokens {
            let states = self.feed(&next, |_, _| ())?;
            next = self.decoder.choose(&states.gather(&[next.len() - 1])?)?;
            all.extend_from_slice(&next);
        }
        Ok(all)
    }
}

impl<D: Decoder<Kv = KvStore>> Plain<'_, D> {
    /// Put other keys and values, each `[kv_heads, head_dim]`, in the place of a column's.
    pub fn overwrite(&mut self, layer: usize, column: usize, keys: &[f32], values: &[f32]) {
        self.kv.write(layer, &[(self.block, column)], |_| [keys, values]);
    }
}
