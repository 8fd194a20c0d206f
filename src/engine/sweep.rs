//! All generations of a call in one go: the context once, each item's prompt once, and all live branches of many items
//! step by step as one batch.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::Result;
use rayon::prelude::*;

use super::layout::{Blocks, Branch, Job, Layout, reads};
use super::pass::{Origin, Stage, Strand, forward};
use super::trie::regroup;
use super::{Generation, INTERRUPTED, Interrupted, Limits, Observer, Request, Stop, StopRule, Work};
use crate::mask::{Columns, Fork, Hidden};
use crate::model::{BlockId, Decoder, KvStore};
use crate::prompt::Tokenizer;

/// Rows that one pass over prompts holds at most (the context's trunk goes alone if it is longer): enough to fill the
/// matrix units, few enough that activations stay small.
pub(super) const PASS_ROWS: usize = 1024;

/// Make all generations; reports each as it finishes, in no particular order.
///
/// Each generation is, token for token, what its request alone would give: no result depends on what else is computed.
/// Returns what was computed.
///
/// # Errors
/// [`Interrupted`] between two steps if the user asked to stop; whatever the observer returns; a failed computation.
pub fn generate(
    decoder: &dyn Decoder,
    tokenizer: &Tokenizer,
    requests: &[Request],
    rule: &StopRule,
    limits: Limits,
    observer: &mut dyn Observer,
) -> Result<Work> {
    let layout = Layout::new(decoder.arch(), requests, rule.max_new_tokens, limits.branches);
    let waiting = (0..layout.jobs.len()).collect();
    let kv = KvStore::default();
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
    prompt: usize,
    blocks: Blocks,
    /// Of its generated rows: those below the start layer, if it leads, and those above.
    stages: Vec<Stage>,
    seconds: f64,
    pub stop: Option<Stop>,
}

/// An item's trunk while some branch needs it.
struct Trunk {
    block: BlockId,
    branches: usize,
}

struct Sweep<'a> {
    decoder: &'a dyn Decoder,
    tokenizer: &'a Tokenizer,
    rule: &'a StopRule,
    limits: Limits,
    observer: &'a mut dyn Observer,
    layout: &'a Layout<'a>,
    context: Option<BlockId>,
    context_branches: Vec<BlockId>,
    kv: KvStore,
    waiting: VecDeque<usize>,
    live: Vec<Live>,
    trunks: HashMap<usize, Trunk>,
    next_group: usize,
    /// What has been computed so far.
    work: Work,
    /// Seconds that no branch has taken on yet: the context's.
    unshared: f64,
}

/// The rows of a prompt that a branch computes for itself in one pass.
struct Forked {
    /// By fork: its first layer, its rows within the parent, what they read.
    forks: Vec<(usize, Columns)>,
    stages: Vec<Stage>,
}

impl Sweep<'_> {
    /// The context's trunk, and its rows that differ under some mask: as many branches a pass as there is room for.
    fn compute_context(&mut self) -> Result<()> {
        let begun = Instant::now();
        let (arch, c) = (self.decoder.arch(), self.layout.context.len());
        let trunk = self.kv.add(arch, self.layout.context_extent());
        self.context = Some(trunk);
        for branch in &self.layout.context_branches {
            self.context_branches.push(self.kv.add(arch, self.layout.context_branch_extent(branch)));
        }
        if c == 0 {
            return Ok(());
        }
        let trunk_stages = [Stage { from: 0, write: trunk, reads: Some(whole(&[(trunk, 0..c)])) }];
        let forked: Vec<Forked> = (self.layout.context_branches.iter().zip(&self.context_branches))
            .map(|(branch, &own)| {
                let blocks = Blocks { context: trunk, context_branch: Some(own), trunk, shared: own, own };
                let hidden = branch.plan.hidden();
                let stages =
                    stages(&blocks, [&branch.forks, &[]], branch.plan.from_layer(), hidden, [c, c, c]);
                Forked { forks: within(&branch.forks, 0), stages }
            })
            .collect();
        let mut rest = forked.as_slice();
        loop {
            self.check_interrupted()?;
            let (now, later) = rest.split_at(fitting(rest, PASS_ROWS.saturating_sub(c)));
            rest = later;
            let mut strands = vec![Strand {
                positions: (0..c).collect(),
                origin: Origin::Tokens(self.layout.context),
                layers: 0..self.layout.context_layers,
                stages: &trunk_stages,
            }];
            now.iter().for_each(|forked| forked.add_to(&mut strands, 0, 0, arch.layers));
            let finished = forward(self.decoder, &strands, &mut self.kv)?;
            self.work.add_rows(arch, finished.row_layers, finished.reads);
            self.observer.tokens(c);
            if rest.is_empty() {
                self.unshared = begun.elapsed().as_secs_f64();
                return Ok(());
            }
        }
    }

    /// Start waiting jobs, as many as there is room for.
    fn admit(&mut self) -> Result<()> {
        let mut started = Vec::new();
        while let Some(&job) = self.waiting.front() {
            self.check_interrupted()?;
            let size = self.layout.jobs[job].branches.len();
            // Alone, a job starts however large it is.
            let alone = self.live.is_empty() && started.is_empty();
            let room = alone
                || self.live.len() + size <= self.limits.branches
                    && self.kv.bytes() + self.layout.job_bytes(self.decoder.arch(), job)
                        <= self.limits.kv_bytes;
            if !room {
                break;
            }
            self.waiting.pop_front();
            let first = self.live.len();
            self.place(job);
            started.push((job, first..self.live.len()));
        }
        if started.is_empty() { Ok(()) } else { self.prefill(&started) }
    }

    /// Give a job's branches their blocks.
    fn place(&mut self, index: usize) {
        let (arch, layout) = (self.decoder.arch(), self.layout);
        let job = &layout.jobs[index];
        let (Some(context), n) = (self.context, job.prompt.tokens.len()) else { return };
        let trunk = self.kv.add(arch, layout.trunk_extent(job));
        self.trunks.insert(index, Trunk { block: trunk, branches: job.branches.len() });
        let group = self.new_group();
        for branch in &job.branches {
            let [shared, own] = layout.branch_extents(job, branch).map(|extent| self.kv.add(arch, extent));
            let context_branch = branch.context.map(|index| self.context_branches[index]);
            let blocks = Blocks { context, context_branch, trunk, shared, own };
            self.live.push(Live {
                job: index,
                requests: branch.requests.clone(),
                from: branch.from,
                group,
                leads: false,
                tokens: Vec::with_capacity(self.rule.max_new_tokens),
                prompt: n,
                blocks,
                stages: self.generated(&blocks, branch, n),
                seconds: 0.,
                stop: None,
            });
        }
    }

    /// What a branch's generated rows write and read.
    fn generated(&self, blocks: &Blocks, branch: &Branch, n: usize) -> Vec<Stage> {
        let (c, end) = (self.layout.context.len(), n + self.rule.max_new_tokens);
        let below = whole(&[(blocks.context, 0..c), (blocks.trunk, c..n), (blocks.shared, n..end)]);
        let mut all = vec![Stage { from: 0, write: blocks.shared, reads: Some(below) }];
        if branch.from < self.decoder.arch().layers {
            let forks = [self.layout.context_forks(branch), branch.forks.as_slice()];
            all.extend(stages(blocks, forks, branch.from, &branch.hidden, [c, n, end]));
        }
        all
    }

    /// The prompts of new jobs through all layers, each item's unmasked rows and its branches' own, packed into passes;
    /// chooses the first tokens.
    fn prefill(&mut self, started: &[(usize, std::ops::Range<usize>)]) -> Result<()> {
        // (job, its branches' places in `live`)
        let mut pass: Vec<(usize, std::ops::Range<usize>)> = Vec::new();
        let mut rows = 0;
        for (job, live) in started {
            let trunk = self.layout.jobs[*job].prompt.tokens.len() - self.layout.context.len();
            for (branch, at) in self.layout.jobs[*job].branches.iter().zip(live.clone()) {
                let joins = pass.last().is_some_and(|(last, _)| last == job);
                let more = branch.rows() + if joins { 0 } else { trunk };
                if rows > 0 && rows + more > PASS_ROWS {
                    self.prefill_pass(&std::mem::take(&mut pass))?;
                    rows = 0;
                }
                match pass.last_mut() {
                    Some((last, places)) if last == job => {
                        places.end = at + 1;
                        rows += branch.rows();
                    }
                    _ => {
                        pass.push((*job, at..at + 1));
                        rows += trunk + branch.rows();
                    }
                }
            }
        }
        self.prefill_pass(&pass)?;
        let first = started[0].1.start;
        self.finish_step(first)
    }

    fn prefill_pass(&mut self, pass: &[(usize, std::ops::Range<usize>)]) -> Result<()> {
        self.check_interrupted()?;
        let begun = Instant::now();
        let (layers, c) = (self.decoder.arch().layers, self.layout.context.len());
        let Some(context) = self.context else { return Ok(()) };
        let trunk_stages: Vec<[Stage; 1]> = pass
            .iter()
            .map(|(job, _)| {
                let (n, block) = (self.layout.jobs[*job].prompt.tokens.len(), self.trunks[job].block);
                let reads = whole(&[(context, 0..c), (block, c..n)]);
                [Stage { from: 0, write: block, reads: Some(reads) }]
            })
            .collect();
        // By branch, what it computes itself.
        let mut forked: Vec<Forked> = Vec::new();
        for (job, places) in pass {
            let first = self.live.iter().position(|live| live.job == *job).unwrap_or(0);
            for at in places.clone() {
                let branch = &self.layout.jobs[*job].branches[at - first];
                forked.push(Forked { forks: within(&branch.forks, c), stages: self.live[at].stages.clone() });
            }
        }
        let mut of_branches = forked.iter();
        let (mut strands, mut last, mut tokens) = (Vec::new(), Vec::new(), 0);
        for ((job, places), stages) in pass.iter().zip(&trunk_stages) {
            let Job { prompt, trunk_layers, .. } = &self.layout.jobs[*job];
            let trunk = strands.len();
            tokens += prompt.tokens.len() - c;
            strands.push(Strand {
                positions: (c..prompt.tokens.len()).collect(),
                origin: Origin::Tokens(&prompt.tokens[c..]),
                layers: 0..*trunk_layers,
                stages,
            });
            for forked in of_branches.by_ref().take(places.len()) {
                let rows = prompt.tokens.len() - c;
                let before = strands.len();
                forked.add_to(&mut strands, trunk, c, layers);
                // The strand that holds the last row: one of its own, or the trunk.
                let own = (before..strands.len()).zip(&forked.forks);
                let holder =
                    own.filter(|(_, (_, of))| of.contains(rows - 1)).map(|(strand, _)| strand).next();
                last.push(holder.unwrap_or(trunk));
            }
        }
        let finished = forward(self.decoder, &strands, &mut self.kv)?;
        let chosen = self.decoder.choose(&finished.last_rows(last))?;
        self.work.add_rows(self.decoder.arch(), finished.row_layers, finished.reads);
        self.work.add_chosen(self.decoder.arch(), chosen.len());
        self.observer.tokens(tokens);
        let all = begun.elapsed().as_secs_f64() + std::mem::take(&mut self.unshared);
        let seconds = all / chosen.len() as f64;
        for (at, token) in pass.iter().flat_map(|(_, places)| places.clone()).zip(chosen) {
            self.live[at].tokens.push(token);
            self.live[at].seconds += seconds;
        }
        Ok(())
    }

    /// One token for every live branch.
    fn step(&mut self) -> Result<()> {
        self.check_interrupted()?;
        let begun = Instant::now();
        let layers = self.decoder.arch().layers;
        let last: Vec<[u32; 1]> = self.live.iter().map(|live| [live.tokens[live.tokens.len() - 1]]).collect();
        // Leaders first, so that those that fork find them.
        let mut order: Vec<usize> = (0..self.live.len()).collect();
        order.sort_by_key(|&at| !self.live[at].leads);
        let mut leaders = HashMap::new();
        let mut strands = Vec::with_capacity(order.len());
        for (strand, &at) in order.iter().enumerate() {
            let live = &self.live[at];
            let (origin, layers) = match leaders.get(&live.group) {
                Some(&leader) => {
                    (Origin::Fork { strand: leader, rows: Columns::new([0..1]) }, live.from..layers)
                }
                None => {
                    leaders.insert(live.group, strand);
                    (Origin::Tokens(last[at].as_slice()), 0..layers)
                }
            };
            let positions = vec![live.prompt + live.tokens.len() - 1];
            strands.push(Strand { positions, origin, layers, stages: &live.stages });
        }
        let finished = forward(self.decoder, &strands, &mut self.kv)?;
        let chosen = self.decoder.choose(&finished.last_rows(0..order.len()))?;
        self.work.add_rows(self.decoder.arch(), finished.row_layers, finished.reads);
        self.work.add_chosen(self.decoder.arch(), chosen.len());
        let each = begun.elapsed().as_secs_f64() / order.len() as f64;
        self.observer.tokens(order.len());
        for (&at, token) in order.iter().zip(chosen) {
            self.live[at].tokens.push(token);
            self.live[at].seconds += each;
        }
        self.finish_step(0)
    }

    /// After branches from `first` on got a token: who ends, who still goes together, who leads.
    fn finish_step(&mut self, first: usize) -> Result<()> {
        let (rule, tokenizer) = (self.rule, self.tokenizer);
        self.live[first..].par_iter_mut().for_each(|live| live.stop = rule.check(&live.tokens, tokenizer));
        let mut next_group = self.next_group;
        for handed in regroup(&mut self.live[first..], &mut next_group) {
            let (from, to) = (&self.live[first + handed.from], &self.live[first + handed.to]);
            let columns = to.prompt..to.prompt + to.tokens.len() - 1;
            self.kv.copy(from.blocks.shared, to.blocks.shared, 0..to.from, columns);
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
            self.observer.finished(request, Generation { tokens: live.tokens.clone(), stop, seconds })
        })
    }

    fn new_group(&mut self) -> usize {
        self.next_group += 1;
        self.next_group
    }

    fn check_interrupted(&self) -> Result<()> {
        if INTERRUPTED.load(Ordering::Relaxed) { Err(Interrupted.into()) } else { Ok(()) }
    }
}

impl Forked {
    /// One strand a fork; positions count from `first`.
    fn add_to<'a>(&'a self, strands: &mut Vec<Strand<'a>>, parent: usize, first: usize, layers: usize) {
        for (layer, rows) in &self.forks {
            strands.push(Strand {
                positions: rows.ranges().iter().cloned().flatten().map(|row| first + row).collect(),
                origin: Origin::Fork { strand: parent, rows: rows.clone() },
                layers: *layer..layers,
                stages: &self.stages,
            });
        }
    }

    fn rows(&self) -> usize {
        self.forks.iter().map(|(_, rows)| rows.len()).sum()
    }
}

/// How many of these fit into so many rows, at least one.
fn fitting(forked: &[Forked], room: usize) -> usize {
    let mut rows = 0;
    let fits = forked.iter().take_while(|forked| {
        rows += forked.rows();
        rows <= room
    });
    fits.count().max(1).min(forked.len())
}

/// Forks with rows counted from the region's first.
fn within(forks: &[Fork], first: usize) -> Vec<(usize, Columns)> {
    let moved = |rows: &Columns| Columns::new(rows.ranges().iter().map(|r| r.start - first..r.end - first));
    forks.iter().map(|fork| (fork.layer, moved(&fork.rows))).collect()
}

/// Whole ranges of blocks.
fn whole(ranges: &[(BlockId, std::ops::Range<usize>)]) -> Vec<crate::model::Read> {
    let ranges = ranges.iter().filter(|(_, range)| !range.is_empty());
    ranges
        .map(|(block, range)| crate::model::Read { block: *block, start: range.start, end: range.end })
        .collect()
}

/// What a branch's own rows read from its start layer on: anew whenever more rows have forked.
fn stages(
    blocks: &Blocks,
    forks: [&[Fork]; 2],
    from: usize,
    hidden: &Hidden,
    sizes: [usize; 3],
) -> Vec<Stage> {
    let mut layers: Vec<usize> = forks.iter().flat_map(|forks| forks.iter()).map(|fork| fork.layer).collect();
    layers.push(from);
    layers.sort_unstable();
    layers.dedup();
    let stage = |layer: usize| Stage {
        from: layer,
        write: blocks.own,
        reads: match hidden {
            Hidden::Columns(hidden) => Some(reads(blocks, forks, layer, hidden, sizes)),
            Hidden::AllButOwn => None,
        },
    };
    layers.into_iter().map(stage).collect()
}
