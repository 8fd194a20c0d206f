//! Lines cut into the pieces of a SentencePiece model, for spBLEU (Goyal et al., 2022): BLEU of pieces, which needs no
//! tokenizer of its own for languages that are written without spaces.
//!
//! Read are unigram models without symbols of the user's, as those of FLORES are. A line is cut as Python's
//! `sentencepiece` does, also where two cuts are worth the same: scores are added in `f64` and kept in `f32`, as there.

mod fields;
mod normaliser;

use std::collections::HashMap;

use anyhow::{Result, ensure};

use super::bleu::{Bleu, BleuStats};
use super::python;
use crate::base::error::input;
use crate::base::hash::Hash;
use fields::{Value, fields};
use normaliser::Normaliser;

/// How much less an unknown character is worth than the worst piece.
const UNKNOWN_PENALTY: f32 = 10.0;

/// What a piece is, as model files number it.
mod kind {
    pub const NORMAL: u64 = 1;
    pub const USER_DEFINED: u64 = 4;
}

/// A SentencePiece model.
#[derive(Debug, Clone)]
pub struct Pieces {
    normaliser: Normaliser,
    scores: HashMap<String, f32>,
    /// Bytes of the longest piece.
    longest: usize,
    /// What an unknown character is worth.
    unknown: f32,
    /// Unknown characters become a piece for each of their bytes.
    by_bytes: bool,
    sha256: String,
}

/// What a model file says.
#[derive(Default)]
struct Written {
    normaliser: Normaliser,
    pieces: Vec<(String, f32, u64)>,
    is_unigram: bool,
    by_bytes: bool,
    space_is_last: bool,
}

impl Pieces {
    /// The model of a file's bytes.
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) for what is no SentencePiece model, or one of a kind that is not read.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        let written = Written::read(bytes).filter(|written| !written.pieces.is_empty());
        let written = written.ok_or_else(|| {
            input("is no SentencePiece model, or a damaged one; give the file that ends in .model")
        })?;
        let refuse =
            |what: &str| input(format!("is a SentencePiece model {what}, which is not read; use another"));
        ensure!(written.is_unigram, refuse("of another kind than unigram"));
        ensure!(!written.space_is_last, refuse("that puts spaces behind words"));
        let is_users = |(_, _, kind): &(String, f32, u64)| *kind == kind::USER_DEFINED;
        ensure!(!written.pieces.iter().any(is_users), refuse("with symbols of the user's"));
        let normal = written.pieces.into_iter().filter(|(_, _, kind)| *kind == kind::NORMAL);
        let scores: HashMap<String, f32> = normal.map(|(piece, score, _)| (piece, score)).collect();
        let mut sha256 = Hash::default();
        sha256.bytes(bytes);
        let least = scores.values().copied().fold(f32::MAX, f32::min);
        Ok(Self {
            normaliser: written.normaliser,
            longest: scores.keys().map(String::len).max().unwrap_or(0),
            scores,
            unknown: least - UNKNOWN_PENALTY,
            by_bytes: written.by_bytes,
            sha256: sha256.hex(),
        })
    }

    /// The pieces of a line. Unknown characters that follow each other are one piece.
    ///
    /// # Errors
    /// The model's replacements of characters make no text of this line.
    pub fn cut(&self, line: &str) -> Result<Vec<String>> {
        let text = self.normaliser.normalise(line).ok_or_else(|| {
            input("the SentencePiece model replaces characters by what is no text; it is damaged")
        })?;
        let mut pieces: Vec<String> = Vec::new();
        let mut after_unknown = false;
        for (piece, is_known) in self.best(&text) {
            match pieces.last_mut().filter(|_| !is_known && after_unknown && !self.by_bytes) {
                Some(last) => last.push_str(piece),
                None if !is_known && self.by_bytes => {
                    pieces.extend(piece.bytes().map(|byte| format!("<0x{byte:02X}>")));
                }
                None => pieces.push(piece.into()),
            }
            after_unknown = !is_known;
        }
        Ok(pieces)
    }

    /// The cut that is worth most: its pieces, and whether the model knows them.
    fn best<'a>(&self, text: &'a str) -> Vec<(&'a str, bool)> {
        // For each end of a piece: what the best cut up to there is worth, where its last piece begins, and whether that is known.
        let mut ends: Vec<Option<(f32, usize, bool)>> = vec![None; text.len() + 1];
        for (start, character) in text.char_indices() {
            let before = ends[start].map_or(0., |(worth, ..)| worth);
            let mut reach = |length: usize, worth: f64, is_known| {
                let end = &mut ends[start + length];
                if end.is_none_or(|(best, ..)| worth > f64::from(best)) {
                    *end = Some((worth as f32, start, is_known));
                }
            };
            let alone = character.len_utf8();
            let mut is_known_alone = false;
            let lengths = text[start..].char_indices().map(|(at, character)| at + character.len_utf8());
            for length in lengths.take_while(|length| *length <= self.longest) {
                if let Some(score) = self.scores.get(&text[start..start + length]) {
                    reach(length, f64::from(*score) + f64::from(before), true);
                    is_known_alone |= length == alone;
                }
            }
            if !is_known_alone {
                reach(alone, f64::from(self.unknown + before), false);
            }
        }
        let mut pieces = Vec::new();
        let mut end = text.len();
        while let Some((_, start, is_known)) = ends[end].filter(|_| end > 0) {
            pieces.push((&text[start..end], is_known));
            end = start;
        }
        pieces.reverse();
        pieces
    }

    /// What one sentence adds to a corpus' BLEU of pieces; of `bleu` all settings count but the tokenizer.
    ///
    /// # Errors
    /// As [`cut`](Self::cut).
    pub fn bleu_stats(&self, bleu: &Bleu, hypothesis: &str, reference: &str) -> Result<BleuStats> {
        let tokens = |line: &str| -> Result<Vec<String>> {
            let line = if bleu.lowercase { python::lower(line) } else { line.to_owned() };
            // An unknown piece may hold white space, at which sacrebleu cuts it again.
            let joined = self.cut(python::rstrip(&line))?.join(" ");
            Ok(python::words(&joined).map(str::to_owned).collect())
        };
        Ok(bleu.stats_of(&tokens(hypothesis)?, &tokens(reference)?))
    }

    /// The tokenizer's name in a signature: sacrebleu has names for the models that it fetches, and any other is known by the
    /// beginning of its sha256.
    pub fn name(&self) -> String {
        format!("sentencepiece-{}", &self.sha256[..12])
    }
}

impl Written {
    /// What a model file says; `None` where it is damaged.
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut model = Self { is_unigram: true, ..Self::default() };
        for field in fields(bytes) {
            match field? {
                (1, Value::Bytes(piece)) => model.pieces.push(read_piece(piece)?),
                (2, Value::Bytes(trainer)) => model.read_trainer(trainer)?,
                (3, Value::Bytes(normaliser)) => model.read_normaliser(normaliser)?,
                _ => {}
            }
        }
        Some(model)
    }

    fn read_trainer(&mut self, bytes: &[u8]) -> Option<()> {
        for field in fields(bytes) {
            match field? {
                (3, Value::Number(kind)) => self.is_unigram = kind == 1,
                (24, Value::Number(flag)) => self.space_is_last = flag != 0,
                (35, Value::Number(flag)) => self.by_bytes = flag != 0,
                _ => {}
            }
        }
        Some(())
    }

    fn read_normaliser(&mut self, bytes: &[u8]) -> Option<()> {
        for field in fields(bytes) {
            match field? {
                (2, Value::Bytes(rules)) if !rules.is_empty() => self.normaliser.with_rules(rules)?,
                (3, Value::Number(flag)) => self.normaliser.add_dummy_prefix = flag != 0,
                (4, Value::Number(flag)) => self.normaliser.remove_extra_spaces = flag != 0,
                (5, Value::Number(flag)) => self.normaliser.escape_spaces = flag != 0,
                _ => {}
            }
        }
        Some(())
    }
}

fn read_piece(bytes: &[u8]) -> Option<(String, f32, u64)> {
    let (mut text, mut score, mut kind) = (String::new(), 0., kind::NORMAL);
    for field in fields(bytes) {
        match field? {
            (1, Value::Bytes(piece)) => text = str::from_utf8(piece).ok()?.into(),
            (2, Value::Float(value)) => score = value,
            (3, Value::Number(value)) => kind = value,
            _ => {}
        }
    }
    Some((text, score, kind))
}
