//! A tensor as it is held: as f32 (or f16, bf16) in memory, or as its file stores it, mapped and widened when used.

use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use candle_core::quantized::GgmlDType;
use candle_core::quantized::ggml_file::qtensor_from_ggml;
use candle_core::{DType, Device, Tensor};
use memmap2::{Mmap, UncheckedAdvice};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::mxfp4;
use super::storage::Storage;
use crate::base::error::input;

/// How weights are held in memory. Products are always computed in f32 on the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Widened once, when loaded.
    #[default]
    F32,
    /// Rounded to f16 when loaded, widened when used.
    F16,
    /// Rounded to bf16 when loaded, widened when used.
    Bf16,
    /// Left in the mapped file as stored, widened when used.
    Stored,
}

impl Precision {
    /// The type that weights are brought to; `None` where they stay as they are stored.
    pub fn dtype(self) -> Option<DType> {
        match self {
            Self::F32 => Some(DType::F32),
            Self::F16 => Some(DType::F16),
            Self::Bf16 => Some(DType::BF16),
            Self::Stored => None,
        }
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Stored => "stored",
        })
    }
}

impl std::str::FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::F32, Self::F16, Self::Bf16, Self::Stored];
        let known = all.map(|precision| precision.to_string());
        known.iter().position(|name| name == text).map(|at| all[at]).ok_or_else(|| known.join(", "))
    }
}

/// Where a tensor of a mapped file stands.
#[derive(Clone)]
pub struct Mapped {
    /// The file.
    pub file: Arc<Mmap>,
    /// Its name, for messages.
    pub path: Arc<str>,
    /// The tensor's name in the file, for messages.
    pub name: Arc<str>,
    /// Byte at which it begins.
    pub at: usize,
    /// How its elements are stored.
    pub storage: Storage,
    /// `[rows, columns]`; a vector is one column.
    pub shape: [usize; 2],
}

/// A matrix (or, as one column, a vector).
#[derive(Clone)]
pub struct Held {
    data: Data,
    /// The matrix is the transpose of what is stored.
    transposed: bool,
    /// Which rows, after transposing, in which order; `None`: as they stand.
    rows: Option<Arc<[u32]>>,
}

#[derive(Clone)]
enum Data {
    Dense(Tensor),
    Mapped(Mapped),
}

impl From<Tensor> for Held {
    fn from(tensor: Tensor) -> Self {
        Self { data: Data::Dense(tensor), transposed: false, rows: None }
    }
}

impl From<Mapped> for Held {
    fn from(mapped: Mapped) -> Self {
        Self { data: Data::Mapped(mapped), transposed: false, rows: None }
    }
}

impl Held {
    /// `[rows, columns]`
    pub fn shape(&self) -> [usize; 2] {
        let [rows, columns] = match &self.data {
            Data::Dense(tensor) => match *tensor.dims() {
                [rows] => [rows, 1],
                ref dims => [dims[0], dims[1..].iter().product()],
            },
            Data::Mapped(mapped) => mapped.shape,
        };
        let [rows, columns] = if self.transposed { [columns, rows] } else { [rows, columns] };
        [self.rows.as_ref().map_or(rows, |rows| rows.len()), columns]
    }

    /// The transpose of a matrix whose rows are as they stand.
    pub fn transposed(self) -> Result<Self> {
        ensure!(self.rows.is_none(), "a selection of rows is not transposed");
        Ok(Self { transposed: !self.transposed, ..self })
    }

    /// It stands as its transpose in its file.
    pub fn is_transposed(&self) -> bool {
        self.transposed
    }

    /// One of the matrices `[rows, columns]` that stand one behind the other in a tensor.
    ///
    /// # Errors
    /// A tensor that is transposed or of which rows were taken, or has no such part.
    pub fn part(&self, index: usize, [rows, columns]: [usize; 2]) -> Result<Self> {
        ensure!(self.rows.is_none() && !self.transposed, "a part of a tensor that is not as it stands");
        let [all, width] = self.shape();
        ensure!((index + 1) * rows * columns <= all * width, "part {index} of {rows} x {columns} values");
        Ok(match &self.data {
            Data::Dense(tensor) => {
                let part = tensor.flatten_all()?.narrow(0, index * rows * columns, rows * columns)?;
                part.reshape((rows, columns))?.into()
            }
            Data::Mapped(mapped) => mapped.part(index, [rows, columns])?.into(),
        })
    }

    /// These rows, in this order.
    pub fn rows(&self, order: impl Iterator<Item = usize>) -> Self {
        let old = |row: usize| self.rows.as_ref().map_or(row as u32, |rows| rows[row]);
        Self { rows: Some(order.map(old).collect()), ..self.clone() }
    }

    /// The whole as f32, `[rows, columns]`.
    pub fn widen(&self, device: &Device) -> Result<Tensor> {
        self.widen_rows(0..self.shape()[0], device)
    }

    /// Some of its rows as f32, `[n, columns]`.
    pub fn widen_rows(&self, range: Range<usize>, device: &Device) -> Result<Tensor> {
        let order = self.rows.as_ref().map(|rows| rows[range.clone()].to_vec());
        let plain = match (&self.data, order, self.transposed) {
            (Data::Mapped(mapped), order, false) => mapped.rows(order.as_deref(), range, device)?,
            (data, order, transposed) => {
                let whole = match data {
                    Data::Dense(tensor) => tensor.clone(),
                    Data::Mapped(mapped) => mapped.rows(None, 0..mapped.shape[0], device)?,
                };
                let whole = if transposed { whole.t()?.contiguous()? } else { whole };
                match order {
                    Some(order) => whole.index_select(&Tensor::new(order, whole.device())?, 0)?,
                    None => whole.narrow(0, range.start, range.len())?,
                }
            }
        };
        Ok(plain.to_dtype(DType::F32)?)
    }

    /// Some of its rows in a type, `[n, columns]`: as they stand in their file where that is their type.
    pub fn rows_as(&self, range: Range<usize>, dtype: DType) -> Result<Tensor> {
        match &self.data {
            Data::Mapped(mapped) if self.rows.is_none() && !self.transposed && mapped.is(dtype) => {
                let raw = mapped.run(range.start, range.len() * mapped.shape[1])?;
                Ok(Tensor::from_raw_buffer(raw, dtype, &[range.len(), mapped.shape[1]], &Device::Cpu)?)
            }
            _ => Ok(self.widen_rows(range, &Device::Cpu)?.to_dtype(dtype)?),
        }
    }

    /// The rows of these indices as f32, `[indices, columns]`.
    pub fn gather(&self, indices: &[u32], device: &Device) -> Result<Tensor> {
        match &self.data {
            Data::Dense(tensor) if self.rows.is_none() && !self.transposed => {
                let rows = tensor.index_select(&Tensor::new(indices, tensor.device())?, 0)?;
                Ok(rows.to_dtype(DType::F32)?)
            }
            _ => {
                let rows = self.rows(indices.iter().map(|&index| index as usize));
                rows.widen(device)
            }
        }
    }

    /// The matrix itself where it is held as f32 as it stands.
    pub fn dense(&self) -> Option<&Tensor> {
        match &self.data {
            Data::Dense(tensor)
                if tensor.dtype() == DType::F32 && self.rows.is_none() && !self.transposed =>
            {
                Some(tensor)
            }
            _ => None,
        }
    }

    /// Bring it into the form in which it is to be held, and refuse values that are not finite.
    ///
    /// # Errors
    /// NaN or infinity among the values: names tensor and file.
    pub fn prepared(self, precision: Precision, device: &Device) -> Result<Self> {
        if let Data::Mapped(mapped) = &self.data {
            mapped.refuse_not_finite()?;
        }
        let Some(dtype) = precision.dtype() else { return Ok(self) };
        let wide = self.widen(device)?;
        if let Data::Mapped(mapped) = &self.data {
            mapped.leave();
        }
        Ok(wide.to_dtype(dtype)?.into())
    }
}

/// Rows widened by one thread at a time.
const ROWS_PER_TASK: usize = 64;

impl Mapped {
    /// All of it as f32, by this thread alone: also before the thread pool is set up.
    pub fn vector(&self) -> Result<Vec<f32>> {
        let mut wide = vec![0f32; self.shape[0] * self.shape[1]];
        self.widen_run(0, &mut wide)?;
        Ok(wide)
    }

    /// Whether another tensor holds the same values, found out by this thread alone. Bytes are compared where the types are
    /// the same.
    pub fn equals(&self, other: &Self) -> Result<bool> {
        if self.shape != other.shape {
            return Ok(false);
        }
        let elements = self.shape[0] * self.shape[1];
        if self.storage.ggml().is_some() && self.storage.ggml() == other.storage.ggml() {
            return Ok(self.run(0, elements)? == other.run(0, elements)?);
        }
        for first in (0..self.shape[0]).step_by(ROWS_PER_TASK) {
            let rows = (self.shape[0] - first).min(ROWS_PER_TASK);
            let mut wide = [vec![0f32; rows * self.shape[1]], vec![0f32; rows * self.shape[1]]];
            self.widen_run(first, &mut wide[0])?;
            other.widen_run(first, &mut wide[1])?;
            if wide[0] != wide[1] {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Rows as f32: those of `order`, or else the range.
    fn rows(&self, order: Option<&[u32]>, range: Range<usize>, device: &Device) -> Result<Tensor> {
        let columns = self.shape[1];
        let indices = match order {
            Some(order) => order.to_vec(),
            None => range.map(|row| row as u32).collect(),
        };
        let mut wide = vec![0f32; indices.len() * columns];
        wide.par_chunks_mut(ROWS_PER_TASK * columns).zip(indices.par_chunks(ROWS_PER_TASK)).try_for_each(
            |(out, indices)| {
                let mut at = 0;
                // Rows that follow each other in the file are widened together.
                for run in indices.chunk_by(|a, b| a + 1 == *b) {
                    let n = run.len() * columns;
                    self.widen_run(run[0] as usize, &mut out[at..at + n])?;
                    at += n;
                }
                anyhow::Ok(())
            },
        )?;
        Ok(Tensor::from_vec(wide, (indices.len(), columns), &Device::Cpu)?.to_device(device)?)
    }

    /// One of the matrices of this shape that it is, one behind the other.
    fn part(&self, index: usize, shape: [usize; 2]) -> Result<Self> {
        let [rows, columns] = shape;
        if !columns.is_multiple_of(self.storage.block_size()) {
            return Err(input(format!(
                "{}: tensor `{}` has rows of {columns} values, no whole number of blocks of {}",
                self.path,
                self.name,
                self.storage.block_size()
            )));
        }
        let before = index * rows * columns;
        let (at, storage) = (self.at + self.storage.bytes(before), self.storage.behind(before));
        Ok(Self { at, shape, storage, ..self.clone() })
    }

    /// Its elements stand in the file as this type is in memory.
    fn is(&self, dtype: DType) -> bool {
        let same =
            [(GgmlDType::F32, DType::F32), (GgmlDType::F16, DType::F16), (GgmlDType::BF16, DType::BF16)];
        cfg!(target_endian = "little")
            && self.storage.ggml().is_some_and(|kind| same.contains(&(kind, dtype)))
    }

    /// The bytes of so many elements, from a row on.
    fn run(&self, first: usize, elements: usize) -> Result<&[u8]> {
        let from = self.at + self.storage.bytes(first * self.shape[1]);
        let raw = self.file.get(from..from + self.storage.bytes(elements));
        raw.with_context(|| format!("{}: tensor `{}` is cut off", self.path, self.name))
    }

    /// Rows that follow each other, from `first` on, as many as `out` holds.
    fn widen_run(&self, first: usize, out: &mut [f32]) -> Result<()> {
        let raw = self.run(first, out.len())?;
        let kind = match &self.storage {
            Storage::Ggml(kind) => *kind,
            Storage::Mxfp4 => {
                mxfp4::widen_halves(raw, out);
                return Ok(());
            }
            Storage::Mxfp4Scaled(file, at) => {
                let from = at + first * self.shape[1] / mxfp4::BLOCK;
                let scales = file.get(from..from + out.len() / mxfp4::BLOCK);
                let scales =
                    scales.with_context(|| format!("{}: `{}` lacks scales", self.path, self.name))?;
                mxfp4::widen_neighbours(raw, scales, out);
                return Ok(());
            }
        };
        match kind {
            GgmlDType::F32 => {
                for (out, raw) in out.iter_mut().zip(raw.as_chunks::<4>().0) {
                    *out = f32::from_le_bytes(*raw);
                }
            }
            GgmlDType::BF16 => {
                for (out, raw) in out.iter_mut().zip(raw.as_chunks::<2>().0) {
                    *out = f32::from_bits(u32::from(u16::from_le_bytes(*raw)) << 16);
                }
            }
            GgmlDType::F16 => {
                for (out, raw) in out.iter_mut().zip(raw.as_chunks::<2>().0) {
                    *out = half::f16::from_le_bytes(*raw).to_f32();
                }
            }
            kind => {
                let packed = qtensor_from_ggml(kind, raw, vec![out.len()], &Device::Cpu)?;
                let wide = packed.dequantize(&Device::Cpu)?.to_vec1::<f32>()?;
                out.copy_from_slice(&wide);
            }
        }
        Ok(())
    }

    /// Read all of it once, a few rows at a time.
    fn refuse_not_finite(&self) -> Result<()> {
        (0..self.shape[0].div_ceil(ROWS_PER_TASK)).into_par_iter().try_for_each(|task| {
            let first = task * ROWS_PER_TASK;
            let mut wide = vec![0f32; (self.shape[0] - first).min(ROWS_PER_TASK) * self.shape[1]];
            self.widen_run(first, &mut wide)?;
            self.refuse_values(&wide)
        })
    }

    fn refuse_values(&self, values: &[f32]) -> Result<()> {
        match values.iter().find(|value| !value.is_finite()) {
            None => Ok(()),
            Some(value) => Err(input(format!(
                "{}: tensor `{}` holds {value}: the weights are damaged; fetch or make them again",
                self.path, self.name
            ))),
        }
    }

    /// The file's pages of this tensor are not needed any more: they shall not count beside the copy in memory.
    fn leave(&self) {
        let bytes = self.storage.bytes(self.shape[0] * self.shape[1]);
        // SAFETY: the map is read-only and of a file: its pages are read again if someone asks. That the advice
        // fails costs memory only.
        let _ = unsafe { self.file.unchecked_advise_range(UncheckedAdvice::DontNeed, self.at, bytes) };
    }
}
