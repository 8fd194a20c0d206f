//! Keys of `generation_config.json`, and what it asks of `generate` that this program does not do.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use super::Fields;
use crate::base::error::input;
use crate::base::inputs::{self, MOST_SETTINGS};
use crate::base::keys::Keys;

/// The file of a model's settings for `generate`.
pub(super) const GENERATION: &str = "generation_config.json";

/// Keys of `generation_config.json`. Those that would change a greedy choice are in [`NEUTRAL`], the token ids are the
/// tokenizer's to read; the others are about sampling, beams, caches, lengths and what `generate` returns, for which this
/// program has settings of its own.
pub(super) const GENERATE: Keys = Keys {
    read: &[
        "bos_token_id",
        "eos_token_id",
        "pad_token_id",
        "bad_words_ids",
        "begin_suppress_tokens",
        "dola_layers",
        "encoder_no_repeat_ngram_size",
        "encoder_repetition_penalty",
        "exponential_decay_length_penalty",
        "force_words_ids",
        "forced_bos_token_id",
        "forced_decoder_ids",
        "forced_eos_token_id",
        "guidance_scale",
        "min_length",
        "min_new_tokens",
        "no_repeat_ngram_size",
        "num_beams",
        "penalty_alpha",
        "repetition_penalty",
        "sequence_bias",
        "stop_strings",
        "suppress_tokens",
        "token_healing",
        "watermarking_config",
    ],
    harmless: &[
        "_from_model_config",
        "assistant_confidence_threshold",
        "assistant_early_exit",
        "assistant_ensemble_weight",
        "assistant_lookbehind",
        "cache_config",
        "cache_implementation",
        "compile_config",
        "constraints",
        "decoder_start_token_id",
        "disable_compile",
        "diversity_penalty",
        "do_sample",
        "early_stopping",
        "epsilon_cutoff",
        "eta_cutoff",
        "is_assistant",
        "length_penalty",
        "low_memory",
        "max_cache_len",
        "max_length",
        "max_matching_ngram_size",
        "max_new_tokens",
        "max_time",
        "min_p",
        "num_assistant_tokens",
        "num_assistant_tokens_schedule",
        "num_beam_groups",
        "num_return_sequences",
        "output_attentions",
        "output_hidden_states",
        "output_logits",
        "output_scores",
        "prefill_chunk_size",
        "prompt_lookup_num_tokens",
        "remove_invalid_values",
        "renormalize_logits",
        "return_dict_in_generate",
        "return_legacy_cache",
        "speculation_type",
        "target_lookbehind",
        "temperature",
        "top_h",
        "top_k",
        "top_p",
        "transformers_version",
        "typical_p",
        "use_cache",
        "use_mtp",
    ],
};

/// Settings of `generate` that change which token greedy decoding takes or where it ends, with the number that changes
/// nothing. Without a number, what is empty, false or null changes nothing.
const NEUTRAL: [(&str, Option<f64>); 22] = [
    ("bad_words_ids", None),
    ("begin_suppress_tokens", None),
    ("dola_layers", None),
    ("encoder_no_repeat_ngram_size", Some(0.)),
    ("encoder_repetition_penalty", Some(1.)),
    ("exponential_decay_length_penalty", None),
    ("force_words_ids", None),
    ("forced_bos_token_id", None),
    ("forced_decoder_ids", None),
    ("forced_eos_token_id", None),
    ("guidance_scale", Some(1.)),
    ("min_length", Some(0.)),
    ("min_new_tokens", Some(0.)),
    ("no_repeat_ngram_size", Some(0.)),
    ("num_beams", Some(1.)),
    ("penalty_alpha", Some(0.)),
    ("repetition_penalty", Some(1.)),
    ("sequence_bias", None),
    ("stop_strings", None),
    ("suppress_tokens", None),
    ("token_healing", None),
    ("watermarking_config", None),
];

/// What `generation_config.json` asks of `generate` and this program does not do, by key.
///
/// # Errors
/// An [`InputError`](crate::base::error::InputError): the file is no JSON object.
pub fn not_applied(folder: &Path) -> Result<BTreeMap<String, Value>> {
    let Some(Fields(mut fields)) = read(folder, GENERATION)? else { return Ok(BTreeMap::new()) };
    let set = NEUTRAL.iter().filter_map(|(name, neutral)| {
        let value = fields.remove(*name)?;
        let changes = match &value {
            Value::Null | Value::Bool(false) => false,
            Value::Array(all) => !all.is_empty(),
            Value::Object(all) => !all.is_empty(),
            Value::String(text) => !text.is_empty(),
            number => neutral.is_none() || number.as_f64() != *neutral,
        };
        changes.then(|| (name.to_string(), value))
    });
    Ok(set.collect())
}

/// One JSON file of a model folder, if it is there.
pub(super) fn read(folder: &Path, name: &str) -> Result<Option<Fields>> {
    let path = folder.join(name);
    let text = match inputs::text(&path, MOST_SETTINGS) {
        Ok(text) => text,
        Err(trouble) if trouble.is_missing() => return Ok(None),
        Err(trouble) => return Err(trouble.about(&path)),
    };
    let fields = serde_json::from_str(&text).map_err(|e| input(format!("{}: {e}", path.display())))?;
    Ok(Some(Fields(fields)))
}
