//! Adapters as PEFT stores them: `adapter_config.json` and `adapter_model.safetensors`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, Result};
use candle_core::{DType, Device, Tensor};
use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::input;
use crate::hash::Hash;
use crate::model::{Adapter, Arch, LowRank, Matrix, Names, Projection, Qkv, module_name};
use crate::results::{write_atomically, write_json};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
const PREFIX: &str = "base_model.model.";

/// What of `adapter_config.json` changes what an adapter computes.
#[derive(Deserialize)]
struct Config {
    peft_type: String,
    lora_alpha: f64,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    bias: Option<String>,
    #[serde(default)]
    modules_to_save: Option<Value>,
    #[serde(default)]
    rank_pattern: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    alpha_pattern: Option<BTreeMap<String, f64>>,
}

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
    let alpha = if alpha.fract() == 0. { json!(alpha as i64) } else { json!(alpha) };
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
        "fan_in_fan_out": Names::of(arch).transposed,
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
    std::fs::read(path).map_err(|error| {
        input(format!(
            "cannot read {} ({error}): an adapter is a folder with {CONFIG} and {WEIGHTS}, as PEFT saves it",
            path.display()
        ))
    })
}

/// Read an adapter as PEFT saves it.
///
/// # Errors
/// An [`InputError`](crate::error::InputError): files that are not there or damaged, a kind of adapter that is more than
/// low-rank changes of projections, or one for other modules than this architecture has.
pub fn read(folder: &Path, arch: &Arch) -> Result<Adapter> {
    let (config, pairs) = files(folder)?;
    let path = folder.join(WEIGHTS);
    let mut adapter = Adapter::default();
    for (module, pair) in pairs {
        let [Some(a), Some(b)] = pair else {
            return Err(input(format!("{}: `{module}` lacks lora_A or lora_B", path.display())));
        };
        let rank = b.rows();
        if a.width() != rank || rank == 0 {
            return Err(input(format!("{}: lora_A and lora_B of `{module}` differ in rank", path.display())));
        }
        let root = if config.use_rslora { (rank as f64).sqrt() } else { rank as f64 };
        let low_rank = LowRank { a, b, scale: (config.lora_alpha / root) as f32 };
        let changed = places(arch, &module, low_rank).ok_or_else(|| {
            let family = serde_json::to_value(arch.family).unwrap_or_default();
            input(format!(
                "{}: changes `{module}`, which is no projection of a {} model",
                path.display(),
                family.as_str().unwrap_or_default()
            ))
        })?;
        adapter.join(Adapter(changed))?;
    }
    if adapter.0.is_empty() {
        return Err(input(format!("{}: holds no adapter", path.display())));
    }
    adapter.check(arch).with_context(|| folder.display().to_string())?;
    Ok(adapter)
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
    let config: Config = serde_json::from_slice(&read_file(&path)?)
        .map_err(|error| input(format!("{}: is not a configuration of PEFT ({error})", path.display())))?;
    config.check(&path)?;
    let path = folder.join(WEIGHTS);
    let bytes = read_file(&path)?;
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
        .map_err(|error| input(format!("{}: is damaged ({error})", path.display())))?;
    let mut pairs: BTreeMap<String, Pair> = BTreeMap::new();
    for (name, tensor) in &tensors {
        let (module, which) = parts(name).ok_or_else(|| {
            input(format!("{}: tensor `{name}` is no part of a LoRA adapter", path.display()))
        })?;
        let matrix = matrix(tensor).map_err(|error| {
            input(format!("{}: tensor `{name}` is no matrix of finite numbers ({error})", path.display()))
        })?;
        pairs.entry(module.into()).or_default()[which] = Some(matrix);
    }
    Ok((config, pairs))
}

impl Config {
    /// Refuse what would be computed otherwise than it was trained.
    fn check(&self, path: &Path) -> Result<()> {
        let refuse = |what: &str| Err(input(format!("{}: {what}", path.display())));
        let some = |value: &Option<Value>| {
            value.as_ref().is_some_and(|value| !value.is_null() && *value != json!([]))
        };
        match () {
            () if self.peft_type != "LORA" => {
                refuse(&format!("is an adapter of kind {}; only LORA is read", self.peft_type))
            }
            () if self.use_dora => refuse("use_dora: DoRA is not read"),
            () if self.bias.as_deref().is_some_and(|bias| bias != "none") => {
                refuse("bias: adapters that train biases are not read")
            }
            () if some(&self.modules_to_save) => {
                refuse("modules_to_save: adapters with whole modules are not read")
            }
            () if self.alpha_pattern.as_ref().is_some_and(|pattern| !pattern.is_empty())
                || self.rank_pattern.as_ref().is_some_and(|pattern| !pattern.is_empty()) =>
            {
                refuse("rank_pattern and alpha_pattern: ranks and scales by module are not read")
            }
            () => Ok(()),
        }
    }
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

/// The projections that a module is: one, or queries, keys and values where the family stores them in one matrix.
fn places(arch: &Arch, module: &str, low_rank: LowRank) -> Option<BTreeMap<(usize, Projection), LowRank>> {
    let names = Names::of(arch);
    let rest = module.strip_prefix(names.blocks)?.strip_prefix('.')?;
    let (layer, part) = rest.split_once('.')?;
    let layer: usize = layer.parse().ok()?;
    let single = Projection::ALL
        .into_iter()
        .find(|&projection| module_name(arch, layer, projection).as_deref() == Some(module));
    if let Some(projection) = single {
        return Some(BTreeMap::from([((layer, projection), low_rank)]));
    }
    let width = arch.heads * arch.head_dim;
    if low_rank.b.width() != 3 * width {
        return None;
    }
    let row = |which: usize, at: usize| match names.qkv {
        Qkv::Stacked(name) if name == part => Some(which * width + at),
        Qkv::ByHead(name) if name == part => {
            Some((at / arch.head_dim * 3 + which) * arch.head_dim + at % arch.head_dim)
        }
        _ => None,
    };
    row(0, 0)?;
    let own = |which: usize| {
        let columns: Vec<usize> = (0..width).filter_map(|at| row(which, at)).collect();
        let b = (0..low_rank.rank()).flat_map(|rank| columns.iter().map(move |&column| (rank, column)));
        let b = b.map(|(rank, column)| low_rank.b.row(rank)[column]).collect();
        LowRank { a: low_rank.a.clone(), b: Matrix::from_rows(width, b), scale: low_rank.scale }
    };
    let parts = [Projection::Q, Projection::K, Projection::V].into_iter().enumerate();
    Some(parts.map(|(which, projection)| ((layer, projection), own(which))).collect())
}
