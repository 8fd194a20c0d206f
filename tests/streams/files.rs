//! Files that are written while the program is killed, and places that are no files.

use crate::{calls, tiny};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::kills;
use super::{finished, verb};
use crate::world::{World, ok};
use icl_mask::base::random::uniform;

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
