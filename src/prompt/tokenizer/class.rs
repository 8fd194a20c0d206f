//! Which of transformers' classes reads a tokenizer, as far as the class changes ids.

use anyhow::Result;
use serde_json::Value;

use super::bytes::Spelling;
use crate::base::error::input;

/// Classes that make `add_prefix_space` the pre-tokenizer's, whatever tokenizer.json says.
const BYTE_LEVEL: [&str; 3] = ["CodeGenTokenizer", "GPT2Tokenizer", "GPTNeoXTokenizer"];
/// A class that then puts a space before each word.
const EACH_WORD: &str = "Qwen2Tokenizer";

/// The class that transformers' `AutoTokenizer` takes: the one that a folder names, or else the model's own. Qwen2's
/// folders name wrong ones, so there the model's own is taken always.
fn class<'a>(tokenizer_config: Option<&'a Value>, config: Option<&'a Value>) -> Option<&'a str> {
    let text = |file: Option<&'a Value>, key: &str| file?.get(key)?.as_str();
    let own = match text(config, "model_type") {
        Some("qwen2") => return Some(EACH_WORD),
        Some("gpt2" | "gpt_neo" | "starcoder2") => Some("GPT2Tokenizer"),
        Some("gpt_neox") => Some("GPTNeoXTokenizer"),
        _ => None,
    };
    let named = text(tokenizer_config, "tokenizer_class").or_else(|| text(config, "tokenizer_class"));
    named.map(|name| name.strip_suffix("Fast").unwrap_or(name)).or(own)
}

/// Whether the class that reads this tokenizer sets the pre-tokenizer's `add_prefix_space`, and to what.
///
/// # Errors
/// An `InputError` where tokenizer_config.json says something of a space before the text that tokenizer.json does not
/// do and that is not done here.
pub(super) fn prefix_space(
    tokenizer_config: Option<&Value>,
    config: Option<&Value>,
    spelling: Spelling,
    [normalizer, pre_tokenizer]: [&Value; 2],
) -> Result<Option<bool>> {
    let asked = tokenizer_config.and_then(|file| file.get("add_prefix_space")).and_then(Value::as_bool);
    let name = class(tokenizer_config, config).unwrap_or_default();
    if spelling == Spelling::SentencePiece {
        let puts = prepends(normalizer) || prepends(pre_tokenizer);
        return match asked.filter(|&asked| name == "LlamaTokenizer" && asked != puts) {
            Some(asked) => Err(differs(asked, name)),
            None => Ok(None),
        };
    }
    if name == EACH_WORD && asked == Some(true) {
        return Err(differs(true, name));
    }
    if !BYTE_LEVEL.contains(&name) {
        return Ok(None);
    }
    match (pre_tokenizer.get("type").and_then(Value::as_str), asked) {
        (Some("ByteLevel"), _) => Ok(Some(asked == Some(true))),
        (_, Some(true)) => Err(differs(true, name)),
        (_, None | Some(false)) => Ok(None),
    }
}

fn differs(asked: bool, class: &str) -> anyhow::Error {
    input(format!(
        "tokenizer_config.json has `add_prefix_space` {asked}, which {class} of transformers follows, and tokenizer.json \
         says otherwise: make the two files agree"
    ))
}

/// Whether a normalizer or a pre-tokenizer of a SentencePiece-like tokenizer puts a space before a text.
fn prepends(part: &Value) -> bool {
    match part.get("type").and_then(Value::as_str) {
        Some("Prepend") => true,
        Some("Metaspace") => part.get("prepend_scheme").and_then(Value::as_str) != Some("never"),
        _ => {
            let steps = ["normalizers", "pretokenizers"].map(|key| part.get(key).and_then(Value::as_array));
            steps.into_iter().flatten().flatten().any(prepends)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_class_is_the_one_that_transformers_takes() {
        let class =
            |tokenizer: Value, config: Value| class(Some(&tokenizer), Some(&config)).map(String::from);
        let own = |model: &str| json!({"model_type": model});
        assert_eq!(
            class(json!({"tokenizer_class": "GPT2TokenizerFast"}), own("llama")).unwrap(),
            "GPT2Tokenizer"
        );
        assert_eq!(class(json!({}), own("starcoder2")).unwrap(), "GPT2Tokenizer");
        assert_eq!(
            class(json!({"tokenizer_class": "GPT2Tokenizer"}), own("qwen2")).unwrap(),
            "Qwen2Tokenizer"
        );
        assert_eq!(class(json!({}), own("llama")), None);
        let named = json!({"model_type": "llama", "tokenizer_class": "GPTNeoXTokenizer"});
        assert_eq!(class(json!({}), named).unwrap(), "GPTNeoXTokenizer");
    }
}
