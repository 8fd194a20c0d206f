//! Every golden once more, through the built command: checkpoints, adapters, tokenizers and chat templates. The library
//! tests compare whole vectors; these see that the command reads the same files, plans, starts and chooses the same token.

use crate::families;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Result;
use candle_core::quantized::gguf_file::{self, Content, Value as Metadata};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use icl_mask::model::{Arch, Held, Precision, Transformer, Weights};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::drawn::Drawn;
use crate::families::FAMILIES;
use crate::world::{World, json_lines, ok};

/// The prompt is the source text and nothing else.
const BARE: &str = "header: \"\"\nquestion: \"\"\nanswer: \"\"\nseparator: \"\"\n";

fn golden(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/goldens", path].iter().collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

// --- A tokenizer for any ids -------------------------------------------------------------------------------

/// The text of a token in a vocabulary that has one text for each id.
fn text(id: u32) -> String {
    format!("<{id}>")
}

fn texts(ids: &[u32]) -> String {
    ids.iter().map(|id| text(*id)).collect()
}

/// A `tokenizer.json` in which each id is an added token, so that any ids can be written as a text.
fn tokenizer_json(vocab: usize) -> String {
    let vocab: Vec<u32> = (0..vocab as u32).collect();
    let token = |&id: &u32| {
        json!({"id": id, "content": text(id), "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": false})
    };
    let ids: serde_json::Map<String, Value> = vocab.iter().map(|id| (text(*id), json!(id))).collect();
    let bytes =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
        "added_tokens": vocab.iter().map(token).collect::<Vec<_>>(),
        "pre_tokenizer": bytes, "decoder": bytes,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": ids, "merges": []},
    })
    .to_string()
}

/// The same as GGUF metadata: every token is user-defined.
fn tokenizer_metadata(vocab: usize) -> Vec<(String, Metadata)> {
    let tokens = (0..vocab as u32).map(|id| Metadata::String(text(id))).collect();
    let kinds = vec![Metadata::I32(4); vocab];
    vec![
        ("tokenizer.ggml.model".into(), Metadata::String("gpt2".into())),
        ("tokenizer.ggml.pre".into(), Metadata::String("gpt-2".into())),
        ("tokenizer.ggml.tokens".into(), Metadata::Array(tokens)),
        ("tokenizer.ggml.token_type".into(), Metadata::Array(kinds)),
        ("tokenizer.ggml.merges".into(), Metadata::Array(Vec::new())),
    ]
}

/// A GGUF file with more metadata and these tensors beside its own.
fn with_metadata(from: &Path, to: &Path, more: Vec<(String, Metadata)>, extra: &[(&str, QTensor)]) {
    let mut file = File::open(from).unwrap();
    let content = Content::read(&mut file).unwrap();
    let mut names: Vec<&String> = content.tensor_infos.keys().collect();
    names.sort();
    let tensors: Vec<(String, QTensor)> = names
        .into_iter()
        .map(|name| (name.clone(), content.tensor(&mut file, name, &Device::Cpu).unwrap()))
        .collect();
    let mut metadata = content.metadata.clone();
    metadata.extend(more);
    let metadata: Vec<(&str, &Metadata)> =
        metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let mut all: Vec<(&str, &QTensor)> =
        tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    all.extend(extra.iter().map(|(name, tensor)| (*name, tensor)));
    gguf_file::write(&mut File::create(to).unwrap(), &metadata, &all).unwrap();
}

// --- Checkpoints and adapters ----------------------------------------------------------------------------------

/// A prompt of these tokens: the plan counts them, `show` gives them back, and `run` chooses the expected next token.
fn check(world: &World, model: &str, prompt: &[u32], expected: u32, more: &str) {
    world.write("bare.yaml", BARE);
    world.write("items.jsonl", json!({"source": texts(prompt), "target": "x"}).to_string() + "\n");
    let call = format!(
        "--model {model} --test items.jsonl --direction en-fr --format bare.yaml --nprompts 0 --mask none \
         --max-new-tokens 1 {more}"
    );
    let shown: Value = serde_json::from_str(&ok(world.call(&format!("show --json {call}")))).unwrap();
    assert_eq!(shown["tokens"], json!(prompt), "{model}");
    let plan = ok(world.call(&format!("run --dry-run --json {call} --limit 1 --results plan")));
    assert_eq!(json_lines(&plan)[0]["prompt_tokens"], json!(prompt.len()), "{model}");
    let results = format!("results-{}", model.replace(['/', '.'], "-"));
    let done =
        ok(world.call(&format!("run --json {call} --limit 1 --no-stop --threads 1 --results {results}")));
    let path = json_lines(&done)[0]["path"].as_str().unwrap().to_string();
    let line = fs::read_to_string(world.path(&path).with_extension("jsonl")).unwrap();
    assert_eq!(json_lines(&line)[0]["tokens"], json!([expected]), "{model} {more}");
}

fn greatest(logits: &[f32]) -> u32 {
    let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
    best.0 as u32
}

/// Prompt and next token that transformers chooses, of a model of `make_checkpoints.py`.
fn expected(name: &str, logits: &str) -> (Vec<u32>, u32) {
    let file = golden("models").join(name).join("expected.safetensors");
    let arrays = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    let prompt: Vec<i64> = arrays["prompt"].to_vec1().unwrap();
    let rows: Vec<Vec<f32>> = arrays[logits].to_dtype(DType::F32).unwrap().to_vec2().unwrap();
    (prompt.into_iter().map(|id| id as u32).collect(), greatest(rows.last().unwrap()))
}

#[test]
fn every_checkpoint_runs() {
    let world = World::new();
    let mut checked = 0;
    for entry in fs::read_dir(golden("models")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        // Another form of a model has its expected logits beside the first form.
        let original =
            [&name, &name.split('-').take(2).collect::<Vec<_>>().join("-"), name.split('-').next().unwrap()]
                .into_iter()
                .find(|name| golden("models").join(name).join("expected.safetensors").exists())
                .unwrap()
                .to_string();
        if folder.join("config.json").exists() {
            let (prompt, next) = expected(&original, "logits");
            copy(&folder, &world.path(&name));
            world.write(&format!("{name}/tokenizer.json"), tokenizer_json(32));
            drop(fs::remove_file(world.path(&name).join("model.gguf")));
            check(&world, &format!("./{name}"), &prompt, next, "");
            checked += 1;
        }
        // candle cannot write four bits an element.
        if folder.join("model.gguf").exists() && name != "gpt-oss-mxfp4" {
            let array = if name == "gpt2" { "gguf_logits" } else { "logits" };
            let (prompt, next) = expected(&original, array);
            let file = format!("{name}.gguf");
            with_metadata(&folder.join("model.gguf"), &world.path(&file), tokenizer_metadata(32), &[]);
            check(&world, &format!("./{file}"), &prompt, next, "");
            checked += 1;
        }
    }
    assert_eq!(checked, 81);
}

/// Weights that are drawn as they are asked for, and kept to be written to a file.
struct Written<'a> {
    drawn: &'a Drawn,
    tensors: RefCell<HashMap<String, Tensor>>,
}

impl Weights for Written<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Held> {
        let tensor = Tensor::from_vec(self.drawn.values(name, shape), shape, &Device::Cpu)?;
        self.tensors.borrow_mut().insert(name.into(), tensor);
        self.drawn.tensor(name, shape)
    }

    fn refuse_surplus(&self, asked: &BTreeSet<String>) -> Result<()> {
        self.drawn.refuse_surplus(asked)
    }
}

/// The parts of `expected.json` and `lora.json` that are needed here.
#[derive(Deserialize)]
struct Recipe {
    draw: Drawn,
}

#[derive(Deserialize)]
struct Lora {
    sequences: Vec<Vec<u32>>,
    adapted: Adapted,
}

#[derive(Deserialize)]
struct Adapted {
    sequence: usize,
    logits: Vec<f32>,
    plain_logits: Vec<f32>,
}

#[test]
fn every_family_runs_with_its_adapter_and_without() {
    let world = World::new();
    let mut changed = 0;
    for family in FAMILIES {
        let recipe: Recipe =
            serde_json::from_slice(&fs::read(families::path(family, "expected.json")).unwrap()).unwrap();
        let lora = golden("lora").join(family);
        let golden: Lora = serde_json::from_slice(&fs::read(lora.join("lora.json")).unwrap()).unwrap();
        let config = families::path(family, "config.json");
        let arch = Arch::from_config_json(&config).unwrap();
        let vocab = arch.vocab;
        let written = Written { drawn: &recipe.draw, tensors: RefCell::default() };
        Transformer::new(arch.for_lengths(7..=128).unwrap(), &written, Precision::F32).unwrap();
        let folder = world.path(family);
        fs::create_dir_all(&folder).unwrap();
        fs::copy(config, folder.join("config.json")).unwrap();
        fs::write(folder.join("tokenizer.json"), tokenizer_json(vocab)).unwrap();
        candle_core::safetensors::save(&written.tensors.borrow(), folder.join("model.safetensors")).unwrap();
        let adapter = format!("adapter-{family}");
        copy(&lora.join("adapter"), &world.path(&adapter));
        let Adapted { sequence, logits, plain_logits } = &golden.adapted;
        let prompt = &golden.sequences[*sequence];
        let (with, without) = (greatest(logits), greatest(plain_logits));
        check(&world, &format!("./{family}"), prompt, without, "");
        check(&world, &format!("./{family}"), prompt, with, &format!("--adapter {adapter}"));
        changed += usize::from(with != without);
    }
    assert!(changed > 0, "an adapter that is not at work must be seen");
}

// --- Tokenizers and templates ----------------------------------------------------------------------------------

/// A Llama of this vocabulary, for prompts only: it has no weights.
fn config_json(vocab: usize) -> String {
    json!({"model_type": "llama", "hidden_size": 8, "num_attention_heads": 1, "num_hidden_layers": 1,
           "intermediate_size": 8, "vocab_size": vocab, "max_position_embeddings": 4096})
    .to_string()
}

/// The same as GGUF metadata; of the weights there is the embedding alone.
fn llama_metadata() -> Vec<(String, Metadata)> {
    let sizes = [
        ("embedding_length", 8),
        ("block_count", 1),
        ("attention.head_count", 1),
        ("feed_forward_length", 8),
        ("context_length", 4096),
    ];
    let mut all: Vec<(String, Metadata)> =
        sizes.iter().map(|(key, size)| (format!("llama.{key}"), Metadata::U32(*size))).collect();
    all.push(("llama.attention.layer_norm_rms_epsilon".into(), Metadata::F32(1e-5)));
    all.push(("general.architecture".into(), Metadata::String("llama".into())));
    all
}

fn tokens(world: &World, model: &str, item: usize) -> Value {
    let call = format!(
        "show --json --model {model} --test items.jsonl --direction en-fr --format bare.yaml --nprompts 0 --mask none \
         --item {item}"
    );
    serde_json::from_str::<Value>(&ok(world.call(&call))).unwrap()["tokens"].clone()
}

#[test]
fn every_tokenizer_cuts_prompts_as_hugging_face_does() {
    let world = World::new();
    world.write("bare.yaml", BARE);
    let ids: Value = serde_json::from_slice(&fs::read(golden("tokenizers/ids.json")).unwrap()).unwrap();
    let texts: Vec<&str> =
        ids["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    // A prompt's source is trimmed. These are texts in several scripts, with digits and with special tokens.
    let whole = |&at: &usize| !texts[at].is_empty() && texts[at].trim() == texts[at];
    let chosen: Vec<usize> = (0..texts.len()).filter(whole).step_by(6).collect();
    assert!(chosen.len() > 5);
    let line = |&at: &usize| json!({"source": texts[at], "target": "x"}).to_string() + "\n";
    world.write("items.jsonl", chosen.iter().map(line).collect::<String>());
    let mut from_ggufs = 0;
    for (name, expected) in ids["tokenizers"].as_object().unwrap() {
        let vocab = expected["vocab_size"].as_u64().unwrap() as usize;
        world.write(&format!("{name}/config.json"), config_json(vocab));
        let file = golden(&format!("tokenizers/{name}.tokenizer.json"));
        fs::copy(file, world.path(name).join("tokenizer.json")).unwrap();
        let mut models = vec![format!("./{name}")];
        let file = golden(&format!("tokenizers/{name}.gguf"));
        if file.exists() {
            let embedding = Tensor::zeros((vocab, 8), DType::F32, &Device::Cpu).unwrap();
            let embedding = QTensor::quantize(&embedding, GgmlDType::F32).unwrap();
            let to = world.path(&format!("{name}.gguf"));
            with_metadata(&file, &to, llama_metadata(), &[("token_embd.weight", embedding)]);
            models.push(format!("./{name}.gguf"));
            from_ggufs += 1;
        }
        for model in models {
            for (item, &at) in chosen.iter().enumerate() {
                let bos = expected["bos"].as_u64().into_iter().map(Value::from);
                let all: Value = bos.chain(expected["ids"][at].as_array().unwrap().clone()).collect();
                assert_eq!(tokens(&world, &model, item), all, "{model}: {}", texts[at]);
            }
        }
    }
    assert_eq!(from_ggufs, 8);
}

#[test]
fn every_template_is_rendered_as_transformers_does() {
    let golden_chat: Value = serde_json::from_slice(&fs::read(golden("chat.json")).unwrap()).unwrap();
    let world = World::new();
    let mut seen = BTreeSet::new();
    for case in golden_chat["cases"].as_array().unwrap() {
        let name = |key: &str| case[key].as_str().unwrap();
        let both = format!("{}, {}", name("tokenizer"), name("template"));
        // One case of each tokenizer with each template, with examples where there is one.
        if case["k"] == json!(0) || !seen.insert(both.clone()) {
            continue;
        }
        let mut config = golden_chat["special"][&both].clone();
        config["chat_template"] = golden_chat["templates"][name("template")].clone();
        let tokenizer = golden(&format!("tokenizers/{}.tokenizer.json", name("tokenizer")));
        world.write("chat/config.json", config_json(1000));
        world.write("chat/tokenizer_config.json", config.to_string());
        fs::copy(tokenizer, world.path("chat/tokenizer.json")).unwrap();
        let own = &golden_chat["formats"][name("format")];
        world.write("chat.yaml", own.to_string());
        let format = if own.is_null() { name("format") } else { "chat.yaml" };
        let pair = |pair: &Value| json!({"source": pair[0], "target": pair[1]}).to_string() + "\n";
        let k = case["k"].as_u64().unwrap() as usize;
        let pairs = &golden_chat["demonstrations"].as_array().unwrap()[..k];
        // Demonstrations are drawn: they are written in an order that the draw of seed 0 turns into the golden's.
        let order = icl_mask::prompt::sampling::sample(k, k, 0).unwrap();
        let mut drawn: Vec<String> = vec![String::new(); k];
        order.iter().zip(pairs).for_each(|(&row, golden)| drawn[row] = pair(golden));
        world.write("demonstrations.jsonl", drawn.concat());
        let query = &golden_chat["queries"][case["query"].as_u64().unwrap() as usize];
        world.write("items.jsonl", json!({"source": query, "target": "x"}).to_string() + "\n");
        let call = format!(
            "show --json --model ./chat --test items.jsonl --demonstrations demonstrations.jsonl --direction en-fr \
             --format {format} --nprompts {k} --seed 0 --mask none --chat-template"
        );
        let shown: Value = serde_json::from_str(&ok(world.call(&call))).unwrap();
        assert_eq!(shown["prompt"], case["text"], "{both}");
        assert_eq!(shown["tokens"], case["tokens"], "{both}");
    }
    assert_eq!(seen.len(), 11);
}
