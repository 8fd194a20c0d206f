//! Options of items weighed: the log-probability of each after the prompt, under each branch. An option is a generation that is
//! forced: its rows are the branch's own above the start layer, and below they are the item's, computed once for all branches.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Instant;

use anyhow::{Context, Result};

use super::admit::Started;
use super::layout::{OPTION_BYTES, WEIGHED_ROWS};
use super::likelihood::Distribution;
use super::options::{Chain, Options, Tree, Wanted};
use super::pass::{Finished, forward};
use super::stage::{forced, whole};
use super::state::{Live, Sweep};
use super::strand::{Needed, Stage, Strand, StrandOrigin};
use super::weighed::Weighed;
use crate::base::interrupt::check_interrupted;
use crate::intervene::Columns;
use crate::model::{BlockId, Decoder, Extent, KvCache};

/// A tree of options of one job, for all its branches.
struct Part<'a> {
    job: usize,
    /// Places of the job's branches among the live ones.
    live: Range<usize>,
    tree: &'a Tree,
}

/// The blocks of the rows of one tree: by chain the item's own, then by branch and chain.
struct PartBlocks {
    shared: Vec<BlockId>,
    own: Vec<Vec<BlockId>>,
}

/// A strand of a pass over options, with what it owns.
struct Prepared<'a> {
    item: &'a str,
    positions: Vec<usize>,
    tokens: Option<&'a [u32]>,
    /// For a fork, the strand that it forks off and its first row there.
    parent: [usize; 2],
    layers: Range<usize>,
    stages: Vec<Stage>,
}

/// A row whose next tokens are asked for.
struct AskedRow<'a> {
    /// Its strand, and which of its rows.
    strand: usize,
    row: usize,
    wanted: &'a [Wanted],
    /// The branch that it is of, by its place; `None` for the unmasked run, which others are compared with.
    live: Option<usize>,
    /// What is measured at one token alone is measured here.
    measured: bool,
}

impl Prepared<'_> {
    fn strand(&self) -> Strand<'_> {
        let [strand, first] = self.parent;
        Strand {
            item: Some(self.item),
            positions: self.positions.clone(),
            origin: match self.tokens {
                Some(tokens) => StrandOrigin::Tokens(tokens),
                None => {
                    let rows = Columns::new([first..first + self.positions.len()]);
                    StrandOrigin::Fork { strand, rows }
                }
            },
            layers: self.layers.clone(),
            needed: Needed::All,
            stages: &self.stages,
        }
    }
}

/// Rows of a chain as they are asked for, in a strand that begins with the row `first` of the chain.
fn asked<'a>(
    chain: &'a Chain,
    measured: usize,
    [strand, first]: [usize; 2],
    rows: Range<usize>,
    live: Option<usize>,
) -> impl Iterator<Item = AskedRow<'a>> {
    rows.map(move |row| AskedRow {
        strand,
        row: row - first,
        wanted: &chain.wanted[row],
        live,
        measured: chain.depth + row == measured,
    })
}

impl<D: Decoder> Sweep<'_, D> {
    /// Take in what the last rows of a pass over prompts say of the first tokens of options. `trunks` are the strands of the jobs'
    /// unmasked rows, `last` those that hold the branches' last rows.
    pub fn weigh_first(
        &mut self,
        pass: &[Started],
        finished: &Finished<D::States>,
        trunks: &[usize],
        last: &[usize],
    ) -> Result<()> {
        let layout = self.layout;
        let mut last = last.iter();
        for ((job, places), &trunk) in pass.iter().zip(trunks) {
            let Some(options) = layout.jobs[*job].options else { continue };
            let (wanted, measured) = (options.first(), options.measured() == 0);
            let row = |strand: usize, live| {
                let row = finished.last_row(strand)?;
                Some(AskedRow { strand, row, wanted: &wanted, live, measured })
            };
            let branches = places.clone().zip(last.by_ref()).map(|(live, &strand)| row(strand, Some(live)));
            let rows: Option<Vec<AskedRow>> = std::iter::once(row(trunk, None)).chain(branches).collect();
            let rows = rows.context("a prompt's last row was not computed")?;
            self.weigh_rows(finished, &rows)?;
        }
        Ok(())
    }

    /// Weigh what is left of the options of jobs whose prompts are computed, report all, and free what they held.
    pub fn weigh(&mut self, started: &[Started]) -> Result<()> {
        let layout = self.layout;
        let (arch, element) = (self.decoder.arch(), self.decoder.kv_element());
        let (mut parts, mut rows, mut bytes) = (Vec::new(), 0, 0);
        for (job, live) in started {
            for tree in &layout.jobs[*job].trees {
                let more = tree.rows() * (live.len() + 1);
                let size = layout.tree_bytes(arch, &layout.jobs[*job], tree, element);
                let full = rows + more > self.limits.pass_rows || bytes + size > OPTION_BYTES;
                if full && !parts.is_empty() {
                    self.weigh_pass(&std::mem::take(&mut parts))?;
                    (rows, bytes) = (0, 0);
                }
                (rows, bytes) = (rows + more, bytes + size);
                parts.push(Part { job: *job, live: live.clone(), tree });
            }
        }
        if !parts.is_empty() {
            self.weigh_pass(&parts)?;
        }
        let first = started.first().map_or(self.live.len(), |(_, live)| live.start);
        for live in self.live.split_off(first) {
            self.end_weighed(live)?;
        }
        Ok(())
    }

    fn weigh_pass(&mut self, parts: &[Part]) -> Result<()> {
        check_interrupted()?;
        let begun = Instant::now();
        let mut blocks = Vec::with_capacity(parts.len());
        for part in parts {
            blocks.push(self.place_tree(part)?);
        }
        let (mut prepared, mut rows) = (Vec::new(), Vec::new());
        for (part, blocks) in parts.iter().zip(&blocks) {
            rows.push(self.prepare(part, blocks, &mut prepared));
        }
        let strands: Vec<Strand> = prepared.iter().map(Prepared::strand).collect();
        let finished = forward(self.decoder, &strands, &mut self.kv)?;
        self.work.add_pass(self.decoder.arch(), finished.counts);
        for rows in &rows {
            self.weigh_rows(&finished, rows)?;
        }
        self.report(parts.iter().map(|part| part.tree.rows()).sum());
        for (part, blocks) in parts.iter().zip(&blocks) {
            let arch = self.decoder.arch();
            blocks.shared.iter().chain(blocks.own.iter().flatten()).for_each(|&id| self.kv.remove(arch, id));
            let seconds = begun.elapsed().as_secs_f64() / parts.len() as f64 / part.live.len() as f64;
            self.live[part.live.clone()].iter_mut().for_each(|live| live.seconds += seconds);
        }
        Ok(())
    }

    /// Blocks for the keys and values of a tree's rows.
    fn place_tree(&mut self, part: &Part) -> Result<PartBlocks> {
        let (arch, layout) = (self.decoder.arch(), self.layout);
        let job = &layout.jobs[part.job];
        let mut add = |layers: Range<usize>| -> Result<Vec<BlockId>> {
            let chains = part.tree.chains.iter();
            chains
                .map(|chain| {
                    let columns = chain.columns(job.prompt.tokens.len());
                    self.kv.add(arch, Extent { columns, layers: layers.clone() })
                })
                .collect()
        };
        let shared = add(0..layout.tree_layers(job))?;
        let branches = self.live[part.live.clone()].iter();
        let own = branches
            .map(|live| if live.from < arch.layers { add(live.from..arch.layers) } else { Ok(Vec::new()) })
            .collect::<Result<_>>()?;
        Ok(PartBlocks { shared, own })
    }

    /// The strands of a tree, put behind those that are there; and the rows that are asked for, the item's own first.
    fn prepare<'a>(
        &self,
        part: &Part<'a>,
        blocks: &PartBlocks,
        strands: &mut Vec<Prepared<'a>>,
    ) -> Vec<AskedRow<'a>>
    where
        Self: 'a,
    {
        let (layout, layers) = (self.layout, self.decoder.arch().layers);
        let job = &layout.jobs[part.job];
        let (c, n, depth) = (layout.context.len(), job.prompt.tokens.len(), layout.tree_layers(job));
        let measured = job.options.map_or(0, Options::measured);
        let (mut unmasked, mut of_branches) = (Vec::new(), Vec::new());
        let (context, trunk) = (self.context, self.trunks.get(&part.job).map(|trunk| trunk.block));
        let below: Vec<(BlockId, Range<usize>)> =
            context.map(|block| (block, 0..c)).into_iter().chain(trunk.map(|block| (block, c..n))).collect();
        for (at, chain) in part.tree.chains.iter().enumerate() {
            let columns = chain.columns(n);
            let path = part.tree.path(at, n);
            let root = strands.len();
            let read = path.iter().map(|(chain, columns)| (blocks.shared[*chain], columns.clone()));
            let read = below.iter().cloned().chain(read).collect::<Vec<_>>();
            strands.push(Prepared {
                item: &job.prompt.item,
                positions: columns.clone().collect(),
                tokens: Some(&chain.tokens),
                parent: [root, 0],
                layers: 0..depth,
                stages: vec![Stage::below(blocks.shared[at], whole(&read))],
            });
            let all = 0..chain.tokens.len();
            if depth == layers {
                unmasked.extend(asked(chain, measured, [root, 0], all.clone(), None));
            }
            for (own, place) in blocks.own.iter().zip(part.live.clone()) {
                let live = &self.live[place];
                if live.from >= layers {
                    of_branches.extend(asked(chain, measured, [root, 0], all.clone(), Some(place)));
                    continue;
                }
                let after: Vec<(Range<usize>, BlockId)> =
                    path.iter().map(|(chain, columns)| (columns.clone(), own[*chain])).collect();
                let rows = Columns::new([columns.clone()]);
                for (rows, stages) in live.stages.parts(&rows) {
                    for range in rows.ranges() {
                        let within = range.start - columns.start..range.end - columns.start;
                        let start = [strands.len(), within.start];
                        of_branches.extend(asked(chain, measured, start, within.clone(), Some(place)));
                        strands.push(Prepared {
                            item: &job.prompt.item,
                            positions: range.clone().collect(),
                            tokens: None,
                            parent: [root, within.start],
                            layers: live.from..layers,
                            stages: forced(stages, live.blocks.own, n, &after),
                        });
                    }
                }
            }
        }
        unmasked.append(&mut of_branches);
        unmasked
    }

    /// Log-probabilities of what the rows of one job are asked for; the unmasked run's come first.
    fn weigh_rows(&mut self, finished: &Finished<D::States>, rows: &[AskedRow]) -> Result<()> {
        // A row that speaks for several branches is computed once.
        let mut places: Vec<usize> = Vec::new();
        let mut asked: HashMap<usize, Vec<&AskedRow>> = HashMap::new();
        for row in rows {
            let place = finished.place(row.strand, row.row)?;
            let all = asked.entry(place).or_default();
            if all.is_empty() {
                places.push(place);
            }
            all.push(row);
        }
        let mut unmasked: Option<Distribution> = None;
        for some in places.chunks(WEIGHED_ROWS) {
            check_interrupted()?;
            let logits = self.decoder.logits(&finished.rows(some)?)?;
            self.work.add_chosen(self.decoder.arch(), some.len());
            for (distribution, place) in Distribution::of_rows(&logits)?.iter().zip(some) {
                for row in &asked[place] {
                    match row.live {
                        None if row.measured => unmasked = Some(distribution.kept()),
                        None => {}
                        Some(live) => {
                            let weighed = &mut self.live[live].weighed;
                            weighed.take(row.wanted, distribution);
                            if let Some(unmasked) = unmasked.as_ref().filter(|_| row.measured) {
                                weighed.measure(distribution, unmasked);
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Report a finished branch, and free what it held.
    fn end_weighed(&mut self, live: Live) -> Result<()> {
        self.free(&live);
        let seconds = live.seconds / live.requests.len() as f64;
        let weighed = Weighed { seconds, ..live.weighed };
        live.requests.iter().try_for_each(|&request| self.observer.weighed(request, weighed.clone()))
    }
}
