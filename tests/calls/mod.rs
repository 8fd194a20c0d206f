//! Calls that are disturbed while they run, for `tests/survival/` and `tests/streams/`.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::tiny;
use crate::world::{World, contents};

/// A call, and the folder of results that it makes.
pub struct Call {
    pub world: World,
    pub words: Vec<String>,
}

pub const SWEEP: &str = "run --model tiny --test test.tsv --demonstrations demonstrations.tsv --direction en-fr --format \
                     instr_machine_translation --mask none,TTF,FTF,TTT --from-layer all --max-new-tokens 24 --no-stop --seed 0,1 \
                     --batch 16 --threads 1";
pub const TRAINING: &str = "lora --model tiny --data pairs.yaml --direction en-fr --max-new-tokens 8 --no-stop --train-size 6 --dev-size 3 \
                        --train-batch 2 --epochs 4 --learning-rate 0.01 --threads 1";

impl Call {
    pub fn new(words: &str, items: usize) -> Self {
        let world = World::new();
        let rows =
            tiny::examples(items).into_iter().map(|e| format!("{}\t{}\t{}\n", e.id, e.source, e.target));
        world.write("test.tsv", format!("id\tsource\ttarget\n{}", rows.collect::<String>()));
        world.write("training.tsv", fs::read_to_string(world.path("demonstrations.tsv")).unwrap());
        world.write(
            "pairs.yaml",
            "kind: table\ndescription: tiny\ntest: test.tsv\ndemonstrations: demonstrations.tsv\ntraining: training.tsv\n\
             columns: {id: id, source: source, target: target}\n",
        );
        world.write("tiny/tokenizer_config.json", r#"{"eos_token": "<|endoftext|>"}"#);
        Self { world, words: words.split_whitespace().map(String::from).collect() }
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_icl-mask"));
        command.args(&self.words).current_dir(self.world.path("")).env("HF_HUB_OFFLINE", "1");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    pub fn start(&self) -> Child {
        self.command().spawn().unwrap()
    }

    pub fn results(&self) -> PathBuf {
        self.world.path("results")
    }

    /// What an undisturbed run writes, and how long it takes.
    pub fn undisturbed(&self) -> (Vec<(PathBuf, String)>, Duration) {
        let begun = Instant::now();
        finish(self.start());
        let took = begun.elapsed();
        let written = contents(&self.results());
        assert!(written.len() > 10);
        fs::remove_dir_all(self.results()).unwrap();
        (written, took)
    }
}

/// The same files, and the same in them.
pub fn assert_same(found: &[(PathBuf, String)], expected: &[(PathBuf, String)], when: &str) {
    let only = |some: &[(PathBuf, String)], others: &[(PathBuf, String)]| -> Vec<PathBuf> {
        some.iter().filter(|file| !others.contains(file)).map(|(path, _)| path.clone()).collect()
    };
    let (found, expected) = (only(found, expected), only(expected, found));
    assert!(found.is_empty() && expected.is_empty(), "{when}: {found:?} instead of {expected:?}");
}

/// It ends well.
pub fn finish(child: Child) {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Run a script where mounts are its own. `$program` with `$words` is the call.
pub fn with_mounts(call: &Call, script: &str) -> String {
    let mut command = Command::new("unshare");
    command.arg("--mount");
    if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) != 0) {
        command.arg("--map-root-user");
    }
    command.args(["sh", "-euc", script]).current_dir(call.world.path("")).env("HF_HUB_OFFLINE", "1");
    command.env("program", env!("CARGO_BIN_EXE_icl-mask")).env("words", call.words.join(" "));
    let output = command.output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}");
    said.into_owned()
}

/// Wait for a run that was just started to keep some more generations of a cell.
pub fn begun(call: &Call) {
    let lines =
        |path: PathBuf| fs::read(path).map_or(0, |text| text.iter().filter(|&&byte| byte == b'\n').count());
    let kept = || {
        contents_of(&call.results()).into_iter().filter(|path| is_partial(path)).map(lines).max().unwrap_or(0)
    };
    let (before, begun) = (kept(), Instant::now());
    while kept() < before + 3 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn is_partial(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".partial.jsonl")
}

/// Files below a folder that others may be writing to.
pub fn contents_of(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}

/// Run it until some generations are kept, and kill it.
pub fn broken_off(call: &Call) -> Vec<PathBuf> {
    let mut child = call.start();
    begun(call);
    child.kill().unwrap();
    child.wait().unwrap();
    contents_of(&call.results()).into_iter().filter(|path| is_partial(path)).collect()
}
