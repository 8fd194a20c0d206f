//! Keys and values on a device.

use std::ops::Range;

use anyhow::Result;
use candle_core::{DType, Device};

use super::kernels::Kernels;
use super::slots::Slots;
use crate::model::{Arch, BlockId, Extent, KvCache};

/// All blocks of a run, in slots of a device.
pub struct DeviceKv {
    slots: Slots,
    kernels: &'static dyn Kernels,
    bytes: u64,
    /// Of one number.
    element: usize,
}

impl DeviceKv {
    /// Room for so many bytes of blocks to begin with; it grows when it must.
    ///
    /// # Errors
    /// Memory runs out.
    pub fn new(
        arch: &Arch,
        dtype: DType,
        device: &Device,
        kernels: &'static dyn Kernels,
        bytes: u64,
    ) -> Result<Self> {
        let slots = Slots::new(arch, dtype, device, bytes)?;
        Ok(Self { slots, kernels, bytes: 0, element: dtype.size_in_bytes() })
    }

    /// The slots.
    pub fn slots(&self) -> &Slots {
        &self.slots
    }
}

impl KvCache for DeviceKv {
    fn add(&mut self, arch: &Arch, extent: Extent) -> Result<BlockId> {
        let bytes = extent.bytes(arch, self.element);
        let id = self.slots.take(extent)?;
        self.bytes += bytes;
        Ok(id)
    }

    fn remove(&mut self, arch: &Arch, id: BlockId) {
        if let Some(extent) = self.slots.give_back(id) {
            self.bytes -= extent.bytes(arch, self.element);
        }
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn copy(
        &mut self,
        from: BlockId,
        to: BlockId,
        layers: Range<usize>,
        columns: Range<usize>,
    ) -> Result<()> {
        if columns.is_empty() || layers.is_empty() || from == to {
            return Ok(());
        }
        let slots = |block: BlockId| -> Vec<u32> {
            let places = layers.clone().flat_map(|layer| columns.clone().map(move |column| (layer, column)));
            places.map(|(layer, column)| self.slots.slot(block, layer, column) as u32).collect()
        };
        self.kernels.copy(&self.slots, slots(from), slots(to))
    }
}
