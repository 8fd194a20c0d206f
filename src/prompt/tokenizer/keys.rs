//! Keys of the files that describe a tokenizer: what is read, and what cannot change a result. Those of `config.json`
//! and `generation_config.json` are the model's.

use std::collections::HashMap;

use candle_core::quantized::gguf_file::Value;

use crate::base::keys::{Keys, Unread};

/// The outermost keys of `tokenizer.json`. Padding and truncation are what a batch for training needs; a prompt gets
/// neither.
pub const TOKENIZER_JSON: Keys = Keys {
    read: &["added_tokens", "decoder", "model", "normalizer", "post_processor", "pre_tokenizer"],
    harmless: &["padding", "truncation", "version"],
};

/// The keys of `model` in `tokenizer.json`, for every kind of model that Hugging Face's library reads.
pub const TOKENIZER_MODEL: Keys = Keys {
    read: &[
        "byte_fallback",
        "continuing_subword_prefix",
        "dropout",
        "end_of_word_suffix",
        "fuse_unk",
        "ignore_merges",
        "merges",
        "type",
        "unk_id",
        "unk_token",
        "vocab",
    ],
    harmless: &["max_input_chars_per_word"],
};

/// The keys of normalizers, pre-tokenizers, post-processors and decoders of `tokenizer.json`.
pub const TOKENIZER_PART: Keys = Keys {
    read: &[
        "add_prefix_space",
        "behavior",
        "clean_text",
        "cleanup",
        "cls",
        "content",
        "decoders",
        "delimiter",
        "handle_chinese_chars",
        "individual_digits",
        "invert",
        "length",
        "lowercase",
        "normalizers",
        "pad_token",
        "pair",
        "pattern",
        "precompiled_charsmap",
        "prefix",
        "prepend",
        "prepend_scheme",
        "pretokenizers",
        "processors",
        "replacement",
        "sep",
        "single",
        "special_tokens",
        "split",
        "start",
        "stop",
        "strip_accents",
        "strip_left",
        "strip_right",
        "suffix",
        "type",
        "use_regex",
        "word_delimiter_token",
    ],
    harmless: &["str_rep", "trim_offsets"],
};

/// The keys of `tokenizer_config.json`. Keys that end in `_token` are special tokens by role and are read too, see
/// [`is_role`].
pub const TOKENIZER_CONFIG: Keys = Keys {
    read: &[
        "add_prefix_space",
        "added_tokens_decoder",
        "additional_special_tokens",
        "chat_template",
        "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output",
        "extra_special_tokens",
        "fast_tokenizer_files",
        "split_special_tokens",
        "tokenizer_class",
    ],
    harmless: &[
        "_commit_hash",
        "add_bos_token",
        "add_eos_token",
        "auto_map",
        "backend",
        "chat_control_tokens",
        "clean_up_tokenization_spaces",
        "do_lower_case",
        "errors",
        "files_loaded",
        "fix_mistral_regex",
        "init_inputs",
        "is_local",
        "legacy",
        "local_files_only",
        "max_len",
        "max_length",
        "merges_file",
        "model_input_names",
        "model_max_length",
        "name_or_path",
        "pad_to_multiple_of",
        "pad_token_type_id",
        "padding_side",
        "processor_class",
        "response_schema",
        "response_template",
        "return_token_type_ids",
        "sp_model_kwargs",
        "spaces_between_special_tokens",
        "special_tokens_map_file",
        "stride",
        "tokenizer_file",
        "trim_offsets",
        "truncation_side",
        "truncation_strategy",
        "use_default_system_prompt",
        "use_fast",
        "vocab_file",
    ],
};

/// The keys of `special_tokens_map.json` beside the roles.
pub const SPECIAL_TOKENS_MAP: Keys =
    Keys { read: &["additional_special_tokens", "extra_special_tokens"], harmless: &[] };

/// Keys of GGUF metadata that begin with `tokenizer.`.
pub const GGUF_TOKENIZER: Keys = Keys {
    read: &[
        "tokenizer.chat_template",
        "tokenizer.ggml.add_bos_token",
        "tokenizer.ggml.add_eos_token",
        "tokenizer.ggml.add_sep_token",
        "tokenizer.ggml.add_space_prefix",
        "tokenizer.ggml.bos_token_id",
        "tokenizer.ggml.eom_token_id",
        "tokenizer.ggml.eos_token_id",
        "tokenizer.ggml.eot_token_id",
        "tokenizer.ggml.mask_token_id",
        "tokenizer.ggml.merges",
        "tokenizer.ggml.model",
        "tokenizer.ggml.padding_token_id",
        "tokenizer.ggml.pre",
        "tokenizer.ggml.scores",
        "tokenizer.ggml.seperator_token_id",
        "tokenizer.ggml.token_type",
        "tokenizer.ggml.tokens",
        "tokenizer.ggml.unknown_token_id",
    ],
    harmless: &[
        "tokenizer.chat_templates",
        "tokenizer.ggml.cls_token_id",
        "tokenizer.ggml.fim_mid_token_id",
        "tokenizer.ggml.fim_pad_token_id",
        "tokenizer.ggml.fim_pre_token_id",
        "tokenizer.ggml.fim_rep_token_id",
        "tokenizer.ggml.fim_sep_token_id",
        "tokenizer.ggml.fim_suf_token_id",
        "tokenizer.ggml.middle_token_id",
        "tokenizer.ggml.prefix_token_id",
        "tokenizer.ggml.suffix_token_id",
        "tokenizer.ggml.token_type_count",
        "tokenizer.huggingface.json",
    ],
};

/// Whether a key of `tokenizer_config.json` or `special_tokens_map.json` names a special token by its role
/// (`bos_token`, `image_token`).
pub fn is_role(key: &str) -> bool {
    key.ends_with("_token") && !["add_bos_token", "add_eos_token"].contains(&key)
}

/// Keys of a GGUF file about its tokenizer that the program does not know; `file` is the file's name.
pub fn unread_gguf(file: &str, metadata: &HashMap<String, Value>) -> Unread {
    let mut unread = Unread::default();
    let keys = metadata.keys().map(String::as_str).filter(|key| key.starts_with("tokenizer."));
    // Templates beside the default one are named after what they are for.
    let keys = keys.filter(|key| !key.starts_with("tokenizer.chat_template."));
    unread.note(file, &[GGUF_TOKENIZER], keys);
    unread
}
