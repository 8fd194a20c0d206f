//! TER (Snover et al., 2006), as sacrebleu computes it.
//!
//! How many words must be put in, taken out, replaced, or moved together with their neighbours, to make the hypothesis the
//! reference, as a percentage of the reference's words: less is better. Which moves are tried, in which order, and how far
//! from the diagonal the edit distance is looked for, are heuristics of the program Tercom; sacrebleu repeats them, and equal
//! scores need the same ones. sacrebleu keeps rows of the table of distances for later hypotheses. That saves time and
//! changes nothing; here each move starts from the rows of the words before it.

mod distances;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::iter::Sum;
use std::ops::{AddAssign, Range};

use super::{SACREBLEU_VERSION, python};
use distances::{Alignment, Distances};

/// Most words that are moved together.
const MAX_MOVED: usize = 10;
/// Words are compared at places that are at most so far apart.
const MAX_DISTANCE: usize = 50;
/// After so many moves have been tried for one sentence, no further one is made.
const MAX_TRIED: usize = 1000;

/// The TER metric with the settings of sacrebleu that are its default: no normalisation, punctuation counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ter {
    /// Whether both sides are lower-cased; sacrebleu's default.
    pub lowercase: bool,
}

impl Default for Ter {
    fn default() -> Self {
        Self { lowercase: true }
    }
}

/// TER's sufficient statistics: those of a corpus are the sum of its sentences'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct TerStats {
    /// Words put in, taken out or replaced, and moves.
    pub edits: u64,
    /// Words of the reference.
    pub ref_len: u64,
}

impl Ter {
    /// What one sentence adds to a corpus score.
    pub fn stats(&self, hypothesis: &str, reference: &str) -> TerStats {
        let [hypothesis, reference] = [hypothesis, reference].map(|line| match self.lowercase {
            true => python::lower(line),
            false => line.to_owned(),
        });
        // Words are compared often: each is a number.
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        let mut number = |word| {
            let next = numbers.len();
            *numbers.entry(word).or_insert(next)
        };
        let hypothesis: Vec<usize> = python::words(&hypothesis).map(&mut number).collect();
        let reference: Vec<usize> = python::words(&reference).map(number).collect();
        TerStats { edits: edits(hypothesis, &reference), ref_len: reference.len() as u64 }
    }

    /// The score of one sentence or of a corpus (the sum of its sentences' statistics) in percent, 0 or more.
    pub fn score(&self, total: &TerStats) -> f64 {
        match (total.edits, total.ref_len) {
            (0, 0) => 0.0,
            (_, 0) => 100.0,
            (edits, ref_len) => 100.0 * (edits as f64 / ref_len as f64),
        }
    }

    /// sacrebleu's signature for one reference, `nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|version:2.6.0`.
    pub fn signature(&self) -> String {
        let case = if self.lowercase { "lc" } else { "mixed" };
        format!("nrefs:1|case:{case}|tok:tercom|norm:no|punct:yes|asian:no|version:{SACREBLEU_VERSION}")
    }
}

impl TerStats {
    /// Counts that text can have: a damaged file must not overflow a sum.
    pub fn is_possible(&self) -> bool {
        self.edits < 1 << 40 && self.ref_len < 1 << 40
    }

    /// What is left without some of the sentences that are in the sum.
    pub fn without(self, some: &TerStats) -> Self {
        Self { edits: self.edits - some.edits, ref_len: self.ref_len - some.ref_len }
    }
}

impl AddAssign<&TerStats> for TerStats {
    fn add_assign(&mut self, other: &TerStats) {
        self.edits += other.edits;
        self.ref_len += other.ref_len;
    }
}

impl<'a> Sum<&'a TerStats> for TerStats {
    fn sum<I: Iterator<Item = &'a TerStats>>(stats: I) -> Self {
        stats.fold(TerStats::default(), |mut total, one| {
            total += one;
            total
        })
    }
}

/// Moves, and edits that are left after them.
fn edits(mut words: Vec<usize>, reference: &[usize]) -> u64 {
    if reference.is_empty() {
        return words.len() as u64;
    }
    let (mut moves, mut tried) = (0, 0);
    loop {
        let table = Distances::new(&words, reference);
        match best_move(&words, reference, &table, &mut tried) {
            Some(best) if best.gain > 0 && tried < MAX_TRIED => {
                words = best.of(&words);
                moves += 1;
            }
            _ => return moves + table.distance() as u64,
        }
    }
}

/// Some words move to another place.
struct Move {
    /// Edits fewer than without it.
    gain: i64,
    /// The words that move.
    taken: Range<usize>,
    /// The words before the place where they go.
    target: usize,
}

impl Move {
    /// The greater, the better: by gain, then longer, then from further left, then to further left.
    fn rank(&self) -> impl Ord + use<> {
        (self.gain, self.taken.len(), Reverse(self.taken.start), Reverse(self.target))
    }

    /// The words after the move. A place among the words that move is counted on behind them, as in Tercom.
    fn of(&self, words: &[usize]) -> Vec<usize> {
        let Range { start, end } = self.taken;
        let [head, taken, tail] = [&words[..start], &words[start..end], &words[end..]];
        if self.target < start {
            let (first, between) = head.split_at(self.target);
            return [first, taken, between, tail].concat();
        }
        let skipped = if self.target > end { self.target - end } else { self.target - start };
        let (between, last) = tail.split_at(skipped.min(tail.len()));
        [head, between, taken, last].concat()
    }

    /// Words at the beginning that no move changes.
    fn same(&self) -> usize {
        self.target.min(self.taken.start)
    }
}

/// The best move of words to where the reference has them; `None` where there is none to try. `tried` counts on.
fn best_move(words: &[usize], reference: &[usize], table: &Distances, tried: &mut usize) -> Option<Move> {
    let Alignment { places, wrong_words, wrong_in_reference } = table.alignment();
    let mut best: Option<Move> = None;
    for (start, wanted, length) in runs_in_both(words, reference) {
        let taken = start..start + length;
        // Words move only if some of them are wrong where they are, and some of the reference's are missed.
        let any = |wrong: &[bool], from| wrong[from..from + length].contains(&true);
        let within = places[wanted].checked_sub(1).is_some_and(|place| taken.contains(&place));
        if !any(&wrong_words, start) || !any(&wrong_in_reference, wanted) || within {
            continue;
        }
        let mut before = None;
        for at in wanted..=wanted + length {
            let target = if at == 0 { 0 } else { places[at - 1] };
            if before.replace(target) == Some(target) {
                continue;
            }
            let mut found = Move { gain: 0, taken: taken.clone(), target };
            found.gain =
                table.distance() as i64 - table.distance_after(found.same(), &found.of(words)) as i64;
            *tried += 1;
            if best.as_ref().is_none_or(|best| found.rank() > best.rank()) {
                best = Some(found);
            }
        }
        if *tried >= MAX_TRIED {
            break;
        }
    }
    best
}

/// Runs of words that both have: where they begin in the words, where in the reference, and how long they are. Of every run
/// its beginnings are runs too.
fn runs_in_both(words: &[usize], reference: &[usize]) -> impl Iterator<Item = (usize, usize, usize)> {
    let places = move |start: usize| {
        let near = start.saturating_sub(MAX_DISTANCE)..reference.len().min(start + MAX_DISTANCE + 1);
        near.map(move |wanted| (start, wanted))
    };
    (0..words.len()).flat_map(places).flat_map(|(start, wanted)| {
        let same = words[start..].iter().zip(&reference[wanted..]).take(MAX_MOVED);
        let longest = same.take_while(|(word, wanted)| word == wanted).count();
        (1..=longest).map(move |length| (start, wanted, length))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(hypothesis: &str, reference: &str) -> (u64, u64) {
        let TerStats { edits, ref_len } = Ter::default().stats(hypothesis, reference);
        (edits, ref_len)
    }

    #[test]
    fn a_move_is_one_edit() {
        assert_eq!(stats("the cat sat on the mat", "The cat sat on the mat"), (0, 6));
        assert_eq!(stats("on the mat the cat sat", "the cat sat on the mat"), (1, 6));
        assert_eq!(stats("b c d a", "a b c d"), (1, 4));
        assert_eq!(stats("x y", "a b c d"), (4, 4));
    }

    #[test]
    fn empty_lines_have_a_score() {
        let score =
            |hypothesis, reference| Ter::default().score(&Ter::default().stats(hypothesis, reference));
        assert_eq!(
            [score("", ""), score("a b", ""), score("", "a b"), score("a b c", "d")],
            [0., 100., 100., 300.]
        );
    }

    #[test]
    fn a_place_among_the_moved_words_is_counted_on_behind_them() {
        let of = |taken, target| Move { gain: 0, taken, target }.of(&[0, 1, 2, 3, 4]);
        assert_eq!(of(3..5, 1), [0, 3, 4, 1, 2]);
        assert_eq!(of(0..2, 4), [2, 3, 0, 1, 4]);
        assert_eq!(of(1..3, 2), [0, 3, 1, 2, 4]);
        assert_eq!(of(2..5, 4), [0, 1, 2, 3, 4]);
    }
}
