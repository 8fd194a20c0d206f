//! Words of `--vary` -> variations of the prompt.

use std::path::Path;

use anyhow::Result;

use crate::base::error::{input, suggest};
use crate::base::inputs::{self, MOST_SETTINGS};
use crate::prompt::{Instructions, Order, Targets, Variation};

/// What can be varied.
const NAMES: [&str; 4] = ["targets", "keep", "order", "instructions"];

/// One variation, of parts that are joined by `+`; `none` for the prompt as it is.
///
/// # Errors
/// An unknown part, the same part twice, a file that cannot be read. `origin` says where the word was written.
pub fn variation(word: &str, origin: &str) -> Result<Variation> {
    let refuse = |what: String| Err(input(format!("{origin}: {what}")));
    let mut all = Variation::default();
    if word == "none" {
        return Ok(all);
    }
    for part in word.split('+') {
        let Some((name, value)) = part.split_once('=') else {
            return refuse(format!(
                "`{part}` is not a variation: write targets=shuffled, targets=random, keep=J, order=query-first, instructions=FILE, or none"
            ));
        };
        let twice = match name {
            "targets" => all.targets.replace(targets(value, origin)?).is_some(),
            "keep" => {
                let Ok(keep) = value.parse::<usize>() else {
                    return refuse(format!(
                        "keep={value}: write how many demonstrations to keep, such as keep=1"
                    ));
                };
                all.keep.replace(keep).is_some()
            }
            "order" => {
                if value != "query-first" {
                    return refuse(format!("order={value}: {}", suggest(value, &["query-first"])));
                }
                std::mem::replace(&mut all.order, Order::QueryFirst) == Order::QueryFirst
            }
            "instructions" => all.instructions.replace(instructions(Path::new(value))?).is_some(),
            _ => return refuse(format!("unknown variation `{name}`: {}", suggest(name, &NAMES))),
        };
        if twice {
            return refuse(format!("`{name}` is varied twice in `{word}`; leave one of them out"));
        }
    }
    Ok(all)
}

fn targets(value: &str, origin: &str) -> Result<Targets> {
    match value {
        "shuffled" => Ok(Targets::Shuffled),
        "random" => Ok(Targets::Random),
        _ => {
            let hint = suggest(value, &["shuffled", "random"]);
            Err(input(format!("{origin}: targets={value}: {hint}")))
        }
    }
}

fn instructions(path: &Path) -> Result<Instructions> {
    let text = inputs::text(path, MOST_SETTINGS).map_err(|trouble| trouble.about(path))?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = stem.chars().map(|c| if c.is_alphanumeric() || "-_".contains(c) { c } else { '-' }).collect();
    Ok(Instructions { name, text: text.trim_end_matches(['\n', '\r']).into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_and_written_back() {
        for word in
            ["none", "targets=shuffled", "targets=random+keep=1", "keep=0", "keep=2+order=query-first"]
        {
            assert_eq!(variation(word, "--vary").expect(word).to_string(), word);
        }
        for (word, says) in [
            ("shuffled", "`shuffled` is not a variation"),
            ("target=shuffled", "unknown variation `target`: did you mean `targets`?"),
            ("targets=shufled", "did you mean `shuffled`?"),
            ("keep=-1", "keep=-1: write how many"),
            ("order=query-frist", "did you mean `query-first`?"),
            ("order=query-first+order=query-first", "`order` is varied twice"),
            ("keep=1+keep=2", "`keep` is varied twice"),
            ("instructions=no/such.txt", "no/such.txt"),
        ] {
            let said = variation(word, "--vary").expect_err(word).to_string();
            assert!(said.contains(says), "{word}: {said}");
        }
    }
}
