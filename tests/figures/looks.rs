//! What figures look like, through the command: every text within the canvas, none upon another, whatever the runs are.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::world::{World, ok};
use resvg::usvg::{Group, Node, Options, Rect, Tree, fontdb};

fn tree(svg: &Path) -> Tree {
    let mut fonts = fontdb::Database::new();
    for font in [dejavu::sans::regular(), dejavu::sans::bold()] {
        fonts.load_font_data(font.to_vec());
    }
    let options = Options { fontdb: Arc::new(fonts), ..Options::default() };
    Tree::from_str(&fs::read_to_string(svg).expect("written"), &options).expect("SVG")
}

/// Every text with its box.
fn texts(group: &Group, found: &mut Vec<(String, Rect)>) {
    for node in group.children() {
        match node {
            Node::Group(group) => texts(group, found),
            Node::Text(text) => {
                let said: String = text.chunks().iter().map(|chunk| chunk.text()).collect();
                found.push((said, text.abs_bounding_box()));
            }
            _ => {}
        }
    }
}

/// All texts of a figure drawn with --svg-text, none of which leaves the canvas or lies upon another.
fn checked(svg: &Path) -> Vec<String> {
    let tree = tree(svg);
    let mut found = Vec::new();
    texts(tree.root(), &mut found);
    assert!(!found.is_empty());
    let (width, height) = (tree.size().width(), tree.size().height());
    for (said, at) in &found {
        let inside = at.left() >= 0. && at.top() >= 0. && at.right() <= width && at.bottom() <= height;
        assert!(inside, "{}: `{said}` at {at:?} leaves {width} x {height}", svg.display());
    }
    for (nth, (one, a)) in found.iter().enumerate() {
        for (other, b) in &found[nth + 1..] {
            // Boxes reach from ascent to descent: letters of two lines may come nearer than that.
            let slack = 0.2 * a.height().min(b.height()).min(a.width().min(b.width()));
            let meet = a.left() + slack < b.right()
                && b.left() + slack < a.right()
                && a.top() + slack < b.bottom()
                && b.top() + slack < a.bottom();
            assert!(!meet, "{}: `{one}` {a:?} lies upon `{other}` {b:?}", svg.display());
        }
    }
    found.into_iter().map(|(said, _)| said).collect()
}

fn copy(world: &World, from: &str, to: &str) {
    fs::create_dir_all(world.path(to)).unwrap();
    for entry in fs::read_dir(world.path(from)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, world.path(to).join(path.file_name().unwrap())).unwrap();
    }
}

const LONG: &str =
    "organisation--a-model-with-a-very-long-name-and-many-parts-7B-instruct-finetuned-v0.12-preview-2026";

/// Panels of runs that differ in many settings, and of models with long names.
#[test]
fn titles_fit_whatever_differs() {
    let world = World::new();
    copy(&world, "tiny", LONG);
    copy(&world, "tiny", &format!("{LONG}-b"));
    for model in [LONG.to_string(), format!("{LONG}-b")] {
        for more in [
            "--max-new-tokens 4",
            "--max-new-tokens 5 --limit 4 --dtype bf16",
            "--max-new-tokens 6 --samples 2 --temperature 0.5 --limit 3",
            "--max-new-tokens 7 --no-stop --profile sia2024",
        ] {
            let results = format!("results/{}", more.replace(' ', ""));
            ok(world.run(&format!(
                "--model {model} --mask none,TTF --from-layer 0,3 --results {results} {more}"
            )));
        }
    }
    for (kind, more) in [
        ("masks", ""),
        ("masks", "--width 700"),
        ("masks", "--width 1600 --font-size 20 --title A-title"),
        ("masks", "--relative"),
        ("masks", "--count-from 1 --metric brevity_penalty"),
    ] {
        let printed = ok(world.call(&format!("figure {kind} results --svg-text {more}")));
        let name = if more == "--relative" { "masks-relative" } else { kind };
        let said = checked(&world.path(&format!("figures/{name}.svg")));
        let titles: Vec<&str> = printed.lines().filter(|line| !line.starts_with(' ')).collect();
        let mut different = titles.clone();
        different.sort_unstable();
        different.dedup();
        assert_eq!((titles.len(), different.len()), (8, 8), "{printed}");
        if more.is_empty() {
            assert!(said.iter().any(|text| text.contains("95 % interval over test items")), "{said:?}");
            assert!(said.iter().any(|text| text == "hidden from layer"), "{said:?}");
        }
    }
    world.refused(&world.call("figure masks results --width 300"), &["no room", "--width", "--font-size"]);
    world.refused(&world.call("figure masks results --font-size 100"), &["--font-size 100", "5 to 48"]);
    world.refused(&world.call("figure masks results --font-size NaN"), &["--font-size NaN"]);
}

/// Two baselines have lines of their own, in the chart and in the legend.
#[test]
fn two_baselines_are_told_apart() {
    let world = World::new();
    ok(world.run("--mask none,TTF --from-layer 0,3 --format qa_lines"));
    ok(world.run("--mask none,FTF --from-layer 0,3 --format qa_lines_none"));
    ok(world.call("figure masks results --svg-text"));
    let said = checked(&world.path("figures/masks.svg"));
    for baseline in
        ["nothing hidden, 5 examples, with instructions", "nothing hidden, 5 examples, without instructions"]
    {
        assert!(said.iter().any(|text| text == baseline), "{said:?}");
    }
    let svg = fs::read_to_string(world.path("figures/masks.svg")).unwrap();
    let mut lines: Vec<&str> = svg
        .lines()
        .filter(|line| line.starts_with("<line") && line.contains("dasharray"))
        .map(|line| &line[line.find("stroke=").expect("a colour")..])
        .collect();
    assert_eq!(lines.len(), 4, "two levels, in the chart and in the legend");
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0][..16] != lines[1][..16], "of two colours: {lines:?}");
}

/// A figure of adapters beside masks says which is which.
#[test]
fn kinds_are_told_apart_and_names_are_shown() {
    let world = World::new();
    ok(world.run("--mask none,TTF --from-layer 0,3 --ablate-attention 0"));
    let demonstrations = fs::read_to_string(world.path("demonstrations.tsv")).unwrap();
    world.write("training.tsv", demonstrations);
    world.write("tiny/tokenizer_config.json", r#"{"eos_token": "<|endoftext|>"}"#);
    world.write(
        "test.yaml",
        "kind: table\ndescription: tiny\ntest: test.tsv\ndemonstrations: demonstrations.tsv\ntraining: training.tsv\n\
         columns: {id: id, source: source, target: target}\n",
    );
    ok(world.call(
        "lora --model tiny --data test.yaml --direction en-fr --max-new-tokens 8 --threads 1 --layers 0,3 --train-size 6 \
         --dev-size 0 --epochs 1 --rank 2",
    ));
    ok(world.call("figure lora results --svg-text --name tiny=Tiny-model --title Adapters-and-masks"));
    let said = checked(&world.path("figures/lora.svg"));
    assert!(said.iter().any(|text| text.starts_with("Tiny-model, en-fr")), "{said:?}");
    assert!(said.iter().any(|text| text == "Adapters-and-masks"), "{said:?}");
    for kind in ["parts hidden", "adapter in one layer"] {
        assert!(said.iter().any(|text| text.ends_with(kind)), "{kind}: {said:?}");
    }
    for files in ["svg", "pdf", "png", "csv"] {
        assert!(world.path(&format!("figures/lora.{files}")).exists());
    }
    world.refused(
        &world.call("figure masks results --name other=X"),
        &["--name", "no run of `other`", "tiny"],
    );
    world.refused(&world.call("figure masks results --name tiny"), &["--name `tiny`", "MODEL=TEXT"]);
    world.refused(&world.call("figure masks results --name tiny=A --name tiny=B"), &["named twice"]);
}

/// The PDF is whole, the same every time, and as large as the SVG.
#[test]
fn a_pdf_lies_beside_the_svg() {
    let world = World::new();
    ok(world.run("--mask none,TTF --from-layer 0,3"));
    ok(world.call("figure masks results --width 640"));
    let before = fs::read(world.path("figures/masks.pdf")).unwrap();
    ok(world.call("figure masks results --width 640"));
    assert_eq!(before, fs::read(world.path("figures/masks.pdf")).unwrap());
    let text = String::from_utf8_lossy(&before);
    assert!(text.starts_with("%PDF-1.7") && text.trim_end().ends_with("%%EOF"));
    assert!(text.contains("/MediaBox [0 0 480 "), "640 pixels are 480 points");
    let outlined = fs::read_to_string(world.path("figures/masks.svg")).unwrap();
    assert!(!outlined.contains("<text"), "letters are outlines");
    ok(world.call("figure masks results --svg-text"));
    assert!(fs::read_to_string(world.path("figures/masks.svg")).unwrap().contains("<text"));
}

/// A prompt of hundreds of tokens: segments named, the query enlarged, its tokens readable.
#[test]
fn attention_over_a_long_prompt_can_be_read() {
    let world = World::new();
    let call = "figure attention --model tiny --test test.tsv --demonstrations demonstrations.tsv --direction en-fr --format \
                instr_machine_translation --max-new-tokens 8 --layer 2 --svg-text";
    for (more, name, long) in [
        ("--nprompts 8 --mask TTF --from-layer 1", "TTF-from1", true),
        ("--nprompts 8 --mask FTF --from-layer 1 --width 600", "FTF-from1", true),
        ("--nprompts 8 --mask none --font-size 16", "none", true),
        ("--nprompts 0 --mask none --width 2400", "none", false),
    ] {
        ok(world.call(&format!("{call} {more}")));
        let svg = world.path(&format!("figures/attention-tiny-item0-{name}-layer2-mean.svg"));
        let said = checked(&svg);
        let all = fs::read_to_string(&svg).unwrap();
        assert_eq!(said.iter().any(|text| text.contains("enlarged")), long, "{more}: {said:?}");
        let hidden =
            |segment: &str| all.contains(&format!("<tspan text-decoration=\"overline\">{segment}</tspan>"));
        assert_eq!(hidden("examples"), name != "none", "{more}");
        assert_eq!(hidden("instructions"), name == "TTF-from1", "{more}");
        assert!(!hidden("query"));
        if long {
            for segment in ["instructions", "examples", "query"] {
                assert!(said.iter().any(|text| text == segment), "{more}: {segment} in {said:?}");
            }
        }
    }
}

/// The check above sees texts that lie upon each other, and texts that leave the canvas.
#[test]
fn a_drawing_in_disorder_is_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let noticed = |places: [(u32, u32); 2]| {
        let text = |(x, y)| {
            format!(r#"<text x="{x}" y="{y}" font-family="DejaVu Sans" font-size="12">Words</text>"#)
        };
        let path = folder.path().join("drawing.svg");
        let drawn = places.map(text).concat();
        let svg =
            format!(r#"<svg xmlns="http://www.w3.org/2000/svg" width="200" height="100">{drawn}</svg>"#);
        fs::write(&path, svg).expect("written");
        std::panic::catch_unwind(|| checked(&path)).is_err()
    };
    assert!(!noticed([(10, 40), (100, 40)]) && !noticed([(10, 40), (10, 56)]));
    assert!(noticed([(10, 40), (30, 40)]) && noticed([(10, 40), (12, 45)]));
    assert!(noticed([(10, 40), (180, 40)]) && noticed([(10, 40), (100, 4)]));
}
