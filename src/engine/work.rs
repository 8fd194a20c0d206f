//! The multiply-adds of a sweep, counted from its layout before anything is computed.

use serde::Serialize;

use super::Request;
use super::layout::{Job, Layout, by_context};
use super::pass::Counts;
use crate::intervene::{Columns, Fork};
use crate::model::Arch;

/// Multiply-adds by where they arise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Work {
    /// Products of rows with the weights of layers.
    pub layers: u64,
    /// The vocabulary projection.
    pub vocabulary: u64,
    /// Scores and weighted sums of attention.
    pub attention: u64,
}

impl Work {
    /// All of it.
    pub fn total(self) -> u64 {
        self.layers + self.vocabulary + self.attention
    }

    /// More of it.
    pub fn add(&mut self, more: Self) {
        self.layers += more.layers;
        self.vocabulary += more.vocabulary;
        self.attention += more.attention;
    }

    /// What a pass takes. Where layers differ (experts in some), each counts as the mean of all.
    pub fn add_pass(&mut self, arch: &Arch, Counts { row_layers, written, reads }: Counts) {
        self.layers += row_layers * (arch.multiply_adds_per_row() / arch.layers as u64);
        self.layers += written * arch.multiply_adds_of_keys();
        self.attention += 2 * reads * (arch.heads * arch.head_dim) as u64;
    }

    /// Rows that go through `layers` layers, where each reads `columns` columns. `needed` of them are computed at the last layer; for the
    /// others it computes keys and values alone.
    fn add_rows(&mut self, arch: &Arch, rows: usize, layers: usize, columns: u64, needed: usize) {
        let written = if layers == 0 { 0 } else { rows - needed };
        let row_layers = (rows * layers - written) as u64;
        self.add_pass(arch, Counts { row_layers, written: written as u64, reads: row_layers * columns });
    }

    /// Tokens chosen.
    pub fn add_chosen(&mut self, arch: &Arch, tokens: usize) {
        self.vocabulary += (tokens * arch.vocab * arch.hidden) as u64;
    }
}

/// The multiply-adds of a call, counted before it is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expected {
    /// The work of the prompts and of the first token of each answer.
    pub prompts: u64,
    /// The work of everything if each answer has its full length and the answers of an item never part.
    pub least: u64,
    /// The same where they part with the first token.
    pub most: u64,
}

impl Expected {
    /// The work of these requests when `batch` of them are decoded together; `alone` if each is computed by itself.
    pub fn of(arch: &Arch, requests: &[Request], max_new_tokens: usize, batch: usize, alone: bool) -> Self {
        let mut all = Self::default();
        let mut add = |requests: &[Request]| {
            let mut layout = Layout::new(arch, requests, max_new_tokens, batch);
            let [most, least] = layout.work(arch).map(Work::total);
            layout.max_new_tokens = 1;
            let [prompts, _] = layout.work(arch).map(Work::total);
            all = Self { prompts: all.prompts + prompts, least: all.least + least, most: all.most + most };
        };
        if alone {
            requests.iter().for_each(|request| add(std::slice::from_ref(request)));
            return all;
        }
        for group in by_context(requests) {
            add(&group.iter().map(|&index| requests[index].clone()).collect::<Vec<_>>());
        }
        all
    }
}

impl Layout<'_> {
    /// What a sweep takes if every generation has its full length: at most, when branches part with the first token, and
    /// at least, when those of an item never do.
    pub fn work(&self, arch: &Arch) -> [Work; 2] {
        let c = self.context.len();
        let forks = || self.context_branches.iter().flat_map(|branch| &branch.forks);
        let mut context = Work::default();
        let needed = forked_at(forks(), self.context_layers);
        context.add_rows(arch, c, self.context_layers, c as u64 / 2, needed);
        for fork in forks() {
            context.add_rows(arch, fork.rows.len(), arch.layers - fork.layer, c as u64 / 2, 0);
        }
        let mut both = [context; 2];
        let steps = (self.max_new_tokens - 1) as u64;
        for job in &self.jobs {
            let prompt = self.prompt_work(arch, job);
            let (n, visible) = (job.prompt.tokens.len() as u64, mean_visible(job));
            for (work, [below, above]) in both.iter_mut().zip(generated_row_layers(arch, job)) {
                let reads = steps * (below * (n + steps / 2) + above * (visible + steps / 2));
                work.add(prompt);
                work.add_pass(arch, Counts { row_layers: steps * (below + above), written: 0, reads });
                match job.options {
                    None => work.add_chosen(arch, job.branches.len() * self.max_new_tokens),
                    Some(_) => self.add_options(work, arch, job),
                }
            }
        }
        both
    }

    /// What the options of a job take beside its prompt's rows.
    fn add_options(&self, work: &mut Work, arch: &Arch, job: &Job) {
        let rows: usize = job.trees.iter().map(|tree| tree.rows()).sum();
        let (n, runs) = (job.prompt.tokens.len(), job.branches.len() + 1);
        let depth = self.tree_layers(job);
        let forks = job.branches.iter().any(|branch| branch.from == depth);
        work.add_rows(arch, rows, depth, n as u64, if depth == arch.layers || forks { rows } else { 0 });
        for branch in &job.branches {
            work.add_rows(arch, rows, arch.layers - branch.from, branch.flow.visible() as u64, rows);
        }
        // The baseline's row is the unmasked run's.
        let baselines = job.branches.iter().filter(|branch| branch.from >= arch.layers).count();
        work.add_chosen(arch, (runs - baselines) * (1 + rows));
    }

    /// What the prompt rows of a job take: the trunk's, then each branch's.
    fn prompt_work(&self, arch: &Arch, job: &Job) -> Work {
        let (c, n) = (self.context.len(), job.prompt.tokens.len());
        let mut work = Work::default();
        let forks = job.branches.iter().flat_map(|branch| &branch.forks);
        let last = usize::from(job.trunk_layers == arch.layers);
        let needed = forked_at(forks, job.trunk_layers).max(last);
        work.add_rows(arch, n - c, job.trunk_layers, n as u64, needed);
        for branch in &job.branches {
            for Fork { layer, rows } in &branch.forks {
                let last = usize::from(rows.contains(n - 1));
                work.add_rows(arch, rows.len(), arch.layers - layer, branch.flow.visible() as u64, last);
            }
        }
        work
    }
}

/// How many rows fork at a layer, each counted once.
fn forked_at<'a>(forks: impl Iterator<Item = &'a Fork>, layer: usize) -> usize {
    let rows = forks.filter(|fork| fork.layer == layer).flat_map(|fork| fork.rows.ranges().iter().cloned());
    Columns::new(rows).len()
}

/// Row-layers of one token of all branches of a job, below their start layers and above: each by itself, and with one row
/// for all below.
fn generated_row_layers(arch: &Arch, job: &Job) -> [[u64; 2]; 2] {
    let below = job.branches.iter().map(|branch| branch.from as u64);
    let above: u64 = job.branches.iter().map(|branch| (arch.layers - branch.from) as u64).sum();
    let deepest = below.clone().max().unwrap_or(0);
    [[below.sum(), above], [deepest, above]]
}

fn mean_visible(job: &Job) -> u64 {
    let all: usize = job.branches.iter().map(|branch| branch.flow.visible()).sum();
    (all / job.branches.len().max(1)) as u64
}
