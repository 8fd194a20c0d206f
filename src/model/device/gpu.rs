//! The GPU itself.

use anyhow::Result;
use candle_core::Device;

use crate::error::input;

/// A GPU by its number.
///
/// # Errors
/// There is none, or the driver refuses: an [`InputError`](crate::error::InputError) that says so.
pub fn gpu(index: usize) -> Result<Device> {
    Device::new_cuda(index).map_err(|error| {
        // A backtrace follows the first line.
        let error = error.to_string();
        let why = error.lines().next().unwrap_or("it cannot be used");
        input(format!(
            "--device cuda:{index}: {why}; `nvidia-smi` lists the GPUs that the driver knows, --device cpu computes without"
        ))
    })
}

/// Bytes that are free on a device; `None` where it does not say.
///
/// # Errors
/// The driver fails.
pub fn free_bytes(device: &Device) -> Result<Option<u64>> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => Ok(Some(device.cuda_stream().context().mem_get_info()?.0 as u64)),
        _ => Ok(None),
    }
}
