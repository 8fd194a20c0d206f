//! Which model is meant: a file of `configs/model/`, a folder, a `.gguf` file, or an id of the Hugging Face hub.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::files;
use super::settings::parse_yaml;
use crate::base::error::{absent, input, printable, suggest_of_many};
use crate::base::inputs;
use crate::hub::ModelId;
use crate::model::{Arch, Checkpoint, Fields};

/// A file of `configs/model/`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Its id on the Hugging Face hub.
    #[serde(default)]
    pub hub: Option<String>,
    /// Where its weights are: a folder or a `.gguf` file, relative to the working folder.
    pub path: PathBuf,
    /// How to get it, where the hub does not hold it in a form that is read.
    #[serde(default)]
    pub prepare: Option<String>,
    /// A line for the list.
    #[serde(default)]
    pub description: String,
    /// The fields of its `config.json` that say its sizes, so that a plan needs no file.
    pub config: serde_json::Map<String, serde_json::Value>,
}

/// What says that a folder holds an adapter.
const ADAPTER: &str = "adapter_config.json";
/// What says that it holds a model's weights.
const WEIGHTS: [&str; 2] = ["model.safetensors", "model.safetensors.index.json"];

/// Keys of a file of `configs/model/`.
const KEYS: [&str; 5] = ["hub", "path", "prepare", "description", "config"];

/// Brings `config.json` and the tokenizer of a model of the hub to a folder here. Settings are resolved without a network: who
/// resolves them says how.
pub type Describe = fn(&ModelId) -> Result<PathBuf>;

/// A model as chosen.
#[derive(Debug, Clone)]
pub struct ModelChoice {
    /// The name that results go under.
    pub name: String,
    /// Its configuration, if it was chosen by name.
    pub config: Option<ModelConfig>,
    /// Folder or file, where it is or where it would be.
    pub path: PathBuf,
    /// Where the hub has it.
    pub hub: Option<ModelId>,
    /// Number of layers: as configured, or read from the header.
    pub layers: usize,
}

impl ModelChoice {
    /// Resolve what the user wrote. Reads a header where the layers are not configured, never weights. `describe` brings the
    /// description of a model of the hub here.
    ///
    /// # Errors
    /// No such model, or one whose description cannot be had or read.
    pub fn resolve(written: &str, origin: &str, describe: Describe) -> Result<Self> {
        let path = Path::new(written);
        if let Some(file) = files::try_find("model", written)? {
            let config: ModelConfig = parse_yaml(&file.path, &file.text, &KEYS)?;
            let layers = config.arch().with_context(|| format!("{}", file.path.display()))?.layers;
            let id = config.hub.as_ref().filter(|_| config.prepare.is_none());
            let hub = id.map(|id| id.parse::<ModelId>()).transpose()?;
            let path = config.path.clone();
            return Ok(Self { name: file.name, config: Some(config), path, hub, layers });
        }
        if path.exists() {
            let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
            let name = name.map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned());
            let layers = described(path)?.layers;
            return Ok(Self { name, config: None, path: path.into(), hub: None, layers });
        }
        if let Some(why) = missing_path(written) {
            return Err(absent(format!("{origin}: {why}")));
        }
        if written.contains('/') {
            let id: ModelId = written.parse().with_context(|| origin.to_string())?;
            let path = describe(&id)?;
            let layers = described(&path)?.layers;
            let name = id.to_string().replace('/', "--");
            return Ok(Self { name, config: None, path, hub: Some(id), layers });
        }
        let known = files::names("model");
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        Err(input(format!(
            "{origin}: unknown model `{written}`: {}",
            suggest_of_many(written, &known, "icl-mask models")
        )))
    }

    /// Is it chosen by name, with its weights at its own place?
    pub fn is_here(&self) -> bool {
        self.path.exists()
    }

    /// Its architecture, from its own header; `path` is where it was found.
    ///
    /// # Errors
    /// Unreadable, or with another number of layers than configured.
    pub fn arch(&self, path: &Path) -> Result<Arch> {
        let arch = described(path)?;
        if arch.layers != self.layers {
            return Err(input(format!(
                "{}: has {} layers, but configs/model/{}.yaml says {}",
                path.display(),
                arch.layers,
                self.name,
                self.layers
            )));
        }
        Ok(arch)
    }

    /// That its weights are not here, with the way to get them.
    pub fn missing(&self) -> String {
        let how =
            self.config.as_ref().map_or("check the path".into(), |config| config.how_to_get(&self.path));
        format!("the model `{}` is not at {}: {how}", self.name, self.path.display())
    }
}

/// Why something that is not here is a path, and no id of the hub; `None` for what may be an id. Ids are `owner/name`, with
/// `@REVISION` where one is meant; where a folder `owner` is here, only the latter is taken for an id.
fn missing_path(written: &str) -> Option<String> {
    if Path::new(written).is_symlink() {
        return Some(format!("{written} is a link to what does not exist"));
    }
    let (id, revision) = written.split_once('@').map_or((written, None), |(id, after)| (id, Some(after)));
    let path = written.ends_with(".gguf")
        || written.starts_with(['.', '/', '~'])
        || written.ends_with('/')
        || (id.matches('/').count() > 1 && !id.contains("://"));
    if path {
        let more = match id.contains('/') && !written.starts_with(['.', '/', '~']) {
            true => "; a model of the Hugging Face hub is written owner/name",
            false => "",
        };
        return Some(format!("there is no folder or file {written}{more}"));
    }
    let (owner, _) = id.split_once('/')?;
    (revision.is_none() && Path::new(owner).is_dir()).then(|| {
        format!(
            "there is no {written} in the folder {owner}/, and nothing was fetched; if you mean the model {written} of the \
             Hugging Face hub, write {written}@main"
        )
    })
}

/// The architecture of a folder or a `.gguf` file; reads no weights, which need not be there yet.
fn described(path: &Path) -> Result<Arch> {
    if path.is_dir() {
        refuse_adapter(path)?;
        if !path.join("config.json").exists() {
            return Err(input(format!(
                "{}: holds no config.json: a model folder has config.json, tokenizer.json and the weights as safetensors",
                path.display()
            )));
        }
        Arch::from_config_json(&path.join("config.json"))
    } else {
        Ok(Checkpoint::open(path)?.arch().clone())
    }
}

/// Refuse a folder with an adapter in place of a model, or beside one, which transformers would then put to work.
fn refuse_adapter(folder: &Path) -> Result<()> {
    let (shown, has) = (folder.display(), |name: &str| folder.join(name).exists());
    if !has(ADAPTER) {
        return Ok(());
    }
    if has("config.json") && WEIGHTS.iter().any(|name| has(name)) {
        return Err(input(format!(
            "{shown}: holds an adapter ({ADAPTER}) beside a model, and transformers would load another model for it: move \
             the adapter's files to a folder of their own and give that with --adapter"
        )));
    }
    let base = inputs::bytes(&folder.join(ADAPTER)).ok();
    let base = base.and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    let base = base.and_then(|base| Some(base.get("base_model_name_or_path")?.as_str()?.to_string()));
    let base = base.map_or(String::new(), |base| format!(", which is {}", printable(&base)));
    Err(input(format!(
        "{shown}: is an adapter ({ADAPTER}), not a model: give it with --adapter, and with --model the model that it changes\
         {base}"
    )))
}

impl ModelConfig {
    /// Its architecture, as configured.
    pub fn arch(&self) -> Result<Arch> {
        Arch::from_fields(&Fields(self.config.clone()))
    }

    /// The command that fetches it.
    pub fn how_to_get(&self, path: &Path) -> String {
        match (&self.prepare, &self.hub) {
            (Some(command), _) => format!("run `{command}`"),
            (None, Some(hub)) => format!("it will be fetched from the hub ({hub})"),
            (None, None) => format!("put it at {}", path.display()),
        }
    }
}
