//! Memory that a run will need, computed beforehand, and what the machine has.

use crate::model::{Arch, KvCache, Precision};

use super::batch::PREFILL_ROWS;

/// Bytes that a run will hold at its peak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The weights, in the form they are held in.
    pub weights: u64,
    /// Keys and values of all sequences.
    pub kv_cache: u64,
    /// States, scores and logits of one layer's rows, and the part of a weight that is widened at the time.
    pub states: u64,
}

/// Scores of one sequence beside their softmax and mask (see `model::attention`).
const SCORES: u64 = 3 * (64 << 20);

impl Memory {
    /// For so many sequences of at most `capacity` tokens; `stored` is the size of the checkpoint's files, where known.
    pub fn needed(
        arch: &Arch,
        precision: Precision,
        stored: Option<u64>,
        slots: usize,
        capacity: usize,
    ) -> Self {
        let rows = PREFILL_ROWS.max(capacity) as u64;
        let width = (6 * arch.hidden + 3 * arch.intermediate + 4 * arch.heads * arch.head_dim) as u64;
        Self {
            weights: weights(arch, precision, stored),
            kv_cache: KvCache::bytes(arch, slots, capacity),
            states: rows * width * 4 + SCORES + 2 * (slots * arch.vocab * 4) as u64,
        }
    }

    /// All of it.
    pub fn total(self) -> u64 {
        self.weights + self.kv_cache + self.states
    }
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
