//! The options of an item as tokens, and the rows that weighing them takes: options that begin alike share the rows of their
//! beginning, and the last token of an option needs no row, since nothing is predicted after it.

use std::ops::Range;

use anyhow::{Result, ensure};

use crate::base::error::input;

/// The options of an item, each as the tokens that it adds to the prompt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Options {
    tokens: Vec<Vec<u32>>,
    measured: usize,
}

impl Options {
    /// Options of these tokens. What is measured at one token alone (the likeliest token, the divergence) is measured after
    /// the first `measured` tokens, which all options share, so that they are no choice.
    ///
    /// # Errors
    /// An option has no token after those, or the options do not share them.
    pub fn new(tokens: Vec<Vec<u32>>, measured: usize) -> Result<Self> {
        ensure!(!tokens.is_empty(), input("there is no option to weigh"));
        for option in &tokens {
            ensure!(option.len() > measured, input("an option has no token of its own"));
            ensure!(option[..measured] == tokens[0][..measured], input("the options do not begin alike"));
        }
        Ok(Self { tokens, measured })
    }

    /// By option, its tokens.
    pub fn tokens(&self) -> &[Vec<u32>] {
        &self.tokens
    }

    /// Tokens that all options begin with and that are no choice.
    pub fn measured(&self) -> usize {
        self.measured
    }

    /// Tokens of the longest option.
    pub fn longest(&self) -> usize {
        self.tokens.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// By option, its first token: what the prompt's last row is asked for.
    pub fn first(&self) -> Vec<Wanted> {
        (0..).zip(&self.tokens).map(|(option, tokens)| Wanted { option, at: 0, token: tokens[0] }).collect()
    }

    /// The options in trees of at most `rows` rows and `most` options each, or of one option that alone takes more. Options of
    /// one token are in none of them.
    pub fn trees(&self, rows: usize, most: usize) -> Vec<Tree> {
        let mut order: Vec<usize> = (0..self.tokens.len()).filter(|&at| self.tokens[at].len() > 1).collect();
        order.sort_by(|&a, &b| self.tokens[a].cmp(&self.tokens[b]));
        let (mut trees, mut some, mut used) = (Vec::new(), Vec::new(), 0);
        for option in order {
            let more = self.more_rows(some.last().copied(), option);
            if !some.is_empty() && (used + more > rows || some.len() >= most) {
                trees.push(self.tree(&some));
                (some, used) = (Vec::new(), 0);
            }
            used += self.more_rows(some.last().copied(), option);
            some.push(option);
        }
        if !some.is_empty() {
            trees.push(self.tree(&some));
        }
        trees
    }

    /// Rows that an option adds to those of the one before it, in the order of their tokens.
    fn more_rows(&self, before: Option<usize>, option: usize) -> usize {
        let tokens = &self.tokens[option];
        let shared = before.map_or(0, |before| {
            let before = &self.tokens[before];
            let alike = before.iter().zip(tokens).take_while(|(a, b)| a == b).count();
            alike.min(before.len() - 1)
        });
        (tokens.len() - 1).saturating_sub(shared)
    }

    /// The tree of some options, which are in the order of their tokens.
    fn tree(&self, some: &[usize]) -> Tree {
        let mut tree = Tree::default();
        for same in some.chunk_by(|&a, &b| self.tokens[a][0] == self.tokens[b][0]) {
            self.grow(&mut tree, same, 1, None);
        }
        tree
    }

    /// The chain of rows that begins with the token before `depth`, which these options share, and those that part from it.
    fn grow(&self, tree: &mut Tree, some: &[usize], depth: usize, parent: Option<usize>) {
        let mut chain = Chain { parent, depth, tokens: Vec::new(), wanted: Vec::new() };
        let (mut some, mut at) = (some, depth);
        let parted = loop {
            // Those that end here come first in their order.
            let longer = some.partition_point(|&option| self.tokens[option].len() <= at);
            some = &some[longer..];
            let Some(&first) = some.first() else { break some };
            chain.tokens.push(self.tokens[first][at - 1]);
            let wanted = some.iter().map(|&option| Wanted { option, at, token: self.tokens[option][at] });
            chain.wanted.push(wanted.collect());
            at += 1;
            if some.iter().any(|&option| self.tokens[option][at - 1] != self.tokens[first][at - 1]) {
                break some;
            }
        };
        if chain.tokens.is_empty() {
            return;
        }
        tree.chains.push(chain);
        let own = tree.chains.len() - 1;
        for same in parted.chunk_by(|&a, &b| self.tokens[a][at - 1] == self.tokens[b][at - 1]) {
            self.grow(tree, same, at, Some(own));
        }
    }
}

/// A token whose probability is asked for: the one at a place of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Which option.
    pub option: usize,
    /// Which of its tokens.
    pub at: usize,
    /// The token.
    pub token: u32,
}

/// The rows of some options, chain by chain; a chain comes after the one that it parts from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    pub chains: Vec<Chain>,
}

/// Rows that follow each other, and what each of them is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The chain that it goes on from, by its place in the tree; `None` where it follows the prompt.
    pub parent: Option<usize>,
    /// Tokens of an option up to its first row, that one included: the row is at position `prompt + depth - 1`.
    pub depth: usize,
    /// The token of each row.
    pub tokens: Vec<u32>,
    /// By row, the tokens that may follow.
    pub wanted: Vec<Vec<Wanted>>,
}

impl Chain {
    /// The positions of its rows, after a prompt of so many tokens.
    pub fn columns(&self, prompt: usize) -> Range<usize> {
        let first = prompt + self.depth - 1;
        first..first + self.tokens.len()
    }
}

impl Tree {
    /// The chains from the prompt to this one, itself included, each with the positions of its rows.
    pub fn path(&self, chain: usize, prompt: usize) -> Vec<(usize, Range<usize>)> {
        let up = std::iter::successors(Some(chain), |&at| self.chains[at].parent);
        let mut path: Vec<_> = up.map(|at| (at, self.chains[at].columns(prompt))).collect();
        path.reverse();
        path
    }

    /// All rows.
    pub fn rows(&self) -> usize {
        self.chains.iter().map(|chain| chain.tokens.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(tokens: &[&[u32]]) -> Options {
        Options::new(tokens.iter().map(|tokens| tokens.to_vec()).collect(), 0).expect("options")
    }

    /// By chain: parent, depth, tokens, and by row the options that are asked for.
    type Seen = Vec<(Option<usize>, usize, Vec<u32>, Vec<Vec<usize>>)>;

    fn seen(tree: &Tree) -> Seen {
        let wanted = |chain: &Chain| {
            chain.wanted.iter().map(|row| row.iter().map(|wanted| wanted.option).collect()).collect()
        };
        let chains = tree.chains.iter();
        chains.map(|chain| (chain.parent, chain.depth, chain.tokens.clone(), wanted(chain))).collect()
    }

    #[test]
    fn one_token_takes_no_row_and_a_beginning_is_shared() {
        assert_eq!(options(&[&[1], &[2]]).trees(9, 9), []);
        let all = options(&[&[1, 2, 3], &[1], &[1, 2, 4, 5], &[6, 7], &[1, 2]]);
        let [tree] = all.trees(9, 9).try_into().expect("one tree");
        assert_eq!(
            seen(&tree),
            [
                (None, 1, vec![1, 2], vec![vec![4, 0, 2], vec![0, 2]]),
                (Some(0), 3, vec![4], vec![vec![2]]),
                (None, 1, vec![6], vec![vec![3]]),
            ]
        );
        assert_eq!((tree.rows(), all.longest(), all.first().len()), (4, 4, 5));
    }

    #[test]
    fn an_option_that_goes_on_from_another_needs_the_row_of_its_end() {
        let [tree] = options(&[&[1, 2], &[1, 2, 3]]).trees(9, 9).try_into().expect("one tree");
        assert_eq!(seen(&tree), [(None, 1, vec![1, 2], vec![vec![0, 1], vec![1]])]);
    }

    #[test]
    fn trees_hold_no_more_rows_than_there_is_room_for() {
        let all: Vec<Vec<u32>> = (0..40).map(|at| vec![at / 8, at / 2, at, 7]).collect();
        let all = Options::new(all, 0).expect("options");
        for room in [1, 3, 5, 10, 100] {
            let trees = all.trees(room, 9);
            assert!(trees.iter().all(|tree| tree.rows() <= room.max(3)), "{room}");
            let mut wanted: Vec<(usize, usize)> = trees
                .iter()
                .flat_map(|tree| tree.chains.iter().flat_map(|chain| chain.wanted.iter().flatten()))
                .map(|wanted| (wanted.option, wanted.at))
                .collect();
            wanted.sort_unstable();
            wanted.dedup();
            let expected: Vec<(usize, usize)> =
                (0..40).flat_map(|option| [1, 2, 3].map(|at| (option, at))).collect();
            assert_eq!(wanted, expected, "{room}");
        }
        // 5 first tokens, 20 second ones, 40 third ones.
        assert_eq!(all.trees(1000, 1000)[0].rows(), 65);
    }

    #[test]
    fn what_is_no_choice_is_shared() {
        assert!(Options::new(vec![vec![9, 1], vec![9, 2]], 1).is_ok());
        for (tokens, measured) in [(vec![], 0), (vec![vec![]], 0), (vec![vec![9], vec![9, 1]], 1)] {
            assert!(Options::new(tokens, measured).is_err());
        }
        assert!(Options::new(vec![vec![9, 1], vec![8, 1]], 1).is_err());
    }
}
