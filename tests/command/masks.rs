//! Masks of one's own through the command: what they hide, what they are called, what is refused.

use std::fs;

use icl_mask::engine::Plain;
use icl_mask::intervene::{Change, Columns, Edit, Plan};
use icl_mask::model::{Checkpoint, Precision, Transformer};
use serde_json::{Value, json};

use crate::world::{World, json_lines, ok};

/// Items with a document each, asked for one of two labels.
const TASK: &str = "ask: choose\noptions: [good, very bad]\nprompt:\n  header: \"Read. {rule}\"\n  spans: {rule: \"Be brief.\"}\n  \
                    question: \"Text: {document}\\nQ: \"\n  answer: \"\\nA:\"\n  before_target: \" \"\n";

const CALL: &str =
    "--model tiny --task mood.yaml --test items.jsonl --demonstrations shown.jsonl --nprompts 2";

const RESULTS: &str = "results/tiny/items.mood/mood-k2-seed0";

fn world() -> World {
    let world = World::new();
    world.write("mood.yaml", TASK);
    let item = |at: usize| {
        let document = format!("the cat number {at} sees a dog");
        let target = if at.is_multiple_of(2) { "good" } else { "very bad" };
        json!({"id": at, "document": document, "source": format!("is it {at}"), "target": target})
    };
    let lines =
        |range: std::ops::Range<usize>| range.map(|at| item(at).to_string() + "\n").collect::<String>();
    world.write("items.jsonl", lines(0..3));
    world.write("shown.jsonl", lines(3..6));
    world
}

fn run(world: &World, args: &str) {
    ok(world.call(&format!("run {CALL} --threads 1 {args}")));
}

fn shown(world: &World, args: &str) -> Value {
    serde_json::from_str(&ok(world.call(&format!("show {CALL} --json {args}")))).expect("JSON")
}

fn number(value: &Value) -> usize {
    value.as_u64().map_or(usize::MAX, |number| number as usize)
}

fn ranges(value: &Value) -> Columns {
    let pairs = value.as_array().expect("ranges");
    Columns::new(pairs.iter().map(|pair| number(&pair[0])..number(&pair[1])))
}

/// The plan that `show` says.
fn plan(shown: &Value) -> Plan {
    let rules = shown["rules"].as_array().expect("rules");
    Plan::new(rules.iter().map(|rule| Edit {
        layers: number(&rule["layers"][0])..number(&rule["layers"][1]),
        rows: ranges(&rule["rows"]),
        change: Change::Hide(ranges(&rule["hidden"])),
    }))
}

/// The log-probability of tokens after others under a plan, by the oracle: every row through every layer.
fn log_probability(model: &Transformer, plan: &Plan, prompt: &[u32], option: &[u32]) -> f64 {
    let (mut tokens, mut sum) = (prompt.to_vec(), 0.);
    for &next in option {
        let logits = Plain::new(model, plan, tokens.len()).unwrap().logits(&tokens).unwrap();
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let all: f64 = logits.iter().map(|logit| f64::from(logit - most).exp()).sum();
        sum += f64::from(logits[next as usize] - most) - all.ln();
        tokens.push(next);
    }
    sum
}

fn tokens(value: &Value) -> Vec<u32> {
    value.as_array().expect("a list").iter().map(|token| number(token) as u32).collect()
}

/// Every rule against the oracle, which reads the edits one by one.
#[test]
fn rules_hide_what_they_say() {
    let world = world();
    let model = Transformer::load(&Checkpoint::open(&world.path("tiny")).unwrap(), Precision::F32).unwrap();
    let mut seen = Vec::new();
    for (args, series, layer) in [
        ("--hide examples.outputs", "hide=examples.outputs", 1),
        ("--hide document --readers choosing", "hide=document+readers=choosing", 0),
        ("--hide examples,-examples[0] --window 2", "hide=examples,-examples[0]+window=2", 1),
        ("--mask TTF --readers last", "TTF+readers=last", 2),
        ("--mask FFT --steps 1..", "FFT+steps=1..", 0),
        (
            "--hide query.document,rule --readers query,generated --window 1",
            "hide=query.document,rule+readers=query,generated+window=1",
            3,
        ),
    ] {
        run(&world, &format!("{args} --from-layer {layer}"));
        let path = world.path(RESULTS).join(series).join(format!("layer-{layer}.jsonl"));
        let lines = json_lines(&fs::read_to_string(&path).unwrap_or_else(|_| panic!("{}", path.display())));
        for (item, line) in lines.iter().enumerate() {
            let shown = shown(&world, &format!("{args} --from-layer {layer} --item {item}"));
            assert_eq!(shown["mask"], series);
            let (plan, prompt) = (plan(&shown), tokens(&shown["tokens"]));
            assert_ne!(plan, Plan::UNMASKED, "{args}");
            for option in line["options"].as_array().expect("options") {
                let found = option["logprob"].as_f64().expect("a number");
                let expected = log_probability(&model, &plan, &prompt, &tokens(&option["tokens"]));
                assert!((found - expected).abs() < 1e-4, "{args}, item {item}: {found} {expected}");
                seen.push(found);
            }
        }
    }
    seen.sort_by(f64::total_cmp);
    seen.dedup();
    assert!(seen.len() > 30, "masks that hide different things have different numbers: {seen:?}");
    let manifest = fs::read_to_string(world.path(RESULTS).join("manifest.json")).expect("written");
    let manifest: Value = serde_json::from_str(&manifest).expect("JSON");
    assert_eq!(
        manifest["masks"]["TTF+readers=last"],
        json!([{"hide": "instructions,examples", "readers": "last"}])
    );
    ok(world.call("verify results"));
    ok(world.call("status results"));
    ok(world.call("score results"));
    ok(world.call("report results --out report.html"));
    let drawn = ok(world.call("figure masks results --out figures"));
    assert!(drawn.contains("TTF+readers=last"), "{drawn}");
}

/// A file of masks, its name, and what flags change of it.
#[test]
fn a_file_holds_several_rules() {
    let world = world();
    let rules = "description: x\nrules:\n- {hide: examples.outputs, readers: last}\n- {hide: document, layers: window 2}\n";
    world.write("configs/mask/mine.yaml", rules);
    run(&world, "--mask none,mine --from-layer all");
    assert!(world.path(RESULTS).join("mine/layer-3.json").exists());
    let shown = shown(&world, "--mask mine --from-layer 1");
    let [last, document] = ["last", "document"].map(|name| shown["spans"][name].clone());
    assert_eq!((&shown["rules"][0]["rows"], &shown["rules"][1]["hidden"]), (&last, &document));
    assert_eq!(
        (&shown["rules"][0]["layers"], &shown["rules"][1]["layers"]),
        (&json!([1, null]), &json!([1, 3]))
    );
    // The same again is finished; other rules of this name are refused.
    run(&world, "--mask mine --from-layer all");
    world.write("configs/mask/mine.yaml", "hide: query.input\n");
    let again = world.call(&format!("run {CALL} --mask mine --from-layer 0"));
    world.refused(
        &again,
        &["holds results of a mask `mine` that had other rules", "give the mask another name"],
    );
    run(&world, "--mask mine --readers last --window 1,3 --from-layer 0");
    for name in ["mine+readers=last+window=1", "mine+readers=last+window=3"] {
        assert!(world.path(RESULTS).join(name).join("layer-0.json").exists(), "{name}");
    }
    world.write("here.yaml", "hide: examples\nlayers: window 2\n");
    run(&world, "--mask here.yaml --from-layer 0,1");
    assert!(world.path(RESULTS).join("here+window=2/layer-1.json").exists());
    // A stranger's folder is no series.
    fs::create_dir(world.path(RESULTS).join("other")).expect("made");
    let from = world.path(RESULTS).join("mine/layer-3");
    for end in ["json", "jsonl"] {
        fs::copy(from.with_extension(end), world.path(RESULTS).join("other/layer-3").with_extension(end))
            .expect("copied");
    }
    world.refused(&world.call("figure masks results"), &["manifest.json has no mask `other`"]);
}

/// Spans are what their names say, in the text too.
#[test]
fn names_mean_the_text_that_they_name() {
    let world = world();
    let said =
        ok(world.call(&format!("show {CALL} --hide document --readers last --window 2 --from-layer 1")));
    assert!(said.contains("hide=document+readers=last+window=2: at 2 layers from 1 on"), "{said}");
    assert!(said.contains("from the rows ["), "{said}");
    let spans = shown(&world, "")["spans"].clone();
    let names: Vec<&str> = spans.as_object().expect("spans").keys().map(String::as_str).collect();
    for name in [
        "examples[1].document",
        "instructions.rule",
        "rule",
        "query.input",
        "choosing",
        "examples.delimiters",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    // A prompt whose query comes first has it before the examples, and what the answer follows in the end.
    let first = shown(&world, "--vary order=query-first");
    let segments = &first["segments"];
    assert!(number(&segments["query"][1]) <= number(&segments["examples"][0]), "{segments}");
    assert_eq!(number(&segments["closing"][0]), number(&segments["examples"][1]), "{segments}");
    let prompt = first["prompt"].as_str().expect("a text");
    assert!(prompt.ends_with("\nA:") && !prompt.ends_with("\n\nA:"), "{prompt}");
    run(&world, "--vary order=query-first --mask none,TTF,FFT --from-layer 0,2");
    assert!(world.path("results/tiny/items.mood/mood-k2-seed0-order-query-first/FFT/layer-2.json").exists());
}

#[test]
fn what_makes_no_mask_is_refused() {
    let world = world();
    world.write("both.yaml", "mask: TTF\nhide: query\n");
    world.write("empty.yaml", "description: x\n");
    world.write("one/same.yaml", "hide: query\n");
    world.write("two/same.yaml", "hide: examples\n");
    world.write("a+window=3.yaml", "hide: query\n");
    world.write("own/TTF.yaml", "hide: query\n");
    world.write("heads.yaml", "hide: query\nheads: 1.2\n");
    for (args, says) in [
        ("--hide examples[", "--hide: `examples[` is not the name of a span"),
        (
            "--hide examples[7]",
            "--mask hide=examples[7]: item 0: the prompt has no `examples[7]`; it has instructions, examples, query",
        ),
        ("--hide documents", "the prompt has no `documents`"),
        ("--hide opening", "hides nothing"),
        ("--hide query --mask TTF", "--hide: the mask TTF says what is hidden, too"),
        ("--readers last --mask none", "--readers: no mask hides anything that this could change"),
        ("--readers last --mask all", "--readers: has no effect on the mask all"),
        ("--window 0 --hide query", "--window: a window has at least one layer"),
        ("--window x --hide query", "--window: `x` is not a whole number"),
        ("--steps 2 --hide query", "--steps: `2` is not a step to begin with; write 0.."),
        ("--hide query --drop-context", "--drop-context"),
        ("--hide query --profile sia2024 --nprompts 5", "--profile"),
        ("--mask both.yaml", "exclude each other"),
        ("--mask empty.yaml", "says nothing of what is hidden"),
        ("--mask heads.yaml", "unknown key `heads`"),
        ("--mask mine", "unknown mask `mine`"),
        ("--mask one/same.yaml,two/same.yaml", "two masks with different rules are called same"),
        ("--mask a+window=3.yaml", "rename it, without + and ="),
        ("--mask own/TTF.yaml", "has the name of a mask that the program knows"),
        ("--vary order=query-first --nprompts 0", "no demonstrations that could follow the query"),
    ] {
        world.refused(&world.call(&format!("run {CALL} {args}")), &[says]);
    }
    world.write("items.jsonl", "{\"source\": \"a\", \"target\": \"good\"}\n");
    world.refused(&world.call(&format!("run {CALL}")), &["items.jsonl:1 has no column `document`"]);
    assert!(!world.path("results").exists());
}
