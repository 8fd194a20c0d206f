//! The tokens that were chosen on the device: what crosses to the machine is one number a row.

use anyhow::{Result, ensure};
use candle_core::Tensor;

use crate::base::error::input;

/// Stands for a token where a logit is no finite number.
pub const NOT_FINITE: u32 = u32::MAX;

/// What was chosen, all pieces.
///
/// # Errors
/// A logit was no finite number.
pub fn tokens(chosen: &[Tensor], vocab: usize) -> Result<Vec<u32>> {
    let chosen: Vec<u32> = Tensor::cat(chosen, 0)?.to_vec1()?;
    if chosen.contains(&NOT_FINITE) {
        return Err(input(
            "the model computed NaN or an infinity instead of a logit: its weights are damaged or its type overflows",
        ));
    }
    ensure!(chosen.iter().all(|&token| (token as usize) < vocab), "a token was not chosen");
    Ok(chosen)
}
