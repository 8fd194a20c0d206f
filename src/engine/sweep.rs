//! All generations of a call in one go: the context once, each item's prompt once, and all live branches of many items
//! step by step as one batch.

use std::collections::HashMap;

use anyhow::{Result, ensure};

use super::layout::{Layout, by_context};
use super::state::{Ending, Sweep};
use super::{Generation, Limits, Observer, Request, StopRule, Weighed, Work};
use crate::model::Decoder;
use crate::prompt::Tokenizer;

/// Make all generations; reports each as it finishes, in no particular order. Prompts with the same demonstrations are
/// computed together.
///
/// Each generation is, token for token, what its request alone would give: no result depends on what else is computed.
/// Returns what was computed.
///
/// # Errors
/// [`Interrupted`](crate::base::interrupt::Interrupted) between two steps if the user asked to stop; whatever the observer returns; a failed computation.
pub fn generate<D: Decoder>(
    decoder: &D,
    tokenizer: &Tokenizer,
    requests: &[Request],
    rule: &StopRule,
    limits: Limits,
    observer: &mut dyn Observer,
) -> Result<Work> {
    by_groups(decoder, Some(Ending { tokenizer, rule }), requests, limits, observer)
}

/// Weigh the options of all requests; reports each run as it is finished, in no particular order. Nothing of it depends on what
/// else is computed.
///
/// # Errors
/// As [`generate`].
pub fn weigh<D: Decoder>(
    decoder: &D,
    requests: &[Request],
    limits: Limits,
    observer: &mut dyn Observer,
) -> Result<Work> {
    by_groups(decoder, None, requests, limits, observer)
}

fn by_groups<D: Decoder>(
    decoder: &D,
    ending: Option<Ending>,
    requests: &[Request],
    limits: Limits,
    observer: &mut dyn Observer,
) -> Result<Work> {
    let weighs = |request: &Request| request.ask.options().is_some();
    ensure!(
        requests.iter().all(|request| weighs(request) == ending.is_none()),
        "a call either generates or weighs options"
    );
    let mut work = Work::default();
    for group in by_context(requests) {
        let some: Vec<Request> = group.iter().map(|&index| requests[index].clone()).collect();
        let observer = &mut Renumbered { group: &group, observer: &mut *observer };
        work.add(sweep(decoder, ending, &some, limits, observer)?);
    }
    Ok(work)
}

/// Reports on some of the requests, by their numbers among all.
struct Renumbered<'a> {
    group: &'a [usize],
    observer: &'a mut dyn Observer,
}

impl Observer for Renumbered<'_> {
    fn passed(&mut self, tokens: usize, multiply_adds: u64) {
        self.observer.passed(tokens, multiply_adds);
    }

    fn finished(&mut self, index: usize, generation: Generation) -> Result<()> {
        self.observer.finished(self.group[index], generation)
    }

    fn weighed(&mut self, index: usize, weighed: Weighed) -> Result<()> {
        self.observer.weighed(self.group[index], weighed)
    }
}

/// Requests with the same demonstrations.
fn sweep<D: Decoder>(
    decoder: &D,
    ending: Option<Ending>,
    requests: &[Request],
    limits: Limits,
    observer: &mut dyn Observer,
) -> Result<Work> {
    let new_tokens = ending.map_or(1, |ending| ending.rule.max_new_tokens);
    let layout = Layout::new(decoder.arch(), requests, new_tokens, limits.branches);
    let waiting = (0..layout.jobs.len()).collect();
    let kv_bytes = layout.peak_bytes(decoder.arch(), limits.branches, decoder.kv_element());
    let kv = decoder.kv(kv_bytes.min(limits.kv_bytes))?;
    let mut sweep = Sweep {
        decoder,
        ending,
        limits,
        option_bytes: layout.option_bytes(decoder.arch(), decoder.kv_element()),
        observer,
        layout: &layout,
        context: None,
        context_branches: Vec::new(),
        kv,
        waiting,
        live: Vec::new(),
        trunks: HashMap::new(),
        next_group: 0,
        work: Work::default(),
        reported: 0,
        unshared: 0.,
    };
    sweep.prefill_context()?;
    while !(sweep.live.is_empty() && sweep.waiting.is_empty()) {
        let started = sweep.admit()?;
        if !started.is_empty() {
            sweep.prefill(&started)?;
            match ending {
                Some(_) => sweep.advance(started[0].1.start)?,
                None => sweep.weigh(&started)?,
            }
        }
        if !sweep.live.is_empty() {
            sweep.decode()?;
        }
    }
    Ok(sweep.work)
}
