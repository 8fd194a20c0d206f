//! Where the rows of a sweep are computed and what they read: the prompts' common context, each item's own rows, and for
//! each branch (one intervention at one layer) only the rows that its [`Plan`] makes different. Derived from the plans alone,
//! before anything is computed: memory and work are counted from it.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::options::{Options, Tree};
use super::{Request, Sample};
use crate::intervene::{Flow, Fork, Plan, RunShape};
use crate::model::{Arch, Extent};
use crate::prompt::Prompt;

/// Bytes of keys and values of options that a pass holds at most, unless a single option takes more.
pub const OPTION_BYTES: u64 = 256 << 20;

/// Rows whose logits are held at a time where options are weighed.
pub const WEIGHED_ROWS: usize = 64;

/// Rows of a tree of options, for all branches of a job together: as many as a pass over prompts holds.
const TREE_ROWS: usize = 1024;

/// What all requests of a call share, and the work that is left for each item.
pub struct Layout<'a> {
    /// Tokens that all prompts begin with: the context.
    pub context: &'a [u32],
    /// Layers that the context's unmasked trunk goes through.
    pub context_layers: usize,
    /// Context rows that differ under some intervention, the same for all items.
    pub context_branches: Vec<ContextBranch>,
    /// Items with some of their branches, in the order in which they are to be computed.
    pub jobs: Vec<Job<'a>>,
    /// Most tokens generated per item.
    pub max_new_tokens: usize,
    layers: usize,
}

/// An intervention as far as it concerns the context, and the context's rows that are different for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContextBranch {
    pub plan: Plan,
    /// The first layer at which anything is changed.
    pub from: usize,
    pub forks: Vec<Fork>,
}

/// One item with branches that are decoded together.
pub struct Job<'a> {
    pub prompt: &'a Prompt,
    /// Layers that the item's unmasked trunk goes through.
    pub trunk_layers: usize,
    pub branches: Vec<Branch>,
    /// What is weighed, where options are; and the rows that it takes beside the prompt's.
    pub options: Option<&'a Options>,
    pub trees: Vec<Tree>,
}

/// One intervention at one layer of an item.
#[derive(Debug, Clone)]
pub struct Branch {
    /// Requests that it answers: those whose plans are the same.
    pub requests: Vec<usize>,
    /// The first layer at which anything is changed; the number of layers for the unmasked run.
    pub from: usize,
    /// The edits.
    pub plan: Plan,
    /// The same, compiled.
    pub flow: Arc<Flow>,
    /// How its tokens are drawn.
    pub sample: Option<Sample>,
    /// Which of [`Layout::context_branches`] holds the context's rows that differ, if any do.
    pub context: Option<usize>,
    /// The item's own rows that differ.
    pub forks: Vec<Fork>,
}

impl<'a> Layout<'a> {
    /// Requests of one prompt that follow each other become one job, or several where they are more than `most`.
    pub fn new(arch: &Arch, requests: &[Request<'a>], max_new_tokens: usize, most: usize) -> Self {
        let mut layout = Self {
            context: common_context(requests),
            context_layers: 0,
            context_branches: Vec::new(),
            jobs: Vec::new(),
            max_new_tokens,
            layers: arch.layers,
        };
        let mut known = HashMap::new();
        let mut first = 0;
        for same in requests.chunk_by(|a, b| std::ptr::eq(a.prompt, b.prompt)) {
            let mut branches: Vec<Branch> = Vec::new();
            for (index, request) in (first..).zip(same) {
                let branch = layout.branch(arch, request, index, &mut known);
                let key = |b: &Branch| (b.plan.clone(), b.sample);
                match branches.iter_mut().find(|b| key(b) == key(&branch)) {
                    Some(twin) => twin.requests.push(index),
                    None => branches.push(branch),
                }
            }
            first += same.len();
            for branches in branches.chunks(most.max(1)) {
                let own = layout.context.len()..same[0].prompt.tokens.len();
                let depths = branches.iter().map(|branch| branch.flow.depth(&own));
                let options = same[0].ask.options();
                // What is weighed is compared with the unmasked run.
                let trunk_layers = if options.is_some() { arch.layers } else { depths.max().unwrap_or(0) };
                let branches = branches.to_vec();
                let mut job =
                    Job { prompt: same[0].prompt, trunk_layers, branches, options, trees: Vec::new() };
                job.trees = layout.trees(arch, &job);
                layout.jobs.push(job);
            }
        }
        // The items' trunks read the context at all their layers.
        let c = layout.context.len();
        let layers = layout.jobs.iter().map(|job| {
            let own = job.branches.iter().map(|branch| branch.flow.depth(&(0..c)));
            own.max().unwrap_or(0).max(job.trunk_layers)
        });
        layout.context_layers = layers.max().unwrap_or(0);
        layout
    }

    fn branch(
        &mut self,
        arch: &Arch,
        request: &Request,
        index: usize,
        known: &mut HashMap<ContextBranch, usize>,
    ) -> Branch {
        let (n, c, layers) = (request.prompt.tokens.len(), self.context.len(), arch.layers);
        let plan = request.plan.clipped(layers);
        let flow = Flow::new(&plan, &RunShape { rows: n, layers, window: &|layer| arch.window(layer) });
        let within = |range: Range<usize>| -> Vec<Fork> {
            let parts = flow.forks.iter();
            let parts = parts.map(|Fork { layer, rows }| Fork { layer: *layer, rows: rows.within(&range) });
            parts.filter(|fork| !fork.rows.is_empty()).collect()
        };
        let forks = within(0..c);
        let context = (!forks.is_empty()).then(|| {
            let branch = ContextBranch { plan: plan.within(&(0..c)), from: flow.from, forks };
            *known.entry(branch).or_insert_with_key(|branch| {
                self.context_branches.push(branch.clone());
                self.context_branches.len() - 1
            })
        });
        let (sample, from, forks) = (request.ask.sample(), flow.from, within(c..n));
        Branch { requests: vec![index], from, plan, flow: Arc::new(flow), sample, context, forks }
    }

    /// The context's rows that differ for a branch.
    pub fn context_forks(&self, branch: &Branch) -> &[Fork] {
        branch.context.map_or(&[], |index| &self.context_branches[index].forks)
    }

    /// The context's trunk.
    pub fn context_extent(&self) -> Extent {
        Extent { columns: 0..self.context.len(), layers: 0..self.context_layers }
    }

    /// Context rows of one context branch.
    pub fn context_branch_extent(&self, branch: &ContextBranch) -> Extent {
        let first = first_row(&branch.forks).unwrap_or(0);
        Extent { columns: first..self.context.len(), layers: branch.from..self.layers }
    }

    /// An item's trunk.
    pub fn trunk_extent(&self, job: &Job) -> Extent {
        Extent { columns: self.context.len()..job.prompt.tokens.len(), layers: 0..job.trunk_layers }
    }

    /// What a branch generates, below its start layer and above, there with the prompt's rows that differ.
    pub fn branch_extents(&self, job: &Job, branch: &Branch) -> [Extent; 2] {
        let n = job.prompt.tokens.len();
        // The last token generated is read by nobody; one column at least, so that every row has its place.
        let end = n + (self.max_new_tokens - 1).max(1);
        let first = first_row(&branch.forks).unwrap_or(n);
        [
            Extent { columns: n..end, layers: 0..branch.from },
            Extent { columns: first..end, layers: branch.from..self.layers },
        ]
    }
}

impl Layout<'_> {
    /// The options of a job in trees, each small enough for a pass.
    fn trees(&self, arch: &Arch, job: &Job) -> Vec<Tree> {
        let Some(options) = job.options else { return Vec::new() };
        // What a chain of few rows holds, for the item and all branches.
        let layers = self.option_layers(job).map(|layers| Extent { columns: 0..1, layers });
        let bytes: u64 = layers.map(|extent| extent.bytes(arch, size_of::<f32>())).sum();
        let most = (OPTION_BYTES / bytes.max(1)).max(1);
        options
            .trees((TREE_ROWS / (job.branches.len() + 1)).max(1), usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// Layers that the rows of options go through, for the item and then for each branch that computes its own.
    fn option_layers(&self, job: &Job) -> impl Iterator<Item = Range<usize>> {
        let own =
            job.branches.iter().map(|branch| branch.from..self.layers).filter(|layers| !layers.is_empty());
        std::iter::once(0..self.tree_layers(job)).chain(own.collect::<Vec<_>>())
    }

    /// Layers that the unmasked rows of a job's options go through: as far as some branch goes with them, and to the top where
    /// something is measured there.
    pub fn tree_layers(&self, job: &Job) -> usize {
        let measured = job.options.is_some_and(|options| options.measured() > 0);
        let deepest = job.branches.iter().map(|branch| branch.from).max().unwrap_or(0);
        if measured { self.layers } else { deepest }
    }

    /// Columns that rows may read after a prompt.
    pub fn reach(&self, job: &Job) -> usize {
        job.options.map_or(self.max_new_tokens, Options::longest)
    }

    /// Bytes of the keys and values of a tree's rows, while they are computed.
    pub fn tree_bytes(&self, arch: &Arch, job: &Job, tree: &Tree, element: usize) -> u64 {
        let n = job.prompt.tokens.len();
        let extents = tree.chains.iter().flat_map(|chain| {
            let columns = chain.columns(n);
            self.option_layers(job).map(move |layers| Extent { columns: columns.clone(), layers })
        });
        extents.map(|extent| extent.bytes(arch, element)).sum()
    }

    /// Bytes of the logits that are held at a time where options are weighed: as they are computed, without what fills them up, and
    /// those of the unmasked run.
    pub fn weighing_bytes(&self, arch: &Arch) -> u64 {
        let weighs = self.jobs.iter().any(|job| job.options.is_some());
        if weighs { ((2 * WEIGHED_ROWS + 1) * arch.vocab * size_of::<f32>()) as u64 } else { 0 }
    }

    /// The most that options hold at a time.
    pub fn option_bytes(&self, arch: &Arch, element: usize) -> u64 {
        let (mut all, mut largest) = (0, 0);
        for job in &self.jobs {
            for tree in &job.trees {
                let bytes = self.tree_bytes(arch, job, tree, element);
                (all, largest) = (all + bytes, largest.max(bytes));
            }
        }
        largest.max(all.min(OPTION_BYTES))
    }

    /// Bytes of the context's keys and values, for the whole call; each element takes so many.
    pub fn context_bytes(&self, arch: &Arch, element: usize) -> u64 {
        let branches = self.context_branches.iter().map(|branch| self.context_branch_extent(branch));
        let extents = std::iter::once(self.context_extent()).chain(branches);
        extents.map(|extent| extent.bytes(arch, element)).sum()
    }

    /// Bytes of a job's keys and values, while it is decoded.
    pub fn job_bytes(&self, arch: &Arch, job: usize, element: usize) -> u64 {
        let job = &self.jobs[job];
        let branches = job.branches.iter().flat_map(|branch| self.branch_extents(job, branch));
        let extents = std::iter::once(self.trunk_extent(job)).chain(branches);
        extents.map(|extent| extent.bytes(arch, element)).sum()
    }

    /// The most that stands in memory at a time, where jobs follow each other and so many branches are decoded together.
    pub fn peak_bytes(&self, arch: &Arch, most: usize, element: usize) -> u64 {
        let sizes: Vec<(usize, u64)> = self
            .jobs
            .iter()
            .enumerate()
            .map(|(at, job)| (job.branches.len(), self.job_bytes(arch, at, element)))
            .collect();
        let (mut first, mut branches, mut bytes, mut peak) = (0, 0, 0, 0);
        for &(more, size) in &sizes {
            (branches, bytes) = (branches + more, bytes + size);
            while branches > most && first + 1 < sizes.len() && branches > more {
                (branches, bytes) = (branches - sizes[first].0, bytes - sizes[first].1);
                first += 1;
            }
            peak = peak.max(bytes);
        }
        self.context_bytes(arch, element) + peak + self.option_bytes(arch, element)
    }
}

impl Branch {
    /// Rows of the item that this branch computes, all layers counted once.
    pub fn rows(&self) -> usize {
        self.forks.iter().map(|fork| fork.rows.len()).sum()
    }
}

fn first_row(forks: &[Fork]) -> Option<usize> {
    forks.iter().filter_map(|fork| fork.rows.ranges().first()).map(|range| range.start).min()
}

/// The requests whose prompts begin with the same header and demonstrations, by their numbers; those of a call with few
/// others come last.
pub fn by_context(requests: &[Request]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    for (index, Request { prompt, .. }) in requests.iter().enumerate() {
        let group = *known.entry(&prompt.text[..prompt.borders[1]]).or_insert(groups.len());
        match groups.get_mut(group) {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    groups
}

/// The longest beginning that all prompts share, short of the last token of any.
fn common_context<'a>(requests: &[Request<'a>]) -> &'a [u32] {
    let Some(first) = requests.first() else { return &[] };
    let first = first.prompt.tokens.as_slice();
    let shared = requests.iter().map(|request| {
        let tokens = &request.prompt.tokens;
        let same = first.iter().zip(tokens).take_while(|(a, b)| a == b).count();
        same.min(tokens.len().saturating_sub(1))
    });
    &first[..shared.min().unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::super::fake::{LAYERS, arch, hide, prompts};
    use super::*;
    use crate::intervene::Change;

    /// A context of four tokens, and two items with two and three of their own.
    const ITEMS: [&[u32]; 2] = [&[1, 2, 3, 4, 5, 6], &[1, 2, 3, 4, 7, 8, 9]];

    fn forks(forks: &[Fork]) -> Vec<(usize, Vec<Range<usize>>)> {
        forks.iter().map(|fork| (fork.layer, fork.rows.ranges().to_vec())).collect()
    }

    fn extent(columns: Range<usize>, layers: Range<usize>) -> Extent {
        Extent { columns, layers }
    }

    /// The baseline, the whole context hidden, and a part of it hidden, of each item.
    #[test]
    fn two_items_with_three_branches_share_a_context() {
        let prompts = prompts("shared", &ITEMS);
        let plans = [Plan::UNMASKED, hide(0..4, 2), hide(1..3, 1)];
        let requests = prompts.iter().flat_map(|prompt| plans.clone().map(|plan| Request::new(prompt, plan)));
        let layout = Layout::new(&arch(), &requests.collect::<Vec<_>>(), 3, 9);
        assert_eq!((layout.context, layout.context_layers), (&[1, 2, 3, 4][..], LAYERS));
        assert_eq!(layout.jobs.len(), 2);
        for (job, n) in layout.jobs.iter().zip([6, 7]) {
            assert_eq!((job.prompt.tokens.len(), job.trunk_layers), (n, LAYERS));
            assert_eq!(job.branches.iter().map(|branch| branch.from).collect::<Vec<_>>(), [LAYERS, 2, 1]);
            let own = |at: usize| forks(&job.branches[at].forks);
            assert_eq!((own(0), own(1), own(2)), (vec![], vec![(2, vec![4..n])], vec![(1, vec![4..n])]));
            // Of a context that is hidden whole no row is read; of the other, the one that is left has read what is hidden.
            assert_eq!(
                job.branches.iter().map(|branch| branch.context).collect::<Vec<_>>(),
                [None, None, Some(0)]
            );
            assert_eq!(layout.trunk_extent(job), extent(4..n, 0..LAYERS));
            // Two tokens are read by a later one.
            let extents = |at: usize| layout.branch_extents(job, &job.branches[at]);
            assert_eq!(extents(0), [extent(n..n + 2, 0..LAYERS), extent(n..n + 2, LAYERS..LAYERS)]);
            assert_eq!(extents(1), [extent(n..n + 2, 0..2), extent(4..n + 2, 2..LAYERS)]);
            assert_eq!(extents(2), [extent(n..n + 2, 0..1), extent(4..n + 2, 1..LAYERS)]);
        }
        let [branch] = layout.context_branches.as_slice() else { panic!("both items share one") };
        assert_eq!((branch.from, forks(&branch.forks)), (1, vec![(1, vec![3..4])]));
        assert_eq!(layout.context_extent(), extent(0..4, 0..LAYERS));
        assert_eq!(layout.context_branch_extent(branch), extent(3..4, 1..LAYERS));
        let requests: Vec<&[usize]> = layout
            .jobs
            .iter()
            .flat_map(|job| &job.branches)
            .map(|branch| branch.requests.as_slice())
            .collect();
        assert_eq!(requests, [[0], [1], [2], [3], [4], [5]]);
    }

    #[test]
    fn a_trunk_ends_where_nobody_reads_it_any_more() {
        let prompts = prompts("shared", &ITEMS);
        let layers = |plans: &[Plan]| {
            let requests =
                prompts.iter().flat_map(|prompt| plans.iter().map(|plan| Request::new(prompt, plan.clone())));
            let layout = Layout::new(&arch(), &requests.collect::<Vec<_>>(), 3, 9);
            (layout.context_layers, layout.jobs.iter().map(|job| job.trunk_layers).collect::<Vec<_>>())
        };
        assert_eq!(layers(&[hide(0..4, 2)]), (2, vec![2, 2]));
        assert_eq!(layers(&[hide(0..4, 2), hide(0..4, 3)]), (3, vec![3, 3]));
        // The first column has read nothing that is hidden, so all masked rows read the trunk's, to the top.
        assert_eq!(layers(&[hide(1..4, 2)]), (LAYERS, vec![2, 2]));
        assert_eq!(layers(&[Plan::at_layer(1, Change::NoAttention)]), (1, vec![1, 1]));
        assert_eq!(layers(&[hide(0..4, 2), Plan::UNMASKED]), (LAYERS, vec![LAYERS, LAYERS]));
    }

    #[test]
    fn equal_plans_are_one_branch_and_many_branches_are_several_jobs() {
        let prompts = prompts("shared", &ITEMS[..1]);
        // Above the last layer nothing is changed: the baseline under another name.
        let plans = [Plan::UNMASKED, hide(0..4, 2), hide(0..4, LAYERS), hide(0..4, 2), hide(0..4, 1)];
        let requests: Vec<Request> = plans.map(|plan| Request::new(&prompts[0], plan)).into();
        let of = |most: usize| -> Vec<Vec<Vec<usize>>> {
            let layout = Layout::new(&arch(), &requests, 3, most);
            let branches = |job: &Job| job.branches.iter().map(|branch| branch.requests.clone()).collect();
            layout.jobs.iter().map(branches).collect()
        };
        assert_eq!(of(9), [[vec![0, 2], vec![1, 3], vec![4]]]);
        assert_eq!(of(2), [vec![vec![0, 2], vec![1, 3]], vec![vec![4]]]);
    }

    #[test]
    fn a_context_is_shorter_than_each_prompt_and_groups_are_by_demonstrations() {
        let same = prompts("shared", &[&[1, 2, 3], &[1, 2, 3], &[1, 2, 3, 4]]);
        let requests: Vec<Request> = same.iter().map(|prompt| Request::new(prompt, Plan::UNMASKED)).collect();
        // The last token of a prompt is what the next one is chosen from: it is the item's own.
        assert_eq!(common_context(&requests), [1, 2]);
        assert!(common_context(&requests[..0]).is_empty());
        let other = prompts("other", &[&[1, 2, 3]]);
        let mixed = [&same[0], &other[0], &same[1]].map(|prompt| Request::new(prompt, Plan::UNMASKED));
        assert_eq!(by_context(&mixed), [vec![0, 2], vec![1]]);
    }

    /// Two jobs of two branches at a time: the peak is the largest neighbours', with the context.
    #[test]
    fn the_peak_is_of_jobs_that_stand_together() {
        let items: [&[u32]; 3] = [&[1, 2, 3, 4, 5], &[1, 2, 3, 4, 6, 7], &[1, 2, 3, 4, 8]];
        let prompts = prompts("shared", &items);
        let requests: Vec<Request> =
            prompts.iter().map(|prompt| Request::new(prompt, Plan::UNMASKED)).collect();
        let layout = Layout::new(&arch(), &requests, 30, 9);
        let (arch, context) = (arch(), layout.context_bytes(&arch(), 4));
        let jobs: Vec<u64> = (0..3).map(|job| layout.job_bytes(&arch, job, 4)).collect();
        // A column of a layer is a key and a value of sixteen floats; there is room for sixteen columns at a time.
        assert_eq!(context, (LAYERS * 16 * 2 * 16 * 4) as u64);
        assert_eq!(layout.peak_bytes(&arch, 1, 4), context + jobs.iter().max().unwrap());
        assert_eq!(layout.peak_bytes(&arch, 2, 4), context + (jobs[0] + jobs[1]).max(jobs[1] + jobs[2]));
        assert_eq!(layout.peak_bytes(&arch, 3, 4), context + jobs.iter().sum::<u64>());
    }
}
