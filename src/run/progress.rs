//! How far a run is, on stderr: a bar on a terminal, a line now and then elsewhere.

use std::time::{Duration, Instant};

use super::estimate::{Estimate, about};
use crate::base::console::{Bar, note};

/// Where there is no terminal, a line at most this often.
const BETWEEN_LINES: Duration = Duration::from_secs(30);

/// The progress of one run.
pub struct Progress {
    bar: Bar,
    estimate: Estimate,
    generations: usize,
    finished: usize,
    cells: usize,
    cells_done: usize,
    tokens: usize,
    begun: Instant,
    /// When the last line was written, the first one after the first pass.
    told: Option<Instant>,
}

impl Progress {
    /// The progress of a run of `cells` cells with `generations` generations in all.
    pub fn new(cells: usize, generations: usize, estimate: Estimate) -> Self {
        let bar = Bar::new("{bar:16} {pos}/{len}, {msg}", generations as u64);
        let begun = Instant::now();
        Self { bar, estimate, generations, finished: 0, cells, cells_done: 0, tokens: 0, begun, told: None }
    }

    /// A pass is done, which tokens went through.
    pub fn passed(&mut self, tokens: usize, multiply_adds: u64) {
        self.tokens += tokens;
        self.estimate.passed(multiply_adds);
        self.show();
    }

    /// A generation is finished, with so many tokens.
    pub fn generation(&mut self, tokens: usize) {
        self.finished += 1;
        self.estimate.finished(tokens);
        self.bar.advance();
    }

    /// A cell is finished.
    pub fn cell(&mut self, line: &str) {
        self.cells_done += 1;
        self.bar.line(line);
        self.show();
    }

    fn show(&mut self) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let Some(left) = self.estimate.left(seconds) else { return };
        let rate = self.tokens as f64 / seconds.max(1e-3);
        let cells = format!("{}/{} cells", self.cells_done, self.cells);
        self.bar.message(&format!("{cells}, {rate:.0} tokens/s, {} left", about(left)));
        let now = Instant::now();
        let line = match self.told {
            None => format!(
                "{} generations in {} cells: {}, estimated from the first pass",
                self.generations,
                self.cells,
                about(seconds + left)
            ),
            Some(told) if self.bar.is_hidden() && now - told >= BETWEEN_LINES => format!(
                "{} of {} generations, {} of {} cells: {} left",
                self.finished,
                self.generations,
                self.cells_done,
                self.cells,
                about(left)
            ),
            Some(_) => return,
        };
        self.told = Some(now);
        match self.bar.is_hidden() {
            true => note(line),
            false => self.bar.line(&line),
        }
    }
}
