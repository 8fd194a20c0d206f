//! Calls as a newcomer makes them: own files, few flags, slips of the pen. Driven through the command.

use crate::tiny;
use std::fs;

use crate::world::{World, json_lines, ok};
use serde_json::{Value, json};

/// Sentences of two columns with these names.
fn pairs(header: [&str; 2], rows: usize) -> String {
    let rows = (0..rows).map(|row| format!("left {row}\tright {row}\n"));
    format!("{}\t{}\n{}", header[0], header[1], rows.collect::<String>())
}

/// `icl-mask run` on the tiny model without any setting that this test does not name.
fn run(world: &World, args: &str) -> std::process::Output {
    world.call(&format!("run --model tiny --max-new-tokens 4 --threads 1 {args}"))
}

fn manifest(world: &World, folder: &str) -> Value {
    let path = world.path(folder).join("manifest.json");
    serde_json::from_str(&fs::read_to_string(&path).expect("a manifest")).expect("JSON")
}

fn first_item(world: &World, folder: &str) -> Value {
    json_lines(&fs::read_to_string(world.path(folder).join("items.jsonl")).expect("items"))[0].clone()
}

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_header_that_names_languages_gives_the_direction_and_the_columns() {
    let world = World::new();
    world.write("mine.tsv", pairs(["en", "it"], 3));
    ok(run(&world, "--test mine.tsv --nprompts 0 --mask none"));
    let folder = "results/tiny/mine.en-it/qa_lines-k0-seed0";
    let text = manifest(&world, folder)["prompt"]["text"].as_str().unwrap().to_string();
    assert!(text.starts_with("Translate English to Italian:\n") && text.contains("left 0"), "{text}");

    // The other way round, the columns are exchanged.
    ok(run(&world, "--test mine.tsv --nprompts 0 --mask none --direction it-en"));
    let folder = "results/tiny/mine.it-en/qa_lines-k0-seed0";
    let text = manifest(&world, folder)["prompt"]["text"].as_str().unwrap().to_string();
    assert!(text.starts_with("Translate Italian to English:\n") && text.contains("right 0"), "{text}");
    let item = first_item(&world, folder);
    assert_eq!((&item["source"], &item["target"]), (&json!("right 0"), &json!("left 0")));

    // Demonstrations in a file of their own may have their columns in another order.
    world.write("shots.tsv", pairs(["ita_Latn", "eng"], 3));
    ok(run(&world, "--test mine.tsv --demonstrations shots.tsv --nprompts 1 --mask none"));
    let folder = "results/tiny/mine.en-it/qa_lines-k1-seed0";
    let shot = manifest(&world, folder)["demonstrations"][0]["source"].as_str().unwrap().to_string();
    assert!(shot.starts_with("right "), "{shot}");

    // Keys of JSONL, in their order.
    world.write("keys.jsonl", "{\"de\": \"eins\", \"en\": \"one\"}\n");
    ok(run(&world, "--test keys.jsonl --nprompts 0 --mask none"));
    assert_eq!(first_item(&world, "results/tiny/keys.de-en/qa_lines-k0-seed0")["source"], "eins");

    // Indonesian is called `id`.
    world.write("indonesian.tsv", "id\ten\nsatu\tone\ndua\ttwo\n");
    ok(run(&world, "--test indonesian.tsv --nprompts 0 --mask none"));
    let item = first_item(&world, "results/tiny/indonesian.id-en/qa_lines-k0-seed0");
    assert_eq!((&item["id"], &item["source"], &item["target"]), (&json!("1"), &json!("satu"), &json!("one")));
}

#[test]
fn without_languages_a_direction_is_asked_for_where_it_is_needed() {
    let world = World::new();
    // A file's name says nothing.
    world.write("en-it.tsv", pairs(["source", "target"], 3));
    let common = "--test en-it.tsv --nprompts 0 --mask none";
    world.refused(&run(&world, common), &["--direction is missing: the format qa_lines writes the names"]);
    ok(run(&world, &format!("{common} --format qa_lines_none")));
    let folder = "results/tiny/en-it.mt/qa_lines_none-k0-seed0";
    let settings = &manifest(&world, folder)["settings"];
    assert!(settings["direction"].is_null() && settings["task"] == "mt");
    // What has no direction is verified and scored all the same.
    ok(world.call("verify results"));
    ok(world.call("score results"));
    // A direction says what the columns are.
    ok(run(&world, &format!("{common} --direction it-en")));
    let folder = "results/tiny/en-it.it-en/qa_lines-k0-seed0";
    assert!(manifest(&world, folder)["prompt"]["text"].as_str().unwrap().starts_with("Translate Italian to"));
    assert_eq!(first_item(&world, folder)["source"], "left 0");

    world.write("three.tsv", "en\tit\tde\na\tb\tc\n");
    world.refused(
        &run(&world, "--test three.tsv --nprompts 0"),
        &["three.tsv has columns for 3 languages (en, it, de)", "--direction en-it"],
    );
    world.write("mine.tsv", pairs(["en", "it"], 3));
    world.refused(
        &run(&world, "--test mine.tsv --nprompts 0 --direction en-fr"),
        &["mine.tsv:1 has no columns `en` and `fr` (it has en, it)"],
    );
}

#[test]
fn a_corpus_may_say_its_direction() {
    let world = World::new();
    world.write("mine.tsv", pairs(["en", "it"], 3));
    let yaml = "kind: table\ntest: mine.tsv\ncolumns: {source: '{source}', target: '{target}'}\n";
    world.write("own.yaml", yaml);
    let common = "--data own.yaml --nprompts 0 --mask none";
    world.refused(&run(&world, common), &["--direction is missing", "the corpus `own` (own.yaml)"]);
    world.write("own.yaml", format!("{yaml}direction: it-en\n"));
    ok(run(&world, common));
    assert_eq!(first_item(&world, "results/tiny/own.it-en/qa_lines-k0-seed0")["source"], "right 0");
    // Columns that are called by languages say it too.
    world.write("own.yaml", "kind: table\ntest: mine.tsv\ncolumns: {source: it, target: en}\n");
    world.refused(&run(&world, &format!("{common} --format qa_line")), &["did you mean `qa_lines`"]);
    ok(run(&world, &format!("{common} --results other")));
    assert_eq!(first_item(&world, "other/tiny/own.it-en/qa_lines-k0-seed0")["source"], "right 0");
}

#[test]
fn a_run_without_a_direction_can_be_made_again_and_drawn() {
    let world = World::new();
    world.write("mine.tsv", pairs(["source", "target"], 3));
    ok(run(&world, "--test mine.tsv --nprompts 0 --mask none,FFT --from-layer all --format qa_lines_none"));
    let folder = "results/tiny/mine.mt/qa_lines_none-k0-seed0";
    ok(world.call(&format!("run --from-manifest {folder}/manifest.json --threads 1")));
    ok(world.call("figure masks results"));
    let svg = fs::read_to_string(world.path("figures/masks.svg")).unwrap();
    assert!(!svg.contains("tiny, ") && svg.contains("(mine)") || !svg.contains("<text"), "{svg}");
    ok(world.call("report results"));
}

#[cfg(target_os = "linux")]
#[test]
fn programs_have_no_direction_but_old_ones_are_found() {
    let world = World::new();
    let problem = json!({
        "task_id": "P/0", "prompt": "def f(x):\n    \"\"\" Add 1. \"\"\"\n", "entry_point": "f",
        "canonical_solution": "    return x + 1\n", "test": "def check(candidate):\n    assert candidate(2) == 3\n",
    });
    world.write("problems.jsonl", format!("{problem}\n"));
    let common = "--task code --test problems.jsonl --nprompts 0 --mask none --format code_functions";
    let old = run(&world, &format!("{common} --direction en-py"));
    ok(old);
    let before = world.path("results/tiny/problems.en-py/code_functions-k0-seed0/none/baseline.json");
    assert!(before.exists());
    let new = run(&world, common);
    let said = stderr(&new).replace("\n  ", " ");
    ok(new);
    assert!(
        said.contains("problems.en-py/code_functions-k0-seed0 holds results of an earlier version"),
        "{said}"
    );
    assert!(world.path("results/tiny/problems.code/code_functions-k0-seed0/none/baseline.json").exists());
    ok(world.call("verify results"));
    world.write("speaks.yaml", "header: 'From {source} to {target}:'\nquestion: Q\nanswer: A\n");
    world.refused(
        &run(&world, &common.replace("code_functions", "speaks.yaml")),
        &["--direction is missing", "speaks"],
    );
}

/// The default is a curve of a few items, and says so.
#[test]
fn the_default_is_a_curve_that_can_be_finished() {
    let world = World::new();
    world.write("mine.tsv", pairs(["en", "it"], 60));
    let common = "--test mine.tsv --demonstrations mine.tsv --nprompts 2";
    let output = run(&world, &format!("{common} --json"));
    let said = stderr(&output);
    let lines = json_lines(&ok(output));
    assert_eq!(lines.len(), 1 + tiny::LAYERS);
    assert!(lines.iter().all(|line| line["n"] == 50), "{lines:?}");
    let sentence = "mine: uses the first 50 of 60 test items; --limit all uses all";
    assert_eq!(said.matches(sentence).count(), 1, "{said}");
    assert_eq!(manifest(&world, "results/tiny/mine.en-it/qa_lines-k2-seed0")["left_out"], sentence);
    // How long it takes is said beforehand, once, without a terminal too.
    let estimate = "250 generations in 5 cells: about ";
    assert!(said.matches(estimate).count() == 1 && said.contains("estimated from the first pass"), "{said}");
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");

    let all = run(&world, &format!("{common} --limit all --mask none --json --results all"));
    assert!(!stderr(&all).contains("--limit"), "{}", stderr(&all));
    assert_eq!(json_lines(&ok(all))[0]["n"], 60);
    // A corpus with fewer items is used whole, without a word; asked for, they must be there.
    world.write("few.tsv", pairs(["en", "it"], 3));
    let few = run(&world, "--test few.tsv --nprompts 0 --mask none --json");
    assert!(!stderr(&few).contains("--limit"));
    assert_eq!(json_lines(&ok(few))[0]["n"], 3);
    world.refused(
        &run(&world, "--test few.tsv --nprompts 0 --limit 50"),
        &["--limit 50", "only 3 test items"],
    );
    // An experiment file means what it always has.
    world.write("e.yaml", "seed: 0\n");
    let file = run(&world, &format!("{common} --config e.yaml --json --results file --from-layer 1"));
    let lines = json_lines(&ok(file));
    assert_eq!((lines.len(), &lines[0]["n"], &lines[0]["mask"]), (1, &json!(60), &json!("TTF")));
    // The manifest of a call with the default makes the same run again.
    let again = "results/tiny/mine.en-it/qa_lines-k2-seed0/manifest.json";
    ok(world.call(&format!("run --from-manifest {again} --threads 1")));
    // `show` sees items that the default leaves out.
    let shown = ok(world.call(&format!("show --model tiny {common} --mask TTF --from-layer 1 --item 59")));
    assert!(shown.starts_with("item 60, "), "{shown}");
}

#[test]
fn several_runs_are_numbered() {
    let world = World::new();
    let output = world.run("--mask none --seed 0..2");
    let said = stderr(&output);
    ok(output);
    for number in ["run 1 of 3: results/tiny/test.en-fr/", "run 3 of 3: "] {
        assert!(said.contains(number), "{said}");
    }
}

#[test]
fn a_model_that_is_a_path_is_looked_for_here_only() {
    let world = World::new();
    world.write("models/other/config.json", "{}");
    for (model, says) in [
        (
            "models/foo",
            vec!["there is no models/foo in the folder models/, and nothing was fetched", "models/foo@main"],
        ),
        ("models/foo@main", vec!["models/foo@main is not in the cache"]),
        ("elsewhere/foo", vec!["elsewhere/foo is not in the cache"]),
        ("./foo", vec!["there is no folder or file ./foo"]),
        ("../foo/bar", vec!["there is no folder or file ../foo/bar"]),
        ("/nowhere/foo", vec!["there is no folder or file /nowhere/foo"]),
        ("~/foo", vec!["there is no folder or file ~/foo"]),
        ("models/foo/", vec!["there is no folder or file models/foo/"]),
        ("a/b/c", vec!["there is no folder or file a/b/c", "owner/name"]),
        ("owner/name@refs/pr/1", vec!["owner/name@refs/pr/1 is not in the cache"]),
        ("weights.gguf", vec!["there is no folder or file weights.gguf"]),
    ] {
        world.refused(&world.run(&format!("--model {model} --mask none")), &says);
        world.refused(&world.call(&format!("models {model}")), &says);
    }
}

#[test]
fn masks_that_hide_nothing_are_refused_or_named() {
    let world = World::new();
    for args in [
        "--mask FTF --nprompts 0",
        "--mask none,FTF --nprompts 0 --dry-run",
        "--mask FTF --nprompts 0 --dry-run",
    ] {
        world.refused(&world.run(args), &["--mask FTF hides nothing", "no examples", "--mask none"]);
    }
    world.refused(
        &world.run("--format qa_lines_none --nprompts 0"),
        &["--mask TTF hides nothing", "no instructions and no examples"],
    );
    assert!(!world.path("results").exists());
    // Beside others that do, it is named and computed: its cells are the baseline's.
    let output = world.run("--mask none,TTF,FTF --from-layer 1 --nprompts 0 --json");
    let said = stderr(&output).replace("\n  ", " ");
    assert!(
        said.contains("--mask FTF hides nothing") && said.contains("so its cells equal the baseline"),
        "{said}"
    );
    assert!(!said.contains("--mask TTF"), "{said}");
    let lines = json_lines(&ok(output));
    let bleu = |mask: &str| lines.iter().find(|line| line["mask"] == mask).unwrap()["bleu"].clone();
    assert_eq!((lines.len(), bleu("FTF")), (3, bleu("none")));
    assert_ne!(bleu("TTF"), bleu("none"));
    let dry = world.run("--mask none,TTF,FTF --from-layer 1 --nprompts 0 --dry-run");
    assert!(stderr(&dry).contains("--mask FTF hides nothing"));
    // In a grid, one run is enough; a mask of the query and the mask `all` always hide something.
    ok(world.run("--mask FTF --from-layer 1 --nprompts 0,2 --results grid"));
    let quiet =
        world.run("--mask FFT,all --from-layer 1 --nprompts 0 --format qa_lines_none --results quiet");
    assert!(!stderr(&quiet).contains("hides nothing"));
    ok(quiet);
    ok(world.run("--ablate-attention 1 --nprompts 0 --results ablation"));
    ok(world.run("--mask none --nprompts 0 --format qa_lines_none --results baseline"));
}

/// Each verb shows the settings that it uses, each with its default; the others are refused.
#[test]
fn help_shows_what_is_used_with_its_defaults() {
    let world = World::new();
    // As one line, however wide the terminal is.
    let help = |verb: &str| {
        let text = ok(world.call(&format!("{verb} --help")));
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let run = help("run");
    for part in [
        "Model:",
        "Data and prompt:",
        "Interventions:",
        "Generation:",
        "Scoring:",
        "Resources:",
        "Output:",
        "--model <NAME|PATH>",
        "[default: qwen2.5-coder-0.5b]",
        "[default: none,TTF]",
        "[default: 50]",
        "[default: nations; humaneval with --task code]",
        "[default: qa_lines; code_functions with --task code; qa_lines_none with --task choice; qa_short with --task answer]",
        "[default: all]",
        "[default: 256]",
        "[default: mt]",
    ] {
        assert!(run.contains(part), "{part}: {run}");
    }
    let lora = help("lora");
    for part in
        ["[default: instr_none_QA", "[default: 0.0001]", "AdamW's initial learning rate", "[default: 400]"]
    {
        assert!(lora.contains(part), "{part}: {lora}");
    }
    let settings = |text: &str| -> Vec<String> {
        let flags = text
            .split(" --")
            .skip(1)
            .map(|rest| rest.split([' ', '[', ',', ';']).next().unwrap().to_string());
        flags.collect()
    };
    let (show, attention) = (settings(&help("show")), settings(&help("figure attention")));
    let given = "--model tiny --test test.tsv --demonstrations demonstrations.tsv --direction en-fr --mask TTF --from-layer 1";
    for (flag, value) in [
        ("no-stop", "true"),
        ("drop-context", "true"),
        ("samples", "2"),
        ("temperature", "1"),
        ("top-p", "0.5"),
        ("sandbox", "off"),
        ("python", "python3"),
        ("time-limit", "5"),
        ("device", "cpu"),
        ("dtype", "f32"),
        ("threads", "1"),
        ("batch", "1"),
        ("memory", "1GiB"),
        ("results", "x"),
        ("locks", "false"),
    ] {
        assert!(!show.contains(&flag.to_string()), "{flag}");
        let refused = world.call(&format!("show {given} --{flag} {value}"));
        world.refused(&refused, &[&format!("--{flag}: has no effect on `icl-mask show`")]);
        let computes = ["device", "dtype", "threads", "memory"].contains(&flag);
        assert_eq!(attention.contains(&flag.to_string()), computes, "{flag}");
        if !computes {
            let refused = world.call(&format!("figure attention {given} --layer 1 --{flag} {value}"));
            world.refused(&refused, &[&format!("--{flag}: has no effect on `icl-mask figure attention`")]);
        }
    }
    // Flags that only programs use are refused for translations; an experiment file may hold them for another task.
    world.refused(&world.run("--time-limit 5"), &["--time-limit: has an effect on programs only"]);
    world.write("e.yaml", "time_limit: 5\nthreads: 1\n");
    ok(world.run("--config e.yaml --dry-run"));
    ok(world.call(&format!("show {given} --config e.yaml")));
}

/// A setting of `run` without a default says what happens without it.
#[test]
fn every_setting_says_its_default() {
    let world = World::new();
    for verb in ["run", "lora"] {
        let text = ok(world.call(&format!("{verb} --help")));
        let mut flag = String::new();
        let mut said: Vec<(String, String)> = Vec::new();
        for line in text.lines() {
            let trimmed = line.trim_start();
            if trimmed.starts_with("--") || trimmed.starts_with("-h,") || trimmed.starts_with("-V,") {
                flag = trimmed.split_whitespace().next().unwrap().to_string();
                said.push((flag.clone(), String::new()));
            }
            if let Some((_, help)) = said.last_mut().filter(|_| !flag.is_empty()) {
                help.push_str(trimmed);
            }
        }
        let switches = ["--json", "--dry-run", "-h,", "-V,"];
        for (flag, help) in said.iter().filter(|(flag, _)| !switches.contains(&flag.as_str())) {
            assert!(help.contains("[default:"), "{verb} {flag}: {help}");
        }
    }
}

/// What is not there yet is told from what is wrong by its kind, not by its words.
#[test]
fn a_plan_needs_no_corpus_but_a_right_one() {
    let world = World::new();
    let plan = ok(world.call("run --model tiny --data nations --dry-run"));
    assert!(plan.contains("not counted: there is no file data/nations"), "{plan}");
    // Its own file says `prepare` too, but is wrong.
    world.write("prepare.tsv", "source\tprepare\na\tb\n");
    let wrong = "run --model tiny --test prepare.tsv --nprompts 0 --direction en-fr --dry-run";
    world.refused(&world.call(wrong), &["prepare.tsv:1 has no column `target`"]);
    world
        .refused(&world.call("run --model tiny --test nowhere.tsv --nprompts 0 --dry-run"), &["nowhere.tsv"]);
    let yaml = "kind: table\nprepare: bin/prepare-x.sh\ntest: empty.tsv\ndirection: en-fr\n";
    world.write("own.yaml", yaml);
    let own = "run --model tiny --data own.yaml --nprompts 0 --dry-run";
    assert!(
        ok(world.call(own))
            .contains("not counted: the file empty.tsv does not exist; run `bin/prepare-x.sh`")
    );
    world.write("empty.tsv", "");
    world.refused(&world.call(own), &["empty.tsv is empty; run `bin/prepare-x.sh`"]);
}

#[test]
fn large_grids_are_refused_in_no_time() {
    let world = World::new();
    let begun = std::time::Instant::now();
    for args in [
        "--seed 0..99999",
        "--seed 0..1999 --nprompts 0..7",
        "--seed 0..1000 --mask TTF,FTF,TFF,FFT,TTT,all --profile exact,sia2024",
    ] {
        world.refused(&world.run(&format!("{args} --dry-run")), &["more than 2000 runs or 100000 cells"]);
    }
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}

#[test]
fn lists_fit_a_terminal() {
    let world = World::new();
    world.write("configs/data/broken.yaml", "kind: tabel\n");
    let listed = world.call("data list");
    assert!(stderr(&listed).contains("broken.yaml: unknown kind `tabel`"), "{}", stderr(&listed));
    let (data, models) = (ok(listed), ok(world.call("models")));
    for text in [&data, &models, &ok(world.call("models tiny"))] {
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
    assert!(data.contains("nations") && data.contains("flores") && !data.contains("broken"), "{data}");
    // The same number of parameters in the list and for one model.
    let row = models.lines().find(|line| line.contains("llama-3.1-8b ")).unwrap();
    assert!(row.contains("8.030 B"), "{row}");
    let one = ok(world.call("models llama-3.1-8b"));
    assert!(one.contains("8.030 B parameters"), "{one}");
}
