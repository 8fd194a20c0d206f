//! The arithmetic of a forward pass on the CPU, over plain rows of floats.

pub mod attend;
pub mod lanes;
pub mod matrix;
pub mod product;
pub mod rowwise;
pub mod scratch;
pub mod softmax;
pub mod tile;

pub use matrix::Matrix;
pub use scratch::Scratch;
