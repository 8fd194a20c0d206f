//! What the report shows of weighed options, and what the variation of a prompt changes, through the command.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

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

fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(path).expect("a CSV file");
    reader.deserialize().map(|row| row.expect("a row")).collect()
}

fn parsed(row: &BTreeMap<String, String>, field: &str) -> f64 {
    row[field].parse().unwrap_or_else(|_| panic!("{field}: {}", row[field]))
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

/// Log-probabilities of the right options, item by item.
fn right(path: &Path) -> Vec<f64> {
    let of_right = |line: &Value| {
        number(&line["options"][line["right"].as_u64().expect("a number") as usize]["logprob"])
    };
    lines(path.to_path_buf()).iter().map(of_right).collect()
}

/// The p of a paired randomization test, from all deals of a few items.
fn exact_p(differences: &[f64]) -> f64 {
    let n = differences.len();
    let seen = differences.iter().sum::<f64>().abs();
    let sum = |deal: usize| -> f64 {
        differences.iter().enumerate().map(|(at, d)| if deal >> at & 1 == 1 { -d } else { *d }).sum()
    };
    (0..1 << n).filter(|deal| sum(*deal).abs() >= seen - 1e-9).count() as f64 / f64::from(1 << n)
}

/// Each cell of a varied run is compared with the same cell of the run that is not varied.
#[test]
fn a_varied_run_is_compared_with_the_one_that_is_not() {
    let world = world();
    let grid = "--mask none,TTF --from-layer 0,1 --limit all";
    world.write("other.txt", "Never mind:\n");
    ok(call(&world, &format!("{grid} --vary none,targets=shuffled,instructions=other.txt")));
    let said = ok(world.call("figure masks results --metric logprob"));
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    for cell in ["baseline", "layer 0", "layer 1"] {
        assert!(words.contains(&format!("shuffled targets, {cell}: log-probability ")), "{said}");
    }
    assert!(
        words.contains("than with the right ones (95 % CI ") && words.contains("is not corrected"),
        "{said}"
    );
    assert!(words.contains("instructions `other`, baseline: log-probability "), "{said}");
    let mut compared = 0;
    for row in rows(&world.path("figures/masks.csv")) {
        if row["vary"].is_empty() {
            assert_eq!([&row["vary_difference"], &row["vary_p"], &row["vary_items"]], [""; 3]);
            continue;
        }
        compared += 1;
        let file = match row["mask"].as_str() {
            "none" => "none/baseline.jsonl".into(),
            mask => format!("{mask}/layer-{}.jsonl", row["layer"]),
        };
        let varied = format!("{RUN}-{}", row["vary"].replace('=', "-"));
        let [a, b] = [varied.as_str(), RUN].map(|run| right(&world.path(run).join(&file)));
        let differences: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
        let mean = differences.iter().sum::<f64>() / 5.;
        assert!((parsed(&row, "vary_difference") - mean).abs() < 1e-4, "{row:?} {mean}");
        assert!(
            parsed(&row, "vary_low") <= mean + 1e-4 && mean - 1e-4 <= parsed(&row, "vary_high"),
            "{row:?}"
        );
        // 10,000 deals of the 32 that there are.
        assert!((parsed(&row, "vary_p") - exact_p(&differences)).abs() < 0.02, "{row:?} {differences:?}");
        assert_eq!((row["vary_items"].as_str(), row["vary_left_out"].as_str()), ("5", "0"));
    }
    assert_eq!(compared, 6, "the baseline and both layers of either variation");
    ok(world.call("report results --metric logprob"));
    let curves = data(&world, "report.html")["panels"][0]["curves"].clone();
    let [varied, plain] = [json!("targets=shuffled"), Value::Null].map(|vary| {
        let of_curve = |curve: &&Value| curve.get("vary").unwrap_or(&Value::Null) == &vary;
        list(&curves).iter().find(of_curve).expect("a curve")
    });
    assert!(number(&varied["points"][0]["vary_p"]) > 0. && plain["points"][0].get("vary_p").is_none());
    assert!(
        varied["changed"]
            .as_str()
            .expect("a sentence")
            .starts_with("Baseline, shuffled targets: log-probability ")
    );
    assert!(plain.get("changed").is_none());
}

/// Items that only one of both runs has are left out. Without its twin a varied run is compared with nothing.
#[test]
fn only_items_of_both_runs_are_compared() {
    let world = world();
    ok(call(&world, "--mask none,TTF --from-layer 1 --limit all"));
    ok(call(&world, "--mask none,TTF --from-layer 1 --limit 3 --vary targets=shuffled --results few"));
    let said = ok(world.call("figure masks results few --metric logprob"));
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("2 items that only one of both runs has are left out; 3 are compared"), "{said}");
    let file = "TTF/layer-1.jsonl";
    let [a, b] = [format!("{RUN}-targets-shuffled").replace("results", "few"), RUN.into()]
        .map(|run| right(&world.path(&run).join(file)));
    assert_eq!((a.len(), b.len()), (3, 5));
    let mean = a.iter().zip(&b).map(|(a, b)| a - b).sum::<f64>() / 3.;
    let all = rows(&world.path("figures/masks.csv"));
    let row = all.iter().find(|row| row["mask"] == "TTF" && row["n"] == "3").expect("a row");
    assert!((parsed(row, "vary_difference") - mean).abs() < 1e-4, "{row:?} {mean}");
    assert_eq!((row["vary_items"].as_str(), row["vary_left_out"].as_str()), ("3", "2"));
    ok(world.call("figure masks few --metric logprob"));
    assert!(!rows(&world.path("figures/masks.csv"))[0].contains_key("vary_difference"));
}
