//! Names of languages, and braces of formats.

use std::fs;

use super::{goldens, prompt};
use crate::world::{World, ok};
use serde_json::{Value, json};

#[test]
fn codes_of_languages_are_named_in_the_prompt() {
    let world = World::new();
    world.write("t.tsv", "source\ttarget\nHei\tHello\n");
    for (direction, header) in [
        ("nb-en", "Translate Norwegian to English:"),
        ("nob_Latn-eng", "Translate Norwegian to English:"),
        ("cmn_Hans-eng_Latn", "Translate Chinese to English:"),
        ("zho_Hans-zh_TW", "Translate Chinese to Traditional Chinese:"),
        ("pt_BR-en", "Translate Brazilian Portuguese to English:"),
        ("iw-en", "Translate Hebrew to English:"),
        ("la-br", "Translate Latin to Breton:"),
        ("en_XX-ro_RO", "Translate English to Romanian:"),
    ] {
        let (text, stderr) =
            prompt(&world, &format!("--test t.tsv --format qa_lines --direction {direction}"));
        assert!(text.starts_with(header), "{direction}: {text}");
        assert!(!stderr.contains("has no name"), "{stderr}");
    }
    // A language of the user's own is named by its code, and the user is told.
    let (text, stderr) = prompt(&world, "--test t.tsv --format qa_lines --direction Quenya-en");
    assert!(text.starts_with("Translate Quenya to English:"), "{text}");
    assert!(stderr.contains("icl-mask has no name for the language `Quenya`"), "{stderr}");
    assert!(stderr.contains("the prompts say `Quenya`"), "{stderr}");
    // Where no name is written, nothing needs one.
    let (_, stderr) = prompt(&world, "--test t.tsv --format instr_none_QA --direction Quenya-en");
    assert!(!stderr.contains("Quenya"), "{stderr}");
    // Columns and files may be named by any of the codes.
    world.write("nob-en.csv", "nb,eng\nHei,Hello\n");
    world.write(
        "d.yaml",
        "kind: table\ntest: '{pair}.csv'\ncolumns: {source: '{source}', target: '{target}'}\n",
    );
    for (direction, first) in [("nb-en", "  Hei\n  Hello"), ("eng_Latn-no", "  Hello\n  Hei")] {
        let shown = ok(world.call(&format!("data verify d.yaml --direction {direction}")));
        assert!(shown.contains(first), "{shown}");
    }
}

#[test]
fn braces_of_a_format_are_read_as_python_reads_them() {
    let (world, golden) = (World::new(), goldens());
    world.write("t.tsv", "source\ttarget\none\tun\n");
    let format = |field: &str, text: &str| {
        let mut format = json!({"header": "H", "question": "Q", "answer": "A"});
        format[field] = if field == "stops" { json!([text]) } else { json!(text) };
        world.write("f.yaml", format.to_string().replacen("{\"", "{\n\"", 1).replace(",\"", ",\n\""));
    };
    let braces = golden["braces"].as_array().unwrap();
    assert!(braces.iter().any(|case| case["filled"].is_null()));
    for case in braces {
        let text = case["text"].as_str().unwrap();
        format("question", text);
        match case["filled"].as_str() {
            Some(filled) => {
                let (prompt, _) = prompt(&world, "--test t.tsv --direction en-fr --format f.yaml");
                assert_eq!(prompt, format!("H\n{filled}oneA"), "{text}");
            }
            None => {
                // In a question another name would be a column.
                format("header", text);
                let call = "show --model tiny --test t.tsv --direction en-fr --nprompts 0 --format f.yaml";
                world.refused(&world.call(call), &["f.yaml:", "header: "]);
            }
        }
    }
    for field in ["header", "question", "answer", "before_target", "after_target", "separator", "stops"] {
        format(field, "to {src}");
        let call = "show --model tiny --test t.tsv --direction en-fr --nprompts 0 --format f.yaml";
        let says = match field {
            "question" | "answer" => "t.tsv:2 has no column `src`, which the prompt's format shows".into(),
            _ => format!("{field}: `{{src}}` is not a placeholder; write {{source}} or {{target}}"),
        };
        world.refused(&world.call(call), &[&says]);
        format(field, "({target})");
        let line = world.run("--format f.yaml --mask none --nprompts 1 --max-new-tokens 1 --results one");
        ok(line);
        let run = world.path("one/tiny/test.en-fr/f-k1-seed0");
        let manifest = fs::read_to_string(run.join("manifest.json")).unwrap();
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        let written = match field {
            "stops" => &manifest["stop_strings"],
            _ => &manifest["prompt"]["text"],
        };
        assert!(written.to_string().contains("(French)"), "{field}: {written}");
        // What version 0.1.0 would have written otherwise says so.
        assert_eq!(manifest["settings"]["languages"].is_array(), field != "header", "{field}");
        ok(world.call("score one"));
        ok(world.call("verify one"));
        fs::remove_dir_all(world.path("one")).unwrap();
    }
}

/// A prompt that names a language which version 0.1.0 wrote by its code is another prompt: its results are not mixed in.
#[test]
fn results_of_other_names_are_not_mixed_in() {
    let world = World::new();
    ok(world.run("--direction la-en --mask none --nprompts 0 --max-new-tokens 1"));
    let path = world.path("results/tiny/test.la-en/instr_machine_translation-k0-seed0/manifest.json");
    let mut manifest: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(manifest["settings"]["languages"], json!(["Latin", "English"]));
    manifest["settings"].as_object_mut().unwrap().remove("languages");
    fs::write(&path, manifest.to_string()).unwrap();
    let again = world.run("--direction la-en --mask TTF --from-layer 1 --nprompts 0 --max-new-tokens 1");
    world.refused(&again, &["holds results of other settings", "languages"]);
    // Names that it knew change nothing.
    ok(world.run("--mask none --nprompts 0 --max-new-tokens 1"));
    let path = world.path("results/tiny/test.en-fr/instr_machine_translation-k0-seed0/manifest.json");
    assert!(!fs::read_to_string(path).unwrap().contains("\"languages\""));
}
