//! The tokenizer against Hugging Face's ids and decoded texts (`tests/goldens/make_tokenizers.py`).

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::quantized::gguf_file::{Content, Value};
use icl_mask::base::error::InputError;
use icl_mask::prompt::tokenizer::Tokenizer;
use serde::Deserialize;

/// `ids.json`.
#[derive(Deserialize)]
struct Golden {
    texts: Vec<String>,
    tokenizers: HashMap<String, Expected>,
}

/// What Hugging Face makes of the texts with one tokenizer: one entry a text, none for a text that comes back
/// as it was.
#[derive(Deserialize)]
struct Expected {
    bos: Option<u32>,
    eos: Vec<u32>,
    vocab_size: usize,
    ids: Vec<Vec<u32>>,
    text: Vec<Option<String>>,
    text_with_special: Vec<Option<String>>,
    cut: Vec<Cut>,
}

/// Ids in an order that cuts characters apart, and what they decode to.
#[derive(Deserialize)]
struct Cut {
    ids: Vec<u32>,
    text: String,
}

fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/goldens/tokenizers", name].iter().collect()
}

fn golden() -> Golden {
    serde_json::from_slice(&std::fs::read(path("ids.json")).unwrap()).unwrap()
}

fn from_file(name: &str) -> Tokenizer {
    Tokenizer::from_file(&path(&format!("{name}.tokenizer.json"))).unwrap()
}

fn from_gguf(name: &str) -> Option<Tokenizer> {
    let mut file = std::fs::File::open(path(&format!("{name}.gguf"))).ok()?;
    Some(Tokenizer::from_gguf(&Content::read(&mut file).unwrap().metadata).unwrap())
}

/// Every tokenizer of the goldens from its tokenizer.json and, where there is one, from its GGUF file.
fn each(check: impl Fn(&str, &Tokenizer, &Expected, &[String])) {
    let golden = golden();
    let mut from_ggufs = 0;
    for (name, expected) in &golden.tokenizers {
        check(&format!("{name}.tokenizer.json"), &from_file(name), expected, &golden.texts);
        if let Some(tokenizer) = from_gguf(name) {
            from_ggufs += 1;
            check(&format!("{name}.gguf"), &tokenizer, expected, &golden.texts);
        }
    }
    assert_eq!((golden.tokenizers.len(), from_ggufs), (10, 8));
}

#[test]
fn ids_are_hugging_faces() {
    each(|name, tokenizer, expected, texts| {
        for (text, ids) in texts.iter().zip(&expected.ids) {
            assert_eq!(&tokenizer.encode(text).unwrap(), ids, "{name}: {text:?}");
        }
    });
}

#[test]
fn decoded_texts_are_hugging_faces() {
    each(|name, tokenizer, expected, texts| {
        for (number, (ids, text)) in expected.ids.iter().zip(texts).enumerate() {
            let or_same = |decoded: &Option<String>| decoded.as_ref().unwrap_or(text).clone();
            assert_eq!(tokenizer.decode(ids), or_same(&expected.text[number]), "{name}");
            assert_eq!(
                tokenizer.decode_with_special(ids),
                or_same(&expected.text_with_special[number]),
                "{name}"
            );
        }
        for cut in &expected.cut {
            assert_eq!(tokenizer.decode(&cut.ids), cut.text, "{name}: {:?}", cut.ids);
        }
    });
}

#[test]
fn bos_comes_from_the_tokenizer_and_end_of_text_from_the_gguf() {
    each(|name, tokenizer, expected, _| {
        assert_eq!(tokenizer.bos(), expected.bos, "{name}");
        if name.ends_with(".gguf") {
            assert_eq!(tokenizer.eos(), expected.eos, "{name}");
            // A GGUF file may also list unused rows at the end.
            assert!(tokenizer.vocab_size() >= expected.vocab_size, "{name}");
        } else {
            assert_eq!(tokenizer.vocab_size(), expected.vocab_size, "{name}");
        }
    });
}

/// The law that segments rest on: the spans tile the text, and each holds its token's bytes.
#[test]
fn spans_tile_the_text_with_the_tokens_own_bytes() {
    each(|name, tokenizer, _, texts| {
        for text in texts {
            let text = tokenizer.normalize(text);
            let ids = tokenizer.encode(&text).unwrap();
            let spans =
                tokenizer.spans(&text, &ids).unwrap_or_else(|error| panic!("{name}: {text:?}: {error}"));
            assert_eq!(spans.len(), ids.len(), "{name}: {text:?}");
            let mut end = 0;
            for (&id, span) in ids.iter().zip(&spans) {
                assert_eq!(span.start, end, "{name}: {text:?}");
                end = span.end;
                let bytes = tokenizer.token_bytes(id).unwrap();
                let covered = String::from_utf8_lossy(&text.as_bytes()[span.clone()]).replace('▁', " ");
                let token = String::from_utf8_lossy(&bytes).replace('▁', " ");
                // Only the space before a stretch may be missing from the text.
                assert!(
                    covered == token || Some(covered.as_str()) == token.strip_prefix(' '),
                    "{name}: {text:?}"
                );
            }
            assert_eq!(end, text.len(), "{name}: {text:?}");
        }
    });
}

#[test]
fn byte_level_tokens_reproduce_the_text_byte_for_byte() {
    let golden = golden();
    for name in ["gpt-2", "smollm", "starcoder", "qwen2", "llama-bpe", "bloom", "gpt-neox"] {
        let tokenizer = from_gguf(name).unwrap();
        for text in golden.texts.iter().map(|text| tokenizer.normalize(text)) {
            let ids = tokenizer.encode(&text).unwrap();
            let bytes: Vec<u8> = ids.iter().flat_map(|&id| tokenizer.token_bytes(id).unwrap()).collect();
            assert_eq!(bytes, text.as_bytes(), "{name}: {text:?}");
            assert_eq!(tokenizer.decode_with_special(&ids), text, "{name}");
        }
    }
}

#[test]
fn text_outside_the_normal_form_is_refused_with_its_place() {
    let tokenizer = from_gguf("qwen2").unwrap();
    let text = "first line\nthe e\u{301}t\u{e9}";
    let error = tokenizer.spans(text, &tokenizer.encode(text).unwrap()).unwrap_err();
    assert!(error.is::<InputError>());
    for part in ["NFC", "line 2, byte 15", "U+0065 U+0301", "\\u{e9}"] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    let normal = tokenizer.normalize(text);
    assert_eq!(normal, "first line\nthe \u{e9}t\u{e9}");
    assert!(tokenizer.spans(&normal, &tokenizer.encode(&normal).unwrap()).is_ok());
    // GPT-2 leaves text as it is, and so nothing needs normalising.
    let plain = from_gguf("gpt-2").unwrap();
    assert_eq!(plain.normalize(text), text);
    assert!(plain.spans(text, &plain.encode(text).unwrap()).is_ok());
}

#[test]
fn ids_of_another_text_are_refused() {
    let tokenizer = from_gguf("gpt-2").unwrap();
    let ids = tokenizer.encode("a dog and a cat").unwrap();
    for text in ["a dog and a bat", "a dog and a", "a dog and a cat ", ""] {
        assert!(tokenizer.spans(text, &ids).unwrap_err().is::<InputError>(), "{text:?}");
    }
}

#[test]
fn the_space_before_a_sentencepiece_text_takes_no_bytes() {
    for name in ["llama", "metaspace"] {
        let tokenizer = from_file(name);
        let text = "The river</s>The river";
        let ids = tokenizer.encode(text).unwrap();
        let spans = tokenizer.spans(text, &ids).unwrap();
        assert_eq!(tokenizer.token_bytes(ids[0]).unwrap()[0], b' ', "{name}");
        assert_eq!(spans[0].start, 0, "{name}");
        let end = tokenizer.id_of("</s>").unwrap();
        let place = ids.iter().position(|&id| id == end).unwrap();
        assert_eq!((spans[place].clone(), spans[place + 1].start), (9..13, 13), "{name}");
    }
}

/// Gemma's vocabulary has runs of `▁` that are added tokens too: they stand for spaces or for themselves.
#[test]
fn a_run_of_spaces_and_a_run_of_low_lines_are_one_token_and_both_have_spans() {
    let tokenizer = from_file("gemma");
    let run = tokenizer.id_of("▁▁▁▁").unwrap();
    for (text, width) in [("a    b", 4), ("a▁▁▁▁b", 12)] {
        let ids = tokenizer.encode(text).unwrap();
        let place = ids.iter().position(|&id| id == run).unwrap();
        assert_eq!(tokenizer.spans(text, &ids).unwrap()[place], 1..1 + width, "{text}");
    }
    assert_eq!(tokenizer.token_bytes(run).unwrap(), b"    ");
}

/// Gemma puts no space before a text; a file that says so is refused, not guessed at.
#[test]
fn the_tokenizer_of_a_gemma_gguf_puts_no_space_before_a_text() {
    let mut file = std::fs::File::open(path("llama.gguf")).unwrap();
    let mut metadata = Content::read(&mut file).unwrap().metadata;
    let llama = Tokenizer::from_gguf(&metadata).unwrap();
    metadata.insert("general.architecture".into(), Value::String("gemma3".into()));
    let gemma = Tokenizer::from_gguf(&metadata).unwrap();
    let first =
        |tokenizer: &Tokenizer| tokenizer.token_bytes(tokenizer.encode("the").unwrap()[0]).unwrap()[0];
    assert_eq!((first(&llama), first(&gemma)), (b' ', b't'));
    assert_eq!(gemma.bos(), llama.bos());
    metadata.insert("tokenizer.ggml.add_space_prefix".into(), Value::Bool(true));
    let error = Tokenizer::from_gguf(&metadata).err().unwrap();
    assert!(error.is::<InputError>() && error.to_string().contains("add_space_prefix"), "{error}");
}

#[test]
fn special_tokens_say_where_they_come_from() {
    let from_ggufs = [("llama-bpe", "missing, and this is what"), ("qwen2", "add_bos_token is false")];
    for (name, says) in from_ggufs {
        let tokenizer = from_gguf(name).unwrap();
        let special = tokenizer.special();
        assert!(special.bos_from.contains(says), "{}", special.bos_from);
        let eos = special.eos.values().flatten().any(|place| place == "tokenizer.ggml.eos_token_id");
        assert!(eos && special.roles.contains_key("bos_token"), "{special:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::copy(path("llama-bpe.tokenizer.json"), folder.path().join("tokenizer.json")).unwrap();
    write("tokenizer_config.json", r#"{"bos_token": "<a>", "eos_token": "<|eot_id|>", "eot_tokens": []}"#);
    write("special_tokens_map.json", r#"{"bos_token": {"content": "<|begin_of_text|>"}}"#);
    let eot = from_file("llama-bpe").id_of("<|eot_id|>").unwrap();
    write("generation_config.json", &format!("{{\"eos_token_id\": [{eot}, 3]}}"));
    let read = || Tokenizer::from_file(folder.path()).unwrap().special().clone();
    let special = read();
    assert!(special.bos_from.contains("post_processor puts it before every text"));
    let places = ["eos_token of tokenizer_config.json", "eos_token_id of generation_config.json"];
    assert_eq!(special.eos[&eot], places);
    assert_eq!(special.roles["bos_token"], "<|begin_of_text|>");
    // Folders of newer versions of transformers say all of it in one file.
    write("tokenizer_config.json", r#"{"bos_token": "<a>", "added_tokens_decoder": {}}"#);
    assert_eq!(read().roles["bos_token"], "<a>");
    assert_eq!(read().roles.len(), 1);
}

/// A folder as it is on the hub: end of text from every file that names one.
#[test]
fn end_of_text_comes_from_the_files_beside_tokenizer_json() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::copy(path("qwen2.tokenizer.json"), folder.path().join("tokenizer.json")).unwrap();
    let read = || Tokenizer::from_file(folder.path()).map(|tokenizer| tokenizer.eos());
    let id = |token| from_file("qwen2").id_of(token).unwrap();
    assert!(read().unwrap().is_empty());
    write("config.json", &format!("{{\"eos_token_id\": {}}}", id("<|endoftext|>")));
    assert_eq!(read().unwrap(), [id("<|endoftext|>")]);
    write(
        "tokenizer_config.json",
        "{\"eos_token\": {\"content\": \"<|im_end|>\"}, \"add_bos_token\": false}",
    );
    // Where there is no generation_config.json, transformers makes one of config.json.
    assert_eq!(read().unwrap(), [id("<|endoftext|>"), id("<|im_end|>")]);
    write("generation_config.json", &format!("{{\"eos_token_id\": [{}, 3]}}", id("<|im_end|>")));
    assert_eq!(read().unwrap(), [3, id("<|im_end|>")]);
    write("generation_config.json", "{\"eos_token_id\": \"3\"}");
    assert!(read().unwrap_err().to_string().contains("eos_token_id"));
    write("generation_config.json", "{\"eos_token_id\": [3, -1]}");
    assert_eq!(read().unwrap(), [3, id("<|im_end|>")]);
    write("tokenizer_config.json", "{\"eos_token\": \"</nowhere>\"}");
    let error = read().unwrap_err();
    assert!(error.is::<InputError>() && error.to_string().contains("</nowhere>"), "{error}");
    write("tokenizer_config.json", "{");
    assert!(read().unwrap_err().to_string().contains("tokenizer_config.json is not JSON"));
}

/// tokenizer.json files that would tokenize otherwise than it seems.
#[test]
fn truncation_is_ignored_and_an_eos_at_the_end_is_refused() {
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path("llama.tokenizer.json")).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let read = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut json = json.clone();
        change(&mut json);
        std::fs::write(folder.path().join("tokenizer.json"), json.to_string()).unwrap();
        Tokenizer::from_file(folder.path())
    };
    let cutting = read(&|json| {
        let short = r#"{"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}"#;
        json["truncation"] = serde_json::from_str(short).unwrap();
    });
    let text = &golden().texts[0];
    assert_eq!(cutting.unwrap().encode(text).unwrap(), from_file("llama").encode(text).unwrap());
    let ending = read(&|json| {
        let eos = serde_json::json!({"SpecialToken": {"id": "<s>", "type_id": 0}});
        json["post_processor"]["single"].as_array_mut().unwrap().push(eos);
    });
    let error = ending.err().unwrap();
    assert!(error.is::<InputError>() && format!("{error:#}").contains("post_processor"), "{error:#}");
    let missing = Tokenizer::from_file(&folder.path().join("nowhere")).err().unwrap();
    assert!(missing.is::<InputError>() && missing.to_string().contains("tokenizer.json"), "{missing}");
}
