//! Words that name something -> what they name.

use std::path::Path;

use anyhow::Result;

use super::settings::{key_of, parse_yaml};
use super::{ChatChoice, files};
use crate::base::error::{input, suggest};
use crate::prompt::{Format, Profile, is_name, placeholders};
use crate::sandbox::Policy;

/// Keys of a file of `configs/format/`.
const FORMAT_KEYS: [&str; 10] = [
    "description",
    "header",
    "question",
    "answer",
    "before_target",
    "after_target",
    "separator",
    "stops",
    "spans",
    "max_new_tokens",
];

/// A policy by its name.
pub fn policy(word: &str, origin: &str) -> Result<Policy> {
    match word {
        "required" => Ok(Policy::Required),
        "best-effort" => Ok(Policy::BestEffort),
        "off" => Ok(Policy::Off),
        _ => {
            let hint = suggest(word, &["required", "best-effort", "off"]);
            Err(input(format!("{origin}: unknown policy `{word}`: {hint}")))
        }
    }
}

/// A number with a unit: KiB, MiB, GiB, TiB by 1024, KB, MB, GB, TB by 1000; one letter alone by 1024.
pub fn bytes(word: &str) -> Option<u64> {
    let digits = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
    let (number, unit) = (word[..digits].parse::<f64>().ok()?, word[digits..].trim().to_ascii_lowercase());
    let letter = unit.chars().next()?;
    let power = ["k", "m", "g", "t"].iter().position(|known| known.starts_with(letter))? as i32 + 1;
    let base: f64 = match &unit[1..] {
        "" | "ib" => 1024.,
        "b" => 1000.,
        _ => return None,
    };
    Some((number * base.powi(power)) as u64)
}

/// A format of `configs/format/` or a `.yaml` file.
pub fn find_format(word: &str, origin: &str) -> Result<Format> {
    let file = files::find("format", word, origin)?;
    let mut format: Format = parse_yaml(&file.path, &file.text, &FORMAT_KEYS)?;
    check_placeholders(&format, &file)?;
    format.name = file.name;
    Ok(format)
}

/// Refuse braces in the strings of a format that are neither placeholders nor doubled, and spans that cannot be named or are not
/// used.
pub(super) fn check_placeholders(format: &Format, file: &files::ConfigFile) -> Result<()> {
    let refuse = |key: &str, what: &str| {
        let line = file.text.lines().position(|line| key_of(line) == Some(key)).map_or(1, |line| line + 1);
        Err(input(format!("{}:{line}: {key}: {what}", file.path.display())))
    };
    for name in format.spans.keys() {
        if !is_name(name) {
            return refuse(
                "spans",
                &format!(
                    "no span can be called `{name}`; write letters, digits and _, and no word that means something already"
                ),
            );
        }
        let mut strings = format.strings().into_iter().filter(|(key, _)| *key != "spans");
        if !strings.any(|(_, text)| placeholders::others(text).any(|used| used == name)) {
            return refuse(
                "spans",
                &format!("`{name}` is not used; write {{{name}}} in one of the strings, or take it out"),
            );
        }
    }
    for (key, text) in format.strings() {
        let is_known = |name: &str| match key {
            "spans" => false,
            // Columns of the items.
            "question" | "answer" => is_name(name),
            _ => format.spans.contains_key(name),
        };
        if let Some(wrong) = placeholders::wrong(text, is_known) {
            return refuse(key, &wrong);
        }
    }
    Ok(())
}

/// A profile by its name.
pub fn profile(word: &str, origin: &str) -> Result<Profile> {
    match word {
        "exact" => Ok(Profile::Exact),
        "sia2024" => Ok(Profile::Sia2024),
        _ => Err(input(format!(
            "{origin}: unknown profile `{word}`: {}",
            suggest(word, &["exact", "sia2024"])
        ))),
    }
}

/// No chat template, the model's own, or a file.
pub fn chat(word: &str, origin: &str) -> Result<Option<ChatChoice>> {
    match word {
        "false" => Ok(None),
        "true" => Ok(Some(ChatChoice::Model)),
        // Whether it is a regular file is seen when it is opened.
        file if Path::new(file).exists() => Ok(Some(ChatChoice::File(file.into()))),
        _ => Err(input(format!(
            "{origin}: there is no file `{word}`; write true for the model's own template, false for none, or the path \
             of a .jinja file"
        ))),
    }
}
