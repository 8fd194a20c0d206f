//! Anyone's text against references, line by line.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use crate::base::console::{say, say_json};
use crate::base::error::input;
use crate::cli::ScoreArgs;
use crate::score::{self, CorpusScore, Scored, TextScorer, Tokenize, split_lines};

/// Score a file of hypotheses against one of references.
pub fn score_files(hyp: &Path, reference: &Path, args: &ScoreArgs) -> Result<()> {
    let tokenize: Tokenize = args.tokenize.parse().map_err(|e| input(format!("--tokenize: {e}")))?;
    let scorer = TextScorer::new(tokenize, args.lowercase);
    let lines = |path: &Path| super::given(path).map(|text| split_lines(&text));
    let pieces = args.sentencepiece.as_deref().map(super::pieces).transpose()?;
    let (hyp, reference) = (lines(hyp)?, lines(reference)?);
    let scores = scorer.lines(&hyp, &reference)?;
    let pairs: Vec<(&str, &str)> =
        hyp.iter().map(String::as_str).zip(reference.iter().map(String::as_str)).collect();
    let pieces = pieces.map(|pieces| scorer.piece_bleu(&pieces, &pairs)).transpose()?;
    let further = [
        ("chrf++", "chrF2++", &scores.chrf_with_words),
        ("ter", "TER", &scores.ter),
        ("spbleu", "spBLEU", &pieces),
    ];
    if args.json { say_json(&json_of(&scores, &further)) } else { say(&text_of(&scores, &further)) }
}

/// A score beside BLEU and chrF: its key, its name, and the score where it was asked for.
type Further<'a> = (&'a str, &'a str, &'a Option<Scored>);

fn json_of(scores: &CorpusScore, further: &[Further]) -> serde_json::Value {
    let [bleu1, bleu2, bleu3, bleu4] = scores.bleu.precisions;
    let pair = |interval: &Option<score::Interval>| interval.map(|interval| [interval.low, interval.high]);
    let mut value = json!({
        "n": scores.n,
        "bleu": scores.bleu.score,
        "bleu_interval": pair(&scores.bleu_interval),
        "bleu1": bleu1, "bleu2": bleu2, "bleu3": bleu3, "bleu4": bleu4,
        "brevity_penalty": scores.bleu.brevity_penalty,
        "sys_len": scores.bleu.sys_len, "ref_len": scores.bleu.ref_len,
        "chrf": scores.chrf,
        "chrf_interval": pair(&scores.chrf_interval),
        "signature": scores.bleu_signature,
        "chrf_signature": scores.chrf_signature,
    });
    for (key, _, scored) in further {
        if let Some(scored) = scored {
            value[*key] = scored.score.into();
            value[format!("{key}_interval")] = json!(pair(&scored.interval));
            value[format!("{key}_signature")] = scored.signature.as_str().into();
        }
    }
    value
}

fn text_of(scores: &CorpusScore, further: &[Further]) -> String {
    let interval = |interval: &Option<score::Interval>| {
        interval.map_or(String::new(), |i| format!("  95 % interval {:.2} to {:.2}", i.low, i.high))
    };
    let mut text = format!(
        "{}{}\n{}\nchrF2 = {:.2}{}\n{}",
        scores.bleu,
        interval(&scores.bleu_interval),
        scores.bleu_signature,
        scores.chrf,
        interval(&scores.chrf_interval),
        scores.chrf_signature
    );
    for (_, name, scored) in further {
        if let Some(Scored { score, interval: ends, signature }) = scored {
            text += &format!("\n{name} = {score:.2}{}\n{signature}", interval(ends));
        }
    }
    text
}
