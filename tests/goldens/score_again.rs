//! The scores against another port of sacreBLEU, the crate `sacrebleu-rs`, on random lines: two programs that were written apart
//! and agree where no golden was made.
//!
//! It takes U+001C to U+001F for no white space, has no tokenizer `zh`, and rounds what is added to counts (`add-k`): on these it
//! differs from sacreBLEU, and is not asked.

use icl_mask::score::{Bleu, BleuStats, Chrf, ChrfStats, Smooth, Ter, TerStats, Tokenize};
use proptest::prelude::*;

/// What lines are strung together from.
const PIECES: [&str; 48] = [
    "the",
    "The",
    "a",
    "cat",
    "cats",
    ".",
    ",",
    "!",
    "?",
    ";",
    "-",
    "--",
    "...",
    "'s",
    "\"",
    "(",
    ")",
    "/",
    "&amp;",
    "&quot;",
    "&lt;",
    "%",
    "$",
    "€",
    "1",
    "10",
    "1,000",
    "1.5",
    "1999-2000",
    "5.",
    ".5",
    "la",
    "Être",
    "l'eau",
    "«bon»",
    "“x”",
    "—",
    "İ",
    "ß",
    "ΟΣ",
    "你",
    "世界，。",
    "東京",
    "한국",
    "😀",
    "½",
    "№",
    "x_y",
];
const GAPS: [&str; 8] = [" ", " ", " ", " ", "", "  ", "\u{a0}", "\u{3000}"];

/// A line and another one made of its words, some of them moved, dropped or replaced.
fn pair() -> impl Strategy<Value = (String, String)> {
    let word = (0..PIECES.len(), 0..GAPS.len());
    let line = prop::collection::vec(word.clone(), 0..30);
    (line, prop::collection::vec((any::<prop::sample::Index>(), word), 0..6), 0..30usize).prop_map(
        |(line, changes, turn)| {
            let mut other = line.clone();
            let turn = turn.min(other.len());
            other.rotate_left(turn);
            for (at, word) in changes.iter().filter(|_| !line.is_empty()) {
                match at.index(other.len().max(1) * 2) {
                    place if place < other.len() => other[place] = *word,
                    _ => drop(other.pop()),
                }
            }
            let join = |words: &[(usize, usize)]| -> String {
                words.iter().flat_map(|(piece, gap)| [PIECES[*piece], GAPS[*gap]]).collect()
            };
            (join(&other), join(&line))
        },
    )
}

fn close(ours: f64, theirs: f64, what: &str) -> Result<(), TestCaseError> {
    prop_assert!(
        (ours - theirs).abs() <= 1e-9 * theirs.abs().max(1.0),
        "{what}: {ours}, sacrebleu-rs {theirs}"
    );
    Ok(())
}

fn check(
    pairs: &[(String, String)],
    lowercase: bool,
    smooth: (&str, Option<f64>),
) -> Result<(), TestCaseError> {
    let hypotheses: Vec<String> = pairs.iter().map(|(hypothesis, _)| hypothesis.clone()).collect();
    let references = [pairs.iter().map(|(_, reference)| reference.clone()).collect::<Vec<_>>()];
    for tokenize in [Tokenize::V13a, Tokenize::Intl, Tokenize::Char, Tokenize::None] {
        let ours = Bleu {
            tokenize,
            lowercase,
            smooth: Smooth::new(smooth.0, smooth.1).expect("is valid"),
            ..Bleu::default()
        };
        let theirs = sacrebleu_rs::Bleu {
            lowercase,
            smooth_method: smooth.0.into(),
            smooth_value: smooth.1,
            tokenize: tokenize.name().into(),
            ..sacrebleu_rs::Bleu::default()
        };
        prop_assert_eq!(ours.signature(), theirs.signature(1));
        let total: BleuStats = pairs.iter().map(|(hyp, reference)| ours.stats(hyp, reference)).sum();
        let found = theirs.corpus_score(&hypotheses, &references);
        close(ours.score(&total).score, found.score, &ours.signature())?;
    }
    for word_order in [0, 2] {
        let ours = Chrf { word_order, lowercase, ..Chrf::default() };
        let theirs = sacrebleu_rs::Chrf { word_order, lowercase, ..sacrebleu_rs::Chrf::default() };
        prop_assert_eq!(ours.signature(), theirs.signature(1));
        let stats: Vec<ChrfStats> = pairs.iter().map(|(hyp, reference)| ours.stats(hyp, reference)).collect();
        let found = theirs.corpus_score(&hypotheses, &references);
        close(ours.score(&stats.iter().sum()), found.score, &ours.signature())?;
    }
    let ours = Ter { lowercase };
    let theirs = sacrebleu_rs::Ter { case_sensitive: !lowercase, ..sacrebleu_rs::Ter::default() };
    prop_assert_eq!(ours.signature(), theirs.signature(1));
    let stats: Vec<TerStats> = pairs.iter().map(|(hyp, reference)| ours.stats(hyp, reference)).collect();
    let found = theirs.corpus_score(&hypotheses, &references);
    close(ours.score(&stats.iter().sum()), found.score, &ours.signature())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn another_port_agrees(
        pairs in prop::collection::vec(pair(), 1..6),
        lowercase in any::<bool>(),
        smooth in prop::sample::select(vec![("exp", None), ("none", None), ("floor", None), ("floor", Some(0.37)), ("add-k", None)]),
    ) {
        check(&pairs, lowercase, smooth)?;
    }
}
