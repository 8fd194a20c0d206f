//! What a run says when all of it is finished: the table, and what it suggests.

use super::state::Work;
use crate::base::console::{note, wrapped};
use crate::data::Example;
use crate::results::{Metric, Scoring, table};
use crate::stats::{TooShort, suggested};

impl Work {
    /// Why the measure of the table cannot judge these answers, if it cannot.
    fn too_short(&self) -> Option<TooShort> {
        let Scoring::Text(scorer) = &self.prepared.scoring else { return None };
        let words = |item: &Example| scorer.pair("", &item.target).bleu.ref_len;
        let references: Vec<u64> = self.prepared.items.iter().map(words).collect();
        TooShort::new(self.metric.unwrap_or(Metric::Bleu), &references)
    }

    /// Nothing of it is left to compute.
    pub(super) fn say_finished(&self) {
        let cells = match self.finished.len() {
            1 => "the one cell is".into(),
            count => format!("all {count} cells are"),
        };
        note(format!("{cells} finished already; nothing is computed"));
    }

    /// The closing table and what it suggests.
    pub fn close(mut self) {
        self.finished.sort_by_key(|record| record.condition());
        note(format!("\n{}\n{}", self.folder.path().display(), table(&self.finished, self.metric)));
        if let Some(too_short) = self.too_short() {
            note(wrapped(&too_short.to_string(), "  "));
            return;
        }
        let mut interventions: Vec<_> =
            self.finished.iter().filter_map(|record| record.condition().intervention()).collect();
        interventions.dedup();
        for intervention in interventions {
            if let Some(suggested) = suggested(&self.finished, intervention, self.metric) {
                note(wrapped(&format!("{intervention}: {suggested}"), "     "));
            }
        }
    }
}
