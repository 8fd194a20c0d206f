//! Runs that are killed, compete, or run out of room: what comes out in the end is what an undisturbed run writes, byte for byte
//! but for times.
//!
//! `KILLS=200 cargo test --release --test survival` (bin/torture.sh) kills more often than CI does.
#![cfg(unix)]

mod disk;
mod grown;

#[path = "../calls/mod.rs"]
mod calls;
#[path = "../tiny/mod.rs"]
mod tiny;
#[path = "../world/mod.rs"]
mod world;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use calls::{Call, SWEEP, TRAINING, assert_same, begun, contents_of, finish};
use icl_mask::base::random::uniform;
use world::{contents, ok};

/// Its end, if there was one before it was killed.
fn kill_after(mut child: Child, moment: Duration) -> Option<ExitStatus> {
    std::thread::sleep(moment);
    let ended = child.try_wait().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    ended
}

/// Moments from 0 to `most`.
fn moments(stream: u64, most: Duration) -> impl Iterator<Item = Duration> {
    (0..).map(move |number| most.mul_f64(uniform(stream, number)))
}

fn kills() -> usize {
    std::env::var("KILLS").map_or(12, |number| number.parse().expect("KILLS: a number"))
}

/// Kill it again and again until it comes to an end, then begin anew.
fn killed_at_random(call: &Call, kills: usize, stream: u64) {
    let (expected, took) = call.undisturbed();
    let (mut killed, mut ended) = (0, 0);
    for moment in moments(stream, took.mul_f64(0.8)) {
        if killed >= kills && ended > 0 {
            break;
        }
        match kill_after(call.start(), moment) {
            None => killed += 1,
            Some(status) => {
                assert!(status.success());
                assert_same(&contents(&call.results()), &expected, &format!("after {killed} kills"));
                ended += 1;
                fs::remove_dir_all(call.results()).unwrap();
            }
        }
    }
    finish(call.start());
    assert_same(&contents(&call.results()), &expected, &format!("after {killed} kills"));
    eprintln!("{killed} kills of runs of {took:.2?}; {ended} of them came to an end in between");
}

#[test]
fn a_sweep_that_is_killed_comes_out_the_same() {
    killed_at_random(&Call::new(SWEEP, 12), kills(), 1);
}

#[test]
fn a_training_that_is_killed_comes_out_the_same() {
    killed_at_random(&Call::new(TRAINING, 6), kills(), 2);
}

/// Three at a time, of which one is killed at some moment, sometimes two.
fn competing(call: &Call, rounds: usize, stream: u64) {
    let (expected, took) = call.undisturbed();
    for (round, moment) in moments(stream, took).take(rounds).enumerate() {
        let [first, second, third] = [(); 3].map(|()| call.start());
        kill_after(first, moment);
        if round % 2 == 1 {
            kill_after(second, moment / 2);
        } else {
            finish(second);
        }
        finish(third);
        assert_same(&contents(&call.results()), &expected, &format!("round {round}"));
        fs::remove_dir_all(call.results()).unwrap();
    }
}

#[test]
fn processes_that_compete_write_what_one_does() {
    competing(&Call::new(SWEEP, 12), kills() / 3, 3);
    competing(&Call::new(TRAINING, 6), kills() / 3, 4);
}

/// No generation is made twice: each of them is loaded with its share of the work.
#[test]
fn processes_that_compete_share_the_work() {
    let call = Call::new(SWEEP, 12);
    let said = [(); 2].map(|()| call.start()).map(|child| child.wait_with_output().unwrap());
    let generations = said.iter().flat_map(|output| {
        assert!(output.status.success());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let counts = text.lines().filter_map(|line| line.split_once(" generations: ")?.0.parse().ok());
        counts.collect::<Vec<usize>>()
    });
    // Two seeds, the baseline and three masks at four layers, twelve items.
    assert_eq!(generations.sum::<usize>(), 2 * 13 * 12);
}

/// Parts are computed by as many processes at once, in one folder.
#[test]
fn parts_are_the_whole() {
    let call = Call::new(SWEEP, 12);
    let (expected, _) = call.undisturbed();
    let part = |number: usize| {
        let mut command = call.command();
        command.args(["--shard", &format!("{number}/4")]).spawn().unwrap()
    };
    finish(part(1));
    // One part is not the whole run.
    let output = call.world.call("verify results");
    assert_eq!(output.status.code(), Some(1));
    assert!(ok(call.world.call("status results")).contains("6 of 13 cells finished"));
    (2..=4).map(part).collect::<Vec<_>>().into_iter().for_each(finish);
    // The manifest holds the command line.
    let cells = |files: Vec<(PathBuf, String)>| -> Vec<(PathBuf, String)> {
        files.into_iter().filter(|(path, _)| !path.ends_with("manifest.json")).collect()
    };
    assert_same(&cells(contents(&call.results())), &cells(expected), "");
    // Nothing is left to do, and nothing is done again.
    let output = call.command().output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("loading"));
}

/// `kill -SIGNAL`
fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn signals_end_it_with_what_is_finished_kept() {
    let call = Call::new(SWEEP, 40);
    let (expected, _) = call.undisturbed();
    for names in [["-INT", ""], ["-TERM", ""], ["-HUP", ""], ["-INT", "-INT"], ["-TERM", "-TERM"]] {
        let child = call.start();
        begun(&call);
        names.iter().filter(|name| !name.is_empty()).for_each(|name| signal(&child, name));
        let asked = Instant::now();
        let output = child.wait_with_output().unwrap();
        assert!(asked.elapsed() < Duration::from_secs(5));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{names:?}: {said}");
        assert!(said.contains("stopping after this step"), "{said}");
    }
    finish(call.start());
    assert_same(&contents(&call.results()), &expected, "");
}

/// Whatever allocation fails first.
#[test]
fn memory_that_runs_out_costs_nothing_finished() {
    let call = Call::new(SWEEP, 12);
    let (expected, _) = call.undisturbed();
    let mut failed = 0;
    for kib in (20_000..400_000).step_by(20_000) {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -v {kib}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_icl-mask")]);
        command.args(&call.words).current_dir(call.world.path("")).env("HF_HUB_OFFLINE", "1");
        // A backtrace takes memory too, for which the standard library would wait for ever.
        command.env_remove("RUST_BACKTRACE");
        failed += usize::from(!command.output().unwrap().status.success());
    }
    assert!(failed > 0);
    finish(call.start());
    assert_same(&contents(&call.results()), &expected, "");
}

/// Every cell is said to be finished, in the making, or still to come; and checked.
#[test]
fn a_folder_says_where_it_stands_and_whether_it_is_right() {
    let call = Call::new(SWEEP, 40);
    let verb = |verb: &str| call.world.call(&format!("{verb} results"));
    let mut child = call.start();
    begun(&call);
    let said = ok(verb("status"));
    assert!(said.contains(&format!("computed by process {} on", child.id())), "{said}");
    child.kill().unwrap();
    child.wait().unwrap();
    let said = ok(verb("status"));
    assert!(said.contains("broken off: ") || said.contains("not begun: "), "{said}");
    // Numbers that overflow, in a manifest that was edited.
    for path in contents_of(&call.results()).iter().filter(|path| path.ends_with("manifest.json")) {
        let text = fs::read_to_string(path).unwrap();
        let absurd = text.replacen("\"n\": 40,", "\"n\": 1099511627776, \"sampling\": {\"samples\": 1099511627776, \"temperature\": 1.0, \"top_p\": 1.0},", 1);
        assert_ne!(text, absurd);
        fs::write(path, absurd).unwrap();
        ok(verb("status"));
        fs::write(path, text).unwrap();
    }
    let incomplete = verb("verify");
    let said = String::from_utf8_lossy(&incomplete.stdout);
    assert_eq!(incomplete.status.code(), Some(1), "{said}");
    assert!(said.contains("not finished: "), "{said}");
    finish(call.start());
    let said = ok(verb("status"));
    assert!(
        said.contains("13 of 13 cells finished") && said.contains("TTF      finished: layers 0..3"),
        "{said}"
    );
    let said = ok(verb("verify"));
    assert!(said.contains("13 cells and 520 generations are right"), "{said}");
}

/// Whoever comes second is told at once, not when the first is done.
#[test]
fn two_settings_never_meet_in_one_folder() {
    let call = Call::new(SWEEP, 40);
    let mut first = call.start();
    begun(&call);
    let mut second = call.command();
    let output = second.args(["--limit", "39"]).output().unwrap();
    assert!(first.try_wait().unwrap().is_none(), "it waited");
    call.world.refused(&output, &["holds results of 40 test items", "--limit 40"]);
    first.kill().unwrap();
    first.wait().unwrap();
    fs::create_dir_all(call.world.path("x")).unwrap();
    fs::copy(call.world.path("test.tsv"), call.world.path("x/test.tsv")).unwrap();
    let both = call
        .world
        .call("run --model tiny --data test.tsv,x/test.tsv --direction en-fr --nprompts 0 --results both");
    call.world.refused(&both, &["two runs would share the folder tiny/test.en-fr"]);
}

/// Trainings that come to nothing are nobody's, and nobody waits for them for ever.
#[test]
fn trainings_that_diverge_hold_nobody_up() {
    let call = Call::new(&format!("{TRAINING} --layers 0,1 --seed 0,1 --learning-rate 1e38"), 6);
    let words: Vec<String> = call.words.clone();
    // The rate of the template is in the way of the other.
    let at = words.iter().position(|word| word == "0.01").unwrap();
    let call = Call { words: [&words[..at - 1], &words[at + 1..]].concat(), ..call };
    for _ in 0..4 {
        let mut both = [(); 2].map(|()| call.start());
        let begun = Instant::now();
        while both.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
            assert!(begun.elapsed() < Duration::from_secs(60), "they wait for each other");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(both.iter_mut().all(|child| child.wait().unwrap().code() == Some(1)));
    }
}

/// From nothing but the manifest.
#[test]
fn a_run_can_be_made_again() {
    for (call, manifest) in [
        (Call::new(SWEEP, 12), "results/tiny/test.en-fr/instr_machine_translation-k5-seed1/manifest.json"),
        (Call::new(TRAINING, 6), "results/tiny/pairs.en-fr/instr_none_QA-k0-seed0-lora6/manifest.json"),
    ] {
        finish(call.start());
        let again = |args: &str| call.world.call(&format!("run --from-manifest {manifest} {args}"));
        let said = ok(again("--threads 2 --batch 3"));
        assert!(said.contains("identical"), "{said}");
        call.world.refused(&again("--limit 3"), &["--from-manifest: takes all settings from the manifest"]);
        call.world.refused(&again("--results results"), &["--results: is where the run itself lies"]);
        // A copy is nothing that was made again.
        let copied =
            Command::new("cp").args(["-r", "results", "copy"]).current_dir(call.world.path("")).status();
        assert!(copied.unwrap().success());
        call.world.refused(&again("--results copy"), &["holds all of it already"]);
        // Something else comes out now.
        let run = call.world.path(manifest).with_file_name("");
        let path = contents_of(&run).into_iter().find(|path| path.ends_with("layer-2.jsonl")).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen("\"text\":\"", "\"text\":\"x", 1)).unwrap();
        call.world.refused(&again("--results elsewhere"), &["layer-2.json", "not those that were scored"]);
        // A token is all that differs, and there is no sha256, as in results of earlier versions: only this can find it.
        let at = text.find("\"tokens\":[").unwrap() + 10;
        let other = if text[at..].starts_with('1') { "2" } else { "1" };
        fs::write(&path, format!("{}{other}{}", &text[..at], &text[at + 1..])).unwrap();
        let score = path.with_extension("json");
        let scores = fs::read_to_string(&score).unwrap();
        let unsealed = scores.lines().filter(|line| !line.contains("generations_sha256"));
        fs::write(&score, unsealed.collect::<Vec<_>>().join("\n")).unwrap();
        let output = again("--results elsewhere");
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stdout).contains("differs at 2"));
        fs::write(&path, text).unwrap();
        fs::write(&score, scores).unwrap();
        // Another model than then.
        let weights = call.world.path("tiny/model.safetensors");
        let mut bytes = fs::read(&weights).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&weights, bytes).unwrap();
        call.world.refused(&again(""), &["something is another now", "model_sha256"]);
    }
}
