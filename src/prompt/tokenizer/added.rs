//! Tokens that only the files beside `tokenizer.json` know, added as transformers' `AutoTokenizer` adds them: first those
//! of `added_tokens_decoder` by their numbers, then special tokens by role, then the extra ones.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::keys::is_role;
use super::library;
use crate::base::error::input;

/// The roles that transformers knows, in its order.
const ROLES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// What the files beside a `tokenizer.json` say of its tokens.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// Tokens by the number that a file gives them, and the file.
    numbered: BTreeMap<u32, (AddedToken, &'static str)>,
    /// Special tokens by role: those that transformers knows, in its order, then others as the files list them.
    roles: Vec<(String, AddedToken)>,
    /// Special tokens without a role.
    extra: Vec<AddedToken>,
}

impl Tokens {
    /// From the contents of tokenizer_config.json, special_tokens_map.json and added_tokens.json. The latter two count
    /// only where the first has no `added_tokens_decoder`.
    ///
    /// # Errors
    /// An `InputError` for a token that is not one.
    pub fn read(
        tokenizer_config: Option<&Value>,
        special_tokens_map: Option<&Value>,
        added_tokens: Option<&Value>,
    ) -> Result<Self> {
        let empty = Map::new();
        let config = object(tokenizer_config).unwrap_or(&empty);
        let mut tokens = Self::default();
        let map = match config.get("added_tokens_decoder") {
            Some(Value::Null) => &empty,
            Some(decoder) => {
                tokens.number_by_id(decoder)?;
                &empty
            }
            None => object(special_tokens_map).unwrap_or(&empty),
        };
        tokens.name(config, map);
        tokens.list(config, map)?;
        if config.get("added_tokens_decoder").is_none() {
            tokens.number_by_text(object(added_tokens).unwrap_or(&empty))?;
        }
        Ok(tokens)
    }

    fn number_by_id(&mut self, decoder: &Value) -> Result<()> {
        const PLACE: &str = "added_tokens_decoder of tokenizer_config.json";
        let decoder =
            decoder.as_object().ok_or_else(|| input(format!("{PLACE} is not a list of tokens by number")))?;
        for (id, token) in decoder {
            let id =
                id.parse().map_err(|_| input(format!("{PLACE}: `{id}` is not the number of a token")))?;
            // A text alone is refused by transformers too.
            let token = token.as_object().and_then(|_| parsed(token));
            let token = token.ok_or_else(|| input(format!("{PLACE}: {id} has no `content`")))?;
            self.numbered.insert(id, (token, "tokenizer_config.json"));
        }
        Ok(())
    }

    /// Tokens of an added_tokens.json: special where a special token has that text.
    fn number_by_text(&mut self, added: &Map<String, Value>) -> Result<()> {
        for (text, id) in added {
            let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
            let id =
                id.ok_or_else(|| input(format!("added_tokens.json: `{text}` has no number of a token")))?;
            let special = self.special().any(|token| token.content == *text);
            self.numbered.insert(id, (AddedToken::from(text, special), "added_tokens.json"));
        }
        Ok(())
    }

    /// Special tokens by role; what special_tokens_map.json says goes over tokenizer_config.json.
    fn name(&mut self, config: &Map<String, Value>, map: &Map<String, Value>) {
        let mut found: Vec<(usize, String, AddedToken)> = Vec::new();
        for (role, token) in config.iter().chain(map).filter(|(role, _)| is_role(role)) {
            let Some(token) = parsed(token) else { continue };
            match found.iter_mut().find(|(_, known, _)| known == role) {
                Some((.., known)) => *known = token.special(true),
                None => {
                    // Of the roles that transformers does not know, those that are a text in tokenizer_config.json
                    // come last.
                    let last = config.get(role).is_some_and(Value::is_string);
                    let rank = ROLES.iter().position(|known| known == role);
                    let rank = rank.unwrap_or(ROLES.len() + usize::from(last));
                    found.push((rank, role.clone(), token.special(true)));
                }
            }
        }
        found.sort_by_key(|(rank, ..)| *rank);
        self.roles = found.into_iter().map(|(_, role, token)| (role, token)).collect();
    }

    /// Special tokens without a role, under either of the names that they have had; an object gives them roles.
    fn list(&mut self, config: &Map<String, Value>, map: &Map<String, Value>) -> Result<()> {
        const EXTRA: &str = "extra_special_tokens";
        const ADDITIONAL: &str = "additional_special_tokens";
        let (mut extra, mut additional) = (config.get(EXTRA), config.get(ADDITIONAL));
        if additional.is_some() && extra.is_none_or(is_empty) {
            (extra, additional) = (additional.take(), None);
        }
        let mut extra = extra.filter(|extra| !self.gives_roles(extra));
        let more = map.get(EXTRA).filter(|more| !self.gives_roles(more));
        // Where there is no list under the newer name, the older one counts.
        if extra.is_none() && more.is_none() {
            extra = map.get(ADDITIONAL).or(additional);
        }
        let wrong = |what: &Value| {
            input(format!("{EXTRA} beside tokenizer.json: {what} is not a token or a list of them"))
        };
        for list in extra.into_iter().chain(more).filter(|list| !list.is_null()) {
            for token in list.as_array().ok_or_else(|| wrong(list))? {
                self.extra.push(parsed(token).ok_or_else(|| wrong(token))?);
            }
        }
        Ok(())
    }

    /// Take tokens with roles, if these are such.
    fn gives_roles(&mut self, tokens: &Value) -> bool {
        let named = tokens.as_object().into_iter().flatten();
        let named = named.filter_map(|(role, token)| Some((role.clone(), parsed(token)?.special(true))));
        self.roles.extend(named);
        tokens.is_object()
    }

    fn special(&self) -> impl Iterator<Item = &AddedToken> {
        self.roles.iter().map(|(_, token)| token).chain(&self.extra)
    }

    /// The text of each special token that has a role.
    pub fn roles(&self) -> BTreeMap<String, String> {
        self.roles.iter().map(|(role, token)| (role.clone(), token.content.clone())).collect()
    }

    /// How long the texts are.
    pub fn bytes(&self) -> usize {
        let numbered = self.numbered.values().map(|(token, _)| token);
        numbered.chain(self.special()).map(|token| token.content.len()).sum()
    }

    /// Add to a tokenizer what it does not have, or has otherwise.
    ///
    /// # Errors
    /// An `InputError` where tokenizer.json gives a token another number than a file beside it, and where the end of
    /// text is a token that no file gives a number.
    pub fn add(&self, tokenizer: &Path, inner: &mut tokenizers::Tokenizer) -> Result<()> {
        self.check_end_of_text(tokenizer, inner)?;
        let known = inner.get_added_tokens_decoder();
        // A number that tokenizer.json has given away is not given again by the older file.
        let counts = |id: &u32, file: &str| file != "added_tokens.json" || !known.contains_key(id);
        let numbered: Vec<(u32, &AddedToken, &str)> = self
            .numbered
            .iter()
            .filter(|(id, (token, file))| counts(id, file) && !token.content.is_empty())
            .map(|(&id, (token, file))| (id, token, *file))
            .collect();
        let mut fresh: Vec<AddedToken> = Vec::new();
        for (_, token, _) in &numbered {
            if !known.values().any(|known| known == *token) {
                fresh.push((*token).clone());
            }
        }
        // Of several with one text, the first decides on the number, and the last that differs on the flags.
        let numbers = fresh.len();
        for token in self.special() {
            let numbered = numbered.iter().map(|(_, numbered, _)| *numbered);
            let known = known.values().chain(numbered).any(|known| known.content == token.content);
            if !known && !fresh[numbers..].contains(token) {
                fresh.push(token.clone());
            }
        }
        for token in &mut fresh {
            token.special |= self.roles.iter().any(|(_, role)| role.content == token.content);
        }
        let new: Vec<(u32, &AddedToken, &str)> = numbered
            .into_iter()
            .filter(|(_, token, _)| inner.token_to_id(&token.content).is_none())
            .collect();
        inner.add_tokens(fresh).map_err(library)?;
        for (id, token, file) in new {
            let found = inner.token_to_id(&token.content);
            if found != Some(id) {
                return Err(input(format!(
                    "{file} gives `{}` the number {id}, and after the tokens of {} it would be {}: make the two files \
                     agree",
                    token.content,
                    tokenizer.display(),
                    found.map_or("none".to_string(), |id| id.to_string()),
                )));
            }
        }
        Ok(())
    }

    /// An end of text that has no number anywhere belongs to another model.
    fn check_end_of_text(&self, tokenizer: &Path, inner: &tokenizers::Tokenizer) -> Result<()> {
        let Some((_, token)) = self.roles.iter().find(|(role, _)| role == "eos_token") else { return Ok(()) };
        let numbered = self.numbered.values().any(|(numbered, _)| numbered.content == token.content);
        if numbered || inner.token_to_id(&token.content).is_some() {
            return Ok(());
        }
        Err(input(format!(
            "tokenizer_config.json beside {} names `{}` as eos_token, which the tokenizer does not have: the two files \
             are of different models",
            tokenizer.display(),
            token.content
        )))
    }
}

/// A token as a file has it: its text alone, which then is special, or an object with flags.
fn parsed(token: &Value) -> Option<AddedToken> {
    if let Some(text) = token.as_str() {
        return Some(AddedToken::from(text, true));
    }
    let text = token.get("content")?.as_str()?;
    let flag = |key: &str| token.get(key).and_then(Value::as_bool);
    let special = flag("special").unwrap_or(false);
    let added = AddedToken::from(text, special)
        .single_word(flag("single_word").unwrap_or(false))
        .lstrip(flag("lstrip").unwrap_or(false))
        .rstrip(flag("rstrip").unwrap_or(false));
    Some(added.normalized(flag("normalized").unwrap_or(!special)))
}

fn object(file: Option<&Value>) -> Option<&Map<String, Value>> {
    file.and_then(Value::as_object)
}

/// Whether Python takes a value for false.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(named) => named.is_empty(),
        _ => false,
    }
}
