//! How much longer the parts of a tokenizer can make a text. A few steps that each double it would fill the memory
//! before the library returns, so texts are refused by what the steps could make of them.

use anyhow::Result;
use serde_json::Value;

use crate::base::error::input;

/// The parts of a published tokenizer make a text at most some dozens of times longer.
const STEEPEST: f64 = 1024.;
/// Bytes that a text may become. The library keeps two numbers beside each of them.
const LARGEST: f64 = (64u32 << 20) as f64;
/// Tokens that a post-processor may make of one.
const MOST_TOKENS: f64 = 65_536.;

/// How many times longer the normalizer and the pre-tokenizer make a text at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Growth(f64);

impl Growth {
    /// From the parts as JSON.
    ///
    /// # Errors
    /// An `InputError` for parts that no text may pass through.
    pub fn of(normalizer: &Value, pre_tokenizer: &Value, decoder: &Value) -> Result<Self> {
        let growth = factor(normalizer) * factor(pre_tokenizer);
        for (part, factor) in [("normalizer and pre_tokenizer", growth), ("decoder", factor(decoder))] {
            if factor > STEEPEST {
                return Err(input(format!(
                    "the tokenizer's {part} can make a text {factor:.0} times longer, and more than {STEEPEST} times \
                     is refused, since it could fill the memory: take steps out of it in tokenizer.json"
                )));
            }
        }
        Ok(Self(growth))
    }

    /// Refuse a text of this number of bytes if the parts could make too much of it.
    ///
    /// # Errors
    /// An `InputError` that says how much.
    pub fn check(self, bytes: usize) -> Result<()> {
        if bytes as f64 * self.0 <= LARGEST {
            return Ok(());
        }
        Err(input(format!(
            "the tokenizer's normalizer and pre_tokenizer can make a text of {bytes} bytes {:.0} times longer, more \
             than {LARGEST} bytes: use shorter texts, or take steps out of the normalizer in tokenizer.json",
            self.0
        )))
    }

    /// Refuse a post-processor that writes more tokens than a prompt can have.
    ///
    /// # Errors
    /// An `InputError` that says how many.
    pub fn check_post_processor(self, post_processor: &Value) -> Result<()> {
        let tokens = processed(post_processor, self.0.max(1.));
        if tokens <= MOST_TOKENS {
            return Ok(());
        }
        Err(input(format!(
            "the tokenizer's post_processor makes {tokens:.0} tokens of one character: take tokens out of it in \
             tokenizer.json"
        )))
    }
}

/// How many times longer a normalizer, pre-tokenizer or decoder makes a text at most. What is not a text of JSON counts
/// as the library's own reading would: not at all, since it refuses the file.
fn factor(part: &Value) -> f64 {
    let bytes = |key: &str| part.get(key).and_then(Value::as_str).map_or(0., |text| text.len() as f64);
    let steps =
        ["normalizers", "pretokenizers", "decoders"].map(|key| part.get(key).and_then(Value::as_array));
    match part.get("type").and_then(Value::as_str) {
        // The longest canonical and compatible forms of a character, in bytes per byte.
        Some("NFC" | "NFD") => 4.,
        Some("NFKC" | "NFKD") => 12.,
        Some("Lowercase") => 2.,
        Some("BertNormalizer" | "Nmt") => 8.,
        // At least a byte stands between two places where something is put before the text.
        Some("Prepend") => 1. + bytes("prepend"),
        Some("Replace") => replacing(part.get("pattern"), bytes("content")),
        Some("Precompiled") => part.get("precompiled_charsmap").map_or(1., charsmap),
        // A byte becomes a character of two, and a space may come before it; back, a byte may become U+FFFD.
        Some("ByteLevel") => 4.,
        Some("Metaspace") => 8.,
        Some("CTC" | "BPEDecoder" | "WordPiece") => 2. + bytes("suffix") + bytes("prefix"),
        // A list of steps may do without its type.
        _ => steps.into_iter().flatten().flatten().map(factor).product(),
    }
}

/// Each match becomes `content`; a pattern that is a text matches no more often than it fits.
fn replacing(pattern: Option<&Value>, content: f64) -> f64 {
    match pattern.and_then(|pattern| pattern.get("String")).and_then(Value::as_str) {
        Some(text) if !text.is_empty() => (content / text.len() as f64).max(1.),
        // An expression may match between any two bytes.
        _ => 1. + content,
    }
}

/// The longest text that a map of characters holds. A map is base64 of the size of its index, the index, and the texts,
/// each ended by a zero.
fn charsmap(map: &Value) -> f64 {
    let bytes: Vec<u8> = map.as_str().map(base64).unwrap_or_default();
    let Some((size, rest)) = bytes.split_first_chunk::<4>() else { return 1. };
    let texts = rest.get(u32::from_le_bytes(*size) as usize..).unwrap_or(rest);
    texts.split(|&byte| byte == 0).map(<[u8]>::len).max().unwrap_or(0).max(1) as f64
}

/// The bytes of a text in base64; other characters than its 64 are passed over.
fn base64(text: &str) -> Vec<u8> {
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0u32, 0);
    for byte in text.bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        (held, bits) = (held << 6 | u32::from(six), bits + 6);
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xff) as u8);
        }
    }
    bytes
}

/// How many tokens a post-processor makes of `tokens`.
fn processed(part: &Value, tokens: f64) -> f64 {
    if let Some(steps) = part.get("processors").and_then(Value::as_array) {
        return steps.iter().fold(tokens, |tokens, step| processed(step, tokens));
    }
    let written = |pieces: &Value| {
        let pieces = pieces.as_array().map(Vec::as_slice).unwrap_or_default();
        pieces.iter().map(|piece| piece_length(part, piece, tokens)).sum::<f64>()
    };
    ["single", "pair"].into_iter().filter_map(|key| part.get(key)).map(written).fold(tokens, f64::max)
}

/// How many tokens one piece of a template makes.
fn piece_length(part: &Value, piece: &Value, tokens: f64) -> f64 {
    let Some(name) = piece.get("SpecialToken").and_then(|token| token.get("id")).and_then(Value::as_str)
    else {
        return tokens;
    };
    let ids = part.get("special_tokens").and_then(|all| all.get(name)).and_then(|token| token.get("ids"));
    ids.and_then(Value::as_array).map_or(1., |ids| ids.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn replace(pattern: &str, content: &str) -> Value {
        json!({"type": "Replace", "pattern": {"String": pattern}, "content": content})
    }

    #[test]
    fn published_parts_pass_and_doubling_does_not() {
        let llama = json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, replace(" ", "▁")]});
        assert_eq!(factor(&llama), 12.);
        let growth = Growth::of(&llama, &Value::Null, &Value::Null).unwrap();
        assert!(growth.check(1 << 20).is_ok() && growth.check(1 << 24).is_err());
        let doubling = |n: usize| json!({"type": "Sequence", "normalizers": vec![replace("a", "aa"); n]});
        assert!(Growth::of(&doubling(10), &Value::Null, &Value::Null).is_ok());
        for part in [doubling(11), doubling(5000), json!({"type": "Prepend", "prepend": "x".repeat(2000)})] {
            assert!(Growth::of(&part, &Value::Null, &Value::Null).is_err());
            assert!(
                Growth::of(&Value::Null, &Value::Null, &part).unwrap_err().to_string().contains("decoder")
            );
        }
        let empty = json!({"type": "Replace", "pattern": {"Regex": ""}, "content": "x".repeat(1024)});
        assert!(Growth::of(&Value::Null, &empty, &Value::Null).is_err());
        let levels = json!({"type": "Sequence", "pretokenizers": vec![json!({"type": "ByteLevel"}); 6]});
        assert!(Growth::of(&Value::Null, &levels, &Value::Null).is_err());
    }

    #[test]
    fn the_longest_text_of_a_map_of_characters_counts() {
        // An index of 4 bytes, then `ab`, `abcde` and nothing.
        let map = "BAAAAP////9hYgBhYmNkZQAA";
        assert_eq!(base64(map), b"\x04\0\0\0\xff\xff\xff\xffab\0abcde\0\0");
        assert_eq!(factor(&json!({"type": "Precompiled", "precompiled_charsmap": map})), 5.);
    }

    #[test]
    fn a_post_processor_that_repeats_itself_is_refused() {
        let template = |token: usize, times: usize| {
            let piece = json!({"SpecialToken": {"id": "<s>", "type_id": 0}});
            let mut single = vec![piece; times];
            single.push(json!({"Sequence": {"id": "A", "type_id": 0}}));
            let ids: Vec<u32> = vec![1; token];
            json!({"type": "TemplateProcessing", "single": single, "pair": [],
                   "special_tokens": {"<s>": {"id": "<s>", "ids": ids, "tokens": []}}})
        };
        assert_eq!(processed(&template(1, 1), 1.), 2.);
        let growth = Growth(1.);
        assert!(growth.check_post_processor(&template(1, 1)).is_ok());
        assert!(growth.check_post_processor(&template(300, 300)).is_err());
        let twice =
            json!({"type": "TemplateProcessing", "single": vec![json!({"Sequence": {"id": "A"}}); 2]});
        let sequence = json!({"type": "Sequence", "processors": vec![twice; 20]});
        assert!(growth.check_post_processor(&sequence).is_err());
    }
}
