//! New keys and values written to their slots, in place: an operation that candle has no fast one for, as its own walks
//! the rows one after the other.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, InplaceOp3, Layout, Result, WithDType, bail};

/// `pool [heads, all, width]`, `slots [rows]`, `new [rows, heads, width]`: `pool[h][slots[r]] = new[r][h]`. No slot may be named
/// twice.
pub struct Put {
    pub heads: usize,
    pub all: usize,
    pub width: usize,
}

impl Put {
    /// Everything stands without gaps, pool and slots from the beginning of their memory on, and fits together; how many rows
    /// there are.
    fn checked(&self, pool: &Layout, slots: &Layout, new: &Layout) -> Result<usize> {
        let Self { heads, all, width } = *self;
        let rows = slots.shape().elem_count();
        if ![pool, slots, new].iter().all(|layout| layout.is_contiguous())
            || pool.start_offset() + slots.start_offset() > 0
            || pool.dims() != [heads, all, width]
            || new.dims() != [rows, heads, width]
        {
            bail!("put: {:?} rows {:?} into {:?}", new.dims(), slots.dims(), pool.dims());
        }
        Ok(rows)
    }

    fn on_cpu<T: WithDType>(&self, pool: &mut [T], slots: &[u32], new: &[T]) {
        let Self { heads, all, width } = *self;
        for (&slot, row) in slots.iter().zip(new.chunks_exact(heads * width)) {
            for (head, values) in row.chunks_exact(width).enumerate() {
                pool[(head * all + slot as usize) * width..][..width].copy_from_slice(values);
            }
        }
    }
}

impl InplaceOp3 for Put {
    fn name(&self) -> &'static str {
        "put"
    }

    fn cpu_fwd(
        &self,
        pool: &mut CpuStorage,
        pool_layout: &Layout,
        slots: &CpuStorage,
        slots_layout: &Layout,
        new: &CpuStorage,
        new_layout: &Layout,
    ) -> Result<()> {
        self.checked(pool_layout, slots_layout, new_layout)?;
        let (slots, from) = (slots.as_slice::<u32>()?, new_layout.start_offset());
        match (pool, new) {
            (CpuStorage::F32(pool), CpuStorage::F32(new)) => self.on_cpu(pool, slots, &new[from..]),
            (CpuStorage::F16(pool), CpuStorage::F16(new)) => self.on_cpu(pool, slots, &new[from..]),
            (CpuStorage::BF16(pool), CpuStorage::BF16(new)) => self.on_cpu(pool, slots, &new[from..]),
            (pool, new) => bail!("put: {:?} into {:?}", new.dtype(), pool.dtype()),
        }
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        pool: &mut candle_core::CudaStorage,
        pool_layout: &Layout,
        slots: &candle_core::CudaStorage,
        slots_layout: &Layout,
        new: &candle_core::CudaStorage,
        new_layout: &Layout,
    ) -> Result<()> {
        use candle_core::DType;
        use half::{bf16, f16};
        let rows = self.checked(pool_layout, slots_layout, new_layout)?;
        let new = (new, new_layout.start_offset());
        match pool.dtype() {
            DType::F32 => self.on_gpu::<f32>(rows, pool, slots, new),
            DType::F16 => self.on_gpu::<f16>(rows, pool, slots, new),
            DType::BF16 => self.on_gpu::<bf16>(rows, pool, slots, new),
            other => bail!("put: into {other:?}"),
        }
    }
}

#[cfg(feature = "cuda")]
impl Put {
    /// `put.cu`, compiled when this was built.
    const PTX: &str = include_str!(concat!(env!("OUT_DIR"), "/put.ptx"));

    fn on_gpu<
        T: candle_core::cuda_backend::CudaDType + candle_core::cuda_backend::cudarc::driver::DeviceRepr,
    >(
        &self,
        rows: usize,
        pool: &mut candle_core::CudaStorage,
        slots: &candle_core::CudaStorage,
        (new, from): (&candle_core::CudaStorage, usize),
    ) -> Result<()> {
        use candle_core::cuda_backend::WrapErr;
        use candle_core::cuda_backend::cudarc::driver::{LaunchConfig, PushKernelArg};
        let name = if size_of::<T>() == 2 { "put_2" } else { "put_4" };
        let function = pool.device.get_or_load_custom_func(name, "icl_mask_put", Self::PTX)?;
        let count = rows * self.heads * self.width;
        let [rows, heads, all, width] = [rows, self.heads, self.all, self.width].map(|size| size as u32);
        let (slots, new) = (slots.as_cuda_slice::<u32>()?, new.as_cuda_slice::<T>()?.slice(from..));
        let pool = pool.as_cuda_slice_mut::<T>()?;
        let mut launch = function.builder();
        launch.arg(pool).arg(slots).arg(&new).arg(&rows).arg(&heads).arg(&all).arg(&width);
        // SAFETY: the kernel writes `rows * heads * width` elements of the pool, whose slots are below `all`.
        unsafe { launch.launch(LaunchConfig::for_num_elems(count as u32)) }.w()?;
        Ok(())
    }
}
