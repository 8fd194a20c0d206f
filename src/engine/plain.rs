//! One sequence by itself: every row through every layer, nothing shared, nothing left out. The oracle that the sweep is
//! held against in tests. It reads the edits of a plan one by one and shares nothing with [`Flow`](crate::intervene::Flow).

use std::ops::Range;

use anyhow::Result;

use crate::intervene::{Change, Plan};
use crate::model::{AdapterId, BlockId, Decoder, Extent, KvCache, KvStore, Read, Reads, Rows, States};

/// A sequence, as far as it has been fed.
pub struct Plain<'a, D: Decoder> {
    decoder: &'a D,
    plan: &'a Plan,
    kv: D::Kv,
    block: BlockId,
    length: usize,
    capacity: usize,
}

/// What is done to one row of a layer.
#[derive(PartialEq, Eq)]
struct Rule {
    /// By column.
    hidden: Vec<bool>,
    attention: bool,
    adapter: Option<AdapterId>,
}

impl<'a, D: Decoder> Plain<'a, D> {
    /// An empty sequence of at most `capacity` tokens, changed by a plan.
    ///
    /// # Errors
    /// Memory runs out.
    pub fn new(decoder: &'a D, plan: &'a Plan, capacity: usize) -> Result<Self> {
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
            let rules: Vec<Rule> = positions.iter().map(|&row| self.rule(layer, row)).collect();
            // Rows in a row for which the same is done.
            let mut groups: Vec<Range<usize>> = Vec::new();
            for at in 0..rules.len() {
                match groups.last_mut() {
                    Some(group) if rules[group.start] == rules[at] => group.end = at + 1,
                    _ => groups.push(at..at + 1),
                }
            }
            let reads: Vec<Vec<Read>> = groups.iter().map(|group| self.reads(&rules[group.start])).collect();
            let batch = groups.iter().zip(&reads).map(|(group, reads)| {
                let rule = &rules[group.start];
                let reads = if rule.attention { Reads::Columns(reads) } else { Reads::Nothing };
                Rows { positions: &positions[group.clone()], write: self.block, reads, adapter: rule.adapter }
            });
            let batch: Vec<Rows> = batch.collect();
            self.decoder.layer(layer, &mut states, &batch, &mut self.kv)?;
            after(layer, &states);
        }
        Ok(states)
    }

    /// What the edits come to for one row of a layer.
    fn rule(&self, layer: usize, row: usize) -> Rule {
        let mut rule = Rule { hidden: vec![false; self.capacity], attention: true, adapter: None };
        for edit in self.plan.edits() {
            if !edit.layers.contains(&layer) || !edit.rows.contains(row) {
                continue;
            }
            match &edit.change {
                Change::Hide(columns) => {
                    for (column, hidden) in rule.hidden.iter_mut().enumerate() {
                        *hidden |= columns.contains(column);
                    }
                }
                Change::OnlySelf => {
                    for (column, hidden) in rule.hidden.iter_mut().enumerate() {
                        *hidden |= column != row;
                    }
                }
                Change::NoAttention => rule.attention = false,
                Change::Adapt(id) => rule.adapter = Some(*id),
            }
        }
        rule
    }

    /// The columns that are left, up to the last one there may be: a row reads none after its own.
    fn reads(&self, rule: &Rule) -> Vec<Read> {
        let mut reads: Vec<Read> = Vec::new();
        for column in (0..self.capacity).filter(|&column| !rule.hidden[column]) {
            match reads.last_mut() {
                Some(read) if read.end == column => read.end += 1,
                _ => reads.push(Read { block: self.block, start: column, end: column + 1 }),
            }
        }
        reads
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
