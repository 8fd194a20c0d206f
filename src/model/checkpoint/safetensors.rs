//! A model folder as Hugging Face lays it out: `config.json`, one or several `.safetensors`, `tokenizer.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use candle_core::quantized::GgmlDType;
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use super::held::Mapped;
use super::storage::Storage;
use super::{Held, Weights, misshapen, mxfp4, surplus};
use crate::base::error::input;
use crate::base::inputs::{self, MOST_SETTINGS};
use crate::model::{Arch, TensorNames};

/// The folder, its weights mapped into memory.
pub struct SafetensorsFolder {
    /// Where it is.
    pub path: PathBuf,
    /// Its architecture.
    pub arch: Arch,
    shards: Vec<PathBuf>,
    tensors: BTreeMap<String, TensorEntry>,
}

/// Where a tensor stands.
struct TensorEntry {
    file: Arc<Mmap>,
    path: Arc<str>,
    at: usize,
    dtype: Dtype,
    shape: Vec<usize>,
}

/// The weights in one file.
pub const SINGLE: &str = "model.safetensors";
/// Says which tensor is in which file, where there are several.
pub const INDEX: &str = "model.safetensors.index.json";

/// `model.safetensors.index.json`
#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

impl SafetensorsFolder {
    /// Read `config.json` and the headers of the weight files. Does not touch the thread pool, which may not be set up yet.
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) that names the file: absent, cut off, or not what it should be.
    pub fn open(path: &Path) -> Result<Self> {
        let arch = Arch::from_config_json(&path.join("config.json"))?;
        let shards = shards(path)?;
        let mut tensors = BTreeMap::new();
        for shard in &shards {
            read_header(shard, &mut tensors)?;
        }
        let mut this = Self { path: path.into(), arch, shards, tensors };
        this.arch.tied = this.arch.tied && !this.has_own_head()?;
        Ok(this)
    }

    /// Whether a head is stored that differs from the embedding: it is the model's own then, whatever the configuration
    /// says of tying, as in transformers.
    fn has_own_head(&self) -> Result<bool> {
        let [embedding, head] = self.embedding_and_head().map(|name| self.found(&name));
        match (embedding, head) {
            (Some(embedding), Some(head)) if embedding != head => {
                Ok(!self.mapped(embedding)?.equals(&self.mapped(head)?)?)
            }
            _ => Ok(false),
        }
    }

    /// What transformers calls the embedding and the vocabulary projection.
    fn embedding_and_head(&self) -> [String; 2] {
        let names = TensorNames::of(&self.arch);
        [names.embedding, names.head].map(|name| format!("{name}.weight"))
    }

    /// The configuration and weight files, sorted.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = self.shards.clone();
        files.push(self.path.join("config.json"));
        files.sort();
        files
    }

    /// The name under which the files hold what a part of the model takes. Of a tied embedding and head one may be missing:
    /// safetensors keeps one of two tensors that are the same, not always the embedding.
    fn taken(&self, name: &str) -> Option<&str> {
        let [embedding, head] = self.embedding_and_head();
        let other = || (self.arch.tied && name == embedding).then(|| self.found(&head)).flatten();
        self.found(name).or_else(other)
    }

    /// The name under which the files hold a tensor. Checkpoints of base models lack the first part of a name, those
    /// of models with images have more in front.
    fn found(&self, name: &str) -> Option<&str> {
        let base = ["transformer.", "gpt_neox.", "model."].iter().find_map(|part| name.strip_prefix(part));
        let candidates = [
            Some(name.to_string()),
            base.map(str::to_string),
            Some(format!("language_model.{name}")),
            base.map(|base| format!("model.language_model.{base}")),
            // GPT-NeoX's, as newer versions of transformers may save it.
            (name == "embed_out.weight").then(|| "lm_head.weight".into()),
        ];
        candidates.into_iter().flatten().find_map(|name| Some(self.tensors.get_key_value(&name)?.0.as_str()))
    }
}

/// Buffers that older versions saved beside the weights: masks and frequencies, which are computed here.
const BUFFERS: [&str; 5] =
    [".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq"];
/// Parts of a model with images that its text half does without.
const IMAGES: [&str; 4] =
    ["vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector."];

impl SafetensorsFolder {
    /// A tensor by the name under which the files hold it.
    fn mapped(&self, found: &str) -> Result<Mapped> {
        let entry = &self.tensors[found];
        let kind = match entry.dtype {
            Dtype::F32 => GgmlDType::F32,
            Dtype::F16 => GgmlDType::F16,
            Dtype::BF16 => GgmlDType::BF16,
            other => {
                return Err(input(format!(
                    "{}: tensor `{found}` is stored as {other:?} (read are F32, F16 and BF16)",
                    entry.path
                )));
            }
        };
        let (rows, columns) = (entry.shape.first().copied(), entry.shape.iter().skip(1).product());
        Ok(Mapped {
            file: entry.file.clone(),
            path: entry.path.clone(),
            name: found.into(),
            at: entry.at,
            storage: Storage::Ggml(kind),
            shape: [rows.unwrap_or(1), columns],
        })
    }
}

/// How names of packed weights end, and those of their scales.
const PACKED: [&str; 2] = ["_blocks", "_scales"];

impl SafetensorsFolder {
    /// A tensor `[.., rows, columns]` of four bits an element, which is stored as blocks and scales.
    fn packed(&self, blocks: &str, shape: &[usize]) -> Result<Held> {
        let missing = |name: &str| {
            input(format!("{}: tensor `{name}` is missing from the safetensors", self.path.display()))
        };
        let scales = scales_of(blocks).ok_or_else(|| missing(blocks))?;
        let of_blocks = self.found(blocks).ok_or_else(|| missing(blocks))?;
        let of_scales = self.found(&scales).ok_or_else(|| missing(&scales))?;
        let (before, columns) = shape.split_at(shape.len() - 1);
        if !columns[0].is_multiple_of(mxfp4::BLOCK) {
            return Err(misshapen(
                &self.tensors[of_blocks].path,
                of_blocks,
                &self.tensors[of_blocks].shape,
                shape,
            ));
        }
        let in_blocks = [before, &[columns[0] / mxfp4::BLOCK]].concat();
        let expected = [&in_blocks[..], &[mxfp4::HALVES]].concat();
        for (name, expected) in [(of_blocks, &expected), (of_scales, &in_blocks)] {
            let entry = &self.tensors[name];
            if entry.shape != *expected {
                return Err(misshapen(&entry.path, name, &entry.shape, expected));
            }
            if entry.dtype != Dtype::U8 {
                return Err(input(format!(
                    "{}: tensor `{name}` is stored as {:?}, but packed weights and their scales are U8",
                    entry.path, entry.dtype
                )));
            }
        }
        let (blocks, scales) = (&self.tensors[of_blocks], &self.tensors[of_scales]);
        Ok(Held::from(Mapped {
            file: blocks.file.clone(),
            path: blocks.path.clone(),
            name: of_blocks.into(),
            at: blocks.at,
            storage: Storage::Mxfp4Scaled(scales.file.clone(), scales.at),
            shape: [shape[0], shape[1..].iter().product()],
        }))
    }
}

/// What the scales of packed weights are called.
fn scales_of(blocks: &str) -> Option<String> {
    blocks.strip_suffix(PACKED[0]).map(|start| format!("{start}{}", PACKED[1]))
}

impl Weights for SafetensorsFolder {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Held> {
        if name.ends_with(PACKED[0]) {
            return self.packed(name, shape);
        }
        let found = self.taken(name).ok_or_else(|| {
            input(format!("{}: tensor `{name}` is missing from the safetensors", self.path.display()))
        })?;
        let entry = &self.tensors[found];
        if entry.shape != shape {
            return Err(misshapen(&entry.path, found, &entry.shape, shape));
        }
        Ok(Held::from(self.mapped(found)?))
    }

    fn holds(&self, name: &str) -> bool {
        self.taken(name).is_some()
    }

    fn refuse_surplus(&self, asked: &BTreeSet<String>) -> Result<()> {
        let scales: Vec<String> = asked.iter().filter_map(|name| scales_of(name)).collect();
        let known: BTreeSet<&str> = asked.iter().chain(&scales).filter_map(|name| self.taken(name)).collect();
        let [_, head] = self.embedding_and_head();
        // An equal copy of the embedding.
        let copy = if self.arch.tied { self.found(&head) } else { None };
        let ignored = |name: &str| {
            BUFFERS.iter().any(|end| name.ends_with(end))
                || IMAGES.iter().any(|start| name.starts_with(start))
                || copy == Some(name)
        };
        let more: Vec<&str> = self.tensors.keys().map(String::as_str).collect();
        let more: Vec<&str> =
            more.into_iter().filter(|name| !known.contains(name) && !ignored(name)).collect();
        match more.first() {
            None => Ok(()),
            Some(first) => Err(surplus(&self.tensors[*first].path, &more)),
        }
    }
}

/// Map one file and note where its tensors stand.
fn read_header(shard: &Path, tensors: &mut BTreeMap<String, TensorEntry>) -> Result<()> {
    let shown = shard.display();
    let file = inputs::open(shard).map_err(|e| input(format!("{shown}: cannot be opened ({e})")))?;
    // SAFETY: as with every memory map, the files must not be changed while the process runs.
    let map = unsafe { Mmap::map(&file) };
    let map = Arc::new(map.map_err(|e| input(format!("{shown}: cannot be mapped ({e})")))?);
    let damaged = |e| input(format!("{shown}: not a whole safetensors file ({e}); fetch it again"));
    let (header, metadata) = SafeTensors::read_metadata(&map).map_err(damaged)?;
    let data = 8 + header;
    // A file may end early with an intact header.
    if let Some((name, info)) =
        metadata.tensors().iter().find(|(_, info)| data + info.data_offsets.1 > map.len())
    {
        return Err(input(format!(
            "{shown}: truncated: tensor `{name}` ends at byte {}, the file at {}; fetch it again",
            data + info.data_offsets.1,
            map.len()
        )));
    }
    for (name, info) in metadata.tensors() {
        let entry = TensorEntry {
            file: map.clone(),
            path: shown.to_string().into(),
            at: data + info.data_offsets.0,
            dtype: info.dtype,
            shape: info.shape.clone(),
        };
        if let Some(other) = tensors.insert(name.clone(), entry) {
            return Err(input(format!("{shown}: tensor `{name}` is in {} too", other.path)));
        }
    }
    Ok(())
}

/// The one weight file, or those that the index names. Where both are there the one file is taken, as in transformers.
fn shards(folder: &Path) -> Result<Vec<PathBuf>> {
    let shown = folder.display();
    let (single, index) = (folder.join(SINGLE), folder.join(INDEX));
    let shards: Vec<PathBuf> = if single.exists() {
        vec![single]
    } else if index.exists() {
        let text = inputs::text(&index, MOST_SETTINGS).map_err(|trouble| trouble.about(&index))?;
        let index: ShardIndex =
            serde_json::from_str(&text).map_err(|e| input(format!("{}: {e}", index.display())))?;
        let names: BTreeSet<String> = index.weight_map.into_values().collect();
        if let Some(name) = names.iter().find(|name| Path::new(name).components().count() != 1) {
            return Err(input(format!("{shown}: the index names `{name}`, which is outside the folder")));
        }
        names.into_iter().map(|name| folder.join(name)).collect()
    } else {
        return Err(input(no_weights(folder)));
    };
    match shards.iter().find(|shard| !shard.exists()) {
        Some(missing) => {
            Err(input(format!("{}: named in the index, but not there; fetch it again", missing.display())))
        }
        None => Ok(shards),
    }
}

fn no_weights(folder: &Path) -> String {
    let shown = folder.display();
    let pickle =
        ["pytorch_model.bin", "pytorch_model.bin.index.json"].iter().find(|name| folder.join(name).exists());
    match pickle {
        Some(pickle) => format!(
            "{shown}: holds {pickle} and no safetensors: a pickle file is not read, because reading it can run code; \
             take a revision with safetensors, or save the model anew with save_pretrained"
        ),
        None => format!("{shown}: holds neither {SINGLE} nor {INDEX}"),
    }
}
