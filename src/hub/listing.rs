//! What a repository holds, and which of it is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;
use serde::Deserialize;

use super::{HubSettings, ModelId};
use crate::base::error::input;
use crate::base::inputs::{self, MOST_SETTINGS};

/// The files that describe a model, and whether it must have them.
pub(super) const DESCRIPTION: [(&str, bool); 8] = [
    ("config.json", true),
    ("tokenizer.json", true),
    ("tokenizer_config.json", false),
    ("special_tokens_map.json", false),
    ("added_tokens.json", false),
    ("generation_config.json", false),
    ("chat_template.jinja", false),
    (INDEX, false),
];
/// Says which tensor is in which file, where there are several.
pub(super) const INDEX: &str = "model.safetensors.index.json";
pub(super) const SINGLE: &str = "model.safetensors";

/// The hub's answer to `/api/models/REPO/revision/REVISION?blobs=true`.
#[derive(Deserialize)]
pub(super) struct Listing {
    /// The commit.
    pub(super) sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    #[serde(default)]
    size: Option<u64>,
}

/// A `model.safetensors.index.json`.
#[derive(Deserialize)]
struct HubIndex {
    weight_map: BTreeMap<String, String>,
}

impl Listing {
    /// Whether the repository holds the file.
    pub(super) fn has(&self, name: &str) -> bool {
        self.siblings.iter().any(|file| file.rfilename == name)
    }

    /// Its size, if the hub says.
    pub(super) fn size(&self, name: &str) -> Option<u64> {
        self.siblings.iter().find(|file| file.rfilename == name)?.size
    }

    /// Whether it is a model that can be read here.
    ///
    /// # Errors
    /// A sentence for each kind of model that cannot.
    pub(super) fn check(&self, id: &ModelId, settings: &HubSettings) -> Result<()> {
        if let Some(file) = self.siblings.iter().find(|file| !stays_inside(&file.rfilename)) {
            return Err(input(format!(
                "{id}: its repository names a file outside its folder (`{}`): do not use it",
                file.rfilename.escape_debug()
            )));
        }
        if !self.has(INDEX) && !self.has(SINGLE) {
            return Err(self.no_weights(id, settings));
        }
        if !self.has("config.json") {
            return Err(input(format!(
                "{id} has no config.json, so its architecture is unknown: choose the repository of a whole model"
            )));
        }
        if !self.has("tokenizer.json") {
            return Err(input(format!(
                "{id} has no tokenizer.json, the only form of a tokenizer that is read: make one with Python \
                 (AutoTokenizer.from_pretrained(\"{}\").save_pretrained(FOLDER)), put the other files of the model \
                 beside it and give FOLDER",
                id.repo
            )));
        }
        Ok(())
    }

    fn no_weights(&self, id: &ModelId, settings: &HubSettings) -> anyhow::Error {
        let (endpoint, repo) = (&settings.endpoint, &id.repo);
        if self.has("adapter_config.json") {
            return input(format!(
                "{id} is an adapter (adapter_config.json), not a model: download its files into a folder, give that with \
                 --adapter, and with --model the model that it changes"
            ));
        }
        let safetensors = self.with_end(&[".safetensors"]);
        if !safetensors.is_empty() {
            return input(format!(
                "{id} has neither {SINGLE} nor {INDEX} (it has {}): this is not a whole model as transformers saves it; \
                 choose the repository of one",
                shorten(&safetensors)
            ));
        }
        if !self.with_end(&[".bin", ".pt", ".pth", ".ckpt"]).is_empty() {
            return input(format!(
                "{id} has its weights as pickle only, which can run code and is not read: choose a revision with \
                 safetensors ({repo}@refs/pr/N, see {endpoint}/{repo}/discussions), or convert it with Python \
                 (AutoModelForCausalLM.from_pretrained(\"{repo}\").save_pretrained(FOLDER), the tokenizer likewise) and \
                 give FOLDER"
            ));
        }
        let gguf = self.with_end(&[".gguf"]);
        if !gguf.is_empty() {
            return input(format!(
                "{id} holds GGUF files only ({}): download one of them from {endpoint}/{repo}/tree/{} and give its path",
                shorten(&gguf),
                id.revision()
            ));
        }
        input(format!("{id} holds no weights: see {endpoint}/{repo}/tree/{}", id.revision()))
    }

    fn with_end(&self, ends: &[&str]) -> Vec<&str> {
        let names = self.siblings.iter().map(|file| file.rfilename.as_str());
        names.filter(|name| ends.iter().any(|end| name.to_lowercase().ends_with(end))).collect()
    }
}

/// The names, at most 12 of them.
fn shorten(names: &[&str]) -> String {
    match names.get(12..) {
        Some(rest @ [_, ..]) => format!("{} and {} more", names[..12].join(", "), rest.len()),
        _ => names.join(", "),
    }
}

/// Whether a path of a repository stays inside the folder it is put in, on every system.
fn stays_inside(path: &str) -> bool {
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    path.split('/').all(plain) && !path.contains(['\\', ':']) && !path.chars().any(char::is_control)
}

/// The weight files of a snapshot: the one file where there is a `single` one or no index, or else those that the index
/// names. transformers chooses in the same way.
///
/// # Errors
/// The index cannot be read, or names something that is not a file's plain name.
pub(super) fn weights(snapshot: &Path, single: bool) -> Result<BTreeSet<String>> {
    let path = snapshot.join(INDEX);
    if single || !path.exists() {
        return Ok([SINGLE.to_string()].into());
    }
    let text = inputs::text(&path, MOST_SETTINGS).map_err(|trouble| trouble.about(&path))?;
    let index: HubIndex = serde_json::from_str(&text)
        .map_err(|error| input(format!("{}: {error}: choose another revision", path.display())))?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    let wrong = |name: &str| !stays_inside(name) || name.contains('/') || !name.ends_with(".safetensors");
    if let Some(name) = names.iter().find(|name| wrong(name)) {
        return Err(input(format!(
            "{}: names `{}`, which is no .safetensors file beside it: do not use this model",
            path.display(),
            name.escape_debug()
        )));
    }
    if names.is_empty() {
        return Err(input(format!("{}: names no file: choose another revision", path.display())));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_stay_inside() {
        for good in ["config.json", "a/b.json", ".gitattributes", "..a", "a b"] {
            assert!(stays_inside(good), "{good}");
        }
        for bad in ["", "/a", "../a", "a/../b", "a//b", "a/", "./a", "a\\b", "C:a", "a\nb", ".."] {
            assert!(!stays_inside(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_long_list_is_cut() {
        assert_eq!(shorten(&["a"; 12]).matches('a').count(), 12);
        assert!(shorten(&["x"; 14]).ends_with(" and 2 more"));
    }
}
