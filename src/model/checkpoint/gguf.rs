//! GGUF files, read as Hugging Face names and layouts.

use std::collections::{BTreeSet, HashMap};
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::Device;
use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{Content, Value};
use memmap2::Mmap;

use super::gguf_layout::{Layout, layout, name, row_order};
use super::held::Mapped;
use super::{Held, Weights, misshapen, surplus};
use crate::error::input;
use crate::inputs;
use crate::model::{Arch, Positions, RopeScaling};

/// The factors of Llama 3.1's rotary frequencies.
const ROPE_FACTORS: &str = "rope_freqs.weight";

/// A GGUF file: header read, tensors mapped.
pub struct GgufFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its architecture.
    pub arch: Arch,
    content: Content,
    map: Arc<Mmap>,
}

impl GgufFile {
    /// Read the header.
    ///
    /// # Errors
    /// An [`InputError`](crate::error::InputError) that names the file and what is missing or unknown in it.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        let file = inputs::open(path).map_err(|e| input(format!("{shown}: cannot be opened ({e})")))?;
        // SAFETY: as with every memory map, the file must not be changed while the process runs.
        let map = unsafe { Mmap::map(&file) };
        let map = Arc::new(map.map_err(|e| input(format!("{shown}: cannot be mapped ({e})")))?);
        let content = Content::read(&mut Header { file: Cursor::new(&map[..]), reads_to_alignment: None })
            .map_err(|e| input(format!("{shown}: not a readable GGUF file ({})", first_line(&e))))?;
        refuse_damaged(&content, path, map.len() as u64)?;
        let arch = Arch::from_gguf(&content).with_context(|| format!("{shown}"))?;
        let mut this = Self { path: path.into(), arch, content, map };
        if this.content.tensor_infos.contains_key(ROPE_FACTORS) {
            this.read_rope_factors()?;
        }
        Ok(this)
    }

    /// Key-value metadata, which holds the tokenizer too.
    pub fn metadata(&self) -> &HashMap<String, Value> {
        &self.content.metadata
    }

    fn read_rope_factors(&mut self) -> Result<()> {
        let factors = self.stored(ROPE_FACTORS)?.widen(&Device::Cpu)?.flatten_all()?.to_vec1()?;
        let file = self.path.display().to_string();
        if let Positions::Rotary { all, .. } = &mut self.arch.positions {
            if factors.len() != all.dims / 2 {
                return Err(misshapen(&file, ROPE_FACTORS, &[factors.len()], &[all.dims / 2]));
            }
            all.scaling = RopeScaling::Factors(factors);
        }
        Ok(())
    }

    /// A tensor by its GGUF name, as it is stored.
    fn stored(&self, name: &str) -> Result<Held> {
        let file = self.path.display();
        let info = self.content.tensor_infos.get(name);
        let info = info.ok_or_else(|| input(format!("{file}: tensor `{name}` is missing")))?;
        let dims = info.shape.dims();
        let shape = [dims.first().copied().unwrap_or(0), dims.iter().skip(1).product()];
        let blocks = info.ggml_dtype.block_size();
        if !shape[1].is_multiple_of(blocks) {
            return Err(input(format!(
                "{file}: tensor `{name}` has rows of {} values, no whole number of blocks of {blocks}",
                shape[1]
            )));
        }
        if matches!(info.ggml_dtype, GgmlDType::Q8_1 | GgmlDType::Q8K) {
            let kind = info.ggml_dtype;
            return Err(input(format!("{file}: tensor `{name}` is stored as {kind:?}, which is not read")));
        }
        Ok(Held::from(Mapped {
            file: self.map.clone(),
            path: file.to_string().into(),
            name: name.into(),
            at: (self.content.tensor_data_offset + info.offset) as usize,
            kind: info.ggml_dtype,
            shape,
        }))
    }
}

impl Weights for GgufFile {
    fn tensor(&self, hugging_face: &str, shape: &[usize]) -> Result<Held> {
        let name = name(&self.arch, hugging_face);
        let stored = self.stored(&name)?;
        let layout = layout(&self.arch, hugging_face);
        let held = match layout {
            Layout::Transposed => stored.transposed()?,
            Layout::PlusOne => Held::from((stored.widen(&Device::Cpu)? - 1.)?),
            Layout::Same | Layout::Pairs { .. } | Layout::Stacked => stored,
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
        let known: BTreeSet<String> = asked.iter().map(|asked| name(&self.arch, asked)).collect();
        let mut more: Vec<&str> = self.content.tensor_infos.keys().map(String::as_str).collect();
        more.retain(|name| !known.contains(*name) && *name != ROPE_FACTORS);
        more.sort_unstable();
        if more.is_empty() { Ok(()) } else { Err(surplus(&self.path.display().to_string(), &more)) }
    }
}

/// A file as candle reads it: number by number, text by text. It divides by the alignment, whatever that is, so a 0 must not
/// come so far.
struct Header<'a> {
    file: Cursor<&'a [u8]>,
    /// After the key: the type is read, then the value.
    reads_to_alignment: Option<usize>,
}

impl Read for Header<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(out)?;
        self.reads_to_alignment = match self.reads_to_alignment {
            _ if out == b"general.alignment" => Some(1),
            Some(0) if out.iter().all(|byte| *byte == 0) => {
                return Err(std::io::Error::other("`general.alignment` is 0"));
            }
            reads => reads.and_then(|reads| reads.checked_sub(1)),
        };
        Ok(count)
    }
}

impl Seek for Header<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.file.seek(to)
    }
}

/// Every alignment is a multiple of this, and what is read in place needs no more.
const ALIGNMENT: u64 = 8;

fn refuse_damaged(content: &Content, path: &Path, size: u64) -> Result<()> {
    for (name, info) in &content.tensor_infos {
        let numbers =
            info.shape.dims().iter().try_fold(1u64, |product, &dim| product.checked_mul(dim as u64));
        let blocks = numbers.map(|numbers| numbers / info.ggml_dtype.block_size() as u64);
        let bytes = blocks.and_then(|blocks| blocks.checked_mul(info.ggml_dtype.type_size() as u64));
        let start = content.tensor_data_offset.checked_add(info.offset);
        let end = start.zip(bytes).and_then(|(start, bytes)| start.checked_add(bytes));
        if end.is_none_or(|end| end > size) {
            return Err(input(format!(
                "{}: truncated: tensor `{name}` ends beyond the file's {size} bytes; fetch it again",
                path.display()
            )));
        }
        let odd = start.is_none_or(|start| !start.is_multiple_of(ALIGNMENT));
        if odd || numbers == Some(0) {
            return Err(input(format!(
                "{}: tensor `{name}` {}: the file is damaged; fetch it again",
                path.display(),
                if odd { "begins between the places for tensors" } else { "holds nothing" }
            )));
        }
    }
    Ok(())
}

/// candle's errors carry a backtrace after the first line.
fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_string()
}
