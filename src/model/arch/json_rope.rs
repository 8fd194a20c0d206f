//! The rotary positions of a `config.json`. transformers 5 writes them into `rope_parameters`; older versions wrote
//! `rope_theta` and `rope_scaling`. Where both are there, `rope_scaling` wins, as in transformers.

use anyhow::Result;

use super::{Arch, Fields, LongScaling, Pairs, Positions, Rope, RopeScaling, YarnScaling};
use crate::base::error::input;

/// What a file says of rotary positions beside the parameters themselves.
#[derive(Clone, Copy)]
pub(super) struct Rotated<'a> {
    /// The fields of the model.
    pub fields: &'a Fields,
    /// Width of one head.
    pub head_dim: usize,
    /// Where the base of the frequencies is written outside the parameters, and its value if it is not.
    pub theta: (&'a str, f64),
    /// Where the rotated share of a head is written outside the parameters, and its value if it is not. `None`: the
    /// family rotates whole heads.
    pub share: Option<(&'a str, f64)>,
    /// Which dimensions are rotated together.
    pub pairs: Pairs,
}

impl<'a> Rotated<'a> {
    /// What most families write: whole heads in halves.
    pub fn whole(fields: &'a Fields, head_dim: usize) -> Self {
        Self { fields, head_dim, theta: ("rope_theta", 10_000.), share: None, pairs: Pairs::Halves }
    }

    /// Rotary positions that are alike in all layers.
    pub fn positions(self) -> Result<Positions> {
        let original = self.fields.find("original_max_position_embeddings")?;
        let all = self.rope(&self.parameters()?, original)?;
        Ok(Positions::Rotary { all, windowed: None })
    }

    /// The parameters: `rope_scaling` where it says something, else `rope_parameters`.
    fn parameters(self) -> Result<Fields> {
        match self.fields.object("rope_scaling")?.filter(|scaling| !scaling.0.is_empty()) {
            Some(scaling) => Ok(scaling),
            None => Ok(self.fields.object("rope_parameters")?.unwrap_or_default()),
        }
    }

    /// The type that parameters name.
    fn kind(parameters: &Fields) -> Result<Option<String>> {
        match parameters.0.contains_key("rope_type") {
            true => Ok(Some(parameters.get("rope_type")?)),
            false => parameters.find("type"),
        }
    }

    /// One set of frequencies. `original` wins over the parameters' own `original_max_position_embeddings`.
    fn rope(self, parameters: &Fields, original: Option<usize>) -> Result<Rope> {
        let kind = Self::kind(parameters)?;
        let kind = kind.as_deref().unwrap_or("default");
        let scaling = match kind {
            "default" => RopeScaling::None,
            "linear" => RopeScaling::Linear(parameters.get("factor")?),
            "llama3" => RopeScaling::Llama3(self.llama3(parameters, original)?),
            "yarn" => RopeScaling::Yarn(self.yarn(parameters, original)?),
            "longrope" => RopeScaling::Long(self.long(parameters, original)?),
            // Frequencies change beyond the context alone, and no sequence is longer.
            "dynamic" => {
                parameters.get::<f64>("factor")?;
                RopeScaling::None
            }
            other => {
                return Err(input(format!(
                    "rope scaling of type `{other}` is not supported (supported: default, linear, dynamic, llama3, yarn, longrope)"
                )));
            }
        };
        let dims = self.rotated_dims(parameters, kind)?;
        let (name, absent) = self.theta;
        let theta = match parameters.0.contains_key("rope_theta") {
            true => parameters.get("rope_theta")?,
            false => self.fields.get_or(name, absent)?,
        };
        Ok(Rope { theta, dims, pairs: self.pairs, scaling })
    }

    /// As transformers reads it: a factor of its own for cosines and sines wins over one that follows from the stretching.
    fn yarn(self, parameters: &Fields, original: Option<usize>) -> Result<YarnScaling> {
        let context: usize = self.fields.get("max_position_embeddings")?;
        let original_context = self.original(parameters, original)?;
        let factor: f64 = match parameters.find("factor")? {
            Some(factor) => factor,
            // Only where it is written as `null` it follows from the contexts.
            None if !parameters.0.contains_key("factor") => parameters.get("factor")?,
            None => context as f64 / original_context as f64,
        };
        let spread = |scale: f64| if factor <= 1. { 1. } else { 0.1 * scale * factor.ln() + 1. };
        let scales = [parameters.get_or("mscale", 0.)?, parameters.get_or("mscale_all_dim", 0.)?];
        let attention_factor = match parameters.find("attention_factor")? {
            Some(own) => own,
            None if scales.iter().all(|scale| *scale != 0.) => spread(scales[0]) / spread(scales[1]),
            None => spread(1.),
        };
        let or = |found: Option<f64>, usual: f64| found.filter(|found| *found != 0.).unwrap_or(usual);
        Ok(YarnScaling {
            factor,
            original_context,
            beta_fast: or(parameters.find("beta_fast")?, 32.),
            beta_slow: or(parameters.find("beta_slow")?, 1.),
            truncate: parameters.get_or("truncate", true)?,
            attention_factor,
        })
    }

    /// As transformers reads it: the factor matters to cosines and sines alone.
    fn long(self, parameters: &Fields, original: Option<usize>) -> Result<LongScaling> {
        let context: usize = self.fields.get("max_position_embeddings")?;
        let original_context = self.original(parameters, original)?;
        let factor = parameters.find("factor")?.unwrap_or(context as f64 / original_context as f64);
        let attention_factor = match parameters.find("attention_factor")? {
            Some(own) => own,
            None if factor <= 1. => 1.,
            None => (1. + factor.ln() / (original_context as f64).ln()).sqrt(),
        };
        let (short, long) = (parameters.get("short_factor")?, parameters.get("long_factor")?);
        Ok(LongScaling { short, long, original_context, attention_factor })
    }

    /// The context of the training before the rescaling.
    fn original(self, parameters: &Fields, original: Option<usize>) -> Result<usize> {
        match original {
            Some(original) => Ok(original),
            None => {
                let context = self.fields.get("max_position_embeddings")?;
                parameters.get_or("original_max_position_embeddings", context)
            }
        }
    }

    fn llama3(self, parameters: &Fields, original: Option<usize>) -> Result<super::Llama3Scaling> {
        let mut parameters = parameters.clone();
        let context: usize = self.fields.get("max_position_embeddings")?;
        let name = "original_max_position_embeddings";
        if let Some(original) = original {
            parameters.0.insert(name.into(), original.into());
        }
        parameters.0.entry(name).or_insert(context.into());
        serde_json::from_value(parameters.0.into())
            .map_err(|e| input(format!("rope scaling of type llama3: {e}")))
    }

    /// How many dimensions of a head are rotated.
    fn rotated_dims(self, parameters: &Fields, kind: &str) -> Result<usize> {
        const SHARE: &str = "partial_rotary_factor";
        let share: f64 = match self.share {
            Some((name, absent)) if !parameters.0.contains_key(SHARE) => self.fields.get_or(name, absent)?,
            Some(_) => parameters.get(SHARE)?,
            // transformers rotates whole heads here, whatever share is written.
            None if kind == "default" => 1.,
            None => {
                self.fields.only(SHARE, 1.)?;
                parameters.only(SHARE, 1.)?;
                1.
            }
        };
        if !(share > 0. && share <= 1.) {
            return Err(input(format!(
                "a share of {share} of each head cannot be rotated: the file is damaged"
            )));
        }
        Ok((self.head_dim as f64 * share) as usize)
    }
}

/// Gemma 3's: layers with a window have frequencies of their own, in two fields (transformers 4) or two objects (5).
pub(super) fn gemma3(fields: &Fields, arch: &Arch) -> Result<Positions> {
    let rotated = |name, absent| Rotated { theta: (name, absent), ..Rotated::whole(fields, arch.head_dim) };
    let both = fields.object("rope_parameters")?;
    let (full, windowed) = match &both {
        Some(both) => (both.object("full_attention")?, both.object("sliding_attention")?),
        None => {
            // Then transformers begins with this type, which a `type` of `rope_scaling` does not change.
            let plain = Fields([("rope_type".to_string(), "default".into())].into_iter().collect());
            (Some(plain), None)
        }
    };
    let full = match (full, fields.object("rope_scaling")?) {
        (full, None) => full.unwrap_or_default(),
        (Some(mut full), Some(scaling)) => {
            full.0.extend(scaling.0);
            full
        }
        (None, Some(_)) => {
            return Err(input(
                "field `rope_scaling` is about `rope_parameters.full_attention`, which is missing: \
                 write the scaling into `rope_parameters.full_attention`",
            ));
        }
    };
    Ok(Positions::Rotary {
        all: rotated("rope_theta", 1e6).rope(&full, None)?,
        windowed: Some(rotated("rope_local_base_freq", 1e4).rope(&windowed.unwrap_or_default(), None)?),
    })
}

/// OLMo 3's. `rope_scaling` and a `rope_theta` outside `rope_parameters` apply to layers without a window alone.
pub(super) fn olmo3(fields: &Fields, head_dim: usize) -> Result<Positions> {
    let rotated = Rotated { theta: ("rope_theta", OLMO3_BASE), ..Rotated::whole(fields, head_dim) };
    let both = fields.object("rope_parameters")?.unwrap_or_default();
    let (full, windowed) = (both.object("full_attention")?, both.object("sliding_attention")?);
    let mut windowed = windowed.unwrap_or_default();
    windowed.0.entry("rope_theta").or_insert(OLMO3_BASE.into());
    let mut full = full.unwrap_or_else(|| {
        // transformers begins with this type, which a `type` of `rope_scaling` does not change.
        Fields([("rope_type".to_string(), "default".into())].into_iter().collect())
    });
    full.0.extend(fields.object("rope_scaling")?.unwrap_or_default().0);
    // transformers looks for it in the object around this one, where it is never.
    full.0.remove("truncate");
    Ok(Positions::Rotary { all: rotated.rope(&full, None)?, windowed: Some(rotated.rope(&windowed, None)?) })
}

/// The base of OLMo 3's frequencies where none is written.
const OLMO3_BASE: f64 = 500_000.;

/// Phi-3's: `yarn` and `su` are older names of `longrope`, and the context before the rescaling is written outside.
pub(super) fn phi3(fields: &Fields, head_dim: usize) -> Result<Positions> {
    let rotated = Rotated { share: Some(("partial_rotary_factor", 1.)), ..Rotated::whole(fields, head_dim) };
    let mut parameters = rotated.parameters()?;
    let kind = Rotated::kind(&parameters)?.unwrap_or_else(|| "default".into());
    let original = match kind.as_str() {
        // transformers renames this type and fills in nothing.
        "su" => parameters.get("original_max_position_embeddings")?,
        "default" | "longrope" | "yarn" => fields.get_or("original_max_position_embeddings", 4096)?,
        other => {
            return Err(input(format!(
                "rope scaling of type `{other}` is not one of this family's (supported: default, longrope)"
            )));
        }
    };
    if kind != "default" {
        parameters.0.insert("rope_type".into(), "longrope".into());
    }
    Ok(Positions::Rotary { all: rotated.rope(&parameters, Some(original))?, windowed: None })
}
