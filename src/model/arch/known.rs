//! The keys of `config.json` and `generation_config.json` that the program reads, those that cannot change a result, and
//! the values that it refuses. The lists follow `configuration_*.py` of transformers 5.23.

use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use super::known_experts::{EXPERTS, GPT_OSS, GRANITEMOE, MIXTRAL, OLMOE, QWEN3_MOE};
use super::known_generation::{GENERATE, GENERATION, read};
use super::known_near::{self, NEAR};
use super::{Family, Fields};
use crate::base::error::input;
use crate::base::keys::{Keys, Unread};

/// Names that transformers takes for others of the same file; the alias wins.
pub(super) const GPT2_ALIASES: [(&str, &str); 4] = [
    ("hidden_size", "n_embd"),
    ("num_hidden_layers", "n_layer"),
    ("num_attention_heads", "n_head"),
    ("max_position_embeddings", "n_positions"),
];
/// The same for GPT-Neo.
pub(super) const GPT_NEO_ALIASES: [(&str, &str); 2] =
    [("num_hidden_layers", "num_layers"), ("num_attention_heads", "num_heads")];
/// The same for BLOOM.
pub(super) const BLOOM_ALIASES: [(&str, &str); 2] =
    [("num_hidden_layers", "n_layer"), ("num_attention_heads", "n_head")];

/// Keys of every `config.json`. The token ids are the tokenizer's to read.
const ALL: Keys = Keys {
    read: &[
        "model_type",
        "tie_word_embeddings",
        "vocab_size",
        "quantization_config",
        "transformers_weights",
        "per_layer_config",
        "pruned_heads",
        "is_encoder_decoder",
        "add_cross_attention",
        "bos_token_id",
        "eos_token_id",
        "pad_token_id",
    ],
    harmless: &[
        "_attn_implementation",
        "_attn_implementation_autoset",
        "_commit_hash",
        "_name_or_path",
        "architectures",
        "attention_dropout",
        "attn_implementation",
        "bad_words_ids",
        "begin_suppress_tokens",
        "cache_implementation",
        "chunk_size_feed_forward",
        "classifier_dropout",
        "cross_attention_hidden_size",
        "decoder_start_token_id",
        "diversity_penalty",
        "do_sample",
        "dtype",
        "early_stopping",
        "encoder_no_repeat_ngram_size",
        "exponential_decay_length_penalty",
        "finetuning_task",
        "forced_bos_token_id",
        "forced_eos_token_id",
        "gradient_checkpointing",
        "id2label",
        "initializer_range",
        "is_decoder",
        "label2id",
        "length_penalty",
        "max_length",
        "min_length",
        "name_or_path",
        "no_repeat_ngram_size",
        "num_beam_groups",
        "num_beams",
        "num_labels",
        "num_return_sequences",
        "output_attentions",
        "output_hidden_states",
        "output_scores",
        "prefix",
        "pretraining_tp",
        "problem_type",
        "remove_invalid_values",
        "repetition_penalty",
        "return_dict",
        "return_dict_in_generate",
        "sep_token_id",
        "suppress_tokens",
        "task_specific_params",
        "temperature",
        "tf_legacy_loss",
        "tie_encoder_decoder",
        "tie_last_hidden_states",
        "tokenizer_class",
        "top_k",
        "top_p",
        "torch_dtype",
        "torchscript",
        "transformers_version",
        "typical_p",
        "unk_token_id",
        "unsloth_fixed",
        "unsloth_version",
        "use_bfloat16",
        "use_cache",
    ],
};

/// Sizes that all families but the oldest write under these names.
const SIZES: Keys = Keys {
    read: &[
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "head_dim",
        "max_position_embeddings",
    ],
    harmless: &[],
};

/// Rotary positions of families that rotate whole heads.
const ROTARY: Keys =
    Keys { read: &["rope_parameters", "rope_scaling", "rope_theta", "partial_rotary_factor"], harmless: &[] };

const LLAMA: Keys = Keys {
    read: &[
        "num_key_value_heads",
        "rms_norm_eps",
        "hidden_act",
        "attention_bias",
        "mlp_bias",
        "original_max_position_embeddings",
        "rope_interleaved",
    ],
    harmless: &["is_llama_config", "transformers.js_config"],
};

const QWEN2: Keys = Keys {
    read: &[
        "num_key_value_heads",
        "rms_norm_eps",
        "hidden_act",
        "use_sliding_window",
        "sliding_window",
        "max_window_layers",
        "layer_types",
        "original_max_position_embeddings",
        "use_mrope",
    ],
    harmless: &[],
};

/// Beside those of Qwen2.
const QWEN3: Keys = Keys { read: &["attention_bias"], harmless: &[] };

const STARCODER2: Keys = Keys {
    read: &[
        "num_key_value_heads",
        "norm_epsilon",
        "hidden_act",
        "use_bias",
        "sliding_window",
        "original_max_position_embeddings",
    ],
    // The last two are written by its first files and read by no version of transformers.
    harmless: &["embedding_dropout", "residual_dropout", "mlp_type", "norm_type"],
};

const GPT_NEOX: Keys = Keys {
    read: &[
        "layer_norm_eps",
        "hidden_act",
        "attention_bias",
        "use_parallel_residual",
        "rotary_pct",
        "rotary_emb_base",
        "rope_parameters",
        "rope_scaling",
        "original_max_position_embeddings",
    ],
    harmless: &["hidden_dropout"],
};

const GPT2: Keys = Keys {
    read: &[
        "n_embd",
        "n_layer",
        "n_head",
        "n_inner",
        "n_positions",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "max_position_embeddings",
        "layer_norm_epsilon",
        "activation_function",
        "scale_attn_weights",
        "scale_attn_by_inverse_layer_idx",
    ],
    harmless: &[
        "attn_pdrop",
        "embd_pdrop",
        "n_ctx",
        "reorder_and_upcast_attn",
        "resid_pdrop",
        "summary_activation",
        "summary_first_dropout",
        "summary_proj_to_labels",
        "summary_type",
        "summary_use_proj",
    ],
};

const GPT_NEO: Keys = Keys {
    read: &[
        "hidden_size",
        "num_layers",
        "num_heads",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
        "layer_norm_epsilon",
        "activation_function",
        "window_size",
        "attention_types",
        "attention_layers",
    ],
    harmless: &[
        "embed_dropout",
        "resid_dropout",
        "summary_activation",
        "summary_first_dropout",
        "summary_proj_to_labels",
        "summary_type",
        "summary_use_proj",
    ],
};

const BLOOM: Keys = Keys {
    read: &[
        "hidden_size",
        "n_embed",
        "n_layer",
        "n_head",
        "num_hidden_layers",
        "num_attention_heads",
        "layer_norm_epsilon",
        "seq_length",
        "apply_residual_connection_post_layernorm",
    ],
    // How its training computed the same; an exact variant of sums over devices; a size that is always four widths.
    harmless: &[
        "attention_softmax_in_fp32",
        "bias_dropout_fusion",
        "hidden_dropout",
        "masked_softmax_fusion",
        "n_inner",
        "offset_alibi",
        "skip_bias_add",
        "skip_bias_add_qkv",
        "slow_but_exact",
    ],
};

const GEMMA3: Keys = Keys {
    read: &[
        "num_key_value_heads",
        "rms_norm_eps",
        "hidden_activation",
        "attention_bias",
        "query_pre_attn_scalar",
        "sliding_window",
        "sliding_window_pattern",
        "layer_types",
        "rope_local_base_freq",
        "final_logit_softcapping",
        "attn_logit_softcapping",
        "use_bidirectional_attention",
    ],
    // Read from `layer_types`, where a file has both.
    harmless: &["_sliding_window_pattern"],
};

/// The whole of a Gemma 3 with images: what is about images does not touch text.
const GEMMA3_WHOLE: Keys = Keys {
    read: &["text_config"],
    harmless: &[
        "boi_token_index",
        "eoi_token_index",
        "image_token_index",
        "boi_token_id",
        "eoi_token_id",
        "image_token_id",
        "mm_tokens_per_image",
        "vision_config",
    ],
};

/// Keys of `rope_parameters` and `rope_scaling`.
const ROPE: Keys = Keys {
    read: &[
        "rope_type",
        "type",
        "rope_theta",
        "partial_rotary_factor",
        "factor",
        "low_freq_factor",
        "high_freq_factor",
        "original_max_position_embeddings",
        "beta_fast",
        "beta_slow",
        "truncate",
        "attention_factor",
        "mscale",
        "mscale_all_dim",
        "short_factor",
        "long_factor",
    ],
    harmless: &[],
};

/// Where `rope_parameters` are two.
const ROPE_BY_KIND: Keys = Keys { read: &["full_attention", "sliding_attention"], harmless: &[] };

fn keys_of(family: Family) -> Vec<Keys> {
    match family {
        Family::Llama => vec![ALL, SIZES, ROTARY, LLAMA],
        Family::Qwen2 => vec![ALL, SIZES, ROTARY, QWEN2],
        Family::Qwen3 => vec![ALL, SIZES, ROTARY, QWEN2, QWEN3],
        Family::Mistral | Family::Ministral => vec![ALL, SIZES, ROTARY, known_near::MISTRAL],
        Family::Smollm3 => vec![ALL, SIZES, ROTARY, QWEN2, known_near::SMOLLM3],
        Family::Mixtral => vec![ALL, SIZES, ROTARY, EXPERTS, MIXTRAL],
        Family::Qwen3Moe => vec![ALL, SIZES, ROTARY, EXPERTS, QWEN3_MOE],
        Family::Olmoe => vec![ALL, SIZES, ROTARY, EXPERTS, OLMOE],
        Family::Granitemoe => vec![ALL, SIZES, ROTARY, EXPERTS, GRANITEMOE],
        Family::GptOss => vec![ALL, SIZES, ROTARY, EXPERTS, GPT_OSS],
        Family::Starcoder2 => vec![ALL, SIZES, ROTARY, STARCODER2],
        Family::GptNeox => vec![ALL, SIZES, GPT_NEOX],
        Family::Gemma3 => vec![ALL, SIZES, ROTARY, GEMMA3],
        Family::Gpt2 => vec![ALL, GPT2],
        Family::GptNeo => vec![ALL, GPT_NEO],
        Family::Bloom => vec![ALL, BLOOM],
        Family::Gemma2 => vec![ALL, SIZES, ROTARY, NEAR, known_near::GEMMA2],
        Family::Olmo2 | Family::Olmo3 => vec![ALL, SIZES, ROTARY, NEAR, known_near::OLMO],
        Family::Granite => vec![ALL, SIZES, ROTARY, NEAR, known_near::GRANITE],
        Family::Phi3 => vec![ALL, SIZES, ROTARY, NEAR, known_near::PHI3],
        Family::Stablelm => vec![ALL, SIZES, ROTARY, NEAR, known_near::STABLELM],
        Family::Cohere => vec![ALL, SIZES, ROTARY, NEAR, known_near::COHERE],
        Family::Gptj => vec![ALL, GPT2, known_near::GPTJ],
        Family::Opt => vec![ALL, known_near::OPT],
        Family::Falcon => vec![ALL, SIZES, ROTARY, known_near::FALCON],
    }
}

/// Refuse the values that would change the computation of any family.
pub(super) fn refuse_not_computed(fields: &Fields) -> Result<()> {
    fields.absent("transformers_weights")?;
    if !experts_are_mxfp4(fields)? {
        fields.absent("quantization_config")?;
    }
    for name in ["per_layer_config", "pruned_heads"] {
        match fields.find::<Value>(name)? {
            Some(Value::Object(none)) if none.is_empty() => {}
            Some(Value::Array(none)) if none.is_empty() => {}
            Some(found) => return Err(input(format!("field `{name}` is {found}, which is not computed"))),
            None => {}
        }
    }
    fields.only("is_encoder_decoder", false)?;
    fields.only("add_cross_attention", false)
}

/// Whether experts are stored as gpt-oss publishes them: four bits a weight.
fn experts_are_mxfp4(fields: &Fields) -> Result<bool> {
    let Some(found) = fields.object("quantization_config")? else { return Ok(false) };
    let is = |fields: &Fields, name: &str, word: &str| -> Result<bool> {
        Ok(fields.find::<String>(name)?.as_deref() == Some(word))
    };
    Ok(is(fields, "model_type", "gpt_oss")? && is(&found, "quant_method", "mxfp4")?)
}

/// The file of a model's hyperparameters.
const CONFIG: &str = "config.json";

/// Keys of a model folder's `config.json` and `generation_config.json` that the program does not know.
///
/// # Errors
/// An [`InputError`](crate::base::error::InputError): a file that is no JSON object, or of an unknown family.
pub fn unread(folder: &Path) -> Result<Unread> {
    let mut unread = Unread::default();
    if let Some(fields) = read(folder, CONFIG)? {
        let family = Family::of_model_type(&fields.get::<String>("model_type")?)?;
        match fields.object("text_config")? {
            Some(text) if family == Family::Gemma3 => {
                note(&mut unread, "", &[ALL, GEMMA3_WHOLE], &fields);
                note_model(&mut unread, "text_config.", family, &text)?;
            }
            _ => note_model(&mut unread, "", family, &fields)?,
        }
    }
    if let Some(fields) = read(folder, GENERATION)? {
        unread.note(GENERATION, &[GENERATE], fields.0.keys().map(String::as_str));
    }
    Ok(unread)
}

/// The keys of the fields of a model, and those of the objects in it.
fn note_model(unread: &mut Unread, within: &str, family: Family, fields: &Fields) -> Result<()> {
    note(unread, within, &keys_of(family), fields);
    // In these families layers with a window have parameters of their own.
    let by_kind = matches!(family, Family::Gemma3 | Family::Olmo3);
    for name in ["rope_parameters", "rope_scaling"] {
        let Some(rope) = fields.object(name)? else { continue };
        let place = format!("{within}{name}.");
        if !by_kind || name == "rope_scaling" {
            note(unread, &place, &[ROPE], &rope);
            continue;
        }
        note(unread, &place, &[ROPE_BY_KIND], &rope);
        for kind in ROPE_BY_KIND.read {
            if let Some(rope) = rope.object(kind)? {
                note(unread, &format!("{place}{kind}."), &[ROPE], &rope);
            }
        }
    }
    Ok(())
}

/// Note unknown keys of one object, each with its place in the file.
fn note(unread: &mut Unread, within: &str, known: &[Keys], fields: &Fields) {
    let unknown = fields.0.keys().filter(|key| !known.iter().any(|known| known.knows(key)));
    let unknown: Vec<String> = unknown.map(|key| format!("{within}{key}")).collect();
    unread.note(CONFIG, &[], unknown.iter().map(String::as_str));
}
