//! A model with its weights, where it computes.

use anyhow::{Context, Result};
use candle_core::Device;

use super::checker::Checker;
use super::model::OpenModel;
use super::work::Work;
use crate::config::{Compute, Experiment, ModelChoice};
use crate::console::note;
use crate::engine::{Holding, available};
use crate::model::{Adapter, DeviceTransformer, Precision, Transformer, free_bytes, gpu};

/// A model, ready to compute.
pub(super) enum Loaded {
    /// On the processor.
    Host(Box<Transformer>),
    /// On a GPU.
    Device(Box<DeviceTransformer>),
}

/// Where an experiment computes, looked for before anything is read or computed.
pub(super) struct Place {
    gpu: Option<Device>,
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
pub(super) fn holding(experiment: &Experiment, stored: Option<u64>) -> Holding {
    Holding { precision: experiment.dtype, stored, on_device: experiment.device != Compute::Cpu }
}

/// The weights of a model, on the processor.
///
/// # Errors
/// As [`Loaded::load`].
pub(super) fn on_host(choice: &ModelChoice, model: &OpenModel, dtype: Precision) -> Result<Transformer> {
    note(format!("loading {} ({})", choice.name, choice.path.display()));
    Transformer::load(model.checkpoint()?, dtype)
}

impl Loaded {
    /// The weights of a model.
    ///
    /// # Errors
    /// A file that cannot be read, or weights that are not the model's.
    pub fn load(choice: &ModelChoice, model: &OpenModel, dtype: Precision, place: &Place) -> Result<Self> {
        Ok(match &place.gpu {
            None => Self::Host(Box::new(on_host(choice, model, dtype)?)),
            Some(device) => {
                note(format!("loading {} ({})", choice.name, choice.path.display()));
                let dtype = dtype.dtype().context("--dtype stored is not supported on a GPU")?;
                Self::Device(Box::new(DeviceTransformer::load(model.checkpoint()?, dtype, device)?))
            }
        })
    }

    /// Put an adapter to work in every row.
    ///
    /// # Errors
    /// It belongs to another model.
    pub fn adapt(&mut self, adapter: Adapter) -> Result<()> {
        match self {
            Self::Host(decoder) => decoder.adapt(adapter, true),
            Self::Device(decoder) => decoder.adapt(&adapter, true),
        }
    }

    /// Compute what is left of a run.
    ///
    /// # Errors
    /// As [`Work::compute`].
    pub fn compute(
        &self,
        work: &mut Work,
        model: &OpenModel,
        checker: Option<&Checker>,
        json: bool,
    ) -> Result<()> {
        match self {
            Self::Host(decoder) => work.compute(&**decoder, model, checker, json),
            Self::Device(decoder) => work.compute(&**decoder, model, checker, json),
        }
    }
}
