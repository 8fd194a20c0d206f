//! Which bytes of the text each token covers, from the tokens' own bytes.
//!
//! A tokenizer's offsets are not used: for byte-level BPE a token may hold part of a character, and the
//! library then gives every such token the whole character's range.

use std::ops::Range;

use anyhow::Result;
use tokenizers::AddedToken;

use super::Tokenizer;
use crate::base::error::input;

impl Tokenizer {
    /// The byte range of `text` that each of `ids` stands for, where `ids` is [`Tokenizer::encode`] of
    /// `text`.
    ///
    /// The ranges follow each other without gap from 0 to `text.len()`; they may begin or end within a
    /// character. The space that some tokenizers put before the text (or before each stretch between special
    /// tokens) takes no bytes, so a token that is only this space has an empty range. White space that an
    /// added token swallows on its sides (`lstrip`, `rstrip`) belongs to that token.
    ///
    /// # Errors
    /// An `InputError` when the tokens' bytes do not reproduce the text: because the tokenizer brings text to
    /// a Unicode normal form that this text is not in (see [`Tokenizer::normalize`]), changes it in another
    /// way, or has no token for a character. It names the first place.
    pub fn spans(&self, text: &str, ids: &[u32]) -> Result<Vec<Range<usize>>> {
        let mut spans = Vec::with_capacity(ids.len());
        let (mut at, mut next) = (0, 0);
        while let Some(&id) = ids.get(next) {
            if let Some(added) = self.added.get(&id) {
                let end = eat_added(text, at, added).ok_or_else(|| self.mismatch(text, at))?;
                spans.push(at..end);
                (at, next) = (end, next + 1);
            } else {
                let length = ids[next..].iter().take_while(|id| !self.added.contains_key(id)).count();
                let stop = next + length;
                let following = ids.get(stop).and_then(|id| self.added.get(id));
                at = self.stretch(text, at, &ids[next..stop], following, &mut spans)?;
                next = stop;
            }
        }
        if at == text.len() { Ok(spans) } else { Err(self.mismatch(text, at)) }
    }

    /// Adds the spans of a stretch of ordinary tokens from byte `at` on, and returns where it ends: before
    /// `following`, or at the end of the text.
    fn stretch(
        &self,
        text: &str,
        at: usize,
        ids: &[u32],
        following: Option<&AddedToken>,
        spans: &mut Vec<Range<usize>>,
    ) -> Result<usize> {
        let mut pieces: Vec<Vec<u8>> =
            ids.iter().map(|&id| self.token_bytes(id).unwrap_or_default()).collect();
        let fits = |end: usize| match following {
            None => end == text.len(),
            Some(added) => eat_added(text, end, added).is_some(),
        };
        let (ends, reached) = self.ends(text, at, &pieces);
        if let Some(ends) = ends.filter(|ends| fits(ends.last().copied().unwrap_or(at))) {
            return Ok(push(at, ends, spans));
        }
        // Not as it stands; then perhaps after the space that was put before it.
        let mut furthest = reached;
        if pieces.first().and_then(|first| first.first()) == Some(&b' ') {
            pieces[0].remove(0);
            let (ends, reached) = self.ends(text, at, &pieces);
            furthest = furthest.max(reached);
            if let Some(ends) = ends.filter(|ends| fits(ends.last().copied().unwrap_or(at))) {
                return Ok(push(at, ends, spans));
            }
        }
        Err(self.mismatch(text, furthest))
    }

    /// Where each of the pieces ends in the text, if all of them stand there, and how far they do.
    fn ends(&self, text: &str, at: usize, pieces: &[Vec<u8>]) -> (Option<Vec<usize>>, usize) {
        let mut ends = Vec::with_capacity(pieces.len());
        let mut reached = at;
        for piece in pieces {
            match self.spelling.eat(text, reached, piece) {
                Some(end) => reached = end,
                None => return (None, reached),
            }
            ends.push(reached);
        }
        (Some(ends), reached)
    }

    /// The error for tokens that stop reproducing the text somewhere from byte `at` on.
    fn mismatch(&self, text: &str, at: usize) -> anyhow::Error {
        let normal = self.normalize(text);
        if normal != text {
            let at = common(text, &normal);
            return input(format!(
                "the prompt is not in the Unicode form ({}) that the model's tokenizer brings text to: first at \
                 {}, which becomes `{}`; normalise the file it comes from, or its tokens cannot be traced to the \
                 text",
                self.unicode_form.as_deref().unwrap_or("normalised"),
                place(text, at),
                normal[at..].chars().take(2).collect::<String>().escape_default(),
            ));
        }
        let mut at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        input(format!(
            "the model's tokenizer drops or changes something in the prompt at {}: its tokens do not reproduce the \
             text there (the vocabulary may lack that character), so they cannot be assigned to the prompt's parts; \
             remove or replace that character, or choose another model",
            place(text, at)
        ))
    }
}

/// Adds the spans that end at `ends`, the first from `at` on, and returns the last end.
fn push(at: usize, ends: Vec<usize>, spans: &mut Vec<Range<usize>>) -> usize {
    ends.into_iter().fold(at, |start, end| {
        spans.push(start..end);
        end
    })
}

/// Where an added token ends that stands at byte `at`, with the white space it swallows.
fn eat_added(text: &str, at: usize, added: &AddedToken) -> Option<usize> {
    let mut rest = text.get(at..)?;
    // A token that is matched in normalised text carries the space that a SentencePiece normalizer put before
    // it.
    if !rest.starts_with(&added.content) && (added.lstrip || added.normalized) {
        rest = rest.trim_start();
    }
    rest = rest.strip_prefix(added.content.as_str())?;
    if added.rstrip {
        rest = rest.trim_start();
    }
    Some(text.len() - rest.len())
}

/// The length in bytes of the longest common beginning, whole characters.
fn common(left: &str, right: &str) -> usize {
    left.chars()
        .zip(right.chars())
        .take_while(|(left, right)| left == right)
        .map(|(left, _)| left.len_utf8())
        .sum()
}

/// A place in the text, for a person: line, byte, and the characters there by number.
fn place(text: &str, at: usize) -> String {
    let line = text[..at].matches('\n').count() + 1;
    let characters: Vec<String> =
        text[at..].chars().take(2).map(|character| format!("U+{:04X}", u32::from(character))).collect();
    let before: String = text[..at].chars().rev().take(12).collect::<Vec<_>>().into_iter().rev().collect();
    format!(
        "line {line}, byte {at} of the prompt, {} after `{}`",
        if characters.is_empty() { "its end".to_string() } else { characters.join(" ") },
        before.escape_debug()
    )
}
