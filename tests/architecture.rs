//! The house as docs/architecture.md shows it: each module uses only those above it in the list, no two files use each other in a
//! circle, no file and no function is too long.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const LONGEST_FILE: usize = 450;
const LONGEST_TEST_FILE: usize = 500;
const LONGEST_FUNCTION: usize = 70;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, all);
        } else if path.extension().is_some_and(|end| end == "rs") {
            all.push(path);
        }
    }
}

/// The files of src/ without their unit tests, by their paths below it.
fn sources() -> BTreeMap<PathBuf, String> {
    let mut files = Vec::new();
    files_below(&root().join("src"), &mut files);
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_string();
        (path.strip_prefix(root().join("src")).unwrap().to_path_buf(), code)
    };
    files.into_iter().map(read).collect()
}

/// The lines of code that are no comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"))
}

/// Words that follow a marker, such as `crate::`.
fn names_after<'a>(line: &'a str, marker: &str) -> Vec<&'a str> {
    let name = |(at, _): (usize, &str)| {
        let rest = &line[at + marker.len()..];
        rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
    };
    line.match_indices(marker).map(name).collect()
}

/// The modules in the order of docs/architecture.md: the lines of its first block that begin with a path.
fn listed() -> Vec<String> {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("    src/"));
    let module = |line: &str| {
        let path = line.split_whitespace().next().unwrap_or_default();
        path.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_string()
    };
    let mut modules: Vec<String> = lines.map(module).collect();
    modules.dedup();
    modules
}

/// The module that a file belongs to.
fn module_of(path: &Path) -> String {
    let first = path.iter().next().unwrap().to_string_lossy();
    first.trim_end_matches(".rs").to_string()
}

#[test]
fn the_list_of_modules_is_whole_and_arrows_go_one_way() {
    let listed = listed();
    let sources = sources();
    let there: BTreeSet<String> = sources
        .keys()
        .map(|path| module_of(path))
        .filter(|module| module != "lib" && module != "main")
        .collect();
    assert_eq!(
        listed.iter().cloned().collect::<BTreeSet<_>>(),
        there,
        "docs/architecture.md lists these modules"
    );
    let place = |module: &str| listed.iter().position(|known| known == module);
    let mut wrong = Vec::new();
    for (path, text) in &sources {
        let Some(own) = place(&module_of(path)) else { continue };
        for used in code(text).flat_map(|line| names_after(line, "crate::")) {
            if place(used).is_some_and(|used| used > own) {
                wrong.push(format!("{} uses {used}, which is below it in the list", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The file of a module `name` beside another file.
fn beside(path: &Path, name: &str, sources: &BTreeMap<PathBuf, String>) -> Option<PathBuf> {
    let folder = path.parent()?;
    let candidates = [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")];
    candidates.into_iter().find(|candidate| sources.contains_key(candidate))
}

/// The lines that the page shows as those of one family stand in the files that it names.
#[test]
fn the_family_that_is_shown_is_in_the_code() {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let shown = page.split("```diff\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let (mut file, mut lines) = (String::new(), 0);
    for line in shown.lines().filter(|line| !line.trim().is_empty()) {
        match line.strip_prefix("  +") {
            Some(code) => {
                assert!(file.lines().any(|line| line == code), "{code}");
                lines += 1;
            }
            None => file = fs::read_to_string(root().join(line.trim())).unwrap(),
        }
    }
    assert!(lines > 15 && lines <= 25, "{lines}");
}

#[test]
fn no_files_of_a_folder_use_each_other_in_a_circle() {
    let sources = sources();
    let mut uses: BTreeMap<&PathBuf, BTreeSet<PathBuf>> = BTreeMap::new();
    for (path, text) in &sources {
        // A mod.rs names its parts; what they use of it is declared there.
        if path.ends_with("mod.rs") {
            continue;
        }
        let names = code(text).flat_map(|line| names_after(line, "super::"));
        uses.insert(path, names.filter_map(|name| beside(path, name, &sources)).collect());
    }
    // Files whose uses are all known to be free of circles are taken away until none is left.
    while !uses.is_empty() {
        let free: Vec<PathBuf> = uses
            .iter()
            .filter(|(_, used)| used.iter().all(|file| !uses.contains_key(file)))
            .map(|(path, _)| (*path).clone())
            .collect();
        assert!(!free.is_empty(), "these files use each other: {:?}", uses.keys());
        uses.retain(|path, _| !free.contains(path));
    }
}

#[test]
fn no_file_of_tests_is_too_long() {
    let mut files = Vec::new();
    files_below(&root().join("tests"), &mut files);
    assert!(files.len() > 50, "these are all: {files:?}");
    let lines = |path: &PathBuf| fs::read_to_string(path).unwrap().lines().count();
    let wrong: Vec<String> = files
        .iter()
        .map(|path| (path, lines(path)))
        .filter(|(_, count)| *count > LONGEST_TEST_FILE)
        .map(|(path, count)| format!("{}: {count} lines", path.strip_prefix(root()).unwrap().display()))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_and_no_function_is_too_long() {
    let mut wrong = Vec::new();
    for path in sources().keys() {
        let text = fs::read_to_string(root().join("src").join(path)).unwrap();
        let count = text.lines().count();
        if count > LONGEST_FILE {
            wrong.push(format!("{}: {count} lines", path.display()));
        }
        // rustfmt ends a function with a brace that is indented as its first line is.
        let mut open: Option<(String, usize)> = None;
        for (at, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let begins = line.trim_start().split(['(', '<']).next().is_some_and(|head| {
                head.split_whitespace().rev().nth(1) == Some("fn") && !line.trim_end().ends_with([';', '}'])
            });
            if begins && open.is_none() {
                open = Some((" ".repeat(indent) + "}", at));
            }
            if let Some((end, from)) = &open
                && line == end
            {
                if at - from >= LONGEST_FUNCTION {
                    wrong.push(format!(
                        "{}:{}: a function of {} lines",
                        path.display(),
                        from + 1,
                        at - from + 1
                    ));
                }
                open = None;
            }
            // A trait's, which has no body.
            if let Some((end, _)) = &open
                && line.starts_with(&end.replace('}', ")"))
                && line.ends_with(';')
            {
                open = None;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
