//! Slots for keys and values on a device: one pool of columns for all blocks, so that a row may read from any of them at once.

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};

use crate::model::arena::Free;
use crate::model::kv::Blocks;
use crate::model::{Arch, BlockId, Extent};

/// A block: columns of some layers, one after the other.
struct Block {
    extent: Extent,
    /// Positions that there is room for.
    room: Range<usize>,
    /// Its first slot; those of a layer follow each other, and so do layers.
    first: usize,
}

/// All blocks of a run. A *slot* holds the keys and values of one column of one layer.
pub struct Slots {
    /// `[2, kv_heads, slots, head_dim]`: keys, after rotation, and values.
    pool: Tensor,
    /// Slots of no block.
    free: Free,
    blocks: Blocks<Block>,
}

impl Slots {
    /// Room for so many bytes of blocks to begin with; it grows when it must.
    pub fn new(arch: &Arch, dtype: DType, device: &Device, bytes: u64) -> Result<Self> {
        let slot = 2 * arch.kv_heads * arch.head_dim * dtype.size_in_bytes();
        let slots = (bytes / slot as u64) as usize + 1;
        let pool = Tensor::zeros((2, arch.kv_heads, slots, arch.head_dim), dtype, device)?;
        Ok(Self { pool, free: Free::new(0..slots), blocks: Blocks::default() })
    }

    /// `[2, kv_heads, slots, head_dim]`: keys and values of all slots.
    pub fn pool(&self) -> &Tensor {
        &self.pool
    }

    /// Slots that there are.
    pub fn count(&self) -> usize {
        self.pool.dims()[2]
    }

    /// Room for at least so many slots more, an eighth as many again as there are: old and new stand side by side meanwhile.
    fn grow(&mut self, more: usize) -> Result<()> {
        let old = self.count();
        let slots = old + more.max(old / 8);
        let (both, heads, _, width) = self.pool.dims4()?;
        let larger = Tensor::zeros((both, heads, slots, width), self.pool.dtype(), self.pool.device());
        let larger = larger.with_context(|| {
            let gib = |slots: usize| {
                let bytes = both * heads * slots * width * self.pool.dtype().size_in_bytes();
                bytes as f64 / (1 << 30) as f64
            };
            format!(
                "items of different lengths leave gaps among the keys and values, whose {:.1} GiB must grow to {:.1} and are copied \
                 for it, and the GPU has no room: take a smaller --batch",
                gib(old),
                gib(slots)
            )
        })?;
        // Head by head: candle's copy counts elements in 32 bits, which all of them together can exceed.
        for (which, head) in (0..both).flat_map(|which| (0..heads).map(move |head| (which, head))) {
            let of = |pool: &Tensor| pool.narrow(0, which, 1)?.narrow(1, head, 1);
            of(&larger)?.slice_set(&of(&self.pool)?, 2, 0)?;
        }
        self.pool = larger;
        self.free.give_back(old..slots);
        Ok(())
    }

    /// The slot of a column at a layer.
    pub fn slot(&self, id: BlockId, layer: usize, column: usize) -> usize {
        let Block { extent, room, first } = self.blocks.get(id);
        assert!(room.contains(&column) && extent.layers.contains(&layer), "{column} of {extent:?}");
        first + (layer - extent.layers.start) * room.len() + column - room.start
    }

    /// Keys and values of slots that follow each other, `[kv_heads, slots, head_dim]` each.
    #[cfg(feature = "cuda")]
    pub fn in_a_row(&self, first: usize, count: usize) -> Result<[Tensor; 2]> {
        let some = self.pool.narrow(2, first, count)?;
        let part = |which: usize| some.narrow(0, which, 1)?.squeeze(0);
        Ok([part(0)?, part(1)?])
    }

    /// Keys and values of these slots, `[kv_heads, slots, head_dim]` each, f32.
    pub fn some(&self, slots: &Tensor) -> Result<[Tensor; 2]> {
        let some = self.pool.index_select(slots, 2)?.to_dtype(DType::F32)?;
        Ok([some.get(0)?, some.get(1)?])
    }

    /// Write the keys and values of rows, `[rows, kv_heads, head_dim]` each, to these slots.
    pub fn write(&self, slots: &[u32], keys: &Tensor, values: &Tensor) -> Result<()> {
        let both = Tensor::stack(&[keys, values], 0)?.transpose(1, 2)?.to_dtype(self.pool.dtype())?;
        ensure!(slots.len() == both.dim(2)?, "a slot for each row");
        for (row, &slot) in slots.iter().enumerate() {
            self.pool.slice_set(&both.narrow(2, row, 1)?.contiguous()?, 2, slot as usize)?;
        }
        Ok(())
    }

    /// Room for one more block.
    ///
    /// # Errors
    /// Memory runs out.
    pub fn take(&mut self, extent: Extent) -> Result<BlockId> {
        let room = extent.room();
        let count = room.len() * extent.layers.len();
        let first = match self.free.take(count) {
            Some(first) => first,
            // No layer, or no column.
            None if count == 0 => 0,
            None => {
                self.grow(count)?;
                self.free.take(count).expect("room that was made")
            }
        };
        Ok(self.blocks.add(Block { extent, room, first }))
    }

    /// Give a block's slots back; its extent, if it was there.
    pub fn give_back(&mut self, id: BlockId) -> Option<Extent> {
        let Block { extent, room, first } = self.blocks.remove(id)?;
        let count = room.len() * extent.layers.len();
        if count > 0 {
            self.free.give_back(first..first + count);
        }
        Some(extent)
    }
}
