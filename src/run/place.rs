//! Where an experiment computes, and how much memory it may take there.

use anyhow::Result;
use candle_core::Device;

use crate::config::{Compute, Experiment};
use crate::engine::{Holding, available};
use crate::model::{free_bytes, gpu};

/// Where an experiment computes, looked for before anything is read or computed.
pub struct Place {
    pub(super) gpu: Option<Device>,
    /// Bytes of memory that a run may take there; `None` where nobody says.
    pub budget: Option<u64>,
}

impl Place {
    /// The experiment's device.
    ///
    /// # Errors
    /// There is no such GPU.
    pub fn of(experiment: &Experiment) -> Result<Self> {
        let gpu = match experiment.device {
            Compute::Cpu => None,
            Compute::Cuda(index) => Some(gpu(index)?),
        };
        let budget = match &gpu {
            None => experiment.memory_budget(available()),
            Some(device) => experiment.memory_budget(free_bytes(device)?),
        };
        Ok(Self { gpu, budget })
    }
}

/// How and where an experiment holds a model whose files take so many bytes.
pub fn holding(experiment: &Experiment, stored: Option<u64>) -> Holding {
    Holding { precision: experiment.dtype, stored, on_device: experiment.device != Compute::Cpu }
}
