//! Generations, as they are in the files: a line each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::Stop;
use crate::score::BleuStats;
use crate::tasks::{Measure, Outcome, WrittenOutcome};

/// A line of `layer-<l>.jsonl`: one generation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WrittenLine")]
pub struct GenerationLine {
    /// Which test item.
    pub id: String,
    /// Tokens of its prompt.
    pub prompt_tokens: usize,
    /// The text as generated.
    pub text: String,
    /// The text as scored.
    pub clean: String,
    /// Generated token ids, the one that stopped it included.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub stop: Stop,
    /// Which of several generations of the item.
    #[serde(default, skip_serializing_if = "is_first")]
    pub sample: usize,
    /// What another program says of it, by the name of the score.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub imported: BTreeMap<String, f64>,
    /// What it adds to BLEU of the pieces of SentencePiece models, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub spbleu: BTreeMap<String, BleuStats>,
    /// What it adds to the scores.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl GenerationLine {
    /// The measures that were added to what its task measures.
    pub fn added(&self) -> impl Iterator<Item = Measure> {
        let imported = self.imported.keys().map(|name| Measure::imported(name));
        imported.chain(self.spbleu.keys().map(|name| Measure::of_pieces(name)))
    }
}

fn is_first(sample: &usize) -> bool {
    *sample == 0
}

/// A line of `layer-<l>.partial.jsonl`: a generation of a cell that is not finished yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WrittenLine")]
pub struct PartialLine {
    /// The generation.
    #[serde(flatten)]
    pub line: GenerationLine,
    /// Its share of the computing time.
    pub seconds: f64,
    /// What it took, where it was computed by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiply_adds: Option<u64>,
}

/// The fields of both kinds of lines, as they are in the files.
#[derive(Deserialize)]
struct WrittenLine {
    id: String,
    prompt_tokens: usize,
    text: String,
    clean: String,
    tokens: Vec<u32>,
    stop: Stop,
    #[serde(default)]
    sample: usize,
    #[serde(default)]
    imported: BTreeMap<String, f64>,
    #[serde(default)]
    spbleu: BTreeMap<String, BleuStats>,
    #[serde(flatten)]
    outcome: WrittenOutcome,
    seconds: Option<f64>,
    multiply_adds: Option<u64>,
}

impl WrittenLine {
    /// The generation, finished or not.
    fn line(self) -> Result<GenerationLine, &'static str> {
        let Self { id, prompt_tokens, text, clean, tokens, stop, sample, imported, spbleu, outcome, .. } =
            self;
        if !spbleu.values().all(BleuStats::is_possible) {
            return Err("has counts under `spbleu` that no text can have");
        }
        let outcome = outcome.try_into()?;
        Ok(GenerationLine { id, prompt_tokens, text, clean, tokens, stop, sample, imported, spbleu, outcome })
    }
}

impl TryFrom<WrittenLine> for GenerationLine {
    type Error = &'static str;

    fn try_from(written: WrittenLine) -> Result<Self, Self::Error> {
        let line = written.line()?;
        match line.outcome.is_pending() {
            true => Err("has neither `stats` nor `verdict` nor `options` nor `judged`"),
            false => Ok(line),
        }
    }
}

impl TryFrom<WrittenLine> for PartialLine {
    type Error = &'static str;

    fn try_from(written: WrittenLine) -> Result<Self, Self::Error> {
        let (seconds, multiply_adds) = (written.seconds, written.multiply_adds);
        let line = written.line()?;
        Ok(Self { line, seconds: seconds.ok_or("has no `seconds`")?, multiply_adds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(more: &str) -> String {
        format!(r#"{{"id":"a","prompt_tokens":3,"text":"x","clean":"x","tokens":[1],"stop":"eos"{more}}}"#)
    }

    const STATS: &str =
        r#","stats":{"bleu":{"sys_len":0,"ref_len":0,"matches":[0,0,0,0],"totals":[0,0,0,0]},"chrf":[]}"#;

    #[test]
    fn a_finished_generation_is_of_one_kind() {
        let read =
            |more: &str| serde_json::from_str::<GenerationLine>(&line(more)).map_err(|e| e.to_string());
        let text = read(STATS).expect("a text");
        assert!(matches!(text.outcome, Outcome::Text { .. }));
        assert_eq!(serde_json::to_string(&text).expect("written"), line(STATS));
        assert!(matches!(
            read(r#","verdict":"passed""#).expect("a program").outcome,
            Outcome::Program { .. }
        ));
        for (more, says) in [
            ("", "neither `stats` nor `verdict`"),
            (r#","stat":{}"#, "neither `stats` nor `verdict`"),
            (r#","reason":"x""#, "`reason` without a `verdict`"),
            (&format!(r#"{STATS},"verdict":"passed""#), "beside `verdict`"),
            (r#","verdict":"good""#, "unknown variant"),
            (r#","stats":{"bleu":1}"#, "invalid"),
            (
                &format!(
                    r#"{STATS},"spbleu":{{"m":{{"sys_len":0,"ref_len":0,"matches":[0,0,0,0],"totals":[1,0,0,0]}}}}"#
                ),
                "`spbleu` that no text can have",
            ),
        ] {
            let error = read(more).expect_err(more);
            assert!(error.contains(says), "{more}: {error}");
        }
    }

    #[test]
    fn an_unfinished_program_may_wait() {
        let read = |more: &str| serde_json::from_str::<PartialLine>(&line(more)).map_err(|e| e.to_string());
        let waiting = read(r#","seconds":0.5"#).expect("it waits");
        assert_eq!((waiting.line.outcome, waiting.seconds), (Outcome::Pending {}, 0.5));
        assert!(read("").expect_err("no time").contains("`seconds`"));
    }
}
