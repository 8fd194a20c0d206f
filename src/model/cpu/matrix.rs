//! Rows of floats.

use anyhow::Result;
use rayon::prelude::*;

use crate::model::States;

/// Values that one thread copies at least: fewer would cost more to hand over.
const COPIED: usize = 1 << 16;

/// A matrix `[rows, width]`, row by row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Matrix {
    width: usize,
    data: Vec<f32>,
}

impl Matrix {
    /// All zeros.
    pub fn zeros(rows: usize, width: usize) -> Self {
        Self { width, data: vec![0.; rows * width] }
    }

    /// Without rows, but with room for so many values.
    pub fn with_room(values: usize) -> Self {
        Self { width: 0, data: Vec::with_capacity(values) }
    }

    /// Values that there is room for.
    pub fn capacity(&self) -> usize {
        self.data.capacity()
    }

    /// From rows that stand one behind the other; their number is what `data` holds of them.
    pub fn from_rows(width: usize, data: Vec<f32>) -> Self {
        assert!(width > 0 && data.len().is_multiple_of(width), "rows of {width}");
        Self { width, data }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.data.len().checked_div(self.width).unwrap_or(0)
    }

    /// Length of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.width..][..self.width]
    }

    /// One row, to be changed.
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.data[row * self.width..][..self.width]
    }

    /// All values, row by row.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// All values, row by row, to be changed.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// Where the first row begins.
    pub fn as_mut_ptr(&mut self) -> *mut f32 {
        self.data.as_mut_ptr()
    }

    /// Take another shape; values are whatever they are. Memory is kept, so that a buffer that is used again and again
    /// is cleared but once.
    pub fn reshape(&mut self, rows: usize, width: usize) {
        self.width = width;
        self.data.resize(rows * width, 0.);
    }

    /// Take another shape, and all values from `write`, which is told where they go. Nothing is cleared first.
    ///
    /// # Safety
    /// `write` writes all `rows * width` values.
    pub unsafe fn written(&mut self, rows: usize, width: usize, write: impl FnOnce(*mut f32)) {
        self.width = width;
        self.data.clear();
        self.data.reserve(rows * width);
        write(self.data.as_mut_ptr());
        // SAFETY: there is room for them, and the caller wrote them.
        unsafe { self.data.set_len(rows * width) };
    }

    /// A copy, made by all threads.
    pub fn copied(&self) -> Self {
        let mut data = Vec::with_capacity(self.data.len());
        let room = &mut data.spare_capacity_mut()[..self.data.len()];
        room.par_chunks_mut(COPIED).zip(self.data.par_chunks(COPIED)).for_each(|(to, from)| {
            to.iter_mut().zip(from).for_each(|(to, from)| _ = to.write(*from));
        });
        // SAFETY: chunk by chunk all were written.
        unsafe { data.set_len(self.data.len()) };
        Self { width: self.width, data }
    }

    /// Keep these rows, in this order.
    pub fn select(&self, rows: impl IntoIterator<Item = usize>) -> Self {
        let rows = rows.into_iter();
        let mut data = Vec::with_capacity(rows.size_hint().0 * self.width);
        rows.for_each(|row| data.extend_from_slice(self.row(row)));
        Self { width: self.width, data }
    }
}

impl States for Matrix {
    fn rows(&self) -> usize {
        Matrix::rows(self)
    }

    fn gather(&self, rows: &[usize]) -> Result<Self> {
        Ok(self.select(rows.iter().copied()))
    }

    fn append(&mut self, rows: &[usize]) -> Result<()> {
        self.data.reserve(rows.len() * self.width);
        for &row in rows {
            self.data.extend_from_within(row * self.width..(row + 1) * self.width);
        }
        Ok(())
    }
}
