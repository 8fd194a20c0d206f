//! GGUF files as they lie on disk: one, or the parts of a split model. Headers are read and checked here.

use std::collections::HashSet;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use candle_core::quantized::gguf_file::{Content, TensorInfo, Value};
use memmap2::Mmap;

use super::mxfp4;
use crate::base::error::input;
use crate::base::inputs;

/// One file, its header read.
pub(super) struct FilePart {
    pub path: PathBuf,
    pub map: Arc<Mmap>,
    pub content: Content,
    /// Tensors of type [`MXFP4`], which candle does not know: `content` has another type for them.
    pub packed: HashSet<String>,
}

impl FilePart {
    /// Map a file and read its header.
    fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        let file = inputs::open(path).map_err(|e| input(format!("{shown}: cannot be opened ({e})")))?;
        // SAFETY: as with every memory map, the file must not be changed while the process runs.
        let map = unsafe { Mmap::map(&file) };
        let map = Arc::new(map.map_err(|e| input(format!("{shown}: cannot be mapped ({e})")))?);
        let mut header = Header::of(&map);
        let content = Content::read(&mut header)
            .map_err(|e| input(format!("{shown}: not a readable GGUF file ({})", first_line(&e))))?;
        let packed = header.packed;
        let part = Self { path: path.into(), map, content, packed };
        part.refuse_damaged()?;
        Ok(part)
    }

    /// All parts of the model that a file is, or is the first part of, as llama.cpp reads them.
    ///
    /// # Errors
    /// A file that cannot be read, a later part, or a part that is missing or of another model.
    pub fn all(path: &Path) -> Result<Vec<Self>> {
        let first = Self::open(path)?;
        let shown = path.display();
        let count = first.number("split.count")?.unwrap_or(1);
        if count <= 1 {
            return Ok(vec![first]);
        }
        let number = first.number("split.no")?.unwrap_or(0);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some(start) = name.strip_suffix(&ending(number, count)) else {
            return Err(input(format!(
                "{shown}: is part {} of {count} of a split model, and its name must end in {}, so that the other parts can \
                 be found: give it its name again, or join the parts with llama-gguf-split --merge",
                number + 1,
                ending(number, count)
            )));
        };
        let named = |number: u64| path.with_file_name(format!("{start}{}", ending(number, count)));
        if number != 0 {
            return Err(input(format!(
                "{shown}: is part {} of {count} of a split model: give the first part, {}",
                number + 1,
                named(0).display()
            )));
        }
        let mut parts = vec![first];
        for number in 1..count {
            parts.push(Self::later(path, &named(number), number, count)?);
        }
        refuse_mixed(path, &parts)?;
        Ok(parts)
    }

    /// A part that is not the first.
    fn later(first: &Path, path: &Path, number: u64, count: u64) -> Result<Self> {
        let (shown, of) = (path.display(), first.display());
        if !path.exists() {
            return Err(input(format!(
                "{of}: is part 1 of {count} of a split model, and part {}, {shown}, is missing: put all parts into one folder",
                number + 1
            )));
        }
        let part = Self::open(path)?;
        let found = (part.number("split.no")?, part.number("split.count")?);
        match found {
            (Some(found), Some(total)) if (found, total) == (number, count) => Ok(part),
            _ => Err(input(format!(
                "{shown}: is not part {} of {count} of {of} by its own metadata: fetch it again",
                number + 1
            ))),
        }
    }

    /// A whole number of the metadata that is not negative.
    fn number(&self, key: &str) -> Result<Option<u64>> {
        let number = match self.content.metadata.get(key) {
            None => return Ok(None),
            Some(Value::U8(number)) => Some(u64::from(*number)),
            Some(Value::U16(number)) => Some(u64::from(*number)),
            Some(Value::U32(number)) => Some(u64::from(*number)),
            Some(Value::U64(number)) => Some(*number),
            Some(Value::I32(number)) => u64::try_from(*number).ok(),
            Some(_) => None,
        };
        let wrong = || input(format!("{}: metadata `{key}` is not a whole number", self.path.display()));
        number.map(Some).ok_or_else(wrong)
    }

    /// Refuse tensors that do not lie one after the other, each as long as its type and shape say.
    fn refuse_damaged(&self) -> Result<()> {
        let (shown, size) = (self.path.display(), self.map.len() as u64);
        let damaged = |name: &str, how: &str| {
            input(format!("{shown}: tensor `{name}` {how}: the file is damaged; fetch it again"))
        };
        let mut places = Vec::new();
        for (name, info) in &self.content.tensor_infos {
            let start = self.content.tensor_data_offset.checked_add(info.offset);
            let bytes = bytes(info, self.packed.contains(name));
            let end = start.zip(bytes).and_then(|(start, bytes)| start.checked_add(bytes));
            let Some((start, end)) = start.zip(end).filter(|(_, end)| *end <= size) else {
                return Err(input(format!(
                    "{shown}: truncated: tensor `{name}` ends beyond the file's {size} bytes; fetch it again"
                )));
            };
            if !start.is_multiple_of(ALIGNMENT) {
                return Err(damaged(name, "begins between the places for tensors"));
            }
            if start == end {
                return Err(damaged(name, "holds nothing"));
            }
            places.push((start, end, name));
        }
        places.sort_unstable();
        let alignment = self.number("general.alignment")?.unwrap_or(DEFAULT_ALIGNMENT);
        let mut expected = self.content.tensor_data_offset;
        for (start, end, name) in &places {
            if *start != expected {
                return Err(damaged(name, "does not begin where the tensor before it ends"));
            }
            expected = end.checked_next_multiple_of(alignment).unwrap_or(*end);
        }
        match places.last() {
            Some((.., name)) if size > expected => Err(damaged(name, "ends before the end of the file")),
            _ => Ok(()),
        }
    }
}

/// How the name of a part ends.
fn ending(number: u64, count: u64) -> String {
    format!("-{:05}-of-{count:05}.gguf", number + 1)
}

/// Refuse parts that do not belong together.
fn refuse_mixed(path: &Path, parts: &[FilePart]) -> Result<()> {
    let mut seen = HashSet::new();
    for part in parts {
        if let Some(name) = part.content.tensor_infos.keys().find(|name| !seen.insert(name.as_str())) {
            return Err(input(format!("{}: tensor `{name}` is in another part too", part.path.display())));
        }
    }
    match parts[0].number("split.tensors.count")? {
        Some(count) if count != seen.len() as u64 => Err(input(format!(
            "{}: its parts hold {} tensors, not the {count} that it announces: they do not belong together",
            path.display(),
            seen.len()
        ))),
        _ => Ok(()),
    }
}

/// Bytes that a tensor of this type and shape takes; `packed`: four bits an element.
fn bytes(info: &TensorInfo, packed: bool) -> Option<u64> {
    let numbers = info.shape.dims().iter().try_fold(1u64, |product, &dim| product.checked_mul(dim as u64))?;
    let (block, size) = match packed {
        true => (mxfp4::BLOCK, mxfp4::WITH_SCALE),
        false => (info.ggml_dtype.block_size(), info.ggml_dtype.type_size()),
    };
    (numbers / block as u64).checked_mul(size as u64)
}

/// What is read in place needs no more.
const ALIGNMENT: u64 = 8;
/// Of files that say none.
const DEFAULT_ALIGNMENT: u64 = 32;

/// llama.cpp's number of the type of four bits an element.
const MXFP4: u32 = 39;
/// What candle is told in its place; no tensor has it.
const IN_ITS_PLACE: u32 = 9;

/// A file as candle reads it: number by number, text by text. It divides by the alignment, whatever that is, so a 0 must not
/// come so far. And it knows no MXFP4: a tensor's name, the number of its dimensions and they themselves are read one after the
/// other, then its type, which is replaced.
struct Header<'a> {
    file: Cursor<&'a [u8]>,
    /// After the key: the type is read, then the value.
    reads_to_alignment: Option<usize>,
    /// The last three reads.
    before: [Vec<u8>; 3],
    /// Tensors whose type was replaced.
    packed: HashSet<String>,
}

impl<'a> Header<'a> {
    fn of(file: &'a [u8]) -> Self {
        let before = Default::default();
        Self { file: Cursor::new(file), reads_to_alignment: None, before, packed: HashSet::new() }
    }

    /// Replace a type that candle does not know. No other number of four bytes follows as many words of eight as the number of four
    /// bytes before them says.
    fn replace_type(&mut self, read: &mut [u8]) {
        let [name, count, dimensions] = &self.before;
        let number = |bytes: &[u8]| bytes.try_into().ok().map(u32::from_le_bytes);
        let are_dimensions =
            number(count).is_some_and(|count| dimensions.len() as u64 == 8 * u64::from(count));
        if number(read) == Some(MXFP4) && are_dimensions && !dimensions.is_empty() {
            self.packed.insert(String::from_utf8_lossy(name).trim_end_matches('\0').to_string());
            read.copy_from_slice(&IN_ITS_PLACE.to_le_bytes());
        }
    }
}

/// The longest text that is kept to be a tensor's name.
const LONGEST_NAME: usize = 1024;

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
        self.replace_type(&mut out[..count]);
        self.before.rotate_left(1);
        let kept = &out[..count.min(LONGEST_NAME)];
        self.before[2].clear();
        self.before[2].extend_from_slice(kept);
        Ok(count)
    }
}

impl Seek for Header<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.file.seek(to)
    }
}

/// candle's errors carry a backtrace after the first line.
fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_string()
}
