//! Python's ideas of white space, words and case, where they differ from Rust's.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// Whether Python's `str.isspace`, `str.split` and `str.strip` take `c` for white space.
///
/// Rust follows the Unicode property `White_Space`; Python goes by bidirectional class and adds the four
/// information separators U+001C..U+001F. Compared over all code points with CPython 3.11: equal.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Whether Python's regular expressions take `c` for a part of a word (`\w`).
///
/// Rust's `regex` takes combining marks too; Python takes letters, numbers of all kinds and `_`. Compared over all code
/// points with CPython 3.11: equal where both know the character.
pub(super) fn is_word(c: char) -> bool {
    c == '_'
        || matches!(c.general_category_group(), GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number)
}

/// Python's `str.split()`: the runs of characters between white space, none of them empty.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// Python's `str.strip()`.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Python's `str.rstrip()`.
pub(super) fn rstrip(text: &str) -> &str {
    text.trim_end_matches(is_space)
}

/// Python's `str.lower()`.
///
/// Both languages apply Unicode's full case mapping with the rule for final sigma; they can differ only in
/// characters whose case Unicode changed between the two tables (CPython 3.11 has Unicode 14).
pub(super) fn lower(text: &str) -> String {
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn information_separators_split_words_as_in_python() {
        let found: Vec<&str> = words("\u{1c}a\u{1d}b\u{a0}c\u{3000}d\u{85}e\u{200b}f ").collect();
        assert_eq!(found, ["a", "b", "c", "d", "e\u{200b}f"]);
        assert_eq!(strip("\u{1f} a \u{1e}"), "a");
        assert_eq!(rstrip(" a\u{1e}\n"), " a");
    }

    #[test]
    fn lower_case_knows_final_sigma_and_dotted_i() {
        assert_eq!(lower("ΟΔΥΣΣΕΥΣ İ ẞ"), "οδυσσευς i\u{307} ß");
    }
}
