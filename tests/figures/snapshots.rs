//! Figures of every kind as they were drawn when somebody last looked at them: the committed sample through the command, letters
//! left as text, with the numbers behind each; and attention over a short and a long prompt.
//!
//! After a change that is meant, look at the figures, and write them anew with UPDATE_SNAPSHOTS=1.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::world::{World, ok};
use icl_mask::figure::Style;
use icl_mask::figure::attention::AttentionMap;
use icl_mask::intervene::Columns;
use serde::Deserialize;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A file of tests/snapshots/ holds these bytes.
fn check(name: &str, found: &[u8]) {
    let snapshot = root("tests/snapshots").join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&snapshot, found).expect("written");
    }
    let kept = fs::read(&snapshot).unwrap_or_else(|error| panic!("{}: {error}", snapshot.display()));
    assert!(found == kept, "{}: it has changed", snapshot.display());
}

#[test]
fn the_sample_is_drawn_as_it_was() {
    let world = World::new();
    let sample = root("notebooks/sample/results/qwen2.5-coder-0.5b/phrases.en-fr");
    let of = |name: &str| sample.join(name).display().to_string();
    let five = [
        of("qa_lines-k5-seed0"),
        of("qa_lines_none-k5-seed0"),
        of("qa_lines-k5-seed1"),
        of("qa_lines_none-k5-seed1"),
    ];
    let (all, lora) = (five.join(" "), of("instr_none_QA-k0-seed0-lora10"));
    let calls = [
        ("masks", format!("masks {all}")),
        ("masks-relative", format!("masks {all} --relative")),
        ("ablation", format!("ablation {all}")),
        ("lora", format!("lora {lora} {} --count-from 1", five[0])),
        ("savings", format!("savings {}", of("qa_lines-k5-seed0-dropped"))),
    ];
    for (name, call) in calls {
        ok(world.call(&format!("figure {call} --svg-text")));
        for ending in ["svg", "csv"] {
            let file = format!("{name}.{ending}");
            let found = fs::read(world.path("figures").join(&file)).expect("drawn");
            // The numbers of relative curves are those of the others.
            match name == "masks-relative" && ending == "csv" {
                true => assert_eq!(found, fs::read(world.path("figures/masks.csv")).expect("drawn")),
                false => check(&file, &found),
            }
        }
    }
}

/// A row of the CSV behind a figure of attention.
#[derive(Deserialize)]
struct Weight {
    row: usize,
    row_token: String,
    row_segment: String,
    column: usize,
    weight: f32,
}

/// What a CSV says of one layer's attention; these columns were hidden.
fn read(path: &Path, title: &str, hidden: Range<usize>) -> AttentionMap {
    let mut reader = csv::Reader::from_path(path).expect("a table");
    let rows: Vec<Weight> = reader.deserialize().map(|row| row.expect("a row")).collect();
    let n = 1 + rows.iter().map(|row| row.row).max().expect("some rows");
    let mut weights = vec![vec![0.; n]; n];
    let (mut tokens, mut segments): (Vec<String>, Vec<(String, Range<usize>)>) = (Vec::new(), Vec::new());
    for row in &rows {
        weights[row.row][row.column] = row.weight;
        if row.row == tokens.len() {
            tokens.push(row.row_token.clone());
            match segments.last_mut() {
                Some((name, range)) if *name == row.row_segment => range.end = row.row + 1,
                _ => segments.push((row.row_segment.clone(), row.row..row.row + 1)),
            }
        }
    }
    AttentionMap { title: title.into(), weights, tokens, segments, hidden: Columns::new([hidden]) }
}

/// The numbers behind a figure of attention.
fn numbers(seen: &AttentionMap) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    seen.rows().try_for_each(|row| writer.serialize(row)).expect("written");
    writer.into_inner().expect("whole")
}

/// A prompt so long that its query is drawn once more, under a mask.
#[test]
fn attention_over_a_long_prompt_is_drawn_as_it_was() {
    let path = root("notebooks/sample/attention/attention-smollm2-135m-item0-TTF-from10-layer12-head3.csv");
    let mut seen = read(&path, "smollm2-135m, layer 12, head 3, TTF from layer 10", 0..1);
    let query = seen.segments.iter().find(|(name, _)| name == "query").expect("a query").1.start;
    seen.hidden = Columns::new([0..query]);
    assert_eq!(String::from_utf8_lossy(&numbers(&seen)), fs::read_to_string(path).expect("a table"));
    check("attention-long.svg", seen.image(&Style::default()).expect("drawn").svg.as_bytes());
}

/// A short one: every token is legible in the map itself.
#[test]
fn attention_over_a_short_prompt_is_drawn_as_it_was() {
    let tokens = ["Trans", "late", ":", "\n", "Q", ":", " the", " cat", "\n", "A", ":"];
    let hidden = Columns::new([0..4]);
    let weight = |row: usize, column: usize| match column <= row && !hidden.contains(column) {
        true => ((row * 7 + column * 3) % 5 + 1) as f32 / 16.,
        false => 0.,
    };
    let n = tokens.len();
    let seen = AttentionMap {
        title: "a model, layer 1, mean over heads, TTF from layer 1".into(),
        weights: (0..n).map(|row| (0..n).map(|column| weight(row, column)).collect()).collect(),
        tokens: tokens.map(String::from).into(),
        segments: vec![("instructions".into(), 0..4), ("query".into(), 4..n)],
        hidden: hidden.clone(),
    };
    check("attention-short.svg", seen.image(&Style::default()).expect("drawn").svg.as_bytes());
    check("attention-short.csv", &numbers(&seen));
}
