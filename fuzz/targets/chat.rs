//! A chat template, compiled and rendered around some prompts.
#![no_main]

mod common;

use std::collections::BTreeMap;

use icl_mask::prompt::chat::{ChatTemplate, TemplateSource};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = common::file("chat.jinja", bytes);
    let Some(source) = common::judge(TemplateSource::file(&path), bytes) else { return };
    let roles = [("bos_token", "<s>"), ("eos_token", "</s>"), ("pad_token", "")];
    let roles: BTreeMap<String, String> = roles.map(|(role, token)| (role.into(), token.into())).into();
    let Some(template) = common::judge(ChatTemplate::new(source, &roles), bytes) else { return };
    for prompt in [" Q: {{ x }}\n<s>A:", "\u{3000}\u{e9}\u{1f600}", "\n "] {
        common::judge(template.kept(prompt), bytes);
    }
});
