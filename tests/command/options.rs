//! What the report shows of weighed options, through the command.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use super::choices::{RUN, call, lines, world};
use crate::world::{World, ok};

/// The data of a report's page.
fn data(world: &World, page: &str) -> Value {
    let page = fs::read_to_string(world.path(page)).expect("written");
    let (_, data) = page.split_once("<script type=\"application/json\" id=\"data\">").expect("it has data");
    let (data, _) = data.split_once("</script>").expect("they end");
    serde_json::from_str(data).expect("JSON")
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

/// The report holds, for each item and cell, the weights of the lines with four digits, the right option first.
#[test]
fn the_report_holds_the_options_of_each_cell() {
    let world = world();
    ok(call(&world, "--mask none,TTF,FFT --from-layer all --limit all"));
    ok(world.call("report results"));
    let data = data(&world, "report.html");
    let examples = list(&data["panels"][0]["examples"]);
    assert_eq!(examples.len(), 5);
    for (at, example) in examples.iter().enumerate() {
        let options = &example["options"][0];
        let text = |place: &Value| &example["texts"][place.as_u64().expect("a place") as usize];
        let texts: Vec<&Value> = list(&options["texts"]).iter().map(text).collect();
        assert_eq!((texts.len(), texts[0]), (3, &example["target"]));
        assert_eq!((&options["left_out"], &options["by_baseline"]), (&json!(0), &json!(true)));
        let cells = list(&options["cells"]);
        assert_eq!(cells.len(), 1 + 2 * crate::tiny::LAYERS);
        for cell in cells {
            let file = match cell["layer"].as_u64() {
                None => "none/baseline.jsonl".to_string(),
                Some(layer) => format!("{}/layer-{layer}.jsonl", cell["mask"].as_str().expect("a mask")),
            };
            let line = &lines(world.path(RUN).join(file))[at];
            let weights: BTreeMap<&str, f64> = list(&line["options"])
                .iter()
                .map(|option| (option["text"].as_str().expect("a text"), number(&option["logprob"])))
                .collect();
            let sum: f64 = weights.values().map(|log| log.exp()).sum();
            for (place, text) in texts.iter().enumerate() {
                let log = weights[text.as_str().expect("a text")];
                let close = |found: &Value, wanted: f64| {
                    let found = number(found);
                    assert!((found - wanted).abs() <= 5.1e-4 * wanted.abs(), "{found} {wanted}");
                    assert!(found.to_string().trim_start_matches(['-', '0', '.']).len() <= 5, "{found}");
                };
                close(&cell["logprobs"][place], log);
                close(&cell["probabilities"][place], log.exp() / sum);
            }
            assert!(cell.get("others").is_none());
        }
    }
}

/// Of many options twelve are drawn, the right one among them. Items without options are as they were.
#[test]
fn of_many_options_some_are_drawn() {
    let world = World::new();
    let options: Vec<String> = (0..14).map(|at| format!("dog {at}")).collect();
    let item = |at: usize| json!({"source": "a cat", "target": options[at], "options": options}).to_string();
    world.write("many.jsonl", [item(0), item(13)].join("\n"));
    ok(world.call(
        "run --model tiny --task choice --test many.jsonl --nprompts 0 --mask none,TTT --from-layer 1",
    ));
    ok(world.call("report results"));
    for example in list(&data(&world, "report.html")["panels"][0]["examples"]) {
        let of_item = &example["options"][0];
        assert_eq!((list(&of_item["texts"]).len(), &of_item["left_out"]), (12, &json!(2)));
        let right = of_item["texts"][0].as_u64().expect("a place") as usize;
        assert_eq!(example["texts"][right], example["target"]);
        for cell in list(&of_item["cells"]) {
            let drawn: f64 = list(&cell["probabilities"]).iter().map(number).sum();
            assert!((drawn + number(&cell["others"]) - 1.).abs() < 2e-3, "{cell}");
        }
    }
    ok(world.run("--mask none,TTF --from-layer 0 --results texts"));
    ok(world.call("report texts --out texts.html"));
    let examples = &data(&world, "texts.html")["panels"][0]["examples"];
    assert!(examples[0].get("options").is_none() && examples[0]["outputs"][1]["layer"] == 0, "{examples}");
}
