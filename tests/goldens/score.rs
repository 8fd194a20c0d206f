//! The scores against Python's: sacrebleu for BLEU, chrF and TER, NLTK and pandas for the study's clean-up.
//!
//! `tests/goldens/make_bleu.py`, `make_ter.py` and `tests/peers/nltk_sentences.py` make the files and say how to run them.

use icl_mask::score::{Bleu, BleuStats, Bootstrap, Chrf, ChrfStats, Smooth, Ter, TerStats};
use icl_mask::score::{first_sentence, sia2024, sia2024_hypothesis};
use serde_json::Value;

/// Largest relative difference from sacrebleu that counts as equal.
const TOLERANCE: f64 = 1e-9;

fn golden(name: &str) -> Value {
    let path = format!("{}/tests/goldens/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_else(|| panic!("{value} is no list"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn flag(value: &Value) -> bool {
    value.as_bool().unwrap_or(false)
}

fn pairs(golden: &Value) -> Vec<(&str, &str)> {
    list(&golden["pairs"]).iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

/// Panics where the two differ by more than the tolerance; returns the relative difference.
fn close(ours: f64, theirs: &Value, what: &str) -> f64 {
    let theirs = number(theirs);
    let difference = if ours == theirs { 0.0 } else { (ours - theirs).abs() / theirs.abs() };
    assert!(difference <= TOLERANCE, "{what}: {ours}, sacrebleu {theirs}");
    difference
}

fn bleu_of(case: &Value) -> Bleu {
    Bleu {
        tokenize: text(&case["tokenize"]).parse().expect("is a known tokenizer"),
        lowercase: flag(&case["lowercase"]),
        smooth: Smooth::new(text(&case["smooth"]), case["value"].as_f64()).expect("is a known method"),
        effective_order: flag(&case["effective_order"]),
    }
}

fn chrf_of(case: &Value) -> Chrf {
    let plain = Chrf::default();
    let order = |name: &str, default| case[name].as_u64().map_or(default, |order| order as usize);
    Chrf {
        char_order: order("char_order", plain.char_order),
        word_order: order("word_order", plain.word_order),
        beta: order("beta", plain.beta as usize) as u32,
        lowercase: flag(&case["lowercase"]),
        whitespace: flag(&case["whitespace"]),
        eps_smoothing: flag(&case["eps_smoothing"]),
    }
}

#[test]
fn bleu_equals_sacrebleu() {
    let golden = golden("bleu.json");
    let pairs = pairs(&golden);
    let mut worst: f64 = 0.0;
    for case in list(&golden["bleu"]) {
        let bleu = bleu_of(case);
        let signature = bleu.signature();
        assert_eq!(signature, text(&case["signature"]));
        let stats: Vec<BleuStats> = pairs.iter().map(|(hyp, reference)| bleu.stats(hyp, reference)).collect();
        for ((stats, theirs), pair) in stats.iter().zip(list(&case["sentences"])).zip(&pairs) {
            worst = worst.max(close(bleu.score(stats).score, theirs, &format!("{signature} {pair:?}")));
        }
        let corpus = bleu.score(&stats.iter().sum());
        assert_eq!(corpus.to_string(), text(&case["line"]));
        assert_eq!(
            (Some(corpus.sys_len), Some(corpus.ref_len)),
            (case["sys_len"].as_u64(), case["ref_len"].as_u64())
        );
        worst = worst.max(close(corpus.score, &case["score"], &signature));
        worst = worst.max(close(corpus.brevity_penalty, &case["brevity_penalty"], &signature));
        for (ours, theirs) in corpus.precisions.iter().zip(list(&case["precisions"])) {
            worst = worst.max(close(*ours, theirs, &signature));
        }
    }
    println!("BLEU: {} pairs, {} settings, worst {worst:e}", pairs.len(), list(&golden["bleu"]).len());
}

#[test]
fn chrf_equals_sacrebleu() {
    let golden = golden("bleu.json");
    let pairs = pairs(&golden);
    let mut worst: f64 = 0.0;
    for case in list(&golden["chrf"]) {
        let chrf = chrf_of(case);
        let signature = chrf.signature();
        assert_eq!(
            (signature.as_str(), chrf.name().as_str()),
            (text(&case["signature"]), text(&case["name"]))
        );
        let stats: Vec<ChrfStats> = pairs.iter().map(|(hyp, reference)| chrf.stats(hyp, reference)).collect();
        for ((stats, theirs), pair) in stats.iter().zip(list(&case["sentences"])).zip(&pairs) {
            worst = worst.max(close(chrf.score(stats), theirs, &format!("{signature} {pair:?}")));
        }
        worst = worst.max(close(chrf.score(&stats.iter().sum()), &case["score"], &signature));
    }
    println!("chrF: {} pairs, {} settings, worst {worst:e}", pairs.len(), list(&golden["chrf"]).len());
}

#[test]
fn ter_equals_sacrebleu() {
    let (bleu, ter) = (golden("bleu.json"), golden("ter.json"));
    // The pairs that were written by hand come first in both files.
    let by_hand = list(&ter["ter"][0]["edits"]).len() - list(&ter["pairs"]).len();
    let every: Vec<_> = pairs(&bleu).into_iter().take(by_hand).chain(pairs(&ter)).collect();
    let mut worst: f64 = 0.0;
    for case in list(&ter["ter"]) {
        let metric = Ter { lowercase: flag(&case["lowercase"]) };
        let signature = metric.signature();
        assert_eq!(signature, text(&case["signature"]));
        let stats: Vec<TerStats> =
            every.iter().map(|(hyp, reference)| metric.stats(hyp, reference)).collect();
        assert_eq!(stats.len(), list(&case["edits"]).len());
        for (at, pair) in every.iter().enumerate() {
            let what = format!("{signature} {pair:?}");
            assert_eq!(Some(stats[at].edits), case["edits"][at].as_u64(), "{what}");
            worst = worst.max(close(metric.score(&stats[at]), &case["sentences"][at], &what));
        }
        worst = worst.max(close(metric.score(&stats.iter().sum()), &case["score"], &signature));
    }
    println!("TER: {} pairs, worst {worst:e}", every.len());
}

#[test]
fn the_bootstrap_interval_is_about_as_wide_as_sacrebleus() {
    let golden = golden("bleu.json");
    let bleu = Bleu::default();
    let stats: Vec<BleuStats> =
        pairs(&golden).iter().map(|(hyp, reference)| bleu.stats(hyp, reference)).collect();
    let ours = Bootstrap::default().of_sums(&stats, |total| bleu.score(total).score).expect("has items");
    let (mean, half_width) =
        (number(&golden["bootstrap"]["mean"]), number(&golden["bootstrap"]["half_width"]));
    // Other random numbers, same distribution: a thousand resamples pin the mean and the ends to a few per cent.
    assert!((ours.mean - mean).abs() < 0.15 * half_width, "{ours:?}, sacrebleu {mean}");
    let ratio = (ours.high - ours.low) / 2.0 / half_width;
    assert!((0.88..1.12).contains(&ratio), "{ours:?}, sacrebleu +- {half_width}");
}

/// The file that the sentence test reads; set it to one made from your own texts to measure on them.
fn sentence_file() -> String {
    std::env::var("ICL_MASK_SENTENCES").unwrap_or_else(|_| "sentences.json".to_owned())
}

#[test]
fn the_first_sentence_is_nltks_given_our_word_lists() {
    let golden = match sentence_file() {
        name if name.contains('/') => {
            let text = std::fs::read_to_string(&name).unwrap_or_else(|error| panic!("{name}: {error}"));
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
        }
        name => golden(&name),
    };
    let cases = list(&golden["sentences"]);
    for case in cases {
        assert_eq!(first_sentence(text(&case[0])), text(&case[1]), "of {:?}", text(&case[0]));
    }
    println!("first sentences: {} texts equal", cases.len());
}

#[test]
fn the_studys_clean_up_is_pythons() {
    let golden = golden("sentences.json");
    for case in list(&golden["clean"]) {
        let [raw, question, answer, stored, scored] = [0, 1, 2, 3, 4].map(|at| text(&case[at]));
        assert_eq!(sia2024(raw, question, answer), stored, "of {raw:?}");
        assert_eq!(sia2024_hypothesis(stored), scored, "of {raw:?}");
    }
}
