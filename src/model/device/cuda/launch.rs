//! How `kernels.cu` is called: a kernel's name, what it reads and writes, and how many threads work on it.

use anyhow::{Context, Result, ensure};
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{DevicePtr, LaunchConfig, PushKernelArg};
use candle_core::{CudaDevice, DType, Device, Storage, Tensor};
use half::{bf16, f16};

/// The kernels for each type of weights, compiled when this was built; a driver finishes that for its GPU.
const F32: &str = include_str!(concat!(env!("OUT_DIR"), "/kernels_f32.ptx"));
const F16: &str = include_str!(concat!(env!("OUT_DIR"), "/kernels_f16.ptx"));
const BF16: &str = include_str!(concat!(env!("OUT_DIR"), "/kernels_bf16.ptx"));

enum Argument {
    Pointer(u64),
    Count(u32),
    Number(f32),
}

/// A call of a kernel that is being put together: arguments in the kernel's order.
pub struct Launch<'a> {
    name: &'a str,
    /// Of weights.
    dtype: DType,
    device: &'a CudaDevice,
    arguments: Vec<Argument>,
}

impl<'a> Launch<'a> {
    /// A kernel for weights of a type.
    pub fn new(name: &'a str, dtype: DType, device: &'a Device) -> Result<Self> {
        Ok(Self { name, dtype, device: device.as_cuda_device()?, arguments: Vec::new() })
    }

    /// A tensor to be read, or written where it stands: it must be there until [`run`](Self::run) was called. What is freed
    /// later is freed after the kernel, as all work on a device follows in one stream.
    pub fn tensor(mut self, tensor: &'a Tensor) -> Result<Self> {
        ensure!(tensor.is_contiguous(), "{}: a tensor with gaps", self.name);
        let (storage, layout) = tensor.storage_and_layout();
        let Storage::Cuda(storage) = &*storage else { anyhow::bail!("{}: a tensor elsewhere", self.name) };
        let stream = self.device.cuda_stream();
        let first = match tensor.dtype() {
            DType::F32 => storage.as_cuda_slice::<f32>()?.device_ptr(&stream).0,
            DType::F16 => storage.as_cuda_slice::<f16>()?.device_ptr(&stream).0,
            DType::BF16 => storage.as_cuda_slice::<bf16>()?.device_ptr(&stream).0,
            DType::U32 => storage.as_cuda_slice::<u32>()?.device_ptr(&stream).0,
            other => anyhow::bail!("{}: a tensor of {other:?}", self.name),
        };
        let offset = layout.start_offset() * tensor.dtype().size_in_bytes();
        self.arguments.push(Argument::Pointer(first + offset as u64));
        Ok(self)
    }

    /// A tensor, or a null pointer where there is none.
    pub fn maybe(mut self, tensor: Option<&'a Tensor>) -> Result<Self> {
        if let Some(tensor) = tensor {
            return self.tensor(tensor);
        }
        self.arguments.push(Argument::Pointer(0));
        Ok(self)
    }

    /// Sizes.
    pub fn counts(mut self, counts: &[usize]) -> Result<Self> {
        for &count in counts {
            let count =
                u32::try_from(count).with_context(|| format!("{}: {count} is too large", self.name))?;
            self.arguments.push(Argument::Count(count));
        }
        Ok(self)
    }

    /// A number.
    pub fn number(mut self, number: f32) -> Self {
        self.arguments.push(Argument::Number(number));
        self
    }

    /// Start it: so many blocks of so many threads, each block with bytes of shared memory.
    ///
    /// # Safety
    /// The kernel must take just these arguments, of these types, and stay within the tensors.
    ///
    /// # Errors
    /// The driver does not take it.
    pub unsafe fn run(self, blocks: [usize; 3], threads: usize, shared: usize) -> Result<()> {
        if blocks.contains(&0) {
            return Ok(());
        }
        let (module, code) = match self.dtype {
            DType::F32 => ("icl_mask_f32", F32),
            DType::F16 => ("icl_mask_f16", F16),
            DType::BF16 => ("icl_mask_bf16", BF16),
            other => anyhow::bail!("no kernels for weights of {other:?}"),
        };
        let function = self.device.get_or_load_custom_func(self.name, module, code)?;
        let mut launch = function.builder();
        for argument in &self.arguments {
            match argument {
                Argument::Pointer(pointer) => launch.arg(pointer),
                Argument::Count(count) => launch.arg(count),
                Argument::Number(number) => launch.arg(number),
            };
        }
        let grid = blocks.map(|blocks| blocks as u32);
        let config = LaunchConfig {
            grid_dim: grid.into(),
            block_dim: (threads as u32, 1, 1),
            shared_mem_bytes: shared as u32,
        };
        // SAFETY: what the caller promises.
        unsafe { launch.launch(config) }.w()?;
        Ok(())
    }
}

/// Room on a device for what a kernel writes, all of it.
pub fn room(shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
    // SAFETY: it is written before it is read, and any bits are a number.
    Ok(unsafe { Tensor::empty(shape, dtype, device) }?)
}
