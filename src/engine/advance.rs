//! After each token: who has ended, who still goes together, who leads; and what is freed and reported.

use anyhow::Result;
use rayon::prelude::*;

use super::Generation;
use super::state::{Ending, Live, Sweep};
use super::trie::regroup;
use crate::model::{Decoder, KvCache};

impl<D: Decoder> Sweep<'_, D> {
    /// After branches from `first` on got a token: who ends, who still goes together, who leads.
    pub fn advance(&mut self, first: usize) -> Result<()> {
        let Some(Ending { rule, tokenizer }) = self.ending else { return Ok(()) };
        self.live[first..].par_iter_mut().for_each(|live| live.stop = rule.check(&live.tokens, tokenizer));
        let mut next_group = self.next_group;
        for handed in regroup(&mut self.live[first..], &mut next_group) {
            let (from, to) = (&self.live[first + handed.from], &self.live[first + handed.to]);
            let columns = to.prompt..to.prompt + to.tokens.len() - 1;
            self.kv.copy(from.blocks.shared, to.blocks.shared, 0..to.from, columns)?;
        }
        self.next_group = next_group;
        let (ended, live): (Vec<Live>, Vec<Live>) =
            std::mem::take(&mut self.live).into_iter().partition(|live| live.stop.is_some());
        self.live = live;
        ended.into_iter().try_for_each(|live| self.end(live))
    }

    /// Free what a finished branch held.
    pub fn free(&mut self, live: &Live) {
        let arch = self.decoder.arch();
        self.kv.remove(arch, live.blocks.shared);
        self.kv.remove(arch, live.blocks.own);
        if let Some(trunk) = self.trunks.get_mut(&live.job) {
            trunk.branches -= 1;
            if trunk.branches == 0 {
                self.kv.remove(arch, trunk.block);
                self.trunks.remove(&live.job);
            }
        }
    }

    /// Free what a finished branch held, and report its generations.
    fn end(&mut self, live: Live) -> Result<()> {
        self.free(&live);
        let Some(stop) = live.stop else { return Ok(()) };
        let seconds = live.seconds / live.requests.len() as f64;
        live.requests.iter().try_for_each(|&request| {
            let tokens = live.tokens.clone();
            self.observer.finished(request, Generation { tokens, stop, seconds, multiply_adds: None })
        })
    }
}
