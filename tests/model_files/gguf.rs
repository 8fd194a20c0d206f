//! GGUF files: what they give, and what is refused.

use std::fs;

use super::{ASKED, golden, manifest, run, stderr, tokens, with_ggufs};
use crate::world::ok;
use serde_json::{Value, json};

// --- GGUF ----------------------------------------------------------------------------------------------------

#[test]
fn every_gguf_file_gives_its_tokens() {
    let (world, expected) = with_ggufs();
    for gguf in &expected.ggufs {
        assert_eq!(tokens(&world, &gguf.files[0]), gguf.tokens, "{}", gguf.name);
    }
}

/// Opening a file must not start the thread pool before its size is known.
#[test]
fn files_with_rotary_factors_can_be_used_by_every_verb() {
    let (world, _) = with_ggufs();
    let model = "rope-freqs.gguf";
    for threads in ["", "--threads 1", "--threads 2"] {
        let format = format!("{ASKED} --mask none --max-new-tokens 8 --limit 1 --results r{}", threads.len());
        ok(world.call(&format!("run --model {model} {format} {threads} --dry-run")));
        ok(world.call(&format!("run --model {model} {format} {threads}")));
    }
    ok(world.call(&format!("show --model {model} {ASKED}")));
    ok(world.call(&format!("figure attention --model {model} {ASKED} --mask none --layer 1 --out drawn")));
    ok(world.call(&format!("models {model}")));
    world.write("pairs.tsv", "source\ttarget\none tree\tun arbre\ntwo suns\tdeux soleils\nred\trouge\n");
    let corpus = "kind: table\ndescription: tiny\ntest: test.tsv\ndemonstrations: demonstrations.tsv\ntraining: pairs.tsv\n\
                  columns: {source: source, target: target}\n";
    world.write("corpus.yaml", corpus);
    ok(world.call(&format!(
        "lora --model {model} --data corpus.yaml --direction en-fr --format f.yaml --nprompts 0 --train-size 2 \
         --dev-size 1 --layers 1 --rank 2 --epochs 1 --max-new-tokens 8"
    )));
}

#[test]
fn parts_of_a_split_model_are_told() {
    let (world, expected) = with_ggufs();
    let split = expected.ggufs.iter().find(|gguf| gguf.name == "split").expect("a split model");
    let (first, second) = (&split.files[0], &split.files[1]);
    let whole = ok(world.call("models plain.gguf --json"));
    let parts = ok(world.call(&format!("models {first} --json")));
    let parameters = |text: &str| serde_json::from_str::<Value>(text).expect("JSON")["parameters"].clone();
    assert_eq!(parameters(&parts), parameters(&whole));
    for call in [format!("models {second}"), format!("run --model {second} {ASKED} --mask none --dry-run")] {
        world.refused(&world.call(&call), &["part 2 of", "give the first part", first]);
    }
    fs::rename(world.path(first), world.path("renamed.gguf")).expect("renamed");
    world.refused(&world.call("models renamed.gguf"), &["part 1 of", "its name must end in -00001-of-"]);
    fs::rename(world.path("renamed.gguf"), world.path(first)).expect("renamed");
    fs::rename(world.path(second), world.path("hidden")).expect("renamed");
    for call in [format!("models {first}"), format!("run --model {first} {ASKED} --mask none --dry-run")] {
        world.refused(&world.call(&call), &["is part 1 of", "part 2", second, "is missing"]);
    }
    fs::copy(world.path(first), world.path(second)).expect("copied");
    world.refused(&world.call(&format!("models {first}")), &[second, "is not part 2 of"]);
}

#[test]
fn what_a_gguf_file_says_and_is_not_done_is_named() {
    let (world, _) = with_ggufs();
    let said = stderr(&run(&world, "penalty.gguf", ""));
    assert_eq!(said.matches("`llama.new_norm`").count(), 1, "{said}");
    assert_eq!(said.matches("`general.sampling.penalty_repeat` = 1.2999999523162842").count(), 1, "{said}");
    let written = manifest(&world, "penalty.gguf");
    assert_eq!(written["unread_keys"], json!({"penalty.gguf": ["llama.new_norm"]}));
    let said = stderr(&run(&world, "plain.gguf", ""));
    assert!(!said.contains("does not know") && !said.contains("not applied"), "{said}");
}

/// The place of a metadata key's value.
fn value_of(bytes: &[u8], key: &str) -> usize {
    let at = bytes.windows(key.len()).position(|window| window == key.as_bytes()).expect("a key");
    // The type of the value stands between.
    at + key.len() + 4
}

#[test]
fn impossible_metadata_are_refused_when_read() {
    let (world, _) = with_ggufs();
    for (file, key, value, says) in [
        ("plain.gguf", "llama.rope.freq_base", f32::NAN, "rope.freq_base) is NaN"),
        ("plain.gguf", "llama.rope.freq_base", 0., "rope.freq_base) is 0"),
        ("plain.gguf", "llama.rope.freq_base", -5., "rope.freq_base) is -5"),
        ("plain.gguf", "llama.rope.freq_base", f32::INFINITY, "rope.freq_base) is inf"),
        ("plain.gguf", "llama.attention.layer_norm_rms_epsilon", f32::NAN, "epsilon of the norms is NaN"),
        ("plain.gguf", "llama.attention.layer_norm_rms_epsilon", -0.5, "epsilon of the norms is -0.5"),
        ("typeless-factor.gguf", "llama.rope.scaling.factor", 0., "factor of the rope scaling is 0"),
        ("old-scale-linear.gguf", "llama.rope.scale_linear", f32::NAN, "factor of the rope scaling is NaN"),
    ] {
        let mut bytes = fs::read(golden(file)).expect("a golden");
        let at = value_of(&bytes, key);
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        world.write("changed.gguf", bytes);
        world.refused(&run(&world, "changed.gguf", ""), &[says]);
        world.refused(&world.call("models changed.gguf"), &[says]);
    }
    // A factor of the frequencies: the last tensor of the file.
    let mut bytes = fs::read(golden("rope-freqs.gguf")).expect("a golden");
    let factors = bytes.len() - 32;
    assert_eq!(bytes[factors..factors + 4], 1f32.to_le_bytes(), "the first factor");
    bytes[factors..factors + 4].copy_from_slice(&0f32.to_le_bytes());
    world.write("changed.gguf", bytes);
    world.refused(&run(&world, "changed.gguf", ""), &["rope_freqs.weight", "is 0"]);
}

/// Numbers of GGUF's types.
const F32: u32 = 0;

const F16: u32 = 1;
const Q8_0: u32 = 8;

/// A file with another type for one tensor of two dimensions, or of one.
fn relabelled(file: &str, tensor: &str, dimensions: usize, from: u32, to: u32) -> Vec<u8> {
    let mut bytes = fs::read(golden(file)).expect("a golden");
    let name = tensor.as_bytes();
    let at = bytes.windows(name.len()).position(|window| window == name).expect("a tensor");
    let kind = at + name.len() + 4 + 8 * dimensions;
    assert_eq!(bytes[kind..kind + 4], from.to_le_bytes(), "its type");
    bytes[kind..kind + 4].copy_from_slice(&to.to_le_bytes());
    bytes
}

#[test]
fn tensors_that_do_not_fill_their_place_are_refused() {
    let (world, _) = with_ggufs();
    for (file, tensor, dimensions, from, to) in [
        // Half as long as its place, in the middle of the file and at its end.
        ("plain.gguf", "blk.0.attn_norm.weight", 1, F32, F16),
        ("plain.gguf", "token_embd.weight", 2, F16, Q8_0),
        ("rope-freqs.gguf", "blk.1.ffn_norm.weight", 1, F32, F16),
        // Longer than its place.
        ("plain.gguf", "blk.0.attn_q.weight", 2, F16, F32),
        ("plain.gguf", "blk.1.ffn_down.weight", 2, F16, F32),
    ] {
        world.write("changed.gguf", relabelled(file, tensor, dimensions, from, to));
        for output in [run(&world, "changed.gguf", ""), world.call("models changed.gguf")] {
            world.refused(&output, &["changed.gguf: tensor `", "the file is damaged; fetch it again"]);
        }
    }
}
