//! The one loop that all products come down to: a few rows times a few vectors, summed in registers.

use super::lanes::{LANES, Lanes, dispatched};

/// How far ahead vectors are asked for.
const AHEAD: usize = 16;
/// Terms between two looks at the end of a sum. Where two threads share a core, instructions that are not sums cost the most.
const UNROLLED: usize = 4;

/// A small product of plain matrices, row by row: `c [rows, width] (+)= a [rows, depth] times b [depth, width]`, where rows
/// of `b` and `c` are filled up to a multiple of 16.
pub fn small(a: &[f32], [rows, depth]: [usize; 2], b: &[f32], c: &mut [f32], onto: Onto) {
    let (a_stride, width) = (a.len() / rows.max(1), c.len() / rows.max(1));
    assert!(rows > 0 && a_stride >= depth && width.is_multiple_of(LANES) && b.len() >= depth * width);
    assert!(a.len() == rows * a_stride && c.len() == rows * width);
    let (a, b) = (a.as_ptr(), b.as_ptr());
    let c = c.as_mut_ptr();
    let tile = PlainTile { depth, a, a_stride, b, b_vector: LANES, b_depth: width, c, c_stride: width, onto };
    // SAFETY: sizes were compared.
    unsafe { small_product(tile, rows, width / LANES) }
}

dispatched! {
    unsafe fn small_product(tile: PlainTile, rows: usize, vectors: usize) = many;
}

/// A product of any number of rows and vectors, tile by tile.
///
/// # Safety
/// As [`Tile::run`].
#[inline(always)]
pub unsafe fn many<L: Lanes>(product: PlainTile, rows: usize, count: usize) {
    let wide = rows <= L::WIDE_TILE.0 || count.is_multiple_of(L::WIDE_TILE.1);
    let (tile_rows, most) = if wide { L::WIDE_TILE } else { L::TILE };
    let mut vector = 0;
    while vector < count {
        let take = vectors(count - vector, most);
        let mut row = 0;
        while row < rows {
            let some = tile_rows.min(rows - row);
            unsafe {
                let part = PlainTile {
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

/// How many vectors to take of those that are left: `most`, but two and two rather than three and one.
#[inline(always)]
pub fn vectors(left: usize, most: usize) -> usize {
    if left == most + 1 && most > 1 { left / 2 } else { left.min(most) }
}

/// `c[m][v] (+)= sum over k of a[m][k] * b[k][v]`, v a vector.
#[derive(Clone, Copy)]
pub struct Tile<const PACKED: bool> {
    /// Terms of each sum.
    pub depth: usize,
    /// `a[m][k]` stands at `a + m * a_stride + k`; packed, at `a + k * rows + m`, and `a_stride` means nothing.
    pub a: *const f32,
    pub a_stride: usize,
    /// `b[k][v]` stands at `b + v * b_vector + k * b_depth`; packed, `b_depth` is 16.
    pub b: *const f32,
    pub b_vector: usize,
    pub b_depth: usize,
    /// `c[m][v]` stands at `c + m * c_stride + v * 16`.
    pub c: *mut f32,
    pub c_stride: usize,
    /// What becomes of what stands in `c`.
    pub onto: Onto,
}

/// What a tile does with what stands where its sums go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Onto {
    /// Write over it.
    Empty,
    /// Go on with these sums.
    Begun,
    /// Add the sums to it, each by itself until it is complete.
    Others,
}

/// A tile whose inputs stand row by row.
pub type PlainTile = Tile<false>;
/// A tile whose inputs were put in the order in which they are read.
pub type PackedTile = Tile<true>;

impl<const PACKED: bool> Tile<PACKED> {
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
            if self.onto == Onto::Begun {
                for (m, sums) in sums.iter_mut().enumerate() {
                    for (v, sum) in sums.iter_mut().enumerate() {
                        *sum = L::load(self.c.add(m * self.c_stride + v * LANES));
                    }
                }
            }
            let (mut a, mut b) = (self.a, self.b);
            let mut left = self.depth;
            while left >= UNROLLED {
                for _ in 0..UNROLLED {
                    (a, b) = self.term(a, b, &mut sums);
                }
                left -= UNROLLED;
            }
            for _ in 0..left {
                (a, b) = self.term(a, b, &mut sums);
            }
            for (m, sums) in sums.iter().enumerate() {
                for (v, sum) in sums.iter().enumerate() {
                    let c = self.c.add(m * self.c_stride + v * LANES);
                    let sum = if self.onto == Onto::Others { L::load(c).add(*sum) } else { *sum };
                    sum.store(c);
                }
            }
        }
    }

    /// One term of each sum; where the next ones stand.
    #[inline(always)]
    unsafe fn term<L: Lanes, const M: usize, const V: usize>(
        &self,
        a: *const f32,
        b: *const f32,
        sums: &mut [[L; V]; M],
    ) -> (*const f32, *const f32) {
        // Known when compiled, so that packed terms are read without computing where they stand.
        let (a_row, a_next, b_depth) = if PACKED { (1, M, LANES) } else { (self.a_stride, 1, self.b_depth) };
        unsafe {
            let mut vectors = [L::splat(0.); V];
            for (v, vector) in vectors.iter_mut().enumerate() {
                L::prefetch(b.wrapping_add(v * self.b_vector + AHEAD * b_depth));
                *vector = L::load(b.add(v * self.b_vector));
            }
            for (m, sums) in sums.iter_mut().enumerate() {
                let a = L::splat(*a.add(m * a_row));
                for (sum, vector) in sums.iter_mut().zip(vectors) {
                    *sum = sum.fma(a, vector);
                }
            }
            (a.add(a_next), b.add(b_depth))
        }
    }
}
