//! The families of models, and what files call them.

use anyhow::Result;
use serde::Serialize;

use crate::base::error::input;

/// The architectures this decoder computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Llama 2, 3.x, SmolLM2 and others of `model_type` `llama`.
    Llama,
    /// Qwen2 and Qwen2.5: Llama with biases on queries, keys and values.
    Qwen2,
    /// GPT-Neo: learned positions, global and local attention in turn, scores that are not scaled.
    GptNeo,
    /// BLOOM: ALiBi, a norm after the embedding.
    Bloom,
    /// StarCoder2: Llama's layout with layer norms, biases, an ungated MLP and a sliding window.
    Starcoder2,
    /// GPT-2.
    Gpt2,
    /// GPT-NeoX and Pythia: attention and MLP side by side, rotary positions on part of each head.
    GptNeox,
    /// Gemma 3: norms around both parts of a block and on each head, five layers with a window for one without.
    Gemma3,
    /// Qwen3: Llama with norms on each head, whose width is its own.
    Qwen3,
    /// Mistral: Llama whose layers all have a window, or none.
    Mistral,
    /// Ministral: Llama in which some layers have a window.
    Ministral,
    /// SmolLM3: Llama in which some layers know no positions.
    Smollm3,
    /// Mixtral: Mistral with experts.
    Mixtral,
    /// Qwen3-MoE: Qwen3 with experts, in all layers or in some.
    Qwen3Moe,
    /// OLMoE: norms of queries and keys over all heads, experts.
    Olmoe,
    /// Granite MoE: multipliers and experts.
    Granitemoe,
    /// gpt-oss: sinks, biases, and experts of a function of their own.
    GptOss,
    /// Gemma 2: norms around both parts of a block, scores and logits that are bent below a cap, a window in every second layer.
    Gemma2,
    /// OLMo 2: norms after both parts of a block, and of all queries and all keys.
    Olmo2,
    /// OLMo 3: the same with a window in three layers of four.
    Olmo3,
    /// Granite 3: Llama with four multipliers.
    Granite,
    /// Phi-3, Phi-3.5, Phi-4 and Phi-4-mini: Llama with fused matrices; part of a head may be rotated.
    Phi3,
    /// GPT-J: attention and MLP side by side after one norm, neighbouring dimensions rotated.
    Gptj,
    /// OPT: learned positions, ReLU.
    Opt,
    /// Falcon, in its three forms.
    Falcon,
    /// Cohere's Command R: attention and MLP side by side after one norm without bias.
    Cohere,
    /// StableLM: Llama with layer norms, part of a head rotated.
    Stablelm,
}

impl Family {
    /// `model_type` in a `config.json`, `general.architecture` in GGUF, and the family.
    const NAMES: [(&str, Option<&str>, Family); 28] = [
        ("llama", Some("llama"), Family::Llama),
        ("qwen2", Some("qwen2"), Family::Qwen2),
        ("gpt_neo", None, Family::GptNeo),
        ("bloom", Some("bloom"), Family::Bloom),
        ("starcoder2", Some("starcoder2"), Family::Starcoder2),
        ("gpt2", Some("gpt2"), Family::Gpt2),
        ("gpt_neox", Some("gptneox"), Family::GptNeox),
        ("gemma3_text", Some("gemma3"), Family::Gemma3),
        // With images; its text half is the same.
        ("gemma3", None, Family::Gemma3),
        ("qwen3", Some("qwen3"), Family::Qwen3),
        // llama.cpp's converter writes it as a `llama`.
        ("mistral", None, Family::Mistral),
        ("ministral", None, Family::Ministral),
        ("smollm3", Some("smollm3"), Family::Smollm3),
        // llama.cpp's converter writes it as a `llama` too.
        ("mixtral", None, Family::Mixtral),
        ("qwen3_moe", Some("qwen3moe"), Family::Qwen3Moe),
        ("olmoe", Some("olmoe"), Family::Olmoe),
        ("granitemoe", Some("granitemoe"), Family::Granitemoe),
        ("gpt_oss", Some("gpt-oss"), Family::GptOss),
        ("gemma2", Some("gemma2"), Family::Gemma2),
        ("olmo2", Some("olmo2"), Family::Olmo2),
        // llama.cpp's converter writes it as an `olmo2` with windows.
        ("olmo3", None, Family::Olmo3),
        ("granite", Some("granite"), Family::Granite),
        ("phi3", Some("phi3"), Family::Phi3),
        ("gptj", None, Family::Gptj),
        ("opt", None, Family::Opt),
        ("falcon", Some("falcon"), Family::Falcon),
        ("cohere", Some("command-r"), Family::Cohere),
        ("stablelm", Some("stablelm"), Family::Stablelm),
    ];

    /// The family of a `model_type`.
    ///
    /// # Errors
    /// An unknown one, with the list of those known.
    pub fn of_model_type(name: &str) -> Result<Self> {
        let found = Self::NAMES.iter().find(|(known, ..)| *known == name);
        found.map(|(.., family)| *family).ok_or_else(|| {
            let known: Vec<&str> = Self::NAMES.iter().map(|(known, ..)| *known).collect();
            input(format!("model_type `{name}` is not supported (supported: {})", known.join(", ")))
        })
    }

    /// The family of a GGUF file's architecture.
    ///
    /// # Errors
    /// An unknown one, with the list of those known.
    pub fn of_gguf(name: &str) -> Result<Self> {
        let found = Self::NAMES.iter().find(|(_, known, _)| *known == Some(name));
        found.map(|(.., family)| *family).ok_or_else(|| {
            let known: Vec<&str> = Self::NAMES.iter().filter_map(|(_, known, _)| *known).collect();
            input(format!("general.architecture `{name}` is not supported (supported: {})", known.join(", ")))
        })
    }
}
