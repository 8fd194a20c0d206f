//! Templates and tokenizers that were made to fill the memory.

use super::{Folder, config, stderr};
use serde_json::{Value, json};

// --- Memory --------------------------------------------------------------------------------------------------------

/// `show` in an address space of 1.5 GiB: an allocation beyond it would end the program otherwise than with a sentence.
#[cfg(target_os = "linux")]
fn confined(folder: &Folder, more: &str) -> std::process::Output {
    let call = format!(
        "ulimit -v 1572864; exec {} show --json --model m {} {more}",
        env!("CARGO_BIN_EXE_icl-mask"),
        Folder::INPUTS
    );
    std::process::Command::new("sh").args(["-c", &call]).current_dir(folder.0.path("")).output().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn templates_made_to_fill_the_memory_are_refused() {
    let folder = Folder::new(&["the river"]);
    folder.with("llama", &config("llama"), &json!({}));
    let message = "{{ messages[0].content }}";
    let long = "x".repeat(200_000);
    let ns = |step: &str| {
        format!(
            "{{% set ns = namespace(a='xx') %}}{{% for i in range(60) %}}{{% set ns.a = {step} %}}{{% endfor %}}"
        )
    };
    let memory = "t.jinja needs more than";
    for (bomb, says) in [
        ("{{ 'x\nx' | indent(9999999999) }}".to_string(), memory),
        ("{{ 'x\nx' | indent(999999999) }}".into(), memory),
        ("{% for a in [1] | batch(99999999999999, 'x') %}{% endfor %}".into(), memory),
        ("{% for a in [1] | batch(999999999, 'x') %}{% endfor %}".into(), memory),
        ("{{ '%2000000000d' | format(1) }}".into(), memory),
        ("{{ '%999999999s' | format('x') }}".into(), memory),
        ("{{ 'x' * 999999999 }}".into(), "t.jinja"),
        ("{{ ['x'] * 900000000 | list | length }}".into(), "t.jinja"),
        ("{% set a = range(99999) | list * 99999 %}{{ a | list | length }}".into(), memory),
        ("{{ range(999999999) | list | length }}".into(), "t.jinja"),
        (ns("ns.a ~ ns.a"), memory),
        (ns("ns.a + ns.a"), memory),
        (ns("ns.a * 9"), memory),
        (ns("[ns.a, ns.a] | join"), memory),
        (ns("ns.a | replace('x', ns.a)"), memory),
        (ns("ns.a.replace('x', 'xx')"), memory),
        (format!("{{% for i in range(90000) %}}{long}{{% endfor %}}"), memory),
        (format!("{{% set a %}}{{% for i in range(90000) %}}{long}{{% endfor %}}{{% endset %}}"), memory),
        (
            format!(
                "{{% macro f() %}}{{% for i in range(90000) %}}{long}{{% endfor %}}{{% endmacro %}}{{{{ f() | length }}}}"
            ),
            memory,
        ),
        // Never much at once, and again and again.
        (format!("{{% for i in range(90000) %}}{{% set a = '{long}' ~ i %}}{{% endfor %}}"), memory),
    ] {
        folder.0.write("t.jinja", format!("{bomb}{message}"));
        let output = confined(&folder, "--chat-template t.jinja");
        let (said, shown) = (stderr(&output), &bomb[..bomb.len().min(90)]);
        assert_eq!(output.status.code(), Some(2), "{shown}: {said}");
        assert!(said.contains(says) && said.contains("--chat-template FILE"), "{shown}: {said}");
        assert!(!said.contains("panicked"), "{shown}: {said}");
    }
    // What a long prompt needs is there.
    folder.0.write(
        "t.jinja",
        format!("{{% for i in range(50) %}}.{{% endfor %}}{message}|{{{{ 'a\na' | indent(9) }}}}"),
    );
    assert_eq!(confined(&folder, "--chat-template t.jinja").status.code(), Some(0));
}

#[test]
#[cfg(target_os = "linux")]
fn tokenizers_made_to_fill_the_memory_are_refused() {
    let text = "the river and the mill ".repeat(3000);
    let folder = Folder::new(&[text.trim()]);
    folder.with("llama", &config("llama"), &json!({}));
    let replace = |from: Value, to: &str| json!({"type": "Replace", "pattern": from, "content": to});
    let doubling = replace(json!({"String": "e"}), "ee");
    let sequence = |steps: Vec<Value>| json!({"type": "Sequence", "normalizers": steps});
    let big = "y".repeat(1_000_000);
    let level =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    let template = json!({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}},
        {"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": {}});
    for (part, content) in [
        ("normalizer", sequence(vec![doubling.clone(); 40])),
        ("normalizer", sequence(vec![doubling; 8])),
        ("normalizer", replace(json!({"String": "e"}), &big)),
        ("normalizer", replace(json!({"Regex": ""}), &big)),
        ("normalizer", replace(json!({"Regex": "."}), &big)),
        (
            "normalizer",
            sequence(vec![json!({"type": "Prepend", "prepend": big}), replace(json!({"String": "y"}), &big)]),
        ),
        ("normalizer", sequence(vec![json!({"type": "ByteLevel"}); 40])),
        ("pre_tokenizer", json!({"type": "Sequence", "pretokenizers": vec![level; 40]})),
        ("decoder", json!({"type": "Sequence", "decoders": vec![replace(json!({"String": "e"}), "ee"); 40]})),
        ("post_processor", json!({"type": "Sequence", "processors": vec![template; 40]})),
    ] {
        folder.tokenizer(|tokenizer| tokenizer[part] = content.clone());
        let output = confined(&folder, "");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{part}: {said}");
        assert!(said.contains(part) && !said.contains("panicked"), "{part}: {said}");
    }
    // An added token is brought into normal form as the file is read.
    folder.tokenizer(|tokenizer| {
        tokenizer["normalizer"] = sequence(vec![replace(json!({"String": "e"}), "ee"); 8]);
        let token = json!({"id": 320, "content": "e".repeat(400_000), "single_word": false, "lstrip": false,
                           "rstrip": false, "normalized": true, "special": false});
        tokenizer["added_tokens"].as_array_mut().unwrap().push(token);
    });
    folder.0.refused(&confined(&folder, ""), &["normalizer"]);
}
