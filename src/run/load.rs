//! A model with its weights, where it computes.

use anyhow::{Context, Result};

use super::model::OpenModel;
use super::place::Place;
use crate::base::console::note;
use crate::config::ModelChoice;
use crate::model::{Adapter, Adapters, DeviceTransformer, Precision, Transformer};

/// A model, ready to compute.
pub enum ResidentModel {
    /// On the processor.
    Host(Box<Transformer>),
    /// On a GPU.
    Device(Box<DeviceTransformer>),
}

/// The weights of a model, on the processor.
///
/// # Errors
/// A file that cannot be read, or weights that are not the model's.
pub fn on_host(choice: &ModelChoice, model: &OpenModel, dtype: Precision) -> Result<Transformer> {
    note(format!("loading {} ({})", choice.name, choice.path.display()));
    Transformer::new(model.arch.clone(), model.checkpoint()?.weights(), dtype)
}

impl ResidentModel {
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
                let weights = model.checkpoint()?.weights();
                Self::Device(Box::new(DeviceTransformer::new(model.arch.clone(), weights, dtype, device)?))
            }
        })
    }

    /// Put an adapter to work in every row.
    ///
    /// # Errors
    /// It belongs to another model.
    pub fn adapt(&mut self, adapter: Adapter) -> Result<()> {
        match self {
            Self::Host(decoder) => decoder.adapt(Adapters::everywhere(adapter)),
            Self::Device(decoder) => decoder.adapt(&Adapters::everywhere(adapter)),
        }
    }
}
