//! What `submit` hands to Slurm, with stand-ins for `sbatch` and `scontrol` that do as little as they can: they run the script's
//! tasks here. bin/check-slurm.sh does the same with Slurm itself.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::world::{World, contents, ok};

const CALL: &str = "run --model tiny --test test.tsv --demonstrations demonstrations.tsv --direction en-fr --format \
                    instr_machine_translation --mask none,TTF,FTF --from-layer all --no-stop --seed 0,1 --limit 6 --max-new-tokens 24";

/// A folder with the two programs, and what they note.
fn world() -> World {
    let world = World::new();
    let sbatch = "#!/bin/bash\n\
                  script=${!#}; last=$(sed -n 's/^#SBATCH --array=1-//p' \"$script\")\n\
                  cp \"$script\" submitted\n\
                  for i in $(seq \"$last\"); do\n\
                    SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=$i bash \"$script\" 2>> tasks.log >&2 || exit 1\n\
                  done\n\
                  echo '7;cluster'\n";
    for (name, text) in [("sbatch", sbatch), ("scontrol", "#!/bin/bash\necho \"$@\" >> requeued\n")] {
        world.write(&format!("bin/{name}"), text);
        fs::set_permissions(world.path(&format!("bin/{name}")), fs::Permissions::from_mode(0o755)).unwrap();
    }
    world
}

fn path(world: &World) -> String {
    format!("{}:{}", world.path("bin").display(), std::env::var("PATH").unwrap())
}

fn submit(world: &World, args: &str) -> Output {
    submit_where(path(world), world, args)
}

fn submit_where(path: String, world: &World, args: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_icl-mask"))
        .arg("submit")
        .args(args.split_whitespace())
        .current_dir(world.path(""))
        .env("PATH", path)
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .unwrap()
}

/// All but what names the command line and the machine's share.
fn cells(world: &World) -> Vec<(PathBuf, String)> {
    let files = contents(&world.path("results/tiny")).into_iter();
    files.filter(|(path, _)| !path.ends_with("manifest.json")).collect()
}

#[test]
fn the_parts_of_a_job_are_the_whole() {
    let world = world();
    ok(world.call(CALL));
    let expected = cells(&world);
    fs::remove_dir_all(world.path("results")).unwrap();
    let said = ok(submit(&world, &format!("--parts 4 --sbatch=--time=1:00:00 -- {CALL}")));
    assert!(said.starts_with("job 7: 18 cells in 4 parts"), "{said}");
    assert_eq!(cells(&world), expected);
    let script = fs::read_to_string(world.path("submitted")).unwrap();
    for line in ["#SBATCH --array=1-4", "#SBATCH --requeue", "#SBATCH --time=1:00:00"] {
        assert!(script.lines().any(|found| found == line), "{line}: {script}");
    }
    // All of it is there: submitted again, nothing is computed.
    fs::remove_file(world.path("tasks.log")).unwrap();
    ok(submit(&world, &format!("-- {CALL}")));
    assert!(fs::read_to_string(world.path("submitted")).unwrap().contains("--array=1-2"), "one part a run");
    assert!(!fs::read_to_string(world.path("tasks.log")).unwrap().contains("loading"));
}

/// A task that runs until it gets a signal: its exit code, and what it asked of scontrol.
fn signalled(name: &str) -> (Option<i32>, String) {
    signalled_with(name, "2>/dev/null")
}

/// The same, with its stderr redirected.
fn signalled_with(name: &str, stderr: &str) -> (Option<i32>, String) {
    let world = world();
    let call = CALL
        .replace("--max-new-tokens 24", "--max-new-tokens 200")
        .replace("--limit 6", "--limit 6 --threads 1");
    let script = ok(submit(&world, &format!("--dry-run --parts 1 -- {call}")));
    assert!(!world.path("submitted").exists());
    world.write("script", script);
    let mut task = Command::new("bash");
    task.args(["-c", &format!("exec bash script {stderr}")])
        .current_dir(world.path(""))
        .env("PATH", path(&world))
        .env("HF_HUB_OFFLINE", "1");
    task.env("SLURM_ARRAY_JOB_ID", "7").env("SLURM_ARRAY_TASK_ID", "1").stdout(Stdio::null());
    let mut task = task.spawn().unwrap();
    let begun = Instant::now();
    while !world.path("results/tiny").exists() {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    // Before the time is up Slurm tells the script alone, at the end all that belongs to it.
    let id = task.id().to_string();
    let told = match name {
        "-USR1" => Command::new("kill").args([name, &id]).status(),
        _ => Command::new("pkill").args([name, "-P", &id]).status(),
    };
    assert!(told.unwrap().success());
    let ended = task.wait().unwrap();
    (ended.code(), fs::read_to_string(world.path("requeued")).unwrap_or_default())
}

#[test]
fn a_task_whose_time_is_up_queues_up_again() {
    assert_eq!(signalled("-USR1"), (Some(130), "requeue 7_1\n".into()));
}

/// Its log is on a disk that is full, or its reader has gone.
#[test]
fn a_task_whose_log_is_lost_queues_up_again_all_the_same() {
    for stderr in ["2>&-", "2>/dev/full", "2> >(exec true)"] {
        assert_eq!(signalled_with("-USR1", stderr), (Some(130), "requeue 7_1\n".into()), "{stderr}");
    }
}

#[test]
fn a_task_that_is_cancelled_does_not() {
    assert_eq!(signalled("-TERM"), (Some(130), String::new()));
}

#[test]
fn wrong_calls_are_not_submitted() {
    let world = world();
    for (args, says) in [
        ("-- run --mask TXF", "unknown mask"),
        ("-- score results", "write run or lora"),
        ("-- run --shard 1/2", "leave it out"),
        ("-- run --no-such-flag", "after `--`"),
        ("-- run --test nowhere.tsv --nprompts 0 --direction en-fr --model tiny", "nowhere.tsv"),
        (&format!("--parts 0 -- {CALL}"), "--parts 0"),
        (&format!("--parts 19 -- {CALL}"), "there are 18 cells"),
        (&format!("--sbatch partition -- {CALL}"), "an option of sbatch"),
    ] {
        world.refused(&submit(&world, args), &[says]);
    }
    assert!(!world.path("submitted").exists() && !world.path("results").exists());
    // No Slurm: the script is written, and said where.
    let output = submit_where(String::new(), &world, &format!("-- {CALL}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("there is no sbatch here"), "{said}");
    assert_eq!(fs::read_dir(world.path("results/slurm")).unwrap().count(), 1);
}
