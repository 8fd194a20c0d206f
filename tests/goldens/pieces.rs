//! Pieces of SentencePiece models, and BLEU of them, against Python's sentencepiece and sacrebleu.
//!
//! `tests/goldens/make_pieces.py` makes the file and says how to run it.

use icl_mask::score::{Bleu, BleuStats, Pieces};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    pairs: Vec<(String, String)>,
    models: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    /// In Base64.
    model: String,
    lines: Vec<(String, Vec<String>)>,
    bleu: f64,
    sentences: Vec<f64>,
}

/// Set `ICL_MASK_PIECES` to a file of a model of your own to measure on it.
fn golden() -> Golden {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/pieces.json");
    let path = std::env::var("ICL_MASK_PIECES").unwrap_or_else(|_| here.into());
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn bytes(base64: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits = base64.trim_end_matches('=').as_bytes();
    let group = |group: &[u8]| {
        let number = group.iter().fold(0u32, |number, c| number << 6 | u32::from(digit(*c)));
        let whole = (number << (6 * (4 - group.len()))).to_be_bytes();
        whole[1..group.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}

#[test]
fn lines_are_cut_as_by_sentencepiece() {
    let golden = golden();
    let bleu = Bleu::default();
    for model in &golden.models {
        let pieces = Pieces::new(&bytes(&model.model)).expect("a model");
        for (line, wanted) in &model.lines {
            assert_eq!(&pieces.cut(line).expect("is cut"), wanted, "{line:?}");
        }
        let stats: Vec<BleuStats> = golden
            .pairs
            .iter()
            .map(|(hyp, reference)| pieces.bleu_stats(&bleu, hyp, reference).expect("is cut"))
            .collect();
        for ((stats, wanted), pair) in stats.iter().zip(&model.sentences).zip(&golden.pairs) {
            assert!((bleu.score(stats).score - wanted).abs() < 1e-9, "{pair:?}");
        }
        assert!((bleu.score(&stats.iter().sum()).score - model.bleu).abs() < 1e-9);
        println!("{}: {} lines equal", pieces.name(), model.lines.len());
    }
}

#[test]
fn a_damaged_model_is_refused_and_never_panics() {
    let golden = golden();
    let whole = bytes(&golden.models[0].model);
    for end in (0..whole.len()).step_by(37) {
        if let Ok(pieces) = Pieces::new(&whole[..end]) {
            let _ = pieces.cut("the cat ﬁne \u{a0}");
        }
    }
    for at in (0..whole.len()).step_by(11) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        if let Ok(pieces) = Pieces::new(&damaged) {
            let _ = pieces.cut("the cat ﬁne \u{a0} e\u{301} ... 1/2");
        }
    }
    let error = Pieces::new(b"no model").expect_err("is refused").to_string();
    assert!(error.contains("is no SentencePiece model"), "{error}");
}
