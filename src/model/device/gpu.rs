//! The GPU itself.

use anyhow::Result;
use candle_core::Device;

use crate::base::error::input;

/// A GPU by its number.
///
/// # Errors
/// There is none, or the driver refuses: an [`InputError`](crate::base::error::InputError) that says so.
pub fn gpu(index: usize) -> Result<Device> {
    let device = Device::new_cuda_with_stream(index).map_err(|error| {
        // A backtrace follows the first line.
        let error = error.to_string();
        let why = error.lines().next().unwrap_or("it cannot be used");
        input(format!(
            "--device cuda:{index}: {why}; `nvidia-smi` lists the GPUs that the driver knows, --device cpu computes without"
        ))
    })?;
    #[cfg(feature = "cuda")]
    settle(device.as_cuda_device()?)?;
    Ok(device)
}

/// One stream does all work: nothing waits for another, and memory that one step gives back is kept for the next.
#[cfg(feature = "cuda")]
fn settle(device: &candle_core::CudaDevice) -> Result<()> {
    use candle_core::cuda_backend::cudarc::driver::{result, sys};
    let stream = device.cuda_stream();
    let mut kept = u64::MAX;
    // SAFETY: there is this stream alone. The pool is the device's own, and the attribute is a number of 64 bits.
    unsafe {
        device.disable_event_tracking();
        let pool = result::device::get_default_mem_pool(stream.context().cu_device())?;
        let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        result::mem_pool::set_attribute(pool, attribute, (&raw mut kept).cast())?;
    }
    Ok(())
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
