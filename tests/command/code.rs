//! The code task as a user meets it, on a tiny model and problems of our own: generated programs run in the sandbox.
#![cfg(target_os = "linux")]

use crate::tiny;
use std::fs;

use crate::world::{World, contents, json_lines, ok};
use serde_json::{Value, json};

/// Problems of HumanEval's form, whose answer is the number in their name.
fn problems(n: usize) -> Vec<Value> {
    let problem = |i: usize| {
        json!({
            "task_id": format!("P/{i}"),
            "prompt": format!("import math\n\n\ndef number_{i}(x):\n    \"\"\" Add {i} to x. \"\"\"\n"),
            "entry_point": format!("number_{i}"),
            "canonical_solution": format!("    return x + {i}\n"),
            "test": format!("def check(candidate):\n    assert candidate(2) == {}\n    assert math.pi > 3\n", i + 2),
        })
    };
    (0..n).map(problem).collect()
}

fn lines(values: &[Value]) -> String {
    values.iter().map(|value| format!("{value}\n")).collect()
}

/// A world with five problems.
fn world() -> World {
    let world = World::new();
    world.write("problems.jsonl", lines(&problems(5)));
    world
}

const RUN: &str = "run --model tiny --task code --test problems.jsonl --nprompts 2 --max-new-tokens 6 --threads 1 --format code_functions";

#[test]
fn a_sweep_of_programs_is_run_scored_and_stored() {
    let world = world();
    let cells = json_lines(&ok(world.call(&format!("{RUN} --mask none,TTF --from-layer all --json"))));
    assert_eq!(cells.len(), 1 + tiny::LAYERS);
    for cell in &cells {
        assert_eq!((&cell["n"], &cell["pass@1"], &cell["samples"]), (&json!(5), &json!(0.0), &json!(1)));
        let counts: u64 = cell["outcomes"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
        assert_eq!(counts, 5);
        assert!(cell["runner"]["sandbox"].as_str().unwrap().contains("landlock, seccomp"));
        assert!(cell["bleu"].is_null());
    }
    let folder = world.path("results/tiny/problems.code/code_functions-k2-seed0");
    let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
    let manifest: Value = serde_json::from_str(&read("manifest.json")).unwrap();
    assert_eq!(manifest["settings"]["task"], "code");
    let demonstrations: Vec<&str> =
        manifest["demonstrations"].as_array().unwrap().iter().map(|d| d["id"].as_str().unwrap()).collect();
    assert!(demonstrations.len() == 2 && !manifest["substitute"]["id"].is_null());
    let items = json_lines(&read("items.jsonl"));
    assert_eq!(items[3]["problem"]["entry_point"], "number_3");
    for line in json_lines(&read("TTF/layer-1.jsonl")) {
        assert_ne!(line["verdict"], "passed");
        assert!(!line["reason"].as_str().unwrap().is_empty() && line["text"].is_string());
    }

    // Nothing is computed twice, and stored programs get the verdicts that they had.
    let before = contents(&world.path("results"));
    let again = world.call(&format!("{RUN} --mask none,TTF --from-layer all"));
    assert!(!String::from_utf8_lossy(&again.stderr).contains("programs run"));
    ok(world.call("score results"));
    assert_eq!(before, contents(&world.path("results")));
}

/// A generation whose program was not judged yet is judged, not made again.
#[test]
fn a_broken_off_cell_is_judged_on() {
    let world = world();
    ok(world.call(&format!("{RUN} --mask none")));
    let before = contents(&world.path("results"));
    let cell = world.path("results/tiny/problems.code/code_functions-k2-seed0/none");
    let kept = json_lines(&fs::read_to_string(cell.join("baseline.jsonl")).unwrap());
    let kept: Vec<Value> = kept
        .into_iter()
        .map(|mut line| {
            line.as_object_mut().unwrap().retain(|key, _| key != "verdict" && key != "reason");
            line["seconds"] = 0.5.into();
            line
        })
        .collect();
    fs::write(cell.join("baseline.partial.jsonl"), lines(&kept)).unwrap();
    for file in ["baseline.json", "baseline.jsonl"] {
        fs::remove_file(cell.join(file)).unwrap();
    }
    let again = world.call(&format!("{RUN} --mask none"));
    assert!(!String::from_utf8_lossy(&again.stderr).contains("multiply-adds"));
    ok(again);
    assert_eq!(before, contents(&world.path("results")));
}

#[test]
fn samples_are_drawn_the_same_in_any_order() {
    let world = world();
    let drawn = "--samples 3 --temperature 0.9 --top-p 0.95";
    ok(world.call(&format!("{RUN} {drawn} --mask none,TTF --from-layer 1 --results together")));
    ok(world.call(&format!("{RUN} {drawn} --mask TTF --from-layer 1 --results alone --batch 1")));
    let file = "tiny/problems.code/code_functions-k2-seed0-n3-t0.9-p0.95/TTF/layer-1.jsonl";
    let [together, alone] =
        ["together", "alone"].map(|results| fs::read_to_string(world.path(results).join(file)).unwrap());
    assert_eq!(together, alone);
    let generations = json_lines(&together);
    assert_eq!(generations.len(), 15);
    assert_eq!(generations.iter().filter(|line| line["sample"] == 2).count(), 5);
    assert!(generations.chunks(3).any(|three| three[0]["tokens"] != three[1]["tokens"]));
    let score: Value = serde_json::from_str(
        &fs::read_to_string(world.path("together").join(file).with_extension("json")).unwrap(),
    )
    .unwrap();
    assert_eq!((&score["samples"], &score["pass@k"]), (&json!(3), &json!({"1": 0.0, "2": 0.0})));
}

#[test]
fn the_program_is_shown_as_it_would_be_run() {
    let world = world();
    let common = RUN.replacen("run", "show", 1).replace("--threads 1", "");
    let shown: Value = serde_json::from_str(&ok(world.call(&format!("{common} --item 4 --json")))).unwrap();
    let prompt = shown["prompt"].as_str().unwrap();
    assert!(
        prompt.starts_with("Complete the Python functions:\nQ: import math\n\n\ndef number_"),
        "{prompt}"
    );
    assert!(
        prompt.ends_with("Q: import math\n\n\ndef number_4(x):\n    \"\"\" Add 4 to x. \"\"\"\nA:\n"),
        "{prompt}"
    );
    // No prompt holds the answer to its own question.
    assert_eq!(prompt.matches("number_4").count(), 1);
    let program = shown["program"].as_str().unwrap();
    assert!(program.starts_with("import math\n\n\ndef number_4(x):"));
    assert!(program.ends_with("check(number_4)\n"));
    let five = common.replace("--nprompts 2", "--nprompts 5");
    world.refused(&world.call(&five), &["6 demonstrations were asked for, but the corpus has only 5"]);
    world.write("more.jsonl", lines(&problems(9)));
    let study = common.replace("problems.jsonl", "more.jsonl").replace("--nprompts 2", "--nprompts 5");
    let study: Value =
        serde_json::from_str(&ok(world.call(&format!("{study} --profile sia2024 --json")))).unwrap();
    assert!(study["prompt"].as_str().unwrap().ends_with("Q:  Add 0 to x. \nA:\n"));
    assert!(study["program"].as_str().unwrap().starts_with("def number_0(x):"));
}

#[test]
fn anyones_programs_are_judged() {
    let world = world();
    let program = |i: usize, text: &str| json!({"task_id": format!("P/{i}"), "completion": text});
    let right = |i: usize| program(i, &format!("    return x + {i}\n"));
    // Whole functions and bodies, right and wrong.
    let programs = [
        right(0),
        program(0, "def number_0(x):\n    return x"),
        right(1),
        program(1, "    return math.floor(x) + 1"),
        right(2),
        program(2, "    return"),
        program(3, "def number_3(x)"),
        program(3, "    while True: pass"),
    ];
    world.write("programs.jsonl", lines(&programs));
    let args = "score --task code --data problems.jsonl --hyp programs.jsonl --time-limit 1";
    let score: Value =
        serde_json::from_str(&ok(world.call(&format!("{args} --verdicts v.jsonl --json")))).unwrap();
    assert_eq!((&score["pass@1"], &score["n"], &score["problems"]), (&json!(0.625), &json!(4), &json!(5)));
    assert_eq!(score["pass@k"]["2"], 0.75);
    assert_eq!(score["outcomes"], json!({"passed": 5, "failed": 1, "timeout": 1, "syntax": 1}));
    let verdicts = json_lines(&fs::read_to_string(world.path("v.jsonl")).unwrap());
    assert_eq!(verdicts[5]["reason"], "AssertionError at `assert candidate(2) == 4`");
    assert!(ok(world.call(args)).contains("pass@1 = 0.6250"));

    for (text, rest, says) in [
        (lines(&[program(9, "")]), "", vec!["programs.jsonl:1: there is no problem `P/9`", "--data"]),
        ("{}".into(), "", vec!["programs.jsonl:1: has neither `id` nor `task_id`"]),
        (String::new(), "", vec!["holds no programs"]),
        (lines(&programs), "--python no-such-python", vec!["--python: `no-such-python` cannot be run"]),
        (lines(&programs), "--python /bin/true", vec!["--python: `/bin/true` does not work as a Python 3"]),
        (lines(&programs), "--sandbox no", vec!["--sandbox: unknown policy `no`"]),
        (lines(&programs), "--ref x", vec!["--ref: programs have tests, not references"]),
    ] {
        world.write("programs.jsonl", text);
        world.refused(&world.call(&format!("{args} {rest}")), &says);
    }
}

/// Problems of MBPP's form: asked in words, tested by name, objects of the program's own class handed to it.
#[test]
fn tests_without_an_entry_point_call_by_name() {
    let world = World::new();
    let problem = |id: usize, code: &str, tests: &[&str]| json!({"task_id": id, "text": "A task in words.", "code": code, "test_list": tests});
    let pairs = "class Pair:\n    def __init__(self, a, b):\n        self.a, self.b = a, b\n\n\
                 def first(pairs):\n    return pairs[0].a\n\ndef same(x):\n    return x\n\n\
                 def squares(n):\n    return (i * i for i in range(n))\n\ndef grow(x):\n    x.append({1: (2.5, None)})\n";
    let tests = [
        "assert first([Pair(1, 2), Pair(3, 4)]) == 1",
        "pair = Pair(5, 6)",
        "assert same(pair) is pair and same(pair) != Pair(5, 6)",
        "assert list(squares(4)) == [0, 1, 4, 9] and sum(squares(3)) == 5",
        "changed = []\ngrow(changed)\nassert changed == [{1: (2.5, None)}]",
        "assert same(same) is same and same(2 ** 200) == 2 ** 200 and same({1, (2, 'é')}) == {(2, 'é'), 1}",
        "assert same(float('nan')) != 0 and same(b'x') == b'x' and same(range(3)) == range(3) and same(1j) == 1j",
        "try:\n    first([])\n    assert False\nexcept IndexError as error:\n    assert 'range' in str(error)",
    ];
    world.write(
        "m.jsonl",
        lines(&[problem(1, pairs, &tests), problem(2, "def f(): return 1", &["assert f() == 1"])]),
    );
    let programs =
        [json!({"id": "1", "text": pairs}), json!({"id": "2", "text": "def f():\n    raise KeyError(3)"})];
    world.write("programs.jsonl", lines(&programs));
    ok(world.call("score --task code --data m.jsonl --hyp programs.jsonl --verdicts v.jsonl"));
    let verdicts = json_lines(&fs::read_to_string(world.path("v.jsonl")).unwrap());
    assert_eq!((&verdicts[0]["verdict"], &verdicts[0]["reason"]), (&json!("passed"), &json!("")));
    assert_eq!(
        (&verdicts[1]["verdict"], &verdicts[1]["reason"]),
        (&json!("failed"), &json!("KeyError: 3 (line 2)"))
    );
}

/// What a test asks for is the program's, whatever Python has of that name; and no message of a test is too much to report.
#[test]
fn names_of_pythons_own_and_messages_of_any_length() {
    let world = World::new();
    let entry = json!({"task_id": "1", "prompt": "def sorted(x):\n    'Reversed.'\n", "entry_point": "sorted",
        "canonical_solution": "    return x[::-1]\n", "test": "def check(f):\n    assert f([1, 3, 2]) == [2, 3, 1]\n"});
    let by_name = json!({"task_id": "2", "text": "Add.", "code": "def sum(a, b):\n    return a + b",
        "test_list": ["assert sum(2, 3) == 5"]});
    let message = json!({"task_id": "3", "prompt": "def f(x):\n    'One.'\n", "entry_point": "f",
        "canonical_solution": "    return 1\n",
        "test": "def check(f):\n    got = f(0)\n    assert got == 1, {0: got}[got]\n"});
    world.write("problems.jsonl", lines(&[entry, by_name, message]));
    let program = |id: &str, text: &str| json!({"id": id, "text": text});
    let programs = [
        program("1", "def sorted(x):\n    return x[::-1]"),
        program("1", "x = 1"),
        program("1", "del sorted"),
        program("2", "def sum(a, b):\n    return b + a"),
        program("2", "def sum(a, b):\n    return 6"),
        program("2", "abs = 1"),
        program("3", "    return 10 ** 5000"),
        program("3", "    return 1"),
        program("3", "class Mine(ValueError): pass\ndef f(x): raise Mine('a', 2)"),
    ];
    world.write("programs.jsonl", lines(&programs));
    ok(world.call("score --task code --data problems.jsonl --hyp programs.jsonl --verdicts v.jsonl"));
    let verdicts = json_lines(&fs::read_to_string(world.path("v.jsonl")).unwrap());
    let passed: Vec<bool> = verdicts.iter().map(|line| line["verdict"] == "passed").collect();
    assert_eq!(passed, [true, false, false, true, false, false, false, true, false], "{verdicts:?}");
    assert!(
        verdicts.iter().all(|line| line["verdict"] == "passed" || line["verdict"] == "failed"),
        "{verdicts:?}"
    );
    assert_eq!(verdicts[8]["reason"], "Mine: ('a', 2) (line 5)");
}

#[test]
fn problems_that_their_own_solutions_fail_are_refused() {
    let world = world();
    let mut wrong = problems(3);
    wrong[1]["canonical_solution"] = "    return 0\n".into();
    world.write("problems.jsonl", lines(&wrong));
    let says = ["1 of 3 reference solutions do not pass their own tests: P/1 (failed: AssertionError at"];
    world.refused(&world.call(&format!("{RUN} --mask none")), &says);
    assert!(!world.path("results").exists());
    world.refused(
        &world.call("run --model tiny --data humaneval"),
        &["task: humaneval holds programming problems"],
    );
    world.refused(
        &world.call("run --model tiny --task code --data nations"),
        &["--task: nations holds sentences"],
    );
}
