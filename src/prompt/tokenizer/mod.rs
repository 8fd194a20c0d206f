//! Text to tokens and back, as the model's own tokenizer does it.
//!
//! Hugging Face's `tokenizers` does the work, also for GGUF files, whose metadata are first made into one of
//! its tokenizers. What is added here is what an experiment on prompts needs: the bytes of each token, and
//! from them the exact range of the prompt that each token covers.

mod added;
mod bytes;
mod class;
pub(super) mod files;
mod gguf;
mod growth;
pub mod keys;
mod merges;
mod metadata;
mod outline;
mod pre;
mod spans;
mod special;

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use candle_core::quantized::gguf_file::Value;
use tokenizers::{AddedToken, NormalizedString, Normalizer};

pub use special::Special;

use crate::base::caught::caught;
use crate::base::error::input;
use crate::base::inputs;
use crate::base::keys::Unread;
use bytes::{Spelling, collect_types};
use growth::Growth;
use outline::Outline;

/// A model's tokenizer: byte-level BPE or SentencePiece-like, from a `tokenizer.json` or from a GGUF file.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    spelling: Spelling,
    /// Tokens matched in the text as they stand, before any splitting: the special ones and the user-defined.
    added: HashMap<u32, AddedToken>,
    /// The Unicode normal form that text is brought to, if that is all the normalizer does.
    unicode_form: Option<String>,
    special: Special,
    vocab_size: usize,
    growth: Growth,
    unread: Unread,
}

impl Tokenizer {
    /// Reads `tokenizer.json` (`path`: the file, or the folder that holds it).
    ///
    /// From the files beside it come tokens that it does not have itself, added as transformers' `AutoTokenizer` adds
    /// them; the end-of-text tokens: `eos_token` of `tokenizer_config.json`, and `eos_token_id` of
    /// `generation_config.json` or, where there is no such file, of `config.json`; and the texts of special tokens for
    /// chat templates. Whether a BOS is added is for `tokenizer.json`'s post-processor to say; `add_bos_token` of
    /// `tokenizer_config.json` is not read, as transformers 5 does not read it either beside a `tokenizer.json`.
    ///
    /// Of `tokenizer_class` only what it makes of `add_prefix_space` is followed. transformers 5 builds some classes anew
    /// from vocabulary and merges alone: `GPT2Tokenizer`, which the folders of StarCoder2 and SmolLM2 name, then no
    /// longer cuts digits apart as their tokenizer.json says and as these models were trained.
    ///
    /// # Errors
    /// An `InputError` when a file cannot be read or understood, when the tokenizer is neither byte-level nor
    /// SentencePiece-like, when its ids are random, when it adds more to a text than one BOS, or when it could fill the
    /// memory.
    pub fn from_file(path: &Path) -> Result<Self> {
        let file = if path.is_dir() { path.join("tokenizer.json") } else { path.to_path_buf() };
        let shown = file.display();
        let json = inputs::bytes(&file).map_err(|error| {
            input(format!(
                "cannot read the tokenizer {shown} ({error}): a model folder needs a tokenizer.json"
            ))
        })?;
        let unreadable = |error: String| {
            input(format!("{shown} is not a tokenizer.json that can be read ({error}): fetch the file again"))
        };
        let outline: Outline =
            serde_json::from_slice(&json).map_err(|error| unreadable(error.to_string()))?;
        let growth = outline.check().with_context(|| format!("in {shown}"))?;
        let mut inner = caught(|| tokenizers::Tokenizer::from_bytes(json)).map_err(unreadable)?;
        let beside = files::Beside::read(&file)?;
        beside.check()?;
        let tokens = beside.tokens()?;
        growth.check(tokens.bytes()).with_context(|| format!("in {shown}"))?;
        tokens.add(&file, &mut inner)?;
        let mut tokenizer = Self::new(inner).with_context(|| format!("in {shown}"))?;
        tokenizer.set_prefix_space(beside.prefix_space(tokenizer.spelling, outline.before_the_model())?)?;
        tokenizer.special.roles = tokens.roles();
        tokenizer.special.bos = tokenizer.added_by_post_processor().with_context(|| format!("in {shown}"))?;
        tokenizer.special.bos_from = match tokenizer.special.bos {
            Some(_) => "tokenizer.json's post_processor puts it before every text",
            None => "none: tokenizer.json's post_processor puts nothing before a text",
        }
        .into();
        let mut special = std::mem::take(&mut tokenizer.special);
        beside.ends(&mut special, |token| tokenizer.id_of(token))?;
        tokenizer.special = special;
        outline.note(&mut tokenizer.unread);
        beside.note(&mut tokenizer.unread);
        Ok(tokenizer)
    }

    /// Make the pre-tokenizer, which is of the byte-level kind alone, put a space before a text, or not.
    fn set_prefix_space(&mut self, asked: Option<bool>) -> Result<()> {
        use tokenizers::pre_tokenizers::PreTokenizerWrapper::ByteLevel;
        let (Some(asked), Some(ByteLevel(own))) = (asked, self.inner.get_pre_tokenizer()) else {
            return Ok(());
        };
        let own = own.add_prefix_space(asked);
        self.inner.with_pre_tokenizer(Some(own));
        Ok(())
    }

    /// Builds the tokenizer that a GGUF file's metadata describe (keys `tokenizer.ggml.*`): byte-level BPE
    /// (model `gpt2`) of the families in `pre.rs`, or SentencePiece BPE (model `llama`).
    ///
    /// End of text are `eos_token_id`, `eot_token_id` and a control token `<|endoftext|>`: a GGUF file has no
    /// generation_config.json, where Hugging Face lists more than one of them.
    ///
    /// # Errors
    /// An `InputError` that names the key when metadata are missing, contradict each other, or name a kind of
    /// tokenizer outside those, with the advice to use a folder with a `tokenizer.json`.
    pub fn from_gguf(metadata: &HashMap<String, Value>) -> Result<Self> {
        let parts = gguf::read(metadata)?;
        let mut tokenizer = Self::new(parts.inner)?;
        (tokenizer.special, tokenizer.vocab_size) = (parts.special, parts.vocab_size);
        Ok(tokenizer)
    }

    /// Wraps a library tokenizer: without BOS and end of text.
    fn new(mut inner: tokenizers::Tokenizer) -> Result<Self> {
        // A tokenizer.json may have been saved with these on; the library would then cut or fill prompts unseen.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(library)?;
        let normalizer = serde_json::to_value(inner.get_normalizer())?;
        let parts = [
            normalizer.clone(),
            serde_json::to_value(inner.get_pre_tokenizer())?,
            serde_json::to_value(inner.get_decoder())?,
        ];
        let mut steps = Vec::new();
        collect_types(&normalizer, &mut steps);
        let forms: Vec<&str> = steps.into_iter().filter(|step| *step != "Sequence").collect();
        let unicode =
            !forms.is_empty() && forms.iter().all(|form| ["NFC", "NFD", "NFKC", "NFKD"].contains(form));
        let highest = inner.get_vocab(true).into_values().max();
        let spelling = Spelling::of(&parts)?;
        let mut added: HashMap<u32, AddedToken> = inner.get_added_tokens_decoder().into_iter().collect();
        // Gemma lists runs of `▁` of its vocabulary as added tokens too. Such an id may have come out of spaces by
        // merging, so its bytes are those of the vocabulary.
        added.retain(|_, token| token.special || !spelling.is_ambiguous(&token.content));
        Ok(Self {
            spelling,
            added,
            unicode_form: unicode.then(|| forms.join(" then ")),
            special: Special::default(),
            vocab_size: highest.map_or(0, |id| id as usize + 1),
            growth: Growth::of(&parts[0], &parts[1], &parts[2])?,
            unread: Unread::default(),
            inner,
        })
    }

    /// What the post-processor puts before a text: nothing or a BOS.
    fn added_by_post_processor(&self) -> Result<Option<u32>> {
        // Not the empty text: what is added before it and after it could not be told apart.
        let bare = self.encode("a")?;
        let whole = caught(|| self.inner.encode_fast("a", true)).map_err(library)?.get_ids().to_vec();
        match whole.strip_suffix(bare.as_slice()) {
            Some(&[]) => Ok(None),
            Some(&[bos]) => Ok(Some(bos)),
            _ => Err(input(format!(
                "the tokenizer adds more than one token at the start of a text, or some at its end (`a` becomes \
                 {}): a prompt to be continued cannot end so; take those tokens out of `post_processor` in \
                 tokenizer.json",
                whole.iter().map(|&id| self.shown(id)).collect::<Vec<_>>().join(" ")
            ))),
        }
    }

    /// The tokens of `text`, without BOS. The text of a special token becomes that token
    /// (transformers' `add_special_tokens=False`).
    ///
    /// # Errors
    /// An `InputError` when the library fails: a tokenizer.json that names an unknown token which its vocabulary lacks,
    /// say. And when the text could become too long on the way.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.growth.check(text.len())?;
        Ok(caught(|| self.inner.encode_fast(text, false)).map_err(library)?.get_ids().to_vec())
    }

    /// The text of `ids` without special tokens, as Hugging Face's decoder gives it: the tokens' bytes, with
    /// U+FFFD for what is not UTF-8 (Python's `errors="replace"`; in a SentencePiece-like vocabulary one for
    /// each such byte), and without the space that such a tokenizer puts before a text. Ids without a token
    /// give nothing.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.decoded(ids, true)
    }

    /// The same with the special tokens' text.
    pub fn decode_with_special(&self, ids: &[u32]) -> String {
        self.decoded(ids, false)
    }

    fn decoded(&self, ids: &[u32], skip_special: bool) -> String {
        caught(|| self.inner.decode(ids, skip_special)).unwrap_or_else(|_| {
            let kept = ids.iter().filter(|id| !skip_special || !self.is_special(**id));
            let bytes: Vec<u8> = kept.filter_map(|&id| self.token_bytes(id)).flatten().collect();
            String::from_utf8_lossy(&bytes).into_owned()
        })
    }

    /// `text` in the Unicode normal form that the tokenizer brings text to (NFC for Qwen2), or as it is when
    /// the tokenizer does no such thing or more than that. Texts joined after this may need it again, where
    /// one begins with a combining mark.
    pub fn normalize(&self, text: &str) -> String {
        let bounded = self.growth.check(text.len()).is_ok();
        let Some(normalizer) = self.inner.get_normalizer().filter(|_| self.unicode_form.is_some() && bounded)
        else {
            return text.to_string();
        };
        let mut normalized = NormalizedString::from(text);
        match caught(|| normalizer.normalize(&mut normalized)) {
            Ok(()) => normalized.get().to_string(),
            Err(_) => text.to_string(),
        }
    }

    /// The bytes that a token stands for: part of a character, perhaps. Those of an added token are its text.
    /// `None` for an id that has no token.
    pub fn token_bytes(&self, id: u32) -> Option<Vec<u8>> {
        match self.added.get(&id) {
            Some(added) => Some(added.content.clone().into_bytes()),
            None => self.inner.id_to_token(id).map(|token| self.spelling.bytes(&token)),
        }
    }

    /// A token as text; where it is part of a character, U+FFFD.
    pub fn token_text(&self, id: u32) -> String {
        String::from_utf8_lossy(&self.token_bytes(id).unwrap_or_default()).into_owned()
    }

    /// The id of a token given as the vocabulary spells it (`Ġthe`, `▁the`, `<|endoftext|>`).
    pub fn id_of(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The BOS token, only if the tokenizer puts it before every text.
    pub fn bos(&self) -> Option<u32> {
        self.special.bos
    }

    /// The tokens that end a text, in ascending order, each once; perhaps none.
    pub fn eos(&self) -> Vec<u32> {
        self.special.eos.keys().copied().collect()
    }

    /// The special tokens with what says that they are.
    pub fn special(&self) -> &Special {
        &self.special
    }

    /// Keys of its files that the program does not know; of a GGUF file see [`keys::unread_gguf`].
    pub fn unread(&self) -> &Unread {
        &self.unread
    }

    /// Whether decoding leaves the token out.
    pub fn is_special(&self, id: u32) -> bool {
        self.added.get(&id).is_some_and(|added| added.special)
    }

    /// How many ids there are, from 0 on: one more than the highest, so that gaps count. A model's embedding
    /// may have more rows, filled up to a round number.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// A token for a person: its text in backticks.
    fn shown(&self, id: u32) -> String {
        let bytes = self.token_bytes(id).unwrap_or_default();
        format!("`{}`", String::from_utf8_lossy(&bytes).escape_debug())
    }
}

/// Without the vocabulary, which would fill the screen.
impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("spelling", &self.spelling)
            .field("unicode_form", &self.unicode_form)
            .field("special", &self.special)
            .field("vocab_size", &self.vocab_size)
            .finish_non_exhaustive()
    }
}

/// The library's error as one of ours: it comes of what the tokenizer's file says.
fn library(why: impl std::fmt::Display) -> anyhow::Error {
    input(format!("the tokenizer fails ({why}): fetch its file again, or choose another model"))
}
