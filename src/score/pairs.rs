//! Scores of many hypotheses against their references, from the statistics of each pair.

use super::python;
use super::{Bleu, BleuScore, BleuStats, Bootstrap, Chrf, ChrfStats, Interval, Tokenize};
use crate::base::error::input;

/// The sufficient statistics of one hypothesis and its reference, to be stored with the generation.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct PairStats {
    /// Those of BLEU.
    pub bleu: BleuStats,
    /// Those of chrF.
    pub chrf: ChrfStats,
}

impl PairStats {
    /// Those of some pairs together: of the samples of one item.
    pub fn sum(pairs: &[Self]) -> Self {
        let mut all = Self::default();
        for pair in pairs {
            all.bleu += &pair.bleu;
            all.chrf += &pair.chrf;
        }
        all
    }
}

/// The metrics that every text is scored with.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct TextScorer {
    /// BLEU's settings.
    pub bleu: Bleu,
    /// chrF's settings.
    pub chrf: Chrf,
    /// How the intervals are drawn.
    pub bootstrap: Bootstrap,
}

/// The scores of a corpus. Signatures say which settings they belong to.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CorpusScore {
    /// Pairs scored.
    pub n: usize,
    /// Corpus BLEU.
    pub bleu: BleuScore,
    /// sacrebleu's signature of that BLEU.
    pub bleu_signature: String,
    /// 95 % interval of the BLEU score over pairs; absent where there is nothing to resample.
    pub bleu_interval: Option<Interval>,
    /// Corpus chrF, 0 to 100.
    pub chrf: f64,
    /// sacrebleu's signature of that chrF.
    pub chrf_signature: String,
    /// 95 % interval of chrF over pairs; absent where there is nothing to resample.
    pub chrf_interval: Option<Interval>,
}

impl TextScorer {
    /// sacrebleu's defaults with another tokenizer and case rule for BLEU.
    ///
    /// chrF keeps case: sacrebleu's command line too has a switch of its own for that (`--chrf-lowercase`).
    pub fn new(tokenize: Tokenize, lowercase: bool) -> Self {
        TextScorer { bleu: Bleu { tokenize, lowercase, ..Bleu::default() }, ..TextScorer::default() }
    }

    /// The statistics of one pair.
    pub fn pair(&self, hypothesis: &str, reference: &str) -> PairStats {
        PairStats {
            bleu: self.bleu.stats(hypothesis, reference),
            chrf: self.chrf.stats(hypothesis, reference),
        }
    }

    /// The BLEU of one sentence: only orders that its length allows count, as sacrebleu advises for sentences.
    pub fn sentence_bleu(&self, pair: &PairStats) -> BleuScore {
        Bleu { effective_order: true, ..self.bleu }.score(&pair.bleu)
    }

    /// The scores of a corpus and their intervals, from the statistics of its pairs.
    pub fn corpus(&self, pairs: &[PairStats]) -> CorpusScore {
        let bleu: Vec<BleuStats> = pairs.iter().map(|pair| pair.bleu).collect();
        let chrf: Vec<ChrfStats> = pairs.iter().map(|pair| pair.chrf.clone()).collect();
        CorpusScore {
            n: pairs.len(),
            bleu: self.bleu.score(&bleu.iter().sum()),
            bleu_signature: self.bleu.signature(),
            bleu_interval: self.bootstrap.of_sums(&bleu, |total| self.bleu.score(total).score),
            chrf: self.chrf.score(&chrf.iter().sum()),
            chrf_signature: self.chrf.signature(),
            chrf_interval: self.bootstrap.of_sums(&chrf, |total| self.chrf.score(total)),
        }
    }

    /// Scores line i of `hypotheses` against line i of `references`.
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) where the numbers of lines differ, naming both, and where there
    /// are none.
    pub fn lines(&self, hypotheses: &[String], references: &[String]) -> anyhow::Result<CorpusScore> {
        let (hyp, refs) = (hypotheses.len(), references.len());
        if hyp != refs {
            return Err(input(format!(
                "{hyp} hypothesis lines against {refs} reference lines: give each hypothesis one reference line"
            )));
        }
        if hyp == 0 {
            return Err(input("no lines to score: both the hypotheses and the references are empty"));
        }
        let pairs: Vec<PairStats> =
            hypotheses.iter().zip(references).map(|(hyp, reference)| self.pair(hyp, reference)).collect();
        Ok(self.corpus(&pairs))
    }
}

/// A file's lines as sacrebleu's command line reads them: only `\n` ends a line, white space at a line's end is
/// dropped (so is the `\r` of `\r\n`), and a last `\n` starts no further line.
pub fn split_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<&str> = text.split('\n').collect();
    if lines.last() == Some(&"") {
        lines.pop();
    }
    lines.into_iter().map(|line| python::rstrip(line).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::InputError;

    fn lines(text: &str) -> Vec<String> {
        split_lines(text)
    }

    #[test]
    fn lines_end_only_at_newlines() {
        assert_eq!(lines("a\r\nb\u{2028}c \n\nd"), ["a", "b\u{2028}c", "", "d"]);
        assert_eq!(lines("a\n"), ["a"]);
        assert!(lines("").is_empty());
    }

    #[test]
    fn a_mismatch_names_both_counts() {
        let scorer = TextScorer::default();
        for (hyp, refs, says) in
            [("a\nb\n", "a\n", "2 hypothesis lines against 1 reference"), ("", "", "no lines")]
        {
            let error = scorer.lines(&lines(hyp), &lines(refs)).expect_err("does not fit");
            assert!(error.to_string().contains(says), "{error}");
            assert!(error.is::<InputError>());
        }
    }

    #[test]
    fn stored_statistics_give_the_score_again() {
        let scorer = TextScorer::new(Tokenize::Intl, true);
        let (hyp, refs) = (lines("The cat sat .\nA dog\n"), lines("the cat sat down.\na dog barks\n"));
        let pairs: Vec<PairStats> = hyp.iter().zip(&refs).map(|(h, r)| scorer.pair(h, r)).collect();
        let stored = serde_json::to_string(&pairs).expect("serialises");
        let read: Vec<PairStats> = serde_json::from_str(&stored).expect("reads back");
        let score = scorer.corpus(&read);
        assert_eq!(score, scorer.lines(&hyp, &refs).expect("fits"));
        let interval = score.bleu_interval.expect("has items");
        assert!(interval.low <= interval.mean && interval.mean <= interval.high);
        assert_eq!(score.bleu_signature, "nrefs:1|case:lc|eff:no|tok:intl|smooth:exp|version:2.6.0");
        assert!(scorer.sentence_bleu(&pairs[1]).score > 0.0);
    }
}
