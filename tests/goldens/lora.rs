//! Adapters against PEFT and transformers, for a model of each family (`tests/goldens/make_lora.py`): initial values, losses,
//! gradients, twenty steps of AdamW, files both ways. And gradients against differences of losses.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::Tensor;
use icl_mask::config::{LossOn, Training};
use icl_mask::engine::Plain;
use icl_mask::intervene::{Change, Plan};
use icl_mask::lora::{Frozen, Trainer, TrainingText, initial, peft};
use icl_mask::model::grad::{Differentiable, Gradient, Loss, Pass};
use icl_mask::model::{
    Activation, Adapter, AdapterId, Adapters, Decoder, LowRank, Matrix, Projection, Transformer, module_name,
};
use icl_mask::prompt::Segments;
use serde::Deserialize;

use crate::drawn::Drawn;
use crate::families::{FAMILIES, TOLERANCE, build, error, path};

#[derive(Deserialize)]
struct Recipe {
    draw: Drawn,
    prompt_length: usize,
    segments: Segments,
}

/// `lora.json`
#[derive(Deserialize)]
struct Golden {
    layer: usize,
    module: String,
    r: usize,
    alpha: f64,
    sequences: Vec<Vec<u32>>,
    from: Vec<usize>,
    init: Init,
    gradients: Gradients,
    training: Steps,
    adapted: Adapted,
}

#[derive(Deserialize)]
struct Init {
    seed: u32,
}

#[derive(Deserialize)]
struct Gradients {
    whole: Entry,
    target: Entry,
    #[serde(default)]
    projections: HashMap<Projection, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    /// Of `projections` alone.
    module: Option<String>,
    loss: f64,
}

#[derive(Deserialize)]
struct Steps {
    learning_rate: f64,
    weight_decay: f64,
    max_grad_norm: f64,
    batches: Vec<Vec<usize>>,
    losses: Vec<f64>,
    norms: Vec<f64>,
}

#[derive(Deserialize)]
struct Adapted {
    sequence: usize,
    loss: f64,
    plain_loss: f64,
    logits: Vec<f32>,
    plain_logits: Vec<f32>,
}

/// One family's model with what PEFT computed of it.
struct Case {
    model: Transformer,
    golden: Golden,
    arrays: HashMap<String, Tensor>,
    texts: Vec<TrainingText>,
}

fn lora_path(family: &str, file: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/goldens/lora", family, file].iter().collect()
}

impl Case {
    fn open(family: &'static str) -> Self {
        let recipe: Recipe =
            serde_json::from_slice(&std::fs::read(path(family, "expected.json")).unwrap()).unwrap();
        let (model, _) = build(family, &recipe.draw, recipe.prompt_length, &recipe.segments);
        let golden: Golden =
            serde_json::from_slice(&std::fs::read(lora_path(family, "lora.json")).unwrap()).unwrap();
        let file = lora_path(family, "lora.safetensors");
        let arrays = candle_core::safetensors::load(file, &candle_core::Device::Cpu).unwrap();
        let texts = golden.sequences.iter().zip(&golden.from).enumerate();
        let texts = texts
            .map(|(at, (tokens, &answer))| TrainingText {
                id: at.to_string(),
                tokens: tokens.clone(),
                answer,
            })
            .collect();
        Self { model, golden, arrays, texts }
    }

    /// A stored matrix, transposed as adapters hold theirs.
    fn matrix(&self, name: &str) -> Matrix {
        let rows: Vec<Vec<f32>> = self.arrays[name].t().unwrap().to_vec2().unwrap();
        Matrix::from_rows(rows[0].len(), rows.into_iter().flatten().collect())
    }

    fn frozen(&self) -> Frozen<'_> {
        let mut frozen = Frozen::new(&self.model, &self.texts).unwrap();
        frozen.advance_to(self.golden.layer).unwrap();
        frozen
    }

    fn scale(&self) -> f32 {
        (self.golden.alpha / self.golden.r as f64) as f32
    }

    /// The mean loss of all sequences and its gradient.
    fn gradient(&self, adapter: &Adapter, answer_alone: bool) -> (Loss, Gradient) {
        let frozen = self.frozen();
        let all: Vec<usize> = (0..self.texts.len()).collect();
        let (states, packed, next) = frozen.some(&all, answer_alone);
        let layer = self.golden.layer;
        let pass = Pass { layer, adapter, states: &states, packed: &packed, next: &next, noise: None };
        let differentiable = Differentiable::new(&self.model, layer).unwrap();
        let mut gradient = Gradient::zeros(adapter);
        let share = 1. / frozen.counted(&all, answer_alone) as f32;
        let loss = differentiable.gradient(&pass, share, &mut gradient).unwrap();
        assert_eq!(differentiable.loss(&pass).unwrap(), loss, "with and without a gradient");
        (loss, gradient)
    }
}

fn near(found: f64, expected: f64, tolerance: f64, what: &str) -> f64 {
    let error = (found - expected).abs() / expected.abs();
    assert!(error <= tolerance, "{what}: {found}, expected {expected}");
    error
}

#[test]
fn an_adapter_begins_as_pefts_does() {
    for family in FAMILIES {
        let case = Case::open(family);
        let Golden { layer, r, alpha, init, .. } = &case.golden;
        let mut found = vec![(Projection::O, "init.a".to_string())];
        let others = case.golden.gradients.projections.keys();
        found.extend(others.map(|&other| (other, format!("gradients.projections.{other}.a"))));
        for (projection, name) in found {
            let adapter = initial(case.model.arch(), *layer, &[projection], *r, *alpha, init.seed);
            let low_rank = &adapter.0[&(*layer, projection)];
            assert_eq!(low_rank.a, case.matrix(&name), "{family}, {projection}: A bit for bit");
            assert!(low_rank.b.data().iter().all(|value| *value == 0.));
        }
    }
}

/// Which projections can be trained, and what PEFT calls them.
#[test]
fn projections_have_the_names_of_their_modules() {
    let mut fused = 0;
    for family in FAMILIES {
        let Case { model, golden, .. } = Case::open(family);
        let name = |projection| module_name(model.arch(), golden.layer, projection);
        let ends = |projection, module: &str| {
            let name = name(projection).unwrap_or_default();
            assert!(name.ends_with(&format!(".{}.{module}", golden.layer)), "{family}, {projection}: {name}");
        };
        ends(Projection::O, &golden.module);
        for (projection, entry) in &golden.gradients.projections {
            ends(*projection, entry.module.as_deref().unwrap_or_default());
        }
        // BLOOM, GPT-2, GPT-NeoX, Phi-3 and Falcon have queries, keys and values in one matrix.
        let missing = [Projection::Q, Projection::K, Projection::V].map(|one| name(one).is_none());
        assert!(missing == [true; 3] || missing == [false; 3]);
        fused += usize::from(missing[0]);
    }
    assert_eq!(fused, 11);
}

#[test]
fn losses_and_gradients_are_those_of_peft() {
    let mut worst = [0f64; 2];
    for family in FAMILIES {
        let case = Case::open(family);
        let layer = case.golden.layer;
        let gradients = &case.golden.gradients;
        let mut checks = vec![
            (
                Projection::O,
                "gradients.whole".to_string(),
                "init.a".to_string(),
                "gradients.b".to_string(),
                &gradients.whole,
            ),
            (
                Projection::O,
                "gradients.target".into(),
                "init.a".into(),
                "gradients.b".into(),
                &gradients.target,
            ),
        ];
        for (projection, entry) in &gradients.projections {
            let name = format!("gradients.projections.{projection}");
            checks.push((*projection, name.clone(), format!("{name}.a"), format!("{name}.b"), entry));
        }
        for (projection, name, a, b, entry) in checks {
            let low_rank = LowRank { a: case.matrix(&a), b: case.matrix(&b), scale: case.scale() };
            let adapter = Adapter([((layer, projection), low_rank)].into());
            let (loss, gradient) = case.gradient(&adapter, name.ends_with("target"));
            let place = format!("{family}, {name}");
            worst[0] = worst[0].max(near(loss.mean(), entry.loss, 1e-5, &place));
            let found = &gradient.0[&(layer, projection)];
            for (found, which) in [(&found.a, "grad_a"), (&found.b, "grad_b")] {
                let error = error(found.data(), case.matrix(&format!("{name}.{which}")).data());
                assert!(error <= TOLERANCE, "{place}, {which}: {error:e}");
                worst[1] = worst[1].max(error.into());
            }
        }
    }
    println!("largest relative error of a loss: {:e}, of a gradient: {:e}", worst[0], worst[1]);
}

fn training(golden: &Golden) -> Training {
    Training {
        train_size: golden.sequences.len(),
        dev_size: 0,
        projections: vec![Projection::O],
        rank: golden.r,
        alpha: golden.alpha,
        dropout: 0.,
        learning_rate: golden.training.learning_rate,
        weight_decay: golden.training.weight_decay,
        max_grad_norm: Some(golden.training.max_grad_norm),
        batch: 3,
        epochs: 1,
        patience: 1,
        loss_on: LossOn::Whole,
    }
}

#[test]
fn twenty_steps_are_those_of_peft() {
    let (mut worst, mut clipped) = ([0f64; 4], 0);
    for family in FAMILIES {
        let case = Case::open(family);
        let (frozen, training) = (case.frozen(), training(&case.golden));
        let differentiable = Differentiable::new(&case.model, case.golden.layer).unwrap();
        let mut trainer = Trainer::new(&differentiable, &frozen, &training, case.golden.init.seed);
        let steps = &case.golden.training;
        let all = steps.batches.len();
        for (at, batch) in steps.batches.iter().enumerate() {
            let rate = steps.learning_rate * (all - at) as f64 / all as f64;
            trainer.step(1, batch, 0, rate).unwrap();
        }
        for (at, step) in trainer.log.steps.iter().enumerate() {
            let place = format!("{family}, step {at}");
            worst[0] = worst[0].max(near(step.loss, steps.losses[at], 1e-4, &place));
            worst[1] = worst[1].max(near(step.gradient_norm, steps.norms[at], 1e-3, &place));
            clipped += usize::from(step.gradient_norm > steps.max_grad_norm);
        }
        let saved = peft::read(&lora_path(family, "adapter"), case.model.arch()).unwrap();
        let place = (case.golden.layer, Projection::O);
        for (which, found, expected) in [
            (2, &trainer.adapter.0[&place].a, &saved.0[&place].a),
            (3, &trainer.adapter.0[&place].b, &saved.0[&place].b),
        ] {
            let error = error(found.data(), expected.data());
            assert!(error <= 1e-3, "{family}: the trained adapter: {error:e}");
            worst[which] = worst[which].max(error.into());
        }
    }
    assert!(clipped > 100, "steps that are clipped must occur");
    println!(
        "largest relative errors: losses {:e}, norms {:e}, A {:e}, B {:e}",
        worst[0], worst[1], worst[2], worst[3]
    );
}

/// Logits of the last token of a sequence.
fn logits(model: &Transformer, tokens: &[u32], plan: &Plan) -> Vec<f32> {
    Plain::new(model, plan, tokens.len()).unwrap().logits(tokens).unwrap()
}

#[test]
fn what_peft_saves_works_here_and_comes_back_the_same() {
    for family in FAMILIES {
        let mut case = Case::open(family);
        let arch = case.model.arch().clone();
        let saved = peft::read(&lora_path(family, "adapter"), &arch).unwrap();
        let (loss, _) = case.gradient(&saved, false);
        let Golden { layer, r, alpha, .. } = case.golden;
        let nothing = initial(&arch, layer, &[Projection::O], r, alpha, 0);
        let (plain_loss, _) = case.gradient(&nothing, false);
        let Adapted {
            sequence,
            loss: expected,
            plain_loss: plain_expected,
            logits: with,
            plain_logits: without,
        } = &case.golden.adapted;
        near(loss.mean(), *expected, 1e-5, family);
        near(plain_loss.mean(), *plain_expected, 1e-5, family);
        let tokens = case.texts[*sequence].tokens.clone();
        let adapted = Plan::at_layer(layer, Change::Adapt(AdapterId(7)));
        let check = |model: &Transformer, plan: &Plan, expected: &[f32]| {
            let error = error(&logits(model, &tokens, plan), expected);
            assert!(error <= TOLERANCE, "{family}: {error:e}");
        };
        check(&case.model, &Plan::UNMASKED, without);
        case.model.adapt(Adapters::default().with(AdapterId(7), saved.clone())).unwrap();
        check(&case.model, &Plan::UNMASKED, without);
        check(&case.model, &adapted, with);
        case.model.adapt(Adapters::everywhere(saved.clone())).unwrap();
        check(&case.model, &Plan::UNMASKED, with);

        let folder = tempfile::tempdir().unwrap();
        peft::write(folder.path(), &saved, &arch, family, alpha, 0.).unwrap();
        assert_eq!(peft::read(folder.path(), &arch).unwrap(), saved);
        // Byte for byte the same tensors, whatever order they stand in.
        let load = |path: PathBuf| {
            let tensors = candle_core::safetensors::load(path, &candle_core::Device::Cpu).unwrap();
            let values = |tensor: Tensor| tensor.to_vec2::<f32>().unwrap();
            let mut all: Vec<_> = tensors.into_iter().map(|(name, tensor)| (name, values(tensor))).collect();
            all.sort_by(|a, b| a.0.cmp(&b.0));
            all
        };
        assert_eq!(
            load(folder.path().join("adapter_model.safetensors")),
            load(lora_path(family, "adapter/adapter_model.safetensors"))
        );
    }
}

/// A gradient foretells how the loss changes in any direction. Not so where a step makes a row choose other experts: those families'
/// gradients are compared with PEFT's alone.
#[test]
fn gradients_are_differences_of_losses() {
    for family in FAMILIES {
        let case = Case::open(family);
        if case.model.arch().experts.is_some() {
            continue;
        }
        let layer = case.golden.layer;
        let Golden { r, alpha, .. } = case.golden;
        let present = Projection::ALL.into_iter().filter(|one| one.sizes(case.model.arch()).is_some());
        // All projections of the layer at once: what goes down through one is met by the next.
        let present: Vec<Projection> = present.collect();
        let mut adapter = initial(case.model.arch(), layer, &present, r, alpha, 3);
        let mut number = 0u64;
        let mut draw = || {
            number += 1;
            icl_mask::base::random::uniform(11, number) as f32 - 0.5
        };
        adapter.0.values_mut().flat_map(|one| one.b.data_mut()).for_each(|b| *b = 0.2 * draw());
        let (_, gradient) = case.gradient(&adapter, false);
        for ((place, low_rank), found) in adapter.0.iter().zip(gradient.0.values()) {
            for part in [0, 1] {
                let of = |low_rank: &LowRank| if part == 0 { low_rank.a.clone() } else { low_rank.b.clone() };
                let direction: Vec<f32> = of(low_rank).data().iter().map(|_| draw()).collect();
                let moved = |by: f32| {
                    let mut moved = adapter.clone();
                    let low_rank = moved.0.get_mut(place).unwrap();
                    let matrix = if part == 0 { &mut low_rank.a } else { &mut low_rank.b };
                    matrix.data_mut().iter_mut().zip(&direction).for_each(|(value, d)| *value += by * d);
                    case.gradient(&moved, false).0.mean()
                };
                let foretold: f64 =
                    of(found).data().iter().zip(&direction).map(|(g, d)| f64::from(g * d)).sum();
                let step = 2e-3;
                let change = (moved(step) - moved(-step)) / f64::from(2. * step);
                let size = of(found).data().iter().map(|g| f64::from(g * g)).sum::<f64>().sqrt();
                // Of the steepest change in any direction of this length; losses in f32 have seven digits.
                let length = direction.iter().map(|d| f64::from(d * d)).sum::<f64>().sqrt();
                let error = (change - foretold).abs() / (size * length);
                let noise = 4e-6 / f64::from(step) / (size * length);
                // A step may cross a bend of ReLU.
                let bends = if case.model.arch().activation == Activation::Relu { 3e-3 } else { 0. };
                assert!(
                    error <= 2e-3 + bends + noise,
                    "{family}, {place:?}, part {part}: {change}, foretold {foretold} ({error:e}, noise {noise:e})"
                );
            }
        }
    }
}
