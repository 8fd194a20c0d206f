//! The multiply-adds of a sweep, counted from its layout before anything is computed.

use super::layout::{Branch, Job, Layout};
use crate::mask::Hidden;
use crate::model::Arch;

/// Multiply-adds by where they arise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Products with weights, rows of prompts.
    pub prompts: u64,
    /// Products with weights, generated rows.
    pub generated: u64,
    /// The vocabulary projection.
    pub vocabulary: u64,
    /// Scores and weighted sums of attention.
    pub attention: u64,
}

impl Work {
    /// All of it.
    pub fn total(self) -> u64 {
        self.prompts + self.generated + self.vocabulary + self.attention
    }
}

impl Layout<'_> {
    /// What a sweep takes if every generation has its full length: at most, when branches part with the first token, and
    /// at least, when those of an item never do.
    pub fn work(&self, arch: &Arch) -> [Work; 2] {
        let (c, layers) = (self.context.len() as u64, arch.layers as u64);
        let row = arch.multiply_adds_per_row() / layers;
        let read = 2 * (arch.heads * arch.head_dim) as u64;
        let context_rows = self.context_branches.iter().flat_map(|branch| &branch.forks);
        let context_rows: u64 =
            context_rows.map(|fork| (fork.rows.len() * (arch.layers - fork.layer)) as u64).sum();
        let of_context = c * self.context_layers as u64;
        let mut work = Work {
            prompts: (of_context + context_rows) * row,
            attention: (of_context * c / 2 + context_rows * c / 2) * read,
            ..Work::default()
        };
        let mut least = work;
        for job in &self.jobs {
            let prompt = self.prompt_row_layers(arch, job);
            let steps = (self.max_new_tokens - 1) as u64;
            let [most_rows, least_rows] = generated_row_layers(arch, job);
            let vocabulary = (job.branches.len() * self.max_new_tokens * arch.vocab * arch.hidden) as u64;
            let prompt_reads = prompt.iter().map(|(rows, columns)| rows * columns).sum::<u64>();
            for (work, rows) in [(&mut work, most_rows), (&mut least, least_rows)] {
                work.prompts += prompt.iter().map(|(rows, _)| rows).sum::<u64>() * row;
                work.generated += steps * (rows[0] + rows[1]) * row;
                work.vocabulary += vocabulary;
                let n = job.prompt.tokens.len() as u64;
                let visible = mean_visible(job);
                work.attention += read
                    * (prompt_reads + steps * (rows[0] * (n + steps / 2) + rows[1] * (visible + steps / 2)));
            }
        }
        [work, least]
    }

    /// Row-layers of a job's prompt rows and the columns they read: the trunk's, then each branch's.
    fn prompt_row_layers(&self, arch: &Arch, job: &Job) -> Vec<(u64, u64)> {
        let (c, n) = (self.context.len(), job.prompt.tokens.len());
        let trunk = ((n - c) * job.trunk_layers) as u64;
        let forked = |branch: &Branch| -> u64 {
            branch.forks.iter().map(|fork| (fork.rows.len() * (arch.layers - fork.layer)) as u64).sum()
        };
        let branches = job.branches.iter().map(|branch| (forked(branch), visible(branch, n) as u64));
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

fn visible(branch: &Branch, n: usize) -> usize {
    match &branch.hidden {
        Hidden::Columns(hidden) => n - hidden.within(&(0..n)).len(),
        Hidden::AllButOwn => 0,
    }
}

fn mean_visible(job: &Job) -> u64 {
    let n = job.prompt.tokens.len();
    let all: usize = job.branches.iter().map(|branch| visible(branch, n)).sum();
    (all / job.branches.len().max(1)) as u64
}
