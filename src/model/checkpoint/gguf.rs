//! GGUF files, read as Hugging Face names and layouts.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::Device;
use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{Content, Value};
use memmap2::Mmap;

use super::gguf_layout::{OfExpert, TensorLayout, layout, name, of_expert, row_order};
use super::gguf_parts::FilePart;
use super::held::Mapped;
use super::storage::Storage;
use super::{Held, Weights, misshapen, surplus};
use crate::base::error::input;
use crate::model::arch::{GgufKeys, Metadata};
use crate::model::{Arch, Family, LongScaling, Positions, RopeScaling};

/// The factors of Llama 3.1's rotary frequencies.
const ROPE_FACTORS: &str = "rope_freqs.weight";

/// The factors of Phi-3's rotary frequencies, for long sequences and for short ones.
const LONG_FACTORS: [&str; 2] = ["rope_factors_long.weight", "rope_factors_short.weight"];

/// A GGUF file, or the parts of a split one: headers read, tensors mapped.
pub struct GgufFile {
    /// Where it is: the first part, where there are several.
    pub path: PathBuf,
    /// Its architecture.
    pub arch: Arch,
    /// Metadata of the first part; the tensors of all, their offsets aside.
    content: Content,
    /// By tensor, the part that holds it.
    homes: HashMap<String, usize>,
    parts: Vec<Home>,
}

/// A part's file.
struct Home {
    path: PathBuf,
    map: Arc<Mmap>,
    data: u64,
    /// Tensors of four bits an element, whose type candle does not know.
    packed: HashSet<String>,
}

impl GgufFile {
    /// Read the header, of all parts where it is the first of several. Does not touch the thread pool, which may not be set
    /// up yet.
    ///
    /// # Errors
    /// An [`InputError`](crate::base::error::InputError) that names the file and what is missing or unknown in it.
    pub fn open(path: &Path) -> Result<Self> {
        let (mut content, mut homes, mut parts) = (None::<Content>, HashMap::new(), Vec::new());
        for (index, FilePart { path, map, content: of_part, packed }) in
            FilePart::all(path)?.into_iter().enumerate()
        {
            homes.extend(of_part.tensor_infos.keys().map(|name| (name.clone(), index)));
            parts.push(Home { path, map, data: of_part.tensor_data_offset, packed });
            match &mut content {
                Some(content) => content.tensor_infos.extend(of_part.tensor_infos),
                None => content = Some(of_part),
            }
        }
        let content = content.context("a model of no parts")?;
        let arch = Arch::from_gguf(&content).with_context(|| format!("{}", path.display()))?;
        let mut this = Self { path: path.into(), arch, content, homes, parts };
        // Of other architectures llama.cpp reads no such tensor.
        if this.arch.family == Family::Llama && this.content.tensor_infos.contains_key(ROPE_FACTORS) {
            this.read_rope_factors()?;
        }
        if this.has_long_factors() {
            this.read_long_factors()?;
        }
        Ok(this)
    }

    /// Key-value metadata, which holds the tokenizer too.
    pub fn metadata(&self) -> &HashMap<String, Value> {
        &self.content.metadata
    }

    /// The name of its architecture, with which the metadata keys of its sizes begin.
    pub fn architecture(&self) -> &str {
        match self.content.metadata.get("general.architecture") {
            Some(Value::String(name)) => name,
            _ => "",
        }
    }

    /// Its files, in the order of their parts.
    pub fn files(&self) -> Vec<PathBuf> {
        self.parts.iter().map(|part| part.path.clone()).collect()
    }

    fn read_rope_factors(&mut self) -> Result<()> {
        let factors = self.mapped(ROPE_FACTORS)?.vector()?;
        let file = self.path.display().to_string();
        let Positions::Rotary { all, .. } = &mut self.arch.positions else { return Ok(()) };
        if factors.len() != all.dims / 2 {
            return Err(misshapen(&file, ROPE_FACTORS, &[factors.len()], &[all.dims / 2]));
        }
        // Both divide, as in llama.cpp.
        let linear = if let RopeScaling::Linear(factor) = all.scaling { factor as f32 } else { 1. };
        let factors = factors.into_iter().map(|factor| factor * linear).collect();
        all.scaling = RopeScaling::Factors(factors);
        all.scaling.check().with_context(|| format!("{file}: tensor `{ROPE_FACTORS}`"))
    }

    fn has_long_factors(&self) -> bool {
        let has = |name: &&str| self.content.tensor_infos.contains_key(*name);
        self.arch.family == Family::Phi3 && LONG_FACTORS.iter().any(has)
    }

    fn read_long_factors(&mut self) -> Result<()> {
        let [long, short] = LONG_FACTORS.map(|name| self.mapped(name)?.vector());
        let keys = GgufKeys { metadata: Metadata(&self.content.metadata), name: self.architecture() };
        let scaling = RopeScaling::Long(LongScaling {
            short: short?,
            long: long?,
            original_context: keys.size("rope.scaling.original_context_length")?,
            attention_factor: keys.optional_float("rope.scaling.attn_factor")?.unwrap_or(1.),
        });
        let Positions::Rotary { all, .. } = &mut self.arch.positions else { return Ok(()) };
        all.scaling = scaling;
        all.check()
            .with_context(|| format!("{}: tensors `{}`", self.path.display(), LONG_FACTORS.join("` and `")))
    }

    /// A tensor by its GGUF name, as it is stored.
    fn mapped(&self, name: &str) -> Result<Mapped> {
        let (info, home) = (self.content.tensor_infos.get(name), self.homes.get(name));
        let Some((info, home)) = info.zip(home) else {
            return Err(input(format!("{}: tensor `{name}` is missing", self.path.display())));
        };
        let home = *home;
        let Home { path, map, data, .. } = &self.parts[home];
        let file = path.display();
        let dims = info.shape.dims();
        let shape = [dims.first().copied().unwrap_or(0), dims.iter().skip(1).product()];
        let storage = match self.parts[home].packed.contains(name) {
            true => Storage::Mxfp4,
            false => Storage::Ggml(info.ggml_dtype),
        };
        let blocks = storage.block_size();
        if !shape[1].is_multiple_of(blocks) {
            return Err(input(format!(
                "{file}: tensor `{name}` has rows of {} values, no whole number of blocks of {blocks}",
                shape[1]
            )));
        }
        if let Storage::Ggml(kind @ (GgmlDType::Q8_1 | GgmlDType::Q8K)) = storage {
            return Err(input(format!("{file}: tensor `{name}` is stored as {kind:?}, which is not read")));
        }
        Ok(Mapped {
            file: map.clone(),
            path: file.to_string().into(),
            name: name.into(),
            at: (data + info.offset) as usize,
            storage,
            shape,
        })
    }
}

impl GgufFile {
    /// The file's name of a tensor, or of the one that it is a part of.
    fn name(&self, hugging_face: &str) -> String {
        match of_expert(hugging_face) {
            Some(OfExpert { of_all, .. }) if self.content.tensor_infos.contains_key(&of_all) => of_all,
            Some(OfExpert { alone, .. }) => alone,
            None => name(&self.arch, hugging_face),
        }
    }

    /// A tensor by its GGUF name; of those that hold several experts' the expert's part.
    fn stored(&self, name: &str, hugging_face: &str, shape: &[usize]) -> Result<Held> {
        let mapped = self.mapped(name)?;
        let OfExpert { expert, .. } = match of_expert(hugging_face) {
            Some(expert) if expert.of_all == name => expert,
            _ => return Ok(Held::from(mapped)),
        };
        let experts = self.arch.experts.as_ref().map_or(0, |mixture| mixture.routing.experts);
        let expected = [&[experts], shape].concat();
        let found = self.content.tensor_infos[name].shape.dims();
        if found != expected {
            return Err(misshapen(&self.path.display().to_string(), name, found, &expected));
        }
        Held::from(mapped).part(expert, [shape[0], shape[1..].iter().product()])
    }
}

impl Weights for GgufFile {
    fn holds(&self, hugging_face: &str) -> bool {
        self.content.tensor_infos.contains_key(&self.name(hugging_face))
    }

    fn tensor(&self, hugging_face: &str, shape: &[usize]) -> Result<Held> {
        let name = self.name(hugging_face);
        let stored = self.stored(&name, hugging_face, shape)?;
        let layout = layout(&self.arch, hugging_face);
        let held = match layout {
            TensorLayout::Transposed => stored.transposed()?,
            TensorLayout::PlusOne => Held::from((stored.widen(&Device::Cpu)? - 1.)?),
            TensorLayout::Same | TensorLayout::Pairs { .. } | TensorLayout::Stacked => stored,
        };
        let expected = [shape[0], shape[1..].iter().product()];
        if held.shape() != expected {
            return Err(misshapen(&self.path.display().to_string(), &name, &held.shape(), &expected));
        }
        Ok(match row_order(&self.arch, layout) {
            Some(order) => held.rows(order),
            None => held,
        })
    }

    fn refuse_surplus(&self, asked: &BTreeSet<String>) -> Result<()> {
        let known: BTreeSet<String> = asked.iter().map(|asked| self.name(asked)).collect();
        let factors = |name: &str| match self.arch.family {
            Family::Llama => name == ROPE_FACTORS,
            Family::Phi3 => LONG_FACTORS.contains(&name),
            _ => false,
        };
        let mut more: Vec<&str> = self.content.tensor_infos.keys().map(String::as_str).collect();
        more.retain(|name| !known.contains(*name) && !factors(name));
        more.sort_unstable();
        if more.is_empty() { Ok(()) } else { Err(surplus(&self.path.display().to_string(), &more)) }
    }
}
