//! What several families read of their fields alike.

use anyhow::Result;

use super::{Activation, Fields};
use crate::base::error::input;

/// The function that a field names.
///
/// # Errors
/// One that is not computed.
pub(super) fn activation(fields: &Fields, name: &str, absent: &str) -> Result<Activation> {
    match fields.get_or(name, absent.to_string())?.as_str() {
        "silu" | "swish" => Ok(Activation::Silu),
        "relu" => Ok(Activation::Relu),
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Activation::GeluTanh),
        other => Err(input(format!(
            "field `{name}` is `{other}`, which is not computed (computed: silu, relu, gelu, gelu_new, gelu_pytorch_tanh)"
        ))),
    }
}

/// The width of a head.
///
/// # Errors
/// The heads do not divide the width.
pub(super) fn divided(hidden: usize, heads: usize) -> Result<usize> {
    match hidden.checked_rem(heads) {
        Some(0) => Ok(hidden / heads),
        _ => Err(input(format!("a width of {hidden} over {heads} heads cannot be: the file is damaged"))),
    }
}
