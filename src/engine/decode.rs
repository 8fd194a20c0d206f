//! Decoding: one token for every live branch, all in one batch.

use std::collections::HashMap;
use std::time::Instant;

use anyhow::Result;

use super::choose::next_tokens;
use super::pass::{Origin, Strand, forward};
use super::state::Sweep;
use crate::base::interrupt::check_interrupted;
use crate::intervene::Columns;
use crate::model::Decoder;

impl<D: Decoder> Sweep<'_, D> {
    /// One token for every live branch.
    pub fn decode(&mut self) -> Result<()> {
        check_interrupted()?;
        let begun = Instant::now();
        let layers = self.decoder.arch().layers;
        let last: Vec<[u32; 1]> = self.live.iter().map(|live| [live.tokens[live.tokens.len() - 1]]).collect();
        // Leaders first, so that those that fork find them.
        let mut order: Vec<usize> = (0..self.live.len()).collect();
        order.sort_by_key(|&at| !self.live[at].leads);
        let mut leaders = HashMap::new();
        let mut strands: Vec<Strand> = Vec::with_capacity(order.len());
        // By place in the order, the strand whose row chooses the token.
        let mut holders = Vec::with_capacity(order.len());
        for &at in &order {
            let live = &self.live[at];
            let (origin, layers) = match leaders.get(&live.group) {
                // Nothing is masked of either: they are one row to the top, and part only when tokens are drawn.
                Some(&leader) if live.from >= layers => {
                    holders.push(leader);
                    continue;
                }
                Some(&leader) => {
                    (Origin::Fork { strand: leader, rows: Columns::new([0..1]) }, live.from..layers)
                }
                None => {
                    leaders.insert(live.group, strands.len());
                    (Origin::Tokens(last[at].as_slice()), 0..layers)
                }
            };
            holders.push(strands.len());
            let position = live.prompt + live.tokens.len() - 1;
            let item = Some(self.layout.jobs[live.job].prompt.item.as_str());
            let stages = live.stages.of(position);
            strands.push(Strand { item, positions: vec![position], origin, layers, stages });
        }
        let finished = forward(self.decoder, &strands, &mut self.kv)?;
        let draws: Vec<_> = order.iter().map(|&at| self.live[at].draw()).collect();
        let chosen = next_tokens(self.decoder, &finished.last_rows(holders)?, &draws)?;
        self.work.add_rows(self.decoder.arch(), finished.row_layers, finished.reads);
        self.work.add_chosen(self.decoder.arch(), chosen.len());
        let each = begun.elapsed().as_secs_f64() / order.len() as f64;
        self.report(order.len());
        for (&at, token) in order.iter().zip(chosen) {
            self.live[at].tokens.push(token);
            self.live[at].seconds += each;
        }
        self.advance(0)
    }
}
