//! Without the hub: what the cache gives, and what is said.

use crate::hub_bench::*;
use std::fs;

use icl_mask::hub::ModelFiles;

#[test]
fn offline_opens_no_socket() {
    let mut bench = Bench::new(model());
    bench.settings.offline = true;
    bench.assert_input(&["HF_HUB_OFFLINE", "o/n is not in the cache", "unset"]);
    bench.settings.offline = false;
    bench.try_fetch("o/n", ModelFiles::Description).unwrap();
    bench.hub.seen();
    bench.settings.offline = true;
    bench.try_fetch("o/n", ModelFiles::Description).unwrap();
    bench.assert_input(&["HF_HUB_OFFLINE", "lacks model.safetensors"]);
    bench.settings.offline = false;
    let online = bench.weights().unwrap();
    bench.hub.seen();
    bench.settings.offline = true;
    assert_eq!(bench.weights().unwrap(), online);
    assert_eq!(bench.try_fetch(&format!("o/n@{MAIN}"), ModelFiles::Weights).unwrap(), online);
    assert!(bench.failure("o/n@v2", ModelFiles::Weights).1);
    assert!(bench.hub.seen().is_empty());
    assert!(bench.notes.borrow().is_empty(), "{:?}", bench.notes);
}

#[test]
fn offline_uses_no_cut_off_file() {
    let mut bench = Bench::new(sharded());
    let folder = bench.weights().unwrap().folder;
    bench.settings.offline = true;
    for (name, kept) in
        [("m-2.safetensors", 900), ("m-2.safetensors", 20), ("m-2.safetensors", 3), ("tokenizer.json", 4)]
    {
        let path = folder.join(name);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..kept]).unwrap();
        bench.assert_input(&["HF_HUB_OFFLINE", name, "damaged"]);
        fs::write(&path, whole).unwrap();
    }
    fs::remove_file(folder.join("m-1.safetensors")).unwrap();
    bench.assert_input(&["lacks m-1.safetensors"]);
}

#[test]
fn offline_says_what_it_cannot_know() {
    let mut bench = Bench::new(model());
    let folder = bench.weights().unwrap().folder;
    fs::remove_file(folder.join("generation_config.json")).unwrap();
    bench.settings.offline = true;
    bench.weights().unwrap();
    assert!(bench.noted("generation_config.json of o/n is not in the cache"));
}

#[test]
fn without_the_hub_the_cache_is_used_with_a_note() {
    let mut bench = Bench::new(model());
    let online = bench.weights().unwrap();
    let endpoint = bench.settings.endpoint.clone();
    bench.unplug();
    assert_eq!(bench.weights().unwrap(), online);
    assert!(bench.noted("cannot reach") && bench.noted("from the cache"), "{:?}", bench.notes);
    bench.settings.endpoint = endpoint;
    for status in [500, 429] {
        bench.notes.borrow_mut().clear();
        bench.hub.state().refuse = Some((status, "", ""));
        assert_eq!(bench.weights().unwrap(), online);
        assert!(bench.noted(&status.to_string()) && bench.noted("from the cache"), "{:?}", bench.notes);
    }
    // A refusal is an answer.
    bench.hub.state().refuse = Some((401, "RepoNotFound", ""));
    bench.assert_input(&["HF_TOKEN"]);
}

#[test]
fn without_the_hub_and_the_cache_it_says_what_to_do() {
    let mut bench = Bench::new(model());
    bench.unplug();
    bench.assert_fault(&["cannot reach 127.0.0.1", "not in the cache", "HF_ENDPOINT", "HF_HUB_OFFLINE"]);
    bench.settings.endpoint = "http://no-such-host.invalid".into();
    bench.assert_fault(&["cannot reach no-such-host.invalid", "no network"]);
    bench.settings.endpoint = bench.hub.endpoint.clone();
    bench.hub.state().refuse = Some((503, "", ""));
    bench.assert_fault(&["503", "not in the cache"]);
}

#[test]
fn a_server_that_recovers_is_waited_for() {
    let bench = Bench::new(model());
    bench.hub.state().failures = 3;
    bench.weights().unwrap();
    assert!(bench.noted("503"));
}
