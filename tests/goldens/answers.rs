//! Short answers against torchmetrics' SQuAD metric and lm-evaluation-harness.
//!
//! `tests/goldens/make_answers.py` makes the file and says how to run it.

use icl_mask::score::{AnswerRule, Extract, Normalise, Pick, token_f1};
use serde::Deserialize;

/// torchmetrics computes F1 in single precision.
const TOLERANCE: f64 = 1e-6;

#[derive(Deserialize)]
struct Golden {
    pairs: Vec<Pair>,
    texts: Vec<String>,
    regex: Vec<Taken>,
}

/// An answer, the right ones, SQuAD's exact match and F1, the answer as SQuAD normalises it, and exact match with the first right
/// answer for each choice of case, punctuation and numbers.
#[derive(Deserialize)]
struct Pair(String, Vec<String>, f64, f64, String, String);

/// A pattern, and what it takes out of each text as the first match and as the last.
#[derive(Deserialize)]
struct Taken(String, Vec<String>, Vec<String>);

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/answers.json");
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn answers_are_judged_as_by_squad() {
    let golden = golden();
    let rule = AnswerRule { normalise: Normalise::SQUAD, ..AnswerRule::default() };
    let mut worst: f64 = 0.;
    for Pair(answer, right, exact, f1, normalised, _) in &golden.pairs {
        assert_eq!(&Normalise::SQUAD.apply(answer), normalised, "{answer:?}");
        let judged = rule.judge(answer, right).expect("is judged");
        assert_eq!(f64::from(u8::from(judged.exact)), *exact, "{answer:?} {right:?}");
        worst = worst.max((judged.f1 - f1).abs());
        assert!(worst <= TOLERANCE, "{answer:?} {right:?}: {}, torchmetrics {f1}", judged.f1);
        let best = right.iter().map(|right| token_f1(normalised, &Normalise::SQUAD.apply(right)));
        assert_eq!(best.fold(0., f64::max), judged.f1);
    }
    println!("SQuAD: {} answers, worst F1 {worst:e}", golden.pairs.len());
}

#[test]
fn exact_match_is_that_of_the_harness() {
    let golden = golden();
    for Pair(answer, right, .., matches) in &golden.pairs {
        for (bits, matches) in matches.chars().enumerate() {
            let [case, punctuation, numbers] = [4, 2, 1].map(|bit| bits & bit != 0);
            let rule = AnswerRule {
                normalise: Normalise { case, punctuation, numbers, ..Normalise::NONE },
                ..AnswerRule::default()
            };
            let judged = rule.judge(answer, &right[..1]).expect("is judged");
            assert_eq!(judged.exact, matches == '1', "{answer:?} {:?} {}", right[0], rule.normalise);
        }
    }
}

#[test]
fn a_pattern_takes_what_the_harness_takes() {
    let golden = golden();
    let mut cases = 0;
    for Taken(pattern, first, last) in &golden.regex {
        let extract = Extract::new(pattern).unwrap_or_else(|error| panic!("{error}"));
        for (which, wanted) in [(Pick::First, first), (Pick::Last, last)] {
            for (text, wanted) in golden.texts.iter().zip(wanted) {
                let taken = extract.apply(text, which).expect("is found or not");
                assert_eq!(&taken, wanted, "{pattern} {which:?} {text:?}");
                cases += 1;
            }
        }
    }
    println!("patterns: {cases} cases equal");
}
