//! The closing table of a run, for people.

use comfy_table::{CellAlignment, Table, presets};

use super::ScoreRecord;
use crate::tasks::{Measure, Task};

/// Widest bar of the curve, in characters; narrower where the table would not fit a terminal.
const BAR: usize = 24;

/// Columns of a terminal.
const COLUMNS: usize = 80;

/// Mask, layer, this measure, its interval, what the task shows beside it, seconds, and a bar to see the curve by.
pub fn table(records: &[ScoreRecord], task: &dyn Task, measure: &Measure) -> String {
    let Some(first) = records.first() else { return String::new() };
    let (beside, _) = task.beside(&first.scores, measure);
    let header = ["mask", "layer", &measure.label, "95 %", beside, "seconds"].map(String::from);
    let rows: Vec<[String; 6]> = records.iter().map(|record| row(record, task, measure)).collect();
    let width = |column: usize| {
        let cells = std::iter::once(&header).chain(&rows).map(|row| row[column].chars().count());
        // Each column has a space on both sides.
        2 + cells.max().unwrap_or(0)
    };
    let rest: usize = (0..header.len()).map(width).sum();
    let bar = COLUMNS.saturating_sub(rest + 1).min(BAR) as f64;
    let most = records.iter().map(|record| value(record, measure)).fold(1e-9, f64::max);
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.iter().cloned().chain([String::new()]));
    for (record, row) in records.iter().zip(rows) {
        let bar = "█".repeat((value(record, measure) / most * bar).round() as usize);
        table.add_row(row.into_iter().chain([bar]));
    }
    for column in table.column_iter_mut().skip(1).take(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

fn value(record: &ScoreRecord, measure: &Measure) -> f64 {
    record.scores.value(measure).unwrap_or(f64::NAN)
}

/// All of a row but its bar.
fn row(record: &ScoreRecord, task: &dyn Task, measure: &Measure) -> [String; 6] {
    let condition = record.condition();
    // One decimal less than the score: the ends are only as good as the resamples.
    let digits = measure.digits - 1;
    let interval = record.scores.interval(measure);
    [
        condition.series().to_string(),
        condition.layer().map_or("-".into(), |layer| layer.to_string()),
        record.scores.value(measure).map_or("-".into(), |value| measure.shown(value)),
        interval.map_or(String::new(), |[low, high]| format!("{low:.digits$} to {high:.digits$}")),
        task.beside(&record.scores, measure).1,
        format!("{:.1}", record.seconds),
    ]
}

/// A record with this score; everything else is of no matter. For tests.
#[cfg(test)]
pub fn sample_record(mask: &str, from_layer: usize, bleu: f64) -> ScoreRecord {
    serde_json::from_value(serde_json::json!({
        "model": "m", "model_sha256": "", "data": "d", "direction": "en-fr", "format": "f", "mask": mask,
        "from_layer": from_layer, "n_layers": 4, "seed": 0, "nprompts": 5, "profile": "exact", "n": 1,
        "bleu": bleu, "bleu_interval": [0., 1.], "bleu1": 0., "bleu2": 0., "bleu3": 0., "bleu4": 0.,
        "brevity_penalty": 1., "chrf": 0., "chrf_interval": null, "signature": "", "chrf_signature": "",
        "prompt_tokens": 1, "generated_tokens": 1, "stops": {}, "seconds": 0., "settings_sha256": "",
        "version": ""
    }))
    .expect("a record")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::Profile;
    use crate::tasks::Translation;

    fn table(records: &[ScoreRecord], measure: &str) -> String {
        let task = Translation::new(Profile::Exact, None).expect("a task");
        super::table(records, &task, &Measure::find(measure).expect("a measure"))
    }

    #[test]
    fn the_table_has_a_row_a_cell() {
        let records = [sample_record("none", 4, 20.), sample_record("TTF", 0, 10.)];
        let text = table(&records, "bleu");
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.contains("20.00") && text.contains(&"█".repeat(24)), "{text}");
        let text = table(&records, "chrf");
        let header: Vec<&str> = text.lines().next().unwrap_or_default().split_whitespace().collect();
        assert_eq!(header, ["mask", "layer", "chrF", "95", "%", "BLEU", "seconds"], "{text}");
    }

    #[test]
    fn the_table_fits_a_terminal() {
        let text = table(&[sample_record("none", 4, 20.), sample_record("ablate-attention", 3, 10.)], "bleu");
        assert!(text.lines().all(|line| line.chars().count() <= 80) && text.contains("██████"), "{text}");
    }
}
