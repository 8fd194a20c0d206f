//! What `score` is given: hypotheses and references, programs and their problems. The first byte says which of them the input is;
//! the file beside it is right.
#![no_main]

mod common;
mod mutate;

use std::path::Path;
use std::sync::Once;

use anyhow::Result;
use icl_mask::base::error::input;
use icl_mask::base::inputs::{MOST_TEXT, text};
use icl_mask::score::{TextScorer, Tokenize, split_lines};
use icl_mask::verbs::programs;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

const FILES: [&str; 6] =
    ["hypotheses.txt", "references.txt", "programs.jsonl", "problems.jsonl", "hypotheses.gz", "programs.gz"];
const TOKENIZE: [Tokenize; 5] =
    [Tokenize::V13a, Tokenize::Intl, Tokenize::Char, Tokenize::Zh, Tokenize::None];

fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    mutate::mutate(data, size, most, seed, 1, &[])
});

fuzz_target!(|bytes: &[u8]| {
    static RIGHT: Once = Once::new();
    RIGHT.call_once(|| FILES.iter().for_each(|file| common::restore("score", file)));
    let Some((which, rest)) = bytes.split_first() else { return };
    let which = usize::from(*which);
    let file = FILES[which % FILES.len()];
    common::file(&format!("score/{file}"), rest);
    let folder = common::FOLDER.join("score");
    let given = |usual: &str| folder.join(if file.ends_with(".gz") { file } else { usual });
    match which % FILES.len() {
        0 | 1 | 4 => {
            let tokenize = TOKENIZE[which / FILES.len() % TOKENIZE.len()];
            let scored = texts(&given("hypotheses.txt"), &folder.join("references.txt"), tokenize, bytes);
            common::judge(scored, bytes);
        }
        _ => {
            let problems = folder.join("problems.jsonl").display().to_string();
            common::judge(programs(&given("programs.jsonl"), &problems), bytes);
        }
    }
    common::restore("score", file);
});

/// Each pair is compared; some inputs are scored as a whole, which resamples a thousand times.
fn texts(hypotheses: &Path, references: &Path, tokenize: Tokenize, bytes: &[u8]) -> Result<()> {
    let lines = |path: &Path| {
        let text = text(path, MOST_TEXT).map_err(|trouble| trouble.about(path));
        text.map(|text| split_lines(&text))
    };
    let (hypotheses, references) = (lines(hypotheses)?, lines(references)?);
    let scorer = TextScorer::new(tokenize, bytes.len().is_multiple_of(2));
    if common::one_of(16, bytes) && hypotheses.len() < 100 {
        return scorer.lines(&hypotheses, &references).map(drop);
    }
    for (hypothesis, reference) in hypotheses.iter().zip(&references) {
        let pair = scorer.pair(hypothesis, reference);
        let score = scorer.sentence_bleu(&pair).score;
        assert!((0. ..=100.000_001).contains(&score), "BLEU {score}");
    }
    if hypotheses.len() == references.len() { Ok(()) } else { Err(input("as many lines as the other file")) }
}
