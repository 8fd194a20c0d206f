//! Calls whose stdout is lost: nothing panics, and a run that nobody reads stops and can go on.

use crate::{calls, world};
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::Stdio;

use super::{Lost, finished, printing, verb};
use crate::calls::{Call, SWEEP, TRAINING, assert_same};
use crate::world::contents;

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
