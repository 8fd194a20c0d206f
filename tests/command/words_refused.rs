//! The mistakes that are made most, with the exit code and the sentence of each, as a reviewed snapshot.

use crate::said::{check, refusal};
use crate::world;
use crate::world::{CHAT, World, ok};

/// Calls that are refused. A call that begins with `run` gets the tiny model and corpus where it says nothing else.
fn refused(name: &str, world: &World, calls: &[&str]) {
    let texts: Vec<String> = calls
        .iter()
        .map(|call| {
            let output = match call.strip_prefix("run ") {
                Some(args) => world.run(args),
                None => world.call(call),
            };
            refusal(call, &output, world)
        })
        .collect();
    check(name, &texts.join("\n"));
}

#[test]
fn names_and_numbers() {
    let world = World::new();
    let calls = [
        "run --model smolm2-135m",
        "run --model smollm2-135m",
        "run --model owner/name",
        "run --model nowhere.gguf",
        "run --test nowhere.tsv",
        "run --mask TTX",
        "run --mask ttf",
        "run --from-layer 4..9",
        "run --from-layer x",
        "run --from-layer 3..1",
        "run --ablate-attention 7",
        "run --nprompts 9",
        "run --limit 7",
        "run --limit 0",
        "run --seed -1",
        "run --format qa_line",
        "run --profile sia2023",
        "run --direction enfr",
        "run --direction en-ja",
        "run --task cod",
        "run --max-new-tokens 600",
        "run --samples 2",
        "run --temperature -1",
        "run --top-p 0.5",
        "run --device cuda",
        "run --dtype int8",
        "run --threads 0",
        "run --batch 0",
        "run --memory much",
        "run --memory 1MiB",
        "run --no-stop=perhaps",
        "run --sandbox best",
        "run --shard 3/2",
        "run --metric rouge",
        "run --metric pass@1",
        "run --config nothing",
        "run --seed 0..99999",
        "run --test=",
    ];
    refused("refused-values", &world, &calls);
    assert!(!world.path("results").exists());
}

#[test]
fn flags_that_do_not_belong_together() {
    let world = World::new();
    let calls = [
        "run --data nations --test test.tsv",
        "run --mask FTF --nprompts 0",
        "run --time-limit 5",
        "run --profile sia2024 --nprompts 3",
        "run --profile sia2024 --chat-template",
        "run --chat-template",
        "run --chat-template nowhere.jinja",
        "run --modle tiny",
        "run --model",
        "run --demonstrations demonstrations.tsv --nprompts",
        "run --from-manifest nowhere/manifest.json --json",
        "run --from-manifest nowhere/manifest.json",
        "runn",
        "",
        "run extra",
        "lora --model tiny --mask TTF",
        "lora --model tiny --chat-template",
        "lora --model tiny --sandbox off",
        "show --model tiny --batch 3",
        "show --model tiny --test test.tsv --nprompts 0 --direction en-fr --item 99",
        "figure attention --model tiny",
        "figure attention --model tiny --test test.tsv --nprompts 0 --direction en-fr --from-layer 0 --layer 9",
        "figure attention --model tiny --test test.tsv --nprompts 0 --direction en-fr --from-layer 0 --layer 1 --head 9",
        "figure attention --model tiny --samples 3 --layer 1",
        "score",
        "score --hyp test.tsv",
        "score --hyp test.tsv --ref demonstrations.tsv",
        "score --hyp test.tsv --ref test.tsv --tokenize ja-mecab",
        "score --tokenize char results",
        "figure masks",
        "figure masks results --count-from 2",
        "submit -- status",
        "submit run",
        "export results --layout other --out x",
        "completions tcsh",
        "models nothing",
        "data prepare nation",
    ];
    refused("refused-flags", &world, &calls);
    assert!(!world.path("results").exists());
}

#[test]
fn files() {
    let world = World::new();
    world.write("empty.tsv", "");
    world.write("header.tsv", "source\ttarget\n");
    world.write("wrong.tsv", "left\tright\na\tb\n");
    world.write("short.tsv", "source\ttarget\na\tb\nc\n");
    world.write("languages.tsv", "en\tit\tde\na\tb\tc\n");
    world.write("latin.tsv", b"source\ttarget\ncaf\xe9\tcoffee\n");
    world.write("lines.txt", "a\n");
    world.write("broken.jsonl", "{\"source\": \"a\", \"target\": \"b\"}\n{\"source\": \n");
    world.write(
        "no-tests.jsonl",
        "{\"task_id\": \"P/0\", \"prompt\": \"def f():\\n\", \"entry_point\": \"f\"}\n",
    );
    world.write("damaged.yaml", "mask: 'TTF\n");
    world.write("key.yaml", "mask: TTF\nmodle: x\n");
    world.write("value.yaml", "# comment\nmask: [TTF, TTZ]\n");
    world.write("layer.yaml", "mask: TTF\n\nfrom_layer: 0..9\n");
    world.write("format.yaml", "question: Q\nanswer: A\nheadr: x\n");
    world.write("corpus.yaml", "kind: tabel\n");
    world.write(
        "prepared.yaml",
        "kind: table\nprepare: bin/prepare-x.sh\ntest: missing.tsv\ndirection: en-fr\n",
    );
    world.write("folder/note.txt", "x");
    world.write("bad.gguf", "GGUFnonsense");
    world.write("damaged.jinja", "{% for m in messages %}");
    world.write("silent.jinja", "x");
    world.write("mine.jinja", CHAT);
    let calls = [
        "run --test empty.tsv",
        "run --test header.tsv",
        "run --test wrong.tsv",
        "run --test short.tsv",
        "run --test latin.tsv",
        "run --test lines.txt",
        "run --test broken.jsonl",
        "run --test folder",
        "run --demonstrations empty.tsv",
        "run --task code --test no-tests.jsonl --nprompts 0 --format code_functions",
        "run --task code",
        "run --config damaged.yaml",
        "run --config key.yaml",
        "run --config value.yaml",
        "run --config layer.yaml",
        "run --format format.yaml",
        "run --model folder",
        "run --model bad.gguf",
        "run --adapter nowhere",
        "run --adapter folder",
        "run --adapter test.tsv",
        "run --chat-template damaged.jinja",
        "run --chat-template silent.jinja",
        "run --chat-template mine.jinja --max-new-tokens 400",
        "run --results test.tsv",
        "status nowhere",
        "verify nowhere",
        "figure masks nowhere",
        "figure masks folder",
        "report folder",
        "score nowhere",
        "score --hyp nowhere --ref test.tsv",
    ];
    refused("refused-files", &world, &calls);
    // Without the flags that these tests give to each call.
    let bare = [
        "run --model tiny --test test.tsv",
        "run --model tiny --test test.tsv --nprompts 0",
        "run --model tiny --data nations",
        "run --model tiny --data nation",
        "run --model tiny --test languages.tsv --nprompts 0",
        "run --model tiny --data corpus.yaml",
        "run --model tiny --data prepared.yaml",
        "run --model tiny --data flores",
        "run --model tiny --task code",
        "run --model tiny --data test.tsv --direction en-fr",
        "lora --model tiny --test test.tsv --direction en-fr",
        "data verify nations",
        "data verify corpus.yaml",
    ];
    let texts: Vec<String> = bare.iter().map(|call| refusal(call, &world.call(call), &world)).collect();
    check("refused-corpora", &texts.join("\n"));
}

#[test]
fn results() {
    let world = World::new();
    ok(world.run("--mask TTF --from-layer 1 --nprompts 3 --seed 1 --limit 4"));
    refused("refused-no-baseline", &world, &["figure ablation results", "figure savings results"]);
    ok(world.run("--mask none --nprompts 3 --seed 1 --limit 4"));
    let calls = [
        "run --nprompts 3 --seed 1 --limit 2",
        "run --nprompts 3 --seed 1 --max-new-tokens 9 --limit 4",
        "figure masks results --metric rouge",
        "figure masks results --metric pass@1",
        "figure masks results --mask FFT",
        "figure masks results --model other",
        "figure masks results --name other=Other",
        "figure lora results",
        "report results --metric pass@1",
        "run --from-manifest results/tiny/test.en-fr/instr_machine_translation-k3-seed1/manifest.json --mask TTF",
    ];
    refused("refused-results", &world, &calls);
    world.write(&format!("results/{}/none/baseline.json", world::RUN), "{\"model\":");
    let damaged =
        ["run --mask none --nprompts 3 --seed 1 --limit 4", "figure masks results", "score results"];
    refused("refused-damaged", &world, &damaged);
}
