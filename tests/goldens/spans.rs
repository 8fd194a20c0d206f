//! Names of stretches of a prompt against a Python account of the same rules (`tests/goldens/make_spans.py`).

use std::collections::{BTreeMap, HashMap};

use crate::tiny;
use icl_mask::data::Example;
use icl_mask::prompt::{Format, Order, Profile, Prompter, SpanName};
use serde::Deserialize;

/// `spans.json`.
#[derive(Deserialize)]
struct Golden {
    formats: HashMap<String, Format>,
    items: Vec<Item>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Item {
    source: String,
    target: String,
    columns: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Case {
    tokenizer: String,
    format: String,
    k: usize,
    item: usize,
    query_first: bool,
    text: String,
    tokens: Vec<u32>,
    names: BTreeMap<String, Vec<[usize; 2]>>,
}

#[test]
fn every_name_means_the_tokens_that_the_rules_say() {
    let golden: Golden = serde_json::from_str(include_str!("spans.json")).unwrap();
    let item = |item: &Item| Example {
        source: item.source.clone(),
        target: item.target.clone(),
        columns: item.columns.clone(),
        ..Example::default()
    };
    let items: Vec<Example> = golden.items.iter().map(item).collect();
    assert!(golden.cases.len() > 40);
    for case in &golden.cases {
        let tokenizer = tiny::tokenizer(&case.tokenizer);
        let order = if case.query_first { Order::QueryFirst } else { Order::QueryLast };
        let prompter = Prompter::new(
            &golden.formats[&case.format],
            ("English", "French"),
            &items[..case.k],
            &tokenizer,
            Profile::Exact,
            false,
        )
        .in_order(order);
        let prompt = prompter.prompt(&items[case.item]).unwrap();
        let name = format!("{}, {}, {} examples, {order:?}", case.tokenizer, case.format, case.k);
        assert_eq!(prompt.text, case.text, "{name}");
        assert_eq!(prompt.tokens, case.tokens, "{name}");
        let mut found: BTreeMap<String, Vec<[usize; 2]>> = BTreeMap::new();
        for (name, ranges) in prompt.names() {
            assert_eq!(prompt.positions(&name), Some(ranges.clone()));
            assert_eq!(name.to_string().parse::<SpanName>(), Ok(name.clone()));
            // Ranges that touch are one.
            let joined = icl_mask::intervene::Columns::new(ranges);
            let pairs = joined.ranges().iter().map(|range| [range.start, range.end]).collect();
            found.insert(name.to_string(), pairs);
        }
        assert_eq!(found, case.names, "{name}");
    }
}
