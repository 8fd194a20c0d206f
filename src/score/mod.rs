//! From generated text to numbers: clean it, cut it into tokens, count what matches, score, resample; or run it.
//!
//! ```text
//! raw text -> clean (sentence) -> tokenize -> ngram -> bleu, chrf; ter; language -> pairs -> bootstrap
//! raw text -> clean -> code (program) -> sandbox (verdict) -> code (pass@k) -> bootstrap
//! raw text -> clean -> answer (extracted, normalised, compared with right answers)
//! ```
//!
//! BLEU, chrF, chrF++ and TER equal Python sacrebleu 2.6.0 with one reference: the golden test compares scores to 1e-9 and signatures
//! letter by letter. Every item keeps its sufficient statistics ([`PairStats`]), so that a corpus score, an
//! interval or another grouping of the items needs no text again.

mod answer;
mod bleu;
mod bootstrap;
mod chrf;
mod clean;
mod code;
mod labels;
mod language;
mod ngram;
mod pairs;
mod pieces;
mod python;
mod sentence;
mod ter;
mod tokenize;

pub use answer::{Answer, AnswerRule, Extract, INVALID, Normalise, Pick};
pub use answer::{first_line, is_near, number, token_f1};
pub use bleu::{Bleu, BleuScore, BleuStats, MAX_ORDER, Smooth};
pub use bootstrap::{Bootstrap, Interval, Resamples};
pub use chrf::{Chrf, ChrfStats};
pub use clean::{exact, exact_code, sia2024, sia2024_hypothesis};
pub use code::{Assembly, PassScore, pass_at_k, reported_ks};
pub use labels::{Confidence, Labelled, calibration_error, macro_f1};
pub use language::Language;
pub use pairs::{CorpusScore, PairStats, Scored, TextScorer, split_lines};
pub use pieces::Pieces;
pub use sentence::first_sentence;
pub use ter::{Ter, TerStats};
pub use tokenize::Tokenize;

/// The sacrebleu version whose scores and signatures these are.
pub const SACREBLEU_VERSION: &str = "2.6.0";
