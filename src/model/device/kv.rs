//! Keys and values on a device: one pool of columns for all blocks, so that a row may gather whatever it reads from any of
//! them at once.

use std::ops::Range;

use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor};

use super::put::Put;
use crate::model::arena::Free;
use crate::model::kv::Blocks;
use crate::model::{Arch, BlockId, Extent, KvCache};

/// A block: columns of some layers, one after the other.
struct Block {
    extent: Extent,
    /// Positions that there is room for.
    room: Range<usize>,
    /// Its first slot; those of a layer follow each other, and so do layers.
    first: usize,
}

/// All blocks of a run. A *slot* holds the keys and values of one column of one layer.
pub struct DeviceKv {
    /// `[kv_heads, slots, head_dim]`, after rotation.
    keys: Tensor,
    /// `[kv_heads, slots, head_dim]`
    values: Tensor,
    /// Slots of no block.
    free: Free,
    blocks: Blocks<Block>,
    bytes: u64,
}

impl DeviceKv {
    /// Room for so many bytes of blocks to begin with; it grows when it must.
    pub fn new(arch: &Arch, dtype: DType, device: &Device, bytes: u64) -> Result<Self> {
        let slot = 2 * arch.kv_heads * arch.head_dim * dtype.size_in_bytes();
        let slots = (bytes / slot as u64) as usize + 1;
        let empty = || Tensor::zeros((arch.kv_heads, slots, arch.head_dim), dtype, device);
        let (blocks, free) = (Blocks::default(), Free::new(0..slots));
        Ok(Self { keys: empty()?, values: empty()?, free, blocks, bytes: 0 })
    }

    fn slots(&self) -> usize {
        self.keys.dims()[1]
    }

    /// Room for at least so many slots more, half as many again as there are.
    fn grow(&mut self, more: usize) -> Result<()> {
        let old = self.slots();
        let slots = old + more.max(old / 2);
        for pool in [&mut self.keys, &mut self.values] {
            let (heads, _, width) = pool.dims3()?;
            let larger = Tensor::zeros((heads, slots, width), pool.dtype(), pool.device())?;
            larger.slice_set(pool, 1, 0)?;
            *pool = larger;
        }
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
    pub fn some(&self, slots: Range<usize>) -> Result<[Tensor; 2]> {
        let some = |pool: &Tensor| pool.narrow(1, slots.start, slots.len());
        Ok([some(&self.keys)?, some(&self.values)?])
    }

    /// Keys and values of slots, as many as wanted for each row, `slots [rows, n]` -> `[rows, kv_heads, n, head_dim]` each.
    pub fn gather(&self, slots: &Tensor) -> Result<[Tensor; 2]> {
        let (rows, n) = slots.dims2()?;
        let (heads, all, width) = self.keys.dims3()?;
        let first: Vec<u32> = (0..heads).map(|head| (head * all) as u32).collect();
        let first = Tensor::from_vec(first, (1, heads, 1), slots.device())?;
        let indices = slots.reshape((rows, 1, n))?.broadcast_add(&first)?.flatten_all()?;
        let some = |pool: &Tensor| -> Result<Tensor> {
            let flat = pool.reshape((heads * all, width))?;
            Ok(flat.index_select(&indices, 0)?.reshape((rows, heads, n, width))?)
        };
        Ok([some(&self.keys)?, some(&self.values)?])
    }

    /// Write the keys and values of rows, `[rows, kv_heads, head_dim]` each, to slots of which none is named twice.
    pub fn write(&mut self, slots: &[u32], keys: &Tensor, values: &Tensor) -> Result<()> {
        let (rows, heads, width) = keys.dims3()?;
        ensure!(slots.len() == rows, "a slot for each row");
        let slots = Tensor::new(slots, keys.device())?;
        let put = Put { heads, all: self.slots(), width };
        for (pool, new) in [(&self.keys, keys), (&self.values, values)] {
            pool.inplace_op3(&slots, &new.contiguous()?, &put)?;
        }
        Ok(())
    }
}

impl KvCache for DeviceKv {
    fn add(&mut self, arch: &Arch, extent: Extent) -> Result<BlockId> {
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
        self.bytes += extent.bytes(arch, self.keys.dtype().size_in_bytes());
        Ok(self.blocks.add(Block { extent, room, first }))
    }

    fn remove(&mut self, arch: &Arch, id: BlockId) {
        if let Some(Block { extent, room, first }) = self.blocks.remove(id) {
            self.bytes -= extent.bytes(arch, self.keys.dtype().size_in_bytes());
            let count = room.len() * extent.layers.len();
            if count > 0 {
                self.free.give_back(first..first + count);
            }
        }
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn copy(
        &mut self,
        from: BlockId,
        to: BlockId,
        layers: Range<usize>,
        columns: Range<usize>,
    ) -> Result<()> {
        if columns.is_empty() || layers.is_empty() || from == to {
            return Ok(());
        }
        let slots = |block: BlockId| -> Vec<u32> {
            let places = layers.clone().flat_map(|layer| columns.clone().map(move |column| (layer, column)));
            places.map(|(layer, column)| self.slot(block, layer, column) as u32).collect()
        };
        let (source, target) = (Tensor::new(slots(from), self.keys.device())?, slots(to));
        let [keys, values] = [&self.keys, &self.values]
            .map(|pool| pool.index_select(&source, 1).and_then(|some| some.transpose(0, 1)));
        self.write(&target, &keys?, &values?)
    }
}
