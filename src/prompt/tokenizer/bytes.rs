//! What bytes a token stands for, by the way its vocabulary spells them.

use anyhow::Result;
use serde_json::Value;

use crate::base::error::input;

/// U+2581, which SentencePiece writes for a space.
const LOW_LINE: char = '▁';

/// How a vocabulary writes bytes as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// One character a byte, as GPT-2 has it: printable ASCII and most of Latin-1 stand for themselves, and
    /// the other 68 bytes for U+0100 to U+0143.
    ByteLevel,
    /// Text, with `▁` for a space and `<0x0A>` for a byte that no piece covers.
    SentencePiece,
}

impl Spelling {
    /// Reads it off the parts of a tokenizer.json (normalizer, pre-tokenizer, decoder), given as JSON.
    ///
    /// # Errors
    /// An `InputError` when the parts spell bytes in neither way (WordPiece, say): spans could not be
    /// computed.
    pub fn of(parts: &[Value]) -> Result<Self> {
        let mut types = Vec::new();
        parts.iter().for_each(|part| collect_types(part, &mut types));
        if types.contains(&"ByteLevel") {
            return Ok(Self::ByteLevel);
        }
        if types.contains(&"Metaspace") || parts.iter().any(|part| part.to_string().contains(LOW_LINE)) {
            return Ok(Self::SentencePiece);
        }
        Err(input(format!(
            "the tokenizer is neither byte-level BPE nor SentencePiece-like (its parts: {}), so the bytes of its \
             tokens are not known; choose a model with one of these two kinds of tokenizer",
            if types.is_empty() { "none".to_string() } else { types.join(", ") }
        )))
    }

    /// The bytes of a token of the model's own vocabulary (not of an added token, which is literal text).
    pub fn bytes(self, token: &str) -> Vec<u8> {
        match self {
            // A token with a character outside the table is literal text, as in Hugging Face's decoder.
            Self::ByteLevel => {
                token.chars().map(byte_of).collect::<Option<_>>().unwrap_or_else(|| token.as_bytes().to_vec())
            }
            Self::SentencePiece => match fallback_byte(token) {
                Some(byte) => vec![byte],
                None => token.replace(LOW_LINE, " ").into_bytes(),
            },
        }
    }

    /// Whether a token spelled so may stand for spaces as well as for itself.
    pub fn is_ambiguous(self, token: &str) -> bool {
        self == Self::SentencePiece && token.contains(LOW_LINE)
    }

    /// Where `bytes` end in `text` when they are what stands there from byte `at` on; `None` when they are
    /// not.
    pub fn eat(self, text: &str, at: usize, bytes: &[u8]) -> Option<usize> {
        let (mut end, text) = (at, text.as_bytes());
        for &byte in bytes {
            let rest = text.get(end..)?;
            end += if rest.first() == Some(&byte) {
                1
            } else if self == Self::SentencePiece && byte == b' ' && rest.starts_with("▁".as_bytes()) {
                // A `▁` of the text itself: the vocabulary cannot tell it from a space.
                LOW_LINE.len_utf8()
            } else {
                return None;
            };
        }
        Some(end)
    }
}

/// Every `"type"` in a JSON tree, in order.
pub(super) fn collect_types<'a>(part: &'a Value, into: &mut Vec<&'a str>) {
    match part {
        Value::Object(fields) => {
            into.extend(fields.get("type").and_then(Value::as_str));
            fields.values().for_each(|value| collect_types(value, into));
        }
        Value::Array(values) => values.iter().for_each(|value| collect_types(value, into)),
        _ => {}
    }
}

/// The byte that GPT-2's table writes as this character.
fn byte_of(character: char) -> Option<u8> {
    let own = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    match u32::from(character) {
        code @ 0..=0xFF => u8::try_from(code).ok().filter(|&byte| own(byte)),
        // The bytes without a character of their own follow each other from U+0100 on.
        code => (0..=u8::MAX).filter(|&byte| !own(byte)).nth(usize::try_from(code - 0x100).ok()?),
    }
}

/// The byte of a SentencePiece fallback token `<0xNN>`.
fn fallback_byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn byte_level_characters_are_hugging_faces() {
        let mut seen: Vec<u8> = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet()
            .into_iter()
            .filter_map(byte_of)
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..=u8::MAX).collect::<Vec<_>>());
        let spelled = [('Ġ', 0x20), ('Ċ', 0x0A), ('ł', 0xA0), ('Ń', 0xAD), ('Ã', 0xC3), ('a', b'a')];
        assert!(spelled.into_iter().all(|(character, byte)| byte_of(character) == Some(byte)));
        assert_eq!([byte_of(' '), byte_of('ń'), byte_of('中')], [None; 3]);
    }

    #[test]
    fn sentencepiece_spaces_and_bytes() {
        assert_eq!(Spelling::SentencePiece.bytes("▁le▁"), b" le ");
        assert_eq!(Spelling::SentencePiece.bytes("<0xE2>"), [0xE2]);
        assert_eq!(Spelling::SentencePiece.bytes("<0x>"), b"<0x>");
        assert_eq!(Spelling::ByteLevel.bytes("Ġdéjà 中"), "Ġdéjà 中".as_bytes());
    }

    #[test]
    fn spelling_is_read_from_the_parts() {
        let byte_level =
            json!({"type": "Sequence", "pretokenizers": [{"type": "Digits"}, {"type": "ByteLevel"}]});
        let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
        assert_eq!(Spelling::of(&[Value::Null, byte_level]).unwrap(), Spelling::ByteLevel);
        assert_eq!(Spelling::of(&[replace]).unwrap(), Spelling::SentencePiece);
        let refused = Spelling::of(&[json!({"type": "BertPreTokenizer"})]).unwrap_err().to_string();
        assert!(refused.contains("BertPreTokenizer"), "{refused}");
    }
}
