//! What `--dry-run` says a run will hold in memory, against what the same run holds. Too little ends runs on a machine that is just
//! large enough; too much refuses runs that would fit.
#![cfg(target_os = "linux")]

mod tiny;
mod world;

use std::fs;
use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Duration;

use icl_mask::model::{Arch, Family};
use serde_json::Value;
use world::World;

const MIB: f64 = (1 << 20) as f64;

/// What is foretold of the program itself, in MiB: its code, and each token of the tokenizer (`engine::Memory`).
fn program() -> f64 {
    16. + 600. * tiny::tokenizer("smollm").vocab_size() as f64 / MIB
}

/// What is foretold may be too high by this factor: there is room for whole panels of sixteen columns and for answers of full length,
/// and the system gives no memory for what nobody has written yet.
const TOO_HIGH: f64 = 2.5;

/// And too low by this one: the pieces of 32 MiB that blocks are cut from keep gaps between blocks of different sizes, which nothing
/// foretells. A run takes four fifths of what is available, so that the ten percent seen here end none.
const TOO_LOW: f64 = 1.15;

/// A world with 40 demonstrations and 20 items, and a model `sized` of these sizes.
fn world(arch: Arch) -> World {
    let world = World::new();
    tiny::write_llama(&world.path("sized"), &arch);
    let rows = tiny::examples(60).into_iter().map(|e| format!("{}\t{}\t{}\n", e.id, e.source, e.target));
    let rows: Vec<String> = rows.collect();
    for (file, rows) in [("demonstrations.tsv", &rows[..40]), ("test.tsv", &rows[40..])] {
        world.write(file, format!("id\tsource\ttarget\n{}", rows.concat()));
    }
    world
}

fn llama() -> Arch {
    Arch { context: 4096, ..tiny::arch(Family::Llama, tiny::tokenizer("smollm").vocab_size()) }
}

/// Weights of 29 MiB as f32, and little else.
fn wide() -> Arch {
    Arch { hidden: 256, heads: 8, kv_heads: 8, head_dim: 32, intermediate: 2048, ..llama() }
}

/// Keys and values of 32 KiB a token, and few weights.
fn deep() -> Arch {
    Arch {
        layers: 8,
        hidden: 32,
        heads: 8,
        kv_heads: 8,
        head_dim: 64,
        intermediate: 32,
        windows: vec![None; 8],
        ..llama()
    }
}

/// A call, what it printed, and the most that it had resident at a time, in MiB. (Not by getrusage, which counts what the process that
/// forked had.)
fn peak(world: &World, args: &str) -> (String, f64) {
    let [out, err] = ["out", "err"].map(|name| world.path(name));
    let mut child = Command::new(env!("CARGO_BIN_EXE_icl-mask"))
        .args(args.split_whitespace())
        .current_dir(world.path(""))
        .env("HF_HUB_OFFLINE", "1")
        .stdout(Stdio::from(File::create(&out).expect("created")))
        .stderr(Stdio::from(File::create(&err).expect("created")))
        .spawn()
        .expect("it runs");
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0.;
    let end = loop {
        if let Some(end) = child.try_wait().expect("a child") {
            break end;
        }
        // The high-water mark never falls, so what is missed is what the last millisecond adds.
        let line = fs::read_to_string(&status).unwrap_or_default();
        let line = line.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        let kib = line.trim().trim_end_matches("kB").trim().parse::<f64>().unwrap_or(0.);
        most = f64::max(most, kib / 1024.);
        std::thread::sleep(Duration::from_millis(1));
    };
    assert!(end.success() && most > 0., "{args}: {}", fs::read_to_string(err).expect("readable"));
    (fs::read_to_string(out).expect("readable"), most)
}

/// What a run is foretold to hold beside the program itself, and what it holds beside what it takes to plan it, in MiB.
fn held(world: &World, args: &str) -> [f64; 2] {
    let call = format!(
        "run --model sized --test test.tsv --demonstrations demonstrations.tsv --direction en-fr --format \
         instr_machine_translation --no-stop --threads 2 {args}"
    );
    let (plan, planning) = peak(world, &format!("{call} --dry-run --json"));
    let plan: Value = serde_json::from_str(plan.lines().next().expect("a line")).expect("JSON");
    let foretold = plan["memory_gib"].as_f64().expect("foretold") * 1024.;
    let (_, running) = peak(world, &call);
    [foretold - program(), running - planning]
}

fn assert_foretold(world: &World, args: &str, at_least: f64) {
    let [foretold, held] = held(world, args);
    println!("{args}: foretold {foretold:.1} MiB, held {held:.1} MiB");
    assert!(held >= at_least, "{args}: {held:.1} MiB are too few to say anything");
    assert!(held <= TOO_LOW * foretold, "{args}: {held:.1} MiB were held, only {foretold:.1} MiB foretold");
    assert!(foretold <= TOO_HIGH * held, "{args}: {foretold:.1} MiB were foretold, only {held:.1} MiB held");
}

#[test]
fn weights_take_what_is_foretold_whatever_their_type() {
    let world = world(wide());
    for dtype in ["f32", "bf16", "f16", "stored"] {
        let args = "--nprompts 3 --mask none,TTF --from-layer 0,2 --limit 4 --max-new-tokens 4";
        assert_foretold(&world, &format!("{args} --dtype {dtype} --results {dtype}"), 30.);
    }
}

#[test]
fn many_branches_take_what_is_foretold() {
    let world = world(deep());
    let args = "--nprompts 5 --mask none,TTF,TFF,FTF,all --from-layer all --limit 6 --max-new-tokens 17";
    assert_foretold(&world, &format!("{args} --results many"), 100.);
    // A batch is what bounds it.
    assert_foretold(&world, &format!("{args} --batch 16 --results few"), 40.);
}

#[test]
fn long_prompts_take_what_is_foretold() {
    let world = world(deep());
    let args = "--nprompts 40 --mask none,TFF --from-layer 0,4 --limit 4 --max-new-tokens 4 --results long";
    assert_foretold(&world, args, 40.);
}
