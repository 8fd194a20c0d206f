//! Folders whose tokenizer is told by more than tokenizer.json, through the built command, against transformers
//! (`tests/goldens/make_tokenizer_files.py`); and files made to fill the memory.

mod memory;

#[path = "../tiny/mod.rs"]
mod tiny;
#[path = "../world/mod.rs"]
mod world;

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use world::{World, ok};

fn golden(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/goldens/tokenizer_files", name].iter().collect()
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> T {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A format of which nothing but the sentence is left.
const FORMAT: &str = "question: \"\"\nanswer: \"\"\nmax_new_tokens: 12\n";

/// A world with test sentences, and a model folder `m` with these files.
struct Folder(World);

impl Folder {
    fn new(texts: &[&str]) -> Self {
        let world = World::new();
        let rows = texts
            .iter()
            .enumerate()
            .map(|(id, text)| json!({"id": id.to_string(), "source": text, "target": "-"}));
        world.write("texts.jsonl", rows.map(|row| format!("{row}\n")).collect::<String>());
        world.write("plain.yaml", FORMAT);
        Self(world)
    }

    fn write(&self, file: &str, content: &Value) {
        self.0.write(&format!("m/{file}"), content.to_string());
    }

    /// A toy model with the golden tokenizer and these files beside it.
    fn with(&self, model: &str, config: &Value, tokenizer_config: &Value) {
        fs::create_dir_all(self.0.path("m")).unwrap();
        for file in fs::read_dir(self.0.path("m")).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
        fs::copy(golden(&format!("{model}.safetensors")), self.0.path("m/model.safetensors")).unwrap();
        fs::copy(golden("tokenizer.json"), self.0.path("m/tokenizer.json")).unwrap();
        self.write("config.json", config);
        self.write("tokenizer_config.json", tokenizer_config);
    }

    /// Change the tokenizer.json.
    fn tokenizer(&self, change: impl FnOnce(&mut Value)) {
        let mut tokenizer: Value = read(&golden("tokenizer.json"));
        change(&mut tokenizer);
        self.write("tokenizer.json", &tokenizer);
    }

    const INPUTS: &str = "--test texts.jsonl --direction en-fr --mask none --nprompts 0 --format plain.yaml";

    /// `show --json` of one sentence.
    fn show(&self, model: &str, item: usize, more: &str) -> std::process::Output {
        self.0.call(&format!("show --json --model {model} {} --item {item} {more}", Self::INPUTS))
    }

    /// Tokens of a sentence.
    fn tokens(&self, model: &str, item: usize) -> Vec<u32> {
        let shown: Value = serde_json::from_str(&ok(self.show(model, item, ""))).unwrap();
        shown["tokens"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
    }

    /// What `run` generates after the first sentence.
    fn generated(&self, model: &str, more: &str) -> Vec<u32> {
        let results = self.0.path("results");
        if results.exists() {
            fs::remove_dir_all(results).unwrap();
        }
        ok(self.0.call(&format!(
            "run --model {model} {} --limit 1 --max-new-tokens 12 --threads 1 {more}",
            Self::INPUTS
        )));
        let lines = files_named(&self.0.path("results"), "baseline.jsonl");
        let line: Value =
            serde_json::from_str(fs::read_to_string(&lines[0]).unwrap().lines().next().unwrap()).unwrap();
        line["tokens"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
    }
}

fn files_named(folder: &Path, name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    let here = files.into_iter().filter(|path| path.file_name().unwrap() == name);
    here.chain(folders.iter().flat_map(|folder| files_named(folder, name))).collect()
}

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

// --- Tokens that tokenizer.json does not have ----------------------------------------------------------------

#[derive(Deserialize)]
struct Folders {
    texts: Vec<String>,
    cases: Vec<FolderCase>,
}

#[derive(Deserialize)]
struct FolderCase {
    name: String,
    tokenizer_config: Value,
    files: Map<String, Value>,
    changes: Map<String, Value>,
    model_type: String,
    ids: Vec<Vec<u32>>,
}

#[derive(Deserialize)]
struct Models {
    cases: Vec<ModelCase>,
}

#[derive(Deserialize)]
struct ModelCase {
    name: String,
    config: Value,
    text: String,
    prompt: Vec<u32>,
    tokens: Vec<u32>,
    ends: Vec<End>,
}

#[derive(Deserialize)]
struct End {
    config: Value,
    generation_config: Option<Value>,
    tokens: Vec<u32>,
}

/// A config.json of any family, large enough for every token of the cases.
fn config(model_type: &str) -> Value {
    json!({
        "model_type": model_type, "vocab_size": 400, "hidden_size": 16, "num_attention_heads": 2, "num_key_value_heads": 1,
        "head_dim": 8, "intermediate_size": 24, "num_hidden_layers": 2, "max_position_embeddings": 256,
        "rms_norm_eps": 1e-6, "hidden_act": "silu", "tie_word_embeddings": true, "n_embd": 16, "n_layer": 2, "n_head": 2,
        "n_positions": 256, "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new", "layer_norm_eps": 1e-5,
        "rotary_pct": 0.25, "rope_theta": 10000.0, "rotary_emb_base": 10000.0, "use_parallel_residual": true
    })
}

#[test]
fn ids_are_those_of_auto_tokenizer() {
    let golden: Folders = read(&golden("folders.json"));
    let texts: Vec<&str> = golden.texts.iter().map(String::as_str).collect();
    let folder = Folder::new(&texts);
    assert!(golden.cases.len() >= 25);
    for case in &golden.cases {
        folder.with("llama", &config(&case.model_type), &case.tokenizer_config);
        // Only the description is read.
        fs::remove_file(folder.0.path("m/model.safetensors")).unwrap();
        folder.tokenizer(|tokenizer| tokenizer.as_object_mut().unwrap().extend(case.changes.clone()));
        case.files.iter().for_each(|(name, content)| folder.write(name, content));
        for (item, ids) in case.ids.iter().enumerate() {
            assert_eq!(&folder.tokens("m", item), ids, "{}: {:?}", case.name, golden.texts[item]);
        }
    }
}

/// What two files say differently, or what is not done, is refused with the names.
#[test]
fn files_that_contradict_each_other_are_refused() {
    let folder = Folder::new(&["the river"]);
    let sep = json!({"content": "<sep>", "special": true});
    let digits = json!({"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": true},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}]});
    for (tokenizer_config, says) in [
        (json!({"added_tokens_decoder": {"390": sep}}), vec!["`<sep>`", "390", "320"]),
        (json!({"added_tokens_decoder": {"x": sep}}), vec!["added_tokens_decoder", "`x`"]),
        (
            json!({"added_tokens_decoder": {"320": {"special": true}}}),
            vec!["added_tokens_decoder", "`content`"],
        ),
        (json!({"extra_special_tokens": [3]}), vec!["extra_special_tokens", "3"]),
        (json!({"eos_token": "</nowhere>"}), vec!["</nowhere>", "eos_token"]),
        (json!({"split_special_tokens": true}), vec!["tokenizer_config.json", "split_special_tokens"]),
        (json!({"fast_tokenizer_files": ["tokenizer.5.0.json"]}), vec!["fast_tokenizer_files"]),
        (
            json!({"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": true}),
            vec!["add_prefix_space", "GPT2Tokenizer"],
        ),
    ] {
        folder.with("llama", &config("llama"), &tokenizer_config);
        if tokenizer_config.get("add_prefix_space").is_some() {
            folder.tokenizer(|tokenizer| tokenizer["pre_tokenizer"] = digits.clone());
        }
        folder.0.refused(&folder.show("m", 0, ""), &says);
    }
    folder.with("llama", &config("qwen2"), &json!({"add_prefix_space": true}));
    folder.0.refused(&folder.show("m", 0, ""), &["add_prefix_space", "Qwen2Tokenizer"]);
    folder.with("llama", &config("llama"), &json!({}));
    folder.write("added_tokens.json", &json!({"<sep>": "seven"}));
    folder.0.refused(&folder.show("m", 0, ""), &["added_tokens.json", "<sep>"]);
    // A space before the text that LlamaTokenizer would leave out.
    let llama = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tokenizers/llama.tokenizer.json");
    for (asked, code) in [(false, 2), (true, 0)] {
        let says = json!({"tokenizer_class": "LlamaTokenizer", "add_prefix_space": asked});
        folder.with("llama", &json!({"vocab_size": 1000}), &says);
        let mut config = config("llama");
        config["vocab_size"] = json!(1000);
        folder.write("config.json", &config);
        fs::copy(&llama, folder.0.path("m/tokenizer.json")).unwrap();
        let output = folder.show("m", 0, "");
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(code == 0 || stderr(&output).contains("add_prefix_space"), "{}", stderr(&output));
    }
}

#[test]
fn ids_that_are_drawn_are_refused() {
    let folder = Folder::new(&["the river"]);
    folder.with("llama", &config("llama"), &json!({}));
    for (dropout, refused) in
        [(json!(0.1), true), (json!(1), true), (json!(0.0), false), (Value::Null, false)]
    {
        folder.tokenizer(|tokenizer| tokenizer["model"]["dropout"] = dropout.clone());
        let output = folder.show("m", 0, "");
        match refused {
            true => folder.0.refused(&output, &["`dropout`", "tokenizer.json", "null"]),
            false => assert_eq!(output.status.code(), Some(0), "{}", stderr(&output)),
        }
    }
}

#[test]
fn keys_that_are_not_known_are_named_once() {
    let folder = Folder::new(&["the river"]);
    let says =
        json!({"padding_side": "left", "new_rule": 1, "bos_token": "<|endoftext|>", "chat_template": "x"});
    folder.with("llama", &config("llama"), &says);
    folder.write("special_tokens_map.json", &json!({"pad_token": "<|endoftext|>", "odd": []}));
    folder.tokenizer(|tokenizer| {
        tokenizer["pre_tokenizer"]["twist"] = json!({});
        tokenizer["model"]["twist"] = json!(true);
    });
    let output = folder.show("m", 0, "");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for line in [
        "tokenizer.json has keys that icl-mask does not know and ignores: `model.twist`, `pre_tokenizer.twist`",
        "tokenizer_config.json has keys that icl-mask does not know and ignores: `new_rule`",
        "special_tokens_map.json has keys that icl-mask does not know and ignores: `odd`",
    ] {
        assert_eq!(said.matches(line).count(), 1, "{line}: {said}");
    }
    assert!(!said.contains("padding_side") && !said.contains("bos_token"), "{said}");
    // The library reads no file that has an outer key which it does not know.
    folder.tokenizer(|tokenizer| tokenizer["surprise"] = json!({}));
    folder.0.refused(&folder.show("m", 0, ""), &["tokenizer.json", "`surprise`"]);
}

// --- Tokens beyond the embedding -------------------------------------------------------------------------------

#[test]
fn a_token_without_a_row_matters_only_to_the_prompt_that_holds_it() {
    for case in read::<Models>(&golden("models.json")).cases {
        let folder = Folder::new(&[&case.text]);
        let says = json!({"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "image_token": "<image>"});
        folder.with(&case.name, &case.config, &says);
        assert_eq!(folder.tokens("m", 0), case.prompt, "{}", case.name);
        assert_eq!(folder.generated("m", "--no-stop"), case.tokens, "{}", case.name);
        let inputs = Folder::INPUTS.replace("texts.jsonl", "other.jsonl");
        for (text, token) in [("an <image>", "<image>"), ("a<pad>", "<pad>")] {
            folder.0.write("other.jsonl", format!("{}\n", json!({"id": "7", "source": text, "target": "-"})));
            let output = folder.0.call(&format!("run --model m {inputs} --no-stop"));
            folder.0.refused(&output, &["item 7", token, "320"]);
        }
        // A demonstration stands in every prompt.
        folder.0.write("demo.jsonl", format!("{}\n", json!({"id": "d", "source": "a<pad>", "target": "b"})));
        let one = Folder::INPUTS.replace("--nprompts 0", "--nprompts 1 --demonstrations demo.jsonl");
        folder.0.refused(&folder.0.call(&format!("run --model m {one} --limit 1")), &["item 0", "<pad>"]);
        // An end of text that the model cannot write, needed or beside one that it can.
        let end = |ids: Value| folder.write("generation_config.json", &json!({"eos_token_id": ids}));
        end(json!([321]));
        let run = format!("run --model m {} --limit 1", Folder::INPUTS);
        folder.0.refused(&folder.0.call(&run), &["ends", "321"]);
        assert_eq!(folder.generated("m", "--no-stop"), case.tokens);
        end(json!([321, case.tokens[2]]));
        assert_eq!(folder.generated("m", "").len(), 3, "{}", case.name);
    }
}

/// As transformers' `generate`: generation_config.json, and config.json only where there is no such file.
#[test]
fn texts_end_where_generate_ends_them() {
    for case in read::<Models>(&golden("models.json")).cases {
        let folder = Folder::new(&[&case.text]);
        folder.0.write("plain.yaml", format!("{FORMAT}stops: []\n"));
        assert!(case.ends.len() >= 4);
        for end in &case.ends {
            let mut config = case.config.as_object().unwrap().clone();
            config.extend(end.config.as_object().unwrap().clone());
            folder.with(
                &case.name,
                &Value::Object(config),
                &json!({"tokenizer_class": "PreTrainedTokenizerFast"}),
            );
            if let Some(content) = &end.generation_config {
                folder.write("generation_config.json", content);
            }
            assert_eq!(
                folder.generated("m", ""),
                end.tokens,
                "{}: {} {:?}",
                case.name,
                end.config,
                end.generation_config
            );
        }
    }
}

// --- Gemma's tokenizer in GGUF ---------------------------------------------------------------------------------

#[derive(Deserialize)]
struct Gemma {
    texts: Vec<String>,
    ids: Vec<Vec<u32>>,
    bos: u32,
    tokens: Vec<u32>,
    prompt: Vec<u32>,
}

#[test]
fn gemmas_gguf_is_read_with_its_tokenizer() {
    let gemma: Gemma = read(&golden("gemma.json"));
    let texts: Vec<&str> = gemma.texts.iter().map(String::as_str).collect();
    let folder = Folder::new(&texts);
    fs::copy(golden("gemma.gguf"), folder.0.path("gemma.gguf")).unwrap();
    for (item, ids) in gemma.ids.iter().enumerate() {
        let expected: Vec<u32> = [gemma.bos].into_iter().chain(ids.iter().copied()).collect();
        assert_eq!(folder.tokens("gemma.gguf", item), expected, "{:?}", gemma.texts[item]);
    }
    assert_eq!(folder.tokens("gemma.gguf", 0), gemma.prompt);
    assert_eq!(folder.generated("gemma.gguf", "--no-stop")[..gemma.tokens.len()], gemma.tokens);
    let shown: Value = serde_json::from_str(&ok(folder.show("gemma.gguf", 0, ""))).unwrap();
    assert_eq!(shown["special_tokens"]["eos_texts"], json!(["<eos>", "<end_of_turn>"]));
}

// --- Templates -----------------------------------------------------------------------------------------------------

#[derive(Deserialize)]
struct Generation {
    message: String,
    cases: Vec<TemplateCase>,
}

#[derive(Deserialize)]
struct TemplateCase {
    template: String,
    text: String,
}

#[test]
fn tags_of_generation_render_as_in_transformers() {
    let golden: Generation = read(&golden("generation.json"));
    let folder = Folder::new(&[&golden.message]);
    folder.with("llama", &config("llama"), &json!({}));
    assert!(golden.cases.len() >= 13);
    for case in &golden.cases {
        folder.0.write("t.jinja", &case.template);
        let shown: Value = serde_json::from_str(&ok(folder.show("m", 0, "--chat-template t.jinja"))).unwrap();
        assert_eq!(shown["prompt"], json!(case.text), "{}", case.template);
    }
}
