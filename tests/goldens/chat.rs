//! Prompts in a chat template against transformers' `apply_chat_template` (`tests/goldens/make_chat.py`), and templates
//! that are refused.

use crate::tiny;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::quantized::gguf_file;
use icl_mask::base::error::InputError;
use icl_mask::data::Example;
use icl_mask::intervene::{Change, Columns, Intervention, Masks};
use icl_mask::prompt::chat::{ChatTemplate, TemplateSource};
use icl_mask::prompt::{Format, Profile, Prompt, Prompter, Tokenizer};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

/// `chat.json`.
#[derive(Deserialize)]
struct Golden {
    demonstrations: Vec<(String, String)>,
    queries: Vec<String>,
    formats: HashMap<String, Format>,
    templates: HashMap<String, String>,
    /// Texts of special tokens by `tokenizer, template`.
    special: HashMap<String, BTreeMap<String, String>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    tokenizer: String,
    template: String,
    format: String,
    k: usize,
    query: usize,
    text: String,
    tokens: Vec<u32>,
    segments: Value,
    hidden: HashMap<String, Vec<[usize; 2]>>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("chat.json")).unwrap()
}

fn example(source: &str, target: &str) -> Example {
    Example { id: "item".into(), source: source.into(), target: target.into(), ..Example::default() }
}

/// A folder with the tokenizer and these files beside it.
fn folder(tokenizer: &str, beside: &[(&str, String)]) -> (TempDir, PathBuf) {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tokenizers");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    fs::copy(goldens.join(format!("{tokenizer}.tokenizer.json")), &path).unwrap();
    beside.iter().for_each(|(name, text)| fs::write(folder.path().join(name), text).unwrap());
    (folder, path)
}

impl Golden {
    /// The tokenizer and the template of a case, read from a folder as it is on the hub.
    fn read(&self, case: &Case) -> (Tokenizer, ChatTemplate) {
        let mut config = json!(self.special[&format!("{}, {}", case.tokenizer, case.template)]);
        config["chat_template"] = self.templates[&case.template].clone().into();
        let (_folder, path) = folder(&case.tokenizer, &[("tokenizer_config.json", config.to_string())]);
        let tokenizer = Tokenizer::from_file(&path).unwrap();
        let chat =
            ChatTemplate::new(TemplateSource::beside(&path).unwrap(), &tokenizer.special().roles).unwrap();
        (tokenizer, chat)
    }
}

/// Call `check` with each case and its prompt.
fn each(check: impl Fn(&str, &Case, &Prompt)) {
    let golden = golden();
    let demonstrations: Vec<Example> =
        golden.demonstrations.iter().map(|(source, target)| example(source, target)).collect();
    assert!(golden.cases.len() > 200);
    let mut read = HashMap::new();
    for case in &golden.cases {
        let (tokenizer, chat) =
            read.entry((&case.tokenizer, &case.template)).or_insert_with(|| golden.read(case));
        let own = golden.formats.get(&case.format).cloned();
        let format = own.unwrap_or_else(|| tiny::format(&case.format));
        let (languages, demonstrations) = (("English", "French"), &demonstrations[..case.k]);
        let prompter = Prompter::new(&format, languages, demonstrations, tokenizer, Profile::Exact, true)
            .with_chat(Some(chat));
        let name = format!(
            "{}, {}, {}, {} examples, query {}",
            case.tokenizer, case.template, case.format, case.k, case.query
        );
        let prompt = prompter.prompt(&example(&golden.queries[case.query], ""));
        check(&name, case, &prompt.unwrap_or_else(|error| panic!("{name}: {error:#}")));
    }
}

#[test]
fn texts_and_tokens_are_those_of_transformers() {
    each(|name, case, prompt| {
        assert_eq!(prompt.text, case.text, "{name}");
        assert_eq!(prompt.tokens, case.tokens, "{name}");
    });
}

#[test]
fn segments_are_cut_by_first_bytes_and_cover_the_prompt() {
    each(|name, case, prompt| {
        assert_eq!(json!(prompt.segments), case.segments, "{name}");
        assert!(!prompt.segments.closing.is_empty() || case.template == "printed", "{name}");
        let all = &prompt.segments;
        let all = [&all.bos, &all.opening, &all.instructions, &all.examples, &all.query, &all.closing];
        let covered = all
            .iter()
            .filter(|range| !range.is_empty())
            .try_fold(0, |end, range| if range.start == end { Some(range.end) } else { None });
        assert_eq!(covered, Some(prompt.tokens.len()), "{name}");
    });
}

#[test]
fn what_the_template_writes_is_never_hidden_by_a_mask_of_segments() {
    each(|name, case, prompt| {
        for (mask, expected) in &case.hidden {
            let plan = mask.parse::<Intervention>().unwrap().plan(prompt, 0, &Masks::default()).unwrap();
            let columns = plan.edits().first().map_or(Columns::default(), |edit| match &edit.change {
                Change::Hide(columns) => columns.clone(),
                _ => panic!("{mask}"),
            });
            let found: Vec<[usize; 2]> =
                columns.ranges().iter().map(|range| [range.start, range.end]).collect();
            assert_eq!(&found, expected, "{name}, {mask}");
            let template = prompt.segments.opening.clone().chain(prompt.segments.closing.clone());
            assert!(
                template.chain(prompt.segments.bos.clone()).all(|column| !columns.contains(column)),
                "{name}"
            );
        }
        let all = Intervention::All.plan(prompt, 0, &Masks::default()).unwrap();
        assert_eq!(all.edits()[0].change, Change::OnlySelf, "{name}");
    });
}

/// A BOS comes from the template alone: neither twice nor where the template has none.
#[test]
fn bos_is_what_the_template_writes() {
    let bos = tiny::tokenizer("llama-bpe").bos().unwrap();
    let mut with = 0;
    each(|_, case, prompt| {
        if case.tokenizer == "llama-bpe" {
            let count = prompt.tokens.iter().filter(|&&token| token == bos).count();
            assert_eq!(count, prompt.segments.bos.len());
            assert_eq!(count, usize::from(case.template == "llama"));
        }
    });
    for case in golden().cases {
        with += usize::from(case.segments["bos"] == json!([0, 1]));
    }
    assert!(with > 50);
}

fn compiled(text: &str) -> anyhow::Result<ChatTemplate> {
    let roles = BTreeMap::from([("bos_token".to_string(), "<s>".to_string())]);
    ChatTemplate::new(TemplateSource { text: text.into(), place: "t.jinja".into() }, &roles)
}

#[test]
fn templates_that_hide_where_the_prompt_stands_are_refused() {
    let content = "{{ messages[0].content }}";
    for (text, says) in [
        (format!("{content} {content}"), "writes the message 2 times"),
        ("{{ bos_token }}user:".into(), "writes the message 0 times"),
        ("{{ messages[0].content | upper }}".into(), "writes the message 0 times"),
        ("{% for part in messages[0].content %}{{ part.text }}{% endfor %}".into(), "0 times"),
        (format!("{{{{ strftime_now('%Y') }}}} {content}"), "today's date"),
        (
            format!(
                "{{% macro opening() %}}\n{{{{ strftime_now('%Y') }}}}{{% endmacro %}}{{{{ opening() }}}} {content}"
            ),
            "today's date",
        ),
        ("{{ raise_exception('no users here') }}".into(), "no users here"),
        (format!("a\n{{% if %}} {content}"), "t.jinja cannot be used for one user message (line 2)"),
        (format!("{{{{ messages | nothing }}}} {content}"), "nothing"),
        // Without an end, as far as anybody waits.
        (
            format!(
                "{{% for a in range(99999) %}}{{% for b in range(99999) %}}{{% endfor %}}{{% endfor %}}{content}"
            ),
            "ran out of fuel",
        ),
        (format!("{{{{ nobody.there }}}} {content}"), "t.jinja cannot be used"),
        (format!("{{{{ messages }}}} {content}"), "prints a value of kind sequence"),
        (format!("{{{{ {{'a': 1}} | tojson(separators=',') }}}} {content}"), "separators"),
    ] {
        let error = compiled(&text).unwrap_err();
        assert!(error.is::<InputError>() && error.to_string().contains(says), "{text}: {error:#}");
        assert!(error.to_string().contains("--chat-template FILE"), "{error:#}");
    }
}

#[test]
fn a_template_that_changes_the_prompt_is_refused_when_it_does() {
    let kept = |template: &str, prompt: &str| compiled(template).unwrap().kept(prompt);
    assert_eq!(kept("u: {{ messages[0].content }} a:", " x y ").unwrap(), 0..5);
    assert_eq!(kept("u: {{ messages[0].content | trim }} a:", " x y ").unwrap(), 1..4);
    assert_eq!(kept("u: {{ messages[0].content.lstrip() }} a:", " x y ").unwrap(), 1..5);
    assert_eq!(kept("u: {{ messages[0].content.strip('\\n') }} a:", "\n\n x\n ").unwrap(), 2..6);
    // White space that looks like the template's own is the template's own.
    assert_eq!(kept("{{ messages[0].content.rstrip() }} a", "x ").unwrap(), 0..1);
    for (template, prompt) in [
        ("{{ messages[0].content.replace('dog', 'cat') }}", "a dog"),
        ("{{ messages[0].content.split('</think>')[-1] }}", "a</think>b"),
        ("{% if 'system' in messages[0].content %}S{% endif %}{{ messages[0].content }}", "a system"),
        ("{{ messages[0].content[:16] }}", "far too long to be kept whole"),
        ("{{ messages[0].content | trim }}", " \n "),
    ] {
        let error = kept(template, prompt).unwrap_err();
        assert!(error.is::<InputError>(), "{error:#}");
        assert!(error.to_string().contains("changes the prompt"), "{template}: {error:#}");
    }
}

/// `chat_template.jinja` before tokenizer_config.json, there a text or a list with one named `default`.
#[test]
fn the_models_own_template_is_found_where_transformers_finds_it() {
    let read = |beside: &[(&str, String)]| {
        let (_folder, path) = folder("smollm", beside);
        TemplateSource::beside(&path).map(|source| source.text)
    };
    let config = |template: Value| ("tokenizer_config.json", json!({"chat_template": template}).to_string());
    let list = json!([{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]);
    assert_eq!(read(&[config(json!("C"))]).unwrap(), "C");
    assert_eq!(read(&[config(list.clone())]).unwrap(), "D");
    assert_eq!(read(&[config(list), ("chat_template.jinja", "J".into())]).unwrap(), "J");
    for (beside, says) in [
        (vec![], "--chat-template: the model has no chat template of its own"),
        (vec![config(Value::Null)], "the model has no chat template of its own"),
        (
            vec![config(json!([{"name": "rag", "template": "R"}]))],
            "none of them is named `default` (there are: rag)",
        ),
        (vec![config(json!(3))], "neither a text nor a list"),
        (vec![("tokenizer_config.json", "{".into())], "is not JSON"),
    ] {
        let error = read(&beside).unwrap_err();
        assert!(error.is::<InputError>() && error.to_string().contains(says), "{error:#}");
    }
}

#[test]
fn a_gguf_file_has_its_template_in_its_metadata() {
    let read = |value: Option<gguf_file::Value>| {
        let metadata: HashMap<_, _> =
            value.map(|value| ("tokenizer.chat_template".to_string(), value)).into_iter().collect();
        TemplateSource::gguf(&metadata).map(|source| source.text)
    };
    assert_eq!(read(Some(gguf_file::Value::String("G".into()))).unwrap(), "G");
    assert!(read(Some(gguf_file::Value::U32(1))).unwrap_err().to_string().contains("is not a text"));
    assert!(read(None).unwrap_err().to_string().contains("the GGUF file has no `tokenizer.chat_template`"));
}

#[test]
fn the_study_has_no_chat_template() {
    let chat = compiled("u: {{ messages[0].content }} a:").unwrap();
    let (tokenizer, format) = (tiny::tokenizer("smollm"), tiny::format("instr_machine_translation"));
    let prompter = Prompter::new(&format, ("English", "French"), &[], &tokenizer, Profile::Sia2024, true);
    let error = prompter.with_chat(Some(&chat)).prompt(&example("x", "")).unwrap_err();
    assert!(error.is::<InputError>() && error.to_string().contains("sia2024"), "{error:#}");
}
