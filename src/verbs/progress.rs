//! Bars on stderr: cells, items, tokens a second, time left. Quiet where stderr is not a terminal.

use std::time::Instant;

use crate::console::Bar;

/// The bar of one run.
pub struct Progress {
    bar: Bar,
    cells: usize,
    cells_done: usize,
    tokens: usize,
    begun: Instant,
}

impl Progress {
    /// A bar over all generations of `cells` cells.
    pub fn new(title: &str, cells: usize, generations: usize) -> Self {
        let bar = Bar::new(
            "{prefix} {bar:24} {pos}/{len} generations, {msg}, {elapsed} gone, {eta} left",
            generations as u64,
        );
        bar.prefix(title);
        let progress = Self { bar, cells, cells_done: 0, tokens: 0, begun: Instant::now() };
        progress.show();
        progress
    }

    /// Tokens went through the model.
    pub fn tokens(&mut self, count: usize) {
        self.tokens += count;
        self.show();
    }

    /// A generation is finished.
    pub fn generation(&self) {
        self.bar.advance();
    }

    /// A cell is finished.
    pub fn cell(&mut self, line: &str) {
        self.cells_done += 1;
        self.bar.line(line);
        self.show();
    }

    fn show(&self) {
        let rate = self.tokens as f64 / self.begun.elapsed().as_secs_f64().max(1e-3);
        self.bar.message(&format!("{}/{} cells, {rate:.0} tokens/s", self.cells_done, self.cells));
    }
}
