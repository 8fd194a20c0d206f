//! Inside the decoder, against transformers: one layer without attention, and the attention weights themselves, masked and
//! unmasked (`tests/goldens/make_inside.py`).

use crate::tiny;
use std::collections::HashMap;

use candle_core::{IndexOp, Tensor};
use icl_mask::engine::{Limits, Plain, Request, StopRule, generate};
use icl_mask::intervene::{Change, Columns, Plan};
use icl_mask::model::{Decoder, Matrix, Transformer};
use icl_mask::prompt::{Prompt, Segments};
use serde::Deserialize;

use crate::drawn::Drawn;
use crate::families::{Collected, FAMILIES, TOLERANCE, arrays, build, error, path};

/// What of `expected.json` makes the model.
#[derive(Deserialize)]
struct Recipe {
    draw: Drawn,
    prompt_length: usize,
    segments: Segments,
}

/// `inside.json`
#[derive(Deserialize)]
struct Inside {
    /// Prompt rows whose attention is stored.
    rows: Vec<usize>,
    ablated: Vec<Ablated>,
    attention: Vec<Attention>,
}

#[derive(Deserialize)]
struct Ablated {
    layer: usize,
    /// Greedy; fewer than ten where the next choice was close.
    tokens: Vec<u32>,
}

#[derive(Deserialize)]
struct Attention {
    mask: String,
    from_layer: usize,
    hidden: Vec<[usize; 2]>,
    layer: usize,
    /// First and one past the last of those that are stored.
    columns: [usize; 2],
}

fn open(family: &str) -> (Transformer, Prompt, Inside, HashMap<String, Tensor>) {
    let read = |file| std::fs::read(path(family, file)).unwrap();
    let recipe: Recipe = serde_json::from_slice(&read("expected.json")).unwrap();
    let (model, prompt) = build(family, &recipe.draw, recipe.prompt_length, &recipe.segments);
    (
        model,
        prompt,
        serde_json::from_slice(&read("inside.json")).unwrap(),
        arrays(family, "inside.safetensors"),
    )
}

#[test]
fn a_layer_without_attention_is_that_of_transformers() {
    let tokenizer = tiny::tokenizer("smollm");
    let mut worst = 0f32;
    for family in FAMILIES {
        let (model, prompt, inside, arrays) = open(family);
        assert_eq!(inside.ablated.len(), model.arch().layers);
        let expected: Vec<Vec<f32>> = arrays["ablated_logits"].to_vec2().unwrap();
        let plans = inside.ablated.iter().map(|ablated| Plan::at_layer(ablated.layer, Change::NoAttention));
        let requests: Vec<Request> = plans.map(|plan| Request::new(&prompt, plan)).collect();
        for (request, expected) in requests.iter().zip(&expected) {
            let mut sequence = Plain::new(&model, &request.plan, prompt.tokens.len()).unwrap();
            let error = error(&sequence.logits(&prompt.tokens).unwrap(), expected);
            assert!(error <= TOLERANCE, "{family}, {:?}: {error:e}", request.plan);
            worst = worst.max(error);
        }
        let rule = StopRule { eos: vec![], strings: vec![], max_new_tokens: 10, full_length: true };
        let mut collected = Collected(vec![vec![]; requests.len()]);
        generate(&model, &tokenizer, &requests, &rule, Limits::branches(8), &mut collected).unwrap();
        for (ablated, tokens) in inside.ablated.iter().zip(&collected.0) {
            assert!(!ablated.tokens.is_empty());
            assert_eq!(ablated.tokens, tokens[..ablated.tokens.len()], "{family}, layer {}", ablated.layer);
        }
    }
    println!("largest relative error of a logit: {worst:e}");
}

fn plan(attention: &Attention) -> Plan {
    let columns = || Columns::new(attention.hidden.iter().map(|&[from, till]| from..till));
    let change = if attention.mask == "all" { Change::OnlySelf } else { Change::Hide(columns()) };
    Plan::from_layer(attention.from_layer, change)
}

/// The states that enter a layer.
fn entering(model: &Transformer, prompt: &Prompt, plan: &Plan, layer: usize) -> Matrix {
    let positions: Vec<usize> = (0..prompt.tokens.len()).collect();
    let mut states = model.embed(&prompt.tokens, &positions).unwrap();
    let mut sequence = Plain::new(model, plan, prompt.tokens.len()).unwrap();
    sequence
        .feed(&prompt.tokens, |at, after| {
            if at + 1 == layer {
                states = after.clone();
            }
        })
        .unwrap();
    states
}

#[test]
fn attention_weights_are_those_of_transformers() {
    let (mut worst, mut empty) = (0f32, 0);
    for family in FAMILIES {
        let (model, prompt, inside, arrays) = open(family);
        for (index, attention) in inside.attention.iter().enumerate() {
            let plan = plan(attention);
            let states = entering(&model, &prompt, &plan, attention.layer);
            let head = |head: usize| model.attention(attention.layer, &states, &plan, head).unwrap();
            let found: Vec<Matrix> = (0..model.arch().heads).map(head).collect();
            let expected = &arrays[&format!("attention_{index}")];
            assert_eq!(expected.dims()[..2], [found.len(), inside.rows.len()]);
            let [from, till] = attention.columns;
            for (head, found) in found.iter().enumerate() {
                for (at, &row) in inside.rows.iter().enumerate() {
                    let place = format!(
                        "{family}, {} at layer {}, head {head}, row {row}",
                        attention.mask, attention.layer
                    );
                    let expected: Vec<f32> = expected.i((head, at)).unwrap().to_vec1().unwrap();
                    let found_row = &found.row(row)[from..till];
                    if expected.iter().all(|weight| *weight == 0.) {
                        assert_eq!(found_row, expected, "{place}");
                        empty += 1;
                        continue;
                    }
                    let error = error(found_row, &expected);
                    assert!(error <= TOLERANCE, "{place}: {error:e}");
                    worst = worst.max(error);
                    let sum: f32 = found.row(row).iter().sum();
                    // A sink takes its share.
                    let right = if model.arch().sinks { sum < 1. } else { (sum - 1.).abs() < 1e-5 };
                    assert!(right, "{place}: {sum}");
                }
            }
        }
    }
    assert!(empty > 20, "rows with nothing to read must occur");
    println!("largest relative error of a weight: {worst:e}; rows with nothing to read: {empty}");
}
