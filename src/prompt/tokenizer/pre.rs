//! How each family of byte-level BPE cuts text into words before merging: what a GGUF file names but does not
//! say.
//!
//! A GGUF holds the vocabulary and the merges, and of the normalizer and the pre-tokenizer only a name
//! (`tokenizer.ggml.pre`). This table says what the published `tokenizer.json` behind each name declares, and
//! Hugging Face's own code does the cutting. The patterns that llama.cpp keeps under the same names are no
//! source for it: they are rewritten for its regex engine and differ in places (Unicode normalisation,
//! digits, contractions).

use anyhow::{Result, anyhow};
use tokenizers::normalizers::{NFC, NormalizerWrapper};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;

use crate::base::error::{input, suggest};

/// Where words end.
enum Words {
    /// The pattern of GPT-2, which Hugging Face's `ByteLevel` carries itself (`use_regex`).
    Gpt2,
    /// Each match of this pattern is a word, and so is what lies between two matches.
    Pattern(&'static str),
}

/// One way of cutting text, with what else llama.cpp's name for it implies.
pub(super) struct PreTokenizer {
    /// The values of `tokenizer.ggml.pre` that mean it.
    names: &'static [&'static str],
    /// Text is brought to Unicode's NFC first.
    nfc: bool,
    /// Each digit stands alone, before anything else is cut.
    digits: bool,
    words: Words,
    /// A word that is itself in the vocabulary is one token, whatever the merges say.
    pub ignore_merges: bool,
    /// A file that does not say whether to add a BOS means yes.
    pub adds_bos: bool,
}

/// From transformers' `models/qwen2/tokenization_qwen2.py`, the same as in the tokenizer.json of Qwen2 and
/// Qwen2.5.
const QWEN2: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
/// From transformers' `convert_slow_tokenizer.py` (`TikTokenConverter`), the same as in Llama 3's
/// tokenizer.json.
const LLAMA3: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
/// BLOOM's own, from its tokenizer.json: the inner brackets are a class within the class, in Oniguruma as
/// here.
const BLOOM: &str = r" ?[^(\s|[.,!?…。，、।۔،])]+";

const PLAIN: PreTokenizer = PreTokenizer {
    names: &[],
    nfc: false,
    digits: false,
    words: Words::Gpt2,
    ignore_merges: false,
    adds_bos: false,
};

const FAMILIES: &[PreTokenizer] = &[
    // GPT-2, GPT-Neo and Phi-2: `ByteLevel` alone.
    PreTokenizer { names: &["gpt-2", "phi-2"], ..PLAIN },
    // SmolLM, StarCoder 1 and 2, Refact: `Digits` (individual), then `ByteLevel`.
    PreTokenizer { names: &["smollm", "starcoder", "refact"], digits: true, ..PLAIN },
    // Qwen2, Qwen2.5 and Qwen3.
    PreTokenizer { names: &["qwen2"], nfc: true, words: Words::Pattern(QWEN2), ..PLAIN },
    // Llama 3 to 3.3. Its converter leaves `add_bos_token` out; llama.cpp takes the name for a yes.
    PreTokenizer {
        names: &["llama-bpe", "llama3", "llama-v3"],
        words: Words::Pattern(LLAMA3),
        ignore_merges: true,
        adds_bos: true,
        ..PLAIN
    },
    // MPT: by llama.cpp's list the name stands for mosaicml/mpt-7b, whose tokenizer is GPT-NeoX's, as is Pythia's:
    // NFC, then `ByteLevel` (transformers' `models/gpt_neox/tokenization_gpt_neox.py`). llama.cpp has no name for
    // Pythia itself, and OLMo's (`olmo`) is not the same in every published version.
    PreTokenizer { names: &["mpt"], nfc: true, ..PLAIN },
    PreTokenizer { names: &["bloom"], words: Words::Pattern(BLOOM), ..PLAIN },
];

/// The family that `tokenizer.ggml.pre` names.
///
/// # Errors
/// An `InputError` for a missing name, for `default` (which says that the converter did not know) and for any
/// name outside the table: a guess would give other tokens than the model was trained on, and nothing would
/// show it.
pub(super) fn family(name: Option<&str>) -> Result<&'static PreTokenizer> {
    let known: Vec<&str> = FAMILIES.iter().flat_map(|family| family.names.iter().copied()).collect();
    let fix = "use the model's folder with its tokenizer.json instead of the .gguf file";
    let name = match name {
        None | Some("" | "default") => {
            return Err(input(format!(
                "the GGUF file does not say how its tokenizer cuts text into words (`tokenizer.ggml.pre` is {}), \
                 and a guess would change the tokens unseen: {fix}, or convert the model again with a current \
                 llama.cpp",
                name.map_or("missing".to_string(), |name| format!("`{name}`")),
            )));
        }
        Some(name) => name,
    };
    FAMILIES.iter().find(|family| family.names.contains(&name)).ok_or_else(|| {
        input(format!(
            "the GGUF file's pre-tokenizer `{name}` (`tokenizer.ggml.pre`) is not supported: {fix}; {}",
            suggest(name, &known)
        ))
    })
}

impl PreTokenizer {
    /// The normalizer that the family's tokenizer.json declares.
    pub fn normalizer(&self) -> Option<NormalizerWrapper> {
        self.nfc.then(|| NFC.into())
    }

    /// The pre-tokenizer that the family's tokenizer.json declares.
    ///
    /// # Errors
    /// When the regex engine refuses the pattern, which a test excludes for this table.
    pub fn pre_tokenizer(&self) -> Result<PreTokenizerWrapper> {
        let mut steps: Vec<PreTokenizerWrapper> = Vec::new();
        if self.digits {
            steps.push(Digits::new(true).into());
        }
        let carries_pattern = match self.words {
            Words::Gpt2 => true,
            Words::Pattern(pattern) => {
                let pattern = SplitPattern::Regex(pattern.to_string());
                let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false);
                steps.push(split.map_err(|error| anyhow!("a pre-tokenizer's pattern: {error}"))?.into());
                false
            }
        };
        steps.push(ByteLevel::new(false, false, carries_pattern).into());
        Ok(Sequence::new(steps).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles_and_every_name_is_found() {
        for name in FAMILIES.iter().flat_map(|family| family.names) {
            family(Some(name)).unwrap().pre_tokenizer().unwrap();
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let message = family(Some("qwen-2")).err().unwrap().to_string();
        assert!(message.contains("did you mean `qwen2`") && message.contains("llama-bpe"), "{message}");
        for name in [None, Some("default")] {
            assert!(family(name).err().unwrap().to_string().contains("tokenizer.json"));
        }
    }
}
