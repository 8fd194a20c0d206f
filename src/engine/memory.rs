//! Memory that a run will need, computed beforehand, and what the machine has.

use super::layout::{Layout, by_context};
use super::prefill::{DEVICE_PASS_ROWS, PASS_ROWS, context_room};
use super::{Request, StopRule};
use crate::model::{Arch, FeedForwardShape, Precision, scratch_bytes};

/// How much is computed at a time.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Branches that are decoded together at most.
    pub branches: usize,
    /// Rows that a pass over prompts holds at most, but for a long context.
    pub pass_rows: usize,
    /// Bytes of keys and values at most; a single job may take more if nothing else is there.
    pub kv_bytes: u64,
}

impl Limits {
    /// So many branches, and as much memory as they take.
    pub fn branches(branches: usize) -> Self {
        Self { branches, pass_rows: PASS_ROWS, kv_bytes: u64::MAX }
    }
}

/// Bytes that a run will hold at its peak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The weights, in the form they are held in.
    pub weights: u64,
    /// Keys and values of the context and of all branches that are decoded together.
    pub kv_cache: u64,
    /// States between the parts of a layer, and the part of a weight that is widened at the time.
    pub states: u64,
    /// The program itself: code, tokenizer, corpus. None of it is on a GPU.
    pub program: u64,
}

/// Code, corpus, threads; and of the tokenizer each token with its merges (37 MB are resident with SmolLM2's 49,152
/// tokens, 106 MB with Qwen2.5's 151,936, before weights are loaded).
const PROGRAM: u64 = 16 << 20;
const A_TOKEN: u64 = 600;

/// How a model is held, and where.
#[derive(Debug, Clone, Copy)]
pub struct Holding {
    /// Type of the weights.
    pub precision: Precision,
    /// Bytes of the weights as their files store them, where these are at hand.
    pub stored: Option<u64>,
    /// On a GPU, where keys and values have the type of the weights.
    pub on_device: bool,
}

impl Holding {
    /// Bytes of an element of keys and values.
    fn element(self) -> usize {
        let dtype = self.precision.dtype().filter(|_| self.on_device);
        dtype.map_or(size_of::<f32>(), |dtype| dtype.size_in_bytes())
    }

    /// Rows that a pass over prompts holds.
    fn pass_rows(self) -> usize {
        if self.on_device { DEVICE_PASS_ROWS } else { PASS_ROWS }
    }

    /// Bytes of what stands between parts, beside the states themselves: of a weight that is widened at the time, or on a GPU
    /// scores or logits, and what its libraries keep.
    fn between(self, arch: &Arch) -> u64 {
        match (self.on_device, self.precision) {
            (true, _) => scratch_bytes(arch),
            (false, Precision::F32) => 0,
            (false, _) => 3 * (16 << 20),
        }
    }
}

impl Memory {
    /// All of it.
    pub fn total(self) -> u64 {
        self.weights + self.kv_cache + self.states + self.program
    }

    /// What does not depend on the requests.
    fn fixed(arch: &Arch, holding: Holding, rows: usize) -> Self {
        let attention = (2 * arch.heads + 2 * arch.kv_heads) * arch.head_dim;
        // Of what enters a product there is a copy, packed.
        let most = |of: fn(FeedForwardShape) -> usize| arch.feed_forwards().map(of).max().unwrap_or(0);
        let packed = arch.hidden.max(arch.heads * arch.head_dim).max(most(|mlps| mlps.mlp.width));
        let width = 6 * arch.hidden + attention + most(FeedForwardShape::between) + packed;
        let program = PROGRAM + A_TOKEN * arch.vocab as u64;
        Self {
            weights: weights(arch, holding.precision, holding.stored),
            kv_cache: 0,
            states: (rows * width * 4) as u64 + holding.between(arch),
            program: if holding.on_device { 0 } else { program },
        }
    }

    /// Sizes the batch to a budget, from `batch` branches downwards, and says what it will hold.
    ///
    /// # Errors
    /// Not even one branch at a time fits: what that would hold.
    pub fn fit(
        arch: &Arch,
        holding: Holding,
        requests: &[Request],
        rule: &StopRule,
        batch: usize,
        budget: u64,
    ) -> Result<(Limits, Self), Self> {
        let groups = by_context(requests);
        let groups: Vec<Vec<Request>> =
            groups.iter().map(|group| group.iter().map(|&at| requests[at].clone()).collect()).collect();
        let mut branches = batch;
        loop {
            let layouts = groups.iter().map(|some| Layout::new(arch, some, rule.max_new_tokens, branches));
            let needs: Vec<_> =
                layouts.map(|layout| Self::of(&layout, arch, holding, branches, budget)).collect();
            // What follows each other need not fit together: the most that any takes is what counts.
            let most = |needs: &[Self]| needs.iter().copied().max_by_key(|memory| memory.total());
            let (fit, short): (Vec<_>, Vec<_>) = needs.into_iter().partition(Result::is_ok);
            let short: Vec<Self> = short.into_iter().filter_map(Result::err).collect();
            let fit: Vec<Self> = fit.into_iter().flatten().collect();
            match (most(&short), most(&fit)) {
                (Some(short), _) if branches == 1 => return Err(short),
                (Some(_), _) => branches /= 2,
                (None, memory) => {
                    let fixed = fit.iter().map(|memory| memory.total() - memory.kv_cache).max().unwrap_or(0);
                    let kv_bytes = budget.saturating_sub(fixed);
                    let memory = memory.unwrap_or_else(|| Self::fixed(arch, holding, 0));
                    let pass_rows = holding.pass_rows();
                    return Ok((Limits { branches, pass_rows, kv_bytes }, memory));
                }
            }
        }
    }

    /// What the requests of a layout hold.
    fn of(
        layout: &Layout,
        arch: &Arch,
        holding: Holding,
        branches: usize,
        budget: u64,
    ) -> Result<Self, Self> {
        let c = layout.context.len();
        let forked = layout.context_branches.iter().flat_map(|branch| &branch.forks);
        let forked = forked.map(|fork| fork.rows.len()).sum::<usize>();
        let pass_rows = holding.pass_rows();
        let rows = pass_rows.max(c + forked.min(context_room(pass_rows, c))).max(branches);
        let fixed = Self::fixed(arch, holding, rows);
        let fixed = Self { states: fixed.states + layout.weighing_bytes(arch), ..fixed };
        let left = budget.saturating_sub(fixed.total());
        let jobs = (0..layout.jobs.len()).map(|job| layout.job_bytes(arch, job, holding.element()));
        let shared =
            layout.context_bytes(arch, holding.element()) + layout.option_bytes(arch, holding.element());
        let least = shared + jobs.max().unwrap_or(0);
        match least <= left {
            true => {
                Ok(Self { kv_cache: layout.peak_bytes(arch, branches, holding.element()).min(left), ..fixed })
            }
            false => Err(Self { kv_cache: least, ..fixed }),
        }
    }
}

/// Bytes of keys and values of one token of one sequence, at all layers.
pub fn kv_bytes_a_token(arch: &Arch) -> u64 {
    (2 * 4 * arch.layers * arch.kv_heads * arch.head_dim) as u64
}

/// Bytes of the weights. Without the files at hand, as stored means two bytes a parameter.
pub fn weights(arch: &Arch, precision: Precision, stored: Option<u64>) -> u64 {
    match precision {
        Precision::F32 => 4 * arch.parameters(),
        Precision::F16 | Precision::Bf16 => 2 * arch.parameters(),
        Precision::Stored => stored.unwrap_or(2 * arch.parameters()),
    }
}

/// Bytes that this process may still take: what the system calls available, or less where a control group (Slurm, a
/// container) sets a limit. `None` where the system does not say.
pub fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let free = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024;
    Some(free.min(left_in_group().unwrap_or(u64::MAX)))
}

/// What the control group leaves (version 2).
fn left_in_group() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let folder = std::path::Path::new("/sys/fs/cgroup").join(own.trim_start_matches('/'));
    let number = |name: &str| std::fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    Some(number("memory.max")?.saturating_sub(number("memory.current")?))
}
