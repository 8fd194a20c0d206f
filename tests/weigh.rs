//! The laws of weighed options, on tiny models with random weights: what is shared among options, branches and items changes
//! nothing.

mod tiny;

use anyhow::Result;
use icl_mask::engine::{Generation, Limits, Observer, Options, Plain, Request, Weighed, weigh};
use icl_mask::intervene::{Change, Columns, Edit, Plan};
use icl_mask::model::{Decoder, Family, Transformer};
use icl_mask::prompt::{Profile, Prompt, Tokenizer};
use proptest::prelude::*;
use tiny::{LAYERS, MASKS};

struct Collected(Vec<Option<Weighed>>);

impl Observer for Collected {
    fn finished(&mut self, index: usize, _: Generation) -> Result<()> {
        panic!("nothing is generated, but request {index} is finished");
    }

    fn weighed(&mut self, index: usize, weighed: Weighed) -> Result<()> {
        assert!(self.0[index].replace(weighed).is_none(), "{index} finished twice");
        Ok(())
    }
}

fn sweep<D: Decoder>(model: &D, requests: &[Request], limits: Limits) -> Vec<Weighed> {
    let mut collected = Collected(vec![None; requests.len()]);
    weigh(model, requests, limits, &mut collected).unwrap();
    let weighed = collected.0.into_iter().map(|weighed| weighed.expect("weighed"));
    weighed.map(|weighed| Weighed { seconds: 0., ..weighed }).collect()
}

/// Natural logarithms of the probabilities of all tokens after these.
fn distribution(model: &Transformer, prompt: &Prompt, plan: &Plan, after: &[u32]) -> Vec<f64> {
    let tokens = [&prompt.tokens, after].concat();
    let logits = Plain::new(model, plan, tokens.len()).unwrap().logits(&tokens).unwrap();
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| (f64::from(*logit) - f64::from(most)).exp()).sum();
    logits.iter().map(|logit| f64::from(*logit) - f64::from(most) - sum.ln()).collect()
}

/// Each token of each option by itself: every row of its whole sequence through every layer.
fn oracle(model: &Transformer, request: &Request) -> Weighed {
    let options = request.ask.options().expect("options");
    let of = |plan: &Plan, after: &[u32]| distribution(model, request.prompt, plan, after);
    let weighed = options.tokens().iter().map(|tokens| {
        let each = tokens.iter().enumerate();
        each.map(|(at, token)| of(&request.plan, &tokens[..at])[*token as usize]).collect()
    });
    let before = &options.tokens()[0][..options.measured()];
    let [unmasked, masked] = [of(&Plan::UNMASKED, before), of(&request.plan, before)];
    let divergence = unmasked.iter().zip(&masked).map(|(p, q)| p.exp() * (p - q)).sum();
    let likeliest = (0..masked.len()).rev().max_by(|&a, &b| masked[a].total_cmp(&masked[b])).unwrap();
    Weighed { options: weighed.collect(), likeliest: likeliest as u32, divergence, seconds: 0. }
}

fn assert_near(found: &Weighed, expected: &Weighed, within: f64, what: &str) {
    assert_eq!(found.likeliest, expected.likeliest, "{what}");
    assert!((found.divergence - expected.divergence).abs() < within, "{what}: {found:?} {expected:?}");
    for (found, expected) in found.options.iter().flatten().zip(expected.options.iter().flatten()) {
        assert!((found - expected).abs() < within, "{what}: {found} {expected}");
    }
}

fn options(tokens: &[&[u32]], measured: usize) -> Options {
    Options::new(tokens.iter().map(|tokens| tokens.to_vec()).collect(), measured).unwrap()
}

/// One token each; shared beginnings, and one option that is the beginning of another; and a beginning that is no choice.
fn some() -> [Options; 3] {
    [
        options(&[&[5], &[9], &[200]], 0),
        options(&[&[5, 6, 7], &[5], &[5, 6, 8, 9, 10], &[11, 12], &[5, 6]], 0),
        options(&[&[5, 6, 7], &[5, 6], &[5, 9, 3, 4]], 1),
    ]
}

const WORLDS: [(Family, &str, [Option<usize>; LAYERS], Profile); 5] = [
    (Family::Llama, "llama-bpe", [None; LAYERS], Profile::Exact),
    (Family::Qwen2, "smollm", [None; LAYERS], Profile::Sia2024),
    (Family::Mixtral, "smollm", [None; LAYERS], Profile::Exact),
    (Family::Llama, "smollm", [Some(7); LAYERS], Profile::Exact),
    (Family::Qwen2, "llama-bpe", [None, Some(5), None, Some(20)], Profile::Exact),
];

fn worlds() -> Vec<(Transformer, Tokenizer, Profile)> {
    let world = |(family, name, windows, profile)| {
        let tokenizer = tiny::tokenizer(name);
        (tiny::windowed_model(family, &tokenizer, windows), tokenizer, profile)
    };
    WORLDS.map(world).into()
}

/// All masks and layers of each prompt; every prompt has options of its own.
fn requests<'a>(prompts: &'a [Prompt], options: &'a [Options], layers: &[usize]) -> Vec<Request<'a>> {
    let of = |(at, prompt): (usize, &'a Prompt)| {
        MASKS.into_iter().flat_map(move |mask| {
            layers.iter().map(move |&layer| {
                Request::weighing(prompt, tiny::plan(prompt, mask, layer), &options[at % options.len()])
            })
        })
    };
    prompts.iter().enumerate().flat_map(of).collect()
}

/// The whole grid in one go, in small batches and one by one; all against the oracle.
#[test]
fn the_sweep_is_every_option_alone() {
    for (model, tokenizer, profile) in worlds() {
        let prompts = tiny::prompts(&tokenizer, profile, 3, 3);
        let (options, layers) = (some(), [0, 1, 2, LAYERS]);
        let requests = requests(&prompts, &options, &layers);
        let together = sweep(&model, &requests, Limits::branches(1000));
        for branches in [1, 2, 7] {
            assert_eq!(together, sweep(&model, &requests, Limits::branches(branches)), "{branches}");
        }
        let narrow = Limits { pass_rows: 9, ..Limits::branches(1000) };
        assert_eq!(together, sweep(&model, &requests, narrow));
        for (request, found) in requests.iter().zip(&together) {
            let alone = sweep(&model, std::slice::from_ref(request), Limits::branches(1));
            assert_eq!(alone, std::slice::from_ref(found));
            assert_near(found, &oracle(&model, request), 2e-5, &format!("{:?}", request.plan));
        }
    }
}

/// Where nothing is changed nothing diverges, and the weight of an option is that of the baseline, bit for bit.
#[test]
fn the_run_from_layer_l_is_the_baseline() {
    let (model, tokenizer, profile) = worlds().remove(0);
    let (prompts, options) = (tiny::prompts(&tokenizer, profile, 3, 3), some());
    let baseline: Vec<Request> = prompts
        .iter()
        .zip(&options)
        .map(|(prompt, options)| Request::weighing(prompt, Plan::UNMASKED, options))
        .collect();
    let baseline = sweep(&model, &baseline, Limits::branches(9));
    assert!(baseline.iter().all(|weighed| weighed.divergence == 0.));
    for (at, found) in
        sweep(&model, &requests(&prompts, &options, &[LAYERS]), Limits::branches(9)).iter().enumerate()
    {
        assert_eq!(*found, baseline[at / MASKS.len()]);
    }
}

/// What a device computes is near what the processor does.
#[test]
fn a_device_weighs_alike() {
    let tokenizer = tiny::tokenizer("smollm");
    let host = tiny::windowed_model(Family::Llama, &tokenizer, [None; LAYERS]);
    let device = tiny::on_device(Family::Llama, &tokenizer, [None; LAYERS], &tiny::device());
    let (prompts, options) = (tiny::prompts(&tokenizer, Profile::Exact, 3, 3), some());
    let requests = requests(&prompts, &options, &[0, 2, LAYERS]);
    let [found, expected] =
        [sweep(&device, &requests, Limits::branches(9)), sweep(&host, &requests, Limits::branches(9))];
    for (found, expected) in found.iter().zip(&expected) {
        assert_near(found, expected, 1e-4, "device");
    }
}

/// Edits on drawn layers, rows (also those of forced tokens) and columns.
fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let range = |most: usize| (0..most, 1..most).prop_map(|(start, length)| start..start + length);
    let change = (0..3usize, range(50)).prop_map(|(which, columns)| match which {
        0 => Change::OnlySelf,
        1 => Change::NoAttention,
        _ => Change::Hide(Columns::new([columns])),
    });
    let rows = proptest::option::of(range(70));
    let edit = (range(LAYERS), rows, change).prop_map(|(layers, rows, change)| {
        let rows = rows.map_or(Columns::all(), |rows| Columns::new([rows]));
        Edit { layers, rows, change }
    });
    proptest::collection::vec(edit, 0..4)
}

/// Options that share beginnings often.
fn drawn_options() -> impl Strategy<Value = Options> {
    let option = proptest::collection::vec(0..3u32, 1..6);
    proptest::collection::btree_set(option, 1..8)
        .prop_map(|tokens| Options::new(tokens.into_iter().collect(), 0).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_edits_behind_any_options(plans in proptest::collection::vec(edits(), 1..4), options in drawn_options(), world in 0..5usize) {
        let (model, tokenizer, profile) = worlds().swap_remove(world);
        let prompts = tiny::prompts(&tokenizer, profile, 2, 2);
        let plans: Vec<Plan> = plans.into_iter().map(Plan::new).collect();
        let requests: Vec<Request> = prompts
            .iter()
            .flat_map(|prompt| plans.iter().map(|plan| Request::weighing(prompt, plan.clone(), &options)))
            .collect();
        let together = sweep(&model, &requests, Limits::branches(100));
        for (request, found) in requests.iter().zip(&together) {
            assert_near(found, &oracle(&model, request), 2e-5, &format!("{:?}", request.plan));
        }
    }
}
