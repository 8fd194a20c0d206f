//! Texts with names for their parts, as they are written and put together.

use std::ops::Range;

/// Which of the three parts of a prompt something is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The header.
    Instructions,
    /// A demonstration, counted from 0.
    Example(usize),
    /// The query.
    Query,
}

/// What a stretch of text is in its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// All of it.
    Whole,
    /// What is asked: the item's source.
    Input,
    /// What a model would write: the target, with what the format writes before it.
    Output,
    /// A span or a column of items that the format names.
    Named(String),
}

/// A stretch of a text, with what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Where it is.
    pub place: Place,
    /// What it is there.
    pub part: Part,
    /// Its bytes.
    pub range: Range<usize>,
}

/// A text and its marks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marked {
    /// The text.
    pub text: String,
    /// Stretches of it.
    pub marks: Vec<Mark>,
}

impl Marked {
    /// A text without marks.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), marks: Vec::new() }
    }

    /// More text, without marks.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Mark what has been written since this byte.
    pub fn mark(&mut self, from: usize, place: Place, part: Part) {
        self.marks.push(Mark { place, part, range: from..self.text.len() });
    }

    /// Another text after this one.
    pub fn append(&mut self, other: &Self) {
        let shift = self.text.len();
        self.text.push_str(&other.text);
        self.marks.extend(
            other
                .marks
                .iter()
                .map(|mark| Mark { range: mark.range.start + shift..mark.range.end + shift, ..mark.clone() }),
        );
    }

    /// This text, then a separator where it is not empty.
    pub fn ended(mut self, separator: &str) -> Self {
        if !self.text.is_empty() {
            self.push(separator);
        }
        self
    }

    /// These bytes of it, with the marks as far as they reach into them.
    pub fn part(&self, bytes: Range<usize>) -> Self {
        let within = |byte: usize| byte.clamp(bytes.start, bytes.end) - bytes.start;
        let marks = self
            .marks
            .iter()
            .map(|mark| Mark { range: within(mark.range.start)..within(mark.range.end), ..mark.clone() });
        Self { text: self.text[bytes.clone()].into(), marks: marks.collect() }
    }

    /// The text as `normalize` gives it, with each mark between the same letters. The normalized beginning of a text is taken for
    /// the beginning of the normalized text, as it is but where a mark parts a letter from its accents.
    pub fn normalized(&self, normalize: impl Fn(&str) -> String) -> Self {
        let text = normalize(&self.text);
        let moved = |byte: usize| match text == self.text {
            true => byte,
            false => normalize(&self.text[..byte]).len().min(text.len()),
        };
        let marks = self
            .marks
            .iter()
            .map(|mark| Mark { range: moved(mark.range.start)..moved(mark.range.end), ..mark.clone() })
            .collect();
        Self { text, marks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(marked: &Marked) -> Vec<Range<usize>> {
        marked.marks.iter().map(|mark| mark.range.clone()).collect()
    }

    #[test]
    fn marks_follow_their_text() {
        let mut text = Marked::plain("Q: ");
        text.push("an apple");
        text.mark(3, Place::Query, Part::Input);
        let mut whole = Marked::plain("Say:").ended("\n");
        whole.append(&text);
        assert_eq!((whole.text.as_str(), ranges(&whole)), ("Say:\nQ: an apple", vec![8..16]));
        assert_eq!(ranges(&whole.part(4..10)), [4..6]);
        assert_eq!(whole.part(4..10).text, "\nQ: an");
        // A mark outside is empty.
        assert_eq!(ranges(&whole.part(0..4)), [4..4]);
        assert_eq!(Marked::default().ended("\n").text, "");
    }

    #[test]
    fn marks_stay_between_the_same_letters() {
        let mut text = Marked::plain("  a ");
        text.push("b  c");
        text.mark(4, Place::Query, Part::Input);
        let doubled = text.normalized(|text| text.replace(' ', "__"));
        assert_eq!((doubled.text.as_str(), ranges(&doubled)), ("____a__b____c", vec![7..13]));
        assert_eq!(text.normalized(|text| text.to_string()), text);
    }
}
