//! What a run says when all of it is finished: the table, and what it suggests.

use super::state::OpenCells;
use crate::base::console::{note, wrapped};
use crate::results::table;
use crate::stats::{TooShort, suggested};
use crate::tasks::Measure;

impl OpenCells {
    /// The measure that the table shows.
    fn measure(&self) -> Measure {
        let run = &self.prepared.run;
        self.metric.clone().unwrap_or_else(|| self.prepared.task.usual(run.sampling.samples))
    }

    /// Why a measure cannot judge these answers, if it cannot.
    fn too_short(&self, measure: &Measure) -> Option<TooShort> {
        let words = self.prepared.items.iter().map(|item| self.prepared.task.reference_words(item));
        let references: Vec<u64> = words.collect::<Option<_>>()?;
        TooShort::new(measure, &references)
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
        let measure = self.measure();
        let table = table(&self.finished, &*self.prepared.task, &measure);
        note(format!("\n{}\n{table}", self.folder.path().display()));
        let lacking = self.finished.iter().filter(|record| record.scores.value(&measure).is_none()).count();
        if lacking > 0 {
            let folder = self.folder.path().display();
            let [are, them] = if lacking == 1 { ["cell was", "it"] } else { ["cells were", "them"] };
            note(wrapped(
                &format!(
                    "{lacking} {are} scored without {measure}; `icl-mask score {folder}` adds it to {them}"
                ),
                "  ",
            ));
        }
        if let Some(too_short) = self.too_short(&measure) {
            note(wrapped(&too_short.to_string(), "  "));
            return;
        }
        let mut interventions: Vec<_> =
            self.finished.iter().filter_map(|record| record.condition().intervention()).collect();
        interventions.dedup();
        for intervention in interventions {
            if let Some(suggested) = suggested(&self.finished, intervention, &measure) {
                note(wrapped(&format!("{intervention}: {suggested}"), "     "));
            }
        }
    }
}
