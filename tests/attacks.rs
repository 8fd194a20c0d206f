//! Programs that try to break out of the sandbox, to outstay their time, or to talk their way to a verdict. Each file of
//! `tests/attacks/` says which verdict it must get; an attack that works would get `passed`, or leave a trace.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

const PROMPT: &str =
    "def answer(n: int) -> int:\n    \"\"\"The n-th triangular number: answer(3) is 6.\"\"\"\n";
const SOLUTION: &str = "    return n * (n + 1) // 2\n";
const TEST: &str = "def check(candidate):\n    assert candidate(0) == 0\n    assert candidate(3) == 6\n    assert candidate(100) == 5050\n";

/// Every trace that an attack leaves has this in its name.
const TRACE: &str = "icl-mask-attack-";

/// What some attacks try to change.
const CANARY: &str = "/tmp/icl-mask-attack-canary";

/// A user without rights that owns nothing.
const USER: u32 = 54321;

/// Longer than this no check may take with two seconds of processor time, starting and ending included.
const LONGEST: f64 = 35.;

struct Attack {
    name: String,
    program: String,
    /// Verdicts that are right; several where kernels and Pythons differ.
    verdicts: Vec<String>,
}

fn attacks() -> Vec<Attack> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks");
    let read = |path: PathBuf| {
        let program = String::from_utf8(fs::read(&path).expect("readable")).expect("UTF-8");
        let first =
            program.lines().next().and_then(|line| line.strip_prefix("# verdict: ")).expect("a verdict");
        let verdicts = first.split('|').map(String::from).collect();
        Attack { name: path.file_stem().expect("a name").to_string_lossy().into(), program, verdicts }
    };
    let mut attacks: Vec<Attack> =
        fs::read_dir(folder).expect("there").map(|entry| read(entry.expect("an entry").path())).collect();
    attacks.sort_by(|a, b| a.name.cmp(&b.name));
    attacks
}

/// Files of attacks that stand where they should not.
fn traces() -> Vec<String> {
    let home = std::env::var("HOME").unwrap_or_default();
    let folders =
        ["/tmp", "/var/tmp", "/dev/shm", "/run/lock", "/etc", "/", "/root", "/home", "/usr/lib", &home];
    let names = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let names = names.map(|entry| entry.path().display().to_string());
    names
        .filter(|name| (name.contains(TRACE) || name.contains("icl_mask_attack")) && name != CANARY)
        .collect()
}

/// Processes of jails, and of Pythons in them, that stay: what another program does at the moment passes.
fn left_over() -> Vec<String> {
    let now = || -> BTreeMap<String, String> {
        let processes = fs::read_dir("/proc").expect("there").flatten();
        let line = |entry: fs::DirEntry| {
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            Some((
                entry.file_name().to_string_lossy().into(),
                String::from_utf8_lossy(&line).replace('\0', " "),
            ))
        };
        let jailed =
            |line: &str| line.contains("__jail") || line.contains("How the program's process and the judge");
        processes.filter_map(line).filter(|(_, line)| jailed(line)).collect()
    };
    let first = now();
    if first.is_empty() {
        return Vec::new();
    }
    std::thread::sleep(std::time::Duration::from_secs(5));
    now().into_iter().filter(|(id, _)| first.contains_key(id)).map(|(_, line)| line).collect()
}

/// All attacks by this user; what went wrong, a line each.
fn run(attacks: &[Attack], user: Option<u32>) -> Vec<String> {
    let folder = tempfile::Builder::new().prefix("attacks").tempdir_in("/tmp").expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("permitted");
    // Another user may not reach the folder that this was built in.
    let binary = folder.path().join("icl-mask");
    fs::copy(env!("CARGO_BIN_EXE_icl-mask"), &binary).expect("copied");
    let lines = |line: &dyn Fn(&Attack) -> Value| -> String {
        attacks.iter().map(|attack| format!("{}\n", line(attack))).collect()
    };
    let problem = |attack: &Attack| {
        json!({"task_id": attack.name, "prompt": PROMPT, "entry_point": "answer", "canonical_solution": SOLUTION,
               "test": TEST})
    };
    fs::write(folder.path().join("problems.jsonl"), lines(&problem)).expect("written");
    let program = |attack: &Attack| json!({"id": attack.name, "text": attack.program});
    fs::write(folder.path().join("programs.jsonl"), lines(&program)).expect("written");
    let python = if Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" };
    let mut command = Command::new(&binary);
    command
        .args(["score", "--task", "code", "--data", "problems.jsonl", "--hyp", "programs.jsonl"])
        .args(["--verdicts", "verdicts.jsonl", "--time-limit", "2", "--python", python])
        .current_dir(folder.path());
    if let Some(user) = user {
        command.uid(user).gid(user).env("HOME", "/nonexistent");
    }
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{user:?}: {said}");
    let missing = if said.contains("missing") { Some(said) } else { None };
    let verdicts = fs::read_to_string(folder.path().join("verdicts.jsonl")).expect("written");
    let verdicts: Vec<Value> =
        verdicts.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(verdicts.len(), attacks.len());
    let wrong = attacks.iter().zip(&verdicts).filter_map(|(attack, got)| {
        let verdict = got["verdict"].as_str().unwrap_or_default().to_string();
        let seconds = got["seconds"].as_f64().unwrap_or(f64::MAX);
        let right = attack.verdicts.contains(&verdict) && seconds < LONGEST;
        (!right).then(|| format!("{}: {:?} wanted, got {got}", attack.name, attack.verdicts))
    });
    missing.into_iter().chain(wrong).collect()
}

#[test]
fn no_attack_works() {
    let attacks = attacks();
    assert!(attacks.len() >= 40);
    fs::write(CANARY, "unchanged").expect("written");
    fs::set_permissions(CANARY, fs::Permissions::from_mode(0o666)).expect("permitted");
    let root = is_root();
    // As whoever runs this, and if that is root, as an ordinary user too.
    let users: &[Option<u32>] = if root { &[None, Some(USER)] } else { &[None] };
    for &user in users {
        let wrong = run(&attacks, user);
        assert!(wrong.is_empty(), "{user:?}:\n{}", wrong.join("\n"));
        assert_eq!(traces(), [""; 0], "{user:?}");
        assert_eq!(left_over(), [""; 0], "{user:?}");
        assert_eq!(fs::read_to_string(CANARY).expect("still there"), "unchanged");
        let mode = fs::metadata(CANARY).expect("still there").permissions().mode();
        assert_eq!(mode & 0o777, 0o666);
    }
    fs::remove_file(CANARY).expect("removed");
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
