//! Jobs that begin: as many as there is room for, each branch with its blocks of keys and values.

use std::ops::Range;

use anyhow::Result;

use super::layout::Branch;
use super::stage::{BranchBlocks, Stages, whole};
use super::state::{Live, Sweep, Trunk};
use super::strand::Stage;
use super::weighed::Weighed;
use crate::base::interrupt::check_interrupted;
use crate::model::{Decoder, KvCache};

/// A job and the places of its branches among the live ones.
pub type Started = (usize, Range<usize>);

impl<D: Decoder> Sweep<'_, D> {
    /// Start waiting jobs, as many as there is room for, and say where their branches are.
    pub fn admit(&mut self) -> Result<Vec<Started>> {
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
                        + self.option_bytes
                        <= self.limits.kv_bytes;
            if !room {
                break;
            }
            self.waiting.pop_front();
            let first = self.live.len();
            self.place(job)?;
            started.push((job, first..self.live.len()));
        }
        Ok(started)
    }

    /// Give a job's branches their blocks.
    fn place(&mut self, index: usize) -> Result<()> {
        let (arch, layout) = (self.decoder.arch(), self.layout);
        let job = &layout.jobs[index];
        let (Some(context), n) = (self.context, job.prompt.tokens.len()) else { return Ok(()) };
        let trunk = self.kv.add(arch, layout.trunk_extent(job))?;
        self.trunks.insert(index, Trunk { block: trunk, branches: job.branches.len() });
        let group = self.new_group();
        for (at, branch) in job.branches.iter().enumerate() {
            let [shared, own] = layout.branch_extents(job, branch).map(|extent| self.kv.add(arch, extent));
            let (shared, own) = (shared?, own?);
            let context_branch = branch.context.map(|index| self.context_branches[index]);
            let blocks = BranchBlocks { context, context_branch, trunk, shared, own };
            self.live.push(Live {
                job: index,
                branch: at,
                requests: branch.requests.clone(),
                from: branch.from,
                group,
                leads: false,
                tokens: Vec::new(),
                sample: branch.sample,
                weighed: job.options.map(Weighed::of).unwrap_or_default(),
                prompt: n,
                blocks,
                stages: self.stages(&blocks, branch, n, layout.reach(job)),
                seconds: 0.,
                stop: None,
            });
        }
        Ok(())
    }

    /// What a branch's rows write and read.
    fn stages(&self, blocks: &BranchBlocks, branch: &Branch, n: usize, reach: usize) -> Stages {
        let (c, end) = (self.layout.context.len(), n + reach);
        let below = whole(&[(blocks.context, 0..c), (blocks.trunk, c..n), (blocks.shared, n..end)]);
        let below = Stage::below(blocks.shared, below);
        if branch.from >= self.decoder.arch().layers {
            return Stages::alike(below);
        }
        let forks = [self.layout.context_forks(branch), branch.forks.as_slice()];
        Stages::new(blocks, forks, &branch.flow.classes, [c, n, end]).above(&below)
    }
}
