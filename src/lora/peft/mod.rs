//! Adapters as PEFT stores them: `adapter_config.json` and `adapter_model.safetensors`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use safetensors::tensor::TensorView;
use serde::Serialize;
use serde_json::json;

use crate::base::error::input;
use crate::base::files::{write_atomically, write_json};
use crate::base::hash::Hash;
use crate::base::inputs;
use crate::base::keys::Unread;
use crate::model::{Adapter, Arch, LowRank, Matrix, TensorNames, module_name};

mod config;
mod pattern;
mod places;
mod targets;

use config::Config;
use places::{is_of_images, modules, places, spellings};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// What older versions of PEFT write in place of the weights.
const PICKLE: &str = "adapter_model.bin";
const PREFIX: &str = "base_model.model.";
/// A tensor of VeLoRA's, which changes gradients alone.
const VELORA: &str = ".lora_velora_embed";

/// Write an adapter's two files into a folder, such that PEFT loads them for this architecture's class of transformers.
///
/// # Errors
/// The folder cannot be written; a projection that PEFT has no module for, being part of a larger one.
pub fn write(
    folder: &Path,
    adapter: &Adapter,
    arch: &Arch,
    base: &str,
    alpha: f64,
    dropout: f64,
) -> Result<()> {
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (&(layer, projection), low_rank) in &adapter.0 {
        let module = module_name(arch, layer, projection).with_context(|| {
            format!(
                "projection {projection} is no module of its own in this family, so PEFT has no place for it"
            )
        })?;
        for (name, matrix) in [("lora_A", &low_rank.a), ("lora_B", &low_rank.b)] {
            let shape = vec![matrix.width(), matrix.rows()];
            tensors.push((format!("{PREFIX}{module}.{name}.weight"), shape, transposed_bytes(matrix)));
        }
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        Ok((name.as_str(), TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes)?))
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    let bytes = safetensors::serialize(views, Some(metadata))?;
    write_atomically(&folder.join(WEIGHTS), |out| Ok(out.write_all(&bytes)?))?;
    write_json(&folder.join(CONFIG), &config(adapter, arch, base, alpha, dropout))
}

/// `adapter_config.json` of an adapter whose parts have one rank.
fn config(adapter: &Adapter, arch: &Arch, base: &str, alpha: f64, dropout: f64) -> impl Serialize {
    let mut layers: Vec<usize> = adapter.0.keys().map(|(layer, _)| *layer).collect();
    layers.dedup();
    let mut targets: Vec<String> = Vec::new();
    for &(layer, projection) in adapter.0.keys() {
        let module = module_name(arch, layer, projection).unwrap_or_default();
        // What follows the block's number, as it is the same in every layer.
        let target = module.split_once(&format!(".{layer}.")).map_or(module.clone(), |(_, part)| part.into());
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    // Beyond that a whole number is not one of i64.
    let whole = alpha.fract() == 0. && alpha.abs() < 2f64.powi(53);
    let alpha = if whole { json!(alpha as i64) } else { json!(alpha) };
    json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "inference_mode": true,
        "r": adapter.0.values().next().map_or(0, LowRank::rank),
        "lora_alpha": alpha,
        "lora_dropout": dropout,
        "target_modules": targets,
        "layers_to_transform": layers,
        "layers_pattern": null,
        "fan_in_fan_out": TensorNames::of(arch).transposed,
        "bias": "none",
        "init_lora_weights": true,
        "use_rslora": false,
        "use_dora": false,
        "modules_to_save": null,
        "rank_pattern": {},
        "alpha_pattern": {},
    })
}

fn transposed_bytes(matrix: &Matrix) -> Vec<u8> {
    let columns = (0..matrix.width()).flat_map(|column| (0..matrix.rows()).map(move |row| (row, column)));
    columns.flat_map(|(row, column)| matrix.row(row)[column].to_le_bytes()).collect()
}

/// The sha256 of an adapter's two files.
///
/// # Errors
/// One of them cannot be read.
pub fn sha256(folder: &Path) -> Result<String> {
    let mut hash = Hash::default();
    for file in [CONFIG, WEIGHTS] {
        hash.bytes(read_file(&folder.join(file))?);
    }
    Ok(hash.hex())
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let pickle = || path.ends_with(WEIGHTS) && path.with_file_name(PICKLE).exists();
    inputs::bytes(path).map_err(|error| match error {
        missing if missing.is_missing() && pickle() => input(format!(
            "{}: a pickle file is not read, because reading it can run code: save the adapter anew as safetensors \
             (PeftModel.save_pretrained) and give the folder",
            path.with_file_name(PICKLE).display()
        )),
        error => input(format!(
            "cannot read {} ({error}): an adapter is a folder with {CONFIG} and {WEIGHTS}, as PEFT saves it",
            path.display()
        )),
    })
}

/// An adapter with what there is to say about its files.
pub struct AdapterFiles {
    /// Its changes.
    pub adapter: Adapter,
    /// Keys of its configuration that are not known.
    pub unread: Unread,
    /// Modules that its configuration names and its weights lack; they stay as they are, as in PEFT, which warns too.
    pub missing: Vec<String>,
}

/// Read an adapter as PEFT saves it.
///
/// # Errors
/// As [`open`].
pub fn read(folder: &Path, arch: &Arch) -> Result<Adapter> {
    open(folder, arch).map(|opened| opened.adapter)
}

/// Read an adapter as PEFT saves it, with what there is to say about its files.
///
/// # Errors
/// An [`InputError`](crate::base::error::InputError): files that are not there or damaged, a kind of adapter that is more than
/// low-rank changes of projections, one for other modules than this architecture has, or numbers beyond f32.
pub fn open(folder: &Path, arch: &Arch) -> Result<AdapterFiles> {
    let (config, pairs) = files(folder)?;
    let mut missing = modules(arch);
    let mut adapter = Adapter::default();
    for (module, pair) in pairs {
        if is_of_images(arch, &module) {
            continue;
        }
        let refuse = |what: String| input(format!("{}: {what}", folder.join(WEIGHTS).display()));
        let names = spellings(arch, &module);
        missing.retain(|known| !names.contains(known));
        let low_rank = low_rank(&config, &module, &names, pair).map_err(refuse)?;
        let changed = names.iter().find_map(|name| places(arch, name, &low_rank));
        let changed = changed.ok_or_else(|| {
            let family = serde_json::to_value(arch.family).unwrap_or_default();
            refuse(format!(
                "changes `{module}`, which is no projection of a {} model",
                family.as_str().unwrap_or_default()
            ))
        })?;
        let changed = Adapter(changed);
        changed.check(arch).with_context(|| folder.display().to_string())?;
        if !config.names(&names, arch.family) {
            return Err(refuse(format!(
                "changes `{module}`, which {CONFIG} does not name (target_modules, exclude_modules, layers_to_transform): \
                 PEFT would leave it out; name it there, or remove its weights"
            )));
        }
        adapter.join(changed)?;
    }
    if adapter.0.is_empty() {
        return Err(input(format!("{}: holds no adapter", folder.join(WEIGHTS).display())));
    }
    missing.retain(|module| config.names(&spellings(arch, module), arch.family));
    Ok(AdapterFiles { adapter, unread: config.unread, missing })
}

/// The change of a module; the error is a sentence without the file.
fn low_rank(config: &Config, module: &str, names: &[String], pair: Pair) -> Result<LowRank, String> {
    let [Some(a), Some(b)] = pair else { return Err(format!("`{module}` lacks lora_A or lora_B")) };
    let (rank, scale) = config.rank_and_scale(names)?;
    for (found, which) in [(a.width(), "lora_A"), (b.rows(), "lora_B")] {
        if found != rank {
            return Err(format!(
                "{which} of `{module}` has the rank {found}, but {CONFIG} says {rank} (r, rank_pattern)"
            ));
        }
    }
    let low_rank = LowRank { a, b, scale };
    match low_rank.is_finite() {
        true => Ok(low_rank),
        false => Err(format!("the change of `{module}` is beyond what f32 holds: the adapter is damaged")),
    }
}

/// Hold an adapter's files against what they should be, without the model: whole, finite, and of one layer alone.
///
/// # Errors
/// As [`read`].
pub fn check(folder: &Path, layer: usize) -> Result<()> {
    let (_, pairs) = files(folder)?;
    let right = |(module, pair): (&String, &Pair)| {
        module.contains(&format!(".{layer}.")) && pair.iter().all(Option::is_some)
    };
    match !pairs.is_empty() && pairs.iter().all(right) {
        true => Ok(()),
        false => Err(input(format!("{}: is no adapter of layer {layer}", folder.display()))),
    }
}

/// `lora_A` and `lora_B` of a module, transposed.
type Pair = [Option<Matrix>; 2];

/// The configuration and, by module, what the weights' file holds.
fn files(folder: &Path) -> Result<(Config, BTreeMap<String, Pair>)> {
    let path = folder.join(CONFIG);
    let config = Config::parse(&read_file(&path)?, &path)?;
    let path = folder.join(WEIGHTS);
    let bytes = read_file(&path)?;
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
        .map_err(|error| input(format!("{}: is damaged ({error})", path.display())))?;
    let mut pairs: BTreeMap<String, Pair> = BTreeMap::new();
    for (name, tensor) in tensors.iter().filter(|(name, _)| !name.ends_with(VELORA)) {
        let (module, which) = parts(name).ok_or_else(|| {
            input(format!("{}: tensor `{name}` is no part of a LoRA adapter", path.display()))
        })?;
        let matrix = matrix(tensor).map_err(|error| {
            input(format!("{}: tensor `{name}` is no matrix of finite numbers ({error})", path.display()))
        })?;
        let place = &mut pairs.entry(module.into()).or_default()[which];
        if place.replace(matrix).is_some() {
            return Err(input(format!("{}: tensor `{name}` is there under two names", path.display())));
        }
    }
    Ok((config, pairs))
}

/// Module and 0 for `lora_A`, 1 for `lora_B`.
fn parts(name: &str) -> Option<(&str, usize)> {
    let name = name.strip_prefix(PREFIX)?.strip_suffix(".weight")?;
    let name = name.strip_suffix(".default").unwrap_or(name);
    let (module, part) = name.rsplit_once('.')?;
    ["lora_A", "lora_B"].iter().position(|known| *known == part).map(|which| (module, which))
}

/// A matrix as PEFT stores it, transposed.
fn matrix(tensor: &Tensor) -> Result<Matrix> {
    let rows: Vec<Vec<f32>> = tensor.to_dtype(DType::F32)?.t()?.to_vec2()?;
    let width = rows.first().map_or(0, Vec::len);
    anyhow::ensure!(width > 0, "it is empty");
    let values: Vec<f32> = rows.into_iter().flatten().collect();
    anyhow::ensure!(values.iter().all(|value| value.is_finite()), "NaN or an infinity");
    Ok(Matrix::from_rows(width, values))
}
