//! `icl_mask::hub` against a hub on loopback, with real cache folders.

mod offline;

#[path = "../hub_bench/mod.rs"]
mod hub_bench;
#[path = "../mock_hub/mod.rs"]
mod mock_hub;

use hub_bench::*;
use std::fs;
use std::path::Path;
use std::time::Duration;

use icl_mask::hub::{ModelFiles, ModelId, fetch};
use mock_hub::{Seen, git_blob, sha256};

const DESCRIPTION: [&str; 3] = ["config.json", "generation_config.json", "tokenizer.json"];
const ALL: [&str; 4] = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json"];

fn downloads(seen: &[Seen]) -> Vec<&Seen> {
    seen.iter().filter(|s| s.method == "GET" && s.second_host).collect()
}

#[test]
fn the_cache_is_laid_out_as_python_does() {
    let bench = Bench::new(model());
    let description = bench.try_fetch("o/n", ModelFiles::Description).unwrap();
    bench.assert_good(&description, &DESCRIPTION);
    let snapshot = bench.weights().unwrap();
    bench.assert_good(&snapshot, &ALL);
    assert_eq!(
        (snapshot.commit.as_str(), &snapshot.folder),
        (MAIN, &bench.model().join("snapshots").join(MAIN))
    );
    assert_eq!(fs::read_to_string(bench.model().join("refs/main")).unwrap(), MAIN);
    assert!(bench.model().join(".no_exist").join(MAIN).join("chat_template.jinja").exists());
    let link = |name: &str| fs::read_link(snapshot.folder.join(name)).unwrap();
    let weights = sha256(&bench.content("model.safetensors"));
    assert_eq!(link("model.safetensors"), Path::new("../../blobs").join(weights));
    assert_eq!(link("config.json"), Path::new("../../blobs").join(git_blob(&bench.content("config.json"))));
    assert_eq!(bench.blobs().len(), 4);
    assert!(bench.notes.borrow().is_empty(), "{:?}", bench.notes);
}

#[test]
fn what_is_complete_costs_one_request_and_is_not_hashed_again() {
    let bench = Bench::new(model());
    bench.weights().unwrap();
    bench.hub.seen();
    // Hashing would notice; the size is the same.
    let mut content = bench.content("model.safetensors");
    content.reverse();
    fs::write(bench.blob(), content).unwrap();
    bench.weights().unwrap();
    assert_eq!(bench.hub.seen().len(), 1);
}

#[test]
fn exactly_the_shards_of_the_index_are_fetched() {
    let bench = Bench::new(sharded());
    let snapshot = bench.weights().unwrap();
    bench
        .assert_good(&snapshot, &[&DESCRIPTION[..], &[INDEX, "m-1.safetensors", "m-2.safetensors"]].concat());
}

#[test]
fn a_revision_may_have_slashes() {
    let bench = Bench::new(model());
    let snapshot = bench.try_fetch("o/n@refs/pr/1", ModelFiles::Weights).unwrap();
    assert_eq!(snapshot.commit, PR);
    assert_eq!(fs::read_to_string(bench.model().join("refs/refs/pr/1")).unwrap(), PR);
    assert!(bench.hub.seen().iter().skip(1).all(|seen| seen.path.contains(PR)), "files are of the commit");
    assert_eq!(bench.try_fetch(&format!("o/n@{MAIN}"), ModelFiles::Weights).unwrap().commit, MAIN);
    assert!(!bench.model().join("refs").join(MAIN).exists());
}

#[test]
fn what_breaks_off_is_resumed_in_the_same_call() {
    let bench = Bench::new(model());
    // More often than a request that brings nothing is tried.
    bench.hub.state().breaks = (6, 50_000);
    let snapshot = bench.weights().unwrap();
    bench.assert_good(&snapshot, &ALL);
    let seen = bench.hub.seen();
    let ranges: Vec<_> = downloads(&seen).iter().map(|seen| seen.range.clone().unwrap_or_default()).collect();
    let expected = [50, 100, 150, 200, 250, 300].map(|done| format!("bytes={done}000-"));
    assert_eq!((ranges[0].as_str(), &ranges[1..]), ("", &expected[..]));
    assert!(bench.noted("trying again"));
}

#[test]
fn what_broke_off_is_resumed_by_the_next_call() {
    let bench = Bench::new(model());
    // The first bytes, then nothing more: all tries are used up.
    bench.hub.state().breaks = (1, 70_000);
    bench.hub.state().failures = 0;
    fs::create_dir_all(bench.incomplete().parent().unwrap()).unwrap();
    let content = bench.content("model.safetensors");
    fs::write(bench.incomplete(), &content[..50_000]).unwrap();
    bench.hub.state().breaks = (100, 0);
    bench.assert_fault(&["broke", "run again"]);
    assert_eq!(fs::read(bench.incomplete()).unwrap(), &content[..50_000]);
    bench.hub.seen();
    bench.hub.state().breaks = (0, 0);
    bench.weights().unwrap();
    let seen = bench.hub.seen();
    assert_eq!(downloads(&seen)[0].range.as_deref(), Some("bytes=50000-"));
    assert!(fs::read(bench.blob()).unwrap() == content);
    assert!(!bench.incomplete().exists());
}

#[test]
fn what_hf_hub_left_behind_is_resumed_too() {
    let bench = Bench::new(model());
    fs::create_dir_all(bench.model().join("blobs")).unwrap();
    fs::write(bench.blob().with_extension("part"), &bench.content("model.safetensors")[..1234]).unwrap();
    bench.weights().unwrap();
    assert_eq!(downloads(&bench.hub.seen())[0].range.as_deref(), Some("bytes=1234-"));
}

#[test]
fn a_server_that_ignores_the_range_is_not_appended() {
    let bench = Bench::new(model());
    bench.hub.state().breaks = (1, 70_000);
    bench.hub.state().ignores_range = true;
    let snapshot = bench.weights().unwrap();
    bench.assert_good(&snapshot, &ALL);
}

#[test]
fn a_bad_beginning_is_found_and_removed() {
    let bench = Bench::new(model());
    fs::create_dir_all(bench.model().join("blobs")).unwrap();
    fs::write(bench.incomplete(), [7; 1000]).unwrap();
    bench.assert_fault(&["model.safetensors", "checksum", "removed", "run again"]);
    assert!(!bench.incomplete().exists() && !bench.blob().exists());
    bench.weights().unwrap();
    // One that is longer than the file is dropped without trying.
    fs::remove_file(bench.blob()).unwrap();
    fs::write(bench.incomplete(), vec![7; 400_000]).unwrap();
    bench.weights().unwrap();
}

#[test]
fn a_stalled_server_is_given_up_and_asked_again() {
    let mut bench = Bench::new(model());
    bench.settings.timeout = Duration::from_millis(200);
    bench.hub.state().stalls = true;
    bench.weights().unwrap();
    assert!(bench.noted("stopped answering"));
}

#[test]
fn another_content_than_announced_is_not_kept() {
    let bench = Bench::new(model());
    bench.hub.state().corrupt = true;
    bench.assert_fault(&["model.safetensors", "checksum", "removed", "run again"]);
    assert_eq!(bench.blobs().len(), 3, "{:?}", bench.blobs());
    assert!(
        fs::symlink_metadata(bench.model().join("snapshots").join(MAIN).join("model.safetensors")).is_err()
    );
}

#[test]
fn another_size_than_announced_is_refused() {
    for announced in [299_000, 400_000] {
        let bench = Bench::new(model());
        bench.hub.state().announced = Some(announced);
        bench.assert_fault(&["model.safetensors", &announced.to_string(), "another size"]);
        assert!(!bench.blob().exists());
        assert_eq!(downloads(&bench.hub.seen()).len(), 1, "it does not try again");
        // With a beginning, that is seen in the range, before anything is appended.
        let content = bench.content("model.safetensors");
        fs::write(bench.incomplete(), &content[..1000]).unwrap();
        bench.assert_fault(&["another size", "bytes 1000-"]);
        assert_eq!(fs::read(bench.incomplete()).unwrap(), &content[..1000]);
    }
}

#[test]
fn what_cannot_be_verified_is_not_fetched() {
    let bench = Bench::new(model());
    bench.hub.state().without_etag = true;
    bench.assert_fault(&["model.safetensors", "could not be verified"]);
    assert!(downloads(&bench.hub.seen()).is_empty());
}

#[test]
fn a_web_page_is_no_model() {
    let bench = Bench::new(model());
    bench.hub.state().page_for_files = true;
    bench.assert_fault(&["web page", "model.safetensors"]);
    assert_eq!(fs::read(bench.incomplete()).unwrap(), b"");
    let bench = Bench::new(model());
    bench.hub.state().page = true;
    bench.assert_fault(&["not as a hub does", "is not in the cache"]);
    assert!(!bench.model().exists());
}

#[test]
fn the_token_goes_to_the_hub_only() {
    let mut bench = Bench::new(model());
    bench.settings.token = Some("hf_secret".into());
    bench.hub.state().breaks = (1, 1000);
    bench.weights().unwrap();
    let seen = bench.hub.seen();
    assert_eq!(downloads(&seen).len(), 2);
    for request in seen {
        let expected = (!request.second_host).then_some("Bearer hf_secret");
        assert_eq!(request.token.as_deref(), expected, "{request:?}");
    }
}

#[test]
fn a_cut_off_blob_is_completed() {
    let bench = Bench::new(model());
    bench.weights().unwrap();
    let content = bench.content("model.safetensors");
    fs::write(bench.blob(), &content[..100_000]).unwrap();
    bench.hub.seen();
    bench.weights().unwrap();
    assert!(fs::read(bench.blob()).unwrap() == content);
    assert_eq!(downloads(&bench.hub.seen())[0].range.as_deref(), Some("bytes=100000-"));
    assert!(bench.noted("100000 of"));
}

#[test]
fn every_refusal_has_its_sentence() {
    let mut bench = Bench::new(model());
    let page = format!("{}/o/n", bench.hub.endpoint);
    let without: [(_, _, &str, &[&str]); 6] = [
        (401, "GatedRepo", "", &["gated", "no token was sent", "accept the licence", &page, "HF_TOKEN"]),
        (403, "GatedRepo", "", &["no token was sent", &page]),
        (401, "RepoNotFound", "", &["check the spelling", "no token was sent"]),
        (401, "", "", &["check the spelling", "no token was sent"]),
        (403, "", "", &["without a token", &page]),
        (404, "", "", &["has no model o/n"]),
    ];
    for (status, code, said, parts) in without {
        bench.hub.state().refuse = Some((status, code, said));
        bench.assert_input(parts);
    }
    bench.settings.token = Some("t".into());
    let invalid = "Invalid credentials in Authorization header";
    let with: [(_, _, &str, &[&str]); 6] = [
        (403, "GatedRepo", "", &["the token's account has no access yet", &page]),
        (401, "", "", &["the token was not accepted", "HF_TOKEN"]),
        (401, "RepoNotFound", invalid, &["the token was not accepted"]),
        (403, "", "", &["in spite of the token", &page]),
        (404, "RepoNotFound", "", &["hides it from this token", "spelling"]),
        (404, "RevisionNotFound", "", &["no revision `main`"]),
    ];
    for (status, code, said, parts) in with {
        bench.hub.state().refuse = Some((status, code, said));
        bench.assert_input(parts);
    }
    // A gated model can be listed; its files are what is refused.
    bench.hub.state().refuse = None;
    bench.hub.state().refuse_files = Some((403, "GatedRepo", ""));
    bench.assert_input(&["accept the licence"]);
    bench.hub.state().refuse_files = Some((404, "EntryNotFound", ""));
    bench.assert_input(&["has no config.json"]);
    assert!(bench.blobs().is_empty());
    bench.hub.state().refuse_files = None;
    let (sentence, is_input) = bench.failure("o/n@v9", ModelFiles::Description);
    assert!(is_input && sentence.contains("no revision `v9`"), "{sentence}");
}

#[test]
fn models_that_cannot_be_read_are_told_apart() {
    let cases: [(&[&str], &[&str], &[&str]); 7] = [
        (&["model.safetensors"], &[], &["pickle", "o/n@refs/pr/N", "save_pretrained"]),
        (
            &["model.safetensors", "pytorch_model.bin"],
            &["n-Q4.gguf", "n-Q8.gguf"],
            &["n-Q4.gguf, n-Q8.gguf", "path"],
        ),
        (
            &["model.safetensors", "pytorch_model.bin"],
            &["adapter_model.safetensors"],
            &["adapter_model.safetensors"],
        ),
        (
            &["model.safetensors", "pytorch_model.bin", "config.json"],
            &["adapter_config.json", "adapter_model.safetensors"],
            &["o/n is an adapter", "--adapter"],
        ),
        (&["model.safetensors", "pytorch_model.bin"], &[], &["no weights"]),
        (&["tokenizer.json"], &["tokenizer.model"], &["no tokenizer.json", "AutoTokenizer"]),
        (&["config.json"], &[], &["no config.json"]),
    ];
    for (without, with, parts) in cases {
        let mut state = model();
        without.iter().for_each(|name| drop(state.files.remove(*name)));
        with.iter().for_each(|name| drop(state.files.insert(name.to_string(), b"x".to_vec())));
        let bench = Bench::new(state);
        bench.assert_input(parts);
        assert_eq!(bench.hub.seen().len(), 1, "nothing is fetched");
        assert!(bench.failure("o/n", ModelFiles::Description).1, "a plan finds it too");
    }
}

#[test]
fn nothing_gets_out_of_the_folder() {
    let mut state = model();
    state.files.insert("../../evil".into(), b"x".to_vec());
    Bench::new(state).assert_input(&["outside its folder", "../../evil"]);
    for name in ["../evil.safetensors", "/etc/evil.safetensors", "a/b.safetensors", "README.md"] {
        let mut state = sharded();
        state.files.insert(INDEX.into(), format!(r#"{{"weight_map":{{"x":"{name}"}}}}"#).into());
        Bench::new(state).assert_input(&[INDEX, name]);
    }
    for (index, part) in [
        ("{", "EOF"),
        (r#"{"weight_map":{}}"#, "names no file"),
        (r#"{"weight_map":{"x":"z.safetensors"}}"#, "does not hold"),
    ] {
        let mut state = sharded();
        state.files.insert(INDEX.into(), index.into());
        Bench::new(state).assert_input(&[part]);
    }
    let mut state = sharded();
    state.files.insert(INDEX.into(), b"{\"\xe9\"".to_vec());
    Bench::new(state).assert_input(&[INDEX, "not valid UTF-8"]);
    let mut state = model();
    state.revisions.insert("main".into(), "../../../../evil".into());
    Bench::new(state).assert_fault(&["names a commit that is none"]);
    let mut bench = Bench::new(model());
    bench.weights().unwrap();
    fs::write(bench.model().join("refs/main"), "../../evil").unwrap();
    bench.settings.offline = true;
    bench.assert_input(&["not in the cache"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named() {
    let bench = Bench::new(model());
    fs::create_dir_all(bench.model().join("blobs")).unwrap();
    std::os::unix::fs::symlink("/dev/full", bench.incomplete()).unwrap();
    bench.assert_fault(&["the disk is full", ".incomplete", "HF_HOME"]);
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let mut bench = Bench::new(model());
    let file = bench.folder.path().join("file");
    fs::write(&file, "").unwrap();
    bench.settings.cache = file.join("hub");
    bench.assert_fault(&["file/hub", "HF_HOME"]);
}

#[test]
fn certificates_that_cannot_be_used_are_named() {
    let mut bench = Bench::new(model());
    bench.settings.roots = Some(bench.folder.path().join("roots.pem"));
    bench.assert_input(&["roots.pem", "cannot read", "SSL_CERT_FILE"]);
    fs::write(bench.folder.path().join("roots.pem"), "nothing").unwrap();
    bench.assert_input(&["roots.pem", "no certificate"]);
}

#[test]
fn two_at_once_both_succeed() {
    let bench = Bench::new(sharded());
    bench.hub.state().breaks = (2, 100);
    let (settings, id): (_, ModelId) = (&bench.settings, "o/n".parse().unwrap());
    let snapshots = std::thread::scope(|scope| {
        let threads =
            [(); 4].map(|()| scope.spawn(|| fetch(&id, ModelFiles::Weights, settings, &|_| ()).unwrap()));
        threads.map(|thread| thread.join().unwrap())
    });
    for snapshot in snapshots {
        bench.assert_good(
            &snapshot,
            &[&DESCRIPTION[..], &[INDEX, "m-1.safetensors", "m-2.safetensors"]].concat(),
        );
    }
    assert_eq!(bench.blobs().len(), 6, "{:?}", bench.blobs());
    let seen = bench.hub.seen();
    let whole = downloads(&seen).iter().filter(|seen| seen.range.is_none()).count();
    assert_eq!(whole, 2, "each file is fetched once");
}
