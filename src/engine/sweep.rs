//! All generations of a call in one go: the context once, each item's prompt once, and all live branches of many items
//! step by step as one batch.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use anyhow::Result;
use rayon::prelude::*;

use super::choose::{Sample, next_tokens};
use super::layout::{Blocks, Branch, Layout, by_context};
use super::pass::{Origin, Stage, Strand, forward};
use super::prefill::{stages, whole};
use super::trie::regroup;
use super::{Generation, Limits, Observer, Request, Stop, StopRule, Work, check_interrupted};
use crate::mask::Columns;
use crate::model::{BlockId, Decoder, KvCache};
use crate::prompt::Tokenizer;

/// Make all generations; reports each as it finishes, in no particular order. Prompts with the same demonstrations are
/// computed together.
///
/// Each generation is, token for token, what its request alone would give: no result depends on what else is computed.
/// Returns what was computed.
///
/// # Errors
/// [`Interrupted`](super::Interrupted) between two steps if the user asked to stop; whatever the observer returns; a failed computation.
pub fn generate<D: Decoder>(
    decoder: &D,
    tokenizer: &Tokenizer,
    requests: &[Request],
    rule: &StopRule,
    limits: Limits,
    observer: &mut dyn Observer,
) -> Result<Work> {
    let mut work = Work::default();
    for group in by_context(requests) {
        let some: Vec<Request> = group.iter().map(|&index| requests[index].clone()).collect();
        let observer = &mut Renumbered { group: &group, observer: &mut *observer };
        work.add(sweep(decoder, tokenizer, &some, rule, limits, observer)?);
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
}

/// Requests with the same demonstrations.
fn sweep<D: Decoder>(
    decoder: &D,
    tokenizer: &Tokenizer,
    requests: &[Request],
    rule: &StopRule,
    limits: Limits,
    observer: &mut dyn Observer,
) -> Result<Work> {
    let layout = Layout::new(decoder.arch(), requests, rule.max_new_tokens, limits.branches);
    let waiting = (0..layout.jobs.len()).collect();
    let kv_bytes = layout.peak_bytes(decoder.arch(), limits.branches, decoder.kv_element());
    let kv = decoder.kv(kv_bytes.min(limits.kv_bytes))?;
    let mut sweep = Sweep {
        decoder,
        tokenizer,
        rule,
        limits,
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
    sweep.compute_context()?;
    while !(sweep.live.is_empty() && sweep.waiting.is_empty()) {
        sweep.admit()?;
        if !sweep.live.is_empty() {
            sweep.step()?;
        }
    }
    Ok(sweep.work)
}

/// A branch that is being decoded.
pub(super) struct Live {
    pub job: usize,
    pub requests: Vec<usize>,
    /// Its start layer.
    pub from: usize,
    /// Branches of an item with the same tokens so far are a group; below their start layers they are one row.
    pub group: usize,
    /// This branch's row stands for its group's: it has the highest start layer.
    pub leads: bool,
    pub tokens: Vec<u32>,
    pub sample: Option<Sample>,
    prompt: usize,
    blocks: Blocks,
    /// Of its generated rows: those below the start layer, if it leads, and those above.
    pub stages: Vec<Stage>,
    pub seconds: f64,
    pub stop: Option<Stop>,
}

impl Live {
    /// How its next token is chosen, and how many there are.
    pub fn draw(&self) -> (Option<Sample>, usize) {
        (self.sample, self.tokens.len())
    }
}

/// An item's trunk while some branch needs it.
pub(super) struct Trunk {
    pub block: BlockId,
    branches: usize,
}

pub(super) struct Sweep<'a, D: Decoder> {
    pub decoder: &'a D,
    tokenizer: &'a Tokenizer,
    rule: &'a StopRule,
    pub limits: Limits,
    pub observer: &'a mut dyn Observer,
    pub layout: &'a Layout<'a>,
    pub context: Option<BlockId>,
    pub context_branches: Vec<BlockId>,
    pub kv: D::Kv,
    waiting: VecDeque<usize>,
    pub live: Vec<Live>,
    pub trunks: HashMap<usize, Trunk>,
    next_group: usize,
    /// What has been computed so far.
    pub work: Work,
    /// Multiply-adds that the observer knows of.
    reported: u64,
    /// Seconds that no branch has taken on yet: the context's.
    pub unshared: f64,
}

impl<D: Decoder> Sweep<'_, D> {
    /// Start waiting jobs, as many as there is room for.
    fn admit(&mut self) -> Result<()> {
        let mut started = Vec::new();
        while let Some(&job) = self.waiting.front() {
            check_interrupted()?;
            let size = self.layout.jobs[job].branches.len();
            // Alone, a job starts however large it is.
            let alone = self.live.is_empty() && started.is_empty();
            let room = alone
                || self.live.len() + size <= self.limits.branches
                    && self.kv.bytes()
                        + self.layout.job_bytes(self.decoder.arch(), job, self.decoder.kv_element())
                        <= self.limits.kv_bytes;
            if !room {
                break;
            }
            self.waiting.pop_front();
            let first = self.live.len();
            self.place(job)?;
            started.push((job, first..self.live.len()));
        }
        if started.is_empty() { Ok(()) } else { self.prefill(&started) }
    }

    /// Give a job's branches their blocks.
    fn place(&mut self, index: usize) -> Result<()> {
        let (arch, layout) = (self.decoder.arch(), self.layout);
        let job = &layout.jobs[index];
        let (Some(context), n) = (self.context, job.prompt.tokens.len()) else { return Ok(()) };
        let trunk = self.kv.add(arch, layout.trunk_extent(job))?;
        self.trunks.insert(index, Trunk { block: trunk, branches: job.branches.len() });
        let group = self.new_group();
        for branch in &job.branches {
            let [shared, own] = layout.branch_extents(job, branch).map(|extent| self.kv.add(arch, extent));
            let (shared, own) = (shared?, own?);
            let context_branch = branch.context.map(|index| self.context_branches[index]);
            let blocks = Blocks { context, context_branch, trunk, shared, own };
            self.live.push(Live {
                job: index,
                requests: branch.requests.clone(),
                from: branch.from,
                group,
                leads: false,
                tokens: Vec::with_capacity(self.rule.max_new_tokens),
                sample: branch.sample,
                prompt: n,
                blocks,
                stages: self.generated(&blocks, branch, n),
                seconds: 0.,
                stop: None,
            });
        }
        Ok(())
    }

    /// What a branch's generated rows write and read.
    fn generated(&self, blocks: &Blocks, branch: &Branch, n: usize) -> Vec<Stage> {
        let (c, end) = (self.layout.context.len(), n + self.rule.max_new_tokens);
        let below = whole(&[(blocks.context, 0..c), (blocks.trunk, c..n), (blocks.shared, n..end)]);
        let mut all = vec![Stage::below(blocks.shared, below)];
        if branch.from < self.decoder.arch().layers {
            let forks = [self.layout.context_forks(branch), branch.forks.as_slice()];
            all.extend(stages(blocks, forks, &branch.plan, [c, n, end]));
        }
        all
    }

    /// One token for every live branch.
    fn step(&mut self) -> Result<()> {
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
            let positions = vec![live.prompt + live.tokens.len() - 1];
            let item = Some(self.layout.jobs[live.job].prompt.item.as_str());
            strands.push(Strand { item, positions, origin, layers, stages: &live.stages });
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
        self.finish_step(0)
    }

    /// After branches from `first` on got a token: who ends, who still goes together, who leads.
    pub fn finish_step(&mut self, first: usize) -> Result<()> {
        let (rule, tokenizer) = (self.rule, self.tokenizer);
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

    /// Free what a finished branch held, and report its generations.
    fn end(&mut self, live: Live) -> Result<()> {
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
        let Some(stop) = live.stop else { return Ok(()) };
        let seconds = live.seconds / live.requests.len() as f64;
        live.requests.iter().try_for_each(|&request| {
            let tokens = live.tokens.clone();
            self.observer.finished(request, Generation { tokens, stop, seconds, multiply_adds: None })
        })
    }

    /// Tell the observer that a pass is done, which so many tokens went through.
    pub fn report(&mut self, tokens: usize) {
        let done = self.work.total();
        self.observer.passed(tokens, done - std::mem::replace(&mut self.reported, done));
    }

    fn new_group(&mut self) -> usize {
        self.next_group += 1;
        self.next_group
    }
}
