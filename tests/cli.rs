//! The program as a user meets it, on a tiny model: what it prints, what it writes, how it refuses.

mod tiny;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A folder with a tiny model and a tiny corpus, in which the program runs.
struct World(TempDir);

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        tiny::write_model(&folder.path().join("tiny"));
        let all = tiny::examples(14);
        let tsv = |some: &[icl_mask::data::Example]| {
            let rows = some.iter().map(|e| format!("{}\t{}\t{}\n", e.id, e.source, e.target));
            format!("id\tsource\ttarget\n{}", rows.collect::<String>())
        };
        fs::write(folder.path().join("demonstrations.tsv"), tsv(&all[..8])).expect("written");
        fs::write(folder.path().join("test.tsv"), tsv(&all[8..])).expect("written");
        Self(folder)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("written");
    }

    /// `icl-mask VERB ARGS` in this folder.
    fn call(&self, args: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_icl-mask"))
            .args(args.split_whitespace())
            .current_dir(self.0.path())
            // No test of this file may reach for the network or find what another program has fetched.
            .env("HF_HUB_OFFLINE", "1")
            .env("HF_HOME", self.0.path().join("hub"))
            .env_remove("HF_HUB_CACHE")
            .output()
            .expect("it runs")
    }

    /// `icl-mask run` on the tiny model and corpus, where `args` do not say otherwise.
    fn run(&self, args: &str) -> Output {
        let defaults = [
            ("--model", "tiny"),
            ("--test", "test.tsv"),
            ("--demonstrations", "demonstrations.tsv"),
            ("--direction", "en-fr"),
            ("--format", "instr_machine_translation"),
            ("--max-new-tokens", "8"),
            ("--threads", "1"),
        ];
        let given: Vec<&str> = args.split_whitespace().collect();
        let defaults = defaults.iter().filter(|(flag, _)| !given.contains(flag));
        let defaults: String = defaults.map(|(flag, value)| format!("{flag} {value} ")).collect();
        self.call(&format!("run {defaults} {args}"))
    }

    /// It is refused with exit code 2, and the sentence says all of these.
    fn refused(&self, output: &Output, says: &[&str]) {
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        for part in says {
            assert!(stderr.contains(part), "`{part}` is not in: {stderr}");
        }
        assert!(!stderr.contains("loading"), "refused only after loading: {stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

fn ok(output: Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// All files below a folder with their contents, times aside.
fn contents(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("readable") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = fs::read_to_string(&path).expect("text");
                let lines =
                    text.lines().filter(|line| !line.contains("\"seconds\"") && !line.contains("\"git\""));
                found.push((
                    path.strip_prefix(folder).expect("below").into(),
                    lines.collect::<Vec<_>>().join("\n"),
                ));
            }
        }
    }
    found.sort();
    found
}

const RUN: &str = "tiny/test.en-fr/instr_machine_translation-k3-seed1";

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

    let before = contents(&world.path("results"));
    let again = world.run(args);
    assert_eq!(again.status.code(), Some(0));
    assert!(again.stdout.is_empty() && !String::from_utf8_lossy(&again.stderr).contains("loading"));
    assert_eq!(before, contents(&world.path("results")));
}

#[test]
fn a_cell_alone_is_the_cell_of_the_sweep_and_of_any_batch() {
    let world = World::new();
    ok(world.run("--mask none,TTF,TTT --from-layer all --results sweep --batch 5"));
    ok(world.run("--mask TTF --from-layer 2 --results alone --batch 1"));
    let [sweep, alone] = ["sweep", "alone"].map(|results| {
        let run = world.path(results).join("tiny/test.en-fr/instr_machine_translation-k5-seed0/TTF");
        ["layer-2.jsonl", "layer-2.json"].map(|file| {
            let text = fs::read_to_string(run.join(file)).expect("written");
            text.lines().filter(|line| !line.contains("\"seconds\"")).collect::<Vec<_>>().join("\n")
        })
    });
    assert_eq!(sweep, alone);
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
fn other_settings_are_never_mixed_in() {
    let world = World::new();
    ok(world.run("--mask none --nprompts 3 --seed 1"));
    let output = world.run("--mask TTF --from-layer 0 --nprompts 3 --seed 1 --limit 2");
    world.refused(&output, &[RUN, "n was 6, now 2", "--results"]);
    world.write("test.tsv", "source\ttarget\nnew\tneu\n");
    world.refused(&world.run("--mask none --nprompts 3 --seed 1"), &["data_sha256 was"]);
}

#[test]
fn a_damaged_result_is_named() {
    let world = World::new();
    ok(world.run("--mask none --nprompts 3 --seed 1"));
    world.write(&format!("results/{RUN}/none/baseline.json"), "{\"model\":");
    world.refused(
        &world.run("--mask none --nprompts 3 --seed 1"),
        &["baseline.json: damaged", "move it away"],
    );
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
            && plan.contains("hidden columns of the first prompt: none [], TTF [[0,")
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
    assert!(plan.contains("8030.3 M parameters, as f32 29.92 GiB; KV cache 256.0 KiB a token"), "{plan}");
    let why = "HF_HUB_OFFLINE is set and meta-llama/Llama-3.1-8B is not in the cache";
    assert!(plan.contains(&format!("not counted: {why}")), "{plan}");
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
        ["examples [", "TTF: from layer 1 on", "all: from layer 1 on each row reads its own column only"]
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
fn flags_are_refused_before_anything_is_loaded() {
    let world = World::new();
    for (args, says) in [
        ("--mask TTX", vec!["--mask", "unknown mask `TTX`"]),
        ("--mask ttf", vec!["--mask", "did you mean `TTF`"]),
        ("--from-layer 5", vec!["--from-layer: layer 5 is out of range: tiny has 4 layers, so write 0..3"]),
        ("--from-layer 3..1", vec!["--from-layer", "runs backwards"]),
        ("--from-layer x", vec!["--from-layer: `x` is not a whole number"]),
        ("--format qa_line", vec!["--format: unknown format `qa_line`: did you mean `qa_lines`?"]),
        ("--profile sia2023", vec!["did you mean `sia2024`?"]),
        ("--direction enfr", vec!["--direction", "en-fr"]),
        ("--seed -1", vec!["--seed"]),
        ("--seed 5000000000", vec!["--seed: 5000000000 is more than"]),
        ("--limit 0", vec!["--limit: must be at least 1"]),
        ("--limit all,3", vec!["--limit: takes one value, not 2"]),
        ("--limit many", vec!["--limit: `many` is not a whole number"]),
        ("--demonstrations demonstrations.tsv --test= --data nations", vec!["--test: a value is empty"]),
        ("--threads 0", vec!["--threads: must be at least 1"]),
        ("--test test.tsv,test.tsv", vec!["--test: takes one value"]),
        ("--limit 7", vec!["--limit 7", "only 6 test items"]),
        ("--nprompts 9", vec!["8", "9"]),
        ("--batch 0", vec!["--batch: must be at least 1"]),
        ("--max-new-tokens 0", vec!["--max-new-tokens: must be at least 1"]),
        ("--max-new-tokens 600", vec!["item 9: its prompt of", "exceed the model's context of 512"]),
        ("--task code", vec!["--task", "mt"]),
        ("--device cuda", vec!["--device: `cuda` cannot be used", "write cpu"]),
        ("--dtype int8", vec!["--dtype: unknown dtype `int8`", "f32, f16, bf16, stored"]),
        ("--direction en-ja", vec!["ja-mecab"]),
        ("--model smolm2-135m", vec!["--model: unknown model `smolm2-135m`: did you mean `smollm2-135m`?"]),
        ("--model smollm2-135m", vec!["is not at models/smollm2-135m.gguf: run `bash bin/prepare-models.sh"]),
        ("--model owner/name", vec!["owner/name is not in the cache"]),
        ("--model owner/name/more", vec!["--model", "owner/name"]),
        ("--model none.gguf", vec!["none.gguf does not exist"]),
        ("--config nothing", vec!["--config: unknown experiments `nothing`"]),
        ("--test nowhere.tsv", vec!["nowhere.tsv"]),
    ] {
        world.refused(&world.run(args), &says);
    }
    assert!(!world.path("results").exists());
}

#[test]
fn a_file_is_a_corpus_too() {
    let world = World::new();
    let rest = "--model tiny --direction en-fr --mask none --dry-run --json";
    let plan = ok(world.call(&format!("run --data test.tsv --demonstrations demonstrations.tsv {rest}")));
    assert_eq!(json_lines(&plan)[0]["items"], 6);
    let output = world.call(&format!("run --data test.tsv {rest}"));
    world.refused(&output, &["--nprompts", "5 demonstrations are asked for, but test has none"]);
    let output = world.call(&format!("run --data nations --demonstrations demonstrations.tsv {rest}"));
    world.refused(&output, &["--demonstrations", "nations has demonstrations of its own", "--test"]);
}

#[test]
fn files_are_refused_with_their_line() {
    let world = World::new();
    for (yaml, says) in [
        ("mask: TTF\nmodle: x\n", vec!["e.yaml:2: unknown key `modle`: did you mean `model`?"]),
        ("mask: TTF\nfrom_layer: {a: 1}\n", vec!["e.yaml:2", "a word, a number, or a list"]),
        ("# comment\nmask: [TTF, TTZ]\n", vec!["e.yaml:2: mask", "unknown mask `TTZ`"]),
        ("mask: TTF\n\nfrom_layer: 0..9\n", vec!["e.yaml:3: from_layer: layer 5 is out of range"]),
        ("mask: TTF\nmask: FTF\n", vec!["e.yaml:", "mask"]),
        ("mask: 'TTF\n", vec!["e.yaml:"]),
        ("- mask\n", vec!["e.yaml:1"]),
        ("batch: many\n", vec!["e.yaml:1: batch: `many` is not a whole number"]),
    ] {
        world.write("e.yaml", yaml);
        world.refused(&world.run("--config e.yaml"), &says);
    }
    world.write("f.yaml", "question: Q\nanswer: A\nheadr: x\n");
    let output = world.call("run --model tiny --test test.tsv --nprompts 0 --format f.yaml --mask none");
    world.refused(&output, &["f.yaml:3: unknown key `headr`: did you mean `header`?"]);
    world.write("configs/mask/mine.yaml", "mask: TXF\ndescription: x\n");
    world.refused(&world.run("--mask mine"), &["configs/mask/mine.yaml:1", "unknown mask `TXF`"]);
}

#[test]
fn damaged_models_are_named() {
    let world = World::new();
    let weights = fs::read(world.path("tiny/model.safetensors")).unwrap();
    let config = fs::read_to_string(world.path("tiny/config.json")).unwrap();
    world.write("tiny/model.safetensors", &weights[..weights.len() - 100]);
    world.refused(&world.run("--mask none"), &["tiny/model.safetensors: not a whole safetensors file"]);
    fs::remove_file(world.path("tiny/model.safetensors")).unwrap();
    world.refused(&world.run("--mask none"), &["holds neither model.safetensors nor"]);
    world.write("tiny/model.safetensors", &weights);
    world.write("tiny/config.json", config.replace("\"llama\"", "\"mamba\""));
    world.refused(
        &world.run("--mask none"),
        &["config.json", "model_type `mamba` is not supported", "llama, qwen2"],
    );
    world.write("tiny/config.json", "{");
    world.refused(&world.run("--mask none"), &["config.json"]);
    world.write("bad.gguf", b"GGUFnonsense");
    world.refused(&world.run("--model bad.gguf --mask none"), &["bad.gguf: not a readable GGUF file"]);
    // The layers fit the header, the tensors do not: found when loading, still the input's fault.
    world.write("tiny/config.json", config.replace("\"num_hidden_layers\":4", "\"num_hidden_layers\":5"));
    let output = world.run("--mask none");
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("tensor `model.layers.4.self_attn.q_proj.weight` is missing"), "{stderr}");
}

#[test]
fn a_folder_that_cannot_be_written_is_a_failure() {
    let world = World::new();
    world.write("results", "a file, not a folder");
    let output = world.run("--mask none");
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("results/tiny"));
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

const CHAT: &str = "{{ '<|im_start|>user\\n' }}{% for m in messages %}{{ m.content | trim }}{% endfor %}<|im_end|>\n\
                    {% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

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
    assert!(again.stdout.is_empty() && again.status.code() == Some(0));
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

#[test]
fn chat_templates_are_refused_before_anything_is_loaded() {
    let world = World::new();
    world.write("twice.jinja", "{{ messages[0].content }}{{ messages[0].content }}");
    world.write("mine.jinja", CHAT);
    for (args, says) in [
        ("--chat-template", vec!["the model has no chat template of its own", "--chat-template false"]),
        ("--chat-template yes", vec!["--chat-template: there is no file `yes`", "true for the model's own"]),
        ("--chat-template twice.jinja", vec!["twice.jinja writes the message 2 times"]),
        ("--chat-template mine.jinja,twice.jinja", vec!["--chat-template: takes one template a call"]),
        (
            "--chat-template mine.jinja --profile sia2024",
            vec!["--chat-template: the study's code knows no chat template", "--profile exact"],
        ),
        ("--chat-template mine.jinja --max-new-tokens 400", vec!["exceed the model's context of 512"]),
    ] {
        world.refused(&world.run(args), &says);
    }
    world.write("e.yaml", "mask: TTF\nprofile: sia2024\nchat_template: mine.jinja\n");
    world.refused(&world.run("--config e.yaml"), &["e.yaml:3: chat_template: the study's code"]);
    assert!(!world.path("results").exists());
}
