//! Where a module's change goes: from the names that transformers gives modules, in each of their spellings, to projections.

use std::collections::BTreeMap;

use crate::model::{Arch, Family, LowRank, Matrix, Projection, Qkv, TensorNames, module_name};

/// The text before a block's number in Gemma 3 models with images: in newer versions of transformers, in older ones, and
/// where the model without its head was adapted.
const WITH_IMAGES: [&str; 3] =
    ["model.language_model.layers", "language_model.model.layers", "language_model.layers"];
/// Parts of a model with images that its text half does without.
const IMAGES: [&str; 4] =
    ["vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector."];

/// Whether a module belongs to the half of a model that sees images, which no text goes through.
pub fn is_of_images(arch: &Arch, module: &str) -> bool {
    arch.family == Family::Gemma3 && IMAGES.iter().any(|start| module.starts_with(start))
}

/// The names that a module goes by: its own, and for a family with images those of the model with and without them.
pub fn spellings(arch: &Arch, module: &str) -> Vec<String> {
    let mut all = vec![module.to_string()];
    if arch.family == Family::Gemma3 {
        let blocks = TensorNames::of(arch).blocks;
        let starts = || WITH_IMAGES.into_iter().chain([blocks]);
        let rest = starts().find_map(|start| module.strip_prefix(start)).filter(|rest| rest.starts_with('.'));
        let others = rest.into_iter().flat_map(|rest| starts().map(move |start| format!("{start}{rest}")));
        all.extend(others.filter(|other| other != module));
    }
    all
}

/// Every module of an architecture that an adapter can change.
pub fn modules(arch: &Arch) -> Vec<String> {
    let names = TensorNames::of(arch);
    let stacked = match names.qkv {
        Qkv::Stacked(name) | Qkv::ByGroup(name) => Some(name),
        Qkv::Apart(_) => None,
    };
    let of_layer = |layer: usize| {
        let single = Projection::ALL.into_iter().filter_map(move |one| module_name(arch, layer, one));
        let fused = stacked.into_iter().chain(names.gate_up);
        single.chain(fused.map(move |name| format!("{}.{layer}.{name}", names.blocks)))
    };
    (0..arch.layers).flat_map(of_layer).collect()
}

/// The projections that a module is: one, or queries, keys and values where the family stores them in one matrix.
pub fn places(
    arch: &Arch,
    module: &str,
    low_rank: &LowRank,
) -> Option<BTreeMap<(usize, Projection), LowRank>> {
    let names = TensorNames::of(arch);
    let rest = module.strip_prefix(names.blocks)?.strip_prefix('.')?;
    let (layer, part) = rest.split_once('.')?;
    let layer: usize = layer.parse().ok()?;
    let single = Projection::ALL
        .into_iter()
        .find(|&projection| module_name(arch, layer, projection).as_deref() == Some(module));
    if let Some(projection) = single {
        return Some(BTreeMap::from([((layer, projection), low_rank.clone())]));
    }
    let parts = fused(arch, names, part)?;
    let outputs: usize = parts.iter().map(|(_, columns)| columns.len()).sum();
    if low_rank.b.width() != outputs {
        return None;
    }
    let own = |columns: &[usize]| {
        let b = (0..low_rank.rank()).flat_map(|rank| columns.iter().map(move |&column| (rank, column)));
        let b = b.map(|(rank, column)| low_rank.b.row(rank)[column]).collect();
        LowRank { a: low_rank.a.clone(), b: Matrix::from_rows(columns.len(), b), scale: low_rank.scale }
    };
    let part = |(projection, columns): (Projection, Vec<usize>)| ((layer, projection), own(&columns));
    Some(parts.into_iter().map(part).collect())
}

/// The projections that a module holds in one matrix, each with its outputs among all; `None` for another module.
fn fused(arch: &Arch, names: &TensorNames, part: &str) -> Option<Vec<(Projection, Vec<usize>)>> {
    use Projection::{Gate, K, Q, Up, V};
    let Arch { heads, kv_heads, head_dim, intermediate, .. } = *arch;
    let (width, kv, group) = (heads * head_dim, kv_heads * head_dim, heads / kv_heads);
    let range = |first: usize, count: usize| (first..first + count).collect();
    match names.qkv {
        Qkv::Stacked(name) if name == part => {
            return Some(vec![(Q, range(0, width)), (K, range(width, kv)), (V, range(width + kv, kv))]);
        }
        Qkv::ByGroup(name) if name == part => {
            let of = |first: usize, each: usize| {
                let head = |at: usize| (at / each * (group + 2) + first + at % each) * head_dim;
                (0..kv_heads * each).flat_map(|at| head(at)..head(at) + head_dim).collect()
            };
            return Some(vec![(Q, of(0, group)), (K, of(group, 1)), (V, of(group + 1, 1))]);
        }
        _ => {}
    }
    (names.gate_up == Some(part))
        .then(|| vec![(Gate, range(0, intermediate)), (Up, range(intermediate, intermediate))])
}
