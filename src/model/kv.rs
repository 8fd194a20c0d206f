//! Keys and values: blocks of columns, each allocated once at its full size and read by any number of rows.

use std::ops::Range;

use super::Arch;
use super::cpu::lanes::{LANES, Line, lines};

/// Which block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(usize);

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
    fn room(&self) -> Range<usize> {
        self.columns.start / LANES * LANES..self.columns.end.next_multiple_of(LANES)
    }

    /// Bytes of a block of this extent.
    pub fn bytes(&self, arch: &Arch) -> u64 {
        let shape = Shape::new(arch, &self.room());
        (self.layers.len() * shape.layer() * size_of::<Line>()) as u64
    }
}

/// The layout of one layer of a block, in lines of sixteen floats.
#[derive(Debug, Clone, Copy)]
struct Shape {
    kv_heads: usize,
    head_dim: usize,
    columns: usize,
}

impl Shape {
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
    shape: Shape,
    first: usize,
    /// `[layer][kv_head]`, keys then values
    data: Vec<Line>,
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

/// All blocks of a run.
#[derive(Default)]
pub struct KvStore {
    blocks: Vec<Option<Block>>,
    free: Vec<BlockId>,
    bytes: u64,
}

impl KvStore {
    /// A new block, all zeros.
    pub fn add(&mut self, arch: &Arch, extent: Extent) -> BlockId {
        let room = extent.room();
        let shape = Shape::new(arch, &room);
        self.bytes += extent.bytes(arch);
        let data = lines(extent.layers.len() * shape.layer());
        let block = Some(Block { extent, shape, first: room.start, data });
        match self.free.pop() {
            Some(id) => {
                self.blocks[id.0] = block;
                id
            }
            None => {
                self.blocks.push(block);
                BlockId(self.blocks.len() - 1)
            }
        }
    }

    /// Give a block's memory back.
    pub fn remove(&mut self, arch: &Arch, id: BlockId) {
        if let Some(block) = self.blocks[id.0].take() {
            self.bytes -= block.extent.bytes(arch);
            self.free.push(id);
        }
    }

    /// Bytes of all blocks.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn block(&self, id: BlockId) -> &Block {
        self.blocks[id.0].as_ref().expect("a block in use")
    }

    /// One head's columns at a layer.
    pub fn head(&self, id: BlockId, layer: usize, kv_head: usize) -> Head {
        let Block { extent, shape, first, data } = self.block(id);
        let layer = layer - extent.layers.start;
        let from = layer * shape.layer() + kv_head * (shape.keys() + shape.values());
        let head = &data[from..][..shape.keys() + shape.values()];
        let (keys, values) = head.split_at(shape.keys());
        Head {
            first: *first,
            columns: shape.columns,
            keys: keys.as_ptr().cast(),
            values: values.as_ptr().cast(),
        }
    }

    /// Write the keys and values of one column, each `[kv_heads, head_dim]`.
    pub fn write(&mut self, id: BlockId, layer: usize, position: usize, keys: &[f32], values: &[f32]) {
        let block = self.blocks[id.0].as_mut().expect("a block in use");
        let Block { extent, shape, first, data } = block;
        assert!(extent.columns.contains(&position), "column {position} in a block of {:?}", extent.columns);
        let (layer, column, width) =
            (layer - extent.layers.start, position - *first, shape.head_dim.div_ceil(LANES));
        let layer = &mut data[layer * shape.layer()..][..shape.layer()];
        let heads = layer.chunks_exact_mut(shape.keys() + shape.values());
        let parts = keys.chunks_exact(shape.head_dim).zip(values.chunks_exact(shape.head_dim));
        for (head, (key, value)) in heads.zip(parts) {
            let (keys, values) = head.split_at_mut(shape.keys());
            let panel = &mut keys[column / LANES * shape.head_dim..];
            panel.iter_mut().zip(key).for_each(|(line, &key)| line.0[column % LANES] = key);
            let lines = &mut values[column * width..][..width];
            lines
                .iter_mut()
                .zip(value.chunks(LANES))
                .for_each(|(line, value)| line.0[..value.len()].copy_from_slice(value));
        }
    }

    /// Copy columns of some layers from one block to another.
    pub fn copy(&mut self, from: BlockId, to: BlockId, layers: Range<usize>, columns: Range<usize>) {
        let source = self.blocks[from.0].take().expect("a block in use");
        let Shape { kv_heads, head_dim, .. } = source.shape;
        let width = head_dim.div_ceil(LANES);
        let (mut key, mut value) = (vec![0f32; kv_heads * head_dim], vec![0f32; kv_heads * head_dim]);
        for layer in layers {
            let data = &source.data[(layer - source.extent.layers.start) * source.shape.layer()..];
            for position in columns.clone() {
                let column = position - source.first;
                for head in 0..kv_heads {
                    let data = &data[head * (source.shape.keys() + source.shape.values())..];
                    let panel = &data[column / LANES * head_dim..];
                    let values = &data[source.shape.keys() + column * width..];
                    for d in 0..head_dim {
                        key[head * head_dim + d] = panel[d].0[column % LANES];
                        value[head * head_dim + d] = values[d / LANES].0[d % LANES];
                    }
                }
                self.write(to, layer, position, &key, &value);
            }
        }
        self.blocks[from.0] = Some(source);
    }
}
