//! Experts in the other ways in which files hold them: as transformers' own modules do, and one by one as in older GGUF files.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use candle_core::quantized::QTensor;
use candle_core::quantized::gguf_file::{self, Content, Value};
use candle_core::{Device, Tensor};
use icl_mask::base::error::InputError;
use icl_mask::model::{
    Adapter, Adapters, Checkpoint, LowRank, Matrix, Precision, Projection, Transformer, module_name,
};

use crate::checkpoints::{change, copied, expected, logits, path};

type Tensors = HashMap<String, Tensor>;

/// Take the experts of each layer out, and put them back in two tensors.
fn stack(tensors: &mut Tensors, published: (&str, [&str; 3]), gate: &str) {
    let (module, parts) = published;
    for layer in 0.. {
        let start = format!("model.layers.{layer}");
        let mut experts: [Vec<Tensor>; 3] = Default::default();
        for expert in 0.. {
            let name = |part: &str| format!("{start}.{module}.experts.{expert}.{part}.weight");
            if !tensors.contains_key(&name(parts[0])) {
                break;
            }
            for (of_all, part) in experts.iter_mut().zip(parts) {
                of_all.push(tensors.remove(&name(part)).unwrap());
            }
        }
        let [gates, ups, downs] = experts;
        if gates.is_empty() {
            assert!(layer > 0, "experts");
            return;
        }
        let both = gates.iter().zip(&ups).map(|(gate, up)| Tensor::cat(&[gate, up], 0).unwrap());
        let both: Vec<Tensor> = both.collect();
        tensors.insert(format!("{start}.mlp.experts.gate_up_proj"), Tensor::stack(&both, 0).unwrap());
        tensors.insert(format!("{start}.mlp.experts.down_proj"), Tensor::stack(&downs, 0).unwrap());
        let router = tensors.remove(&format!("{start}.{gate}.weight")).unwrap();
        tensors.insert(format!("{start}.mlp.gate.weight"), router);
    }
}

fn same_logits(file: &Path, name: &str) {
    let (prompt, _) = expected(name, "logits");
    for precision in [Precision::F32, Precision::Stored] {
        let right = logits(&path(name), precision, &prompt).unwrap();
        assert!(logits(file, precision, &prompt).unwrap() == right, "{name}, {precision:?}");
    }
}

fn refused(file: &Path, parts: &[&str]) {
    let opened = Checkpoint::open(file).and_then(|file| Transformer::load(&file, Precision::F32));
    let error = opened.err().expect("refused");
    let message = format!("{error:#}");
    assert!(error.chain().any(|cause| cause.is::<InputError>()), "{message}");
    assert!(parts.iter().all(|part| message.contains(part)), "{message}");
}

#[test]
fn stacked_experts_are_the_same() {
    let llama = ["gate_proj", "up_proj", "down_proj"];
    for (name, published, gate) in [
        ("mixtral", ("block_sparse_moe", ["w1", "w3", "w2"]), "block_sparse_moe.gate"),
        ("qwen3-moe", ("mlp", llama), "mlp.gate"),
        ("olmoe", ("mlp", llama), "mlp.gate"),
    ] {
        let folder = copied(name);
        change(folder.path(), |tensors| stack(tensors, published, gate));
        same_logits(folder.path(), name);
        let one = "model.layers.1.mlp.experts.down_proj";
        change(folder.path(), |tensors| {
            let fewer = tensors[one].narrow(0, 0, 2).unwrap();
            tensors.insert(one.into(), fewer);
        });
        refused(folder.path(), &[one, "has shape [2, "]);
    }
    let folder = copied("granitemoe");
    change(folder.path(), |tensors| {
        for layer in 0..2 {
            for (from, to) in [
                ("input_linear.weight", "experts.gate_up_proj"),
                ("output_linear.weight", "experts.down_proj"),
                ("router.layer.weight", "router.weight"),
            ] {
                let name = |part: &str| format!("model.layers.{layer}.block_sparse_moe.{part}");
                let tensor = tensors.remove(&name(from)).unwrap();
                tensors.insert(name(to), tensor);
            }
        }
    });
    same_logits(folder.path(), "granitemoe");
}

/// A GGUF file with other tensors and metadata.
fn rewritten(
    from: &Path,
    to: &Path,
    change: impl Fn(&mut Vec<(String, QTensor)>, &mut HashMap<String, Value>),
) {
    let mut file = File::open(from).unwrap();
    let content = Content::read(&mut file).unwrap();
    let mut tensors: Vec<(String, QTensor)> = (content.tensor_infos.keys())
        .map(|name| (name.clone(), content.tensor(&mut file, name, &Device::Cpu).unwrap()))
        .collect();
    let mut metadata = content.metadata.clone();
    change(&mut tensors, &mut metadata);
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let tensors: Vec<(&str, &QTensor)> =
        tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    gguf_file::write(&mut File::create(to).unwrap(), &metadata, &tensors).unwrap();
}

#[test]
fn older_files_hold_each_expert_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("old.gguf");
    rewritten(&path("mixtral/model.gguf"), &old, |tensors, _| {
        let all = std::mem::take(tensors);
        for (name, tensor) in all {
            let Some(start) = name.strip_suffix("_exps.weight") else {
                tensors.push((name, tensor));
                continue;
            };
            let wide = tensor.dequantize(&Device::Cpu).unwrap();
            for expert in 0..wide.dims()[0] {
                // A copy: candle quantizes the whole of what a view is of.
                let values: Vec<f32> = wide.get(expert).unwrap().flatten_all().unwrap().to_vec1().unwrap();
                let one = Tensor::from_vec(values, &wide.dims()[1..], &Device::Cpu).unwrap();
                let one = QTensor::quantize(&one, tensor.dtype()).unwrap();
                tensors.push((format!("{start}.{expert}.weight"), one));
            }
        }
    });
    let (prompt, _) = expected("mixtral", "logits");
    let both = [&old, &path("mixtral/model.gguf")].map(|file| logits(file, Precision::F32, &prompt).unwrap());
    assert!(both[0] == both[1]);
}

#[test]
fn what_is_not_computed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("odd.gguf");
    for (name, key, value, says) in [
        ("mixtral", "llama.expert_used_count", Value::U32(9), "a choice of 9 of 4 experts"),
        ("mixtral", "llama.expert_used_count", Value::U32(0), "a choice of 0 of 4 experts"),
        ("mixtral", "llama.expert_count", Value::U32(5), "expected [5, "),
        ("qwen3-moe", "qwen3moe.expert_gating_func", Value::U32(2), "`qwen3moe.expert_gating_func` is 2"),
        ("qwen3-moe", "qwen3moe.expert_shared_count", Value::U32(1), "`qwen3moe.expert_shared_count` is 1"),
        (
            "qwen3-moe",
            "qwen3moe.expert_weights_scale",
            Value::F32(2.),
            "`qwen3moe.expert_weights_scale` is 2",
        ),
        ("qwen2", "qwen2.expert_count", Value::U32(4), "`qwen2.expert_count` is 4"),
    ] {
        rewritten(&path(&format!("{name}/model.gguf")), &file, |_, metadata| {
            metadata.insert(key.into(), value.clone());
        });
        refused(&file, &["odd.gguf", says]);
    }
    let folder = copied("gpt-oss-mxfp4");
    let scales = "model.layers.0.mlp.experts.down_proj_scales";
    change(folder.path(), |tensors| drop(tensors.remove(scales)));
    refused(folder.path(), &[scales, "is missing"]);
    let nan = Tensor::full(255u8, (3, 32, 2), &Device::Cpu).unwrap();
    change(folder.path(), |tensors| drop(tensors.insert(scales.into(), nan)));
    refused(folder.path(), &["down_proj_blocks", "holds NaN"]);
}

/// PEFT changes modules, and transformers' experts are none.
#[test]
fn adapters_of_experts_are_refused() {
    let checkpoint = Checkpoint::open(&path("mixtral")).unwrap();
    let mut model = Transformer::load(&checkpoint, Precision::F32).unwrap();
    for projection in [Projection::Gate, Projection::Up, Projection::Down] {
        assert_eq!(module_name(checkpoint.arch(), 0, projection), None);
        let matrix = |rows: usize, width: usize| Matrix::zeros(rows, width);
        let low_rank = LowRank { a: matrix(12, 1), b: matrix(1, 14), scale: 1. };
        let adapter = Adapter([((0, projection), low_rank)].into_iter().collect());
        let error = model.adapt(Adapters::everywhere(adapter)).unwrap_err().to_string();
        assert!(
            error.contains(&format!("projection {projection} of layer 0, which the model does not")),
            "{error}"
        );
    }
}
