//! Numbers in texts.

use super::Pick;

/// The first or the last number in a text; `None` where there is none.
///
/// A number is, in this order:
/// * a sign, `+`, `-` or `−` (U+2212), if no letter, digit or `_` comes directly before it (`3-4` holds 3 and 4);
/// * a currency sign, one of `$`, `€`, `£` and `¥`; the sign may also follow it;
/// * ASCII digits, either without separators or in groups of three parted by commas (`1,234,567`; in `1,23` the comma
///   ends the number), then a `.` and more digits if digits follow the `.`; or a `.` and digits alone, if no letter,
///   digit or `_` comes directly before the `.`;
/// * `e` or `E`, a sign if there is one, and digits, if no letter, digit or `_` follows them.
///
/// A `%` after a number changes nothing: `5%` is 5. Letters may touch a number (`5km`, `H2O`). Digits of other scripts,
/// words (`NaN`, `infinity`, `five`) and numbers too large for an `f64` are no numbers.
pub fn number(text: &str, which: Pick) -> Option<f64> {
    let mut numbers = Numbers { text: text.chars().collect(), at: 0 };
    match which {
        Pick::First => numbers.next(),
        Pick::Last => numbers.last(),
    }
}

/// Whether a number is near enough to the right one: `|found - right| <= tolerance * |right|`.
pub fn is_near(found: f64, right: f64, tolerance: f64) -> bool {
    (found - right).abs() <= tolerance * right.abs()
}

/// The numbers of a text from left to right.
struct Numbers {
    text: Vec<char>,
    at: usize,
}

impl Iterator for Numbers {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        while self.at < self.text.len() {
            match self.number_at(self.at) {
                Some((value, end)) => {
                    self.at = end;
                    if value.is_finite() {
                        return Some(value);
                    }
                }
                None => self.at += 1,
            }
        }
        None
    }
}

impl Numbers {
    fn is(&self, at: usize, what: impl Fn(char) -> bool) -> bool {
        self.text.get(at).copied().is_some_and(what)
    }

    fn is_digit(&self, at: usize) -> bool {
        self.is(at, |c| c.is_ascii_digit())
    }

    /// A letter, digit or `_` comes directly before.
    fn follows_word(&self, at: usize) -> bool {
        at > 0 && self.is(at - 1, is_word)
    }

    /// The end of the digits that begin here.
    fn digits(&self, from: usize) -> usize {
        (from..).find(|at| !self.is_digit(*at)).unwrap_or(from)
    }

    /// The number that begins here, and its end.
    fn number_at(&self, start: usize) -> Option<(f64, usize)> {
        let (mut at, mut negative) = (start, false);
        let (mut signed, mut currency) = (false, false);
        loop {
            if !signed && self.is(at, is_sign) && !self.follows_word(at) {
                (negative, signed) = (self.text[at] != '+', true);
            } else if !currency && self.is(at, |c| matches!(c, '$' | '€' | '£' | '¥')) {
                currency = true;
            } else {
                break;
            }
            at += 1;
        }
        let mut written = String::new();
        if self.is_digit(at) {
            at = self.whole(at, &mut written);
        } else if self.follows_word(at) || !self.is(at, |c| c == '.') {
            return None;
        }
        if self.is(at, |c| c == '.') && self.is_digit(at + 1) {
            let end = self.digits(at + 1);
            written.extend(&self.text[at..end]);
            at = end;
        }
        at = self.exponent(at, &mut written);
        // Digits with a point and an exponent are what Rust reads; a point alone is no number.
        let value: f64 = written.parse().ok()?;
        Some((if negative { -value } else { value }, at))
    }

    /// The digits before the point, without the commas of well-formed groups.
    fn whole(&self, from: usize, written: &mut String) -> usize {
        let mut end = self.digits(from);
        written.extend(&self.text[from..end]);
        if end - from > 3 {
            return end;
        }
        while self.is(end, |c| c == ',') && self.digits(end + 1) == end + 4 {
            written.extend(&self.text[end + 1..end + 4]);
            end += 4;
        }
        end
    }

    fn exponent(&self, from: usize, written: &mut String) -> usize {
        if written.is_empty() || !self.is(from, |c| matches!(c, 'e' | 'E')) {
            return from;
        }
        let signed = self.is(from + 1, is_sign);
        let digits = from + 1 + usize::from(signed);
        let end = self.digits(digits);
        if end == digits || self.is(end, is_word) {
            return from;
        }
        written.push('e');
        if signed && self.text[from + 1] != '+' {
            written.push('-');
        }
        written.extend(&self.text[digits..end]);
        end
    }
}

fn is_sign(c: char) -> bool {
    matches!(c, '+' | '-' | '\u{2212}')
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<f64> {
        Numbers { text: text.chars().collect(), at: 0 }.collect()
    }

    #[test]
    fn numbers_are_read_as_the_page_says() {
        assert_eq!(all("3-4, -5 +6 −7 x-8 (-9)"), [3., 4., -5., 6., -7., 8., -9.]);
        assert_eq!(
            all("$1,234,567.50 -$3 $-4 €5 5% .5 a.5 -.25"),
            [1_234_567.5, -3., -4., 5., 5., 0.5, 5., -0.25]
        );
        assert_eq!(
            all("1,23 1234,567 1,2345 12,345,67 0,123"),
            [1., 23., 1234., 567., 1., 2345., 12_345., 67., 123.]
        );
        assert_eq!(all("1.2.3 5. 5.. 007"), [1.2, 3., 5., 5., 7.]);
        assert_eq!(
            all("1e3 1E-2 1e+2 1e 2ex 3e4x 5e- 1,000e2"),
            [1000., 0.01, 100., 1., 2., 3., 4., 5., 100_000.]
        );
        assert_eq!(all("H2O 5km NaN inf １２ ٣ five - $ . + 1e999 8"), [2., 5., 8.]);
        assert!(all("").is_empty());
    }

    #[test]
    fn the_first_or_the_last_is_picked() {
        assert_eq!(number("1 then 2 then 3 apples", Pick::First), Some(1.));
        assert_eq!(number("1 then 2 then 3 apples", Pick::Last), Some(3.));
        assert_eq!(number("none", Pick::Last), None);
    }

    #[test]
    fn nearness_is_relative_to_the_right_number() {
        assert!(is_near(105., 100., 0.05) && !is_near(105.1, 100., 0.05));
        assert!(is_near(-95., -100., 0.05) && !is_near(95., -100., 0.05));
        assert!(is_near(0., 0., 0.) && !is_near(1e-300, 0., 0.5));
    }
}
