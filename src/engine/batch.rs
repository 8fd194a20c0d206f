//! Many generations at a time: free slots take the next prompts, all live sequences step together.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::Result;
use candle_core::DType;

use super::{Generation, Group, INTERRUPTED, Interrupted, Observer, Request, StopRule, greedy, prefill};
use crate::model::{Decoder, KvCache, Rows};
use crate::prompt::Tokenizer;

/// Rows that one packed prefill holds at most, trunks and branches (a longer prompt goes alone): enough to fill the
/// matrix units, few enough that activations stay small.
pub(super) const PREFILL_ROWS: usize = 2048;

/// How many sequences are alive at a time.
#[derive(Debug, Clone, Copy)]
pub struct Batch {
    /// Sequences in the KV cache.
    pub slots: usize,
}

/// One live sequence.
struct Live {
    request: usize,
    slot: usize,
    tokens: Vec<u32>,
    seconds: f64,
}

/// Make all generations; reports each as it finishes, in no particular order.
///
/// # Errors
/// [`Interrupted`] between two steps if the user asked to stop; whatever the observer returns; a failed computation.
pub fn generate(
    decoder: &dyn Decoder,
    tokenizer: &Tokenizer,
    requests: &[Request],
    rule: &StopRule,
    batch: Batch,
    observer: &mut dyn Observer,
) -> Result<()> {
    let longest = requests.iter().map(|request| request.prompt.tokens.len()).max().unwrap_or(0);
    let slots = batch.slots.min(requests.len());
    let capacity = longest + rule.max_new_tokens;
    let cache = KvCache::new(decoder.arch(), slots, capacity, DType::F32, decoder.device())?;
    let mut run = Running { decoder, tokenizer, requests, rule, cache, observer, live: Vec::new() };
    let mut waiting: VecDeque<usize> = (0..requests.len()).collect();
    let mut free: Vec<usize> = (0..slots).rev().collect();
    loop {
        while !free.is_empty() && !waiting.is_empty() {
            run.start(&mut waiting, &mut free)?;
        }
        if run.live.is_empty() {
            return Ok(());
        }
        run.step(&mut free)?;
    }
}

struct Running<'a> {
    decoder: &'a dyn Decoder,
    tokenizer: &'a Tokenizer,
    requests: &'a [Request<'a>],
    rule: &'a StopRule,
    cache: KvCache,
    observer: &'a mut dyn Observer,
    live: Vec<Live>,
}

impl Running<'_> {
    /// Prefill waiting requests, as many as there are slots and room for; those of one prompt share its trunk.
    fn start(&mut self, waiting: &mut VecDeque<usize>, free: &mut Vec<usize>) -> Result<()> {
        self.check_interrupted()?;
        let requests = self.requests;
        let (mut rows, mut groups, mut taken) = (0, Vec::<Group>::new(), Vec::new());
        while let (Some(&request), false) = (waiting.front(), free.is_empty()) {
            let Request { prompt, plan } = &requests[request];
            let shared = groups.last().is_some_and(|group| std::ptr::eq(group.prompt, *prompt));
            let length = prompt.tokens.len();
            let more = plan.live_rows(plan.from_layer(), length).len() + if shared { 0 } else { length };
            if !taken.is_empty() && rows + more > PREFILL_ROWS {
                break;
            }
            let (Some(request), Some(slot)) = (waiting.pop_front(), free.pop()) else { break };
            match groups.last_mut() {
                Some(group) if shared => group.branches.push((slot, plan)),
                _ => groups.push(Group { prompt, branches: vec![(slot, plan)] }),
            }
            rows += more;
            taken.push((request, slot));
        }
        let begun = Instant::now();
        let chosen = greedy::choose(&prefill(self.decoder, &groups, &self.cache)?)?;
        let seconds = begun.elapsed().as_secs_f64() / taken.len() as f64;
        self.observer.tokens(groups.iter().map(|group| group.prompt.tokens.len()).sum());
        let first = self.live.len();
        let tokens = || Vec::with_capacity(self.rule.max_new_tokens);
        self.live.extend(taken.into_iter().map(|(request, slot)| Live {
            request,
            slot,
            tokens: tokens(),
            seconds,
        }));
        self.append(first, &chosen, free)
    }

    /// One token for every live sequence.
    fn step(&mut self, free: &mut Vec<usize>) -> Result<()> {
        self.check_interrupted()?;
        let begun = Instant::now();
        let chosen = greedy::choose(&self.forward()?)?;
        let each = begun.elapsed().as_secs_f64() / self.live.len() as f64;
        self.observer.tokens(self.live.len());
        self.live.iter_mut().for_each(|live| live.seconds += each);
        self.append(0, &chosen, free)
    }

    /// The last tokens of all live sequences through all layers -> logits `[live, vocab]`.
    fn forward(&self) -> Result<candle_core::Tensor> {
        let positions: Vec<[usize; 1]> = self
            .live
            .iter()
            .map(|live| [self.requests[live.request].prompt.tokens.len() + live.tokens.len() - 1])
            .collect();
        let tokens: Vec<u32> = self.live.iter().map(|live| live.tokens[live.tokens.len() - 1]).collect();
        let mut hidden = self.decoder.embed(&tokens, positions.as_flattened())?;
        for layer in 0..self.decoder.arch().layers {
            let rows: Vec<Rows> = self
                .live
                .iter()
                .zip(&positions)
                .map(|(live, positions)| Rows {
                    slot: live.slot,
                    positions,
                    hidden: self.requests[live.request].plan.at(layer),
                })
                .collect();
            hidden = self.decoder.layer(layer, &hidden, &rows, &self.cache)?;
        }
        self.decoder.logits(&hidden)
    }

    /// Append the chosen tokens to the sequences from `first` on; those that end leave and free their slots.
    fn append(&mut self, first: usize, chosen: &[u32], free: &mut Vec<usize>) -> Result<()> {
        for (live, &token) in self.live[first..].iter_mut().zip(chosen) {
            live.tokens.push(token);
        }
        let mut index = first;
        while let Some(live) = self.live.get(index) {
            let Some(stop) = self.rule.check(&live.tokens, self.tokenizer) else {
                index += 1;
                continue;
            };
            let Live { request, slot, tokens, seconds } = self.live.remove(index);
            free.push(slot);
            self.observer.finished(request, Generation { tokens, stop, seconds })?;
        }
        Ok(())
    }

    fn check_interrupted(&self) -> Result<()> {
        if INTERRUPTED.load(Ordering::Relaxed) { Err(Interrupted.into()) } else { Ok(()) }
    }
}
