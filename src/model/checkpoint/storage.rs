//! How the elements of a tensor stand in its file.

use std::sync::Arc;

use candle_core::quantized::GgmlDType;
use memmap2::Mmap;

use super::mxfp4;

/// How a tensor's elements are stored.
#[derive(Clone)]
pub enum Storage {
    /// Each by itself, or in llama.cpp's blocks.
    Ggml(GgmlDType),
    /// In blocks of four bits an element, each behind its scale.
    Mxfp4,
    /// The same without scales, which stand in this file from this byte on.
    Mxfp4Scaled(Arc<Mmap>, usize),
}

impl Storage {
    /// Elements of a block.
    pub fn block_size(&self) -> usize {
        match self {
            Self::Ggml(kind) => kind.block_size(),
            Self::Mxfp4 | Self::Mxfp4Scaled(..) => mxfp4::BLOCK,
        }
    }

    /// Bytes of a block.
    pub fn type_size(&self) -> usize {
        match self {
            Self::Ggml(kind) => kind.type_size(),
            Self::Mxfp4 => mxfp4::WITH_SCALE,
            Self::Mxfp4Scaled(..) => mxfp4::HALVES,
        }
    }

    /// Bytes of so many elements.
    pub fn bytes(&self, elements: usize) -> usize {
        elements / self.block_size() * self.type_size()
    }

    /// The same behind so many elements.
    pub fn behind(&self, elements: usize) -> Self {
        match self {
            Self::Mxfp4Scaled(file, at) => Self::Mxfp4Scaled(file.clone(), at + elements / mxfp4::BLOCK),
            other => other.clone(),
        }
    }

    /// Its type, where each element or block stands by itself.
    pub fn ggml(&self) -> Option<GgmlDType> {
        match self {
            Self::Ggml(kind) => Some(*kind),
            Self::Mxfp4 | Self::Mxfp4Scaled(..) => None,
        }
    }
}
