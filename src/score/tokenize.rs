//! sacrebleu's tokenizers that need no model or dictionary file, written as scanners over characters.

use super::python::{self, is_space};
use crate::base::error::{input, suggest};
use std::fmt;
use std::str::FromStr;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// How a line is cut into the tokens that BLEU counts.
///
/// [`FromStr`] reads sacrebleu's names; [`fmt::Display`] writes them as they stand in a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tokenize {
    /// The tokenizer of NIST's `mteval-v13a.pl`, that of the WMT shared tasks; sacrebleu's default.
    #[default]
    #[serde(rename = "13a")]
    V13a,
    /// The international tokenizer of `mteval-v14.pl`: by Unicode punctuation, symbols and numbers.
    Intl,
    /// Every character that is not white space is a token.
    Char,
    /// Tokens are what white space separates.
    None,
    /// Every Chinese character is a token; the rest is cut as by `13a`.
    Zh,
}

impl Tokenize {
    /// Every tokenizer, in the order in which an error message lists them.
    pub const ALL: [Tokenize; 5] = [Self::V13a, Self::Intl, Self::Char, Self::None, Self::Zh];

    /// The name as sacrebleu writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::V13a => "13a",
            Self::Intl => "intl",
            Self::Char => "char",
            Self::None => "none",
            Self::Zh => "zh",
        }
    }

    /// The tokens of one line, in order.
    ///
    /// White space at the line's end does not count, as in sacrebleu, which strips it before tokenizing.
    pub fn tokens(self, line: &str) -> Vec<String> {
        let line = python::rstrip(line);
        let spaced = match self {
            Self::V13a => separate_13a(line),
            Self::Intl => separate_intl(line),
            Self::Char => line.chars().flat_map(|c| [c, ' ']).collect(),
            Self::None => line.to_owned(),
            Self::Zh => separate_zh(line),
        };
        python::words(&spaced).map(str::to_owned).collect()
    }
}

impl fmt::Display for Tokenize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Tokenize {
    type Err = anyhow::Error;

    /// Reads one of [`Tokenize::ALL`] by name.
    ///
    /// # Errors
    /// Any other name is an [`InputError`](crate::base::error::InputError) that lists the known ones; sacrebleu's further
    /// tokenizers (`ja-mecab`, `ko-mecab`, `spm`, `flores101`, `flores200`) need dictionaries or models.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|known| known.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name);
            if name.ends_with("mecab") || name.starts_with("spm") || name.starts_with("flores") {
                return input(format!(
                    "tokenizer `{name}` needs a dictionary or a model file and is not built in; score with one of: {}",
                    known.join(", ")
                ));
            }
            input(format!("unknown tokenizer `{name}`; {}", suggest(name, &known)))
        })
    }
}

/// Where a space goes when a pair of neighbouring characters is pulled apart.
#[derive(Clone, Copy)]
enum Pad {
    /// `a b_`: the second character becomes a token.
    After,
    /// `_a b`: the first character becomes a token.
    Before,
}

/// Pulls apart each pair (`first`, `second`), scanning from the left, no character in two pairs.
///
/// That a character is consumed by one pair only is part of the definition: the scripts use regular expression
/// substitution, and in `a..b` the first pass sees the pair `a.` and then `.b`, never `..`.
fn split_pairs(
    text: &[char],
    first: impl Fn(char) -> bool,
    second: impl Fn(char) -> bool,
    pad: Pad,
) -> Vec<char> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 2);
    let mut at = 0;
    while at < text.len() {
        match text.get(at + 1) {
            Some(&next) if first(text[at]) && second(next) => {
                match pad {
                    Pad::After => out.extend([text[at], ' ', next, ' ']),
                    Pad::Before => out.extend([' ', text[at], ' ', next]),
                }
                at += 2;
            }
            _ => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    out
}

/// Puts spaces around every character that `alone` picks.
fn isolate(text: impl Iterator<Item = char>, alone: impl Fn(char) -> bool) -> Vec<char> {
    let mut out = Vec::new();
    for c in text {
        if alone(c) {
            out.extend([' ', c, ' ']);
        } else {
            out.push(c);
        }
    }
    out
}

fn separate_13a(line: &str) -> String {
    let mut line = line.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    // One replacement after the other: `&amp;lt;` ends as `<`, as in the scripts.
    for (entity, character) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
        line = line.replace(entity, character);
    }
    // The blanks let the pair rules act on the line's first and last characters too.
    separate_mteval(&format!(" {line} "))
}

/// The part that `13a` and `zh` share: ASCII punctuation, with care for numbers and for a dash after a digit.
fn separate_mteval(line: &str) -> String {
    let digit = |c: char| c.is_ascii_digit();
    let mark = |c: char| matches!(c, '.' | ',');
    let text = isolate(line.chars(), is_ascii_mark);
    let text = split_pairs(&text, |c| !digit(c), mark, Pad::After);
    let text = split_pairs(&text, mark, |c| !digit(c), Pad::Before);
    let text = split_pairs(&text, digit, |c| c == '-', Pad::After);
    text.into_iter().collect()
}

/// ASCII punctuation except apostrophe, comma, dash and full stop; the blank counts, to no effect.
fn is_ascii_mark(c: char) -> bool {
    matches!(c, '{'..='~' | '['..='`' | ' '..='&' | '('..='+' | ':'..='@' | '/')
}

fn separate_intl(line: &str) -> String {
    let group = |c: char| c.general_category_group();
    let number = |c: char| group(c) == GeneralCategoryGroup::Number;
    let punctuation = |c: char| group(c) == GeneralCategoryGroup::Punctuation;
    let text: Vec<char> = line.chars().collect();
    let text = split_pairs(&text, |c| !number(c), punctuation, Pad::After);
    let text = split_pairs(&text, punctuation, |c| !number(c), Pad::Before);
    isolate(text.into_iter(), |c| group(c) == GeneralCategoryGroup::Symbol).into_iter().collect()
}

fn separate_zh(line: &str) -> String {
    let line = line.trim_start_matches(is_space);
    separate_mteval(&isolate(line.chars(), is_chinese).into_iter().collect::<String>())
}

/// What sacrebleu's `zh` takes for a Chinese character.
///
/// The second line is meant to be the supplementary ideographs U+20000..U+2A6D6 there, but is written with
/// four-digit escapes, so that it means U+2001..U+2A6D (dashes, quotation marks, arrows, mathematical signs)
/// and supplementary ideographs are no Chinese characters. Equal scores need the same slip.
fn is_chinese(c: char) -> bool {
    matches!(c,
        '\u{3400}'..='\u{4db5}' | '\u{4e00}'..='\u{9fbb}' | '\u{f900}'..='\u{fa2d}' | '\u{fa30}'..='\u{fa6a}'
        | '\u{2001}'..='\u{2a6d}'
        | '\u{fa70}'..='\u{fad9}' | '\u{ff00}'..='\u{ffef}' | '\u{2e80}'..='\u{2eff}' | '\u{3000}'..='\u{303f}'
        | '\u{31c0}'..='\u{31ef}' | '\u{2f00}'..='\u{2fdf}' | '\u{2ff0}'..='\u{2fff}' | '\u{3100}'..='\u{312f}'
        | '\u{31a0}'..='\u{31bf}' | '\u{fe10}'..='\u{fe1f}' | '\u{fe30}'..='\u{fe4f}' | '\u{3200}'..='\u{33ff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(tokenize: Tokenize, line: &str) -> String {
        tokenize.tokens(line).join(" ")
    }

    #[test]
    fn v13a_keeps_numbers_together_and_undoes_entities() {
        let line = "He paid $1,000.5 (in 1999-2000), &quot;ok&quot;.\n";
        assert_eq!(joined(Tokenize::V13a, line), "He paid $ 1,000.5 ( in 1999 - 2000 ) , \" ok \" .");
        assert_eq!(joined(Tokenize::V13a, "&amp;lt; it's a..b,"), "< it's a . . b ,");
        assert_eq!(joined(Tokenize::V13a, "a hyphen-\nated word<skipped>s"), "a hyphenated words");
    }

    #[test]
    fn v13a_strips_the_end_before_it_joins_hyphenated_lines() {
        assert_eq!(joined(Tokenize::V13a, "ends in a dash-\n"), "ends in a dash-");
    }

    #[test]
    fn intl_goes_by_unicode_category() {
        assert_eq!(joined(Tokenize::Intl, "«Où?» 3,5€ — oui…"), "« Où ? » 3,5 € — oui …");
        assert_eq!(joined(Tokenize::Intl, "in 1999."), "in 1999.");
    }

    #[test]
    fn char_and_none_split_only_at_white_space() {
        assert_eq!(joined(Tokenize::Char, " a\u{1c}b c "), "a b c");
        assert_eq!(joined(Tokenize::None, "a.\u{a0}b\u{1d}c"), "a. b c");
    }

    #[test]
    fn zh_takes_general_punctuation_but_no_supplementary_ideograph() {
        assert_eq!(joined(Tokenize::Zh, "你好,world。"), "你 好 , world 。");
        assert_eq!(joined(Tokenize::Zh, "a–b"), "a – b");
        assert_eq!(joined(Tokenize::Zh, "\u{20000}\u{20001}"), "\u{20000}\u{20001}");
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        for name in ["ja-mecab", "13b", "", "zzzzzzzzz"] {
            let error = name.parse::<Tokenize>().expect_err("is unknown").to_string();
            for known in Tokenize::ALL {
                assert!(error.contains(known.name()), "{error}");
            }
        }
        for known in Tokenize::ALL {
            assert_eq!(known.to_string().parse::<Tokenize>().expect("is known"), known);
        }
    }
}
