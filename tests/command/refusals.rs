//! How the program refuses, before anything is loaded, and with a sentence.

use std::fs;

use crate::world::{CHAT, RUN, World, ok};

#[test]
fn other_settings_are_never_mixed_in() {
    let world = World::new();
    ok(world.run("--mask none --nprompts 3 --seed 1"));
    let output = world.run("--mask TTF --from-layer 0 --nprompts 3 --seed 1 --limit 2");
    world.refused(&output, &[RUN, "holds results of 6 test items", "--limit 6", "--results"]);
    world.write("test.tsv", "source\ttarget\nnew\tneu\n");
    world.refused(&world.run("--mask none --nprompts 3 --seed 1"), &["data_sha256 was"]);
}

#[test]
fn a_damaged_result_is_named() {
    let world = World::new();
    ok(world.run("--mask none --nprompts 3 --seed 1"));
    world.write(&format!("results/{RUN}/none/baseline.json"), "{\"model\":");
    world.refused(
        &world.run("--mask none --nprompts 3 --seed 1"),
        &["baseline.json: damaged", "move it away"],
    );
}

#[test]
fn flags_are_refused_before_anything_is_loaded() {
    let world = World::new();
    for (args, says) in [
        ("--mask TTX", vec!["--mask", "unknown mask `TTX`"]),
        ("--mask ttf", vec!["--mask", "did you mean `TTF`"]),
        ("--from-layer 5", vec!["--from-layer: layer 5 is out of range: tiny has 4 layers, so write 0..3"]),
        ("--from-layer 3..1", vec!["--from-layer", "runs backwards"]),
        ("--from-layer x", vec!["--from-layer: `x` is not a whole number"]),
        ("--format qa_line", vec!["--format: unknown format `qa_line`: did you mean `qa_lines`?"]),
        ("--profile sia2023", vec!["did you mean `sia2024`?"]),
        ("--direction enfr", vec!["--direction", "en-fr"]),
        ("--seed -1", vec!["--seed"]),
        ("--seed 5000000000", vec!["--seed: 5000000000 is more than"]),
        ("--limit 0", vec!["--limit: must be at least 1"]),
        ("--limit all,3", vec!["--limit: takes one value, not 2"]),
        ("--limit many", vec!["--limit: `many` is not a whole number"]),
        ("--demonstrations demonstrations.tsv --test=", vec!["--test: a value is empty"]),
        ("--threads 0", vec!["--threads: must be at least 1"]),
        ("--test test.tsv,test.tsv", vec!["--test: takes one value"]),
        ("--limit 7", vec!["--limit 7", "only 6 test items"]),
        ("--nprompts 9", vec!["8", "9"]),
        ("--batch 0", vec!["--batch: must be at least 1"]),
        ("--memory much", vec!["--memory: `much` is not a size", "4GiB"]),
        ("--memory 12", vec!["--memory: `12` is not a size"]),
        ("--memory 0GiB", vec!["--memory: `0GiB` is not a size"]),
        ("--memory 1MiB", vec!["tiny needs", "allowed by --memory"]),
        ("--no-stop=perhaps", vec!["--no-stop: `perhaps` is neither true nor false"]),
        ("--max-new-tokens 0", vec!["--max-new-tokens: must be at least 1"]),
        ("--max-new-tokens 600", vec!["item 9: its prompt of", "exceed the model's context of 512"]),
        ("--task cod", vec!["--task: unknown task `cod`", "did you mean `code`?"]),
        ("--task code", vec!["test.tsv is neither .jsonl nor .jsonl.gz"]),
        ("--samples 2", vec!["--samples: at temperature 0", "--temperature 0.8"]),
        ("--temperature warm", vec!["--temperature: `warm` is not a number"]),
        ("--temperature -1", vec!["--temperature: must be from 0"]),
        ("--temperature 1 --top-p 0", vec!["--top-p: must be above 0"]),
        ("--top-p 0.5", vec!["--top-p: has no effect at temperature 0"]),
        ("--sandbox best", vec!["--sandbox: unknown policy `best`", "best-effort"]),
        ("--time-limit 0", vec!["--time-limit: must be at least 1"]),
        ("--device cuda", vec!["--device: `cuda` cannot be used", "write cpu"]),
        ("--dtype int8", vec!["--dtype: unknown dtype `int8`", "f32, f16, bf16, stored"]),
        ("--direction en-ja", vec!["ja-mecab"]),
        ("--model smolm2-135m", vec!["--model: unknown model `smolm2-135m`: did you mean `smollm2-135m`?"]),
        ("--model smollm2-135m", vec!["is not at models/smollm2-135m.gguf: run `bash bin/prepare-models.sh"]),
        ("--model owner/name", vec!["owner/name is not in the cache"]),
        ("--model owner/name/more", vec!["--model", "owner/name"]),
        ("--model none.gguf", vec!["--model: there is no folder or file none.gguf"]),
        ("--config nothing", vec!["--config: unknown experiment `nothing`"]),
        ("--test nowhere.tsv", vec!["nowhere.tsv"]),
    ] {
        world.refused(&world.run(args), &says);
    }
    assert!(!world.path("results").exists());
}

#[test]
fn files_are_refused_with_their_line() {
    let world = World::new();
    for (yaml, says) in [
        ("mask: TTF\nmodle: x\n", vec!["e.yaml:2: unknown key `modle`: did you mean `model`?"]),
        ("mask: TTF\nfrom_layer: {a: 1}\n", vec!["e.yaml:2", "a word, a number, or a list"]),
        ("# comment\nmask: [TTF, TTZ]\n", vec!["e.yaml:2: mask", "unknown mask `TTZ`"]),
        ("mask: TTF\n\nfrom_layer: 0..9\n", vec!["e.yaml:3: from_layer: layer 5 is out of range"]),
        ("mask: TTF\nmask: FTF\n", vec!["e.yaml:", "mask"]),
        ("mask: 'TTF\n", vec!["e.yaml:"]),
        ("- mask\n", vec!["e.yaml:1"]),
        ("batch: many\n", vec!["e.yaml:1: batch: `many` is not a whole number"]),
    ] {
        world.write("e.yaml", yaml);
        world.refused(&world.run("--config e.yaml"), &says);
    }
    world.write("f.yaml", "question: Q\nanswer: A\nheadr: x\n");
    let output = world.call("run --model tiny --test test.tsv --nprompts 0 --format f.yaml --mask none");
    world.refused(&output, &["f.yaml:3: unknown key `headr`: did you mean `header`?"]);
    world.write("configs/mask/mine.yaml", "mask: TXF\ndescription: x\n");
    world.refused(&world.run("--mask mine"), &["configs/mask/mine.yaml:1", "unknown mask `TXF`"]);
}

#[test]
fn damaged_models_are_named() {
    let world = World::new();
    let weights = fs::read(world.path("tiny/model.safetensors")).unwrap();
    let config = fs::read_to_string(world.path("tiny/config.json")).unwrap();
    world.write("tiny/model.safetensors", &weights[..weights.len() - 100]);
    world.refused(&world.run("--mask none"), &["tiny/model.safetensors: not a whole safetensors file"]);
    fs::remove_file(world.path("tiny/model.safetensors")).unwrap();
    world.refused(&world.run("--mask none"), &["holds neither model.safetensors nor"]);
    world.write("tiny/model.safetensors", &weights);
    world.write("tiny/config.json", config.replace("\"llama\"", "\"mamba\""));
    world.refused(
        &world.run("--mask none"),
        &["config.json", "model_type `mamba` is not supported", "llama, qwen2"],
    );
    world.write("tiny/config.json", "{");
    world.refused(&world.run("--mask none"), &["config.json"]);
    world.write("bad.gguf", b"GGUFnonsense");
    world.refused(&world.run("--model bad.gguf --mask none"), &["bad.gguf: not a readable GGUF file"]);
    // The layers fit the header, the tensors do not: found when loading, still the input's fault.
    world.write("tiny/config.json", config.replace("\"num_hidden_layers\":4", "\"num_hidden_layers\":5"));
    let output = world.run("--mask none");
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("tensor `model.layers.4.self_attn.q_proj.weight` is missing"), "{stderr}");
}

#[test]
fn a_file_where_results_should_go_is_refused() {
    let world = World::new();
    world.write("results", "a file, not a folder");
    world.refused(&world.run("--mask none"), &["--results results/tiny", "results is not a folder"]);
}

#[test]
fn chat_templates_are_refused_before_anything_is_loaded() {
    let world = World::new();
    world.write("twice.jinja", "{{ messages[0].content }}{{ messages[0].content }}");
    world.write("mine.jinja", CHAT);
    for (args, says) in [
        ("--chat-template", vec!["the model has no chat template of its own", "--chat-template false"]),
        ("--chat-template yes", vec!["--chat-template: there is no file `yes`", "true for the model's own"]),
        ("--chat-template twice.jinja", vec!["twice.jinja writes the message 2 times"]),
        ("--chat-template mine.jinja,twice.jinja", vec!["--chat-template: takes one template a call"]),
        (
            "--chat-template mine.jinja --profile sia2024",
            vec!["--chat-template: profile sia2024 has no chat template", "--profile exact"],
        ),
        ("--chat-template mine.jinja --max-new-tokens 400", vec!["exceed the model's context of 512"]),
    ] {
        world.refused(&world.run(args), &says);
    }
    world.write("e.yaml", "mask: TTF\nprofile: sia2024\nchat_template: mine.jinja\n");
    world.refused(
        &world.run("--config e.yaml"),
        &["e.yaml:3: chat_template: profile sia2024 has no chat template"],
    );
    assert!(!world.path("results").exists());
}

// What follows was found by bin/fuzz.sh, or by hand while its targets were written.

/// A GGUF file of the goldens in which other bytes stand so many after a name.
fn patched(family: &str, changes: &[(&str, usize, &[u8])]) -> Vec<u8> {
    let path = format!("{}/tests/goldens/models/{family}/model.gguf", env!("CARGO_MANIFEST_DIR"));
    let mut file = fs::read(path).unwrap();
    for (name, after, bytes) in changes {
        let name = [&(name.len() as u64).to_le_bytes(), name.as_bytes()].concat();
        let at = file.windows(name.len()).position(|part| part == name).unwrap() + name.len() + after;
        file[at..at + bytes.len()].copy_from_slice(bytes);
    }
    file
}

/// A key's number, behind its type.
fn number<'a>(key: &'a str, bytes: &'a [u8; 4]) -> (&'a str, usize, &'a [u8]) {
    (key, 4, bytes)
}

/// Dimensions, type and place of a tensor, behind its name.
fn tensor(dimensions: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    let mut bytes = (dimensions.len() as u32).to_le_bytes().to_vec();
    dimensions.iter().for_each(|dimension| bytes.extend(dimension.to_le_bytes()));
    bytes.extend(kind.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes
}

fn refused_gguf(family: &str, changes: &[(&str, usize, &[u8])], says: &[&str]) {
    let world = World::new();
    world.write("bad.gguf", patched(family, changes));
    world.refused(&world.run("--model bad.gguf --mask none"), &[&["bad.gguf"], says].concat());
}

#[test]
fn an_alignment_of_0() {
    // Both names have 17 letters.
    let world = World::new();
    let file = patched("llama", &[number("general.file_type", &[0; 4])]);
    let at = file.windows(17).position(|part| part == b"general.file_type").unwrap();
    world.write("bad.gguf", [&file[..at], b"general.alignment", &file[at + 17..]].concat());
    world.refused(&world.run("--model bad.gguf --mask none"), &["`general.alignment` is 0"]);
}

#[test]
fn more_layers_than_memory() {
    refused_gguf("llama", &[number("llama.block_count", &[255; 4])], &["number of layers is 0 or absurd"]);
    let world = World::new();
    let config = fs::read_to_string(world.path("tiny/config.json")).unwrap();
    let many = config.replace("\"num_hidden_layers\":4", "\"num_hidden_layers\":1152921504606846976");
    world.write("tiny/config.json", &many);
    world.refused(&world.run("--mask none"), &["config.json", "number of layers is 0 or absurd"]);
    world.write("m.yaml", format!("path: tiny\nconfig: {many}\n"));
    world.refused(&world.run("--mask none --model m.yaml"), &["m.yaml", "number of layers is 0 or absurd"]);
}

#[test]
fn a_gemma_of_62_layers_without_heads() {
    let none = number("gemma3.attention.head_count", &[0; 4]);
    refused_gguf("gemma3", &[number("gemma3.block_count", &[62, 0, 0, 0]), none], &["attention heads is 0"]);
}

#[test]
fn heads_of_one_value_have_no_pairs() {
    let changes = [
        number("llama.attention.head_count", &[32, 0, 0, 0]),
        number("llama.attention.head_count_kv", &[16, 0, 0, 0]),
        number("llama.attention.key_length", &[1, 0, 0, 0]),
        number("llama.rope.dimension_count", &[0; 4]),
    ];
    refused_gguf("llama-q8_0", &changes, &["heads of size 1 cannot be rotated pair by pair"]);
}

#[test]
fn tensors_that_hold_nothing_or_begin_anywhere() {
    for dimensions in [&[0, 6][..], &[1 << 40, 1 << 40, 0]] {
        let changes = [("rope_freqs.weight", 0, &*tensor(dimensions, 0, 0))];
        refused_gguf("llama", &changes, &["tensor `rope_freqs.weight` holds nothing"]);
    }
    let changes = [("blk.0.attn_q.weight", 0, &*tensor(&[32, 32], 8, 1089))];
    refused_gguf("llama-q8_0", &changes, &["tensor `blk.0.attn_q.weight` begins between the places"]);
}

#[test]
fn few_words_about_many_layers() {
    let world = World::new();
    let config = |family: &str| {
        let path = format!("{}/tests/goldens/models/{family}/config.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_slice::<serde_json::Value>(&fs::read(path).unwrap()).unwrap()
    };
    let mut neo = config("gpt-neo");
    neo["num_layers"] = 60_000.into();
    // It would win over the patterns.
    neo.as_object_mut().expect("fields").remove("attention_layers");
    for types in [serde_json::json!([[vec!["global"; 1500], 60_000]]), serde_json::json!([[[], 1u64 << 63]])]
    {
        neo["attention_types"] = types;
        world.write("tiny/config.json", neo.to_string());
        world.refused(&world.run("--mask none"), &["config.json: field `attention_types` is about"]);
    }
    let mut wide = config("gpt2");
    (wide["n_embd"], wide["n_head"], wide["n_inner"]) = ((1u64 << 62).into(), 1.into(), ().into());
    world.write("tiny/config.json", wide.to_string());
    world.refused(&world.run("--mask none"), &["config.json: its number of hidden size is 0 or absurd"]);
}

#[test]
fn tokenizers_at_which_the_library_fails() {
    let world = World::new();
    let right = fs::read(world.path("tiny/tokenizer.json")).unwrap();
    let right: serde_json::Value = serde_json::from_slice(&right).unwrap();
    let mut empty_words = right.clone();
    let steps = empty_words["pre_tokenizer"]["pretokenizers"].as_array_mut().unwrap();
    steps.push(serde_json::json!({"type": "FixedLength", "length": 0}));
    let mut unknown = right.clone();
    unknown["model"]["unk_token"] = "<nothing>".into();
    unknown["model"]["vocab"].as_object_mut().unwrap().remove("a");
    unknown["model"]["merges"] = serde_json::json!([]);
    for (tokenizer, says) in
        [(empty_words, "chunk size must be non-zero"), (unknown, "`<nothing>` not found")]
    {
        world.write("tiny/tokenizer.json", tokenizer.to_string());
        world.refused(&world.run("--mask none"), &["tokenizer.json", "the tokenizer fails", says]);
    }
}

#[test]
fn grids_beyond_memory() {
    let world = World::new();
    world.write("e.yaml", "mask: none\nnprompts: 0..8\nseed: 0..99999\n");
    world.refused(&world.run("--config e.yaml"), &["e.yaml:3: seed: the product of all lists has more than"]);
    world.write("e.yaml", format!("mask: none\nseed: [{}]\n", vec!["0..99999"; 1000].join(",")));
    world.refused(&world.run("--config e.yaml"), &["e.yaml:2: seed: the list has more than 200000 numbers"]);
}

#[test]
fn numbers_that_overflow_or_never_begin() {
    let world = World::new();
    let most = u64::MAX;
    for (args, says) in [
        (
            format!("--max-new-tokens {most}"),
            "--max-new-tokens: 18446744073709551615 is more than 1000000000",
        ),
        (format!("--batch {most}"), "--batch: 18446744073709551615 is more than 1000000000"),
        ("--samples 100000001 --temperature 1".into(), "--samples: 100000001 is more than 100000"),
        ("--threads 100000".into(), "--threads: 100000 is more than 4096; write all"),
        ("--temperature 1e-300".into(), "--temperature: must be 0, or at least 0.000001"),
        ("--temperature 1 --top-p 1e-300".into(), "--top-p: must be at least 0.000001"),
    ] {
        world.refused(&world.run(&args), &[says]);
    }
    world.write("f.yaml", format!("question: Q\nanswer: A\nmax_new_tokens: {most}\n"));
    let output = world.call("run --model tiny --test test.tsv --nprompts 0 --format f.yaml --mask none");
    world.refused(&output, &["exceed the model's context of 512"]);
}

#[test]
fn files_that_take_minutes_to_refuse() {
    let world = World::new();
    let names: Vec<String> = (0..300_000).map(|column| format!("c{column}")).collect();
    world.write("test.tsv", names.join("\t"));
    world.refused(&world.run("--mask none"), &["test.tsv:1 has no column `source`", "c19 and 299980 more"]);
    for (text, line) in [(format!("mask: {}", "[".repeat(50_000)), 1), ("{a:\n".repeat(50_000), 1001)] {
        world.write("e.yaml", text);
        world.refused(
            &world.run("--config e.yaml"),
            &[&format!("e.yaml:{line}: has brackets within brackets")],
        );
    }
}

#[test]
fn chat_templates_that_nest_deep_or_indent_far() {
    let world = World::new();
    let refused = |template: &str, says: &[&str]| {
        world.write("deep.jinja", template);
        world.refused(&world.run("--chat-template deep.jinja"), &[&["deep.jinja"], says].concat());
    };
    refused(&format!("{{{{ 1{} }}}}", "+1".repeat(130_000)), &["writes the message 0 times"]);
    refused(&format!("{{{{ {}1 }}}}", "not ".repeat(60_000)), &["writes the message 0 times"]);
    refused(&" ".repeat(300_000), &["is longer than"]);
    refused("{{ messages|tojson(indent=1000000000000) }}", &["it indents by 1000000000000 spaces"]);
}
