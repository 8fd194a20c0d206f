//! Prompts through all layers: the context once for a whole call, then each item's own rows and its branches', packed
//! into passes.

use std::time::Instant;

use anyhow::Result;

use super::admit::Started;
use super::choose::next_tokens;
use super::layout::Job;
use super::pass::forward;
use super::stage::{BranchBlocks, Stages, whole};
use super::state::Sweep;
use super::strand::{Needed, Stage, Strand, StrandOrigin};
use crate::base::interrupt::check_interrupted;
use crate::intervene::{Columns, Fork};
use crate::model::{Decoder, KvCache};

/// Rows that one pass over prompts holds at most (but see [`context_room`]): enough to fill the
/// matrix units, few enough that activations stay small.
pub const PASS_ROWS: usize = 1024;

/// The same on a GPU, which is filled by more.
pub const DEVICE_PASS_ROWS: usize = 4096;

/// Rows of branches that a pass of so many rows over a context of `c` rows takes: the trunk is computed again for each pass, so
/// four times its own rows at least.
pub fn context_room(pass_rows: usize, c: usize) -> usize {
    pass_rows.saturating_sub(c).max(4 * c)
}

/// The rows of a prompt that a branch computes for itself in one pass: part by part, those that fork at one layer and read
/// alike.
struct Forked(Vec<PromptPart>);

struct PromptPart {
    /// The first layer that may put out something else for them.
    layer: usize,
    /// Their positions.
    rows: Columns,
    stages: Vec<Stage>,
}

impl<D: Decoder> Sweep<'_, D> {
    /// The context's trunk, and its rows that differ under some mask: as many branches a pass as there is room for.
    pub fn prefill_context(&mut self) -> Result<()> {
        let begun = Instant::now();
        let (arch, c) = (self.decoder.arch(), self.layout.context.len());
        let trunk = self.kv.add(arch, self.layout.context_extent())?;
        self.context = Some(trunk);
        for branch in &self.layout.context_branches {
            self.context_branches.push(self.kv.add(arch, self.layout.context_branch_extent(branch))?);
        }
        if c == 0 {
            return Ok(());
        }
        let trunk_stages = [Stage::below(trunk, whole(&[(trunk, 0..c)]))];
        let forked: Vec<Forked> = (self.layout.context_branches.iter().zip(&self.context_branches))
            .map(|(branch, &own)| {
                let blocks =
                    BranchBlocks { context: trunk, context_branch: Some(own), trunk, shared: own, own };
                let classes = branch.plan.classes(branch.from, arch.layers);
                let stages = Stages::new(&blocks, [&branch.forks, &[]], &classes, [c, c, c]);
                Forked::new(&branch.forks, &stages)
            })
            .collect();
        let mut rest = forked.as_slice();
        loop {
            check_interrupted()?;
            let (now, later) = rest.split_at(fitting(rest, context_room(self.limits.pass_rows, c)));
            rest = later;
            let mut strands = vec![Strand {
                item: None,
                positions: (0..c).collect(),
                origin: StrandOrigin::Tokens(self.layout.context),
                layers: 0..self.layout.context_layers,
                needed: Needed::None,
                stages: &trunk_stages,
            }];
            now.iter().for_each(|forked| forked.add_to(&mut strands, None, [0, 0], arch.layers));
            let finished = forward(self.decoder, &strands, &mut self.kv)?;
            self.work.add_pass(arch, finished.counts);
            self.report(c);
            if rest.is_empty() {
                self.unshared = begun.elapsed().as_secs_f64();
                return Ok(());
            }
        }
    }

    /// The prompts of new jobs through all layers, each item's unmasked rows and its branches' own, packed into passes;
    /// chooses the first tokens, or weighs those of options.
    pub fn prefill(&mut self, started: &[Started]) -> Result<()> {
        let mut pass: Vec<Started> = Vec::new();
        let mut rows = 0;
        for (job, live) in started {
            let trunk = self.layout.jobs[*job].prompt.tokens.len() - self.layout.context.len();
            for at in live.clone() {
                let branch = &self.layout.jobs[*job].branches[self.live[at].branch];
                let joins = pass.last().is_some_and(|(last, _)| last == job);
                let more = branch.rows() + if joins { 0 } else { trunk };
                if rows > 0 && rows + more > self.limits.pass_rows {
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
        self.prefill_pass(&pass)
    }

    fn prefill_pass(&mut self, pass: &[Started]) -> Result<()> {
        check_interrupted()?;
        let begun = Instant::now();
        let c = self.layout.context.len();
        let Some(context) = self.context else { return Ok(()) };
        let trunk_stages: Vec<[Stage; 1]> = pass
            .iter()
            .map(|(job, _)| {
                let (n, block) = (self.layout.jobs[*job].prompt.tokens.len(), self.trunks[job].block);
                [Stage::below(block, whole(&[(context, 0..c), (block, c..n)]))]
            })
            .collect();
        // By branch, what it computes itself.
        let mut forked: Vec<Forked> = Vec::new();
        for (job, places) in pass {
            for live in &self.live[places.clone()] {
                let branch = &self.layout.jobs[*job].branches[live.branch];
                forked.push(Forked::new(&branch.forks, &live.stages));
            }
        }
        let (strands, trunks, last) = self.strands(pass, &trunk_stages, &forked);
        let finished = forward(self.decoder, &strands, &mut self.kv)?;
        self.work.add_pass(self.decoder.arch(), finished.counts);
        if self.ending.is_some() {
            let places = pass.iter().flat_map(|(_, places)| places.clone());
            let draws: Vec<_> = places.clone().map(|at| self.live[at].draw()).collect();
            let chosen = next_tokens(self.decoder, &finished.last_rows(last)?, &draws)?;
            self.work.add_chosen(self.decoder.arch(), chosen.len());
            places.zip(chosen).for_each(|(at, token)| self.live[at].tokens.push(token));
        } else {
            self.weigh_first(pass, &finished, &trunks, &last)?;
        }
        self.report(pass.iter().map(|(job, _)| self.layout.jobs[*job].prompt.tokens.len() - c).sum());
        let all = begun.elapsed().as_secs_f64() + std::mem::take(&mut self.unshared);
        let seconds = all / forked.len() as f64;
        for at in pass.iter().flat_map(|(_, places)| places.clone()) {
            self.live[at].seconds += seconds;
        }
        Ok(())
    }

    /// Each job's trunk and its branches' strands; the trunks among them; and for each branch the strand that holds its last row.
    fn strands<'a>(
        &self,
        pass: &[Started],
        trunk_stages: &'a [[Stage; 1]],
        forked: &'a [Forked],
    ) -> (Vec<Strand<'a>>, Vec<usize>, Vec<usize>)
    where
        Self: 'a,
    {
        let layout = self.layout;
        let (layers, c) = (self.decoder.arch().layers, layout.context.len());
        let (mut strands, mut trunks, mut last) = (Vec::new(), Vec::new(), Vec::new());
        let mut of_branches = forked.iter();
        for ((job, places), stages) in pass.iter().zip(trunk_stages) {
            let Job { prompt, trunk_layers, .. } = &layout.jobs[*job];
            let (trunk, last_row) = (strands.len(), prompt.tokens.len() - 1);
            trunks.push(trunk);
            strands.push(Strand {
                item: Some(&prompt.item),
                positions: (c..prompt.tokens.len()).collect(),
                origin: StrandOrigin::Tokens(&prompt.tokens[c..]),
                layers: 0..*trunk_layers,
                needed: Needed::Last,
                stages,
            });
            for forked in of_branches.by_ref().take(places.len()) {
                let own = strands.len()..strands.len() + forked.0.len();
                forked.add_to(&mut strands, Some((&prompt.item, last_row)), [trunk, c], layers);
                // One of its own, or the trunk if the last row is no other.
                let holder = own.zip(&forked.0).find(|(_, part)| part.rows.contains(last_row));
                last.push(holder.map_or(trunk, |(strand, _)| strand));
            }
        }
        (strands, trunks, last)
    }
}

impl Forked {
    fn new(forks: &[Fork], stages: &Stages) -> Self {
        let parts = forks.iter().flat_map(|fork| {
            let parts = stages.parts(&fork.rows);
            parts.map(|(rows, stages)| PromptPart { layer: fork.layer, rows, stages: stages.to_vec() })
        });
        Self(parts.collect())
    }

    /// One strand a part. The parent's rows begin at position `first`; an item's last row is the one that is needed in the end.
    fn add_to<'a>(
        &'a self,
        strands: &mut Vec<Strand<'a>>,
        item: Option<(&'a str, usize)>,
        [parent, first]: [usize; 2],
        layers: usize,
    ) {
        for PromptPart { layer, rows, stages } in &self.0 {
            let within = Columns::new(rows.ranges().iter().map(|rows| rows.start - first..rows.end - first));
            let is_last = item.is_some_and(|(_, last)| rows.contains(last));
            strands.push(Strand {
                item: item.map(|(name, _)| name),
                positions: rows.ranges().iter().cloned().flatten().collect(),
                origin: StrandOrigin::Fork { strand: parent, rows: within },
                layers: *layer..layers,
                needed: if is_last { Needed::Last } else { Needed::None },
                stages,
            });
        }
    }

    fn rows(&self) -> usize {
        self.0.iter().map(|part| part.rows.len()).sum()
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

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, SeenPass, generated, hide, prompts};
    use super::super::{Limits, Request};
    use super::*;
    use crate::intervene::Plan;

    /// A context of four tokens, and two items with two and three of their own.
    const ITEMS: [&[u32]; 2] = [&[1, 2, 3, 4, 5, 6], &[1, 2, 3, 4, 7, 8, 9]];

    /// The passes that prefill the items and choose one token each. A pass over prompts has at most `pass_rows` rows.
    fn passes(plans: &[Plan], pass_rows: usize) -> Vec<SeenPass> {
        let prompts = prompts("shared", &ITEMS);
        let requests =
            prompts.iter().flat_map(|prompt| plans.iter().map(|plan| Request::new(prompt, plan.clone())));
        let decoder = Fake::new(false);
        let limits = Limits { pass_rows, ..Limits::branches(9) };
        let tokens = generated(&decoder, &requests.collect::<Vec<_>>(), 1, limits);
        assert!(tokens.iter().all(|tokens| *tokens == [50]));
        decoder.passes()
    }

    /// A context that is hidden whole from layer 2 on goes as far as there, and so do the items' unmasked rows.
    #[test]
    fn hidden_rows_go_no_further_than_they_are_read() {
        let passes = passes(&[hide(0..4, 2)], 100);
        let [context, items] = passes.as_slice() else { panic!("{passes:?}") };
        assert_eq!((&context.tokens[..], &items.tokens[..]), (&[1, 2, 3, 4][..], &[5, 6, 7, 8, 9][..]));
        let rows = vec![vec![0, 1, 2, 3]];
        assert_eq!(context.positions(), [rows.clone(), vec![], vec![], vec![]]);
        assert_eq!(context.written, [vec![], rows, vec![], vec![]]);
        let rows = vec![vec![4, 5], vec![4, 5, 6]];
        assert_eq!(items.positions(), [rows.clone(), rows.clone(), rows, vec![vec![5], vec![6]]]);
        assert_eq!(items.written, [vec![], vec![], vec![], vec![vec![4], vec![4, 5]]]);
        // Below they read the context, from layer 2 on their own columns alone.
        let read = |layer: usize, item: usize| -> Vec<std::ops::Range<usize>> {
            let reads = items.layers[layer][item].reads.clone().unwrap();
            reads.into_iter().map(|(_, columns)| columns).collect()
        };
        assert_eq!((read(1, 0), read(1, 1)), (vec![0..4, 4..6], vec![0..4, 4..7]));
        assert_eq!((read(2, 0)[0].start, read(2, 1)[0].start), (4, 4));
    }

    /// Three branches of each item: the baseline is the trunk, the others begin at their layers with the rows that differ.
    #[test]
    fn branches_begin_at_their_layers() {
        let passes = passes(&[Plan::UNMASKED, hide(0..4, 2), hide(0..4, 3)], 100);
        let [context, items] = passes.as_slice() else { panic!("{passes:?}") };
        let rows = vec![vec![0, 1, 2, 3]];
        assert_eq!(context.positions(), [rows.clone(), rows.clone(), rows, vec![]]);
        let (a, b) = (vec![4, 5], vec![4, 5, 6]);
        let trunks = vec![a.clone(), b.clone()];
        let two = [trunks.clone(), vec![a.clone(), b.clone()]].concat();
        // At the last layer only the rows that choose tokens are left.
        let three = vec![vec![5], vec![6], vec![5], vec![6], vec![5], vec![6]];
        assert_eq!(items.positions(), [trunks.clone(), trunks, two, three]);
        let blocks = |layer: usize| items.layers[layer].iter().map(|seen| seen.write).collect::<Vec<_>>();
        let (mut all, top) = (blocks(3), blocks(3));
        all.sort();
        all.dedup();
        assert_eq!((all.len(), &top[..4]), (6, &blocks(2)[..]), "each strand has its own block");
    }

    /// A part of the context is hidden: the rows after it that are still read are computed once for both items.
    #[test]
    fn rows_of_the_context_that_differ_are_computed_with_it() {
        let passes = passes(&[hide(1..3, 1)], 100);
        let [context, items] = passes.as_slice() else { panic!("{passes:?}") };
        let trunk = vec![0, 1, 2, 3];
        let both = vec![trunk.clone(), vec![3]];
        // The first column is read to the top.
        assert_eq!(context.positions(), [vec![trunk], both.clone(), both.clone(), vec![]]);
        assert_eq!(context.written[3], both);
        let differs = &context.layers[1][1];
        for seen in &items.layers[3] {
            let blocks: Vec<_> =
                seen.reads.iter().flatten().map(|(block, columns)| (*block, columns.clone())).collect();
            assert_eq!(blocks[0], (context.layers[0][0].write, 0..1));
            assert_eq!(blocks[1], (differs.write, 3..4));
        }
    }

    /// With room for little, branches of an item come in several passes, and its trunk is computed for each.
    #[test]
    fn what_does_not_fit_into_a_pass_comes_in_the_next() {
        let plans = [Plan::UNMASKED, hide(0..4, 2), hide(0..4, 3)];
        let tokens: Vec<Vec<u32>> = passes(&plans, 4).into_iter().map(|pass| pass.tokens).collect();
        // Two rows of a trunk and of each branch, then three of each.
        let (context, a, b) = (vec![1, 2, 3, 4], vec![5, 6], vec![7, 8, 9]);
        assert_eq!(tokens, [context, a.clone(), a, b.clone(), b.clone(), b]);
        assert_eq!((context_room(100, 10), context_room(100, 30)), (90, 120));
    }
}
