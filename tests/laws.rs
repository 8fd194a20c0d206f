//! The laws of a mask, on tiny models with random weights: what the sweep shares changes nothing.

mod tiny;

use std::ops::Range;

use anyhow::Result;
use icl_mask::engine::{Ask, Generation, Limits, Observer, Plain, Request, Sample, StopRule, generate};
use icl_mask::intervene::{Change, Columns, Edit, Plan};
use icl_mask::model::{Adapter, AdapterId, Adapters, Decoder, Family, Transformer};
use icl_mask::prompt::{Profile, Prompt, Tokenizer};
use proptest::prelude::*;
use tiny::{LAYERS, MASKS};

const NEW_TOKENS: usize = 12;

struct Collected(Vec<Option<Generation>>);

impl Observer for Collected {
    fn finished(&mut self, index: usize, generation: Generation) -> Result<()> {
        assert!(self.0[index].replace(generation).is_none(), "{index} finished twice");
        Ok(())
    }
}

fn rule() -> StopRule {
    StopRule { eos: vec![], strings: vec![], max_new_tokens: NEW_TOKENS, full_length: true }
}

fn sweep<D: Decoder>(
    model: &D,
    tokenizer: &Tokenizer,
    requests: &[Request],
    rule: &StopRule,
    limits: Limits,
) -> Vec<Vec<u32>> {
    let mut collected = Collected(vec![None; requests.len()]);
    generate(model, tokenizer, requests, rule, limits, &mut collected).unwrap();
    collected.0.into_iter().map(|generation| generation.expect("finished").tokens).collect()
}

/// The oracle's tokens: every row of every request through every layer.
fn plain(model: &Transformer, request: &Request) -> Vec<u32> {
    let prompt = &request.prompt.tokens;
    Plain::new(model, &request.plan, prompt.len() + NEW_TOKENS).unwrap().generate(prompt, NEW_TOKENS).unwrap()
}

/// The oracle's tokens where they are drawn.
fn plain_drawn(model: &Transformer, request: &Request, sample: Sample) -> Vec<u32> {
    let (mut next, mut all) = (request.prompt.tokens.clone(), Vec::new());
    let mut sequence = Plain::new(model, &request.plan, next.len() + NEW_TOKENS).unwrap();
    while all.len() < NEW_TOKENS {
        next = vec![sample.draw(&sequence.logits(&next).unwrap(), all.len()).unwrap()];
        all.extend(&next);
    }
    all
}

/// Item by item, all masks and layers of each.
fn requests<'a>(prompts: &'a [Prompt], layers: &[usize]) -> Vec<Request<'a>> {
    let of = |prompt: &'a Prompt| {
        MASKS.into_iter().flat_map(move |mask| {
            layers.iter().map(move |&layer| Request::new(prompt, tiny::plan(prompt, mask, layer)))
        })
    };
    prompts.iter().flat_map(of).collect()
}

fn logits(model: &Transformer, request: &Request) -> Vec<f32> {
    let prompt = &request.prompt.tokens;
    Plain::new(model, &request.plan, prompt.len()).unwrap().logits(prompt).unwrap()
}

type Windows = [Option<usize>; LAYERS];

/// Three families, with and without BOS, both profiles; and layers with windows, some so short that a mask reaches rows
/// only layer by layer.
const WORLDS: [(Family, &str, Windows, Profile); 8] = [
    (Family::Llama, "llama-bpe", [None; LAYERS], Profile::Exact),
    (Family::Llama, "llama-bpe", [None; LAYERS], Profile::Sia2024),
    (Family::Llama, "smollm", [None; LAYERS], Profile::Exact),
    (Family::Qwen2, "smollm", [None; LAYERS], Profile::Sia2024),
    (Family::Qwen2, "qwen2", [None; LAYERS], Profile::Exact),
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

#[test]
fn the_run_from_layer_l_is_the_baseline() {
    for (model, tokenizer, profile) in worlds() {
        for prompt in &tiny::prompts(&tokenizer, profile, 3, 2) {
            let baseline = logits(&model, &Request::new(prompt, Plan::UNMASKED));
            for mask in MASKS {
                let plan = tiny::plan(prompt, mask, LAYERS);
                assert_eq!(baseline, logits(&model, &Request::new(prompt, plan)), "{mask}");
            }
        }
    }
}

#[test]
fn every_mask_changes_something() {
    for (model, tokenizer, profile) in worlds().into_iter().take(6) {
        let prompt = &tiny::prompts(&tokenizer, profile, 3, 1)[0];
        let baseline = logits(&model, &Request::new(prompt, Plan::UNMASKED));
        for mask in MASKS.into_iter().filter(|mask| *mask != "none") {
            let masked = logits(&model, &Request::new(prompt, tiny::plan(prompt, mask, 1)));
            assert_ne!(baseline, masked, "{mask}");
        }
    }
}

/// The whole grid in one go, in small batches, cell by cell and item by item, all against the oracle.
#[test]
fn the_sweep_is_every_run_alone() {
    for (model, tokenizer, profile) in worlds() {
        let prompts = tiny::prompts(&tokenizer, profile, 3, 3);
        let layers: Vec<usize> = (0..=LAYERS).collect();
        let requests = requests(&prompts, &layers);
        let alone: Vec<_> = requests.iter().map(|request| plain(&model, request)).collect();
        for branches in [1, 2, 7, 1000] {
            let together = sweep(&model, &tokenizer, &requests, &rule(), Limits::branches(branches));
            assert_eq!(alone, together, "{branches} branches");
        }
        for (request, alone) in requests.iter().zip(&alone).step_by(5) {
            let one = std::slice::from_ref(request);
            assert_eq!(*alone, sweep(&model, &tokenizer, one, &rule(), Limits::branches(9))[0]);
        }
        let backwards: Vec<_> = requests.iter().rev().cloned().collect();
        let mut again = sweep(&model, &tokenizer, &backwards, &rule(), Limits::branches(50));
        again.reverse();
        assert_eq!(alone, again);
        // As much memory as one item takes: the others wait.
        let tight = Limits { kv_bytes: 1, ..Limits::branches(1000) };
        assert_eq!(alone, sweep(&model, &tokenizer, &requests, &rule(), tight));
    }
}

/// The decoder for GPUs against the oracle on the CPU, whose products have another order of sums.
#[test]
fn a_sweep_on_a_device_is_every_run_alone() {
    for (family, name, windows, profile) in WORLDS {
        let tokenizer = tiny::tokenizer(name);
        let model = tiny::windowed_model(family, &tokenizer, windows);
        let on_device = tiny::on_device(family, &tokenizer, windows, &tiny::device());
        let prompts = tiny::prompts(&tokenizer, profile, 3, 3);
        let requests = requests(&prompts, &[0, 1, 3, LAYERS]);
        let alone: Vec<_> = requests.iter().map(|request| plain(&model, request)).collect();
        for limits in
            [Limits::branches(7), Limits::branches(1000), Limits { kv_bytes: 1, ..Limits::branches(1000) }]
        {
            assert_eq!(alone, sweep(&on_device, &tokenizer, &requests, &rule(), limits), "{limits:?}");
        }
        // Without a run that nothing is hidden from, no row of the context goes further than the first start layer.
        let of = |prompt| Request::new(prompt, tiny::plan(prompt, "all", 1));
        let some: Vec<Request> = prompts.iter().map(of).collect();
        let alone: Vec<_> = some.iter().map(|request| plain(&model, request)).collect();
        assert_eq!(alone, sweep(&on_device, &tokenizer, &some, &rule(), Limits::branches(1000)));
    }
}

/// Branches that end early leave; the others go on as if they had never been there.
#[test]
fn whoever_ends_is_missed_by_nobody() {
    for (model, tokenizer, profile) in worlds() {
        let prompts = tiny::prompts(&tokenizer, profile, 2, 3);
        let requests = requests(&prompts, &[0, 1, 2, 3, LAYERS]);
        let alone: Vec<_> = requests.iter().map(|request| plain(&model, request)).collect();
        // Tokens that end some texts here and there, those of group leaders among them.
        let eos: Vec<u32> = alone.iter().step_by(4).map(|tokens| tokens[tokens.len() / 2]).collect();
        let rule = StopRule { eos, full_length: false, ..rule() };
        let expected: Vec<Vec<u32>> = alone.iter().map(|tokens| rule.answer(tokens).to_vec()).collect();
        assert!(expected.iter().any(|tokens| tokens.len() < NEW_TOKENS));
        for branches in [3, 40, 1000] {
            assert_eq!(expected, sweep(&model, &tokenizer, &requests, &rule, Limits::branches(branches)));
        }
    }
}

/// Changes drawn at random, as no intervention makes them: any columns hidden, generated ones among them.
fn any_change(length: usize) -> impl Strategy<Value = Change> {
    let ranges = proptest::collection::vec((0..length + 4, 1..length / 2), 0..4);
    prop_oneof![
        8 => ranges.prop_map(|ranges| Change::Hide(Columns::new(ranges.into_iter().map(|(at, n)| at..at + n)))),
        1 => Just(Change::OnlySelf),
        1 => Just(Change::NoAttention),
        1 => Just(Change::Adapt(AdapterId::TRAINED)),
    ]
}

/// From a layer on, at one layer, or at some in a row.
fn any_layers() -> impl Strategy<Value = Range<usize>> {
    (0..=LAYERS, prop_oneof![Just(usize::MAX), Just(1), 1..LAYERS])
        .prop_map(|(from, count)| from..from.saturating_add(count))
}

/// All rows, or some of the prompt and of the generated ones.
fn any_rows(length: usize) -> impl Strategy<Value = Columns> {
    let ranges = proptest::collection::vec((0..length + 4, 1..length), 1..4);
    prop_oneof![
        2 => Just(Columns::all()),
        3 => ranges.prop_map(|ranges| Columns::new(ranges.into_iter().map(|(at, n)| at..at + n))),
    ]
}

/// Several edits at a time.
fn any_plan(length: usize) -> impl Strategy<Value = Plan> {
    let edit = (any_layers(), any_rows(length), any_change(length)).prop_map(|(layers, rows, change)| Edit {
        layers,
        rows,
        change,
    });
    proptest::collection::vec(edit, 1..4).prop_map(Plan::new)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any windows, any edits of any rows at any layers, any prompts that share a beginning of any length.
    #[test]
    fn any_edits_behind_any_windows_on_any_prompts(
        windows in proptest::array::uniform4(proptest::option::weighted(0.5, 1usize..40)),
        shared in 0usize..40,
        lengths in proptest::collection::vec(1usize..24, 1..4),
        edited in proptest::collection::vec(any_plan(48), 1..8),
        branches in 1usize..30,
        qwen in any::<bool>(),
    ) {
        let tokenizer = tiny::tokenizer("smollm");
        let family = if qwen { Family::Qwen2 } else { Family::Llama };
        let model = tiny::windowed_model(family, &tokenizer, windows);
        let mut prompts = tiny::prompts(&tokenizer, Profile::Exact, 1, lengths.len());
        for (item, (prompt, &length)) in prompts.iter_mut().zip(&lengths).enumerate() {
            let own = (0..length).map(|i| 100 + (item * 37 + i * 11) as u32 % 50);
            prompt.tokens = (0..shared).map(|i| 20 + (i * 7) as u32 % 60).chain(own).collect();
        }
        let plans: Vec<Plan> = edited.into_iter().chain([Plan::UNMASKED]).collect();
        let of = |prompt| plans.iter().map(move |plan| Request::new(prompt, plan.clone()));
        let requests: Vec<Request> = prompts.iter().flat_map(of).collect();
        let alone: Vec<_> = requests.iter().map(|request| plain(&model, request)).collect();
        let together = sweep(&model, &tokenizer, &requests, &rule(), Limits::branches(branches));
        prop_assert_eq!(alone, together);
    }
}

/// Two resident adapters in one sweep, some rows with each and some with none: each run is what it is where its adapter is the
/// only one, bit for bit.
#[test]
fn adapters_that_are_resident_together_do_not_know_of_each_other() {
    let ids = [AdapterId(3), AdapterId(8)];
    for (mut model, tokenizer, profile) in worlds().into_iter().step_by(3) {
        let arch = model.arch().clone();
        let adapters = ["one", "other"].map(|name| tiny::adapter(&arch, name));
        let prompts = tiny::prompts(&tokenizer, profile, 2, 2);
        let plans = |which: usize| {
            let adapt = Change::Adapt(ids[which]);
            let of_some = Edit { layers: 1..3, rows: Columns::new([3..9, 30..99]), change: adapt.clone() };
            [Plan::at_layer(2, adapt.clone()), Plan::from_layer(1, adapt), Plan::new([of_some])]
        };
        let of = |plan: Plan| prompts.iter().map(move |prompt| Request::new(prompt, plan.clone()));
        let requests: [Vec<Request>; 2] = [0, 1].map(|which| plans(which).into_iter().flat_map(of).collect());
        let unchanged: Vec<Request> = of(Plan::UNMASKED).collect();
        let each = |model: &Transformer, requests: &[Request]| -> Vec<(Vec<u32>, Vec<f32>)> {
            requests.iter().map(|request| (plain(model, request), logits(model, request))).collect()
        };
        let baseline = each(&model, &unchanged);
        let alone = [0, 1].map(|which| {
            model.adapt(Adapters::default().with(ids[which], adapters[which].clone())).unwrap();
            each(&model, &requests[which])
        });
        let differing = alone[0].iter().zip(&alone[1]).filter(|(one, other)| one.1 != other.1);
        assert_eq!(differing.count(), requests[0].len(), "two adapters that differ");
        let both = ids.into_iter().zip(adapters);
        model.adapt(both.fold(Adapters::default(), |all, (id, adapter)| all.with(id, adapter))).unwrap();
        for which in [0, 1] {
            assert_eq!(each(&model, &requests[which]), alone[which]);
        }
        assert_eq!(each(&model, &unchanged), baseline);
        let all = [requests[0].as_slice(), &unchanged, &requests[1]].concat();
        let expected = alone[0].iter().chain(&baseline).chain(&alone[1]).map(|(tokens, _)| tokens.clone());
        let expected: Vec<Vec<u32>> = expected.collect();
        for branches in [1, 5, 1000] {
            assert_eq!(sweep(&model, &tokenizer, &all, &rule(), Limits::branches(branches)), expected);
        }
        let stranger = Request::new(&prompts[0], Plan::at_layer(0, Change::Adapt(AdapterId(9))));
        let refused = Plain::new(&model, &stranger.plan, 9).unwrap().logits(&[1, 2]).unwrap_err();
        assert!(refused.to_string().contains("adapter 9"), "{refused}");
    }
}

/// An adapter of all rows and one that they name, of different projections, are together what both are as one adapter.
#[test]
fn an_adapter_of_all_rows_and_one_that_rows_name_add_up() {
    let tokenizer = tiny::tokenizer("smollm");
    let mut model = tiny::model(Family::Qwen2, &tokenizer);
    let whole = tiny::adapter(model.arch(), "whole");
    let (even, odd) = whole
        .0
        .clone()
        .into_iter()
        .partition(|((_, projection), _)| (*projection as usize).is_multiple_of(2));
    let prompt = &tiny::prompts(&tokenizer, Profile::Exact, 2, 1)[0];
    let named = Request::new(prompt, Plan::from_layer(0, Change::Adapt(AdapterId(5))));
    model.adapt(Adapters::everywhere(Adapter(even)).with(AdapterId(5), Adapter(odd))).unwrap();
    let apart = logits(&model, &named);
    assert_ne!(apart, logits(&model, &Request::new(prompt, Plan::UNMASKED)));
    model.adapt(Adapters::everywhere(whole)).unwrap();
    assert_eq!(apart, logits(&model, &Request::new(prompt, Plan::UNMASKED)));
}

/// A device marks the rows of each adapter: the tokens of the oracle on the CPU.
#[test]
fn a_device_holds_several_adapters() {
    let tokenizer = tiny::tokenizer("smollm");
    let windows = [None; LAYERS];
    let mut model = tiny::windowed_model(Family::Llama, &tokenizer, windows);
    let mut on_device = tiny::on_device(Family::Llama, &tokenizer, windows, &tiny::device());
    let adapters = [3, 8].into_iter().fold(Adapters::default(), |all, id| {
        all.with(AdapterId(id), tiny::adapter(model.arch(), &id.to_string()))
    });
    on_device.adapt(&adapters).unwrap();
    model.adapt(adapters).unwrap();
    let prompts = tiny::prompts(&tokenizer, Profile::Exact, 2, 2);
    let adapted = [3, 8].map(|id| Plan::at_layer(2, Change::Adapt(AdapterId(id))));
    let plans: Vec<Plan> = adapted.into_iter().chain([Plan::UNMASKED]).collect();
    let of = |prompt| plans.iter().map(move |plan| Request::new(prompt, plan.clone()));
    let requests: Vec<Request> = prompts.iter().flat_map(of).collect();
    let alone: Vec<_> = requests.iter().map(|request| plain(&model, request)).collect();
    assert_eq!(alone, sweep(&on_device, &tokenizer, &requests, &rule(), Limits::branches(1000)));
}

/// Not only the same tokens: every logit is the same bit for bit, whatever rows share the matrix products and whether a
/// row is computed with those before it or by itself.
#[test]
fn rows_do_not_depend_on_the_batch() {
    for (model, tokenizer, profile) in worlds() {
        let prompt = &tiny::prompts(&tokenizer, profile, 2, 1)[0].tokens;
        for mask in MASKS {
            let plan = tiny::plan(&tiny::prompts(&tokenizer, profile, 2, 1)[0], mask, 1);
            let whole = Plain::new(&model, &plan, prompt.len()).unwrap().feed(prompt, |_, _| ()).unwrap();
            for some in [1, 3, 8, 17] {
                let mut sequence = Plain::new(&model, &plan, prompt.len()).unwrap();
                let mut row = 0;
                for tokens in prompt.chunks(some) {
                    let states = sequence.feed(tokens, |_, _| ()).unwrap();
                    for at in 0..tokens.len() {
                        assert_eq!(states.row(at), whole.row(row), "{mask}, row {row}, {some} at a time");
                        row += 1;
                    }
                }
            }
        }
    }
}

/// All rows through all layers; then keys and values of the columns that the next row does not read are replaced by noise, and
/// that row is computed.
fn next_row(model: &Transformer, prompt: &Prompt, plan: &Plan, noise: bool) -> Vec<f32> {
    let n = prompt.tokens.len();
    let arch = model.arch();
    let mut sequence = Plain::new(model, plan, n + 1).unwrap();
    sequence.feed(&prompt.tokens, |_, _| ()).unwrap();
    for layer in (0..arch.layers).filter(|_| noise) {
        let read = plan.sight(layer, n).columns(n);
        let hidden: Vec<usize> = (0..n).filter(|&column| !read.contains(column)).collect();
        for column in hidden {
            let noise: Vec<f32> = (0..arch.kv_heads * arch.head_dim)
                .map(|i| (((i * 31 + column * 17 + layer * 7) % 101) as f32 - 50.) * 3.)
                .collect();
            sequence.overwrite(layer, column, &noise, &noise);
        }
    }
    sequence.logits(&[prompt.tokens[n - 1]]).unwrap()
}

#[test]
fn hidden_keys_and_values_are_read_by_nobody() {
    for (model, tokenizer, profile) in worlds() {
        let prompt = &tiny::prompts(&tokenizer, profile, 3, 1)[0];
        for mask in MASKS {
            for layer in 0..LAYERS {
                let plan = tiny::plan(prompt, mask, layer);
                let (plain, noisy) =
                    (next_row(&model, prompt, &plan, false), next_row(&model, prompt, &plan, true));
                assert_eq!(plain, noisy, "{mask} from layer {layer}");
            }
        }
    }
}

#[test]
fn a_row_with_nothing_to_read_gets_zeros() {
    let tokenizer = tiny::tokenizer("smollm");
    let model = tiny::model(Family::Llama, &tokenizer);
    let prompt = &tiny::prompts(&tokenizer, Profile::Exact, 2, 1)[0];
    let plan = tiny::plan(prompt, "TTT", 0);
    let last = prompt.tokens.len() - 1;
    assert!(plan.sight(0, last).columns(last).is_empty());
    // Then attention adds nothing: the row depends on its own token alone.
    let of_prompt = logits(&model, &Request::new(prompt, plan));
    let mut other = prompt.clone();
    other.tokens[3..8].fill(5);
    let of_other = logits(&model, &Request::new(&other, tiny::plan(&other, "TTT", 0)));
    assert!(of_prompt.iter().all(|logit| logit.is_finite()));
    assert_eq!(of_prompt, of_other);
}

/// Several samples of each cell, drawn or not, in one call.
#[test]
fn drawn_generations_are_the_same_alone_and_together() {
    for (model, tokenizer, profile) in worlds().into_iter().take(2) {
        let prompts = tiny::prompts(&tokenizer, profile, 3, 2);
        let sample = |stream: u64| match stream {
            0 => Ask::Likeliest,
            1 => Ask::Drawn(Sample { temperature: 0.7, top_p: 0.9, stream }),
            // As good as greedy: they go together for long.
            4 | 5 => Ask::Drawn(Sample { temperature: 1e-3, top_p: 1., stream }),
            _ => Ask::Drawn(Sample { temperature: 1.5, top_p: 1., stream }),
        };
        let mut all = Vec::new();
        for request in requests(&prompts, &[0, 2, LAYERS]) {
            all.extend((0..6).map(|stream| Request { ask: sample(stream), ..request.clone() }));
        }
        let alone: Vec<_> = all
            .iter()
            .map(|request| match request.ask.sample() {
                Some(sample) => plain_drawn(&model, request, sample),
                None => plain(&model, request),
            })
            .collect();
        for branches in [1, 10, 1000] {
            assert_eq!(alone, sweep(&model, &tokenizer, &all, &rule(), Limits::branches(branches)));
        }
        // The streams are told apart.
        assert!(alone.chunks(6).all(|samples| samples[1] != samples[2] && samples[2] != samples[3]));
    }
}

/// Prompts whose demonstrations differ are computed one context after the other, and reported by their own numbers.
#[test]
fn prompts_of_several_contexts_go_in_one_call() {
    let (model, tokenizer, profile) = worlds().swap_remove(0);
    let mut prompts = tiny::prompts(&tokenizer, profile, 3, 3);
    prompts.extend(tiny::prompts(&tokenizer, profile, 2, 2));
    prompts.swap(0, 3);
    let requests = requests(&prompts, &[1, 3]);
    let alone: Vec<_> = requests.iter().map(|request| plain(&model, request)).collect();
    assert_eq!(alone, sweep(&model, &tokenizer, &requests, &rule(), Limits::branches(50)));
}
