//! Keys and values: blocks of columns, each allocated once at its full size and read by any number of rows.

use std::ops::Range;

use anyhow::Result;
use rayon::prelude::*;

use super::Arch;
use super::arena::{Arena, Slot};
use super::cpu::lanes::LANES;
use super::cpu::product::Target;

/// Which block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(usize);

/// Blocks by their ids.
pub struct Blocks<B> {
    blocks: Vec<Option<B>>,
    /// Ids of blocks that are gone, to be given out again.
    free: Vec<BlockId>,
}

impl<B> Default for Blocks<B> {
    fn default() -> Self {
        Self { blocks: Vec::new(), free: Vec::new() }
    }
}

impl<B> Blocks<B> {
    /// One more.
    pub fn add(&mut self, block: B) -> BlockId {
        match self.free.pop() {
            Some(id) => {
                self.blocks[id.0] = Some(block);
                id
            }
            None => {
                self.blocks.push(Some(block));
                BlockId(self.blocks.len() - 1)
            }
        }
    }

    /// Take one out, if it is there.
    pub fn remove(&mut self, id: BlockId) -> Option<B> {
        let block = self.blocks[id.0].take()?;
        self.free.push(id);
        Some(block)
    }

    /// A block that was not taken out.
    pub fn get(&self, id: BlockId) -> &B {
        self.blocks[id.0].as_ref().expect("a block in use")
    }
}

/// Some columns of a block, by their positions in the sequence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Read {
    /// Where they stand.
    pub block: BlockId,
    /// First and one past the last; a row reads none after its own, so the end may lie beyond what is written.
    pub start: usize,
    /// One past the last.
    pub end: usize,
}

/// Columns `start..end` at some layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// Positions in the sequence.
    pub columns: Range<usize>,
    /// Layers that have them.
    pub layers: Range<usize>,
}

impl Extent {
    /// Positions from and to which there is room: whole panels, so that a column stands in the same lane whatever
    /// block holds it, and no sum depends on how columns are shared.
    pub fn room(&self) -> Range<usize> {
        self.columns.start / LANES * LANES..self.columns.end.next_multiple_of(LANES)
    }

    /// Bytes of a block of this extent, an element of which takes so many.
    pub fn bytes(&self, arch: &Arch, element: usize) -> u64 {
        let shape = KvShape::new(arch, &self.room());
        (self.layers.len() * shape.layer() * LANES * element) as u64
    }
}

/// The layout of one layer of a block, in lines of sixteen floats.
#[derive(Debug, Clone, Copy)]
struct KvShape {
    kv_heads: usize,
    head_dim: usize,
    columns: usize,
}

impl KvShape {
    fn new(arch: &Arch, room: &Range<usize>) -> Self {
        Self { kv_heads: arch.kv_heads, head_dim: arch.head_dim, columns: room.len() }
    }

    /// Keys of one head: `[columns / 16][head_dim][16]`, ready for products with queries.
    fn keys(self) -> usize {
        self.columns / LANES * self.head_dim
    }

    /// Values of one head: `[columns][head_dim filled up to 16]`.
    fn values(self) -> usize {
        self.columns * self.head_dim.div_ceil(LANES)
    }

    fn layer(self) -> usize {
        self.kv_heads * (self.keys() + self.values())
    }
}

/// Keys after rotation and values of one run of columns.
struct Block {
    extent: Extent,
    shape: KvShape,
    first: usize,
    /// `[layer][kv_head]`, keys then values
    data: Slot,
}

/// One head's part of a block at one layer.
#[derive(Clone, Copy)]
pub struct Head {
    /// Position of the first column there is room for, a multiple of 16.
    pub first: usize,
    /// Columns there is room for.
    pub columns: usize,
    /// `[columns / 16][head_dim][16]`
    pub keys: *const f32,
    /// `[columns][head_dim filled up to 16]`
    pub values: *const f32,
}

/// One column of a block at one layer.
struct BlockPlace {
    /// The layer's first float.
    base: Target,
    shape: KvShape,
    column: usize,
}

impl BlockPlace {
    /// # Safety
    /// Nobody else reads or writes this column at the time.
    unsafe fn write(&self, keys: &[f32], values: &[f32]) {
        let KvShape { head_dim, .. } = self.shape;
        let width = head_dim.next_multiple_of(LANES);
        let parts = keys.chunks_exact(head_dim).zip(values.chunks_exact(head_dim));
        for (head, (key, value)) in parts.enumerate() {
            let at = head * (self.shape.keys() + self.shape.values()) * LANES;
            let panel = at + self.column / LANES * head_dim * LANES + self.column % LANES;
            let row = at + self.shape.keys() * LANES + self.column * width;
            for (d, (&key, &value)) in key.iter().zip(value).enumerate() {
                // SAFETY: the caller's promise, and the layout.
                unsafe {
                    self.base.at(panel + d * LANES).write(key);
                    self.base.at(row + d).write(value);
                }
            }
        }
    }
}

/// Blocks of keys and values, wherever a decoder keeps them.
pub trait KvCache: Send {
    /// A new block; what it holds is finite, and to be written before it is read.
    ///
    /// # Errors
    /// Memory runs out.
    fn add(&mut self, arch: &Arch, extent: Extent) -> Result<BlockId>;

    /// Give a block's memory back.
    fn remove(&mut self, arch: &Arch, id: BlockId);

    /// Bytes of all blocks.
    fn bytes(&self) -> u64;

    /// Copy columns of some layers from one block to another that has room for the same ones.
    ///
    /// # Errors
    /// A failed copy.
    fn copy(&mut self, from: BlockId, to: BlockId, layers: Range<usize>, columns: Range<usize>)
    -> Result<()>;
}

/// All blocks of a run, in the machine's own memory.
#[derive(Default)]
pub struct KvStore {
    arena: Arena,
    blocks: Blocks<Block>,
    bytes: u64,
}

impl KvCache for KvStore {
    fn add(&mut self, arch: &Arch, extent: Extent) -> Result<BlockId> {
        let room = extent.room();
        let shape = KvShape::new(arch, &room);
        self.bytes += extent.bytes(arch, size_of::<f32>());
        let data = self.arena.take(extent.layers.len() * shape.layer());
        Ok(self.blocks.add(Block { extent, shape, first: room.start, data }))
    }

    fn remove(&mut self, arch: &Arch, id: BlockId) {
        if let Some(block) = self.blocks.remove(id) {
            self.bytes -= block.extent.bytes(arch, size_of::<f32>());
            self.arena.give_back(block.data);
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
        if columns.is_empty() || from == to {
            return Ok(());
        }
        let [source, target] = [from, to].map(|id| self.blocks.get(id));
        let shape = source.shape;
        assert!(source.first == target.first && shape.columns == target.shape.columns);
        let (begin, end) = (columns.start - source.first, columns.end - source.first);
        let keys = begin / LANES * shape.head_dim..end.div_ceil(LANES) * shape.head_dim;
        let width = shape.head_dim.div_ceil(LANES);
        let values = shape.keys() + begin * width..shape.keys() + end * width;
        for layer in layers {
            let [a, b] =
                [&source.extent, &target.extent].map(|extent| (layer - extent.layers.start) * shape.layer());
            for head in (0..shape.kv_heads).map(|head| head * (shape.keys() + shape.values())) {
                for part in [&keys, &values] {
                    let from = (&source.data, a + head + part.start);
                    self.arena.copy(from, (&target.data, b + head + part.start), part.len());
                }
            }
        }
        Ok(())
    }
}

impl KvStore {
    /// One head's columns at a layer.
    pub fn head(&self, id: BlockId, layer: usize, kv_head: usize) -> Head {
        let Block { extent, shape, first, data } = self.blocks.get(id);
        let layer = layer - extent.layers.start;
        let from = layer * shape.layer() + kv_head * (shape.keys() + shape.values());
        let head = &self.arena.lines(data)[from..][..shape.keys() + shape.values()];
        let (keys, values) = head.split_at(shape.keys());
        Head {
            first: *first,
            columns: shape.columns,
            keys: keys.as_ptr().cast(),
            values: values.as_ptr().cast(),
        }
    }

    /// Write the keys and values of columns, each `[kv_heads, head_dim]`: those of `columns[i]` are `of(i)`.
    pub fn write<'a>(
        &mut self,
        layer: usize,
        columns: &[(BlockId, usize)],
        of: impl Fn(usize) -> [&'a [f32]; 2] + Sync,
    ) {
        let places: Vec<BlockPlace> =
            columns.iter().map(|&(id, position)| self.place(id, layer, position)).collect();
        debug_assert!(
            (1..columns.len()).all(|i| !columns[..i].contains(&columns[i])),
            "a column is written twice"
        );
        places.par_iter().enumerate().with_min_len(16).for_each(|(index, place)| {
            let [keys, values] = of(index);
            assert!(keys.len() == place.shape.kv_heads * place.shape.head_dim && values.len() == keys.len());
            // SAFETY: the place lies in its block, and no column is named twice.
            unsafe { place.write(keys, values) }
        });
    }

    fn place(&mut self, id: BlockId, layer: usize, position: usize) -> BlockPlace {
        let block = self.blocks.get(id);
        let Block { extent, shape, first, data } = block;
        assert!(
            extent.columns.contains(&position) && extent.layers.contains(&layer),
            "column {position} of layer {layer} in a block of {extent:?}"
        );
        let layer = (layer - extent.layers.start) * shape.layer();
        let base = Target(self.arena.lines_mut(data)[layer..][..shape.layer()].as_mut_ptr().cast());
        BlockPlace { base, shape: *shape, column: position - *first }
    }
}
