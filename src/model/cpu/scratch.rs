//! Memory that the steps of a layer hand on to each other.

use super::matrix::Matrix;

/// Matrices that nobody needs at the moment, kept for the next step and the next layer: memory that is taken from the system
/// anew costs a fault a page.
#[derive(Debug, Default)]
pub struct Scratch(Vec<Matrix>);

impl Scratch {
    /// A matrix of any shape and values with room for so many of them.
    pub fn take(&mut self, values: usize) -> Matrix {
        let room = |at: &usize| self.0[*at].capacity();
        let fitting = (0..self.0.len()).filter(|at| room(at) >= values).min_by_key(room);
        if let Some(at) = fitting {
            return self.0.swap_remove(at);
        }
        // All are too small. The largest one is given back first, so that no more are held than steps need at a time.
        if let Some(largest) = (0..self.0.len()).max_by_key(room) {
            drop(self.0.swap_remove(largest));
        }
        Matrix::with_room(values)
    }

    /// Keep a matrix for later.
    pub fn give(&mut self, matrix: Matrix) {
        self.0.push(matrix);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_that_is_large_enough_is_taken_and_none_is_held_in_vain() {
        let mut scratch = Scratch::default();
        for values in [10, 30, 20] {
            scratch.give(Matrix::with_room(values));
        }
        let taken = scratch.take(15);
        assert_eq!(taken.capacity(), 20);
        scratch.give(taken);
        assert_eq!(scratch.take(40).capacity(), 40);
        assert_eq!(scratch.0.iter().map(Matrix::capacity).max(), Some(20));
    }
}
