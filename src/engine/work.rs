//! The multiply-adds of a sweep, counted from its layout before anything is computed.

use serde::Serialize;

use super::Request;
use super::layout::{Branch, Job, Layout, by_context};
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

    /// Rows that went through layers, once for each, and the columns that they read. Where layers differ (experts in some), each
    /// counts as the mean of all.
    pub fn add_rows(&mut self, arch: &Arch, row_layers: u64, reads: u64) {
        self.layers += row_layers * (arch.multiply_adds_per_row() / arch.layers as u64);
        self.attention += 2 * reads * (arch.heads * arch.head_dim) as u64;
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
        let c = self.context.len() as u64;
        let forks = self.context_branches.iter().flat_map(|branch| &branch.forks);
        let forked: u64 = forks.map(|fork| (fork.rows.len() * (arch.layers - fork.layer)) as u64).sum();
        let of_context = c * self.context_layers as u64 + forked;
        let mut both = [Work::default(); 2];
        for work in &mut both {
            work.add_rows(arch, of_context, of_context * c / 2);
        }
        let steps = (self.max_new_tokens - 1) as u64;
        for job in &self.jobs {
            let prompt = self.prompt_row_layers(arch, job);
            let rows = prompt.iter().map(|(rows, _)| rows).sum::<u64>();
            let reads = prompt.iter().map(|(rows, columns)| rows * columns).sum::<u64>();
            let (n, visible) = (job.prompt.tokens.len() as u64, mean_visible(job));
            for (work, [below, above]) in both.iter_mut().zip(generated_row_layers(arch, job)) {
                let generated = steps * (below * (n + steps / 2) + above * (visible + steps / 2));
                work.add_rows(arch, rows + steps * (below + above), reads + generated);
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
        let shared = (rows * self.tree_layers(job)) as u64;
        work.add_rows(arch, shared, shared * n as u64);
        for branch in &job.branches {
            let own = (rows * (arch.layers - branch.from)) as u64;
            work.add_rows(arch, own, own * branch.flow.visible() as u64);
        }
        // The baseline's row is the unmasked run's.
        let baselines = job.branches.iter().filter(|branch| branch.from >= arch.layers).count();
        work.add_chosen(arch, (runs - baselines) * (1 + rows));
    }

    /// Row-layers of a job's prompt rows and the columns they read: the trunk's, then each branch's.
    fn prompt_row_layers(&self, arch: &Arch, job: &Job) -> Vec<(u64, u64)> {
        let (c, n) = (self.context.len(), job.prompt.tokens.len());
        let trunk = ((n - c) * job.trunk_layers) as u64;
        let forked = |branch: &Branch| -> u64 {
            branch.forks.iter().map(|fork| (fork.rows.len() * (arch.layers - fork.layer)) as u64).sum()
        };
        let branches = job.branches.iter().map(|branch| (forked(branch), branch.flow.visible() as u64));
        std::iter::once((trunk, n as u64)).chain(branches).collect()
    }
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
