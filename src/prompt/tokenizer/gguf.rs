//! A Hugging Face tokenizer from a GGUF file's metadata.

use std::borrow::Cow;
use std::collections::HashMap;

use anyhow::Result;
use candle_core::quantized::gguf_file::Value;
use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as Decoders;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{NormalizerWrapper, Prepend, Replace, Sequence as Normalizers};
use tokenizers::{AddedToken, DecoderWrapper};

use super::merges;
use super::metadata::{Metadata, wrong};
use super::special::Special;
use super::{library, pre};
use crate::base::error::input;

/// What a GGUF file says of its tokenizer.
pub(super) struct TokenizerParts {
    pub inner: tokenizers::Tokenizer,
    pub special: Special,
    pub vocab_size: usize,
}

/// The vocabulary as the file lists it: one type a token, by llama.cpp's numbers.
struct Vocabulary<'a> {
    tokens: Vec<Cow<'a, str>>,
    types: Vec<i64>,
}

const NORMAL: i64 = 1;
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
const UNUSED: i64 = 5;

/// Reads `tokenizer.ggml.*`. See [`super::Tokenizer::from_gguf`].
pub(super) fn read(metadata: &HashMap<String, Value>) -> Result<TokenizerParts> {
    let file = Metadata(metadata);
    let mut vocabulary = Vocabulary::read(file)?;
    let (inner, adds_bos) = match file.text("model")? {
        Some("gpt2") => byte_level(file, &vocabulary)?,
        Some("llama") if is_gemma(metadata) => {
            vocabulary.spell_spaces();
            gemma(file, &vocabulary)?
        }
        Some("llama") => sentencepiece(file, &vocabulary)?,
        other => {
            return Err(input(format!(
                "the GGUF file's tokenizer is {} (`tokenizer.ggml.model`), and only `gpt2` (byte-level BPE) and \
                 `llama` (SentencePiece BPE) can be read from GGUF: use the model's folder with its tokenizer.json",
                other.map_or("missing".to_string(), |model| format!("`{model}`"))
            )));
        }
    };
    if file.flag("add_eos_token")? == Some(true) {
        return Err(input(
            "the GGUF file's tokenizer ends every text with its EOS (`tokenizer.ggml.add_eos_token` is true), and a \
             prompt to be continued cannot end so: set the key to false (gguf's `gguf-set-metadata` does it)",
        ));
    }
    if file.flag("add_sep_token")? == Some(true) {
        return Err(input(
            "the GGUF file's tokenizer ends every text with a separator (`tokenizer.ggml.add_sep_token` is true), and a \
             prompt to be continued cannot end so: set the key to false",
        ));
    }
    let special = special(file, &vocabulary, adds_bos)?;
    Ok(TokenizerParts { inner, special, vocab_size: vocabulary.tokens.len() })
}

/// BOS, end of text and the roles that chat templates know.
fn special(file: Metadata, vocabulary: &Vocabulary, adds_bos: bool) -> Result<Special> {
    let size = vocabulary.tokens.len();
    let written = file.flag("add_bos_token")?;
    let bos = match written.unwrap_or(adds_bos) {
        true => {
            let id = file.id("bos_token_id", size)?;
            Some(id.ok_or_else(|| wrong("bos_token_id", "there, though the tokenizer adds a BOS"))?)
        }
        false => None,
    };
    let whether = if bos.is_some() { "put before every text: " } else { "none: " };
    let by_what = match written {
        Some(flag) => format!("tokenizer.ggml.add_bos_token is {flag}"),
        None => "tokenizer.ggml.add_bos_token is missing, and this is what its kind of tokenizer does".into(),
    };
    let mut special = Special { bos, bos_from: format!("{whether}{by_what}"), ..Special::default() };
    for key in ["eos_token_id", "eot_token_id", "eom_token_id"] {
        if let Some(id) = file.id(key, size)? {
            special.ends(id, &format!("tokenizer.ggml.{key}"));
        }
    }
    for name in ["<|endoftext|>", "<end_of_turn>"] {
        if let Some(id) = vocabulary.control(name) {
            special.ends(id, &format!("a control token called {name}"));
        }
    }
    for (key, role) in ROLES {
        let token = file.id(key, size)?.and_then(|id| vocabulary.tokens.get(id as usize));
        special.roles.extend(token.map(|token| (role.to_string(), token.to_string())));
    }
    Ok(special)
}

/// Keys of special tokens, with what transformers and so chat templates call them.
const ROLES: [(&str, &str); 6] = [
    ("bos_token_id", "bos_token"),
    ("eos_token_id", "eos_token"),
    ("unknown_token_id", "unk_token"),
    ("seperator_token_id", "sep_token"),
    ("padding_token_id", "pad_token"),
    ("mask_token_id", "mask_token"),
];

impl<'a> Vocabulary<'a> {
    fn read(file: Metadata<'a>) -> Result<Self> {
        let tokens: Vec<Cow<str>> = file.texts("tokens")?.into_iter().map(Cow::Borrowed).collect();
        let types = file.integers("token_type")?.unwrap_or_else(|| vec![NORMAL; tokens.len()]);
        if types.len() != tokens.len() {
            return Err(wrong("token_type", &format!("as long as the list of {} tokens", tokens.len())));
        }
        Ok(Self { tokens, types })
    }

    /// Tokens with their ids and types.
    fn iter(&self) -> impl Iterator<Item = (u32, &str, i64)> {
        (0u32..).zip(&self.tokens).zip(&self.types).map(|((id, token), kind)| (id, token.as_ref(), *kind))
    }

    /// Spell runs of spaces as SentencePiece does. The converter of llama.cpp writes those of Gemma, which the user of
    /// SentencePiece defined, as they stand in a text; here merging finds them.
    fn spell_spaces(&mut self) {
        let spaces = |token: &str| !token.is_empty() && token.bytes().all(|byte| byte == b' ');
        for (token, kind) in self.tokens.iter_mut().zip(&mut self.types).filter(|(token, _)| spaces(token)) {
            (*token, *kind) = (Cow::Owned("▁".repeat(token.len())), NORMAL);
        }
    }

    /// Ids by token. Unused ones stay out: they fill the embedding up to a round number and are in no
    /// tokenizer.json.
    fn ids(&self) -> Result<HashMap<String, u32>> {
        let mut ids = HashMap::with_capacity(self.tokens.len());
        for (id, token, _) in self.iter().filter(|(_, _, kind)| *kind != UNUSED) {
            if let Some(first) = ids.insert(token.to_string(), id) {
                return Err(wrong(
                    "tokens",
                    &format!("free of doubles (`{token}` is both {first} and {id})"),
                ));
            }
        }
        Ok(ids)
    }

    fn control(&self, name: &str) -> Option<u32> {
        self.iter().find(|(_, token, kind)| *token == name && *kind == CONTROL).map(|(id, ..)| id)
    }

    /// The tokens matched as they stand in the text, as Hugging Face's added tokens.
    fn added(&self, unknown_too: bool) -> Vec<AddedToken> {
        let special = |kind| kind == CONTROL || (unknown_too && kind == UNKNOWN);
        self.iter()
            .filter(|(_, token, kind)| !token.is_empty() && (special(*kind) || *kind == USER_DEFINED))
            .map(|(_, token, kind)| AddedToken::from(token, special(kind)).normalized(false))
            .collect()
    }
}

/// Byte-level BPE, and whether it adds a BOS where the file does not say.
fn byte_level(file: Metadata, vocabulary: &Vocabulary) -> Result<(tokenizers::Tokenizer, bool)> {
    let family = pre::family(file.text("pre")?)?;
    let ids = vocabulary.ids()?;
    let merges = merges::listed(&file.texts("merges")?, &ids)?;
    let model = BPE::builder().vocab_and_merges(into_vocab(ids), merges).ignore_merges(family.ignore_merges);
    let mut inner = tokenizers::Tokenizer::new(model.build().map_err(library)?);
    inner.with_normalizer(family.normalizer()).map_err(library)?;
    inner.with_pre_tokenizer(Some(family.pre_tokenizer()?));
    inner.with_decoder(Some(ByteLevel::new(false, false, false)));
    inner.add_tokens(vocabulary.added(false)).map_err(library)?;
    Ok((inner, family.adds_bos))
}

/// Gemma's architectures: their SentencePiece vocabularies are read in a way of their own.
fn is_gemma(metadata: &HashMap<String, Value>) -> bool {
    let architecture = metadata.get("general.architecture");
    matches!(architecture, Some(Value::String(name)) if name.starts_with("gemma"))
}

/// SentencePiece BPE as the tokenizer.json of Llama 2, TinyLlama and Mistral 7B v0.1 declares it; it adds a
/// BOS where the file does not say.
fn sentencepiece(file: Metadata, vocabulary: &Vocabulary) -> Result<(tokenizers::Tokenizer, bool)> {
    let scores = file.numbers("scores")?.filter(|scores| scores.len() == vocabulary.tokens.len());
    let scores = scores.ok_or_else(|| wrong("scores", "there with a number for each token"))?;
    let ids = vocabulary.ids()?;
    let normal = |id: u32| vocabulary.types.get(id as usize) == Some(&NORMAL);
    let merges = merges::by_score(&vocabulary.tokens, &scores, &ids, normal);
    let prefix = file.flag("add_space_prefix")?.unwrap_or(true);
    Ok((with_merges(vocabulary, ids, merges, prefix)?, true))
}

/// SentencePiece BPE as the tokenizer.json of Gemma declares it: no space before a text, and merges in the order of the
/// tokens' numbers, as transformers reads such a file. The scores say something else.
fn gemma(file: Metadata, vocabulary: &Vocabulary) -> Result<(tokenizers::Tokenizer, bool)> {
    if file.flag("add_space_prefix")? == Some(true) {
        return Err(input(
            "the GGUF file says that a space is put before a text (`tokenizer.ggml.add_space_prefix` is true), which \
             Gemma's tokenizer does not do: convert the model again with a current llama.cpp",
        ));
    }
    let ids = vocabulary.ids()?;
    let merges = match file.has("merges") {
        true => merges::listed(&file.texts("merges")?, &ids)?,
        false => {
            let order: Vec<f64> = (0..vocabulary.tokens.len()).map(|id| -(id as f64)).collect();
            merges::by_score(&vocabulary.tokens, &order, &ids, |_| true)
        }
    };
    Ok((with_merges(vocabulary, ids, merges, false)?, true))
}

/// The tokenizer of a SentencePiece vocabulary with these merges; `prefix`: it puts a space before a text.
fn with_merges(
    vocabulary: &Vocabulary,
    ids: HashMap<String, u32>,
    merges: Vec<(String, String)>,
    prefix: bool,
) -> Result<tokenizers::Tokenizer> {
    let mut model =
        BPE::builder().vocab_and_merges(into_vocab(ids), merges).byte_fallback(true).fuse_unk(true);
    if let Some((_, token, _)) = vocabulary.iter().find(|(_, _, kind)| *kind == UNKNOWN) {
        model = model.unk_token(token.to_string());
    }
    let mut inner = tokenizers::Tokenizer::new(model.build().map_err(library)?);
    let mut normalizers: Vec<NormalizerWrapper> = vec![Replace::new(" ", "▁").map_err(library)?.into()];
    let mut decoders: Vec<DecoderWrapper> =
        vec![Replace::new("▁", " ").map_err(library)?.into(), ByteFallback::new().into(), Fuse::new().into()];
    if prefix {
        normalizers.insert(0, Prepend::new("▁".to_string()).into());
        decoders.push(Strip::new(' ', 1, 0).into());
    }
    inner.with_normalizer(Some(Normalizers::new(normalizers))).map_err(library)?;
    inner.with_decoder(Some(Decoders::new(decoders)));
    inner.add_tokens(vocabulary.added(true)).map_err(library)?;
    Ok(inner)
}

/// The library's own map type, which it does not name in its public interface.
fn into_vocab(ids: HashMap<String, u32>) -> tokenizers::models::bpe::Vocab {
    ids.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::super::Tokenizer;
    use super::*;

    /// A file with the 256 bytes and one merge.
    fn file(change: impl Fn(&mut HashMap<String, Value>)) -> Result<Tokenizer> {
        let texts = |texts: Vec<String>| Value::Array(texts.into_iter().map(Value::String).collect());
        let alphabet = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet();
        let mut tokens: Vec<String> = alphabet.iter().map(char::to_string).collect();
        tokens.extend(["he".to_string(), "<|endoftext|>".to_string(), "[PAD258]".to_string()]);
        let types = (0..256).map(|_| 1).chain([1, 3, 5]).map(Value::I32).collect();
        let mut metadata: HashMap<String, Value> = [
            ("model", Value::String("gpt2".into())),
            ("pre", Value::String("gpt-2".into())),
            ("tokens", texts(tokens)),
            ("token_type", Value::Array(types)),
            ("merges", texts(vec!["h e".to_string()])),
            ("eos_token_id", Value::U32(257)),
        ]
        .map(|(key, value)| (format!("tokenizer.ggml.{key}"), value))
        .into();
        change(&mut metadata);
        Tokenizer::from_gguf(&metadata)
    }

    fn refusal(key: &str, value: Value) -> String {
        let key = format!("tokenizer.ggml.{key}");
        let error = file(|metadata| drop(metadata.insert(key.clone(), value.clone()))).err().unwrap();
        assert!(error.is::<crate::base::error::InputError>(), "{error}");
        error.to_string()
    }

    #[test]
    fn a_file_as_it_should_be() {
        let tokenizer = file(|_| ()).unwrap();
        assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.vocab_size()), (None, vec![257], 259));
        assert_eq!(tokenizer.encode("he<|endoftext|>").unwrap(), [256, 257]);
        assert_eq!(
            (tokenizer.decode(&[256, 257, 258]), tokenizer.token_bytes(258)),
            ("he".to_string(), None)
        );
    }

    #[test]
    fn files_that_contradict_themselves_are_refused_by_key() {
        let text = |text: &str| Value::String(text.into());
        let texts = |list: &[&str]| Value::Array(list.iter().map(|item| text(item)).collect());
        assert!(refusal("model", text("t5")).contains("tokenizer.json"));
        assert!(refusal("pre", text("superbpe")).contains("known: gpt-2"));
        assert!(refusal("merges", texts(&["he llo"])).contains("`he llo`"));
        assert!(refusal("merges", texts(&["hello"])).contains("`hello`"));
        assert!(refusal("tokens", Value::U32(3)).contains("ggml.tokens` is not a list"));
        assert!(refusal("tokens", texts(&["a", "a"])).contains("token_type"));
        assert!(refusal("eos_token_id", Value::U32(9999)).contains("259 tokens"));
        assert!(refusal("add_bos_token", Value::Bool(true)).contains("bos_token_id"));
        assert!(refusal("add_eos_token", Value::Bool(true)).contains("add_eos_token"));
    }
}
