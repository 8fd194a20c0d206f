//! Every instruction set that this processor has computes the same generations; others are refused.

use std::process::{Command, Output};

use crate::world::{World, json_lines, ok};
use icl_mask::model::cpu::lanes::{ISA, Isa};
use serde_json::Value;

fn run(world: &World, isa: &str) -> Output {
    let args = "run --model tiny --test test.tsv --demonstrations demonstrations.tsv --direction en-fr --format \
                instr_machine_translation --nprompts 3 --mask none,TTF,TFF --from-layer all --limit 4 --max-new-tokens 8 --json";
    Command::new(env!("CARGO_BIN_EXE_icl-mask"))
        .args(args.split_whitespace())
        .args(["--results", &format!("results-{isa}")])
        .env(ISA, isa)
        .current_dir(world.path(""))
        .output()
        .unwrap()
}

#[test]
fn all_instruction_sets_generate_the_same() {
    let world = World::new();
    let scores = |isa: &str| -> Vec<Value> {
        let mut lines = json_lines(&ok(run(&world, isa)));
        for line in &mut lines {
            line["seconds"] = 0.into();
            line["path"] = "".into();
        }
        // Cells are printed as they are finished.
        lines.sort_by_key(|line| (line["mask"].to_string(), line["from_layer"].as_u64()));
        lines
    };
    let portable = scores("portable");
    assert_eq!(portable.len(), 9);
    // Score files hold the sha256 of the generations, so these are the same token for token.
    for (_, isa) in Isa::available() {
        assert_eq!(scores(isa), portable, "{isa}");
    }
}

#[test]
fn instructions_that_are_not_there_are_refused() {
    let world = World::new();
    world.refused(
        &run(&world, "avx1024"),
        &["ICL_MASK_ISA=avx1024: is no instruction set", "portable, avx2, avx512"],
    );
    for isa in ["avx2", "avx512"] {
        if Isa::available().all(|(_, here)| here != isa) {
            world.refused(&run(&world, isa), &["this processor has no such instructions"]);
        }
    }
}
