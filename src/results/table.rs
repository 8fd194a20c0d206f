//! The closing table of a run, for people.

use comfy_table::{CellAlignment, Table, presets};

use super::{Metric, ScoreRecord, Scores};
use crate::mask::Treatment;
use crate::sandbox::Verdict;

/// Widest bar of the curve, in characters.
const BAR: f64 = 24.;

/// Mask, layer, score, interval, seconds, and a bar to see the curve by. The score is this measure, or the task's usual
/// one.
pub fn table(records: &[ScoreRecord], metric: Option<Metric>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let Some(first) = records.first() else { return String::new() };
    let metric = metric.unwrap_or(first.scores.usual());
    let value = |record: &ScoreRecord| record.scores.value(metric).unwrap_or(f64::NAN);
    let second = |scores: &Scores| second(scores, metric);
    let (name, _) = second(&first.scores);
    table.set_header(["mask", "layer", &metric.to_string(), "95 %", name, "seconds", ""]);
    let most = records.iter().map(value).fold(1e-9, f64::max);
    for record in records {
        let layer = match record.mask {
            Treatment::None => "-".into(),
            _ => record.from_layer.to_string(),
        };
        table.add_row([
            record.mask.to_string(),
            layer,
            metric.shown(value(record)),
            interval(&record.scores, metric),
            second(&record.scores).1,
            format!("{:.1}", record.seconds),
            "█".repeat((value(record) / most * BAR).round() as usize),
        ]);
    }
    for column in table.column_iter_mut().skip(1).take(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

fn interval(scores: &Scores, metric: Metric) -> String {
    // One decimal less than the score: the ends are only as good as the resamples.
    let digits = metric.digits() - 1;
    scores.interval(metric).map_or(String::new(), |[low, high]| format!("{low:.digits$} to {high:.digits$}"))
}

/// What else a table shows, with its name: the other measure of texts, or how many programs pass.
fn second(scores: &Scores, first: Metric) -> (&'static str, String) {
    match scores {
        Scores::Text(text) if first == Metric::Chrf => ("BLEU", Metric::Bleu.shown(text.bleu)),
        Scores::Text(text) => ("chrF", Metric::Chrf.shown(text.chrf)),
        Scores::Code(code) => {
            let passed = code.outcomes.get(&Verdict::Passed).unwrap_or(&0);
            ("passed", format!("{passed}/{}", code.outcomes.values().sum::<usize>()))
        }
    }
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

    #[test]
    fn the_table_has_a_row_a_cell() {
        let records = [sample_record("none", 4, 20.), sample_record("TTF", 0, 10.)];
        let text = table(&records, None);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.contains("20.00") && text.contains(&"█".repeat(24)), "{text}");
        let text = table(&records, Some(Metric::Chrf));
        let header: Vec<&str> = text.lines().next().unwrap_or_default().split_whitespace().collect();
        assert_eq!(header, ["mask", "layer", "chrF", "95", "%", "BLEU", "seconds"], "{text}");
    }
}
