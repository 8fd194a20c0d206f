//! Whether a text is in a language, by the trigrams and the script of its characters (the crate `whatlang`).

use whatlang::{Lang, detect_lang};

/// A language that can be told from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language(Lang);

/// What tells languages apart, as score files name it.
pub const DETECTOR: &str = "whatlang:0.18.0";

/// Codes of directions, with what the detector calls these languages.
const LANGUAGES: [(&str, Lang); 70] = [
    ("af", Lang::Afr),
    ("ak", Lang::Aka),
    ("am", Lang::Amh),
    ("ar", Lang::Ara),
    ("az", Lang::Aze),
    ("be", Lang::Bel),
    ("bg", Lang::Bul),
    ("bn", Lang::Ben),
    ("ca", Lang::Cat),
    ("cs", Lang::Ces),
    ("cy", Lang::Cym),
    ("da", Lang::Dan),
    ("de", Lang::Deu),
    ("el", Lang::Ell),
    ("en", Lang::Eng),
    ("eo", Lang::Epo),
    ("es", Lang::Spa),
    ("et", Lang::Est),
    ("fa", Lang::Pes),
    ("fi", Lang::Fin),
    ("fr", Lang::Fra),
    ("gu", Lang::Guj),
    ("he", Lang::Heb),
    ("hi", Lang::Hin),
    ("hr", Lang::Hrv),
    ("hu", Lang::Hun),
    ("hy", Lang::Hye),
    ("id", Lang::Ind),
    ("it", Lang::Ita),
    ("ja", Lang::Jpn),
    ("jv", Lang::Jav),
    ("ka", Lang::Kat),
    ("km", Lang::Khm),
    ("kn", Lang::Kan),
    ("ko", Lang::Kor),
    ("la", Lang::Lat),
    ("lt", Lang::Lit),
    ("lv", Lang::Lav),
    ("mk", Lang::Mkd),
    ("ml", Lang::Mal),
    ("mr", Lang::Mar),
    ("my", Lang::Mya),
    ("ne", Lang::Nep),
    ("nl", Lang::Nld),
    ("no", Lang::Nob),
    ("or", Lang::Ori),
    ("pa", Lang::Pan),
    ("pl", Lang::Pol),
    ("pt", Lang::Por),
    ("ro", Lang::Ron),
    ("ru", Lang::Rus),
    ("si", Lang::Sin),
    ("sk", Lang::Slk),
    ("sl", Lang::Slv),
    ("sn", Lang::Sna),
    ("sr", Lang::Srp),
    ("sv", Lang::Swe),
    ("ta", Lang::Tam),
    ("te", Lang::Tel),
    ("th", Lang::Tha),
    ("tk", Lang::Tuk),
    ("tl", Lang::Tgl),
    ("tr", Lang::Tur),
    ("uk", Lang::Ukr),
    ("ur", Lang::Urd),
    ("uz", Lang::Uzb),
    ("vi", Lang::Vie),
    ("yi", Lang::Yid),
    ("zh", Lang::Cmn),
    ("zu", Lang::Zul),
];

impl Language {
    /// The language with this code, as directions write it (`fr`); `None` where it cannot be told from others.
    pub fn of_code(code: &str) -> Option<Self> {
        let code = match code.split_once('_') {
            // Varieties and both ways to write Chinese are not told apart.
            Some((language, region)) if region.len() == 2 => language,
            _ if code == "zho_Hant" => "zh",
            _ => code,
        };
        LANGUAGES.into_iter().find(|(known, _)| *known == code).map(|(_, lang)| Self(lang))
    }

    /// Whether a text is in it. A text without letters is in no language.
    pub fn is_of(self, text: &str) -> bool {
        detect_lang(text) == Some(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::languages;

    #[test]
    fn every_code_is_one_that_directions_write() {
        for (code, lang) in LANGUAGES {
            let known = languages::find(code).unwrap_or_else(|| panic!("{code} is no language"));
            assert_eq!(known.code, code, "{lang}");
        }
        assert_eq!(LANGUAGES.len(), Lang::all().len(), "each once");
    }

    #[test]
    fn a_sentence_is_in_its_language() {
        let is = |code: &str, text: &str| Language::of_code(code).expect("is known").is_of(text);
        let french = "Les routes étaient plus dangereuses que prévu.";
        assert!(is("fr", french) && !is("en", french) && !is("zh", french));
        assert!(
            is("zh", "今天天气很好。")
                && is("zho_Hant", "今天天氣很好。")
                && is("ja", "今日はいい天気です。")
        );
        assert!(!is("fr", "") && !is("fr", " 12, 13!"));
        assert_eq!(Language::of_code("pt_BR"), Language::of_code("pt"));
        assert_eq!((Language::of_code("sr_Latn"), Language::of_code("de_AT").is_some()), (None, true));
        assert_eq!((Language::of_code("xh"), Language::of_code("")), (None, None));
    }

    #[test]
    fn the_version_is_the_one_that_is_built_in() {
        let lock = include_str!("../../Cargo.lock");
        let version =
            lock.split("name = \"whatlang\"\nversion = \"").nth(1).and_then(|rest| rest.split('"').next());
        assert_eq!(Some(DETECTOR), version.map(|version| format!("whatlang:{version}")).as_deref());
    }
}
