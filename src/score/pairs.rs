//! Scores of many hypotheses against their references, from the statistics of each pair.

use super::language::DETECTOR;
use super::python;
use super::{
    Bleu, BleuScore, BleuStats, Bootstrap, Chrf, ChrfStats, Interval, Pieces, Ter, TerStats, Tokenize,
};
use crate::base::error::input;

/// The sufficient statistics of one hypothesis and its reference, to be stored with the generation.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct PairStats {
    /// Those of BLEU.
    pub bleu: BleuStats,
    /// Those of chrF.
    pub chrf: ChrfStats,
    /// What chrF++ counts beside what chrF counts: n-grams of words. Version 0.1 did not store it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<ChrfStats>,
    /// Those of TER. Version 0.1 did not store them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ter: Option<TerStats>,
    /// Hypotheses that are in the target language: 0 or 1 of one pair. Absent where that cannot be told, and in results of
    /// version 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<u64>,
}

impl PairStats {
    /// Those of some pairs together: of the samples of one item. What one of them lacks, the sum lacks.
    pub fn sum<'a>(pairs: impl IntoIterator<Item = &'a Self>) -> Self {
        let pairs: Vec<&Self> = pairs.into_iter().collect();
        Self {
            bleu: pairs.iter().map(|pair| &pair.bleu).sum(),
            chrf: pairs.iter().map(|pair| &pair.chrf).sum(),
            words: all(&pairs, |pair| pair.words.as_ref()).map(|all| all.into_iter().sum()),
            ter: all(&pairs, |pair| pair.ter.as_ref()).map(|all| all.into_iter().sum()),
            language: all(&pairs, |pair| pair.language).map(|all| all.into_iter().sum()),
        }
    }

    /// What chrF++ counts: the n-grams of characters, then those of words. `None` where the latter were not stored.
    pub fn chrf_with_words(&self) -> Option<ChrfStats> {
        self.words.as_ref().map(|words| self.chrf.followed_by(words))
    }

    /// Counts that one text can have: a damaged file must not overflow a sum.
    pub fn is_possible(&self) -> bool {
        let orders = [self.chrf.counts.len(), self.words.as_ref().map_or(0, |words| words.counts.len())];
        let are_whole = self.words.is_none() || orders == [Chrf::default().char_order, CHRF_WORDS];
        are_whole
            && self.bleu.is_possible()
            && self.chrf.is_possible()
            && self.words.as_ref().is_none_or(ChrfStats::is_possible)
            && self.ter.is_none_or(|ter| ter.is_possible())
            && self.language.is_none_or(|language| language <= 1)
    }

    /// These statistics without those that `other` lacks, to be compared with what an earlier version stored.
    pub fn limited_to(self, other: &Self) -> Self {
        Self {
            words: self.words.filter(|_| other.words.is_some()),
            ter: self.ter.filter(|_| other.ter.is_some()),
            language: self.language.filter(|_| other.language.is_some()),
            ..self
        }
    }
}

/// One statistic of all pairs; `None` where a pair lacks it, or where there is no pair.
fn all<'a, T>(pairs: &[&'a PairStats], one: impl Fn(&'a PairStats) -> Option<T>) -> Option<Vec<T>> {
    if pairs.is_empty() { None } else { pairs.iter().copied().map(one).collect() }
}

/// The longest n-gram of words that chrF++ counts.
const CHRF_WORDS: usize = 2;

/// The metrics that every text is scored with.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct TextScorer {
    /// BLEU's settings.
    pub bleu: Bleu,
    /// chrF's settings. chrF++ has the same, and counts words.
    pub chrf: Chrf,
    /// TER's settings.
    #[serde(default)]
    pub ter: Ter,
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
    /// Corpus chrF++, 0 to 100; absent where a pair was stored without it.
    pub chrf_with_words: Option<Scored>,
    /// Corpus TER in percent, 0 or more, of which less is better; absent where a pair was stored without it.
    pub ter: Option<Scored>,
    /// Share of hypotheses that are in the target language; absent where a pair was stored without it.
    pub language: Option<Scored>,
}

/// A score of a corpus.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Scored {
    /// The score.
    pub score: f64,
    /// 95 % interval over pairs; absent where there is nothing to resample.
    pub interval: Option<Interval>,
    /// The settings that it belongs to.
    pub signature: String,
}

impl TextScorer {
    /// sacrebleu's defaults with another tokenizer and case rule for BLEU.
    ///
    /// chrF keeps case: sacrebleu's command line too has a switch of its own for that (`--chrf-lowercase`).
    pub fn new(tokenize: Tokenize, lowercase: bool) -> Self {
        TextScorer { bleu: Bleu { tokenize, lowercase, ..Bleu::default() }, ..TextScorer::default() }
    }

    /// The settings of chrF++.
    pub fn chrf_with_words(&self) -> Chrf {
        self.chrf.with_words(CHRF_WORDS)
    }

    /// The statistics of one pair, whose language is not looked at.
    pub fn pair(&self, hypothesis: &str, reference: &str) -> PairStats {
        PairStats {
            bleu: self.bleu.stats(hypothesis, reference),
            chrf: self.chrf.stats(hypothesis, reference),
            words: Some(self.chrf_with_words().words_alone().stats(hypothesis, reference)),
            ter: Some(self.ter.stats(hypothesis, reference)),
            language: None,
        }
    }

    /// The BLEU of one sentence: only orders that its length allows count, as sacrebleu advises for sentences.
    pub fn sentence_bleu(&self, pair: &PairStats) -> BleuScore {
        Bleu { effective_order: true, ..self.bleu }.score(&pair.bleu)
    }

    /// The scores of a corpus and their intervals, from the statistics of its items: sums over the `samples` pairs of each.
    pub fn corpus(&self, pairs: &[PairStats], samples: usize) -> CorpusScore {
        let bleu: Vec<BleuStats> = pairs.iter().map(|pair| pair.bleu).collect();
        let chrf: Vec<ChrfStats> = pairs.iter().map(|pair| pair.chrf.clone()).collect();
        let pairs: Vec<&PairStats> = pairs.iter().collect();
        CorpusScore {
            n: pairs.len(),
            bleu: self.bleu.score(&bleu.iter().sum()),
            bleu_signature: self.bleu.signature(),
            bleu_interval: self.bootstrap.of_sums(&bleu, |total| self.bleu.score(total).score),
            chrf: self.chrf.score(&chrf.iter().sum()),
            chrf_signature: self.chrf.signature(),
            chrf_interval: self.bootstrap.of_sums(&chrf, |total| self.chrf.score(total)),
            chrf_with_words: all(&pairs, PairStats::chrf_with_words).map(|all| {
                let chrf = self.chrf_with_words();
                self.scored(&all, |total| chrf.score(total), chrf.signature())
            }),
            ter: all(&pairs, |pair| pair.ter)
                .map(|all| self.scored(&all, |total| self.ter.score(total), self.ter.signature())),
            language: all(&pairs, |pair| pair.language.map(|texts| texts as f64 / samples as f64)).map(
                |all| {
                    let n = all.len() as f64;
                    self.scored(&all, |total: &f64| total / n, DETECTOR.into())
                },
            ),
        }
    }

    /// The BLEU of pieces of a SentencePiece model (spBLEU) of a corpus, with BLEU's other settings.
    ///
    /// # Errors
    /// The model is damaged.
    pub fn piece_bleu(&self, pieces: &Pieces, pairs: &[(&str, &str)]) -> anyhow::Result<Scored> {
        let stats = |(hyp, reference): &(&str, &str)| pieces.bleu_stats(&self.bleu, hyp, reference);
        let stats: Vec<BleuStats> = pairs.iter().map(stats).collect::<anyhow::Result<_>>()?;
        let signature = self.bleu.signature_with(&pieces.name());
        Ok(self.scored(&stats, |total| self.bleu.score(total).score, signature))
    }

    fn scored<S>(&self, items: &[S], score: impl Fn(&S) -> f64, signature: String) -> Scored
    where
        S: Default + for<'a> std::ops::AddAssign<&'a S>,
    {
        let mut total = S::default();
        items.iter().for_each(|item| total += item);
        Scored { score: score(&total), interval: self.bootstrap.of_sums(items, score), signature }
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
        Ok(self.corpus(&pairs, 1))
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
        let score = scorer.corpus(&read, 1);
        assert_eq!(score, scorer.lines(&hyp, &refs).expect("fits"));
        let interval = score.bleu_interval.expect("has items");
        assert!(interval.low <= interval.mean && interval.mean <= interval.high);
        assert_eq!(score.bleu_signature, "nrefs:1|case:lc|eff:no|tok:intl|smooth:exp|version:2.6.0");
        assert!(scorer.sentence_bleu(&pairs[1]).score > 0.0);
    }
}
