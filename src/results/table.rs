//! The closing table of a run, for people.

use comfy_table::{CellAlignment, Table, presets};

use super::{ScoreRecord, Scores};
use crate::mask::Treatment;
use crate::sandbox::Verdict;

/// Widest bar of the curve, in characters.
const BAR: f64 = 24.;

/// Mask, layer, score, interval, seconds, and a bar to see the curve by.
pub fn table(records: &[ScoreRecord]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let metric = records.first().map_or("", |record| record.scores.metric());
    let second = records.first().map_or("", |record| second(&record.scores).0);
    table.set_header(["mask", "layer", metric, "95 %", second, "seconds", ""]);
    let most = records.iter().map(|record| record.scores.main()).fold(1e-9, f64::max);
    for record in records {
        let layer = match record.mask {
            Treatment::None => "-".into(),
            _ => record.from_layer.to_string(),
        };
        table.add_row([
            record.mask.to_string(),
            layer,
            record.scores.shown(record.scores.main()),
            interval(&record.scores),
            self::second(&record.scores).1,
            format!("{:.1}", record.seconds),
            "█".repeat((record.scores.main() / most * BAR).round() as usize),
        ]);
    }
    for column in table.column_iter_mut().skip(1).take(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

fn interval(scores: &Scores) -> String {
    match scores {
        Scores::Text(text) => {
            text.bleu_interval.map_or("".into(), |[low, high]| format!("{low:.1} to {high:.1}"))
        }
        Scores::Code(code) => {
            code.pass_at_1_interval.map_or("".into(), |[low, high]| format!("{low:.2} to {high:.2}"))
        }
    }
}

/// What else a table shows, with its name.
fn second(scores: &Scores) -> (&'static str, String) {
    match scores {
        Scores::Text(text) => ("chrF", format!("{:.2}", text.chrf)),
        Scores::Code(code) => {
            let passed = code.outcomes.get(&Verdict::Passed).unwrap_or(&0);
            ("passed", format!("{passed}/{}", code.outcomes.values().sum::<usize>()))
        }
    }
}

/// Where a curve suggests that the task is recognised: hiding from there on no longer hurts.
#[derive(Debug, Clone, PartialEq)]
pub struct Recognition {
    /// The first start layer from which the score stays at 95 % of the baseline or above, if there is one.
    pub stays: Option<usize>,
    /// The start layer whose score is the most above the one before, with both scores.
    pub jump: Option<(usize, f64, f64)>,
    /// Digits of the scores.
    pub digits: usize,
}

/// What the curve of a mask suggests.
///
/// `None` without a baseline above 0, or if some start layer is missing.
pub fn recognised(records: &[ScoreRecord], mask: Treatment) -> Option<Recognition> {
    let baseline = records.iter().find(|record| record.mask == Treatment::None)?;
    let digits = if matches!(baseline.scores, Scores::Code(_)) { 3 } else { 2 };
    let baseline = baseline.scores.main();
    let mut curve: Vec<_> = records.iter().filter(|record| record.mask == mask).collect();
    curve.sort_by_key(|record| record.from_layer);
    if baseline <= 0. || curve.is_empty() || curve.len() < curve[0].n_layers {
        return None;
    }
    let short = curve.iter().rposition(|record| record.scores.main() < 0.95 * baseline);
    let stays = curve.get(short.map_or(0, |index| index + 1)).map(|record| record.from_layer);
    let rises =
        curve.windows(2).map(|pair| (pair[1].from_layer, pair[0].scores.main(), pair[1].scores.main()));
    let jump = rises.filter(|(_, from, to)| to > from).max_by(|a, b| (a.2 - a.1).total_cmp(&(b.2 - b.1)));
    Some(Recognition { stays, jump, digits })
}

impl std::fmt::Display for Recognition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.stays {
            Some(layer) => {
                write!(f, "from layer {layer} on the score stays at 95 % of the baseline or above")?
            }
            None => f.write_str("no layer from which the score stays at 95 % of the baseline or above")?,
        }
        match self.jump {
            Some((layer, from, to)) => {
                let digits = self.digits;
                write!(f, "; largest jump at layer {layer} ({from:.digits$} to {to:.digits$})")
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record with this score; everything else is of no matter here.
    fn record(mask: &str, from_layer: usize, bleu: f64) -> ScoreRecord {
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

    #[test]
    fn a_curve_suggests_where_the_task_is_recognised() {
        let curve = |scores: [f64; 4]| {
            let mut records = vec![record("none", 4, 20.)];
            records.extend(scores.iter().enumerate().map(|(layer, &bleu)| record("TTF", layer, bleu)));
            recognised(&records, Treatment::Segments { instructions: true, examples: true, query: false })
        };
        let recognition = curve([1., 2., 19.5, 19.1]).expect("complete");
        assert_eq!(recognition, Recognition { stays: Some(2), jump: Some((2, 2., 19.5)), digits: 2 });
        assert_eq!(curve([1., 2., 19.5, 18.]).expect("complete").stays, None);
        assert_eq!(
            curve([20., 20., 20., 20.]).expect("complete"),
            Recognition { stays: Some(0), jump: None, digits: 2 }
        );
        assert_eq!(recognised(&[record("none", 4, 20.), record("all", 0, 1.)], Treatment::All), None);
        assert_eq!(recognised(&[record("none", 4, 0.)], Treatment::None), None);
    }

    #[test]
    fn the_table_has_a_row_a_cell() {
        let text = table(&[record("none", 4, 20.), record("TTF", 0, 10.)]);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.contains("20.00") && text.contains(&"█".repeat(24)), "{text}");
    }
}
