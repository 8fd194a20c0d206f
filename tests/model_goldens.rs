//! The decoder against transformers, masked and unmasked: a model of each family with the head size, layer pattern and
//! window of a real one; hidden states, logits and greedy tokens (`tests/goldens/make_families.py`).

mod drawn;
mod families;
mod tiny;

use std::collections::HashMap;

use candle_core::{DType, IndexOp, Tensor};
use icl_mask::engine::{Limits, Plain, Request, StopRule, generate};
use icl_mask::intervene::{Change, Columns, Plan};
use icl_mask::model::{Decoder, Transformer};
use icl_mask::prompt::{Profile, Prompt, Segments};
use serde::Deserialize;

use drawn::Drawn;
use families::{Collected, FAMILIES, TOLERANCE, arrays, build, error, on_device, path};

const NEW_TOKENS: usize = 10;

/// `expected.json`, and beside each cell its part of `expected.safetensors`.
#[derive(Deserialize)]
struct Expected {
    draw: Drawn,
    prompt_length: usize,
    segments: Segments,
    /// Of the hidden state, those that are stored.
    dims: Vec<usize>,
    /// Token ids whose logits are stored after a step.
    logit_ids: Vec<usize>,
    /// Prompt rows whose last state is stored.
    rows: Vec<usize>,
    cells: Vec<Cell>,
    #[serde(skip)]
    arrays: HashMap<String, Tensor>,
}

/// A mask and the tokens that transformers generates under it.
#[derive(Deserialize)]
struct Cell {
    profile: Profile,
    mask: String,
    from_layer: usize,
    hidden: Vec<[usize; 2]>,
    /// Greedy.
    tokens: Vec<u32>,
    /// Is the last prompt row another one than without a mask?
    changes: Option<bool>,
}

impl Cell {
    fn plan(&self) -> Plan {
        let hidden = match self.mask.as_str() {
            "all" => Change::OnlySelf,
            _ => Change::Hide(Columns::new(self.hidden.iter().map(|&[from, till]| from..till))),
        };
        Plan::from_layer(self.from_layer, hidden)
    }

    fn place(&self, family: &str) -> String {
        format!("{family}, {:?}, {} from layer {}", self.profile, self.mask, self.from_layer)
    }
}

fn expected(family: &str) -> Expected {
    let text = std::fs::read(path(family, "expected.json")).unwrap();
    let mut expected: Expected = serde_json::from_slice(&text).unwrap();
    assert_eq!(expected.cells.len(), if family == "starcoder2" { 3 } else { 34 });
    expected.arrays = arrays(family, "expected.safetensors");
    expected
}

/// The model, what is expected of it, and its prompt.
fn open(family: &str) -> (Transformer, Expected, Prompt) {
    let expected = expected(family);
    let (model, prompt) = build(family, &expected.draw, expected.prompt_length, &expected.segments);
    (model, expected, prompt)
}

impl Expected {
    /// One array's part of one cell: rows of numbers.
    fn of_cell(&self, array: &str, cell: usize) -> Vec<Vec<f32>> {
        let part = self.arrays[array].i(cell).unwrap();
        if part.rank() == 2 { part.to_vec2() } else { part.unsqueeze(0).unwrap().to_vec2() }.unwrap()
    }
}

/// Keeps the largest error under each heading, and refuses one above the tolerance.
#[derive(Default)]
struct Errors(HashMap<&'static str, f32>);

impl Errors {
    fn check(&mut self, heading: &'static str, found: &[f32], expected: &[f32], place: &str) {
        let error = error(found, expected);
        assert!(error <= TOLERANCE, "{place}: {heading}: {error:e}");
        let largest = self.0.entry(heading).or_default();
        *largest = largest.max(error);
    }
}

fn picked(values: &[f32], at: &[usize]) -> Vec<f32> {
    at.iter().map(|&i| values[i]).collect()
}

fn norm(values: &[f32]) -> f32 {
    values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt() as f32
}

fn best(logits: &[f32]) -> u32 {
    logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0 as u32
}

/// The decoder alone, all rows through all layers and then row by row: what each layer adds, and each step.
#[test]
fn layers_and_logits_are_those_of_transformers() {
    for family in FAMILIES {
        let (model, expected, prompt) = open(family);
        let (n, mut errors) = (prompt.tokens.len(), Errors::default());
        for (index, cell) in expected.cells.iter().enumerate() {
            let (place, plan) = (cell.place(family), cell.plan());
            let mut sequence = Plain::new(&model, &plan, n + NEW_TOKENS).unwrap();
            let mut states = Vec::new();
            let last = sequence.feed(&prompt.tokens, |_, after| states.push(after.clone())).unwrap();
            let mut logits = model.logits(&last.select([n - 1])).unwrap().row(0).to_vec();
            let of_layers = expected.of_cell("states", index);
            let lengths = expected.of_cell("norms", index).remove(0);
            assert_eq!((states.len(), states.len()), (of_layers.len(), lengths.len()));
            for (layer, found) in states.iter().enumerate() {
                let (found, place) = (found.row(n - 1), format!("{place}, after layer {layer}"));
                errors.check("states", &picked(found, &expected.dims), &of_layers[layer], &place);
                errors.check("lengths", &[norm(found)], &lengths[layer..=layer], &place);
            }
            for (&at, expected_row) in expected.rows.iter().zip(expected.of_cell("rows", index)) {
                let found = picked(last.row(at), &expected.dims);
                errors.check("other rows", &found, &expected_row, &format!("{place}, row {at}"));
            }
            errors.check("logits", &logits, &expected.of_cell("logits", index)[0], &place);
            for (step, &token) in (1..).zip(&cell.tokens) {
                assert_eq!(best(&logits), token, "{place}, step {step}");
                logits = sequence.logits(&[token]).unwrap();
                let name = format!("step_{step}");
                if expected.arrays.contains_key(&name) {
                    let expected_logits = &expected.of_cell(&name, index)[0];
                    let found = picked(&logits, &expected.logit_ids);
                    errors.check("steps", &found, expected_logits, &format!("{place}, step {step}"));
                }
            }
        }
        println!("{family}: largest relative errors {:?}", errors.0);
    }
}

#[test]
fn generations_are_those_of_transformers() {
    let tokenizer = tiny::tokenizer("smollm");
    for family in FAMILIES {
        let (model, expected, prompt) = open(family);
        let request = |cell: &Cell| Request::new(&prompt, cell.plan());
        let requests: Vec<Request> = expected.cells.iter().map(request).collect();
        let rule = StopRule { eos: vec![], strings: vec![], max_new_tokens: NEW_TOKENS, full_length: true };
        let slots = if prompt.tokens.len() < 100 { vec![1, 7, requests.len()] } else { vec![7] };
        for slots in slots {
            let mut collected = Collected(vec![vec![]; requests.len()]);
            generate(&model, &tokenizer, &requests, &rule, Limits::branches(slots), &mut collected).unwrap();
            for (cell, tokens) in expected.cells.iter().zip(&collected.0) {
                assert_eq!(&cell.tokens, tokens, "{}", cell.place(family));
            }
        }
    }
}

/// The decoder for GPUs, in f32: the same logits, and from sweeps of any size the same tokens.
#[test]
fn on_a_device_logits_and_generations_are_those_of_transformers() {
    let tokenizer = tiny::tokenizer("smollm");
    for family in FAMILIES {
        let (_, expected, prompt) = open(family);
        let model = on_device(family, &expected.draw, DType::F32);
        let (n, mut errors) = (prompt.tokens.len(), Errors::default());
        for (index, cell) in expected.cells.iter().enumerate() {
            let (place, plan) = (cell.place(family), cell.plan());
            let logits = Plain::new(&model, &plan, n).unwrap().logits(&prompt.tokens).unwrap();
            errors.check("logits", &logits, &expected.of_cell("logits", index)[0], &place);
        }
        let request = |cell: &Cell| Request::new(&prompt, cell.plan());
        let requests: Vec<Request> = expected.cells.iter().map(request).collect();
        let rule = StopRule { eos: vec![], strings: vec![], max_new_tokens: NEW_TOKENS, full_length: true };
        for slots in [7, requests.len()] {
            let mut collected = Collected(vec![vec![]; requests.len()]);
            generate(&model, &tokenizer, &requests, &rule, Limits::branches(slots), &mut collected).unwrap();
            for (cell, tokens) in expected.cells.iter().zip(&collected.0) {
                assert_eq!(&cell.tokens, tokens, "{}", cell.place(family));
            }
        }
        println!("{family}: largest relative errors {:?}", errors.0);
    }
}

/// In half the width: how far logits may be from those in f32, as a share of the largest. Weights are drawn, not trained, so
/// that rounding them alone changes logits by some hundredths, and by more where a row chooses another expert.
#[test]
fn on_a_device_half_the_width_stays_near() {
    for (dtype, tolerance, with_experts) in [(DType::BF16, 0.2, 0.5), (DType::F16, 0.03, 0.03)] {
        let mut worst = Vec::new();
        for family in FAMILIES {
            let (_, expected, prompt) = open(family);
            let model = on_device(family, &expected.draw, dtype);
            let tolerance = if model.arch().experts.is_some() { with_experts } else { tolerance };
            let errors = expected.cells.iter().enumerate().step_by(7).map(|(index, cell)| {
                let (place, plan) = (cell.place(family), cell.plan());
                let logits = Plain::new(&model, &plan, prompt.tokens.len()).unwrap().logits(&prompt.tokens);
                let error = error(&logits.unwrap(), &expected.of_cell("logits", index)[0]);
                assert!(error <= tolerance, "{place}, {dtype:?}: {error:e}");
                error
            });
            worst.push((family, errors.fold(0f32, f32::max)));
        }
        println!("{dtype:?}: largest relative error of a logit {worst:?}");
    }
}

/// The columns that transformers was told to hide are those this program hides.
#[test]
fn segments_hide_the_columns_that_transformers_hid() {
    for family in FAMILIES {
        let (_, expected, prompt) = open(family);
        for cell in expected.cells.iter().filter(|cell| cell.profile == Profile::Exact) {
            assert_eq!(
                tiny::plan(&prompt, &cell.mask, cell.from_layer),
                cell.plan(),
                "{}",
                cell.place(family)
            );
        }
    }
}

/// A cell that could not tell a mask from none would prove nothing. Behind a window a mask may hide from the last row
/// nothing that it could read; a few cells are of that kind.
#[test]
fn masks_change_what_transformers_computes() {
    for family in FAMILIES {
        let expected = expected(family);
        assert_eq!(expected.cells[0].mask, "none");
        let baseline = &expected.of_cell("logits", 0)[0];
        let mut behind_the_window = 0;
        for (index, cell) in expected.cells.iter().enumerate().skip(1) {
            let change = error(&expected.of_cell("logits", index)[0], baseline);
            match cell.changes {
                Some(true) => assert!(change > 50. * TOLERANCE, "{}: {change:e}", cell.place(family)),
                _ => {
                    assert_eq!(change, 0., "{}", cell.place(family));
                    behind_the_window += 1;
                }
            }
        }
        let expected_number = match family {
            "qwen2-window" => 4,
            "starcoder2-short" => 2,
            "qwen3-yarn" => 4,
            "mistral-short" => 6,
            "phi3" => 2,
            "mixtral" => 4,
            _ => 0,
        };
        assert_eq!(behind_the_window, expected_number, "{family}");
    }
}

/// The rule that draws weights here is the one that drew them for transformers.
#[test]
fn weights_are_drawn_as_the_script_draws_them() {
    let text = r#"{"seed": "0", "rules": [["norm.weight", 1.0, 1.0]]}"#;
    let drawn: Drawn = serde_json::from_str(text).unwrap();
    assert_eq!(
        drawn.values("lm_head.weight", &[3, 5])[..4],
        [-0.480_887_77, -0.119_316_82, 0.240_369_08, 0.963_842_03]
    );
    assert_eq!(drawn.values("model.norm.weight", &[4])[..3], [1.375_814_2, 0.960_367_9, 1.406_544_4]);
    assert_eq!(drawn.token_ids(5, 64), [30, 48, 25, 3, 60]);
}
