//! Disks that are full or gone, and files that are damaged.

use std::fs;
use std::path::PathBuf;

use crate::calls::{Call, SWEEP, TRAINING, assert_same, begun, broken_off, contents_of, finish, with_mounts};
use crate::world::{contents, ok};

/// It stops with a sentence when the disk is full, and goes on when there is room again.
#[test]
fn a_disk_that_fills_up_costs_nothing() {
    for (call, step) in [(Call::new(SWEEP, 12), 48), (Call::new(TRAINING, 6), 24)] {
        let (expected, _) = call.undisturbed();
        let said = with_mounts(
            &call,
            &format!(
                "mkdir results; size=16; times=0
                mount -t tmpfs -o size=${{size}}k small results
                while ! \"$program\" $words 2> said; do
                    grep -q 'cannot write .*No space left on device' said || {{ cat said; exit 9; }}
                    times=$((times + 1)) size=$((size + {step}))
                    mount -o remount,size=${{size}}k results
                done
                cp -r results whole
                echo $times"
            ),
        );
        assert_same(&contents(&call.world.path("whole")), &expected, "");
        let times: usize = said.trim().parse().unwrap();
        assert!(times >= 3, "the disk was full {times} times");
    }
}

/// Nothing is computed for a folder that cannot be written to, and what is in it stays.
#[test]
fn a_folder_that_cannot_be_written_is_refused_at_once() {
    let call = Call::new(SWEEP, 12);
    broken_off(&call);
    let said = with_mounts(
        &call,
        "before=$(find results -type f | sort | xargs sha256sum)
        mount --bind results results; mount -o remount,bind,ro results
        code=0; \"$program\" $words 2> said || code=$?
        test \"$before\" = \"$(find results -type f | sort | xargs sha256sum)\"
        echo $code; cat said",
    );
    assert!(said.starts_with("1\n") && said.contains("Read-only file system"), "{said}");
    assert!(!said.contains("loading"), "{said}");
}

#[test]
fn a_folder_that_goes_away_ends_the_run() {
    let call = Call::new(SWEEP, 40);
    let (expected, _) = call.undisturbed();
    let child = call.start();
    begun(&call);
    fs::rename(call.results(), call.world.path("elsewhere")).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("was moved or removed"), "{said}");
    drop(fs::remove_dir_all(call.results()));
    fs::rename(call.world.path("elsewhere"), call.results()).unwrap();
    finish(call.start());
    assert_same(&contents(&call.results()), &expected, "");
}

/// As after a power failure: the file has its new length, but not what belongs there.
#[test]
fn what_never_reached_the_disk_is_computed_again() {
    let call = Call::new(SWEEP, 40);
    let (expected, _) = call.undisturbed();
    for path in broken_off(&call) {
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend([0; 700]);
        fs::write(&path, bytes).unwrap();
    }
    let output = call.command().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("700 bytes at its end were never written whole"),
        "{said}"
    );
    assert_same(&contents(&call.results()), &expected, "");
}

/// What no crash leaves is refused: the file was edited, or the disk is failing.
#[test]
fn damage_in_the_middle_is_refused() {
    let call = Call::new(SWEEP, 40);
    let whole = |path: &PathBuf| fs::read_to_string(path).is_ok_and(|text| text.lines().count() > 1);
    let path = broken_off(&call).into_iter().find(whole).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\"id\"", "\"ib\"", 1)).unwrap();
    let output = call.command().output().unwrap();
    call.world.refused(&output, &["partial.jsonl:1: damaged", "move it away"]);
    assert_eq!(fs::read_to_string(&path).unwrap().len(), text.len());
}

#[test]
fn results_whose_settings_are_unknown_are_not_gone_on_with() {
    let call = Call::new(SWEEP, 40);
    broken_off(&call);
    for path in contents_of(&call.results()).iter().filter(|path| path.ends_with("manifest.json")) {
        fs::remove_file(path).unwrap();
    }
    let output = call.command().output().unwrap();
    call.world.refused(&output, &["manifest.json", "is gone", "--results"]);
}

/// Each kind of damage to a finished folder is named.
#[test]
fn wrong_results_are_found() {
    let call = Call::new(SWEEP, 12);
    finish(call.start());
    let run = call.results().join("tiny/test.en-fr/instr_machine_translation-k5-seed0");
    let edits: [(&str, &str, &str, &str); 6] = [
        ("TTF/layer-1.json", "\"bleu\": ", "\"bleu\": 1", "by its generations"),
        ("TTF/layer-1.json", "\"generated_tokens\": ", "\"generated_tokens\": 1", "scores or counts"),
        ("TTF/layer-1.json", "\"from_layer\": 1", "\"from_layer\": 2", "says that it is TTF from layer 2"),
        ("TTF/layer-1.jsonl", "\"clean\":\"", "\"clean\":\"x", "is not what comes of its text"),
        ("manifest.json", "\"nprompts\": 5", "\"nprompts\": 4", "its hash is not that of its settings"),
        ("items.jsonl", "\"id\":\"3\"", "\"id\":\"2\"", "some of them twice"),
    ];
    for (file, from, to, says) in edits {
        let (path, text) = (run.join(file), fs::read_to_string(run.join(file)).unwrap());
        assert!(text.contains(from), "{file}: {from}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let output = call.world.call("verify results");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{file}: {said}");
        assert!(said.contains(says), "{file}: {said}");
        fs::write(&path, text).unwrap();
    }
    fs::remove_file(run.join("FTF/layer-2.json")).unwrap();
    let output = call.world.call("verify results");
    assert!(String::from_utf8_lossy(&output.stdout).contains("not finished: FTF, layer 2"));
    // What is drawn of it does not look whole.
    let output = call.world.call("figure masks results --out figures");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 of 13 cells are not finished"), "{said}");
}

#[test]
fn damaged_adapters_are_found() {
    let call = Call::new(TRAINING, 6);
    finish(call.start());
    ok(call.world.call("verify results"));
    let folder = call.results().join("tiny/pairs.en-fr/instr_none_QA-k0-seed0-lora6/lora/layer-2");
    for file in ["adapter_model.safetensors", "adapter_config.json", "training.json"] {
        let bytes = fs::read(folder.join(file)).unwrap();
        for damaged in [&[][..], &bytes[..bytes.len() / 2]] {
            fs::write(folder.join(file), damaged).unwrap();
            let output = call.world.call("verify results");
            assert_eq!(output.status.code(), Some(1), "{file}");
            assert!(String::from_utf8_lossy(&output.stdout).contains("wrong: lora/layer-2"), "{file}");
        }
        fs::write(folder.join(file), bytes).unwrap();
    }
}
