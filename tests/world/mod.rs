//! The program in a folder of its own, with a tiny model and a tiny corpus.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::tiny;

/// A folder with a tiny model and a tiny corpus, in which the program runs.
pub struct World(TempDir);

impl World {
    pub fn new() -> Self {
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

    pub fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    pub fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("written");
    }

    /// `icl-mask VERB ARGS` in this folder.
    pub fn call(&self, args: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_icl-mask"))
            .args(args.split_whitespace())
            .current_dir(self.0.path())
            // No test of this file may reach for the network or find what another program has fetched.
            .env("HF_HUB_OFFLINE", "1")
            .env("HF_HOME", self.0.path().join("hub"))
            .env_remove("HF_HUB_CACHE")
            // Help is as wide as a terminal, and this is one's width for programs that are not in it.
            .env_remove("COLUMNS")
            .output()
            .expect("it runs")
    }

    /// `icl-mask run` on the tiny model and corpus, where `args` do not say otherwise.
    pub fn run(&self, args: &str) -> Output {
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
    pub fn refused(&self, output: &Output, says: &[&str]) {
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        for part in says {
            assert!(stderr.contains(part), "`{part}` is not in: {stderr}");
        }
        assert!(!stderr.contains("loading"), "refused only after loading: {stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

pub fn ok(output: Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

pub fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// All files below a folder with their contents, times aside.
pub fn contents(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("readable") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).expect("readable");
                let text = String::from_utf8(bytes).unwrap_or_else(|error| format!("{:?}", error.as_bytes()));
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

pub const RUN: &str = "tiny/test.en-fr/instr_machine_translation-k3-seed1";

pub const CHAT: &str = "{{ '<|im_start|>user\\n' }}{% for m in messages %}{{ m.content | trim }}{% endfor %}<|im_end|>\n\
                    {% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
