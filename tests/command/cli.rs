//! The program as a user meets it, on a tiny model: what it prints and what it writes.

use crate::tiny;
use std::collections::BTreeSet;
use std::fs;

use crate::world::{CHAT, RUN, World, contents, json_lines, ok};
use serde_json::Value;

#[test]
fn a_sweep_writes_every_cell_once() {
    let world = World::new();
    let args = "--mask none,TTF --from-layer all --nprompts 3 --seed 1 --json";
    let lines = json_lines(&ok(world.run(args)));
    assert_eq!(lines.len(), 1 + tiny::LAYERS);
    let run = world.path("results").join(RUN);
    for line in &lines {
        let path = world.path(line["path"].as_str().expect("a path"));
        assert!(path.starts_with(&run), "{}", path.display());
        let mut stored: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        stored["path"] = line["path"].clone();
        assert_eq!(&stored, line);
        let generations = json_lines(&fs::read_to_string(path.with_extension("jsonl")).unwrap());
        assert_eq!(generations.len(), 6);
        for field in ["id", "prompt_tokens", "text", "clean", "tokens", "stop"] {
            assert!(!generations[0][field].is_null(), "{field}");
        }
    }
    for field in
        ["model", "data", "direction", "format", "mask", "from_layer", "n_layers", "seed", "nprompts"]
    {
        assert!(!lines[0][field].is_null(), "{field}");
    }
    for field in ["profile", "n", "bleu", "bleu1", "bleu4", "brevity_penalty", "chrf", "signature", "seconds"]
    {
        assert!(!lines[0][field].is_null(), "{field}");
    }
    assert!(run.join("none/baseline.json").exists() && run.join("TTF/layer-3.json").exists());
    let manifest: Value =
        serde_json::from_str(&fs::read_to_string(run.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["demonstrations"].as_array().unwrap().len(), 3);
    assert!(manifest["hidden"]["TTF"][0][1].as_u64().unwrap() > 10);

    // Nothing is computed again; what is finished is printed all the same.
    let before = contents(&world.path("results"));
    let again = world.run(args);
    assert_eq!(again.status.code(), Some(0));
    assert!(!String::from_utf8_lossy(&again.stderr).contains("loading"));
    let printed = |lines: &[Value]| -> BTreeSet<String> { lines.iter().map(Value::to_string).collect() };
    let again = json_lines(&String::from_utf8(again.stdout).unwrap());
    assert_eq!((again.len(), printed(&again)), (lines.len(), printed(&lines)));
    assert_eq!(before, contents(&world.path("results")));
}

#[test]
fn a_cell_alone_is_the_cell_of_the_sweep_and_of_any_batch() {
    let world = World::new();
    ok(world.run("--mask none,TTF,TTT --from-layer all --results sweep --batch 5"));
    ok(world.run("--mask TTF --from-layer 2 --results alone --batch 1 --threads 1 --memory 80MiB"));
    let [sweep, alone] = ["sweep", "alone"].map(|results| {
        let run = world.path(results).join("tiny/test.en-fr/instr_machine_translation-k5-seed0/TTF");
        ["layer-2.jsonl", "layer-2.json"].map(|file| {
            let text = fs::read_to_string(run.join(file)).expect("written");
            text.lines().filter(|line| !line.contains("\"seconds\"")).collect::<Vec<_>>().join("\n")
        })
    });
    assert_eq!(sweep, alone);
}

/// Going on to the full length changes neither what was generated up to the stop nor the scores.
#[test]
fn the_full_length_begins_with_what_stops() {
    let world = World::new();
    ok(world.run("--mask none,TTF --from-layer 1 --results stopped"));
    ok(world.run("--mask none,TTF --from-layer 1 --results whole --no-stop"));
    for cell in ["none/baseline", "TTF/layer-1"] {
        let read = |results: &str, extension: &str| {
            let run = world.path(results).join("tiny/test.en-fr/instr_machine_translation-k5-seed0");
            fs::read_to_string(run.join(format!("{cell}.{extension}"))).unwrap()
        };
        let lines = |results: &str| -> Vec<Value> {
            read(results, "jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        for (stopped, whole) in lines("stopped").iter().zip(lines("whole")) {
            let [stopped, whole] = [stopped, &whole].map(|line| line["tokens"].as_array().unwrap().clone());
            assert!(whole.len() == 8 && whole.starts_with(&stopped));
        }
        let scores = ["stopped", "whole"]
            .map(|results| -> Value { serde_json::from_str(&read(results, "json")).unwrap() });
        assert_eq!(scores[0]["bleu"], scores[1]["bleu"]);
        assert_eq!(scores[0]["chrf"], scores[1]["chrf"]);
    }
}

#[test]
fn a_broken_off_cell_goes_on_where_it_stopped() {
    let world = World::new();
    let args = "--mask none,TTF --from-layer 1 --nprompts 3 --seed 1";
    ok(world.run(args));
    let before = contents(&world.path("results"));
    // As if the power had gone while the fourth generation was being written.
    let cell = world.path("results").join(RUN).join("TTF");
    let lines = fs::read_to_string(cell.join("layer-1.jsonl")).unwrap();
    let kept = lines.lines().take(4).map(|line| line.replacen('{', "{\"seconds\":0.5,", 1));
    let mut kept = kept.collect::<Vec<_>>().join("\n");
    kept.truncate(kept.len() - 20);
    fs::write(cell.join("layer-1.partial.jsonl"), kept).unwrap();
    fs::remove_file(cell.join("layer-1.jsonl")).unwrap();
    fs::remove_file(cell.join("layer-1.json")).unwrap();
    let again = world.run(args);
    assert_eq!(again.status.code(), Some(0), "{}", String::from_utf8_lossy(&again.stderr));
    assert_eq!(before, contents(&world.path("results")));
}

#[test]
fn the_layer_after_the_last_is_the_baseline() {
    let world = World::new();
    let lines = json_lines(&ok(world.run("--mask none,TTF,FTF --from-layer 4 --json")));
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["mask"], "none");
}

#[test]
fn the_study_profile_has_a_folder_and_rules_of_its_own() {
    let world = World::new();
    ok(world.run("--mask TTF --from-layer 1 --profile sia2024,exact"));
    let base = world.path("results/tiny/test.en-fr");
    let read = |folder: &str| {
        let path = base.join(folder).join("TTF/layer-1.jsonl");
        json_lines(&fs::read_to_string(path).expect("written"))
    };
    let study = read("instr_machine_translation-k5-seed0-sia2024");
    // No stop rule but the length.
    assert!(study.iter().all(|line| line["stop"] == "length" || line["stop"] == "eos"));
    assert_eq!(read("instr_machine_translation-k5-seed0").len(), 6);
    world.refused(&world.run("--profile sia2024 --nprompts 3"), &["--nprompts", "always uses 5"]);
}

#[test]
fn a_dry_run_writes_nothing() {
    let world = World::new();
    let plan = ok(world.run("--mask none,TTF,TTT --from-layer all --seed 0..2 --dry-run"));
    assert_eq!(plan.matches("9 cells (none x 1, TTF x 4, TTT x 4)").count(), 3, "{plan}");
    assert!(
        plan.contains("6 prompts of")
            && plan.contains("hidden tokens of the first prompt: none: nothing; TTF: [0,")
    );
    let lines = json_lines(&ok(world.run("--mask TTF --from-layer 1 --dry-run --json")));
    assert_eq!(lines[0]["items"], 6);
    assert!(!world.path("results").exists());
}

#[test]
fn a_plan_for_a_model_that_is_not_here_yet() {
    let world = World::new();
    let plan = ok(world.call("run --config masking --dry-run"));
    assert!(plan.contains("161 cells (none x 1, TTF x 32, FTF x 32"), "{plan}");
    assert!(plan.lines().skip(1).all(|line| line.chars().count() <= 80), "{plan}");
    assert!(plan.contains("8030.3 M parameters\n"), "{plan}");
    assert!(plan.contains("weights as f32 29.92 GiB; KV cache 256.0 KiB per token"), "{plan}");
    let why = "HF_HUB_OFFLINE is set and meta-llama/Llama-3.1-8B is not in the cache";
    let joined = plan.replace("\n    ", " ");
    assert!(joined.contains(&format!("  not counted: {why}")), "{plan}");
    world.refused(&world.call("run --config masking"), &[why]);
}

#[test]
fn what_is_shown_is_what_is_hidden() {
    let world = World::new();
    let common = "--model tiny --test test.tsv --demonstrations demonstrations.tsv --direction en-fr";
    let shown = ok(world.call(&format!("show {common} --mask TTF --from-layer 2 --item 1 --json")));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let (segments, n) = (&shown["segments"], shown["tokens"].as_array().unwrap().len());
    assert_eq!(shown["hidden"], serde_json::json!([[0, segments["examples"][1]]]));
    assert_eq!(segments["query"][1], n);
    assert_eq!(segments["instructions"][0], 0);
    assert_eq!(segments["bos"], serde_json::json!([0, 0]));
    assert!(shown["prompt"].as_str().unwrap().starts_with("Translate English to French:\nQ: "));
    let text = ok(world.call(&format!("show {common} --mask TTF,TTT,all --from-layer 1")));
    for part in
        ["examples [", "TTF: from layer 1 on", "all: from layer 1 on, each token attends only to itself"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    world.refused(&world.call(&format!("show {common} --item 99")), &["--item 99", "0 to 5"]);
}

#[test]
fn stored_generations_score_the_same_again() {
    let world = World::new();
    ok(world.run("--mask none,TTF --from-layer 0,3"));
    let before = contents(&world.path("results"));
    let lines = json_lines(&ok(world.call("score results --json")));
    assert_eq!(lines.len(), 3);
    assert_eq!(before, contents(&world.path("results")));
    world.refused(&world.call("score nowhere"), &["nowhere"]);
}

#[test]
fn anyones_text_is_scored_line_by_line() {
    let world = World::new();
    world.write("hyp", "The cat sat on the mat .\nHello there\n");
    world.write("ref", "the cat sat on a mat.\nhello there\n");
    let scores: Value =
        serde_json::from_str(&ok(world.call("score --hyp hyp --ref ref --lowercase --json"))).unwrap();
    assert_eq!(scores["signature"], "nrefs:1|case:lc|eff:no|tok:13a|smooth:exp|version:2.6.0");
    assert!(ok(world.call("score --hyp hyp --ref ref --tokenize char")).starts_with("BLEU = "));
    world.refused(
        &world.call("score --hyp hyp --ref ref --tokenize ja-mecab"),
        &["--tokenize", "ja-mecab", "13a"],
    );
    world.refused(&world.call("score --hyp hyp --ref none"), &["none: cannot be read"]);
    world.write("ref", "one line\n");
    world.refused(&world.call("score --hyp hyp --ref ref"), &["2 hypothesis lines against 1 reference"]);
    world.write("ref", b"fine\nbad \xff\n");
    world.refused(&world.call("score --hyp hyp --ref ref"), &["ref:2: not valid UTF-8"]);
    assert_eq!(world.call("score --hyp hyp").status.code(), Some(2));
}

#[test]
fn a_file_is_a_corpus_too() {
    let world = World::new();
    let rest = "--model tiny --direction en-fr --mask none --dry-run --json";
    let plan = ok(world.call(&format!("run --data test.tsv --demonstrations demonstrations.tsv {rest}")));
    assert_eq!(json_lines(&plan)[0]["items"], 6);
    let output = world.call(&format!("run --data test.tsv {rest}"));
    world.refused(
        &output,
        &["--nprompts", "the prompt takes 5 demonstrations, but the corpus `test` has none"],
    );
    let output = world.call(&format!("run --data nations --demonstrations demonstrations.tsv {rest}"));
    world.refused(&output, &["--demonstrations", "nations has its own demonstrations", "--test"]);
}

#[test]
fn lists_and_completions_are_printed() {
    let world = World::new();
    let models = ok(world.call("models"));
    for model in ["gpt-neo-2.7b", "bloom-3b", "starcoder2-7b", "llama-3.1-8b-instruct", "smollm2-135m"] {
        assert!(models.contains(model), "{model}");
    }
    let one: Value = serde_json::from_str(&ok(world.call("models tiny --json"))).unwrap();
    assert_eq!(one["layers"], 4);
    assert!(ok(world.call("data list")).contains("nations"));
    assert!(ok(world.call("completions bash")).contains("icl-mask"));
    world.refused(&world.call("data verify nation --direction en-fr"), &["did you mean `nations`?"]);
    world.refused(&world.call("data verify nations --direction en-fr"), &["bin/prepare-nations.sh"]);
}

#[test]
fn a_chat_template_goes_around_the_prompt_and_has_a_folder_of_its_own() {
    let world = World::new();
    ok(world.run("--mask TTF --from-layer 1 --nprompts 3 --seed 1"));
    let plain = contents(&world.path("results"));
    world.write("tiny/chat_template.jinja", CHAT);
    let args = "--mask none,TTF --from-layer 1 --nprompts 3 --seed 1 --json --chat-template";
    let lines = json_lines(&ok(world.run(args)));
    assert_eq!(lines.len(), 2);
    let run = world.path("results").join(format!("{RUN}-chat"));
    let manifest: Value =
        serde_json::from_str(&fs::read_to_string(run.join("manifest.json")).unwrap()).unwrap();
    let (segments, settings) = (&manifest["prompt"]["segments"], &manifest["settings"]);
    let text = manifest["prompt"]["text"].as_str().unwrap();
    assert!(text.starts_with("<|im_start|>user\nTranslate English to French:\nQ:"), "{text}");
    assert!(text.ends_with("A:<|im_end|>\n<|im_start|>assistant\n"), "{text}");
    assert_eq!(segments["opening"][1], segments["instructions"][0]);
    assert_eq!(segments["query"][1], segments["closing"][0]);
    let hidden = serde_json::json!([[segments["instructions"][0], segments["examples"][1]]]);
    assert_eq!(manifest["hidden"]["TTF"], hidden);
    assert_eq!(settings["chat_template"].as_str().unwrap().len(), 64);
    assert_eq!(lines[0]["chat_template"], settings["chat_template"]);
    assert_eq!(manifest["special_tokens"]["bos_from"], "none: the chat template writes none");
    // The plain results stand as they were, and know nothing of templates.
    let all = contents(&world.path("results"));
    assert!(plain.iter().all(|file| all.contains(file)));
    assert!(plain.iter().all(|(_, text)| !text.contains("chat_template") && !text.contains("closing")));
    let again = world.run(args);
    assert!(!String::from_utf8_lossy(&again.stderr).contains("loading") && again.status.code() == Some(0));
    world.write("tiny/chat_template.jinja", CHAT.replace("user", "human"));
    world.refused(&world.run(args), &["-chat: holds results of other settings", "chat_template was"]);
    assert_eq!(json_lines(&ok(world.call("score results --json"))).len(), 3);
}

#[test]
fn a_chat_template_is_shown_and_planned() {
    let world = World::new();
    world.write("mine.jinja", CHAT);
    world.write("e.yaml", "chat_template: true\n");
    world.write("tiny/tokenizer_config.json", serde_json::json!({"chat_template": CHAT}).to_string());
    let common = "--model tiny --test test.tsv --demonstrations demonstrations.tsv --direction en-fr --mask TTF \
                  --from-layer 2";
    let show = |args: &str| ok(world.call(&format!("show {common} {args}")));
    let text = show("--chat-template mine.jinja");
    for part in ["opening [0, ", "closing [", "<|im_start|>", "beginning of text: none", "end of text: none"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(text, show("--chat-template"));
    assert_eq!(text, show("--config e.yaml"));
    let off = show("--config e.yaml --chat-template false");
    assert_eq!(off, show(""));
    assert!(!off.contains("opening") && !off.contains("closing"), "{off}");
    let plans =
        json_lines(&ok(world.run("--mask TTF --from-layer 1 --dry-run --json --chat-template false,true")));
    let tokens: Vec<u64> = plans.iter().map(|plan| plan["longest_prompt"].as_u64().unwrap()).collect();
    assert!(tokens.len() == 2 && tokens[0] < tokens[1], "{tokens:?}");
    assert!(plans[1]["folder"].as_str().unwrap().ends_with("-k5-seed0-chat"));
}
