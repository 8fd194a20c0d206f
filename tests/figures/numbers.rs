//! Figures, statistics, reports and exports, on runs of a tiny model.

use crate::tiny;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::world::{World, json_lines, ok};
use serde_json::Value;

fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(path).expect("a CSV file");
    reader.deserialize().map(|row| row.expect("a row")).collect()
}

fn number(row: &BTreeMap<String, String>, field: &str) -> f64 {
    row[field].parse().unwrap_or_else(|_| panic!("{field}: {}", row[field]))
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("written")).expect("JSON")
}

#[test]
fn a_figure_holds_the_scores_and_is_the_same_every_time() {
    let world = World::new();
    ok(world.run("--mask none,TTF,FTF --from-layer all --seed 0,1"));
    let said = ok(world.call("figure masks results"));
    assert!(said.contains("[Instr, Ex] Query") && said.contains("95 % of the baseline"), "{said}");
    let files = ["svg", "png", "csv"].map(|ending| world.path(&format!("figures/masks.{ending}")));
    let before = files.clone().map(|file| fs::read(file).expect("written"));
    assert!(String::from_utf8_lossy(&before[0]).contains("<title>"));
    ok(world.call("figure masks results"));
    assert_eq!(before, files.clone().map(|file| fs::read(file).expect("written")));

    let rows = rows(&files[2]);
    assert_eq!(rows.len(), 1 + 2 * tiny::LAYERS);
    let folder =
        |seed: usize| world.path(&format!("results/tiny/test.en-fr/instr_machine_translation-k5-seed{seed}"));
    for row in &rows {
        let (mask, layer) = (row["mask"].as_str(), row["layer"].as_str());
        let file =
            if mask == "none" { "none/baseline.json".into() } else { format!("{mask}/layer-{layer}.json") };
        let scores = [0, 1].map(|seed| read(&folder(seed).join(&file))["bleu"].as_f64().expect("a score"));
        assert!((number(row, "score") - (scores[0] + scores[1]) / 2.).abs() < 1e-9, "{row:?}");
        assert!(
            number(row, "both_low") <= number(row, "score") + 1e-9 || number(row, "score") == 0.,
            "{row:?}"
        );
        if mask != "none" {
            assert!(
                (number(row, "difference") - number(row, "score") + number(row, "baseline")).abs() < 1e-9
            );
            assert!(number(row, "p_corrected") >= number(row, "p"));
        }
    }
    let panels: Value = serde_json::from_str(&ok(world.call("figure masks results --json"))).expect("JSON");
    assert_eq!(panels[0]["curves"][0]["points"].as_array().map(Vec::len), Some(tiny::LAYERS));
    ok(world.call("figure masks results --relative --mask TTF"));
    assert!(world.path("figures/masks-relative.svg").exists());
}

/// A baseline has the seeds of its curve, and no others.
#[test]
fn a_baseline_has_the_seeds_of_its_curve() {
    let world = World::new();
    ok(world.run("--mask none,TTF --from-layer 2 --seed 0,1"));
    ok(world.run("--mask FTF --from-layer 2 --seed 1"));
    ok(world.call("figure masks results"));
    let rows = rows(&world.path("figures/masks.csv"));
    let baseline = |mask: &str| {
        let row = rows.iter().find(|row| row["mask"] == mask).expect("a row");
        assert!((number(row, "score") - number(row, "baseline") - number(row, "difference")).abs() < 1e-9);
        number(row, "baseline")
    };
    let score = |seed: usize| {
        let folder = format!("results/tiny/test.en-fr/instr_machine_translation-k5-seed{seed}");
        read(&world.path(&folder).join("none/baseline.json"))["bleu"].as_f64().expect("a score")
    };
    assert!((baseline("TTF") - (score(0) + score(1)) / 2.).abs() < 1e-9);
    assert!((baseline("FTF") - score(1)).abs() < 1e-9);
}

/// The interval of one seed over items is the one in the score file.
#[test]
fn intervals_are_those_of_the_score_files() {
    let world = World::new();
    ok(world.run("--mask none,TTF --from-layer 0,2"));
    ok(world.call("figure masks results"));
    for row in rows(&world.path("figures/masks.csv")).iter().filter(|row| row["mask"] == "TTF") {
        let file = format!(
            "results/tiny/test.en-fr/instr_machine_translation-k5-seed0/TTF/layer-{}.json",
            row["layer"]
        );
        let interval = &read(&world.path(&file))["bleu_interval"];
        for (at, field) in ["items_low", "items_high"].into_iter().enumerate() {
            assert!((number(row, field) - interval[at].as_f64().expect("an end")).abs() < 1e-9);
        }
        assert_eq!(row["both_low"], "");
    }
}

/// Computed by themselves with the context dropped, generations are those of the sweep, and take less the earlier it goes.
#[test]
fn dropping_the_context_changes_no_token_and_saves_work() {
    let world = World::new();
    ok(world.run("--mask none,TTF,TFF --from-layer all --no-stop"));
    let lines = json_lines(&ok(world.run("--mask none,TTF,TFF --from-layer all --drop-context --json")));
    let [sweep, dropped] = ["", "-dropped"].map(|ending| {
        world.path(&format!("results/tiny/test.en-fr/instr_machine_translation-k5-seed0{ending}"))
    });
    let mut work = BTreeMap::new();
    for line in &lines {
        let path = world.path(line["path"].as_str().expect("a path")).with_extension("jsonl");
        let twin = sweep.join(path.strip_prefix(&dropped).expect("in the folder"));
        assert_eq!(fs::read_to_string(&path).unwrap(), fs::read_to_string(twin).unwrap());
        let (mask, layer) = (line["mask"].as_str().unwrap(), line["from_layer"].as_u64().unwrap());
        work.insert((mask.to_string(), layer), line["multiply_adds"].as_u64().expect("counted"));
    }
    let all = work[&("none".to_string(), tiny::LAYERS as u64)];
    let of_ttf: Vec<u64> = (0..tiny::LAYERS as u64).map(|layer| work[&("TTF".to_string(), layer)]).collect();
    assert!(
        of_ttf.windows(2).all(|pair| pair[0] < pair[1]) && of_ttf[tiny::LAYERS - 1] < all,
        "{of_ttf:?} {all}"
    );

    let saved = ok(world.call("figure savings results --mask TTF --json"));
    let saved: Value = serde_json::from_str(&saved).expect("JSON");
    let at = |layer: usize, field: &str| saved[layer][field].as_f64().expect("a share");
    assert!((at(1, "formula") - 0.75 * 5. / 6.).abs() < 1e-12);
    assert!((at(2, "operations") - (1. - of_ttf[2] as f64 / all as f64)).abs() < 1e-12);
    world.refused(
        &world.call("figure savings results/tiny/test.en-fr/instr_machine_translation-k5-seed0"),
        &["--drop-context"],
    );
}

#[test]
fn an_ablation_is_run_drawn_and_kept_apart_from_masks() {
    let world = World::new();
    let lines = json_lines(&ok(world.run("--ablate-attention all --json")));
    let masks: Vec<&str> = lines.iter().map(|line| line["mask"].as_str().unwrap()).collect();
    assert_eq!(masks.iter().filter(|mask| **mask == "none").count(), 1, "the baseline comes with it");
    assert_eq!(masks.iter().filter(|mask| **mask == "ablate-attention").count(), tiny::LAYERS);
    ok(world.call("figure ablation results"));
    assert_eq!(rows(&world.path("figures/ablation.csv")).len(), 1 + tiny::LAYERS);
    world.refused(&world.call("figure masks results"), &["no finished cell of this kind"]);
    world.refused(&world.run("--mask ablate-attention"), &["--ablate-attention LAYERS"]);
    world.refused(&world.run("--ablate-attention 9"), &["layer 9 is out of range"]);
    let shown = ok(world.call(
        "show --model tiny --test test.tsv --demonstrations demonstrations.tsv --direction en-fr --format \
         instr_machine_translation --max-new-tokens 8 --ablate-attention 2",
    ));
    assert!(shown.contains("removes the attention of one layer: 2"), "{shown}");
}

#[test]
fn an_attention_figure_holds_weights_that_hide_what_is_hidden() {
    let world = World::new();
    let call = "figure attention --model tiny --test test.tsv --demonstrations demonstrations.tsv --direction en-fr --format \
                instr_machine_translation --max-new-tokens 8 --mask TTF --from-layer 2 --item 1";
    for (layer, masked) in [(1, false), (2, true)] {
        ok(world.call(&format!("{call} --layer {layer} --head 3")));
        let rows =
            rows(&world.path(&format!("figures/attention-tiny-item1-TTF-from2-layer{layer}-head3.csv")));
        let mut sums: BTreeMap<usize, f64> = BTreeMap::new();
        for row in &rows {
            *sums.entry(number(row, "row") as usize).or_default() += number(row, "weight");
            assert!(number(row, "column") <= number(row, "row"));
        }
        assert!(sums.values().all(|sum| (sum - 1.).abs() < 1e-5 || *sum == 0.));
        let of_context =
            rows.iter().any(|row| row["column_segment"] == "examples" && number(row, "weight") > 0.);
        assert_eq!(of_context, !masked, "layer {layer}");
    }
    world.refused(&world.call(&format!("{call} --layer 4")), &["--layer 4", "0 to 3"]);
    world.refused(&world.call(&format!("{call} --layer 0 --head 6")), &["--head 6", "0 to 5"]);
    world.refused(&world.call(&format!("{call} --layer 0 --head x")), &["neither a number nor mean"]);
}

#[test]
fn an_export_is_laid_out_as_the_study_does() {
    let world = World::new();
    ok(world.run("--mask none,TTF --from-layer 0,3 --ablate-attention 1"));
    ok(world.call("export results --layout sia2024 --out study"));
    let cell = "format-instr_machine_translation/no_lengthfilter-random/gen-default/TEST-TEST/tiny-nprompts5-seed0.en-fr.json";
    let masked = "study/results/mask_context_from/instructions-True_prompts-True_query-False";
    for path in [format!("{masked}/layer-3/{cell}"), format!("study/results/baselines/{cell}")] {
        let scores = read(&world.path(&path));
        for key in ["bleu", "bleu1", "bleu4", "brevity_penalty"] {
            assert!(scores[0][key].is_number(), "{path}: {key}");
        }
    }
    ok(world.run("--mask none,TTF --from-layer 0,3 --profile sia2024"));
    world.refused(&world.call("export results --layout sia2024 --out study"), &["would both become"]);
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    let world = World::new();
    world.refused(&world.call("figure masks nowhere"), &["nowhere"]);
    fs::create_dir(world.path("empty")).unwrap();
    world.refused(&world.call("figure masks empty"), &["empty", "no manifest.json"]);
    ok(world.run("--mask none,TTF --from-layer 0"));
    world.refused(&world.call("figure masks results --model other"), &["no run of `other`", "tiny"]);
    world.refused(&world.call("figure masks results --mask TXF"), &["--mask", "TXF"]);
    world.refused(&world.call("figure masks results --mask TTF,TFF"), &["--mask TFF", "no run has it"]);
    world.refused(&world.call("figure masks results --out test.tsv"), &["--out test.tsv", "not a folder"]);
    world.refused(&world.call("report results --out manifest.json"), &["manifest.json", ".html"]);
    let cell = "results/tiny/test.en-fr/instr_machine_translation-k5-seed0/TTF/layer-0.jsonl";
    let text = fs::read_to_string(world.path(cell)).unwrap();
    fs::write(world.path(cell), text.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>())
        .unwrap();
    world.refused(&world.call("figure masks results"), &["layer-0.json", "not those of items.jsonl"]);
    fs::write(world.path(cell), &text[..text.len() / 2]).unwrap();
    world.refused(&world.call("figure masks results"), &["layer-0.jsonl:", "damaged"]);
}

/// Scores and generations that do not belong together are no statistics.
#[test]
fn files_that_do_not_belong_together_are_refused() {
    let world = World::new();
    ok(world.run("--mask none,TTF --from-layer 0,3"));
    let run = world.path("results/tiny/test.en-fr/instr_machine_translation-k5-seed0");
    let copy = |from: &str, to: &str| fs::copy(run.join(from), run.join(to)).expect("copied");
    let line = |file: &str| fs::read_to_string(run.join(file)).unwrap();
    assert_ne!(line("TTF/layer-0.jsonl"), line("none/baseline.jsonl"));
    copy("none/baseline.jsonl", "TTF/layer-0.jsonl");
    world.refused(&world.call("figure masks results"), &["layer-0.json", "not those that were scored"]);
    copy("TTF/layer-3.json", "TTF/layer-0.json");
    world.refused(&world.call("figure masks results"), &["layer-0.json", "says that it is TTF from layer 3"]);
    let items = line("items.jsonl");
    fs::write(run.join("items.jsonl"), items.lines().take(2).map(|l| format!("{l}\n")).collect::<String>())
        .unwrap();
    world.refused(&world.call("figure masks results"), &["items.jsonl holds 2 items", "says 6"]);
}

/// Several samples of an item are no more items.
#[test]
fn items_are_resampled_and_not_their_samples() {
    let world = World::new();
    ok(world.run("--mask none,TTF --from-layer 3 --samples 3 --temperature 0.5"));
    ok(world.call("figure masks results"));
    let rows = rows(&world.path("figures/masks.csv"));
    let file = "results/tiny/test.en-fr/instr_machine_translation-k5-seed0-n3-t0.5/TTF/layer-3.json";
    let interval = &read(&world.path(file))["bleu_interval"];
    let row = rows.iter().find(|row| row["mask"] == "TTF").expect("a row");
    assert!((number(row, "items_high") - interval[1].as_f64().expect("an end")).abs() < 1e-9);
    assert_eq!((row["samples"].as_str(), row["n"].as_str()), ("3", "6"));
}

/// Nothing of the study's own is overwritten, and a folder met twice is read once.
#[test]
fn folders_are_walked_once_and_others_files_are_left_alone() {
    let world = World::new();
    ok(world.run("--mask none,TTF --from-layer 0"));
    #[cfg(unix)]
    std::os::unix::fs::symlink(world.path("results"), world.path("results/tiny/again")).unwrap();
    ok(world.call("figure masks results results ./results"));
    ok(world.call("export results --layout sia2024 --out study"));
    ok(world.call("export results --layout sia2024 --out study"));
    ok(world.run("--mask none,TTF --from-layer 0 --results others --limit 3"));
    world.refused(&world.call("export others --layout sia2024 --out study"), &["holds other scores"]);
}
