//! Matrix products: rows times the transpose of a weight that was packed once, when loaded.
//!
//! Packed, sixteen outputs of a weight stand together for each input, so a product reads memory in one direction and
//! keeps a tile of results in registers (Goto and van de Geijn 2008, "Anatomy of High-Performance Matrix
//! Multiplication", without the packing at each call). Each result is one sum over the inputs in ascending order,
//! whatever the number of rows, threads or tiles.

use std::ops::Range;

use rayon::prelude::*;

use super::lanes::{LANES, Lanes, Line, dispatched, lines};
use super::matrix::Matrix;
use super::rowwise::greatest;

/// Weights of the same rows, stacked `[out, in]` and packed: `[out / 16][in][16]`. Each weight begins a panel; its last
/// panel is filled up with zeros.
#[derive(Clone)]
pub struct Panels {
    /// Outputs, those that fill up panels included.
    stride: usize,
    width: usize,
    data: Vec<Line>,
}

/// Rows that one task takes at most: their inputs stay in the second cache while all panels of the task pass.
const TASK_ROWS: usize = 192;

const AHEAD: usize = 16;
/// Inputs that a tile takes at a time, so that a tile's panels stay in the second cache.
const TASK_WIDTH: usize = 1536;

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
        Self { stride, width, data }
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

    /// Some rows of the stacked weights, transposed and packed: what takes a gradient of these outputs to one of the inputs.
    pub fn transposed(&self, outputs: Range<usize>) -> Self {
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
        Self { stride, width: outputs.len(), data }
    }

    /// The first `width` columns of `x [rows, ..]` -> the outputs of some panels, from `column` on in the rows of `y`.
    pub fn apply(&self, x: &Matrix, panels: Range<usize>, y: &mut Matrix, column: usize) {
        self.apply_from(x, 0, panels, y, column);
    }

    /// The same, with `width` columns of `x` from the column `first_input` on.
    pub fn apply_from(
        &self,
        x: &Matrix,
        first_input: usize,
        panels: Range<usize>,
        y: &mut Matrix,
        column: usize,
    ) {
        let rows = x.rows();
        assert!(panels.end * LANES <= self.stride && x.width() >= first_input + self.width);
        assert!(
            y.rows() == rows && y.width() >= column + panels.len() * LANES,
            "too little room for a product"
        );
        let tiles = column_tiles(panels.len());
        let chunks = rows.div_ceil(TASK_ROWS).max(1);
        // Few columns and many threads: rows are divided further.
        let wanted = 2 * rayon::current_num_threads();
        let chunks = chunks.max(wanted.div_ceil(tiles.len().max(1)).min(rows.div_ceil(8)));
        let each = rows.div_ceil(chunks).next_multiple_of(8);
        let stride = y.width();
        let target = Target(y.as_mut_ptr());
        let tasks =
            (0..rows.div_ceil(each.max(1))).flat_map(|chunk| tiles.iter().map(move |tile| (chunk, tile)));
        tasks.collect::<Vec<_>>().into_par_iter().with_max_len(1).for_each(|(chunk, tile)| {
            let first = chunk * each;
            let task = Task {
                panels: self.data[(panels.start + tile.start) * self.width..].as_ptr().cast(),
                vectors: tile.len(),
                width: self.width,
                x: x.row(first)[first_input..].as_ptr(),
                x_stride: x.width(),
                rows: each.min(rows - first),
                // SAFETY: tasks write to different rows or columns of `y`, which was checked to hold them all.
                y: unsafe { target.at(first * stride + column + tile.start * LANES) },
                stride,
            };
            // SAFETY: see above; the panels lie in `data`.
            unsafe { run_task(&task) }
        });
    }
}

/// Panels of one task of [`Panels::greatest`].
const SEARCHED: usize = 48;

/// The greatest output of a row and its index; `None` where one is not a finite number.
pub type Best = Option<(usize, f32)>;

impl Panels {
    /// For each row of `x [rows, in]` the greatest of the first `outputs` outputs, the first one among equals. No output
    /// is written to memory.
    pub fn greatest(&self, x: &Matrix, outputs: usize) -> Vec<Best> {
        let rows = x.rows();
        assert!(outputs <= self.stride && x.width() >= self.width);
        let tasks = outputs.div_ceil(SEARCHED * LANES);
        let found: Vec<Vec<Best>> = (0..tasks)
            .into_par_iter()
            .with_max_len(1)
            .map_init(Vec::new, |some, task| {
                let mut best: Vec<Best> = vec![Some((0, f32::NEG_INFINITY)); rows];
                let panels = task * SEARCHED..outputs.div_ceil(LANES).min((task + 1) * SEARCHED);
                for tile in column_tiles(panels.len()) {
                    let first = panels.start + tile.start;
                    self.search(x, first, tile.len(), outputs, some, &mut best);
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

    /// Look through the outputs of a tile of panels; `some` is room for them.
    fn search(
        &self,
        x: &Matrix,
        first: usize,
        vectors: usize,
        outputs: usize,
        some: &mut Vec<f32>,
        best: &mut [Best],
    ) {
        let stride = vectors * LANES;
        some.resize(x.rows() * stride, 0.);
        let task = Task {
            panels: self.data[first * self.width..].as_ptr().cast(),
            vectors,
            width: self.width,
            x: x.data().as_ptr(),
            x_stride: x.width(),
            rows: x.rows(),
            y: some.as_mut_ptr(),
            stride,
        };
        // SAFETY: the panels lie in `data`, the outputs in `some`.
        unsafe { run_task(&task) };
        let meant = stride.min(outputs - first * LANES);
        for (best, values) in best.iter_mut().zip(some.chunks_exact(stride)) {
            *best = best.and_then(|best| {
                let (at, value) = greatest(&values[..meant])?;
                Some(if value > best.1 { (first * LANES + at, value) } else { best })
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

/// How many vectors to take of those that are left: `most`, but two and two rather than three and one.
#[inline(always)]
fn vectors(left: usize, most: usize) -> usize {
    if left == most + 1 && most > 1 { left / 2 } else { left.min(most) }
}

/// A column tile of a product over some rows.
struct Task {
    panels: *const f32,
    vectors: usize,
    width: usize,
    x: *const f32,
    x_stride: usize,
    rows: usize,
    y: *mut f32,
    stride: usize,
}

dispatched! {
    unsafe fn run_task(task: &Task) = run_task_with;
}

#[inline(always)]
unsafe fn run_task_with<L: Lanes>(task: &Task) {
    let mut input = 0;
    while input < task.width {
        let depth = TASK_WIDTH.min(task.width - input);
        let mut row = 0;
        while row < task.rows {
            let rows = L::TILE.0.min(task.rows - row);
            unsafe {
                let tile = Tile {
                    depth,
                    a: task.x.add(row * task.x_stride + input),
                    a_stride: task.x_stride,
                    b: task.panels.add(input * LANES),
                    b_vector: task.width * LANES,
                    b_depth: LANES,
                    c: task.y.add(row * task.stride),
                    c_stride: task.stride,
                    add: input > 0,
                };
                tile.run::<L>(rows, task.vectors);
            }
            row += rows;
        }
        input += depth;
    }
}

/// A small product of plain matrices, row by row: `c [rows, width] (+)= a [rows, depth] times b [depth, width]`, where rows
/// of `b` and `c` are filled up to a multiple of 16.
pub fn small(a: &[f32], [rows, depth]: [usize; 2], b: &[f32], c: &mut [f32], add: bool) {
    let (a_stride, width) = (a.len() / rows.max(1), c.len() / rows.max(1));
    assert!(rows > 0 && a_stride >= depth && width.is_multiple_of(LANES) && b.len() >= depth * width);
    assert!(a.len() == rows * a_stride && c.len() == rows * width);
    let (a, b) = (a.as_ptr(), b.as_ptr());
    let c = c.as_mut_ptr();
    let tile = Tile { depth, a, a_stride, b, b_vector: LANES, b_depth: width, c, c_stride: width, add };
    // SAFETY: sizes were compared.
    unsafe { small_product(tile, rows, width / LANES) }
}

dispatched! {
    unsafe fn small_product(tile: Tile, rows: usize, vectors: usize) = many;
}

/// A product of any number of rows and vectors, tile by tile.
///
/// # Safety
/// As [`Tile::run`].
#[inline(always)]
pub unsafe fn many<L: Lanes>(product: Tile, rows: usize, count: usize) {
    let wide = rows <= L::WIDE_TILE.0 || count.is_multiple_of(L::WIDE_TILE.1);
    let (tile_rows, most) = if wide { L::WIDE_TILE } else { L::TILE };
    let mut vector = 0;
    while vector < count {
        let take = vectors(count - vector, most);
        let mut row = 0;
        while row < rows {
            let some = tile_rows.min(rows - row);
            unsafe {
                let part = Tile {
                    a: product.a.add(row * product.a_stride),
                    b: product.b.add(vector * product.b_vector),
                    c: product.c.add(row * product.c_stride + vector * LANES),
                    ..product
                };
                part.run::<L>(some, take);
            }
            row += some;
        }
        vector += take;
    }
}

/// `c[m][v] (+)= sum over k of a[m][k] * b[k][v]`, v a vector: the one loop that all products come down to.
#[derive(Clone, Copy)]
pub struct Tile {
    /// Terms of each sum.
    pub depth: usize,
    /// `a[m][k]` stands at `a + m * a_stride + k`.
    pub a: *const f32,
    pub a_stride: usize,
    /// `b[k][v]` stands at `b + v * b_vector + k * b_depth`.
    pub b: *const f32,
    pub b_vector: usize,
    pub b_depth: usize,
    /// `c[m][v]` stands at `c + m * c_stride + v * 16`.
    pub c: *mut f32,
    pub c_stride: usize,
    /// Go on with the sums in `c`.
    pub add: bool,
}

impl Tile {
    /// For up to 8 rows and 3 vectors, or 6 rows and 4 vectors.
    ///
    /// # Safety
    /// All places lie in memory that may be read or written; and as [`Lanes`] says.
    #[inline(always)]
    pub unsafe fn run<L: Lanes>(&self, rows: usize, vectors: usize) {
        let mut at = *self;
        let mut left = vectors;
        while left > 0 {
            let most = if rows <= L::WIDE_TILE.0 { L::WIDE_TILE.1 } else { L::TILE.1 };
            let take = left.min(most);
            unsafe {
                match take {
                    4 => at.few_rows::<L, 4>(rows),
                    3 => at.rows::<L, 3>(rows),
                    2 => at.rows::<L, 2>(rows),
                    _ => at.rows::<L, 1>(rows),
                }
                at.b = at.b.add(take * at.b_vector);
                at.c = at.c.add(take * LANES);
            }
            left -= take;
        }
    }

    #[inline(always)]
    unsafe fn rows<L: Lanes, const V: usize>(&self, rows: usize) {
        unsafe {
            match rows {
                7 => self.sums::<L, 7, V>(),
                8 => self.sums::<L, 8, V>(),
                _ => self.few_rows::<L, V>(rows),
            }
        }
    }

    #[inline(always)]
    unsafe fn few_rows<L: Lanes, const V: usize>(&self, rows: usize) {
        unsafe {
            match rows {
                1 => self.sums::<L, 1, V>(),
                2 => self.sums::<L, 2, V>(),
                3 => self.sums::<L, 3, V>(),
                4 => self.sums::<L, 4, V>(),
                5 => self.sums::<L, 5, V>(),
                6 => self.sums::<L, 6, V>(),
                _ => unreachable!("more rows than registers"),
            }
        }
    }

    #[inline(always)]
    unsafe fn sums<L: Lanes, const M: usize, const V: usize>(&self) {
        unsafe {
            let mut sums = [[L::splat(0.); V]; M];
            if self.add {
                for (m, sums) in sums.iter_mut().enumerate() {
                    for (v, sum) in sums.iter_mut().enumerate() {
                        *sum = L::load(self.c.add(m * self.c_stride + v * LANES));
                    }
                }
            }
            let mut b_at = self.b;
            for k in 0..self.depth {
                let mut b = [L::splat(0.); V];
                for (v, b) in b.iter_mut().enumerate() {
                    L::prefetch(b_at.wrapping_add(v * self.b_vector + AHEAD * self.b_depth));
                    *b = L::load(b_at.add(v * self.b_vector));
                }
                for (m, sums) in sums.iter_mut().enumerate() {
                    let a = L::splat(*self.a.add(m * self.a_stride + k));
                    for (sum, b) in sums.iter_mut().zip(b) {
                        *sum = sum.fma(a, b);
                    }
                }
                b_at = b_at.add(self.b_depth);
            }
            for (m, sums) in sums.iter().enumerate() {
                for (v, sum) in sums.iter().enumerate() {
                    sum.store(self.c.add(m * self.c_stride + v * LANES));
                }
            }
        }
    }
}
