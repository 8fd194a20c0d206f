//! Stdout and stderr that are closed, full, or lost: no computation ends for a log, and no reader is told that all is well when
//! it is not. What other people wrote reaches no terminal as an order and no spreadsheet as a formula. A call that is killed
//! leaves whole files.
#![cfg(unix)]

mod calls;
mod tiny;
mod world;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use calls::{Call, SWEEP, TRAINING, assert_same, begun};
use icl_mask::base::error::is_obeyed;
use icl_mask::base::random::uniform;
use world::{World, contents, json_lines, ok};

/// What can become of a stream.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Lost {
    /// `2>&-`
    Closed,
    /// `2>/dev/full`
    Full,
    /// `2>&1 | true`
    DeadPipe,
    /// A terminal whose window was closed.
    Terminal,
}

const ALL: [Lost; 4] = [Lost::Closed, Lost::Full, Lost::DeadPipe, Lost::Terminal];

impl Lost {
    /// The other end, which is to be dropped when the program runs, and this one.
    fn stream(self) -> (Option<OwnedFd>, Stdio) {
        match self {
            // `command` closes it.
            Self::Closed => (None, Stdio::null()),
            Self::Full => (None, fs::File::options().write(true).open("/dev/full").unwrap().into()),
            Self::DeadPipe => {
                let (reader, writer) = std::io::pipe().unwrap();
                drop(reader);
                (None, writer.into())
            }
            Self::Terminal => {
                let [terminal, window] = terminal();
                (Some(window), terminal.into())
            }
        }
    }

    /// This command with its stream (1 or 2) lost.
    fn command(self, command: &Command, stream: usize) -> (Option<OwnedFd>, Command) {
        let mut lost = match self {
            Self::Closed => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("exec \"$0\" \"$@\" {stream}>&-")]).arg(command.get_program());
                shell
            }
            _ => Command::new(command.get_program()),
        };
        lost.args(command.get_args()).current_dir(command.get_current_dir().unwrap());
        lost.env("HF_HUB_OFFLINE", "1").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (window, end) = self.stream();
        match stream {
            1 => lost.stdout(end),
            _ => lost.stderr(end),
        };
        (window, lost)
    }

    fn start(self, command: &Command, stream: usize) -> Child {
        let (window, mut command) = self.command(command, stream);
        let child = command.spawn().unwrap();
        // Some while after it began, as windows are.
        if window.is_some() {
            std::thread::sleep(Duration::from_millis(20));
        }
        child
    }
}

/// A terminal and its window, which no other child gets to hold.
fn terminal() -> [OwnedFd; 2] {
    // SAFETY: no memory of ours is given away; what is returned is checked.
    let window = unsafe { libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) };
    assert!(window >= 0);
    // SAFETY: it was just opened, and belongs to nobody else.
    let window = unsafe { OwnedFd::from_raw_fd(window) };
    let mut name = [0; 64];
    // SAFETY: the descriptor is open, and the name has the length that is said.
    let made = unsafe {
        let window = window.as_raw_fd();
        libc::grantpt(window)
            | libc::unlockpt(window)
            | libc::ptsname_r(window, name.as_mut_ptr(), name.len())
    };
    assert_eq!(made, 0);
    let name: Vec<u8> = name.iter().map(|&c| c.cast_unsigned()).take_while(|&c| c != 0).collect();
    let name = String::from_utf8(name).unwrap();
    let terminal =
        fs::File::options().read(true).write(true).custom_flags(libc::O_NOCTTY).open(name).unwrap();
    [terminal.into(), window]
}

fn verb(world: &World, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_icl-mask"));
    command.args(args).current_dir(world.path("")).env("HF_HUB_OFFLINE", "1");
    command
}

/// Exit code and stdout, as bytes.
fn outcome(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_lost_stderr_changes_no_result() {
    for (words, items) in [(SWEEP, 12), (TRAINING, 6)] {
        let call = Call::new(words, items);
        let (expected, _) = call.undisturbed();
        for lost in ALL {
            let output = lost.start(&call.command(), 2).wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{lost:?}");
            assert_same(&contents(&call.results()), &expected, &format!("{lost:?}"));
            fs::remove_dir_all(call.results()).unwrap();
        }
    }
}

/// No file that is opened becomes one of the standard streams.
#[test]
fn streams_that_are_closed_at_the_start_take_nothing_up() {
    let call = Call::new(SWEEP, 12);
    let (expected, _) = call.undisturbed();
    for closed in ["0<&-", "1>&-", "2>&-", "0<&- 1>&-", "1>&- 2>&-", "0<&- 1>&- 2>&-"] {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec \"$0\" \"$@\" --json {closed}"), env!("CARGO_BIN_EXE_icl-mask")]);
        shell.args(&call.words).current_dir(call.world.path("")).env("HF_HUB_OFFLINE", "1");
        let output = shell.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{closed}");
        let all = contents(&call.results()).into_iter();
        // The manifest holds the command line, of which --json is a part.
        let found: Vec<_> = all.map(|(path, text)| (path, text.replace(",\n    \"--json\"", ""))).collect();
        assert_same(&found, &expected, closed);
        fs::remove_dir_all(call.results()).unwrap();
    }
}

/// Of sweeps as of trainings, over all ways to lose stderr.
fn kills() -> usize {
    std::env::var("KILLS").map_or(12, |number| number.parse().expect("KILLS: a number"))
}

/// Kill a call whose stderr is lost again and again, until it comes to an end.
fn killed_without_stderr(call: &Call, lost: Lost, kills: usize, stream: u64) {
    let (expected, took) = call.undisturbed();
    let (mut killed, mut ended) = (0, 0);
    for number in 0.. {
        let mut child = lost.start(&call.command(), 2);
        std::thread::sleep(took.mul_f64(0.8 * uniform(stream, number)));
        let status = child.try_wait().unwrap();
        if killed >= kills {
            assert!(child.wait().unwrap().success());
        } else if status.is_none() {
            child.kill().unwrap();
            killed += usize::from(child.wait().unwrap().signal() == Some(9));
            continue;
        }
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{lost:?}");
        assert_same(&contents(&call.results()), &expected, &format!("{lost:?}, after {killed} kills"));
        ended += 1;
        fs::remove_dir_all(call.results()).unwrap();
        if killed >= kills {
            break;
        }
    }
    eprintln!(
        "stderr {lost:?}: {killed} kills of runs of {took:.2?}; {ended} came to an end, each as undisturbed"
    );
}

#[test]
fn sweeps_without_stderr_that_are_killed_come_out_the_same() {
    for (lost, stream) in ALL.into_iter().zip(11..) {
        killed_without_stderr(&Call::new(SWEEP, 12), lost, kills().div_ceil(ALL.len()), stream);
    }
}

#[test]
fn trainings_without_stderr_that_are_killed_come_out_the_same() {
    for (lost, stream) in ALL.into_iter().zip(21..) {
        killed_without_stderr(&Call::new(TRAINING, 6), lost, kills().div_ceil(ALL.len()), stream);
    }
}

/// A world with results, and texts to score.
fn finished() -> World {
    let world = World::new();
    ok(world.run("--mask none,TTF --from-layer all --nprompts 3 --seed 1"));
    world.write("hyp.txt", "one\ntwo\n");
    world.write("ref.txt", "one\nthree\n");
    world
}

const RUN: &str = "run --model tiny --test test.tsv --demonstrations demonstrations.tsv --direction en-fr --format \
                   instr_machine_translation --max-new-tokens 8 --threads 1 --mask none,TTF --from-layer all --nprompts 3 --seed 1";

/// Calls that only print, or write files beside it, with their exit codes.
fn printing() -> Vec<(String, i32)> {
    let show = RUN.replace("run ", "show ").replace(" --threads 1", "");
    let mut calls: Vec<(String, i32)> = [
        "models",
        "models --json",
        "models tiny",
        "data list",
        "status results",
        "status results --json",
        "verify results",
        "verify results --json",
        "score results",
        "score --hyp hyp.txt --ref ref.txt",
        "score --hyp hyp.txt --ref ref.txt --json",
        "figure masks results --out figures",
        "figure masks results --out figures --json",
        "report results --out report.html",
        "export results --layout sia2024 --out study",
        "--help",
        "--version",
        "run --help",
        "figure masks -h",
        "completions bash",
        "completions zsh",
        "completions fish",
        "completions elvish",
        "completions powershell",
        RUN,
    ]
    .map(|call| (call.to_string(), 0))
    .to_vec();
    calls.extend([(show.clone(), 0), (format!("{show} --json"), 0), (format!("{RUN} --dry-run"), 0)]);
    calls.extend(["run --mask TXF", "no-such-verb", "", "status nowhere"].map(|call| (call.to_string(), 2)));
    calls
}

/// Whatever becomes of stderr, the exit code and stdout are the same.
#[test]
fn no_verb_minds_a_lost_stderr() {
    let world = finished();
    for (call, code) in printing() {
        let words: Vec<&str> = call.split_whitespace().collect();
        let expected = outcome(&verb(&world, &words).output().unwrap());
        assert_eq!(expected.0, Some(code), "{call}");
        for lost in ALL {
            let found = outcome(&lost.start(&verb(&world, &words), 2).wait_with_output().unwrap());
            assert_eq!(found, expected, "{call}, {lost:?}");
        }
    }
}

/// A reader that goes away, as `head` does, is no failure of what is merely printed; a disk that is full is one.
#[test]
fn no_verb_panics_without_stdout() {
    let world = finished();
    for (call, code) in printing() {
        let words: Vec<&str> = call.split_whitespace().collect();
        let prints = !verb(&world, &words).output().unwrap().stdout.is_empty();
        for (lost, otherwise) in [(Lost::DeadPipe, code), (Lost::Closed, code), (Lost::Full, 1)] {
            let output = lost.start(&verb(&world, &words), 1).wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            let expected = if prints { otherwise } else { code };
            assert_eq!(output.status.code(), Some(expected), "{call}, {lost:?}: {said}");
            assert!(!said.contains("panicked"), "{call}, {lost:?}: {said}");
            assert_eq!(
                prints && lost == Lost::Full,
                said.contains("cannot write to stdout"),
                "{call}: {said}"
            );
        }
    }
}

/// The exit code of a check is the same, whether its output is read or not.
#[test]
fn what_is_wrong_stays_wrong_without_a_reader() {
    let world = finished();
    let path = world.path("results").join(world::RUN).join("TTF/layer-1.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\"bleu\": ", "\"bleu\": 1", 1)).unwrap();
    for args in [vec!["verify", "results"], vec!["verify", "results", "--json"]] {
        let output = Lost::DeadPipe.start(&verb(&world, &args), 1).wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    }
    fs::write(&path, text).unwrap();
    // So does what was made again and came out otherwise.
    let generations = path.with_extension("jsonl");
    let text = fs::read_to_string(&generations).unwrap();
    // A token is all that differs, and there is no sha256, as in results of earlier versions: only this can find it.
    let at = text.find("\"tokens\":[").unwrap() + 10;
    let other = if text[at..].starts_with('1') { "2" } else { "1" };
    fs::write(&generations, format!("{}{other}{}", &text[..at], &text[at + 1..])).unwrap();
    let scores = fs::read_to_string(&path).unwrap();
    let unsealed = scores.lines().filter(|line| !line.contains("generations_sha256"));
    fs::write(&path, unsealed.collect::<Vec<_>>().join("\n")).unwrap();
    let manifest = format!("results/{}/manifest.json", world::RUN);
    let again = ["run", "--from-manifest", &manifest, "--results", "again"];
    let output = Lost::DeadPipe.start(&verb(&world, &again), 1).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("came out otherwise"), "{said}");
}

/// Files of finished cells.
fn cells(call: &Call) -> usize {
    let is_score = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name == "baseline.json" || name.starts_with("layer-") && name.ends_with(".json")
    };
    calls::contents_of(&call.results()).iter().filter(|path| is_score(path)).count()
}

/// What reads `--json` goes away: it stops with a code of its own, keeps what is finished, and the same call does the rest.
#[test]
fn a_run_whose_reader_goes_away_stops_and_can_go_on() {
    for (words, items, all) in [(SWEEP, 12, 26), (TRAINING, 6, 5)] {
        let call = Call::new(&format!("{words} --json"), items);
        let (expected, _) = call.undisturbed();
        for lines in [0, 1] {
            let mut command = call.command();
            let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
            let mut reader = BufReader::new(child.stdout.take().unwrap());
            for _ in 0..lines {
                assert!(reader.read_line(&mut String::new()).unwrap() > 0);
            }
            drop(reader);
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(141), "{said}");
            assert!(said.contains("nothing reads the output of --json any more"), "{said}");
            assert!(!said.contains("interrupted"), "{said}");
            let done = cells(&call);
            assert!(done >= 1 && (done < all || words == TRAINING), "{done} of {all} cells");
            calls::finish(call.start());
            assert_same(&contents(&call.results()), &expected, &format!("after {lines} lines"));
            fs::remove_dir_all(call.results()).unwrap();
        }
    }
}

/// Of the step at which the reader was missed nothing is lost: each generation is made once.
#[test]
fn nothing_of_the_last_step_is_computed_again() {
    let call = Call::new(&format!("{SWEEP} --json"), 12);
    let output = Lost::DeadPipe.start(&call.command(), 1).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    let lines = |path: &PathBuf| fs::read_to_string(path).unwrap().lines().count();
    let of_cells = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.ends_with(".jsonl") && name != "items.jsonl"
    };
    let kept: usize =
        calls::contents_of(&call.results()).iter().filter(|path| of_cells(path)).map(lines).sum();
    // All generations of a step end together here, at their full length; a batch holds sixteen.
    assert!(kept.is_multiple_of(16) || kept.is_multiple_of(12), "{kept}");
    let output = call.command().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let made = said.lines().filter_map(|line| line.split_once(" generations: ")?.0.parse::<usize>().ok());
    assert_eq!(made.sum::<usize>() + kept, 2 * 13 * 12, "{said}");
}

#[test]
fn json_that_cannot_be_written_is_a_failure() {
    let call = Call::new(&format!("{SWEEP} --json"), 12);
    let output = Lost::Full.start(&call.command(), 1).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write to stdout: No space left"), "{said}");
    assert!(cells(&call) >= 1);
}

#[test]
fn scores_whose_reader_goes_away_are_not_all_scored() {
    let world = finished();
    let score = verb(&world, &["score", "results", "--json"]);
    let output = Lost::DeadPipe.start(&score, 1).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141), "{}", String::from_utf8_lossy(&output.stderr));
}

/// `nohup` starts a program that is to outlive its terminal.
#[test]
fn what_ignores_the_loss_of_its_terminal_goes_on() {
    let call = Call::new(SWEEP, 40);
    let (expected, _) = call.undisturbed();
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_icl-mask")]).args(&call.words);
    shell.current_dir(call.world.path("")).env("HF_HUB_OFFLINE", "1").stderr(Stdio::null());
    let mut child = shell.spawn().unwrap();
    begun(&call);
    for _ in 0..2 {
        assert!(Command::new("kill").args(["-HUP", &child.id().to_string()]).status().unwrap().success());
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_same(&contents(&call.results()), &expected, "");
}

/// A log that takes nothing more and is not lost either: what waits for it can still be ended.
#[test]
fn what_waits_for_its_stderr_can_be_interrupted() {
    let call = Call::new(SWEEP, 12);
    let (reader, mut writer) = std::io::pipe().unwrap();
    let descriptor = writer.as_raw_fd();
    // SAFETY: a flag of a pipe that was just made, and is open below.
    let set = |flags: libc::c_int| unsafe { libc::fcntl(descriptor, libc::F_SETFL, flags) };
    assert_eq!(set(libc::O_NONBLOCK), 0);
    while writer.write(&[b'.'; 4096]).is_ok() {}
    assert_eq!(set(0), 0);
    let mut command = call.command();
    let mut child = command.stderr(writer).spawn().unwrap();
    drop(command);
    // It waits when it says that it loads the model, or soon after.
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none());
    for _ in 0..2 {
        assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
        std::thread::sleep(Duration::from_millis(400));
    }
    assert_eq!(child.try_wait().unwrap().and_then(|status| status.code()), Some(130));
    drop(reader);
}

/// A name that would colour, clear, retitle, reorder and hide.
const HOSTILE: &str =
    "e\u{1b}[31m\u{1b}]0;x\u{7}\u{9b}2J\u{202e}gpj\u{2066}\u{200f}\u{2028}\u{feff}\r\u{8}\u{e0041}";

fn assert_harmless(output: &Output, what: &str) {
    for bytes in [&output.stdout, &output.stderr] {
        let text = String::from_utf8_lossy(bytes);
        let found = text.chars().find(|&c| is_obeyed(c));
        assert_eq!(found, None, "{what}: {text:?}");
    }
}

/// Names of models, folders, corpora, items and adapters, texts, flags and error texts: none of them reaches a terminal as an
/// order, whatever prints it.
#[test]
fn nothing_that_others_wrote_is_obeyed() {
    let world = World::new();
    fs::rename(world.path("tiny"), world.path(HOSTILE)).unwrap();
    let test = format!("id\tsource\ttarget\n{HOSTILE}\t{HOSTILE} a\t{HOSTILE} b\n").replace('\r', "");
    world.write(&format!("{HOSTILE}.tsv"), test);
    let results = format!("{HOSTILE}-results");
    let settings = |test: &str, verb: &str| -> Vec<String> {
        let model = format!("./{HOSTILE}");
        [
            verb,
            "--model",
            &model,
            "--test",
            test,
            "--demonstrations",
            "demonstrations.tsv",
            "--direction",
            "en-fr",
        ]
        .iter()
        .chain(&["--format", "instr_machine_translation", "--max-new-tokens", "8"])
        .chain(["--results", results.as_str()].iter().filter(|_| verb == "run"))
        .map(ToString::to_string)
        .collect()
    };
    let hostile_test = format!("{HOSTILE}.tsv");
    let call = |words: &[String], more: &[&str], code: i32| {
        let words: Vec<&str> = words.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let output = verb(&world, &words).output().unwrap();
        assert_harmless(&output, &format!("{words:?}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
        output
    };
    let run = settings(&hostile_test, "run");
    let json = call(&run, &["--mask", "none,TTF", "--from-layer", "1", "--json"], 0);
    // Escaped, not replaced: the value is whole.
    let lines = json_lines(&String::from_utf8(json.stdout).unwrap());
    assert_eq!(lines[0]["model"], HOSTILE, "{}", lines[0]);
    assert!(world.path("").join(lines[0]["path"].as_str().unwrap()).exists());
    call(&run, &["--mask", "none", "--dry-run"], 0);
    call(&settings(&hostile_test, "show"), &[], 0);
    call(&settings(&hostile_test, "show"), &["--json"], 0);
    let words = |text: &[&str]| -> Vec<String> { text.iter().map(ToString::to_string).collect() };
    for plain in ["status", "verify", "score"] {
        call(&words(&[plain, &results]), &[], 0);
        call(&words(&[plain, &results]), &["--json"], 0);
    }
    let figures = format!("figures-{HOSTILE}");
    call(&words(&["figure", "masks", &results, "--out", &figures]), &[], 0);
    call(&words(&["figure", "masks", &results, "--out", &figures]), &["--json"], 0);
    call(&words(&["report", &results, "--out", &format!("{HOSTILE}.html"), "--title", HOSTILE]), &[], 0);
    call(&words(&["models", &format!("./{HOSTILE}")]), &[], 0);
    call(&words(&["models", &format!("./{HOSTILE}")]), &["--json"], 0);
    // Errors quote what was typed.
    for flag in [
        "--model",
        "--config",
        "--test",
        "--data",
        "--format",
        "--mask",
        "--direction",
        "--adapter",
        "--limit",
    ] {
        let words = words(&["run", flag, HOSTILE]);
        call(&words, &[], 2);
    }
    for wrong in [&["run", HOSTILE][..], &[HOSTILE], &["figure", HOSTILE], &["status", HOSTILE]] {
        call(&words(wrong), &[], 2);
    }
    call(&words(&["run", &format!("--{HOSTILE}")]), &[], 2);
    call(&words(&["data", "verify", HOSTILE, "--direction", "en-fr"]), &[], 2);
    world.write(
        "bad.yaml",
        format!("\"{}\": 1\n", HOSTILE.replace(['\u{8}', '\u{7}', '\u{1b}', '\u{9b}'], "")),
    );
    call(&words(&["run", "--config", "bad.yaml"]), &[], 2);
}

/// The model's name is a cell of the figure's table.
#[test]
fn no_cell_of_a_table_is_a_formula() {
    let world = World::new();
    fs::rename(world.path("tiny"), world.path("=1+1")).unwrap();
    ok(world.run("--model =1+1 --mask none,TTF --from-layer all"));
    ok(world.call("figure masks results --out figures"));
    let csv = fs::read_to_string(world.path("figures/masks.csv")).unwrap();
    let mut rows = csv.lines();
    let header: Vec<&str> = rows.next().unwrap().split(',').collect();
    let at = |name: &str| header.iter().position(|column| *column == name).unwrap();
    let json = json_lines(&ok(world.call("figure masks results --out figures --json")));
    let (mut negative, mut seen) = (0, 0);
    for row in rows {
        let cells: Vec<&str> = row.split(',').collect();
        assert_eq!(cells[at("model")], "'=1+1");
        for number in ["score", "difference", "difference_low", "p", "seconds"] {
            let cell = cells[at(number)];
            assert!(cell.is_empty() || cell.parse::<f64>().is_ok(), "{number}: {cell}");
            negative += usize::from(cell.starts_with('-'));
        }
        seen += 1;
    }
    assert_eq!(seen, 1 + tiny::LAYERS);
    assert!(negative > 0, "no negative number to keep: {csv}");
    // For programs the name stays as it is.
    assert_eq!(json[0][0]["settings"]["model"], "=1+1", "{}", json[0]);
}

/// Texts of tokens are cells too.
#[test]
fn no_token_of_a_table_is_a_formula() {
    let world = World::new();
    world.write("test.tsv", "source\ttarget\n=1+1 -2 @x +3\t=1\n");
    ok(world.call(
        "figure attention --model tiny --test test.tsv --nprompts 0 --direction en-fr --format instr_machine_translation \
         --mask none --layer 1 --out figures",
    ));
    let folder = fs::read_dir(world.path("figures")).unwrap();
    let csv =
        folder.map(|entry| entry.unwrap().path()).find(|path| path.extension().unwrap() == "csv").unwrap();
    let mut table = csv::Reader::from_path(csv).unwrap();
    let mut neutralised = 0;
    for row in table.records() {
        for cell in row.unwrap().iter() {
            let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err();
            assert!(!formula, "{cell:?}");
            neutralised += usize::from(cell.starts_with("'"));
        }
    }
    assert!(neutralised > 0);
}

/// Start it and kill it at some moment, again and again.
fn killed_while_writing(world: &World, words: &[&str], out: &Path, kills: usize, check: impl Fn(&str)) {
    let begun = Instant::now();
    assert!(verb(world, words).output().unwrap().status.success());
    let took = begun.elapsed();
    let mut killed = 0;
    for number in 0.. {
        if killed >= kills {
            break;
        }
        // From nothing each second time, else over what is there.
        if number % 2 == 0 {
            drop(fs::remove_dir_all(out));
        }
        let mut child = verb(world, words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(took.mul_f64(1.1 * uniform(31, number)));
        child.kill().unwrap();
        killed += usize::from(child.wait().unwrap().signal() == Some(9));
        check(&format!("after {killed} kills"));
    }
    assert!(verb(world, words).output().unwrap().status.success());
    check("in the end");
    let left = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = left.filter(|name| name.contains("partial")).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Files below a folder, but for those in the making.
fn named(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<(PathBuf, Vec<u8>)> = calls::contents_of(folder)
        .into_iter()
        .filter(|path| !path.to_string_lossy().contains(".icl-mask."))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn an_export_that_is_killed_leaves_all_of_it_or_nothing() {
    let world = World::new();
    ok(world.run("--mask none,TTF,FTF --from-layer all --max-new-tokens 4 --limit 3"));
    let words = ["export", "results", "--layout", "sia2024", "--out", "study"];
    assert!(verb(&world, &words).output().unwrap().status.success());
    let whole = named(&world.path("study"));
    assert_eq!(whole.len(), 1 + 2 * tiny::LAYERS);
    killed_while_writing(&world, &words, &world.path("study"), kills(), |when| {
        let found = named(&world.path("study"));
        assert!(found.is_empty() || found == whole, "{when}: {} of {} files", found.len(), whole.len());
    });
}

#[test]
fn a_figure_that_is_killed_leaves_whole_files() {
    let world = finished();
    let words = ["figure", "masks", "results", "--out", "figures"];
    assert!(verb(&world, &words).output().unwrap().status.success());
    let whole = named(&world.path("figures"));
    killed_while_writing(&world, &words, &world.path("figures"), kills(), |when| {
        for file in named(&world.path("figures")) {
            assert!(whole.contains(&file), "{when}: {}", file.0.display());
        }
    });
}

/// No file is renamed over a device: for every program of the machine it would be gone.
#[test]
fn devices_and_pipes_stay_what_they_are() {
    let world = finished();
    let pipe = |name: &str| {
        assert!(Command::new("mkfifo").arg(world.path(name)).status().unwrap().success());
    };
    fs::create_dir_all(world.path("figures")).unwrap();
    ["report.html", "figures/masks.csv"].into_iter().for_each(pipe);
    for args in ["report results --out report.html", "figure masks results --out figures"] {
        let output = world.call(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args}: {said}");
        assert!(said.contains("is a device or a pipe"), "{args}: {said}");
    }
    // Nothing of the figure was written then.
    assert_eq!(fs::read_dir(world.path("figures")).unwrap().count(), 1);
}

/// What is written while a terminal goes away in the middle of a bar.
#[test]
fn a_window_that_is_closed_while_a_bar_is_shown_ends_nothing() {
    let call = Call::new(SWEEP, 40);
    let (expected, _) = call.undisturbed();
    let [terminal, window] = terminal();
    let mut command = call.command();
    let mut child = command.stderr(terminal).spawn().unwrap();
    drop(command);
    let (mut window, mut shown) = (fs::File::from(window), Vec::new());
    while !String::from_utf8_lossy(&shown).contains("/520, ") {
        let mut some = [0; 256];
        let n = window.read(&mut some).unwrap();
        shown.extend(&some[..n]);
    }
    assert!(child.try_wait().unwrap().is_none());
    drop(window);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_same(&contents(&call.results()), &expected, "");
}
