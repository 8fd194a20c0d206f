//! From what a model wrote to what is scored, one pure function per rule.

use super::python::strip;
use super::sentence::first_sentence;

/// Cell texts that pandas' `read_csv` takes for a missing value unless told otherwise (pandas 2 and 3).
const PANDAS_MISSING: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A",
    "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// Profile `exact`: the text up to the first of the format's stop strings, without white space around it.
///
/// An empty stop string stops nothing.
pub fn exact<'a, S: AsRef<str>>(text: &'a str, stops: &[S]) -> &'a str {
    let stops = stops.iter().map(AsRef::as_ref).filter(|stop| !stop.is_empty());
    let end = stops.filter_map(|stop| text.find(stop)).min().unwrap_or(text.len());
    strip(&text[..end])
}

/// Profile `exact` for programs: the text up to the first of the format's stop strings, without empty lines before it and
/// white space after it. The first line keeps its indentation, which means something.
pub fn exact_code<'a, S: AsRef<str>>(text: &'a str, stops: &[S]) -> &'a str {
    let stops = stops.iter().map(AsRef::as_ref).filter(|stop| !stop.is_empty());
    let end = stops.filter_map(|stop| text.find(stop)).min().unwrap_or(text.len());
    let text = text[..end].trim_end();
    let start = text.len() - text.trim_start().len();
    &text[text[..start].rfind('\n').map_or(0, |line| line + 1)..]
}

/// Profile `sia2024`, what is stored: the study's clean-up of a generation, special tokens still in the text.
///
/// Cut at the first `question` delimiter and strip, then cut at the first `answer` delimiter and strip; a delimiter
/// of white space alone does neither. `</s>` and `<pad>` go last, so that white space next to them stays.
pub fn sia2024(text: &str, question: &str, answer: &str) -> String {
    let mut text = text;
    for delimiter in [question, answer] {
        if !strip(delimiter).is_empty() {
            text = strip(text.split(delimiter).next().unwrap_or(text));
        }
    }
    text.replace("</s>", "").replace("<pad>", "")
}

/// Profile `sia2024`, what is scored: the hypothesis that the study's scorer makes of a text from [`sia2024`].
///
/// The study stores texts as CSV and reads them back with pandas: an empty text, or one that pandas takes for a
/// missing value (`None`, `nan`, `NA`, ...), comes back as no text and is scored as the word `blank`. Of any other,
/// the first sentence is scored (see [`first_sentence`]) without `</s>`, `<|endoftext|>` and `<pad>`. A text of
/// white space alone, on which the study's code stops with an error, is scored as empty here.
pub fn sia2024_hypothesis(clean: &str) -> String {
    if PANDAS_MISSING.contains(&clean) {
        return "blank".to_owned();
    }
    first_sentence(clean).replace("</s>", "").replace("<|endoftext|>", "").replace("<pad>", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_stops_at_the_earliest_stop_string() {
        assert_eq!(exact(" Bonjour. \nQ: next A: x", &["A:", "Q:"]), "Bonjour.");
        assert_eq!(exact("\u{a0}no stop ", &["", "Q:"]), "no stop");
        assert_eq!(exact("Q: at once", &["Q:"]), "");
        assert_eq!(exact(" plain ", &[] as &[&str]), "plain");
    }

    #[test]
    fn exact_code_keeps_the_indentation_of_its_first_line() {
        assert_eq!(exact_code("\n \n    return x\n\n\nQ: next", &["\nQ:"]), "    return x");
        assert_eq!(exact_code("def f():\n    0 \n", &["\nQ:"]), "def f():\n    0");
        assert_eq!(exact_code(" \n ", &["\nQ:"]), "");
        assert_eq!(exact_code("\nQ: at once", &["\nQ:"]), "");
    }

    #[test]
    fn sia2024_cuts_at_both_delimiters() {
        assert_eq!(sia2024(" Bonjour.\nQ: next", "Q:", "A:"), "Bonjour.");
        assert_eq!(sia2024("Oui A: non Q: x", "Q:", "A:"), "Oui");
        assert_eq!(sia2024("Oui A: non", "Q:", "\nA:"), "Oui A: non");
        assert_eq!(sia2024("Oui \nA: non", "Q:", "\nA:"), "Oui");
        assert_eq!(sia2024("Oui</s><pad> <pad>", "Q:", "A:"), "Oui ");
        assert_eq!(sia2024(" kept ", " ", "\n"), " kept ");
        assert_eq!(sia2024("", "Q:", "A:"), "");
    }

    #[test]
    fn sia2024_scores_one_sentence_and_blank_for_none() {
        assert_eq!(sia2024_hypothesis("Un. Deux.<|endoftext|>"), "Un.");
        assert_eq!(sia2024_hypothesis("Un<|endoftext|>"), "Un");
        for missing in ["", "None", "nan", "NA"] {
            assert_eq!(sia2024_hypothesis(missing), "blank");
        }
        assert_eq!(sia2024_hypothesis("none"), "none");
        assert_eq!(sia2024_hypothesis(" "), "");
    }
}
