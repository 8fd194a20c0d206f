//! Folders that grow while they are disturbed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{kill_after, kills, moments};
use crate::calls::{Call, SWEEP, TRAINING, assert_same, begun, finish};
use crate::world::{contents, ok};

/// The same call with another number of items.
fn of_items(call: &Call, limit: usize) -> Command {
    let mut command = call.command();
    command.args(["--limit", &limit.to_string()]);
    command
}

/// What is there, but for the command line in the manifests.
fn results_of(call: &Call) -> Vec<(PathBuf, String)> {
    let mut found = contents(&call.results());
    for (path, text) in found.iter_mut().filter(|(path, _)| path.ends_with("manifest.json")) {
        let text_there = fs::read_to_string(call.results().join(&*path)).unwrap();
        let mut manifest: serde_json::Value = serde_json::from_str(&text_there).unwrap();
        (manifest["command"], manifest["git"]) = (serde_json::Value::Null, serde_json::Value::Null);
        *text = manifest.to_string();
    }
    found
}

/// What a call that computes all items at once writes.
fn at_once(call: &Call, limit: usize) -> Vec<(PathBuf, String)> {
    finish(of_items(call, limit).spawn().unwrap());
    let written = results_of(call);
    fs::remove_dir_all(call.results()).unwrap();
    written
}

/// Folders that grow while they are killed, again and again: nothing that was finished is lost, and every look at the folder in
/// between finds nothing wrong.
#[test]
fn a_folder_that_is_killed_while_it_grows_comes_out_the_same() {
    // A training takes longer, and its tests are all that grows.
    for (words, items, stream, kills) in [(SWEEP, 24, 5, kills()), (TRAINING, 6, 6, kills() / 3)] {
        let call = Call::new(words, items);
        let expected = at_once(&call, items);
        let begun = Instant::now();
        finish(of_items(&call, items / 3).spawn().unwrap());
        let small = results_of(&call);
        let took = begun.elapsed();
        let (mut killed, mut ended) = (0, 0);
        for moment in moments(stream, took) {
            if killed >= kills && ended > 0 {
                break;
            }
            match kill_after(of_items(&call, items).spawn().unwrap(), moment) {
                None => killed += 1,
                Some(status) => {
                    assert!(status.success());
                    assert_same(&results_of(&call), &expected, &format!("after {killed} kills"));
                    ended += 1;
                    fs::remove_dir_all(call.results()).unwrap();
                    finish(of_items(&call, items / 3).spawn().unwrap());
                    assert_same(&results_of(&call), &small, "the small folder again");
                }
            }
            let output = call.world.call("verify results");
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(!said.contains("wrong: "), "{said}");
            ok(call.world.call("status results"));
        }
        finish(of_items(&call, items).spawn().unwrap());
        assert_same(&results_of(&call), &expected, &format!("after {killed} kills"));
        ok(call.world.call("verify results"));
        eprintln!("{killed} kills of folders that grew; {ended} of them came to an end in between");
    }
}

/// Several processes let one folder grow, some of them are killed, and others look at it meanwhile.
#[test]
fn processes_that_compete_let_a_folder_grow_together() {
    let call = Call::new(SWEEP, 24);
    let expected = at_once(&call, 24);
    for (round, moment) in moments(7, Duration::from_secs(2)).take(kills() / 3).enumerate() {
        finish(of_items(&call, 8).spawn().unwrap());
        let [first, second, third] = [(); 3].map(|()| of_items(&call, 24).spawn().unwrap());
        for _ in 0..3 {
            let said = String::from_utf8_lossy(&call.world.call("verify results").stdout).into_owned();
            assert!(!said.contains("wrong: "), "round {round}: {said}");
            let figure = call.world.call("figure masks results");
            let said = String::from_utf8_lossy(&figure.stderr).into_owned();
            assert!(
                figure.status.success() || said.contains("no finished cell of this kind"),
                "round {round}: {said}"
            );
        }
        kill_after(first, moment);
        finish(second);
        finish(third);
        assert_same(&results_of(&call), &expected, &format!("round {round}"));
        fs::remove_dir_all(call.results()).unwrap();
    }
}

/// A call of fewer items that is overtaken ends with a sentence, and what it has finished is extended.
#[test]
fn a_call_that_is_overtaken_takes_nothing_away() {
    let call = Call::new(SWEEP, 40);
    let expected = at_once(&call, 40);
    let slow = of_items(&call, 30).spawn().unwrap();
    begun(&call);
    let fast = of_items(&call, 40).spawn().unwrap();
    let output = slow.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || said.contains("holds results of 40 test items"), "{said}");
    finish(fast);
    finish(of_items(&call, 40).spawn().unwrap());
    assert_same(&results_of(&call), &expected, "");
    let smaller = of_items(&call, 30).output().unwrap();
    call.world.refused(&smaller, &["holds results of 40 test items, which 30 would cut short"]);
}
