//! A tokenizer.json, and some texts through it if it is right.
#![no_main]

mod common;
mod mutate;

use icl_mask::prompt::Tokenizer;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

/// Names of parts and of their fields.
const WORDS: [&str; 70] = [
    "BPE",
    "Unigram",
    "WordPiece",
    "WordLevel",
    "vocab",
    "merges",
    "unk_token",
    "unk_id",
    "byte_fallback",
    "fuse_unk",
    "ignore_merges",
    "dropout",
    "continuing_subword_prefix",
    "end_of_word_suffix",
    "type",
    "ByteLevel",
    "Sequence",
    "Metaspace",
    "Split",
    "Digits",
    "Whitespace",
    "WhitespaceSplit",
    "Punctuation",
    "CharDelimiterSplit",
    "UnicodeScripts",
    "FixedLength",
    "BertPreTokenizer",
    "pretokenizers",
    "normalizers",
    "decoders",
    "processors",
    "NFC",
    "NFKC",
    "NFD",
    "NFKD",
    "Lowercase",
    "Strip",
    "StripAccents",
    "Replace",
    "Prepend",
    "Precompiled",
    "precompiled_charsmap",
    "Nmt",
    "BertNormalizer",
    "pattern",
    "Regex",
    "String",
    "content",
    "behavior",
    "invert",
    "Isolated",
    "Removed",
    "MergedWithPrevious",
    "prepend_scheme",
    "replacement",
    "TemplateProcessing",
    "RobertaProcessing",
    "BertProcessing",
    "special_tokens",
    "single",
    "ByteFallback",
    "Fuse",
    "CTC",
    "added_tokens",
    "normalized",
    "lstrip",
    "rstrip",
    "single_word",
    "truncation",
    "padding",
];

fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    mutate::mutate(data, size, most, seed, 0, &WORDS)
});

fuzz_target!(|bytes: &[u8]| {
    let path = common::file("tokenizer.json", bytes);
    let Some(tokenizer) = common::judge(Tokenizer::from_file(&path), bytes) else { return };
    for text in ["two birds", "Q: two birds\u{e9} \u{1f600}\nA:", "", " <s>\u{2581}\u{301}  12</s>"] {
        let Some(ids) = common::judge(tokenizer.encode(text), bytes) else { continue };
        common::judge(tokenizer.spans(text, &ids), bytes);
        tokenizer.decode(&ids);
        tokenizer.decode_with_special(&ids);
        tokenizer.normalize(text);
    }
    tokenizer.decode(&[0, 1, tokenizer.vocab_size() as u32, u32::MAX]);
});
