//! Languages: one table of codes and of the English names that prompts use.
//!
//! The table (`languages.tsv`) holds the languages of FLORES-101 (English among them), the further ones of FLORES-200, the
//! rest of ISO 639-1, some other languages and some varieties (`pt_BR`). Each has up to three codes, because each release of
//! FLORES writes them differently, and those that other corpora use:
//!
//! | code | example | used by |
//! |---|---|---|
//! | `code` | `fr` | flags, results, figures; the two-letter code of M2M100 where there is one |
//! | `flores101` | `fra` | file names of FLORES-101 |
//! | `flores200` | `fra_Latn` | file names of FLORES-200; the same style of code for later languages |
//! | `others` | `fre`, `fr_FR` | ISO 639-2 and 639-3, FLORES+, mBART, WMT24++, codes that are no longer used (`iw`) |

use std::sync::OnceLock;

use anyhow::Result;

use crate::base::error::{input, nearest};

/// One language: its codes and its English name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Language {
    /// The code that flags and results use: `fr`. Where no two- or three-letter code is unambiguous, as for
    /// `zho_Hant`, it is the FLORES-200 code.
    pub code: &'static str,
    /// The code in FLORES-101 file names (`fra`); the same style of code for later languages, if unambiguous.
    pub flores101: Option<&'static str>,
    /// The code in FLORES-200 file names: `fra_Latn`.
    pub flores200: &'static str,
    /// Codes that other corpora use: `fre`, `fr_FR`.
    pub others: Vec<&'static str>,
    /// The name as prompts spell it: `French`.
    pub name: &'static str,
}

impl Language {
    /// Every code of the language, the one for flags first.
    pub fn codes(&self) -> impl Iterator<Item = &'static str> {
        let distinct = (self.flores200 != self.code).then_some(self.flores200);
        let middle = self.flores101.filter(|three| *three != self.code);
        std::iter::once(self.code).chain(middle).chain(distinct).chain(self.others.iter().copied())
    }
}

/// The whole table: the languages of FLORES-101 first, by name, then those that FLORES-200 added, then the others.
pub fn all() -> &'static [Language] {
    static TABLE: OnceLock<Vec<Language>> = OnceLock::new();
    TABLE.get_or_init(|| include_str!("languages.tsv").lines().skip(1).filter_map(parse_row).collect())
}

/// A row of the embedded table. A damaged row is dropped here and caught by the unit test that counts the rows.
fn parse_row(row: &'static str) -> Option<Language> {
    let [code, flores101, flores200, name, others] = *row.split('\t').collect::<Vec<_>>() else {
        return None;
    };
    let known = |field: &'static str| (field != "-").then_some(field);
    let others = known(others).into_iter().flat_map(|others| others.split(' ')).collect();
    Some(Language {
        code: known(code).unwrap_or(flores200),
        flores101: known(flores101),
        flores200,
        name,
        others,
    })
}

/// Languages of FLORES-101 and FLORES-200, the first rows of the table. Version 0.1.0 knew no others, and none of the other
/// codes: it wrote any other code into the prompt as it was.
const OF_FLORES: usize = 204;

/// Whether version 0.1.0 knew the language with this code, and so wrote the same name into a prompt.
pub fn is_of_flores(code: &str) -> bool {
    all()[..OF_FLORES].iter().any(|language| language.code == code)
}

/// The name that a prompt gives to the language with this code; `None` if there is none.
pub fn name(code: &str) -> Option<&'static str> {
    match code {
        "py" => Some("Python"),
        _ => find(code).map(|language| language.name),
    }
}

/// The language with this code, in any of its spellings and in any case; `None` if there is none.
pub fn find(code: &str) -> Option<&'static Language> {
    all().iter().find(|language| language.codes().any(|known| known.eq_ignore_ascii_case(code)))
}

/// The language with this code.
///
/// # Errors
/// An unknown code is an [`InputError`](crate::base::error::InputError) that names the nearest known one.
pub fn lookup(code: &str) -> Result<&'static Language> {
    find(code).ok_or_else(|| {
        let hint = match nearest(code, all().iter().flat_map(Language::codes)) {
            Some(near) => {
                let name = find(near).map_or("", |language| language.name);
                format!("did you mean `{near}` ({name})?")
            }
            None => "write a code such as `fr`, `fra` or `fra_Latn`".to_string(),
        };
        input(format!("`{code}` is not a language code that icl-mask knows; {hint}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_table_is_whole() {
        // 102 = the 101 languages and English; 204 = all languages and scripts of FLORES-200.
        assert_eq!(all()[OF_FLORES - 1].name, "Yue Chinese");
        assert!(all().len() > OF_FLORES);
        assert_eq!(all().len(), include_str!("languages.tsv").lines().count() - 1);
        let in_101 = all().iter().position(|language| language.name == "Zulu");
        assert_eq!(in_101, Some(101));
    }

    #[test]
    fn no_code_names_two_languages() {
        let mut seen = HashSet::new();
        for language in all() {
            for code in language.codes() {
                assert!(seen.insert(code.to_lowercase()), "{code} names two languages");
            }
        }
        let names: HashSet<_> = all().iter().map(|language| language.name).collect();
        assert_eq!(names.len(), all().len());
    }

    #[test]
    fn codes_of_other_corpora_find_a_language() {
        for (code, short, name) in [
            ("nb", "no", "Norwegian"),
            ("nob_Latn", "no", "Norwegian"),
            ("iw", "he", "Hebrew"),
            ("cmn_Hans", "zh", "Chinese"),
            ("zho_Hans", "zh", "Chinese"),
            ("zh_TW", "zho_Hant", "Traditional Chinese"),
            ("pt_BR", "pt_BR", "Brazilian Portuguese"),
            ("ger", "de", "German"),
            ("ekk_Latn", "et", "Estonian"),
            ("la", "la", "Latin"),
            ("br", "br", "Breton"),
        ] {
            let found = lookup(code).unwrap();
            assert_eq!((found.code, found.name), (short, name), "{code}");
        }
        assert!(is_of_flores("zh") && !is_of_flores("la") && !is_of_flores("py"));
        assert_eq!((name("py"), name("zh_CN"), name("xx")), (Some("Python"), Some("Chinese"), None));
    }

    #[test]
    fn every_code_of_iso_639_1_has_a_name() {
        let codes = "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en \
                     eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja \
                     jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb \
                     nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq \
                     sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu";
        let without: Vec<&str> = codes.split_whitespace().filter(|code| name(code).is_none()).collect();
        assert!(without.is_empty(), "{without:?}");
    }

    #[test]
    fn any_of_the_three_codes_finds_a_language() {
        for code in ["fr", "fra", "fra_Latn", "FR", "fra_latn"] {
            assert_eq!(lookup(code).unwrap().name, "French", "{code}");
        }
        assert_eq!(lookup("zho_trad").unwrap().code, "zho_Hant");
        assert_eq!(lookup("fas").unwrap().flores200, "pes_Arab");
        assert_eq!(lookup("lav").unwrap().flores200, "lvs_Latn");
        assert_eq!(lookup("kea").unwrap().name, "Kabuverdianu");
        assert_eq!(lookup("ace_Latn").unwrap().name, "Acehnese (Latin script)");
        assert_eq!(lookup("eus").unwrap().name, "Basque");
    }

    #[test]
    fn an_unknown_code_is_refused_with_the_nearest() {
        let message = lookup("fra_Latin").unwrap_err().to_string();
        assert_eq!(
            message,
            "`fra_Latin` is not a language code that icl-mask knows; did you mean `fra_Latn` (French)?"
        );
        assert!(lookup("klingonian").unwrap_err().to_string().contains("write a code such as `fr`"));
    }
}
