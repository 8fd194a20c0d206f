//! Decoding: one token for every live branch, all in one batch.

use std::collections::HashMap;
use std::time::Instant;

use anyhow::Result;

use super::choose::next_tokens;
use super::pass::forward;
use super::state::Sweep;
use super::strand::{Needed, Strand, StrandOrigin};
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
                    (StrandOrigin::Fork { strand: leader, rows: Columns::new([0..1]) }, live.from..layers)
                }
                None => {
                    leaders.insert(live.group, strands.len());
                    (StrandOrigin::Tokens(last[at].as_slice()), 0..layers)
                }
            };
            holders.push(strands.len());
            let position = live.prompt + live.tokens.len() - 1;
            let item = Some(self.layout.jobs[live.job].prompt.item.as_str());
            let stages = live.stages.of(position);
            strands.push(Strand {
                item,
                positions: vec![position],
                origin,
                layers,
                needed: Needed::Last,
                stages,
            });
        }
        let finished = forward(self.decoder, &strands, &mut self.kv)?;
        let draws: Vec<_> = order.iter().map(|&at| self.live[at].draw()).collect();
        let chosen = next_tokens(self.decoder, &finished.last_rows(holders)?, &draws)?;
        self.work.add_pass(self.decoder.arch(), finished.counts);
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

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, LAYERS, SeenPass, generated, hide, prompts};
    use super::super::{Limits, Request};
    use crate::intervene::Plan;

    /// The passes of an item's second and third token, with the baseline and two start layers.
    fn steps(parting: bool) -> Vec<SeenPass> {
        let prompts = prompts("shared", &[&[1, 2, 3, 4, 5, 6]]);
        let plans = [hide(0..4, 1), Plan::UNMASKED, hide(0..4, 3)];
        let requests = plans.map(|plan| Request::new(&prompts[0], plan));
        let decoder = Fake::new(parting);
        let tokens = generated(&decoder, &requests, 3, Limits::branches(9));
        assert!(tokens.iter().all(|tokens| tokens.len() == 3));
        assert_eq!(tokens[0] == tokens[1], !parting);
        decoder.passes().split_off(2)
    }

    fn rows(pass: &SeenPass) -> [usize; LAYERS] {
        pass.positions().map(|strands| strands.len())
    }

    #[test]
    fn branches_that_say_the_same_are_one_row_below_their_start_layers() {
        let [second, third] = steps(false).try_into().expect("two steps");
        assert_eq!((rows(&second), rows(&third)), ([1, 2, 2, 3], [1, 2, 2, 3]));
        assert_eq!((&second.tokens, &third.tokens), (&vec![50], &vec![50]));
        // The unmasked run leads: it goes with each of the others up to that one's start layer.
        let [leader, first] = [0, 1].map(|at| second.layers[1][at].clone());
        assert_eq!(leader.write, second.layers[0][0].write);
        assert_ne!(first.write, leader.write);
        assert_eq!((leader.positions, first.positions), (vec![6], vec![6]));
        assert!(third.positions().iter().flatten().all(|positions| *positions == [7]));
    }

    #[test]
    fn branches_that_say_something_else_have_rows_of_their_own() {
        let [second, third] = steps(true).try_into().expect("two steps");
        assert_eq!((rows(&second), rows(&third)), ([3; LAYERS], [3; LAYERS]));
        assert_eq!(second.tokens.len(), 3);
    }
}
