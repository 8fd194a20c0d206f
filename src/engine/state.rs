//! The state of a sweep: which branches are live, which jobs wait, and where keys and values lie.

use std::collections::{HashMap, VecDeque};

use super::choose::Sample;
use super::layout::Layout;
use super::stage::{BranchBlocks, Stages};
use super::weighed::Weighed;
use super::{Limits, Observer, Stop, StopRule, Work};
use crate::model::{BlockId, Decoder};
use crate::prompt::Tokenizer;

/// A branch that is being decoded.
pub struct Live {
    pub job: usize,
    /// Which of the job's branches it is.
    pub branch: usize,
    pub requests: Vec<usize>,
    /// Its start layer.
    pub from: usize,
    /// Branches of an item with the same tokens so far are a group; below their start layers they are one row.
    pub group: usize,
    /// This branch's row stands for its group's: it has the highest start layer.
    pub leads: bool,
    pub tokens: Vec<u32>,
    pub sample: Option<Sample>,
    /// What is known of its options.
    pub weighed: Weighed,
    /// Tokens of its prompt.
    pub prompt: usize,
    pub blocks: BranchBlocks,
    /// What its rows read and write: below the start layer, where it leads, and above.
    pub stages: Stages,
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
pub struct Trunk {
    pub block: BlockId,
    /// Those that are still decoded.
    pub branches: usize,
}

/// What ends generations.
#[derive(Clone, Copy)]
pub struct Ending<'a> {
    pub tokenizer: &'a Tokenizer,
    pub rule: &'a StopRule,
}

/// A call while it is computed.
pub struct Sweep<'a, D: Decoder> {
    pub decoder: &'a D,
    /// What ends a generation; `None` where options are weighed.
    pub ending: Option<Ending<'a>>,
    pub limits: Limits,
    /// Bytes that are kept free for the keys and values of options.
    pub option_bytes: u64,
    pub observer: &'a mut dyn Observer,
    pub layout: &'a Layout<'a>,
    pub context: Option<BlockId>,
    pub context_branches: Vec<BlockId>,
    pub kv: D::Kv,
    pub waiting: VecDeque<usize>,
    pub live: Vec<Live>,
    pub trunks: HashMap<usize, Trunk>,
    pub next_group: usize,
    /// What has been computed so far.
    pub work: Work,
    /// Multiply-adds that the observer knows of.
    pub reported: u64,
    /// Seconds that no branch has taken on yet: the context's.
    pub unshared: f64,
}

impl<D: Decoder> Sweep<'_, D> {
    /// Tell the observer that a pass is done, which so many tokens went through.
    pub fn report(&mut self, tokens: usize) {
        let done = self.work.total();
        self.observer.passed(tokens, done - std::mem::replace(&mut self.reported, done));
    }

    /// A number that no group has.
    pub fn new_group(&mut self) -> usize {
        self.next_group += 1;
        self.next_group
    }
}
