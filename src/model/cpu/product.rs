//! Matrix products: rows times the transpose of a weight that was packed once, when loaded.
//!
//! Packed, sixteen outputs of a weight stand together for each input, so a product reads memory in one direction and
//! keeps a tile of results in registers (Goto and van de Geijn 2008, "Anatomy of High-Performance Matrix
//! Multiplication", where weights are packed at each call). Rows are packed at each call: those of a tile stand together for
//! each input. Each result is one sum over the inputs in ascending order, whatever the number of rows, threads or tiles.

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::lanes::{Aligned, LANES, Lanes, dispatched, lines};
use super::matrix::Matrix;
use super::rowwise::greatest;
use super::tile::{Onto, PackedTile, vectors};

/// Weights of the same rows, stacked `[out, in]` and packed: `[out / 16][in][16]`. Each weight begins a panel; its last
/// panel is filled up with zeros.
#[derive(Clone)]
pub struct Panels {
    /// Outputs, those that fill up panels included.
    stride: usize,
    width: usize,
    /// Inputs of one sum, where an output is several that are added one after the other.
    piece: Option<usize>,
    data: Vec<Aligned>,
}

/// Rows that one task takes at most: their inputs stay in the second cache while all panels of the task pass.
const TASK_ROWS: usize = 192;

/// Inputs that a tile takes at a time. Each such piece of a sum is complete before it is added to the others: the rounding errors of
/// one long chain of thousands of terms would be several times as large, and a tile's panels stay in the second cache.
const PIECE: usize = 256;

impl Panels {
    /// Pack weights, each `[out, width]`.
    pub fn pack(weights: &[&[f32]], width: usize) -> Self {
        let outs = weights.iter().map(|weight| weight.len() / width.max(1));
        let stride = outs.map(|out| out.next_multiple_of(LANES)).sum();
        let mut data = lines(stride / LANES * width);
        let mut rest = data.as_mut_slice();
        for weight in weights {
            assert!(weight.len().is_multiple_of(width), "a weight of rows of {width}");
            let panels = (weight.len() / width).div_ceil(LANES);
            let (own, others) = std::mem::take(&mut rest).split_at_mut(panels * width);
            rest = others;
            own.par_chunks_mut(width).zip(weight.par_chunks(LANES * width)).for_each(|(panel, rows)| {
                for (lane, row) in rows.chunks_exact(width).enumerate() {
                    panel.iter_mut().zip(row).for_each(|(line, &value)| line.0[lane] = value);
                }
            });
        }
        Self { stride, width, piece: None, data }
    }

    /// Outputs of a row, those that fill up panels included.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Inputs of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// One row of the stacked weights, `[in]`.
    pub fn row(&self, row: usize) -> impl Iterator<Item = f32> + '_ {
        let panel = &self.data[row / LANES * self.width..][..self.width];
        panel.iter().map(move |line| line.0[row % LANES])
    }

    /// Some rows of the stacked weights, transposed and packed: what takes a gradient of these outputs to one of the inputs;
    /// where a `piece` is given in sums of so many outputs at most.
    pub fn transposed(&self, outputs: Range<usize>, piece: Option<usize>) -> Self {
        assert!(outputs.end <= self.stride);
        let stride = self.width.next_multiple_of(LANES);
        let mut data = lines(stride / LANES * outputs.len());
        data.par_chunks_mut(outputs.len()).enumerate().for_each(|(panel, lines)| {
            let inputs = panel * LANES..self.width.min((panel + 1) * LANES);
            for (output, line) in outputs.clone().zip(lines) {
                let from = &self.data[output / LANES * self.width..][inputs.clone()];
                line.0.iter_mut().zip(from).for_each(|(to, from)| *to = from.0[output % LANES]);
            }
        });
        Self { stride, width: outputs.len(), piece, data }
    }

    /// The first `width` columns of `x [rows, ..]` -> the outputs of some panels, from `column` on in the rows of `y`.
    pub fn apply(&self, x: &Matrix, panels: Range<usize>, y: &mut Matrix, column: usize) {
        assert!(panels.end * LANES <= self.stride);
        assert!(
            y.rows() == x.rows() && y.width() >= column + panels.len() * LANES,
            "too little room for a product"
        );
        if x.rows() == 0 {
            return;
        }
        let (stride, target) = (y.width(), Target(y.as_mut_ptr()));
        // SAFETY: the columns from `column` on lie in `y`, as was asked.
        unsafe { self.run(x, 0, panels, Target(target.at(column)), stride, Onto::Empty) };
    }

    /// `width` columns of `x [rows, ..]` from the column `first_input` on -> all outputs, `y [rows, stride]`, whose memory is
    /// not cleared first.
    pub fn product(&self, x: &Matrix, first_input: usize, y: &mut Matrix) {
        let panels = 0..self.stride / LANES;
        assert!(self.width > 0, "a weight without inputs");
        // SAFETY: all panels, so all values.
        unsafe {
            y.written(x.rows(), self.stride, |y| {
                self.run(x, first_input, panels, Target(y), self.stride, Onto::Empty);
            });
        }
    }

    /// The same, added to `y [rows, stride]`.
    pub fn add_product(&self, x: &Matrix, first_input: usize, y: &mut Matrix) {
        assert!(y.rows() == x.rows() && y.width() == self.stride);
        let panels = 0..self.stride / LANES;
        // SAFETY: all of `y`.
        unsafe { self.run(x, first_input, panels, Target(y.as_mut_ptr()), self.stride, Onto::Others) };
    }

    /// Write the outputs of some panels to rows that are `stride` apart.
    ///
    /// # Safety
    /// There is room for them.
    unsafe fn run(
        &self,
        x: &Matrix,
        first_input: usize,
        panels: Range<usize>,
        target: Target,
        stride: usize,
        onto: Onto,
    ) {
        let rows = x.rows();
        assert!(x.width() >= first_input + self.width);
        let tiles = column_tiles(panels.len());
        let chunks = rows.div_ceil(TASK_ROWS).max(1);
        // Few columns and many threads: rows are divided further.
        let wanted = 2 * rayon::current_num_threads();
        let chunks = chunks.max(wanted.div_ceil(tiles.len().max(1)).min(rows.div_ceil(tile_rows())));
        let each = rows.div_ceil(chunks).next_multiple_of(tile_rows());
        let tasks =
            (0..rows.div_ceil(each.max(1))).flat_map(|chunk| tiles.iter().map(move |tile| (chunk, tile)));
        let tasks: Vec<_> = tasks.collect();
        with_packed(x, first_input, self.width, |x| {
            tasks.into_par_iter().with_max_len(1).for_each(|(chunk, tile)| {
                let first = chunk * each;
                let rows = each.min(rows - first);
                let task = ProductTask {
                    panels: self.data[(panels.start + tile.start) * self.width..].as_ptr().cast(),
                    vectors: tile.len(),
                    width: self.width,
                    piece: self.piece,
                    onto,
                    x: x[first * self.width..][..rows * self.width].as_ptr(),
                    rows,
                    // SAFETY: tasks write to different rows or columns, for which there is room.
                    y: unsafe { target.at(first * stride + tile.start * LANES) },
                    stride,
                };
                // SAFETY: see above; the panels lie in `data`, whole tiles of rows in `x`.
                unsafe { run_task(&task) }
            });
        });
    }
}

thread_local! {
    /// Room for rows that are packed, kept from call to call.
    static ROOM: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Inputs that one thread packs at a time.
const PACKED_TOGETHER: usize = 1 << 14;

/// Rows of a tile on this processor.
fn tile_rows() -> usize {
    // SAFETY: nothing is read.
    unsafe { rows_of_a_tile() }
}

dispatched! {
    unsafe fn rows_of_a_tile() -> usize = rows_of_a_tile_with;
}

#[inline(always)]
unsafe fn rows_of_a_tile_with<L: Lanes>() -> usize {
    L::TILE.0
}

/// Put `width` columns of `x` from the column `first` on in the order in which tiles read them, for each tile
/// `[in][rows of the tile]` (the last tile may be lower), and do something with them.
fn with_packed<T>(x: &Matrix, first: usize, width: usize, then: impl FnOnce(&[f32]) -> T) -> T {
    // Taken, not borrowed: while it waits for others, this thread may begin another product.
    let mut room = ROOM.take();
    room.resize(x.rows() * width, 0.);
    let tile = tile_rows() * width;
    let together = PACKED_TOGETHER.div_ceil(tile.max(1));
    room.par_chunks_mut(tile.max(1)).enumerate().with_min_len(together).for_each(|(at, packed)| {
        let rows = packed.len() / width;
        for m in 0..rows {
            let row = &x.row(at * tile_rows() + m)[first..][..width];
            packed[m..].iter_mut().step_by(rows).zip(row).for_each(|(to, from)| *to = *from);
        }
    });
    let done = then(&room);
    ROOM.set(room);
    done
}

/// Panels of one task of [`Panels::greatest`].
const SEARCHED: usize = 48;

/// The greatest output of a row and its index; `None` where one is not a finite number.
pub type Best = Option<(usize, f32)>;

impl Panels {
    /// For each row of `x [rows, in]` the greatest of the first `outputs` outputs, the first one among equals. No output
    /// is written to memory.
    pub fn greatest(&self, x: &Matrix, outputs: usize) -> Vec<Best> {
        assert!(outputs <= self.stride && x.width() >= self.width);
        with_packed(x, 0, self.width, |packed| self.greatest_of(packed, x.rows(), outputs))
    }

    /// The same, of rows that were packed.
    fn greatest_of(&self, x: &[f32], rows: usize, outputs: usize) -> Vec<Best> {
        let tasks = outputs.div_ceil(SEARCHED * LANES);
        let found: Vec<Vec<Best>> = (0..tasks)
            .into_par_iter()
            .with_max_len(1)
            .map_init(Vec::new, |some, task| {
                let mut best: Vec<Best> = vec![Some((0, f32::NEG_INFINITY)); rows];
                let panels = task * SEARCHED..outputs.div_ceil(LANES).min((task + 1) * SEARCHED);
                for tile in column_tiles(panels.len()) {
                    let first = panels.start + tile.start;
                    self.search(x, first..first + tile.len(), outputs, some, &mut best);
                }
                best
            })
            .collect();
        let better = |a: Best, b: Best| a.zip(b).map(|(a, b)| if b.1 > a.1 { b } else { a });
        let start = vec![Some((0, f32::NEG_INFINITY)); rows];
        found
            .into_iter()
            .fold(start, |all, some| all.into_iter().zip(some).map(|(a, b)| better(a, b)).collect())
    }

    /// Look through the outputs of a tile of panels for rows that were packed; `some` is room for them.
    fn search(
        &self,
        x: &[f32],
        panels: Range<usize>,
        outputs: usize,
        some: &mut Vec<f32>,
        best: &mut [Best],
    ) {
        let (rows, stride) = (best.len(), panels.len() * LANES);
        assert!(x.len() == rows * self.width);
        some.resize(rows * stride, 0.);
        let task = ProductTask {
            panels: self.data[panels.start * self.width..panels.end * self.width].as_ptr().cast(),
            vectors: panels.len(),
            width: self.width,
            piece: self.piece,
            onto: Onto::Empty,
            x: x.as_ptr(),
            rows,
            y: some.as_mut_ptr(),
            stride,
        };
        // SAFETY: the panels lie in `data`, the outputs in `some`.
        unsafe { run_task(&task) };
        let first = panels.start * LANES;
        let meant = stride.min(outputs - first);
        for (best, values) in best.iter_mut().zip(some.chunks_exact(stride)) {
            *best = best.and_then(|best| {
                let (at, value) = greatest(&values[..meant])?;
                Some(if value > best.1 { (first + at, value) } else { best })
            });
        }
    }
}

/// Where tasks write; each to its own part.
#[derive(Clone, Copy)]
pub struct Target(pub *mut f32);
// SAFETY: whoever writes through it answers for the parts being disjoint.
unsafe impl Send for Target {}
unsafe impl Sync for Target {}

impl Target {
    /// # Safety
    /// `offset` lies in what the pointer was made from.
    pub unsafe fn at(self, offset: usize) -> *mut f32 {
        unsafe { self.0.add(offset) }
    }
}

/// Panels in groups of as many as a tile has vectors, never one alone where two would do.
fn column_tiles(panels: usize) -> Vec<Range<usize>> {
    let mut tiles = Vec::new();
    let mut at = 0;
    while at < panels {
        let take = vectors(panels - at, 3);
        tiles.push(at..at + take);
        at += take;
    }
    tiles
}

/// A column tile of a product over some rows, which were packed.
struct ProductTask {
    panels: *const f32,
    vectors: usize,
    width: usize,
    piece: Option<usize>,
    /// What becomes of what stands in `y`.
    onto: Onto,
    x: *const f32,
    rows: usize,
    y: *mut f32,
    stride: usize,
}

dispatched! {
    unsafe fn run_task(task: &ProductTask) = run_task_with;
}

#[inline(always)]
unsafe fn run_task_with<L: Lanes>(task: &ProductTask) {
    let (mut input, mut onto) = (0, task.onto);
    while input < task.width {
        let depth = task.piece.unwrap_or(PIECE).min(task.width - input);
        let mut row = 0;
        while row < task.rows {
            let rows = L::TILE.0.min(task.rows - row);
            unsafe {
                let tile = PackedTile {
                    depth,
                    a: task.x.add(row * task.width + input * rows),
                    a_stride: 0,
                    b: task.panels.add(input * LANES),
                    b_vector: task.width * LANES,
                    b_depth: LANES,
                    c: task.y.add(row * task.stride),
                    c_stride: task.stride,
                    onto,
                };
                tile.run::<L>(rows, task.vectors);
            }
            row += rows;
        }
        input += depth;
        onto = Onto::Others;
    }
}
