//! The greatest logit, chosen on the device: what crosses to the machine is one number a row.

use anyhow::{Result, ensure};
use candle_core::{D, DType, Tensor};

use crate::base::error::input;

/// Stands for a token where a logit is no finite number.
const NOT_FINITE: u32 = u32::MAX;

/// The lowest id of each row's greatest logits `[rows, vocab]`, `[rows]` as u32 on their device; [`NOT_FINITE`] where a logit
/// is NaN or infinite.
pub fn greatest(logits: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if logits.device().is_cuda() {
        return kernel(logits);
    }
    let vocab = logits.dim(D::Minus1)?;
    let logits = logits.to_dtype(DType::F32)?;
    let best = logits.broadcast_eq(&logits.max_keepdim(D::Minus1)?)?;
    let ids = Tensor::arange(0u32, vocab as u32, logits.device())?.broadcast_as(best.shape())?;
    let none = Tensor::full(NOT_FINITE, best.shape(), logits.device())?;
    let lowest = best.where_cond(&ids, &none)?.min(D::Minus1)?;
    // Zero, unless something is no finite number.
    let finite = logits.affine(0., 0.)?.sum(D::Minus1)?.eq(0.)?;
    Ok(finite.where_cond(&lowest, &none.narrow(1, 0, 1)?.squeeze(1)?)?)
}

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

#[cfg(feature = "cuda")]
fn kernel(logits: &Tensor) -> Result<Tensor> {
    use super::kernels::{Launch, room};
    let (rows, vocab) = logits.dims2()?;
    let chosen = room(&[rows], DType::U32, logits.device())?;
    let launch = Launch::new("choose", logits.dtype(), logits.device())?.tensor(logits)?.tensor(&chosen)?;
    // SAFETY: a block a row.
    unsafe { launch.counts(&[vocab])?.run([rows, 1, 1], 512, 0) }?;
    Ok(chosen)
}
