//! Prompts, their segments and what a mask hides, against a Python account of the same rules
//! (`tests/goldens/make_segments.py`).

use crate::tiny;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use icl_mask::data::Example;
use icl_mask::intervene::{Change, Intervention, Masks};
use icl_mask::prompt::{Format, Profile, Prompt, Prompter, Tokenizer};
use serde::Deserialize;
use serde_json::Value;

/// `segments.json`.
#[derive(Deserialize)]
struct Golden {
    demonstrations: Vec<(String, String)>,
    queries: Vec<String>,
    /// Formats that are not in `configs/format/`.
    formats: HashMap<String, Format>,
    tokenizers: HashMap<String, Recipe>,
    cases: Vec<Case>,
}

/// A tokenizer of the goldens, perhaps with merges that its vocabulary lacks.
#[derive(Deserialize)]
struct Recipe {
    file: String,
    /// Token given up, left, right.
    merges: Vec<[String; 3]>,
}

#[derive(Deserialize)]
struct Case {
    tokenizer: String,
    format: String,
    k: usize,
    query: usize,
    profile: Profile,
    text: String,
    tokens: Vec<u32>,
    /// Of profile `exact`.
    segments: Option<SegmentRanges>,
    hidden: Option<HiddenRanges>,
    /// Of profile `sia2024`.
    hidden_llama: Option<HiddenRanges>,
    hidden_other: Option<HiddenRanges>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct SegmentRanges {
    bos: [usize; 2],
    instructions: [usize; 2],
    examples: [usize; 2],
    query: [usize; 2],
}

type HiddenRanges = HashMap<String, Vec<[usize; 2]>>;

fn golden() -> Golden {
    serde_json::from_str(include_str!("segments.json")).unwrap()
}

impl Recipe {
    fn tokenizer(&self) -> Tokenizer {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tokenizers");
        let file: PathBuf = folder.join(format!("{}.tokenizer.json", self.file));
        let mut json: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        for [given_up, left, right] in &self.merges {
            let merges = json["model"]["merges"].as_array_mut().unwrap();
            merges.insert(0, serde_json::json!([left, right]));
            let vocab = json["model"]["vocab"].as_object_mut().unwrap();
            let id = vocab.remove(given_up).unwrap();
            vocab.insert(format!("{left}{right}"), id);
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), json.to_string()).unwrap();
        Tokenizer::from_file(folder.path()).unwrap()
    }
}

fn format(name: &str, own: &HashMap<String, Format>) -> Format {
    own.get(name).cloned().unwrap_or_else(|| tiny::format(name))
}

fn example(id: &str, source: &str, target: &str) -> Example {
    Example { id: id.into(), source: source.into(), target: target.into(), ..Example::default() }
}

fn pair(range: &std::ops::Range<usize>) -> [usize; 2] {
    [range.start, range.end]
}

fn hidden(prompt: &Prompt, mask: &str) -> Vec<[usize; 2]> {
    let plan = mask.parse::<Intervention>().unwrap().plan(prompt, 0, &Masks::default()).unwrap();
    let columns = plan.edits().iter().map(|edit| match &edit.change {
        Change::Hide(columns) => columns.ranges().iter().map(pair).collect::<Vec<_>>(),
        Change::OnlySelf | Change::NoAttention | Change::Adapt(_) => panic!("{mask} hides columns"),
    });
    columns.flatten().collect()
}

/// Call `check` with each case and its prompt, built as for a Llama model and as for another.
fn each(check: impl Fn(&str, &Case, &Prompt, bool)) {
    let golden = golden();
    let tokenizers: HashMap<_, _> =
        golden.tokenizers.iter().map(|(name, recipe)| (name, recipe.tokenizer())).collect();
    let demonstrations: Vec<Example> =
        golden.demonstrations.iter().map(|(source, target)| example("", source, target)).collect();
    assert!(golden.cases.len() > 250);
    for case in &golden.cases {
        let format = format(&case.format, &golden.formats);
        let tokenizer = &tokenizers[&case.tokenizer];
        for llama in [true, false] {
            let (languages, demonstrations) = (("English", "French"), &demonstrations[..case.k]);
            let prompter = Prompter::new(&format, languages, demonstrations, tokenizer, case.profile, llama);
            let prompt = prompter.prompt(&example("item", &golden.queries[case.query], "")).unwrap();
            let name = format!(
                "{}, {}, {} examples, query {}, {:?}, llama {llama}",
                case.tokenizer, case.format, case.k, case.query, case.profile
            );
            check(&name, case, &prompt, llama);
        }
    }
}

#[test]
fn prompts_and_tokens_are_those_of_the_rules() {
    each(|name, case, prompt, _| {
        assert_eq!(prompt.text, case.text, "{name}");
        assert_eq!(prompt.tokens, case.tokens, "{name}");
    });
}

#[test]
fn segments_are_cut_by_first_bytes() {
    each(|name, case, prompt, _| {
        let segments = &prompt.segments;
        let found = SegmentRanges {
            bos: pair(&segments.bos),
            instructions: pair(&segments.instructions),
            examples: pair(&segments.examples),
            query: pair(&segments.query),
        };
        let whole = [found.bos, found.instructions, found.examples, found.query, [prompt.tokens.len(); 2]];
        assert!(
            whole[0][0] == 0 && whole.windows(2).all(|pair| pair[0][1] == pair[1][0]),
            "{name}: {found:?}"
        );
        // The study's code knows no segments, only columns.
        assert_eq!(case.segments.is_some(), case.profile == Profile::Exact);
        if let Some(expected) = &case.segments {
            assert_eq!(&found, expected, "{name}");
        }
    });
}

#[test]
fn hidden_columns_are_those_of_the_rules() {
    each(|name, case, prompt, llama| {
        let of_study = if llama { &case.hidden_llama } else { &case.hidden_other };
        let expected = case.hidden.as_ref().or(of_study.as_ref()).unwrap();
        assert_eq!(expected.len(), 5, "{name}");
        for (mask, ranges) in expected {
            assert_eq!(&hidden(prompt, mask), ranges, "{name}, {mask}");
        }
    });
}
