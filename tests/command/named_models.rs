//! Models by name and by hub id, through the program: sizes, plans, memory, and a run fetched from a hub on loopback.

use crate::{mock_hub, tiny};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use icl_mask::config::{ModelChoice, files};
use serde_json::{Value, json};

/// As transformers counts them.
const PARAMETERS: [(&str, u64); 59] = [
    ("bloom-3b", 3_002_557_440),
    ("bloom-560m", 559_214_592),
    ("gemma-2-2b", 2_614_341_888),
    ("gemma-2-9b", 9_241_705_984),
    ("gemma-3-1b", 999_885_952),
    ("gemma-3-270m", 268_098_176),
    ("gemma-3-4b", 3_880_263_168),
    ("gpt-j-6b", 6_050_882_784),
    ("gpt-neo-125m", 125_198_592),
    ("gpt-neo-2.7b", 2_651_307_520),
    ("gpt-oss-20b", 20_914_757_184),
    ("gpt2", 124_439_808),
    ("gpt2-large", 774_030_080),
    ("gpt2-medium", 354_823_168),
    ("gpt2-xl", 1_557_611_200),
    ("llama-3.1-8b", 8_030_261_248),
    ("llama-3.1-8b-instruct", 8_030_261_248),
    ("llama-3.2-1b", 1_235_814_400),
    ("llama-3.2-3b", 3_212_749_824),
    ("mistral-7b-v0.1", 7_241_732_096),
    ("mistral-7b-v0.3", 7_248_023_552),
    ("olmo-2-1b", 1_484_916_736),
    ("olmo-2-7b", 7_298_617_344),
    ("olmoe-1b-7b", 6_919_161_856),
    ("opt-1.3b", 1_315_758_080),
    ("opt-125m", 125_239_296),
    ("opt-2.7b", 2_651_596_800),
    ("opt-350m", 331_196_416),
    ("opt-6.7b", 6_658_473_984),
    ("phi-4-mini", 3_836_021_760),
    ("pythia-1.4b", 1_414_647_808),
    ("pythia-12b", 11_846_072_320),
    ("pythia-14m", 14_067_712),
    ("pythia-160m", 162_322_944),
    ("pythia-1b", 1_011_781_632),
    ("pythia-2.8b", 2_775_208_960),
    ("pythia-31m", 30_494_720),
    ("pythia-410m", 405_334_016),
    ("pythia-6.9b", 6_857_302_016),
    ("pythia-70m", 70_426_624),
    ("qwen2.5-0.5b", 494_032_768),
    ("qwen2.5-0.5b-instruct", 494_032_768),
    ("qwen2.5-1.5b", 1_543_714_304),
    ("qwen2.5-1.5b-instruct", 1_543_714_304),
    ("qwen2.5-3b", 3_085_938_688),
    ("qwen2.5-3b-instruct", 3_085_938_688),
    ("qwen2.5-7b", 7_615_616_512),
    ("qwen2.5-7b-instruct", 7_615_616_512),
    ("qwen2.5-coder-0.5b", 494_032_768),
    ("qwen2.5-coder-1.5b", 1_543_714_304),
    ("qwen3-0.6b", 596_049_920),
    ("qwen3-1.7b", 1_720_574_976),
    ("qwen3-30b-a3b", 30_532_122_624),
    ("qwen3-4b", 4_022_468_096),
    ("qwen3-8b", 8_190_735_360),
    ("smollm2-135m", 134_515_008),
    ("smollm3-3b", 3_075_098_624),
    ("starcoder2-3b", 3_030_371_328),
    ("starcoder2-7b", 7_173_923_840),
];

#[test]
fn named_models_have_their_published_parameters() {
    let names: Vec<String> = files::names("model").into_iter().collect();
    assert_eq!(names, PARAMETERS.map(|(name, _)| name));
    for (name, parameters) in PARAMETERS {
        let choice = ModelChoice::resolve(name, "test", icl_mask::run::describe).unwrap();
        assert_eq!(choice.config.unwrap().arch().unwrap().parameters(), parameters, "{name}");
    }
}

/// The program in a folder, on a corpus of its own.
fn call(folder: &Path, args: &str, env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_icl-mask"));
    command.args(args.split_whitespace()).current_dir(folder).env("HF_HOME", folder.join("hub"));
    command.env_remove("HF_HUB_CACHE").env_remove("HF_TOKEN").env("HF_HUB_OFFLINE", "1");
    command.envs(env.iter().copied()).output().unwrap()
}

fn ok(output: Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

const CORPUS: &str = "--test test.tsv --demonstrations test.tsv --direction en-fr --format instr_machine_translation --threads 1";

fn world() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rows = tiny::examples(6).into_iter().map(|e| format!("{}\t{}\t{}\n", e.id, e.source, e.target));
    let text = format!("id\tsource\ttarget\n{}", rows.collect::<String>());
    fs::write(folder.path().join("test.tsv"), text).unwrap();
    folder
}

/// The study's five models, as far as a plan needs them: `config.json` and a tokenizer of their kind.
#[test]
fn the_studys_models_are_planned_without_weights() {
    for (name, tokenizer, layers, memory) in [
        ("gpt-neo-2.7b", "gpt-2", 32, 9.877),
        ("bloom-3b", "bloom", 30, 11.185),
        ("starcoder2-7b", "starcoder", 32, 26.725),
        ("llama-3.1-8b", "llama-bpe", 32, 29.915),
        ("llama-3.1-8b-instruct", "llama-bpe", 32, 29.915),
    ] {
        let world = world();
        let model = world.path().join("models").join(name);
        fs::create_dir_all(&model).unwrap();
        let config =
            ModelChoice::resolve(name, "test", icl_mask::run::describe).unwrap().config.unwrap().config;
        fs::write(model.join("config.json"), serde_json::to_string(&config).unwrap()).unwrap();
        let golden =
            format!("{}/tests/goldens/tokenizers/{tokenizer}.tokenizer.json", env!("CARGO_MANIFEST_DIR"));
        fs::copy(golden, model.join("tokenizer.json")).unwrap();
        let masks = "--mask none,all,TTF,FTF,FFT,TFF,TTT --from-layer all";
        let plan =
            ok(call(world.path(), &format!("run --model {name} {CORPUS} {masks} --dry-run --json"), &[]));
        let plan: Value = serde_json::from_str(&plan).unwrap();
        assert_eq!(plan["n_layers"], layers, "{name}");
        assert_eq!(plan["cells"], 1 + 6 * layers);
        assert!(
            (plan["weights_gib"].as_f64().unwrap() - memory).abs() < 1e-3,
            "{name}: {}",
            plan["weights_gib"]
        );
        let shown = ok(call(
            world.path(),
            &format!(
                "show --model {name} {} --mask TTT --from-layer 3 --json",
                CORPUS.replace("--threads 1", "")
            ),
            &[],
        ));
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let [i, e, q] = ["instructions", "examples", "query"].map(|part| {
            let range = &shown["segments"][part];
            [range[0].as_u64().unwrap(), range[1].as_u64().unwrap()]
        });
        let bos = u64::from(tokenizer == "llama-bpe");
        assert_eq!((shown["segments"]["bos"].clone(), i[0]), (json!([0, bos]), bos), "{name}");
        assert!(i[0] < i[1] && i[1] == e[0] && e[0] < e[1] && e[1] == q[0] && q[0] < q[1]);
        assert_eq!(shown["tokens"].as_array().unwrap().len() as u64, q[1]);
        let expected = json!({
            "none": [], "all": "own", "TTF": [[i[0], e[1]]], "FTF": [e], "FFT": [q], "TFF": [i], "TTT": [[i[0], q[1]]],
        });
        for (mask, columns) in expected.as_object().unwrap() {
            assert_eq!(&plan["hidden"][mask], columns, "{name} {mask}");
        }
    }
}

/// The tiny model on a hub.
fn hub() -> mock_hub::Hub {
    const MAIN: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let folder = tempfile::tempdir().unwrap();
    tiny::write_model(folder.path());
    let mut state = mock_hub::State::default();
    for file in fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        state.files.insert(file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap());
    }
    state.revisions = [("main".into(), MAIN.into())].into();
    mock_hub::Hub::start(state)
}

#[test]
fn a_run_takes_its_model_from_the_hub() {
    let (world, hub) = (world(), hub());
    let online = [("HF_ENDPOINT", hub.endpoint.as_str()), ("HF_HUB_OFFLINE", "0")];
    let args = format!("--model o/n {CORPUS} --mask TTF --from-layer 2 --max-new-tokens 4 --nprompts 2");
    let plan = ok(call(world.path(), &format!("run {args} --dry-run"), &online));
    assert!(plan.contains("o--n, 4 layers"), "{plan}");
    let weights =
        |seen: Vec<mock_hub::Seen>| seen.iter().any(|seen| seen.path.ends_with("/model.safetensors"));
    assert!(!weights(hub.seen()), "a plan fetches no weights");
    let refused = call(world.path(), &format!("run {args} --limit 1000"), &online);
    assert_eq!(refused.status.code(), Some(2));
    assert!(!weights(hub.seen()), "what is wrong with the rest is said before weights are fetched");
    let run = format!("run {args} --json");
    let online_score = ok(call(world.path(), &run, &online));
    let score: Value = serde_json::from_str(online_score.trim()).unwrap();
    assert_eq!((score["model"].clone(), score["n_layers"].clone()), (json!("o--n"), json!(4)));
    // All of it is in the cache now.
    fs::remove_dir_all(world.path().join("results")).unwrap();
    let offline = ok(call(world.path(), &run, &[]));
    let again: Value = serde_json::from_str(offline.trim()).unwrap();
    assert_eq!(again["bleu"], score["bleu"]);
    let refused = call(world.path(), "run --model owner/other", &[]);
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn what_cannot_fit_is_refused_with_the_numbers() {
    let world = world();
    tiny::write_model(&world.path().join("tiny"));
    // A width that no machine has room for. The headers of its weights are not looked at yet.
    let config = world.path().join("tiny/config.json");
    let mut fields: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
    (fields["hidden_size"], fields["intermediate_size"]) = (json!(1 << 20), json!(1 << 27));
    fs::write(&config, fields.to_string()).unwrap();
    let output = call(world.path(), &format!("run --model tiny {CORPUS} --mask TTF --from-layer all"), &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    for part in ["tiny needs", "GiB of memory", "KV cache", "are available", "--dtype stored"] {
        assert!(stderr.contains(part), "`{part}` is not in: {stderr}");
    }
}

/// How weights are held changes nothing where it loses nothing.
#[test]
fn weights_as_stored_give_the_same_generations() {
    let world = world();
    tiny::write_model(&world.path().join("tiny"));
    let texts = ["f32", "stored"].map(|dtype| {
        let results = format!("results-{dtype}");
        let args =
            format!("--mask TTF,TTT --from-layer 1 --max-new-tokens 6 --dtype {dtype} --results {results}");
        ok(call(world.path(), &format!("run --model tiny {CORPUS} {args}"), &[]));
        let folder = world.path().join(results).join("tiny/test.en-fr/instr_machine_translation-k5-seed0");
        ["TTF", "TTT"].map(|mask| fs::read_to_string(folder.join(mask).join("layer-1.jsonl")).unwrap())
    });
    assert_eq!(texts[0], texts[1]);
}
